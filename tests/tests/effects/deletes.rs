//! Dependents of rows that are deleted: gone, emptied, or a reason to refuse.

use super::*;

#[test]
fn dependents_go_with_what_they_belong_to() {
    let shop = shop();
    let (nora, omar) = (shop.client("nora"), shop.client("omar"));
    // The count is that of the named table.
    assert_eq!(change(&omar, "DELETE FROM tickets WHERE id = 't1'"), Ok(1));
    assert_eq!([ids(&shop, "tickets"), ids(&shop, "lines"), ids(&shop, "notes")], ["t2 t3 t4 t5", "l3 l4 l5", "n3 n4"]);
    assert_eq!(change(&nora, "DELETE FROM tickets WHERE id IN ('t2', 't4', 'none')"), Ok(2));
    assert_eq!([ids(&shop, "tickets"), ids(&shop, "lines"), ids(&shop, "notes")], ["t3 t5", "l5", "n4"]);
}

#[test]
fn what_forbids_a_delete_is_told_in_one_text() {
    let shop = shop();
    let (nora, omar) = (shop.client("nora"), shop.client("omar"));
    let before = all(&shop);
    // A bill restricts; a note of another region is not omar's to delete, nor to see.
    let restricted = change(&nora, "DELETE FROM tickets WHERE id = 't3'").unwrap_err();
    let forbidden = change(&omar, "DELETE FROM tickets WHERE id = 't2'").unwrap_err();
    assert_eq!(restricted, ("23503".to_owned(), "a row is still referenced by others".to_owned()));
    assert_eq!(restricted, forbidden);
    // One of several refuses them all.
    assert_eq!(code(&omar, "DELETE FROM tickets WHERE id IN ('t1', 't2')"), "23503");
    assert_eq!(code(&omar, "DELETE FROM lines WHERE id = 'l3'"), "23503");
    assert_eq!(all(&shop), before);
    assert_eq!(change(&nora, "DELETE FROM bills"), Ok(1));
    assert_eq!(change(&nora, "DELETE FROM tickets WHERE id = 't3'"), Ok(1));
}

#[test]
fn a_row_that_stands_in_a_list_of_references_stays() {
    let shop = shop();
    let nora = shop.client("nora");
    shop.execute(r#"INSERT INTO bills VALUES ('b2', NULL, '["t9", "t4"]'), ('b3', NULL, '[]'), ('b4', NULL, NULL)"#);
    let before = all(&shop);
    for sql in ["DELETE FROM tickets WHERE id = 't4'", "DELETE FROM tickets WHERE id IN ('t1', 't4')"] {
        assert_eq!(code(&nora, sql), "0A000", "{sql}");
        assert_eq!(all(&shop), before, "{sql}");
    }
    assert_eq!(change(&nora, "DELETE FROM tickets WHERE id IN ('t1', 't2')"), Ok(2));
    shop.execute(r#"UPDATE bills SET also = '["t9"]' WHERE id = 'b2'"#);
    assert_eq!(change(&nora, "DELETE FROM tickets WHERE id = 't4'"), Ok(1));
}

#[test]
fn references_are_emptied_where_the_metadata_says_so() {
    let shop = shop();
    let (nora, omar) = (shop.client("nora"), shop.client("omar"));
    let accounts = |id: &str| shop.stored(&format!("SELECT account FROM tickets WHERE id = '{id}'"));
    assert_eq!(change(&nora, "DELETE FROM accounts WHERE id = 'a1'"), Ok(1));
    assert_eq!([accounts("t1"), accounts("t2"), accounts("t3")], [["NULL"], ["NULL"], ["a2"]]);
    // A ticket that omar may not change keeps the account that it belongs to.
    shop.execute("UPDATE tickets SET state = 'locked' WHERE id = 't3'");
    let before = all(&shop);
    assert_eq!(code(&omar, "DELETE FROM accounts"), "23503");
    assert_eq!(all(&shop), before);
    assert_eq!(change(&nora, "DELETE FROM accounts"), Ok(1));
    assert_eq!(accounts("t3"), ["NULL"]);
}

#[test]
fn circles_end_and_long_chains_are_refused() {
    let shop = shop();
    let nora = shop.client("nora");
    assert_eq!(change(&nora, "DELETE FROM folders WHERE id = 'f2'"), Ok(1));
    assert_eq!(ids(&shop, "folders"), "f4");
    let chain = |from: u32, to: u32| {
        let rows: Vec<String> = (from..=to).map(|n| format!("('c{n:02}', 'c{:02}')", n.saturating_sub(1))).collect();
        format!("INSERT INTO folders VALUES {}", rows.join(","))
    };
    shop.execute(&chain(1, 10));
    assert_eq!(change(&nora, "DELETE FROM folders WHERE id = 'c01'"), Ok(1));
    assert_eq!(ids(&shop, "folders"), "f4");
    shop.execute(&chain(1, 11));
    assert_eq!(code(&nora, "DELETE FROM folders WHERE id = 'c01'"), "23503");
    assert_eq!(change(&nora, "DELETE FROM folders WHERE id IN ('c01', 'c06')"), Ok(2));
    assert_eq!(ids(&shop, "folders"), "f4");
}
