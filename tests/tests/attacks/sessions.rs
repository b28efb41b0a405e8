//! Attacks on the life of a session: prepared statements, cached plans, cursors, COPY, roles, views, a changed policy.

use crate::duel::{Duel, assert_silent};
use arrow::array::{ArrayRef, StringArray};
use querygate_catalog::deployment::ViewDefinition;
use querygate_tests::harness::{Answer, Client, Company, Fixture, Layout, TestGate};
use std::sync::Arc;

fn ids(answer: &Answer) -> Vec<String> {
    let mut ids: Vec<String> = answer.table().iter().map(|row| row[0].clone().unwrap()).collect();
    ids.sort();
    ids
}

const ALL: [&str; 6] = ["e1", "e2", "e3", "e7", "e8", "e9"];
const NORTHERN: [&str; 3] = ["e1", "e2", "e3"];

/// The analyst may see department `dev` only, and no note.
fn stricter() -> Fixture {
    let mut fixture = Company::fixture();
    let set = &mut fixture.stack["permissions"][0];
    set["rowLevelSecurity"][0]["using"] = "zone_code == 'zone-n' && dept == 'dev'".into();
    set["fields"]["hr_employees.note"] = serde_json::json!({"readable": false});
    fixture
}

#[test]
fn one_text_answers_each_principal_by_its_own_policy() {
    Duel::each(|d| {
        let ada = d.company.ada();
        for _ in 0..3 {
            for sql in [
                "SELECT id FROM employees",
                "SELECT id FROM employees WHERE salary > 1",
                "SELECT e.id FROM employees e LEFT JOIN reviews r ON r.employee = e.id",
            ] {
                assert_eq!(ids(&ada.run(sql)), ALL, "{sql}");
                assert_eq!(ids(&d.iris.run(sql)), NORTHERN, "{sql}");
            }
            assert_eq!(
                ada.run("SELECT phone FROM employees WHERE id = 'e1'").table()[0][0].as_deref(),
                Some("55501771")
            );
            assert_eq!(
                d.iris.run("SELECT phone FROM employees WHERE id = 'e1'").table()[0][0].as_deref(),
                Some("******71")
            );
        }
    });
}

#[test]
fn a_statement_prepared_by_another_gives_no_other_rows() {
    Duel::each(|d| {
        let ada = d.company.ada();
        let prepared = ada.prepare("SELECT id, secret_code FROM employees").unwrap();
        let answer = d.iris.execute_prepared(&prepared, &[]);
        assert_silent("secret_code", &answer.text());
        assert!(answer.code().is_some(), "a bound statement of another principal ran: {answer}");
        let prepared = ada.prepare("SELECT id FROM employees WHERE dept <> $1").unwrap();
        let value: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        assert_eq!(ids(&ada.execute_prepared(&prepared, &[Arc::clone(&value)])), ALL);
        let answer = d.iris.execute_prepared(&prepared, &[value]);
        assert!(answer.code().is_some() || ids(&answer) == NORTHERN, "{answer}");
    });
}

#[test]
fn sessions_that_share_plans_keep_their_own_variables() {
    Duel::each(|d| {
        let (one, other) = (d.company.ada(), d.company.ada());
        let cell = |client: &Client, sql: &str| client.run(sql).table()[0][0].clone().unwrap();
        for (client, name) in [(&one, "first"), (&other, "second")] {
            assert_eq!(client.run(&format!("SET application_name = '{name}'")).code(), None);
        }
        // Each statement twice: planned, then from what was kept of it.
        for _ in 0..2 {
            for sql in [
                "SELECT current_setting('application_name')",
                "SELECT setting FROM pg_settings WHERE name = 'application_name'",
                "SELECT (SELECT current_setting('application_name') WHERE e.id <> '') FROM employees e LIMIT 1",
            ] {
                assert_eq!((cell(&one, sql), cell(&other, sql)), ("first".to_owned(), "second".to_owned()), "{sql}");
            }
            assert_ne!(cell(&one, "SELECT pg_backend_pid()"), cell(&other, "SELECT pg_backend_pid()"));
        }
        assert_eq!(one.run("SET search_path = pg_catalog").code(), None);
        assert_eq!(one.run("SELECT id FROM employees").code(), Some("42P01"));
        assert_eq!(ids(&other.run("SELECT id FROM employees")), ALL);
    });
}

