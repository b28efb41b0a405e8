//! Where hidden rows lie between visible ones, and how many: nothing of how a file is read may tell.

use crate::duel::assert_silent;
use querygate_tests::harness::{Company, Layout, Row, TestGate};
use serde_json::{Value, json};

/// Rows of other zones, `before` and `between` the visible ones, with so many bytes each.
fn hidden(from: usize, count: usize, bytes: usize, dept: &str) -> Vec<Row> {
    let row = |n: usize| -> Row {
        // No two alike, and nothing to compress.
        let mut state = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let note: String = (0..bytes)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                char::from(b'a' + (state >> 32) as u8 % 26)
            })
            .collect();
        let row = json!({"id": format!("h{n}"), "name": "hX9", "dept": dept, "salary": 1 + n % 7, "grade": 1, "note": note, "zone_code": "zone-s"});
        row.as_object().unwrap().clone()
    };
    (from..from + count).map(row).collect()
}

/// The company in a file, hidden rows put before each of its visible ones. Its row groups have five rows.
fn company(put: [Vec<Row>; 3]) -> TestGate {
    let mut fixture = Company::fixture();
    let employees = fixture.tables.iter_mut().find(|t| t.object == "hr_employees").unwrap();
    let visible = ["e1", "e2", "e3"].map(|id| employees.rows.iter().find(|row| row["id"] == id).unwrap().clone());
    employees.rows.clear();
    for (hidden, mut visible) in put.into_iter().zip(visible) {
        // Two visible rows of one department and another one: ties.
        visible.insert("dept".to_owned(), Value::from("m"));
        employees.rows.extend(hidden);
        employees.rows.push(visible);
    }
    TestGate::new(&fixture, Layout::Parquet)
}

const STATEMENTS: &[&str] = &[
    "SELECT id FROM employees",
    "SELECT id FROM employees WHERE 10 / grade > 1",
    "SELECT id, dept FROM employees ORDER BY dept",
    "SELECT id, dept FROM employees ORDER BY dept LIMIT 2",
    "SELECT id, dept FROM employees ORDER BY dept DESC LIMIT 1",
    "SELECT id FROM employees LIMIT 2",
    "SELECT dept, string_agg(id, ',') FROM employees GROUP BY dept",
    "SELECT id, row_number() OVER () FROM employees",
    "SELECT e.id, r.stars FROM employees e JOIN reviews r ON r.employee = e.id",
    "SELECT * FROM reviews",
];

/// EXPLAIN without times, and rows in the order in which they come.
fn told(gate: &TestGate) -> Vec<String> {
    let iris = gate.client(&Company::analyst());
    let mut told = Vec::new();
    for sql in STATEMENTS {
        for form in ["", "EXPLAIN ", "EXPLAIN VERBOSE ", "EXPLAIN ANALYZE "] {
            let statement = format!("{form}{sql}");
            let answer = iris.run(&statement);
            // A join deals its rows out by their keys, and what is ready first comes first.
            let any_order = form.is_empty() && sql.contains("JOIN");
            let text = if any_order { answer.sorted().text() } else { answer.text() };
            assert_silent(&statement, &text);
            let timed = |line: &&str| line.contains("Time:") || line.contains(" ms");
            let text: Vec<&str> = text.lines().filter(|line| !timed(line)).collect();
            told.push(format!("{statement}\n{}", text.join("\n")));
        }
    }
    told
}

/// A file of more than ten megabytes is read in parts, and which rows are in which part depends on the hidden ones. Parts and row
/// groups are put in order by the least and greatest values, hidden ones included, before rows are sorted.
#[test]
fn neither_order_nor_explain_tells_where_hidden_rows_lie() {
    let few = told(&company([vec![], vec![], vec![]]));
    let rows = few.iter().find(|text| text.starts_with("SELECT id FROM employees\n")).unwrap();
    assert!(rows.contains("e1") && rows.contains("e3"), "{rows}");
    let large = 600_000;
    let others = [
        // Each visible row in a row group of its own, with hidden departments that pull its group forward or back.
        [hidden(0, 4, 8, "z"), hidden(4, 4, 8, "c"), hidden(8, 4, 8, "a")],
        [hidden(0, 4, 8, "a"), hidden(4, 4, 8, "z"), hidden(8, 4, 8, "b")],
        // Parts.
        [hidden(0, 24, large, "z"), hidden(24, 4, 8, "a"), hidden(28, 4, 8, "b")],
        [hidden(0, 4, 8, "c"), hidden(4, 19, large, "b"), hidden(23, 9, large, "a")],
    ];
    for (at, put) in others.into_iter().enumerate() {
        let many = told(&company(put));
        for (few, many) in few.iter().zip(&many) {
            assert_eq!(few, many, "{at}");
        }
    }
}
