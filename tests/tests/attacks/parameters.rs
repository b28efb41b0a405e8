//! Attacks by values beside a statement, by subqueries that find nothing, and by what hidden values would make large.

use crate::duel::Duel;

/// Visible salaries are 50, 60, 70; hidden ones 100 and 2e9.
const DECIMALS: [&str; 6] = ["100", "100.0", "99.9999999999", "0.005", "2000000000.00", "50.00"];

#[test]
fn decimals_beside_a_statement_find_no_hidden_row() {
    Duel::each(|d| {
        let mut number = 0;
        for statement in [
            "SELECT id FROM employees WHERE salary = $1",
            "SELECT count(*) FROM employees WHERE salary > $1",
            "SELECT id FROM employees WHERE grade < $1",
            "SELECT sum(salary * $1) FROM employees",
            "SELECT id, coalesce(salary, $1) FROM employees",
            "SELECT id FROM employees WHERE 1 / (salary - $1) > 0",
            "SELECT CASE WHEN max(salary) > $1 THEN 1 / (max(salary) - $1) END FROM employees",
        ] {
            for value in DECIMALS {
                for types in ["", " (numeric)"] {
                    number += 1;
                    d.same(&format!("PREPARE p{number}{types} AS {statement}; EXECUTE p{number} ({value})"));
                }
            }
        }
    });
}

/// What is found by a hidden row only is found by none.
#[test]
fn subqueries_that_only_hidden_rows_answer_are_empty() {
    Duel::each(|d| {
        for item in ["id", "salary", "grade + 1", "upper(name)", "10 / grade", "ROW(id)::text"] {
            for filter in ["b.id = 'e7'", "b.salary = 100", "b.salary > 1000", "false"] {
                let found = format!("(SELECT {item} FROM employees b WHERE {filter})");
                d.same(&format!("SELECT id FROM employees WHERE {found} IS NULL"));
                d.same(&format!("SELECT id FROM employees WHERE {found} IS NOT NULL"));
                d.same(&format!("SELECT CASE WHEN {found} IS NULL THEN 'none' ELSE 'one' END"));
                d.same(&format!("SELECT id, coalesce({found}::text, 'none') FROM employees"));
            }
        }
        let none = "(SELECT b.salary FROM employees b WHERE b.salary = 100)";
        d.rows(&format!("SELECT id FROM employees WHERE {none} IS NULL"), 3);
        d.rows(&format!("SELECT id FROM employees WHERE {none} IS NOT NULL"), 0);
    });
}

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