#[test]
fn what_was_refused_is_in_the_books_without_its_values() {
    Duel::each(|d| {
        for (sql, code) in
            [("SELECT secret_code FROM employees WHERE id = 'probe'", "42703"), ("TABLE payroll", "42P01")]
        {
            assert_eq!(d.iris.run(sql).code(), Some(code), "{sql}");
        }
        let books = "SELECT template, outcome FROM querygate.queries WHERE outcome IN ('42703', '42P01')";
        let text = d.iris.run(books).text();
        assert!(
            text.contains("select secret_code from employees where id = ?") && text.contains("table payroll"),
            "{text}"
        );
        assert!(!text.contains("probe"), "{text}");
    });
}

#[test]
fn named_statements_and_cursors_belong_to_their_session() {
    Duel::each(|d| {
        let ada = d.company.ada();
        assert_eq!(ada.run("PREPARE p AS SELECT id FROM employees").code(), None);
        assert_eq!(ids(&ada.run("EXECUTE p")), ALL);
        assert_eq!(d.iris.run("EXECUTE p").code(), Some("26000"));
        assert_eq!(ada.run("BEGIN; DECLARE c CURSOR FOR SELECT id FROM employees").code(), None);
        assert_eq!(d.iris.run("FETCH ALL FROM c").code(), Some("34000"));
        assert_eq!(ids(&ada.run("FETCH ALL FROM c")), ALL);
    });
}

/// Everything that a session may have kept before the policy became stricter.
fn keep(iris: &Client) -> Vec<Arc<dyn querygate_query_api::service::Prepared>> {
    assert_eq!(iris.run("PREPARE p AS SELECT id FROM employees").code(), None);
    assert_eq!(iris.run("PREPARE n AS SELECT id, note FROM employees").code(), None);
    assert_eq!(ids(&iris.run("EXECUTE p")), NORTHERN);
    let texts =
        ["SELECT id FROM employees", "SELECT id FROM employees WHERE salary > 1", "SELECT id, note FROM employees"];
    texts.iter().map(|sql| iris.prepare(sql).unwrap()).collect()
}

#[test]
fn what_was_prepared_obeys_a_stricter_policy_at_once() {
    Duel::each(|d| {
        let kept = keep(&d.iris);
        for prepared in &kept {
            assert_eq!(ids(&d.iris.execute_prepared(prepared, &[])), NORTHERN);
        }
        d.company.gate.replace(&stricter(), d.layout);
        assert_eq!(ids(&d.iris.run("SELECT id FROM employees")), ["e1", "e2"]);
        assert_eq!(ids(&d.iris.run("EXECUTE p")), ["e1", "e2"]);
        assert_eq!(d.iris.run("SELECT note FROM employees").code(), Some("42703"));
        let answer = d.iris.run("EXECUTE n");
        assert!(matches!(answer.code(), Some("42703" | "0A000")), "{answer}");
        for prepared in &kept[..2] {
            assert_eq!(ids(&d.iris.execute_prepared(prepared, &[])), ["e1", "e2"]);
        }
        let answer = d.iris.execute_prepared(&kept[2], &[]);
        assert!(matches!(answer.code(), Some("42703" | "0A000")), "{answer}");
    });
}

/// EXPLAIN ANALYZE runs its statement and tells how many rows it gave.
#[test]
fn a_prepared_explain_obeys_a_stricter_policy_at_once() {
    let rows = |answer: &Answer| answer.text().lines().find(|line| line.starts_with("Rows: ")).map(str::to_owned);
    Duel::each(|d| {
        let prepared = d.iris.prepare("EXPLAIN ANALYZE SELECT id FROM employees WHERE id >= $1").unwrap();
        let value: ArrayRef = Arc::new(StringArray::from(vec!["e1"]));
        let explain = || d.iris.execute_prepared(&prepared, &[Arc::clone(&value)]);
        assert_eq!(rows(&explain()).as_deref(), Some("Rows: 3"), "{}", explain());
        d.company.gate.replace(&stricter(), d.layout);
        assert_eq!(rows(&explain()).as_deref(), Some("Rows: 2"), "{}", explain());
        let mut none = Company::fixture();
        none.stack["permissions"][0]["objects"] = serde_json::json!({"hr_reviews": {"allowRead": true}});
        d.company.gate.replace(&none, d.layout);
        assert_eq!(explain().code(), Some("42P01"));
    });
}

