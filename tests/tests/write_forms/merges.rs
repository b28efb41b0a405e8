//! MERGE and TRUNCATE.

use super::KIND;
use crate::gate::{Gate, change, code, rows};

const SOURCE: &str =
    "(VALUES ('o1', 5, 'eu'), ('o3', 6, 'eu'), ('m1', 7, 'eu'), ('m2', NULL, 'eu')) AS s(id, total, region)";

#[test]
fn each_row_goes_to_the_first_clause_that_it_is_for() {
    let gate = Gate::new(KIND);
    let omar = gate.client("omar");
    let sql = format!(
        "MERGE INTO orders AS o USING {SOURCE} ON s.id = o.id
         WHEN MATCHED AND s.total > 5 THEN DELETE
         WHEN MATCHED THEN UPDATE SET total = o.total + s.total, code = 'merged'
         WHEN NOT MATCHED AND s.total IS NOT NULL THEN INSERT (id, region, total, code) VALUES (s.id, s.region, s.total * 2, DEFAULT)"
    );
    assert_eq!(change(&omar, &sql), Ok(3));
    assert_eq!(
        gate.all(),
        ["m1|eu|14", "o1|ann|eu|15.5|4111111111111111|merged|2026-01-01", "o2|bob|us|0|5500000000000004|c2|2026-01-02",]
    );
    let sql = "MERGE INTO orders USING notes ON notes.id = orders.id WHEN MATCHED THEN UPDATE SET code = notes.body";
    assert_eq!(change(&omar, sql), Ok(1));
    assert_eq!(gate.stored("SELECT coalesce(code, '') FROM orders ORDER BY id"), ["", "first", "c2"]);
    let sql = "MERGE INTO orders USING notes ON false WHEN MATCHED THEN DELETE";
    assert_eq!(change(&omar, sql), Ok(0));
}

#[test]
fn clauses_are_governed_as_statements_are() {
    let gate = Gate::new(KIND);
    let (omar, rita, pia, before) = (gate.client("omar"), gate.client("rita"), gate.client("pia"), gate.all());
    let merge = |on: &str, rest: &str| format!("MERGE INTO orders AS o USING {SOURCE} ON {on} WHEN {rest}");
    for (on, rest, expected) in [
        ("true", "MATCHED THEN UPDATE SET total = 1", "21000"),
        ("o.region = s.region", "MATCHED THEN DELETE", "21000"),
        ("s.id = o.id", "MATCHED THEN UPDATE SET region = 'us'", "42501"),
        ("s.id = o.id", "MATCHED THEN UPDATE SET total = true", "42804"),
        ("s.id = o.id", "MATCHED THEN UPDATE SET code = o.card", "42501"),
        ("s.id = o.id", "MATCHED AND 1 / (o.total - 7) > 0 THEN DELETE", "22012"),
        ("s.id = o.id", "MATCHED AND random() < 2 THEN DELETE", "0A000"),
        ("s.id = o.customer", "MATCHED THEN DELETE", "42703"),
        ("s.id = o.id", "NOT MATCHED THEN INSERT (id, region) VALUES (s.id, 'us')", "42501"),
        ("s.id = o.id", "NOT MATCHED THEN INSERT (id, region, total) VALUES (s.id, s.region, 1001)", "23514"),
        ("s.id = o.id", "NOT MATCHED THEN INSERT (id, region) VALUES (s.id, s.region, 1)", "42601"),
        ("s.id = o.id", "NOT MATCHED THEN INSERT (id, region, total) VALUES (s.id, s.region, s.id)", "42804"),
        ("s.id = o.id", "NOT MATCHED THEN INSERT (id, region, total) VALUES (s.id, s.region, o.total)", "42P01"),
        ("false", "NOT MATCHED THEN INSERT (id, region) VALUES (s.id, s.region)", "23505"),
        ("s.id = o.id", "NOT MATCHED BY SOURCE THEN DELETE", "0A000"),
    ] {
        let sql = merge(on, rest);
        assert_eq!(code(&omar, &sql), expected, "{sql}");
        assert_eq!(gate.all(), before, "{sql}");
    }
    // A hidden row matches nothing, and its key is taken.
    let hidden = "MERGE INTO orders USING (VALUES ('o2')) AS s(id) ON s.id = orders.id
        WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, region) VALUES (s.id, 'eu')";
    let taken = ("23505".to_owned(), "duplicate key value violates unique constraint \"orders_pkey\"".to_owned());
    assert_eq!(change(&omar, hidden), Err(taken));
    assert_eq!(code(&rita, &merge("s.id = o.id", "MATCHED THEN DELETE")), "42501");
    assert_eq!(code(&pia, &merge("s.id = o.id", "MATCHED THEN UPDATE SET total = 1")), "42501");
    assert_eq!(gate.all(), before);
}

#[test]
fn a_table_is_truncated_by_those_who_may_change_all_of_it() {
    let gate = Gate::new(KIND);
    let (nora, omar, pia, before) = (gate.client("nora"), gate.client("omar"), gate.client("pia"), gate.all());
    for client in [&omar, &pia] {
        assert_eq!(code(client, "TRUNCATE orders"), "42501");
    }
    for (sql, expected) in [
        ("TRUNCATE orders, notes", "0A000"),
        ("TRUNCATE orders CASCADE", "0A000"),
        ("TRUNCATE orders RESTART IDENTITY", "0A000"),
        ("TRUNCATE notes", "42501"),
        ("TRUNCATE nothing", "42P01"),
    ] {
        assert_eq!(code(&nora, sql), expected, "{sql}");
    }
    assert_eq!(gate.all(), before);
    assert_eq!(rows(&nora, "TRUNCATE TABLE orders").len(), 0);
    assert_eq!(gate.all().len(), 0);
}
