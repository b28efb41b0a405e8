//! Attacks by what hidden values would make large.

use crate::duel::Duel;

/// Visible salaries are 50, 60, 70; hidden ones 100 and 2e9.
/// Memory is a channel, too: a hidden value must make nothing large, and so end no statement.
#[test]
fn hidden_values_take_no_memory() {
    Duel::each(|d| {
        for sql in [
            "SELECT sum(length(repeat('x', CAST(salary AS integer) * 100))) FROM employees",
            "SELECT max(length(lpad('', grade, 'x'))) FROM employees",
            "SELECT count(repeat(note, CAST(salary AS integer) * 1000)) FROM employees",
            "SELECT string_agg(repeat('x', CAST(salary AS integer) * 1000), ',') IS NULL FROM employees",
            "SELECT cardinality(array_agg(repeat('x', CAST(salary AS integer) * 1000))) FROM employees",
            "SELECT count(*) FROM employees e, generate_series(1, CAST(e.salary AS bigint)) g",
            "SELECT id FROM employees ORDER BY repeat('x', CAST(salary AS integer) * 1000), id",
            "SELECT count(DISTINCT repeat(name, CAST(salary AS integer) * 1000)) FROM employees",
        ] {
            d.same(sql);
        }
    });
}
