//! Tests of subqueries that run for each row of an outer query.

use super::*;
use crate::testing::{Shop, printed};
use datafusion::physical_plan::ExecutionPlan;

/// Correlated subqueries in each place where one may stand, with the rows that PostgreSQL gives.
#[test]
fn subqueries_of_each_row_answer_for_it() {
    let reader = Shop::open().owner();
    for (sql, expected) in [
        // A value, none where there is no row.
        (
            "SELECT r.id, (SELECT v.id FROM visits v WHERE v.region_id = r.id ORDER BY v.score DESC LIMIT 1) FROM regions r ORDER BY 1",
            &["amer|v1", "apac|v6", "emea|v3", "latam|NULL"][..],
        ),
        // An aggregate has a value of no rows.
        (
            "SELECT r.id, (SELECT count(*) FROM visits v WHERE v.region_id = r.id AND v.score < r.rank) FROM regions r ORDER BY 1",
            &["amer|1", "apac|1", "emea|2", "latam|0"],
        ),
        // In a condition, negated, beside OR.
        (
            "SELECT id FROM regions r WHERE EXISTS (SELECT 1 FROM visits v WHERE v.score = r.rank) OR r.id = 'apac' ORDER BY 1",
            &["amer", "apac", "emea", "latam"],
        ),
        ("SELECT id FROM regions r WHERE NOT EXISTS (SELECT 1 FROM visits v WHERE v.score > r.rank) ORDER BY 1", &[]),
        (
            "SELECT id FROM regions r WHERE rank < ALL (SELECT score FROM visits v WHERE v.region_id = r.id) ORDER BY 1",
            &["latam"],
        ),
        (
            "SELECT id FROM regions r WHERE rank > ANY (SELECT score FROM visits v WHERE v.region_id = r.id) ORDER BY 1",
            &["amer", "apac", "emea"],
        ),
        // Below a limit and an order of its own.
        (
            "SELECT id FROM regions r WHERE (SELECT v.score FROM visits v WHERE v.region_id = r.id ORDER BY 1 LIMIT 1) = 1",
            &["emea"],
        ),
        // In a branch, run for the rows that take it: the other branch would fail with two rows.
        (
            "SELECT id, CASE WHEN id = 'apac' THEN (SELECT v.id FROM visits v WHERE v.region_id = r.id) ELSE '-' END FROM regions r ORDER BY 1",
            &["amer|-", "apac|v6", "emea|-", "latam|-"],
        ),
        // In ORDER BY, in an aggregate, in a window.
        (
            "SELECT id FROM regions r ORDER BY (SELECT count(*) FROM visits v WHERE v.region_id = r.id) DESC, id LIMIT 2",
            &["emea", "amer"],
        ),
        ("SELECT sum((SELECT count(*) FROM visits v WHERE v.region_id = r.id)) FROM regions r", &["6"]),
        // A subquery in a subquery reads both rows around it.
        (
            "SELECT r.id FROM regions r WHERE EXISTS (SELECT 1 FROM visits v WHERE v.region_id = r.id AND EXISTS \
             (SELECT 1 FROM orders o WHERE o.region_id = r.id AND o.account_id = v.account_id)) ORDER BY 1",
            &["amer", "apac", "emea"],
        ),
        // A lateral side, empty for some rows, and kept by an outer join.
        (
            "SELECT r.id, l.id FROM regions r LEFT JOIN LATERAL (SELECT v.id FROM visits v WHERE v.region_id = r.id ORDER BY v.id LIMIT 1) l \
             ON true ORDER BY 1",
            &["amer|v1", "apac|v6", "emea|v3", "latam|NULL"],
        ),
        // With a condition of both sides: a row without one that holds stays.
        (
            "SELECT r.id, l.id FROM regions r LEFT JOIN LATERAL (SELECT v.id, v.score FROM visits v WHERE v.region_id = r.id) l \
             ON l.score > r.rank AND 1 = 1 ORDER BY 1, 2",
            &["amer|v1", "apac|NULL", "emea|NULL", "latam|NULL"],
        ),
        (
            "SELECT r.id, l.n FROM regions r LEFT JOIN LATERAL (SELECT count(*) n FROM visits v WHERE v.region_id = r.id) l ON 1 = 1 ORDER BY 1",
            &["amer|2", "apac|1", "emea|3", "latam|0"],
        ),
        // NULL around: no row is equal to it.
        (
            "SELECT a.id FROM accounts a WHERE NOT EXISTS (SELECT 1 FROM regions r WHERE r.id = a.region_id) ORDER BY 1",
            &["a5"],
        ),
    ] {
        assert_eq!(reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}")), expected, "{sql}");
    }
}

#[test]
fn a_value_of_two_rows_is_an_error() {
    let reader = Shop::open().owner();
    let error = reader.rows("SELECT (SELECT v.id FROM visits v WHERE v.region_id = r.id) FROM regions r").unwrap_err();
    assert_eq!(error.code().sqlstate(), "21000", "{error}");
    // Of no row that takes it there is none.
    let sql = "SELECT (SELECT v.id FROM visits v WHERE v.region_id = r.id) FROM regions r WHERE r.id IN ('apac', 'latam') ORDER BY 1";
    assert_eq!(reader.rows(sql).unwrap(), ["v6", "NULL"]);
}

