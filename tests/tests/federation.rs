//! Joins across sources: what leaves a source is what can meet a row of the other side.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use querygate_tests::harness::{Answer, Client, Company, Fixture, Layout, TestGate};
use querygate_types::principal::Principal;
use serde_json::json;

/// The gate of [`split`], which computes each pushed statement once more and compares.
fn checked(partitions: usize) -> (Fixture, TestGate) {
    let mut fixture = Company::fixture();
    (fixture.target_partitions, fixture.verify_sample) = (partitions, 1.0);
    let gate = TestGate::placed(&fixture, &|object| match object {
        "hr_employees" => Layout::OtherSqlite,
        _ => Layout::Sqlite,
    });
    (fixture, gate)
}

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

/// Runs a join and says how many rows of a table left their source, in how many statements.
fn left(fixture: &Fixture, client: &Client, table: &str, sql: &str) -> (Vec<String>, usize, usize) {
    fixture.watch.take();
    let ids = ids(&client.run(sql));
    let runs: Vec<_> = fixture.watch.take().into_iter().filter(|run| run.text.contains(table)).collect();
    (ids, runs.iter().map(querygate_driver_api::testkit::watch::Run::rows).sum(), runs.len())
}

#[test]
fn the_keys_of_one_side_narrow_the_other_side() {
    for partitions in [1, 2, 4] {
        let (fixture, gate) = split(partitions);
        let ada = gate.client(&Company::admin());
        let join = "SELECT p.id FROM employees e JOIN payroll p ON p.employee = e.id";
        let all = left(&fixture, &ada, "hr_payroll", join);
        let (found, rows, _) = left(&fixture, &ada, "hr_payroll", &format!("{join} WHERE e.id = 'e1'"));
        assert!(!found.is_empty() && found.len() < all.0.len(), "{found:?}");
        assert_eq!(rows, found.len(), "{partitions} partitions");
        let none = format!("{join} WHERE e.id = 'none'");
        let (found, rows, _) = left(&fixture, &ada, "hr_payroll", &none);
        assert_eq!((found, rows), (Vec::new(), 0));
        // A policy that is decided above the rows of its table: which of them are read is not for a join to say.
        let join = "SELECT r.id FROM employees e JOIN reviews r ON r.employee = e.id";
        let all = left(&fixture, &ada, "hr_reviews", join);
        let (found, rows, _) = left(&fixture, &ada, "hr_reviews", &format!("{join} WHERE e.id = 'e1'"));
        assert!(found.len() < all.0.len() && rows == all.1, "{found:?} of {all:?}");
    }
}

#[test]
fn keys_narrow_a_column_in_another_layout_too() {
    // Texts of Parquet files are views, those of a database are not.
    for partitions in [1, 2] {
        let mut fixture = Company::fixture();
        fixture.target_partitions = partitions;
        let payroll = fixture.tables.iter_mut().find(|table| table.object == "hr_payroll").unwrap();
        let other = payroll.rows.iter().find(|row| row["employee"] != "e1").unwrap().clone();
        for n in 0..20 {
            let mut row = other.clone();
            let _ = row.insert("id".into(), format!("more{n}").into());
            payroll.rows.push(row);
        }
        let gate = TestGate::placed(&fixture, &|object| match object {
            "hr_employees" => Layout::Parquet,
            _ => Layout::Sqlite,
        });
        let ada = gate.client(&Company::admin());
        let join = "SELECT p.id FROM employees e JOIN payroll p ON p.employee = e.id";
        let (found, rows, _) = left(&fixture, &ada, "hr_payroll", &format!("{join} WHERE e.id = 'e1'"));
        assert_eq!((found.len(), rows), (1, 1), "{partitions} partitions");
        // What is read first among three is still chosen by the sizes of all.
        let three = format!("{join} JOIN employees b ON b.id = p.employee WHERE b.id = 'e1'");
        assert_eq!(left(&fixture, &ada, "hr_payroll", &three).1, 1, "{partitions} partitions");
    }
}