#[test]
fn cached_plans_do_not_outlive_their_policy() {
    Duel::each(|d| {
        let sql = "SELECT e.id FROM employees e LEFT JOIN reviews r ON r.employee = e.id WHERE e.salary >= 1";
        for _ in 0..4 {
            assert_eq!(ids(&d.iris.run(sql)), NORTHERN);
        }
        d.company.gate.replace(&stricter(), d.layout);
        for _ in 0..2 {
            assert_eq!(ids(&d.iris.run(sql)), ["e1", "e2"]);
        }
        assert_eq!(d.iris.run("SELECT attname FROM pg_attribute WHERE attname = 'note'").table().len(), 0);
        d.company.gate.replace(&Company::fixture(), d.layout);
        assert_eq!(ids(&d.iris.run(sql)), NORTHERN);
    });
}

#[test]
fn a_lost_grant_ends_reading_in_open_sessions() {
    Duel::each(|d| {
        assert_eq!(ids(&d.iris.run("SELECT id FROM employees")), NORTHERN);
        let prepared = d.iris.prepare("SELECT id FROM employees").unwrap();
        let mut none = Company::fixture();
        none.stack["permissions"][0]["objects"] = serde_json::json!({"hr_reviews": {"allowRead": true}});
        d.company.gate.replace(&none, d.layout);
        assert_eq!(d.iris.run("SELECT id FROM employees").code(), Some("42P01"));
        let answer = d.iris.execute_prepared(&prepared, &[]);
        assert!(matches!(answer.code(), Some("42P01" | "0A000")), "{answer}");
    });
}

#[test]
fn an_open_cursor_fetches_only_rows_that_were_visible_when_it_was_opened() {
    Duel::each(|d| {
        assert_eq!(d.iris.run("BEGIN; DECLARE c CURSOR FOR SELECT id FROM employees ORDER BY id").code(), None);
        assert_eq!(ids(&d.iris.run("FETCH 1 FROM c")), ["e1"]);
        d.company.gate.replace(&stricter(), d.layout);
        let rest = d.silent("FETCH ALL FROM c");
        assert!(rest.code().is_some() || ids(&rest).iter().all(|id| NORTHERN.contains(&id.as_str())), "{rest}");
        assert_eq!(d.iris.run("COMMIT").code(), None);
        assert_eq!(ids(&d.iris.run("SELECT id FROM employees")), ["e1", "e2"]);
    });
}

/// A transaction pins its version, but no right that was taken away: whatever it asks next is refused, its cursors too.
#[test]
fn a_transaction_ends_when_rights_are_taken_away() {
    let mut none = Company::fixture();
    none.stack["permissions"][0]["objects"] = serde_json::json!({"hr_reviews": {"allowRead": true}});
    let mut hidden = Company::fixture();
    hidden.stack["permissions"][0]["fields"]["hr_employees.note"] = serde_json::json!({"readable": false});
    let mut gone = Company::fixture();
    let employees = gone.stack["objects"].as_array_mut().unwrap().iter_mut().find(|o| o["name"] == "hr_employees");
    employees.unwrap()["fields"].as_object_mut().unwrap().remove("note").unwrap();
    Duel::each(|d| {
        for narrower in [&stricter(), &none, &hidden, &gone] {
            assert_eq!(d.iris.run("BEGIN; DECLARE c CURSOR FOR SELECT id FROM employees ORDER BY id").code(), None);
            assert_eq!(d.iris.run("SAVEPOINT s").code(), None);
            let prepared = d.iris.prepare("SELECT id FROM employees").unwrap();
            assert_eq!(ids(&d.iris.execute_prepared(&prepared, &[])), NORTHERN);
            d.company.gate.replace(narrower, d.layout);
            for sql in ["FETCH 1 FROM c", "SELECT 1", "SELECT note FROM employees", "EXPLAIN SELECT id FROM employees"]
            {
                assert_eq!(d.silent(sql).code(), Some("42501"), "{sql}");
                assert_eq!(d.iris.run("SELECT 1").code(), Some("25P02"));
                assert_eq!(d.iris.run("ROLLBACK TO s").code(), None);
            }
            assert_eq!(d.iris.execute_prepared(&prepared, &[]).code(), Some("42501"));
            assert_eq!(d.iris.run("ROLLBACK").code(), None);
            assert_eq!(d.iris.run("SELECT 1").code(), None);
            d.company.gate.replace(&Company::fixture(), d.layout);
        }
    });
}

