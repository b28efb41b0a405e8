//! Statements over several sources whose plans are kept and given other values: what they give is what planning anew gives, for each
//! reader, over and over, beside others and after a cancel.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod asked;
mod constants;
mod folders;
mod shared_groups;

use asked::{ASKED, Asked};
use futures::StreamExt;
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::Delivery;
use querygate_tests::harness::{Answer, Client, Fixture, Layout, Rng, TestGate, runtime};
use querygate_types::principal::Principal;
use serde_json::{Value, json};

const COUNTRIES: [&str; 4] = ["AT", "BE", "CH", "DE"];
const STATES: [&str; 3] = ["new", "open", "done"];
const ACCOUNTS: usize = 120;
const CASES: usize = 400;
const VISITS: usize = 300;

/// Accounts and cases in a SQLite database each, regions in memory, visits in Parquet files.
fn place(object: &str) -> Layout {
    match object {
        "k_accounts" => Layout::Sqlite,
        "k_cases" => Layout::OtherSqlite,
        "k_regions" => Layout::Memory,
        "k_visits" => Layout::Parquet,
        other => panic!("nobody placed {other}"),
    }
}

fn stack() -> Value {
    let field = |field_type: &str| json!({"type": field_type, "label": "f"});
    let object = |name: &str, fields: Value| {
        json!({"name": name, "label": name, "sharingModel": "public_read_write", "ownership": "none",
            "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "fields": fields})
    };
    let read = json!({"*": {"allowRead": true}});
    let masked = json!({"type": "text", "label": "f", "maskingRule": {"keepHead": 1, "keepTail": 0}, "requiredPermissions": ["k.see"]});
    json!({
        "manifest": {"id": "test.k", "namespace": "k", "version": "1.0.0", "type": "app", "name": "k", "engines": {"protocol": "^17"}},
        "capabilities": [{"name": "k.see", "label": "see", "scope": "org"}],
        "objects": [
            object("k_regions", json!({"name": field("text"), "rank": field("rating")})),
            object("k_accounts", json!({"name": field("text"), "region": field("text"), "country": field("text"),
                "owner": field("text"), "level": field("rating"), "phone": masked})),
            object("k_cases", json!({"account": field("text"), "state": field("text"), "weight": field("rating"),
                "opened": field("date"), "owner": field("text")})),
            object("k_visits", json!({"account": field("text"), "kind": field("text"), "score": field("rating"), "day": field("date"),
                "owner": field("text")})),
        ],
        "permissions": [
            {"name": "k_all", "label": "a", "objects": read, "systemPermissions": ["k.see"]},
            {"name": "k_own", "label": "o", "objects": read, "rowLevelSecurity": [
                {"name": "a", "object": "k_accounts", "operation": "select", "using": "owner == current_user.id"},
                {"name": "v", "object": "k_visits", "operation": "select", "using": "owner == current_user.id"},
            ]},
            {"name": "k_few", "label": "f", "objects": {"k_accounts": {"allowRead": true}}},
        ],
    })
}

fn fixture(seed: u64) -> Fixture {
    let mut fixture = Fixture::new(stack(), Vec::new());
    let snapshot = fixture.snapshot();
    let mut rng = Rng::new(seed);
    let owner = |n: usize| ["ann", "bob"][n % 2];
    let day = |n: usize| format!("2024-{:02}-{:02}", n % 12 + 1, n % 28 + 1);
    let regions = (0..5).map(|n| json!({"id": format!("r{n}"), "name": format!("Region {n}"), "rank": n}));
    let regions: Vec<Value> = regions.collect();
    let accounts: Vec<Value> = (0..ACCOUNTS)
        .map(|n| {
            json!({"id": format!("a{n}"), "name": format!("Account {n}"), "region": format!("r{}", rng.below(5)),
                "country": *rng.pick(&COUNTRIES), "owner": owner(n), "level": rng.below(5) + 1, "phone": format!("{n}12345")})
        })
        .collect();
    let cases: Vec<Value> = (0..CASES)
        .map(|n| {
            json!({"id": format!("c{n}"), "account": format!("a{}", rng.below(ACCOUNTS + 10)), "state": *rng.pick(&STATES),
                "weight": rng.below(5) + 1, "opened": day(rng.below(300)), "owner": owner(n / 3)})
        })
        .collect();
    let visits: Vec<Value> = (0..VISITS)
        .map(|n| {
            json!({"id": format!("v{n}"), "account": format!("a{}", rng.below(ACCOUNTS)), "kind": *rng.pick(&["call", "demo"]),
                "score": rng.below(5) + 1, "day": day(rng.below(300)), "owner": owner(n / 2)})
        })
        .collect();
    for (object, rows) in [("k_regions", regions), ("k_accounts", accounts), ("k_cases", cases), ("k_visits", visits)] {
        let table = Fixture::declared(&snapshot, object, &Value::from(rows));
        fixture.tables.push(table);
    }
    fixture
}

fn gate(seed: u64) -> TestGate {
    TestGate::placed(&fixture(seed), &place)
}

fn all() -> Principal {
    Principal::builder("ola").permission_set("k_all").build()
}

fn own(login: &str) -> Principal {
    Principal::builder(login).permission_set("k_own").build()
}

/// A session that plans each statement anew.
fn anew(gate: &TestGate, who: &Principal) -> Client {
    let client = gate.client(who);
    let set = client.run("SET querygate.plan_templates = off");
    assert!(set.code().is_none(), "{set}");
    client
}

/// Runs of a login that were spared planning.
fn spared(gate: &TestGate, login: &str) -> usize {
    let operator = Principal::builder("operator").operator(true).build();
    let sql = format!("SELECT count(*) FROM querygate.queries WHERE cached AND login = '{login}'");
    let answer = gate.client(&operator).run(&sql);
    answer.table()[0][0].as_ref().unwrap().parse().unwrap()
}

#[test]
fn other_values_give_the_rows_of_a_plan_made_for_them() {
    const RUNS: usize = 9;
    let gate = gate(1);
    let (with, without) =
        (gate.client(&all()), anew(&gate, &Principal::builder("uli").permission_set("k_all").build()));
    let mut wrong = Vec::new();
    for asked in ASKED {
        let before = spared(&gate, "ola");
        for run in 0..RUNS {
            let (found, expected) = (asked.run(&with, run), asked.run(&without, run));
            assert!(expected.code().is_none(), "{}: {expected}", asked.sql);
            if found != expected {
                wrong.push(format!("{} with {:?}:\n{found}\nand anew\n{expected}", asked.sql, asked.values(run)));
            }
        }
        let kept = spared(&gate, "ola") - before;
        if asked.is_kept && kept < RUNS - 4 {
            wrong.push(format!("{}: only {kept} runs were spared planning", asked.sql));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(spared(&gate, "uli"), 0, "the setting is on all the same");
}

/// Values that are read where queries run, because they are long: their runs are spared planning like others, and give the same.
#[test]
fn long_values_stand_in_kept_plans_too() {
    const RUNS: usize = 9;
    let gate = gate(13);
    let (with, without) =
        (gate.client(&all()), anew(&gate, &Principal::builder("uli").permission_set("k_all").build()));
    let sql = "SELECT a.name, c.id, c.weight FROM accounts a JOIN cases c ON c.account = a.id \
               WHERE a.country = $1 AND c.state = $2 ORDER BY 1, 2";
    for run in 0..RUNS {
        let state = if run % 2 == 0 { STATES[run % 3].to_owned() } else { "x".repeat(40_000 + run) };
        let values = [COUNTRIES[run % 4].to_owned(), state];
        let (found, expected) = (with.run_with(sql, &values), without.run_with(sql, &values));
        assert!(expected.code().is_none(), "{expected}");
        assert_eq!(found, expected, "run {run}");
    }
    let spared = spared(&gate, "ola");
    assert!(spared >= RUNS - 4, "{spared} runs were spared planning");
}

/// Policies with the reader's own values: two readers in turns, and one who sees everything.
#[test]
fn each_reader_gets_their_own_rows() {
    let gate = gate(2);
    let readers = [own("ann"), own("bob"), all()];
    let clients: Vec<(Client, Client)> = readers.iter().map(|who| (gate.client(who), anew(&gate, who))).collect();
    for asked in ASKED {
        let mut answers = Vec::new();
        for run in 0..7 {
            for (with, without) in &clients {
                let (found, expected) = (asked.run(with, run), asked.run(without, run));
                assert_eq!(found, expected, "{} with {:?}", asked.sql, asked.values(run));
                answers.push(found.text());
            }
        }
        if asked.sql.starts_with("SELECT c.state, count(*) AS n FROM accounts") {
            assert!(answers[0] != answers[1] && answers[0] != answers[2], "{answers:?}");
        }
    }
    assert!(spared(&gate, "ann") > 0 && spared(&gate, "bob") > 0);
}

/// Many sessions at a time, some of which read the first rows only and go.
#[test]
fn runs_beside_each_other_share_nothing() {
    let gate = gate(3);
    let without = anew(&gate, &all());
    let asked: Vec<&Asked> = ASKED.iter().filter(|asked| asked.is_kept).collect();
    let expected: Vec<Vec<String>> =
        asked.iter().map(|asked| (0..12).map(|run| asked.run(&without, run).text()).collect()).collect();
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (gate, asked, expected) = (&gate, &asked, &expected);
            scope.spawn(move || {
                let client = gate.client(&all());
                for step in 0..60 {
                    let (at, run) = ((step + thread) % asked.len(), (step * 5 + thread) % 12);
                    if step % 7 == 3 {
                        leave(&client, asked[at].sql, &asked[at].values(run));
                    }
                    assert_eq!(asked[at].run(&client, run).text(), expected[at][run], "{}", asked[at].sql);
                }
            });
        }
    });
    assert!(spared(&gate, "ola") > 150);
}

/// Begins a statement, reads at most one batch and drops the rest.
fn leave(client: &Client, sql: &str, values: &[String]) {
    use arrow::array::{ArrayRef, StringArray};
    let prepared = client.prepare(sql).unwrap();
    let types = prepared.parameter_types().to_vec();
    let texts = values.iter().map(|value| StringArray::from(vec![value.as_str()]));
    let arrays: Vec<ArrayRef> = texts
        .zip(types)
        .map(|(text, to)| {
            let to = querygate_query_api::column::arrow_type_of(to).unwrap();
            arrow::compute::cast(&text, &to).unwrap()
        })
        .collect();
    runtime().block_on(async {
        if let Ok(Outcome::Rows(mut rows)) = client.session().run(&prepared, &arrays, Delivery::Batches).await {
            let _first = rows.batches.next().await;
        }
    });
}

/// NULL, which conditions are planned otherwise with, and values after it.
#[test]
fn a_null_is_planned_anew() {
    use arrow::array::{ArrayRef, StringArray};
    let gate = gate(4);
    let client = gate.client(&all());
    let sql = "SELECT count(*) FROM accounts a JOIN cases c ON c.account = a.id WHERE c.state = $1";
    let prepared = client.prepare(sql).unwrap();
    let ask = |value: Option<&str>| {
        let array: ArrayRef = std::sync::Arc::new(StringArray::from(vec![value]));
        client.execute_prepared(&prepared, &[array]).table()[0][0].clone().unwrap()
    };
    let open = ask(Some("open"));
    for _ in 0..4 {
        assert_eq!(ask(Some("open")), open);
        assert_eq!(ask(None), "0");
        assert_ne!(ask(Some("new")), "0");
    }
    assert!(spared(&gate, "ola") >= 5);
}

/// Another version of metadata and rows: nothing of the old one is read.
#[test]
fn a_new_version_has_plans_of_its_own() {
    let gate = TestGate::new(&fixture(5), Layout::Parquet);
    let client = gate.client(&own("ann"));
    let sql = "SELECT count(*) FROM accounts a JOIN visits v ON v.account = a.id";
    let first: Vec<String> = (0..4).map(|_| client.run(sql).text()).collect();
    assert!(first.iter().all(|answer| *answer == first[0]));
    let relations =
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1";
    assert_eq!(client.run(relations), client.run(relations));
    assert_eq!(client.run(relations).table().len(), 4);
    let mut changed = fixture(6);
    changed.stack["permissions"][1]["rowLevelSecurity"][0]["using"] = "owner == 'nobody'".into();
    changed.stack["permissions"][1]["objects"] =
        json!({"k_accounts": {"allowRead": true}, "k_visits": {"allowRead": true}});
    gate.replace(&changed, Layout::Parquet);
    assert_eq!(client.run(relations).table().len(), 2);
    for _ in 0..4 {
        assert_eq!(client.run(sql).table()[0][0].as_deref(), Some("0"));
    }
}

/// What clients ask of the catalog, over and over.
const OF_CATALOG: &[&str] = &[
    "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relname OPERATOR(pg_catalog.~) '^(cases)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3",
    "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) \
     FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull \
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
     WHERE c.relname = 'accounts' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
    "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
    "SELECT c.relname, current_schemas(true), current_user FROM pg_class c WHERE pg_table_is_visible(c.oid) AND c.relkind = 'r' \
     AND c.relname IN ('accounts', 'cases', 'pg_class') ORDER BY 1",
    "SELECT c.relname, (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid), \
     EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid) FROM pg_class c WHERE c.relname LIKE '%s' AND c.relkind = 'r' ORDER BY 1",
    "WITH RECURSIVE up AS (SELECT oid, relname FROM pg_class WHERE relname = 'accounts' UNION \
     SELECT i.inhparent, 'parent' FROM pg_inherits i, up WHERE i.inhrelid = up.oid) SELECT relname FROM up",
    "SELECT relname FROM pg_class WHERE relname = $1",
    "SELECT nothing FROM pg_class",
];

/// Answers of the catalog are kept: for their reader alone, and for the settings that names depend on.
#[test]
fn answers_of_the_catalog_are_each_readers_own() {
    let gate = gate(7);
    let few = Principal::builder("fay").permission_set("k_few").build();
    for who in [all(), few.clone(), own("ann")] {
        let (first, second, without) = (gate.client(&who), gate.client(&who), anew(&gate, &who));
        for path in ["public", "pg_catalog", "public, pg_catalog"] {
            for client in [&first, &second, &without] {
                assert!(client.run(&format!("SET search_path = {path}")).code().is_none());
            }
            for sql in OF_CATALOG {
                for name in ["accounts", "cases", "accounts"] {
                    let values: &[String] = if sql.contains("$1") { &[name.to_owned()] } else { &[] };
                    let expected = without.run_with(sql, values);
                    assert_eq!(expected.code().is_some(), sql.contains("nothing"), "{sql}: {expected}");
                    for client in [&first, &second] {
                        assert_eq!(client.run_with(sql, values), expected, "{sql} with {values:?} in {path}");
                    }
                }
            }
        }
    }
    // The first run of each statement, path and value is planned, the others are not.
    let (spared_all, spared_few) = (spared(&gate, "ola"), spared(&gate, "fay"));
    assert!(spared_all >= 100 && spared_few >= 100, "{spared_all}, {spared_few}");
    let tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname IN ('accounts', 'cases') ORDER BY 1";
    assert_eq!(gate.client(&all()).run(tables).table().len(), 2);
    assert_eq!(gate.client(&few).run(tables).table().len(), 1);
}

/// What tells of the session, or of the moment, is asked each time.
#[test]
fn answers_that_are_a_sessions_own_are_not_kept() {
    let gate = gate(8);
    let (one, other) = (gate.client(&all()), gate.client(&all()));
    let differ = |sql: &str| {
        let (first, second) = (one.run(sql), other.run(sql));
        assert!(first.code().is_none() && first != second, "{sql}: {first}\n{second}");
    };
    differ("SELECT relname, pg_backend_pid() FROM pg_class WHERE relname = 'accounts'");
    differ("SELECT relname, random() FROM pg_class WHERE relname = 'accounts'");
    differ("SELECT relname, clock_timestamp() FROM pg_class WHERE relname = 'accounts'");
    let set = |client: &Client, name: &str| client.run(&format!("SET application_name = '{name}'"));
    set(&one, "left");
    set(&other, "right");
    differ("SELECT relname, current_setting('application_name') FROM pg_class WHERE relname = 'accounts'");
    differ("SELECT name, setting FROM pg_settings WHERE name = 'application_name'");
    // A setting that a statement of the catalog changes is changed by each run of it.
    let changes = "SELECT set_config('application_name', relname, false) FROM pg_class WHERE relname = 'accounts'";
    for _ in 0..2 {
        set(&one, "left");
        assert_eq!(one.run(changes).table()[0][0].as_deref(), Some("accounts"));
        assert_eq!(one.run("SHOW application_name").table()[0][0].as_deref(), Some("accounts"));
    }
}

/// A prepared statement stays one statement when the path is set, and its answer is that of the path.
#[test]
fn answers_of_the_catalog_follow_the_path_of_each_run() {
    let gate = gate(9);
    let (one, other) = (gate.client(&all()), gate.client(&all()));
    let sql = "SELECT relname, current_schema(), pg_table_is_visible(oid) FROM pg_class WHERE relname = 'accounts'";
    let expect = |answer: Answer, schema: &str, visible: &str| {
        let rows = answer.table();
        assert_eq!(rows.len(), 1, "{answer}");
        assert_eq!((rows[0][1].as_deref(), rows[0][2].as_deref()), (Some(schema), Some(visible)), "{answer}");
    };
    assert!(one.run(&format!("PREPARE p AS {sql}")).code().is_none());
    for _ in 0..2 {
        for (path, visible) in [("public", "true"), ("information_schema", "false")] {
            assert!(one.run(&format!("SET search_path = {path}")).code().is_none());
            for _ in 0..2 {
                expect(one.run("EXECUTE p"), path, visible);
                expect(other.run(sql), "public", "true");
                expect(one.run(sql), path, visible);
            }
        }
    }
}