#[test]
fn rows_that_a_policy_hides_stay_hidden_from_joins() {
    let (fixture, gate) = split(2);
    let iris = gate.client(&Company::analyst());
    let sql = "SELECT r.id FROM employees e JOIN reviews r ON r.employee = e.id";
    let (found, rows, _) = left(&fixture, &iris, "hr_reviews", sql);
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

/// Statements that sources run parts of, of every shape that is carved.
const SHAPES: [&str; 17] = [
    "SELECT * FROM employees",
    "SELECT id, name FROM employees WHERE id > 'e2' ORDER BY name DESC, id",
    "SELECT id FROM employees ORDER BY id LIMIT 3 OFFSET 1",
    "SELECT count(*), min(id), max(id) FROM reviews",
    "SELECT employee, count(*) FROM reviews GROUP BY employee ORDER BY employee",
    "SELECT DISTINCT employee FROM reviews WHERE employee IS NOT NULL",
    "SELECT r.id, e.name FROM employees e JOIN reviews r ON r.employee = e.id",
    "SELECT e.id, r.id FROM employees e LEFT JOIN reviews r ON r.employee = e.id AND r.id > 'r2'",
    "SELECT id FROM employees e WHERE EXISTS (SELECT 1 FROM reviews r WHERE r.employee = e.id)",
    "SELECT id FROM employees WHERE id NOT IN (SELECT employee FROM reviews WHERE employee IS NOT NULL)",
    "SELECT id FROM employees UNION ALL SELECT id FROM reviews",
    "SELECT a.id, b.id FROM employees a JOIN employees b ON a.boss = b.id",
    "SELECT id, (SELECT count(*) FROM reviews r WHERE r.employee = e.id) AS n FROM employees e",
    "SELECT name FROM employees WHERE name LIKE '%a%' OR name IS NULL",
    "WITH busy AS (SELECT employee, count(*) AS n FROM reviews GROUP BY employee) \
     SELECT employee FROM busy WHERE n = (SELECT max(n) FROM busy)",
    "WITH busy AS (SELECT employee, count(*) AS n FROM reviews WHERE id > 'r1' GROUP BY employee) \
     SELECT a.employee, b.n, (SELECT count(*) FROM busy) FROM busy a JOIN busy b ON a.n = b.n WHERE a.employee <> 'e2'",
    "WITH them AS (SELECT DISTINCT employee FROM reviews) SELECT id FROM reviews WHERE employee IN (SELECT employee FROM them) \
     AND (SELECT count(*) FROM them) > 1",
];

#[test]
fn what_sources_answer_is_what_the_gate_computes() {
    let (_, gate) = checked(2);
    for user in [Company::admin(), Company::analyst()] {
        let client = gate.client(&user);
        for sql in SHAPES {
            let answer = client.run(sql);
            assert_eq!(answer.code(), None, "{sql}: {answer}");
        }
    }
    let found = gate.self_checks();
    let wrong: Vec<_> = found.iter().filter(|[outcome, ..]| outcome != "equal").collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(found.len(), 2 * SHAPES.len());
}

#[test]
fn a_source_that_answers_wrongly_is_an_alarm_and_no_error() {
    let (fixture, gate) = checked(1);
    let ada = gate.client(&Company::admin());
    let sql = "SELECT id FROM employees WHERE id > 'e2'";
    let right = ids(&ada.run(sql));
    fixture.watch.lie();
    assert_eq!(ids(&ada.run(sql)).len(), right.len() - 1);
    let found = gate.self_checks();
    let [[first, ..], [second, what, template]] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((first.as_str(), second.as_str()), ("equal", "different"));
    assert_eq!(*what, format!("{} rows pushed, {} rows locally", right.len() - 1, right.len()));
    assert!(!template.contains("e2"), "{template}");
    // Chance and the clock have no second answer; a LIMIT without order leaves its rows open, but not their number.
    let before = found.len();
    for sql in ["SELECT id FROM employees WHERE random() < 2", "SELECT id, now() FROM employees"] {
        assert_eq!(ada.run(sql).code(), None);
    }
    assert_eq!(gate.self_checks().len(), before);
    assert_eq!(ada.run("SELECT id FROM employees LIMIT 2").code(), None);
    assert_eq!(gate.self_checks().last().unwrap()[0], "equal");
}

#[test]
fn a_session_chooses_its_own_share() {
    let (_, gate) = split(1);
    let count = "SELECT count(*) FROM employees";
    let ada = gate.client(&Company::admin());
    let operator = gate.client(&Principal::builder("op").permission_set("hr_admin").operator(true).build());
    let _ = operator.run(count);
    assert!(gate.self_checks().is_empty());
    assert_eq!(operator.run("SET querygate.verify_sample = 1").code(), None);
    let _ = operator.run(count);
    assert_eq!(gate.self_checks().len(), 1);
    assert_eq!(operator.run("SET querygate.verify_sample = 2").code(), Some("22023"));
    // A check counts hidden rows too: who is no operator neither asks for one nor sees what it found.
    for sql in ["SET querygate.verify_sample = 1", "SELECT set_config('querygate.verify_sample', '0.5', false)"] {
        assert_eq!(ada.run(sql).code(), Some("42501"), "{sql}");
    }
    assert_eq!(ada.run("SET querygate.verify_sample = 0").code(), None);
    assert!(gate.try_client(&Company::admin(), &[("querygate.verify_sample", "1")]).is_err());
    assert!(ada.run("SELECT * FROM querygate.self_checks").table().is_empty());
}

/// Sources count every row; the order of joins, which side is read first and what is fetched show in EXPLAIN.
#[test]
fn the_order_of_joins_tells_nothing_of_hidden_rows() {
    let (few, gate) = split(2);
    let mut many = few.clone();
    for (object, rows) in [("hr_employees", 3_000), ("hr_reviews", 9_000)] {
        let table = many.tables.iter_mut().find(|table| table.object == object).unwrap();
        for n in 0..rows {
            let row = match object {
                "hr_employees" => json!({"id": format!("x{n}"), "name": "hX9", "grade": 1, "zone_code": "zone-s"}),
                _ => json!({"id": format!("y{n}"), "employee": format!("x{}", n % 3_000), "stars": 1}),
            };
            table.rows.push(row.as_object().unwrap().clone());
        }
    }
    let crowded = TestGate::placed(&many, &|object| match object {
        "hr_employees" => Layout::OtherSqlite,
        _ => Layout::Sqlite,
    });
    let (iris, same) = (gate.client(&Company::analyst()), crowded.client(&Company::analyst()));
    for sql in [
        "SELECT r.id FROM employees e JOIN reviews r ON r.employee = e.id",
        "SELECT r.id FROM reviews r JOIN employees e ON r.employee = e.id",
        "SELECT r.id FROM employees e JOIN reviews r ON r.employee = e.id JOIN employees b ON b.id = e.boss WHERE e.grade > 2",
        "SELECT e.id FROM employees e WHERE e.id IN (SELECT employee FROM reviews)",
        "SELECT r.id FROM reviews r WHERE r.employee IN (SELECT id FROM employees WHERE grade = 1)",
        "SELECT r.id FROM (VALUES ('e1'), ('e2')) v(id) JOIN reviews r ON r.employee = v.id JOIN employees e ON e.id = v.id",
        "SELECT e.id, count(r.id) FROM employees e LEFT JOIN reviews r ON r.employee = e.id GROUP BY e.id",
    ] {
        assert_eq!(ids(&iris.run(sql)), ids(&same.run(sql)), "{sql}");
        let explain = format!("EXPLAIN {sql}");
        assert_eq!(iris.run(&explain).text(), same.run(&explain).text());
    }
}

/// Groups leave the source instead of rows, and what is looked for comes once.
#[test]
fn what_is_counted_and_what_is_looked_for_is_reduced_at_its_source() {
    let (fixture, gate) = split(2);
    let ada = gate.client(&Company::admin());
    let memory = TestGate::new(&Company::fixture(), Layout::Memory);
    let plain = memory.client(&Company::admin());
    let employees: Vec<String> = ids(&ada.run("SELECT DISTINCT employee FROM reviews WHERE employee IS NOT NULL"));
    for (sql, most) in [
        (
            "SELECT e.id || '/' || count(r.id), max(r.stars) FROM employees e LEFT JOIN reviews r ON r.employee = e.id GROUP BY e.id",
            employees.len(),
        ),
        (
            "SELECT e.id || '/' || count(r.id) FROM employees e LEFT JOIN reviews r ON r.employee = e.id AND r.stars > 3 GROUP BY e.id",
            employees.len(),
        ),
        (
            "SELECT e.id FROM employees e WHERE NOT EXISTS (SELECT 1 FROM reviews r WHERE r.employee = e.id)",
            employees.len(),
        ),
        (
            "SELECT e.id FROM employees e WHERE EXISTS (SELECT 1 FROM reviews r WHERE r.employee = e.id AND r.stars > 1)",
            employees.len(),
        ),
    ] {
        let (found, rows, _) = left(&fixture, &ada, "hr_reviews", sql);
        assert_eq!(found, ids(&plain.run(sql)), "{sql}");
        assert!(rows <= most, "{rows} rows left for {sql}");
    }
}