/// A reload that takes nothing away disturbs no transaction, and the transaction goes on with its own version.
#[test]
fn a_transaction_outlives_a_reload_that_takes_nothing_away() {
    let mut wider = Company::fixture();
    wider.stack["permissions"][0]["rowLevelSecurity"] = serde_json::json!([]);
    Duel::each(|d| {
        assert_eq!(d.iris.run("BEGIN; DECLARE c CURSOR FOR SELECT id FROM employees ORDER BY id").code(), None);
        for same_or_wider in [&Company::fixture(), &wider] {
            d.company.gate.replace(same_or_wider, d.layout);
            assert_eq!(ids(&d.iris.run("SELECT id FROM employees")), NORTHERN);
        }
        assert_eq!(ids(&d.iris.run("FETCH ALL FROM c")), NORTHERN);
        assert_eq!(d.iris.run("COMMIT").code(), None);
        assert_eq!(ids(&d.iris.run("SELECT id FROM employees")), ALL);
    });
}

#[test]
fn cursors_are_governed() {
    Duel::each(|d| {
        d.rows("BEGIN; DECLARE c CURSOR FOR SELECT * FROM employees; FETCH ALL FROM c", 3);
        d.same("COMMIT");
        d.rows("BEGIN; DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT id FROM employees; COMMIT; FETCH ALL FROM c", 3);
        d.same("CLOSE c");
        d.refused("BEGIN; DECLARE c CURSOR FOR SELECT * FROM payroll", "42P01");
        d.same("ROLLBACK");
    });
}

#[test]
fn copy_is_governed_and_reaches_no_file() {
    Duel::each(|d| {
        d.rows("COPY employees TO STDOUT", 3);
        d.rows("COPY (SELECT * FROM employees) TO STDOUT WITH (FORMAT csv, HEADER)", 3);
        d.rows("COPY reviews TO STDOUT", 2);
        d.refused("COPY payroll TO STDOUT", "42P01");
        d.refused("COPY employees (id, secret_code) TO STDOUT", "42703");
        d.refused("COPY (SELECT id FROM employees WHERE zone_code = 'x') TO STDOUT", "42703");
        let target =
            std::env::temp_dir().join(format!("querygate-attack-{}-{}.csv", std::process::id(), d.layout.name()));
        for sql in [
            format!("COPY employees TO '{}'", target.display()),
            format!("COPY (SELECT * FROM employees) TO '{}' WITH (FORMAT csv)", target.display()),
            format!("COPY employees TO PROGRAM 'cat > {}'", target.display()),
        ] {
            let answer = d.same(&sql);
            assert!(answer.code().is_some(), "{sql}: {answer}");
            assert!(!target.exists(), "{sql} wrote a file");
        }
        for sql in
            ["COPY employees FROM STDIN", "COPY employees FROM '/etc/passwd'", "COPY employees FROM PROGRAM 'id'"]
        {
            assert!(d.same(sql).code().is_some(), "{sql}");
        }
    });
}

