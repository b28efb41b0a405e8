//! UPDATE … FROM and DELETE … USING: rows that change by what other rows say.

use super::KIND;
use crate::gate::{Gate, change, code, rows};

fn cell(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn rows_are_updated_by_what_others_say() {
    let gate = Gate::new(KIND);
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    let sql = "UPDATE orders AS o SET total = v.add + o.total, code = v.code
        FROM (VALUES ('o1', 1.5, 'n1'), ('o2', 2, 'n2'), ('o9', 3, 'n9')) AS v(id, add, code)
        WHERE v.id = o.id AND v.add < 3 RETURNING o.id, total, o.code";
    // The second is no row that omar sees.
    assert_eq!(rows(&omar, sql), [[cell("o1"), cell("12.0000"), cell("n1")]]);
    assert_eq!(gate.stored("SELECT code FROM orders ORDER BY id"), ["n1", "c2", "c3"]);
    // A table beside itself, and one whose rows are read through rules of their own.
    let sql = "UPDATE orders SET total = other.total FROM orders other WHERE other.id = 'o3' AND orders.id = 'o1'";
    assert_eq!(change(&nora, sql), Ok(1));
    let sql = "UPDATE orders SET code = 'n-' || notes.body FROM notes WHERE notes.id = orders.id";
    assert_eq!(change(&nora, sql), Ok(2));
    assert_eq!(
        gate.stored("SELECT concat(coalesce(code, ''), '|', total) FROM orders ORDER BY id"),
        ["n-first|7", "n-second|0", "c3|7"]
    );
}

#[test]
fn a_row_that_is_met_several_times_changes_once() {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    let sql = "UPDATE orders SET total = total + v.add FROM (VALUES (1), (1), (1)) AS v(add) WHERE orders.id <> 'o2'";
    assert_eq!(change(&nora, sql), Ok(2));
    assert_eq!(gate.stored("SELECT concat(total) FROM orders ORDER BY id"), ["11.5", "0", "8"]);
    let sql = "DELETE FROM orders USING orders other WHERE orders.region = other.region RETURNING orders.*";
    assert_eq!(rows(&nora, sql).len(), 3);
    assert_eq!(gate.all().len(), 0);
}

#[test]
fn rows_are_deleted_by_what_others_say() {
    let gate = Gate::new(KIND);
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    let sql =
        "DELETE FROM orders o USING notes n JOIN (VALUES ('o1'), ('o2')) AS v(id) ON v.id = n.id WHERE n.id = o.id";
    assert_eq!(change(&omar, sql), Ok(1));
    assert_eq!(gate.stored("SELECT id FROM orders ORDER BY id"), ["o2", "o3"]);
    assert_eq!(change(&nora, sql), Ok(1));
    assert_eq!(change(&nora, sql), Ok(0));
    assert_eq!(gate.stored("SELECT id FROM orders ORDER BY id"), ["o3"]);
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let gate = Gate::new(KIND);
    let (omar, before) = (gate.client("omar"), gate.all());
    for (sql, expected) in [
        ("UPDATE orders SET total = 1 FROM notes RETURNING *", "0A000"),
        ("UPDATE orders SET total = 1 FROM notes RETURNING notes.body", "0A000"),
        ("UPDATE orders SET total = 1 FROM payroll", "42P01"),
        ("UPDATE orders SET total = 1 FROM orders", "42712"),
        ("UPDATE orders SET code = body FROM notes WHERE id = 'o1'", "42702"),
        ("UPDATE orders SET code = card FROM notes WHERE notes.id = orders.id", "42501"),
        ("UPDATE orders SET region = 'us' FROM notes WHERE notes.id = orders.id", "42501"),
        ("UPDATE notes SET body = '' FROM orders", "42501"),
        ("DELETE FROM orders USING payroll WHERE true", "42P01"),
        ("DELETE FROM orders USING notes WHERE notes.id = orders.customer", "42703"),
    ] {
        assert_eq!(code(&omar, sql), expected, "{sql}");
        assert_eq!(gate.all(), before, "{sql}");
    }
    // What is compared with a hidden row is not found out.
    let sql = "DELETE FROM orders USING notes WHERE notes.id = orders.id AND 1 / (orders.total) > 100";
    assert_eq!(change(&omar, sql), Ok(0));
    assert_eq!(gate.all(), before);
}
