//! Plans of a few lines and what they cost.

use super::plan::*;

/// Two tables of 1,024 rows; the index `i` has 8 entries for one column's value and 2 for two.
struct Two;

impl Known for Two {
    fn rows(&self, _alias: &str) -> f64 {
        1_024.0
    }

    fn entries(&self, index: &str, columns: usize) -> Option<(f64, f64)> {
        (index == "i").then_some((1_024.0, [1_024.0, 8.0, 2.0][columns]))
    }

    fn kept(&self, alias: &str, index: Option<(&str, usize)>) -> f64 {
        if alias == "t7" && index.is_none() { 0.25 } else { 1.0 }
    }

    fn has_values(&self, alias: &str, _index: &str, _columns: usize) -> bool {
        alias != "t8"
    }
}

fn check(lines: &[(i64, i64, &str)], expected: f64, used: &[&str]) {
    let step =
        |(id, parent, detail): &(i64, i64, &str)| Step { id: *id, parent: *parent, detail: (*detail).to_owned() };
    let steps: Vec<Step> = lines.iter().map(step).collect();
    let (cost, indexes) = cost(&steps, &Two);
    assert!((cost - expected).abs() < 1e-9, "{lines:?}: {cost}");
    assert_eq!(indexes, used, "{lines:?}");
}

#[test]
fn single_loops_cost_what_they_visit() {
    check(&[(2, 0, "SCAN t1")], 1_024.0, &[]);
    check(&[(2, 0, "SCAN t1 USING COVERING INDEX i")], 1_024.0, &["i"]);
    check(&[(2, 0, "SEARCH t1 USING INTEGER PRIMARY KEY (rowid=?)")], 11.0, &[]);
    check(&[(2, 0, "SEARCH t1 USING INDEX i (a=?)")], 10.0 + 8.0 * 4.0, &["i"]);
    check(&[(2, 0, "SEARCH t1 USING COVERING INDEX i (a=? AND b=?)")], 12.0, &["i"]);
    check(&[(2, 0, "SEARCH t1 USING INDEX i (a=? AND b>?)")], 10.0 + 2.0 * 4.0, &["i"]);
    check(&[(2, 0, "SCAN CONSTANT ROW")], 1.0, &[]);
}

#[test]
fn inner_loops_run_for_each_outer_row_and_sorts_for_all() {
    check(
        &[(3, 0, "SEARCH t1 USING INDEX i (a=?)"), (5, 0, "SEARCH t2 USING INTEGER PRIMARY KEY (rowid=?)")],
        42.0 + 8.0 * 11.0,
        &["i"],
    );
    check(&[(3, 0, "SCAN t1"), (9, 0, "USE TEMP B-TREE FOR ORDER BY")], 1_024.0 + 1_024.0 * 10.0, &[]);
    check(&[(3, 0, "SCAN t7"), (9, 0, "USE TEMP B-TREE FOR ORDER BY")], 1_024.0 + 256.0 * 8.0, &[]);
    check(
        &[(3, 0, "SCAN t1"), (5, 0, "SEARCH t2 USING AUTOMATIC COVERING INDEX (a=?)")],
        1_024.0 + 1_024.0 * 20.0 + 1_024.0 * 10.0,
        &[],
    );
    check(
        &[(3, 0, "SCAN t1"), (9, 0, "CORRELATED SCALAR SUBQUERY 1"), (11, 9, "SEARCH t2 USING INDEX i (a=?)")],
        1_024.0 + 1_024.0 * 42.0,
        &["i"],
    );
}

#[test]
fn rows_of_a_subquery_are_looked_up_one_by_one_where_they_bind_the_index() {
    let list = [(5, 0, "LIST SUBQUERY 1"), (7, 5, "SEARCH t2 USING INDEX i (a=?)")];
    let lookup = |detail| [&[(3, 0, detail)], &list[..]].concat();
    check(&lookup("SEARCH t8 USING INDEX i (a=?)"), 42.0 + 8.0 * 42.0, &["i", "i"]);
    check(&lookup("SEARCH t1 USING INDEX i (a=?)"), 42.0 + 42.0, &["i", "i"]);
}

#[test]
fn made_subqueries_unions_and_alternatives_are_added() {
    check(&[(2, 0, "MATERIALIZE t3"), (4, 2, "SEARCH t1 USING INDEX i (a=?)"), (9, 0, "SCAN t3")], 42.0 + 8.0, &["i"]);
    check(
        &[
            (1, 0, "COMPOUND QUERY"),
            (2, 1, "LEFT-MOST SUBQUERY"),
            (5, 2, "SCAN t1"),
            (9, 1, "UNION ALL"),
            (12, 9, "SCAN t2"),
        ],
        2_048.0,
        &[],
    );
    check(
        &[
            (4, 0, "MULTI-INDEX OR"),
            (5, 4, "INDEX 1"),
            (7, 5, "SEARCH t1 USING INDEX i (a=?)"),
            (9, 4, "INDEX 2"),
            (11, 9, "SEARCH t1 USING INDEX i (a=?)"),
        ],
        84.0,
        &["i", "i"],
    );
}
