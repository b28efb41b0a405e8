//! Autonumbers: none left out, none twice, none of a client.

use super::*;

fn numbers(shop: &Shop, prefix: &str) -> Vec<String> {
    shop.stored(&format!("SELECT number FROM tickets WHERE id LIKE '{prefix}%' ORDER BY number"))
}

#[test]
fn new_rows_have_the_next_numbers() {
    let shop = shop();
    let nora = shop.client("nora");
    assert_eq!(change(&nora, "INSERT INTO tickets (id) VALUES ('x1'), ('x2')"), Ok(2));
    assert_eq!(change(&nora, "INSERT INTO tickets (id) SELECT 'x' || id FROM tickets WHERE id = 't1'"), Ok(1));
    assert_eq!(numbers(&shop, "x"), ["T-008", "T-009", "T-010"]);
}

#[test]
fn the_next_number_follows_the_highest_of_the_format() {
    let shop = shop();
    let nora = shop.client("nora");
    // What the format does not print is no number of it.
    shop.execute(
        "UPDATE tickets SET number = 'T-0990' WHERE id = 't1'; UPDATE tickets SET number = 'T-999' WHERE id = 't2'",
    );
    assert_eq!(change(&nora, "INSERT INTO tickets (id) VALUES ('y1')"), Ok(1));
    assert_eq!(numbers(&shop, "y"), ["T-1000"]);
    shop.execute("UPDATE tickets SET number = 'T-' || char(97 + rowid) || id");
    assert_eq!(change(&nora, "INSERT INTO tickets (id) VALUES ('z1')"), Ok(1));
    // No row is left at the counter's end that was remembered, so that all are looked at.
    assert_eq!(numbers(&shop, "z"), ["T-001"]);
}

/// Nothing in the source keeps these numbers unique, and the row lies further from the last number than is looked first.
#[test]
fn many_rows_at_once_take_no_number_of_a_row_that_somebody_else_stored() {
    let shop = shop();
    let nora = shop.client("nora");
    assert_eq!(change(&nora, "INSERT INTO tickets (id) VALUES ('x1')"), Ok(1));
    shop.execute("INSERT INTO tickets (id, number) VALUES ('far', 'T-058')");
    let rows: Vec<String> = (0..60).map(|row| format!("('y{row}')")).collect();
    assert_eq!(change(&nora, &format!("INSERT INTO tickets (id) VALUES {}", rows.join(", "))), Ok(60));
    let expected: Vec<String> = (59..119).map(|number| format!("T-{number:03}")).collect();
    assert_eq!(numbers(&shop, "y"), expected);
}

#[test]
fn refused_rows_take_no_number_and_clients_give_none() {
    let shop = shop();
    let nora = shop.client("nora");
    for (sql, expected) in [
        ("INSERT INTO tickets (id) VALUES ('x1'), ('t1')", "23505"),
        ("INSERT INTO tickets (id, hours) VALUES ('x1', 101)", "23514"),
        ("INSERT INTO tickets (id, account) VALUES ('x1', 'none')", "23503"),
        ("INSERT INTO tickets (id, number) VALUES ('x1', 'T-100')", "428C9"),
        ("INSERT INTO tickets (id, number) VALUES ('x1', NULL)", "428C9"),
        ("UPDATE tickets SET number = 'T-100' WHERE id = 't1'", "428C9"),
        ("UPDATE tickets SET number = number", "428C9"),
    ] {
        assert_eq!(code(&nora, sql), expected, "{sql}");
    }
    assert_eq!(change(&nora, "INSERT INTO tickets (id) VALUES ('x1')"), Ok(1));
    assert_eq!(numbers(&shop, "x"), ["T-008"]);
}

#[test]
fn writers_at_the_same_time_take_different_numbers() {
    let shop = shop();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let client = shop.client(if writer % 2 == 0 { "nora" } else { "omar" });
            scope.spawn(move || {
                for n in 0..6 {
                    assert_eq!(change(&client, &format!("INSERT INTO tickets (id) VALUES ('w{writer}_{n}')")), Ok(1));
                }
            });
        }
    });
    let expected: Vec<String> = (8..32).map(|n| format!("T-{n:03}")).collect();
    assert_eq!(numbers(&shop, "w"), expected);
}