/// What one join does as well is left to it; an apply is what the engine cannot plan otherwise.
#[test]
fn only_what_no_join_does_runs_for_each_row() {
    let reader = Shop::open().owner();
    for (sql, applied) in [
        ("SELECT id FROM visits v WHERE EXISTS (SELECT 1 FROM regions r WHERE r.id = v.region_id)", false),
        ("SELECT (SELECT max(score) FROM visits v WHERE v.region_id = r.id) FROM regions r", false),
        ("SELECT (SELECT max(score) FROM visits) FROM regions r", false),
        ("SELECT (SELECT id FROM visits v WHERE v.region_id = r.id LIMIT 1) FROM regions r", true),
        ("SELECT l.id FROM regions r, LATERAL (SELECT id FROM visits v WHERE v.region_id = r.id LIMIT 1) l", true),
    ] {
        let plan = printed(reader.plan(sql).unwrap().physical());
        assert_eq!(plan.contains("ApplyExec"), applied, "{sql}\n{plan}");
    }
}

/// Whether all applies of a plan run for many rows at once.
fn are_gathered(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let own = plan.downcast_ref::<ApplyExec>().is_none_or(ApplyExec::is_gathered);
    own && plan.children().into_iter().all(are_gathered)
}

/// What runs for many rows at once gives each row what it gives when it runs for that row alone.
#[test]
fn rows_of_many_are_those_of_each() {
    let reader = Shop::open().owner();
    for side in [
        // An aggregate of the first rows, with a row of none.
        "LATERAL (SELECT coalesce(json_agg(json_build_array(q.id) ORDER BY q.id), '[]') x FROM \
         (SELECT * FROM visits v WHERE v.region_id = r.id ORDER BY v.id LIMIT 2) q) l ON true",
        // In the order of the rows below it.
        "LATERAL (SELECT array_agg(q.id) x FROM (SELECT id FROM visits v WHERE v.region_id = r.id ORDER BY score DESC, id DESC) q) l ON true",
        "LATERAL (SELECT string_agg(q.id, '+') x FROM \
         (SELECT id FROM visits v WHERE v.region_id = r.id ORDER BY score DESC, id LIMIT 2 OFFSET 1) q) l ON true",
        "LATERAL (SELECT count(*) x, sum(score), max(id) FROM visits v WHERE v.region_id = r.id) l ON true",
        // Groups, of which there are none for a row without rows.
        "LATERAL (SELECT v.score x, count(*) FROM visits v WHERE v.region_id = r.id GROUP BY v.score ORDER BY 1) l ON true",
        "LATERAL (SELECT v.region_id x, count(*) FROM visits v WHERE v.region_id = r.id GROUP BY v.region_id) l ON true",
        // A limit above an aggregate.
        "LATERAL (SELECT count(*) x FROM visits v WHERE v.region_id = r.id LIMIT 1) l ON true",
        // A side of a side.
        "LATERAL (SELECT array_agg(q.id || ':' || k.n) x FROM (SELECT * FROM visits v WHERE v.region_id = r.id ORDER BY id DESC LIMIT 2) q \
         LEFT JOIN LATERAL (SELECT count(*) n FROM orders o WHERE o.account_id = q.account_id) k ON true) l ON true",
        "LATERAL (SELECT q.id x, k.id FROM (SELECT * FROM visits v WHERE v.region_id = r.id ORDER BY id DESC) q \
         LEFT JOIN LATERAL (SELECT id FROM orders o WHERE o.account_id = q.account_id ORDER BY id) k ON true ORDER BY q.id, k.id LIMIT 3) l ON true",
    ] {
        let of = |id: &str| format!("SELECT r.id, l.* FROM regions r LEFT JOIN {side} WHERE {id} ORDER BY r.id, l.x");
        let all = of("true");
        let plan = reader.plan(&all).unwrap();
        let text = printed(plan.physical());
        assert!(are_gathered(plan.physical()), "{all}\n{text}");
        let each = ["amer", "apac", "emea", "latam"].map(|id| reader.rows(&of(&format!("r.id = '{id}'"))));
        let each: Vec<String> =
            each.into_iter().flat_map(|rows| rows.unwrap_or_else(|error| panic!("{all}: {error}"))).collect();
        assert_eq!(reader.rows(&all).unwrap_or_else(|error| panic!("{all}: {error}")), each, "{all}\n{text}");
    }
}

/// A row that HAVING leaves out is another one than a row of no rows.
#[test]
fn groups_that_are_left_out_run_for_each_row() {
    let reader = Shop::open().owner();
    let sql = "SELECT r.id, l.n FROM regions r LEFT JOIN LATERAL \
        (SELECT count(*) n FROM visits v WHERE v.region_id = r.id HAVING count(*) < 2) l ON true ORDER BY 1";
    assert!(!are_gathered(reader.plan(sql).unwrap().physical()));
    assert_eq!(reader.rows(sql).unwrap(), ["amer|NULL", "apac|1", "emea|NULL", "latam|0"]);
}

/// Asked to, it takes every subquery that reads the row around out of its expression.
#[test]
fn every_correlated_subquery_can_be_an_apply() {
    let reader = Shop::open().owner();
    for (sql, has) in [
        ("SELECT id FROM visits v WHERE EXISTS (SELECT 1 FROM regions r WHERE r.id = v.region_id)", true),
        ("SELECT (SELECT id FROM visits v WHERE v.region_id = r.id LIMIT 1) FROM regions r", true),
        ("SELECT id FROM regions WHERE rank > 1", false),
    ] {
        let bound = reader.bind(sql).unwrap();
        assert_eq!(has_work(bound.plan(), Scope::Everything).unwrap(), has, "{sql}");
        let text = expand(bound.plan().clone(), Scope::Everything).unwrap().display_indent().to_string();
        assert_eq!(text.contains("Apply"), has, "{sql}\n{text}");
    }
}
