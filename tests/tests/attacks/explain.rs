//! EXPLAIN shows a reader neither policy texts nor hidden names, values and counts.

use crate::duel::{Duel, assert_silent};
use querygate_tests::harness::{Company, TestGate};
use serde_json::json;

const STATEMENTS: &[&str] = &[
    "SELECT * FROM employees",
    "SELECT id FROM employees WHERE salary > 55",
    "SELECT id FROM employees WHERE 10 / grade > 1",
    "SELECT phone FROM employees WHERE phone LIKE '%71'",
    "SELECT e.name, r.stars FROM employees e JOIN reviews r ON r.employee = e.id",
    "SELECT count(*) FROM employees",
    "SELECT dept, max(salary) FROM employees GROUP BY dept ORDER BY 1 LIMIT 2",
    "SELECT id FROM employees a WHERE EXISTS (SELECT 1 FROM reviews r WHERE r.employee = a.id AND r.stars > 4)",
    "SELECT * FROM reviews",
    "SELECT rank() OVER (PARTITION BY dept ORDER BY salary) FROM employees",
    "SELECT id FROM employees WHERE id IN (SELECT boss FROM employees)",
];

const FORMS: &[&str] = &[
    "EXPLAIN",
    "EXPLAIN VERBOSE",
    "EXPLAIN ANALYZE",
    "EXPLAIN ANALYZE VERBOSE",
    "EXPLAIN (ANALYZE, VERBOSE, BUFFERS)",
    "EXPLAIN (VERBOSE, FORMAT JSON)",
    "EXPLAIN (ANALYZE, FORMAT JSON)",
];

#[test]
fn explain_tells_no_policy_and_no_hidden_name() {
    Duel::each(|d| {
        for sql in STATEMENTS {
            for form in FORMS {
                let text = d.iris.run(&format!("{form} {sql}")).text();
                assert_silent(sql, &text);
                assert!(!text.contains("northern") && !text.contains("hr_analyst"), "{text}");
            }
        }
    });
}

/// Times, the only numbers that may differ between two runs. Rows of nodes are told without them above a table that hides rows.
fn without_times(text: &str) -> String {
    let timed = |line: &&str| ["Time:", "Time\":", " ms"].iter().any(|word| line.contains(word));
    text.lines().filter(|line| !timed(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn explain_analyze_tells_no_number_of_hidden_rows() {
    Duel::each(|d| {
        let mut fixture = Company::fixture();
        let employees = fixture.tables.iter_mut().find(|t| t.object == "hr_employees").unwrap();
        for n in 0..4 {
            let row = json!({"id": format!("x{n}"), "name": "hX9", "salary": 61, "grade": 1, "zone_code": "zone-s"});
            employees.rows.push(row.as_object().unwrap().clone());
        }
        let more = TestGate::new(&fixture, d.layout);
        let iris = more.client(&Company::analyst());
        for sql in STATEMENTS {
            for form in FORMS {
                let statement = format!("{form} {sql}");
                let (few, many) = (d.iris.run(&statement).text(), iris.run(&statement).text());
                assert_eq!(without_times(&few), without_times(&many), "{:?} {statement}", d.layout);
            }
        }
    });
}

#[test]
fn explain_of_what_is_refused_is_refused_alike() {
    Duel::each(|d| {
        for (sql, code) in [
            ("SELECT secret_code FROM employees", "42703"),
            ("SELECT * FROM payroll", "42P01"),
            ("SELECT id FROM employees WHERE zone_code = 'x'", "42703"),
        ] {
            for form in FORMS {
                d.refused(&format!("{form} {sql}"), code);
            }
        }
        for format in ["XML", "YAML"] {
            d.same(&format!("EXPLAIN (FORMAT {format}) SELECT * FROM employees"));
        }
        d.same("EXPLAIN ANALYZE SELECT CAST(name AS integer) FROM employees");
    });
}
