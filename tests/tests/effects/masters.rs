//! Rows whose master decides: who may write them, and what they must be.

use super::*;

#[test]
fn details_are_written_as_their_master_may_be_edited() {
    let shop = shop();
    let (nora, omar) = (shop.client("nora"), shop.client("omar"));
    let before = all(&shop);
    // The ticket t4 is seen and not edited by omar, t5 not even seen.
    for (sql, expected) in [
        ("INSERT INTO lines (id, ticket) VALUES ('x1', 't4')", "42501"),
        ("INSERT INTO lines (id, ticket) VALUES ('x1', 't5')", "23503"),
        ("INSERT INTO lines (id, ticket) VALUES ('x1', 'none')", "23503"),
        ("INSERT INTO lines (id) VALUES ('x1')", "23502"),
        ("UPDATE lines SET ticket = 't4' WHERE id = 'l1'", "42501"),
        ("UPDATE lines SET ticket = 't5' WHERE id = 'l1'", "23503"),
    ] {
        assert_eq!(code(&omar, sql), expected, "{sql}");
    }
    for sql in ["UPDATE lines SET hours = 0 WHERE id IN ('l4', 'l5')", "DELETE FROM lines WHERE id IN ('l4', 'l5')"] {
        assert_eq!(change(&omar, sql), Ok(0), "{sql}");
    }
    // From a master that may not be edited to one that may.
    assert_eq!(change(&omar, "UPDATE lines SET ticket = 't1' WHERE ticket = 't4'"), Ok(0));
    assert_eq!(all(&shop), before);
    assert_eq!(change(&omar, "INSERT INTO lines (id, ticket, hours) VALUES ('x1', 't1', 2)"), Ok(1));
    assert_eq!(change(&omar, "UPDATE lines SET hours = 3 WHERE id = 'x1'"), Ok(1));
    assert_eq!(change(&omar, "DELETE FROM lines WHERE id = 'x1'"), Ok(1));
    assert_eq!(change(&nora, "UPDATE lines SET ticket = 't1' WHERE ticket = 't4'"), Ok(1));
}

#[test]
fn rules_read_the_master() {
    let shop = shop();
    let nora = shop.client("nora");
    // Hours of a closed ticket are read-only, lines of a held one need a reason.
    assert_eq!(code(&nora, "UPDATE lines SET hours = 9 WHERE id = 'l3'"), "428C9");
    assert_eq!(change(&nora, "UPDATE lines SET reason = 'late' WHERE id = 'l3'"), Ok(1));
    assert_eq!(code(&nora, "INSERT INTO lines (id, ticket) VALUES ('x1', 't3')"), "23502");
    assert_eq!(change(&nora, "INSERT INTO lines (id, ticket, reason) VALUES ('x1', 't3', 'why')"), Ok(1));
    // The master that counts is the one that the row has afterwards.
    assert_eq!(code(&nora, "UPDATE lines SET ticket = 't2', hours = 4 WHERE id = 'l2'"), "428C9");
    assert_eq!(change(&nora, "UPDATE lines SET ticket = 't3', reason = 'moved', hours = 1.25 WHERE id = 'l1'"), Ok(1));
    assert_eq!(
        shop.stored("SELECT concat_ws('|', ticket, hours, reason) FROM lines WHERE id = 'l1'"),
        ["t3|1.25|moved"]
    );
}
