//! Joins across sources: what leaves a source is what can meet a row of the other side.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use querygate_tests::harness::{Answer, Client, Company, Fixture, Layout, TestGate};

/// Employees in one database, reviews in another.
fn split(partitions: usize) -> (Fixture, TestGate) {
    let mut fixture = Company::fixture();
    fixture.target_partitions = partitions;
    let gate = TestGate::placed(&fixture, &|object| match object {
        "hr_employees" => Layout::OtherSqlite,
        _ => Layout::Sqlite,
    });
    (fixture, gate)
}

fn ids(answer: &Answer) -> Vec<String> {
    let mut ids: Vec<String> = answer.table().iter().map(|row| row[0].clone().unwrap()).collect();
    ids.sort();
    ids
}

/// Runs a join and says how many reviews left their source, in how many statements.
fn reviews(fixture: &Fixture, client: &Client, sql: &str) -> (Vec<String>, usize, usize) {
    fixture.watch.take();
    let ids = ids(&client.run(sql));
    let runs: Vec<_> = fixture.watch.take().into_iter().filter(|run| run.text.contains("hr_reviews")).collect();
    (ids, runs.iter().map(querygate_driver_api::testkit::watch::Run::rows).sum(), runs.len())
}

#[test]
fn the_keys_of_one_side_narrow_the_other_side() {
    for partitions in [1, 2, 4] {
        let (fixture, gate) = split(partitions);
        let ada = gate.client(&Company::admin());
        let join = "SELECT r.id FROM employees e JOIN reviews r ON r.employee = e.id";
        let all = reviews(&fixture, &ada, join);
        let (found, rows, _) = reviews(&fixture, &ada, &format!("{join} WHERE e.id = 'e1'"));
        assert!(!found.is_empty() && found.len() < all.0.len(), "{found:?}");
        assert_eq!(rows, found.len(), "{partitions} partitions");
        assert_eq!(reviews(&fixture, &ada, &format!("{join} WHERE e.id = 'none'")), (Vec::new(), 0, 0));
    }
}

#[test]
fn rows_that_a_policy_hides_stay_hidden_from_joins() {
    let (fixture, gate) = split(2);
    let iris = gate.client(&Company::analyst());
    let sql = "SELECT r.id FROM employees e JOIN reviews r ON r.employee = e.id";
    let (found, rows, _) = reviews(&fixture, &iris, sql);
    let visible = ids(&iris.run("SELECT id FROM reviews WHERE employee IS NOT NULL"));
    assert_eq!((found, rows), (visible.clone(), visible.len()));
    // A masked column is no key of the source: its values exist only above the leaf.
    let masked = "SELECT e.id FROM reviews r JOIN employees e ON e.phone = '******' || r.id";
    assert_eq!(ids(&iris.run(masked)), Vec::<String>::new());
}

#[test]
fn an_outer_side_is_not_narrowed() {
    let (_, gate) = split(2);
    let ada = gate.client(&Company::admin());
    let sql = "SELECT e.id FROM employees e LEFT JOIN reviews r ON e.id = r.employee AND r.id = 'r1'";
    assert_eq!(ids(&ada.run(sql)), ["e1", "e2", "e3", "e7", "e8", "e9"]);
    let sql = "SELECT e.id FROM reviews r RIGHT JOIN employees e ON e.id = r.employee AND r.id = 'r1'";
    assert_eq!(ids(&ada.run(sql)), ["e1", "e2", "e3", "e7", "e8", "e9"]);
    let sql = "SELECT e.id FROM employees e WHERE NOT EXISTS (SELECT 1 FROM reviews r WHERE r.employee = e.id)";
    let with: Vec<String> = ids(&ada.run("SELECT DISTINCT employee FROM reviews WHERE employee IS NOT NULL"));
    assert!(ids(&ada.run(sql)).iter().all(|id| !with.contains(id)));
}

#[test]
fn a_recursive_query_narrows_each_step_anew() {
    let (_, gate) = split(2);
    let ada = gate.client(&Company::admin());
    let sql = "WITH RECURSIVE chain(id) AS (SELECT employee FROM reviews WHERE id = 'r1' \
               UNION SELECT e.id FROM chain c JOIN employees e ON e.boss = c.id) SELECT id FROM chain";
    let (memory, answer) = (TestGate::new(&Company::fixture(), Layout::Memory), ada.run(sql));
    assert_eq!(ids(&answer), ids(&memory.client(&Company::admin()).run(sql)));
    assert!(ids(&answer).len() > 1, "{answer}");
}