#[test]
fn nobody_becomes_another_by_a_setting() {
    Duel::each(|d| {
        for sql in [
            "SET ROLE ada",
            "SET ROLE 'ada'",
            "SET LOCAL ROLE ada",
            "SET SESSION ROLE ada",
            "SET SESSION AUTHORIZATION ada",
            "SET SESSION AUTHORIZATION 'ada'",
            "SET role = 'ada'",
            "SET session_authorization = 'ada'",
            "SET is_superuser = on",
            "SET row_security = off",
            "SET querygate.principal = 'ada'",
            "SET querygate.user = 'ada'",
            "SELECT set_config('role', 'ada', false)",
            "SELECT set_config('session_authorization', 'ada', false)",
            "SELECT set_config('is_superuser', 'on', false)",
            "RESET ROLE",
            "RESET SESSION AUTHORIZATION",
            "RESET ALL",
            "DISCARD ALL",
            "SET search_path = hidden",
        ] {
            d.same(sql);
            d.same("ROLLBACK");
            let who = d.iris.run("SELECT current_user, session_user");
            assert!(who.table()[0].iter().all(|name| name.as_deref() == Some("iris")), "{sql}: {who}");
            assert_eq!(ids(&d.iris.run("SELECT id FROM public.employees")), NORTHERN, "{sql}");
        }
        for sql in ["SET ROLE ada", "SET SESSION AUTHORIZATION ada", "SET role = 'ada'"] {
            assert_eq!(d.iris.run(sql).code(), Some("42501"), "{sql}");
        }
        let by_function = d.iris.run("SELECT set_config('role', 'ada', false)");
        assert!(by_function.code().is_some(), "{by_function}");
        for setting in [("role", "ada"), ("session_authorization", "ada"), ("is_superuser", "on")] {
            let opened = d.company.gate.try_client(&Company::analyst(), &[setting]);
            assert!(opened.is_err(), "{setting:?} at connect");
        }
    });
}

fn views() -> Vec<ViewDefinition> {
    let view = |name: &str, sql: &str| ViewDefinition {
        schema: "public".to_owned(),
        name: name.to_owned(),
        sql: sql.to_owned(),
        comment: None,
    };
    vec![
        view("everyone", "SELECT * FROM employees"),
        view("codes", "SELECT id, secret_code FROM employees"),
        view("pay", "SELECT * FROM payroll"),
        view("phones", "SELECT id, phone FROM employees"),
        view("risky", "SELECT id, 10 / grade AS tenth FROM employees"),
        view("nested", "SELECT e.id FROM everyone e JOIN reviews r ON r.employee = e.id"),
    ]
}

#[test]
fn views_run_with_the_readers_rights() {
    for layout in Layout::ALL {
        let gate = TestGate::new(&Fixture { views: views(), ..Company::fixture() }, layout);
        let (iris, ada) = (gate.client(&Company::analyst()), gate.client(&Company::admin()));
        assert_eq!(ids(&ada.run("SELECT id FROM everyone")), ALL);
        assert_eq!(ids(&iris.run("SELECT id FROM everyone")), NORTHERN);
        assert_eq!(ids(&iris.run("SELECT id FROM risky WHERE tenth > 0")), NORTHERN);
        assert_eq!(ids(&iris.run("SELECT id FROM nested")), ["e1", "e2"]);
        assert_eq!(ada.run("SELECT phone FROM phones WHERE id = 'e1'").table()[0][0].as_deref(), Some("55501771"));
        assert_eq!(iris.run("SELECT phone FROM phones WHERE id = 'e1'").table()[0][0].as_deref(), Some("******71"));
        assert_eq!(ada.run("SELECT * FROM codes").table().len(), 6);
        assert_eq!(ada.run("SELECT * FROM pay").table().len(), 2);
        for sql in [
            "SELECT * FROM codes",
            "SELECT id FROM codes",
            "SELECT * FROM pay",
            "SELECT secret_code FROM everyone",
            "SELECT * FROM everyone",
            "SELECT * FROM information_schema.views",
            "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v'",
            "SELECT * FROM pg_views",
            "SELECT * FROM information_schema.columns",
        ] {
            let answer = iris.run(sql);
            assert_silent(sql, &answer.text());
        }
        for sql in ["SELECT * FROM codes", "SELECT * FROM pay"] {
            assert!(iris.run(sql).code().is_some(), "{sql}");
        }
        let rows = iris.run("SELECT * FROM everyone");
        assert_eq!(rows.table().len(), 3, "{rows}");
    }
}

#[test]
fn a_failed_transaction_tells_nothing_more() {
    Duel::each(|d| {
        d.refused("BEGIN; SELECT secret_code FROM employees", "42703");
        d.refused("SELECT id FROM employees", "25P02");
        d.same("ROLLBACK");
        d.rows("SELECT id FROM employees", 3);
    });
}
