//! New rows in folders that other tables read as well, and in one that has no rows yet.

use crate::files::{Gate, refused, rows, run};

#[test]
fn a_transaction_sees_in_each_table_what_its_commit_would_add() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    run(&nora, "BEGIN");
    run(&nora, "INSERT INTO orders (id, region) VALUES ('a1', 'eu')");
    let counts = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM first)";
    assert_eq!(rows(&nora, counts), ["3|2"], "the pattern of the second table finds no new file");
    run(&nora, "COMMIT");
    assert_eq!(rows(&nora, counts), ["3|2"]);
}

#[test]
fn the_first_rows_of_a_folder_are_seen_by_their_transaction() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("nora"));
    let count = "SELECT count(*), max(code) FROM fresh";
    assert_eq!(refused(&nora, count).0, "58000", "no file is no answer, which would hide a folder that was moved");
    run(&nora, "BEGIN");
    run(&nora, "INSERT INTO fresh (id, code) VALUES ('a', 'one'), ('b', 'two')");
    assert_eq!(rows(&nora, count), ["2|two"]);
    run(&nora, "SAVEPOINT one");
    assert_eq!(refused(&nora, "INSERT INTO fresh (id, code) VALUES ('c', 'two')").0, "23505");
    run(&nora, "ROLLBACK TO one");
    run(&nora, "INSERT INTO fresh (id, code) VALUES ('c', 'three')");
    assert_eq!(refused(&omar, count).0, "58000");
    run(&nora, "COMMIT");
    assert_eq!(rows(&omar, count), ["3|two"]);
}

#[test]
fn many_small_statements_of_one_transaction_keep_values_apart() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    run(&nora, "BEGIN");
    for number in 0..300 {
        run(&nora, &format!("INSERT INTO codes (id, code) VALUES ('n{number}', 'v{number}')"));
    }
    run(&nora, "SAVEPOINT one");
    assert_eq!(refused(&nora, "INSERT INTO codes (id, code) VALUES ('x', 'v7')").0, "23505");
    run(&nora, "ROLLBACK TO one");
    run(&nora, "INSERT INTO codes (id, code) VALUES ('x', 'last')");
    run(&nora, "SAVEPOINT two");
    run(&nora, "ROLLBACK TO one");
    // What was taken back is free again.
    run(&nora, "INSERT INTO codes (id, code) VALUES ('y', 'last')");
    run(&nora, "COMMIT");
    assert_eq!(rows(&nora, "SELECT count(*), count(DISTINCT code), max(id) FROM codes"), ["302|302|y"]);
    assert_eq!(gate.names("codes").len(), 2);
}
