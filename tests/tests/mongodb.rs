//! A real MongoDB behind the real binary: introspected, governed, asked by two users through the Postgres port.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests panic"
)]

#[path = "own_types/answers.rs"]
#[allow(dead_code, reason = "shared with the tests of other sources")]
mod answers;
#[path = "own_types/checked.rs"]
mod checked;
#[path = "flight/client.rs"]
#[allow(dead_code, reason = "shared with the tests of the Flight door")]
mod client;
#[path = "own_types/decoded.rs"]
mod decoded;
#[path = "own_types/described.rs"]
mod described;
#[path = "own_types/differences.rs"]
mod differences;
#[path = "own_types/doors.rs"]
mod doors;
#[path = "mongodb/every_type.rs"]
mod every_type;
#[path = "own_types/printed.rs"]
mod printed;
#[path = "../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod server;
#[path = "mongodb/described.rs"]
mod tables;
#[path = "flight/text.rs"]
mod text;
#[path = "own_types/values.rs"]
#[allow(dead_code, reason = "shared with the tests of other sources")]
mod values;
#[path = "own_types/wire.rs"]
mod wire;

use mongodb::bson::{Bson, DateTime, Decimal128, Document, doc};
use querygate_tests::server::{Server, binary, psql_with};
use serde_json::{Value, json};
use server::{PASSWORD, Server as MongoDb, USER};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const DAY: i64 = 86_400_000;
/// 2024-01-01.
const YEAR: i64 = 19_723 * DAY;
/// Visits: of 40 regions, on 20 days, 25 each.
const VISITS: i64 = 20_000;
/// Statements before and after an index: enough to measure it.
const RUNS: i64 = 15;
/// How often a question is asked until what happens in the background has happened.
const ASKED: usize = 600;

fn querygate(folder: &Path, arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1").env("SHOP_PASSWORD", PASSWORD);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

async fn fill(database: &MongoDb) {
    let customer = |id: &str, name: &str, region: &str, email: &str, revenue: &str, city: Option<&str>, vip: bool| {
        let revenue: Decimal128 = revenue.parse().unwrap();
        doc! {
            "_id": id, "name": name, "region_id": region, "email": email, "revenue": revenue, "vip": vip,
            "address": { "city": city.map_or(Bson::Null, Bson::from) }, "seen": DateTime::from_millis(YEAR + 30 * DAY),
        }
    };
    let customers = [
        customer("c1", "Anna", "emea", "anna@one.example", "1000.50", Some("Bern"), true),
        customer("c2", "Bob", "emea", "bob@two.example", "20.00", None, false),
        customer("c3", "Carl", "amer", "carl@three.example", "77777.77", Some("Lima"), false),
    ];
    let shop = database.admin("shop");
    shop.collection::<Document>("customers").insert_many(customers).await.unwrap();
    let orders = (1..=300_i64).map(|number| {
        let total: Decimal128 = format!("{}.{:02}", number * 5 / 4, number * 125 % 100).parse().unwrap();
        let placed = DateTime::from_millis(YEAR + number * DAY);
        doc! { "_id": number, "customer_id": format!("c{}", 1 + number % 3), "total": total, "placed_on": placed }
    });
    shop.collection::<Document>("orders").insert_many(orders).await.unwrap();
    let visits = (0..VISITS).map(|number| {
        let day = DateTime::from_millis(YEAR + number / 40 % 20 * DAY);
        doc! { "_id": number, "region_id": format!("r{}", number % 40), "day": day, "note": "x".repeat(200) }
    });
    shop.collection::<Document>("visits").insert_many(visits).await.unwrap();
}

/// Collections of three documents whose policies for changes differ.
const CHANGING: [&str; 3] = ["refusing", "widening", "hiding"];

/// Each has a number, and a note that one document has.
async fn fill_changing(database: &MongoDb) {
    for name in CHANGING {
        let documents = (1..=3_i32).map(|number| match number {
            2 => doc! { "_id": number.to_string(), "n": number, "note": "x" },
            _ => doc! { "_id": number.to_string(), "n": number },
        });
        database.admin("shop").collection::<Document>(name).insert_many(documents).await.unwrap();
    }
}

/// Introspects the server, then says in the metadata who may see what.
fn prepared(runtime: &tokio::runtime::Runtime) -> Option<(MongoDb, TempDir)> {
    let database = runtime.block_on(MongoDb::start())?;
    runtime.block_on(async {
        fill(&database).await;
        fill_changing(&database).await;
    });
    let folder = TempDir::new().unwrap();
    let address = format!("mongodb://{USER}@127.0.0.1:{}/shop?authSource=admin&directConnection=true", database.port);
    let arguments = ["introspect", &address, "--password", "env:SHOP_PASSWORD", "-o", "metadata"];
    let (success, said) = querygate(folder.path(), &arguments, "");
    assert!(success && said.contains("kind = \"mongodb\"") && !said.contains(PASSWORD), "{said}");
    let file = folder.path().join("metadata/shop.json");
    let mut stack: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    govern(&mut stack["packages"][0]["manifest"]);
    std::fs::write(&file, stack.to_string()).unwrap();
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    let mut config = format!(
        "[server]\ndatabase = \"demo\"\n[governance]\nverify_sample = 1\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"shop\"\nkind = \"mongodb\"\n\
         url = \"{address}\"\ndatabase = \"shop\"\npassword = \"file:password\"\napply_indexes = true\n\
         schema_change_of = {{ shop_widening = \"widen\", shop_hiding = \"hide\" }}\n\
         [learning]\nsuggest_every = \"0s\"\n"
    );
    for (name, settings) in [
        ("boss", "permission_sets = [\"shop_reader\"]"),
        ("rep", "permission_sets = [\"shop_rep\"]\nattributes = { region_id = \"emea\" }"),
        ("lead", "administrator = true\npermission_sets = [\"shop_rep\"]\nattributes = { region_id = \"emea\" }"),
        ("guide", "permission_sets = [\"shop_rep\"]\nattributes = { region_id = \"r7\" }"),
        ("root", "operator = true\npermission_sets = [\"shop_reader\"]"),
    ] {
        let (success, entry) = querygate(folder.path(), &["user", "add", name], &format!("demo-{name}\n"));
        assert!(success, "{entry}");
        let verifier = entry.lines().find(|line| line.starts_with("verifier")).unwrap();
        config.push_str(&format!("[[users]]\nname = \"{name}\"\n{verifier}\nuser_id = \"{name}\"\n{settings}\n"));
    }
    std::fs::write(folder.path().join("querygate.toml"), config).unwrap();
    let (success, said) = querygate(folder.path(), &["check", "querygate.toml"], "");
    assert!(success, "{said}");
    Some((database, folder))
}

/// The rep sees one region, no revenue, and e-mail addresses masked; and only small orders.
fn govern(package: &mut Value) {
    for object in package["objects"].as_array_mut().unwrap() {
        if object["name"] == "shop_customers" {
            object["fields"]["email"]["maskingRule"] = json!("email");
            object["fields"]["email"]["requiredPermissions"] = json!(["shop.see_email"]);
        }
    }
    package["capabilities"] = json!([{"name": "shop.see_email", "label": "See e-mail", "scope": "org"}]);
    let sets = package["permissions"].as_array_mut().unwrap();
    sets[0]["systemPermissions"] = json!(["shop.see_email"]);
    sets.push(json!({
        "name": "shop_rep", "label": "Rep",
        "objects": {
            "shop_customers": {"allowRead": true}, "shop_orders": {"allowRead": true}, "shop_visits": {"allowRead": true},
            "shop_refusing": {"allowRead": true},
        },
        "fields": {"shop_customers.revenue": {"readable": false}},
        "rowLevelSecurity": [
            {"name": "region", "object": "shop_customers", "operation": "select",
             "using": "region_id == current_user.region_id"},
            {"name": "small", "object": "shop_orders", "operation": "select", "using": "total < 100"},
            {"name": "noted", "object": "shop_refusing", "operation": "select", "using": "note == 'y'"},
            {"name": "visited", "object": "shop_visits", "operation": "select",
             "using": "region_id == current_user.region_id"},
        ],
    }));
}

fn ask(gate: &Server, user: &str, sql: &str) -> String {
    psql_with(gate.postgres, user, &format!("demo-{user}"), "disable", &["-At", "-c", sql]).both().trim().to_owned()
}

#[test]
fn two_users_see_their_own_shop_and_the_server_does_the_work() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let Some((_database, folder)) = prepared(&runtime) else { return };
    let gate = Server::serve(&folder.path().join("querygate.toml"));
    for (sql, boss, rep) in [
        ("SELECT count(*) FROM customers", "3", "2"),
        (
            "SELECT id, email FROM customers WHERE id IN ('c1', 'C1', 'c3') ORDER BY id",
            "c1|anna@one.example\nc3|carl@three.example",
            "c1|a***@one.example",
        ),
        ("SELECT sum(total), count(*) FROM orders", "56437.50|300", "3950.00|79"),
        ("SELECT count(*) FROM customers WHERE name LIKE 'A%' AND vip", "1", "1"),
        ("SELECT address_city, count(*) FROM customers GROUP BY 1 ORDER BY 1", "Bern|1\nLima|1\n|1", "Bern|1\n|1"),
        (
            "SELECT c.name, count(*) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name ORDER BY c.name",
            "Anna|100\nBob|100\nCarl|100",
            "Anna|26\nBob|27",
        ),
        ("SELECT name FROM customers ORDER BY name DESC LIMIT 1", "Carl", "Bob"),
        ("SELECT count(DISTINCT vip), bool_or(DISTINCT vip), bool_and(DISTINCT vip) FROM customers", "2|t|f", "2|t|f"),
    ] {
        assert_eq!(ask(&gate, "boss", sql), boss, "{sql}");
        assert_eq!(ask(&gate, "rep", sql), rep, "{sql}");
    }
    let long = format!("SELECT count(*) FROM customers WHERE name LIKE '{}%'", "x".repeat(40_000));
    assert_eq!(ask(&gate, "boss", &long), "0", "longer than the server's patterns");
    let refused = ask(&gate, "rep", "SELECT revenue FROM customers");
    assert!(refused.contains("42703") && !refused.contains("77777"), "{refused}");
    // An administrator's plan shows the pipeline; the rep's does not show the policy.
    let secret = "SELECT name FROM customers WHERE id = '{\"$ne\": 1}'";
    let plan = ask(&gate, "lead", &format!("EXPLAIN {secret}"));
    assert!(plan.contains("mongodb={\"aggregate\":\"customers\"") && plan.contains("\"_id\":{\"$eq\":$"), "{plan}");
    let hidden = ask(&gate, "rep", &format!("EXPLAIN {secret}"));
    assert!(hidden.contains("row policies inside") && !hidden.contains("region_id"), "{hidden}");
    assert!(!plan.contains("$ne") && !hidden.contains("emea"), "{plan}\n{hidden}");
    assert_eq!(ask(&gate, "rep", secret), "");
    let found = gate.self_checks();
    assert!(found["equal"] >= 10 && !found.contains_key("different") && !found.contains_key("failed"), "{found:?}");
}

/// Statements of one whose row policy compares the region: a day each.
fn visits(gate: &Server) {
    let day = |number: i64| {
        format!("SELECT count(*), max(length(note)) FROM visits WHERE day = '2024-01-{:02} 00:00:00'", 1 + number)
    };
    // Computing them here as well would read everything.
    let statements: Vec<String> =
        std::iter::once("SET querygate.verify_sample = 0".to_owned()).chain((0..RUNS).map(day)).collect();
    let arguments: Vec<&str> = statements.iter().flat_map(|statement| ["-c", statement.as_str()]).collect();
    let arguments = [&["-qAt"], arguments.as_slice()].concat();
    let printed = psql_with(gate.postgres, "guide", "demo-guide", "disable", &arguments);
    let lines: Vec<&str> = printed.out.lines().collect();
    assert_eq!(lines, vec!["25|200"; usize::try_from(RUNS).unwrap()], "{}", printed.both());
}

/// Asks until there is an answer; `first`: what is done before each time.
fn wait_for(gate: &Server, first: Option<&str>, sql: &str) -> String {
    let mut last = String::new();
    for _ in 0..ASKED {
        last = first.map_or(String::new(), |call| ask(gate, "root", call));
        let found = ask(gate, "root", sql);
        if !found.is_empty() {
            return found;
        }
    }
    let all = ask(gate, "root", "SELECT state, ddl, evidence, measured FROM querygate.index_suggestions");
    panic!("{sql}: nothing; {last}; {all}");
}

#[test]
fn an_index_is_suggested_behind_the_policy_made_by_an_operator_measured_and_undone() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let Some((database, folder)) = prepared(&runtime) else { return };
    let gate = Server::serve(&folder.path().join("querygate.toml"));
    visits(&gate);
    let suggested = "SELECT id, ddl FROM querygate.index_suggestions WHERE state = 'suggested' AND kind = 'create'";
    let found = wait_for(&gate, Some("CALL querygate.suggest_indexes()"), suggested);
    let (id, ddl) = found.split_once('|').unwrap();
    let key = "db.runCommand({\"createIndexes\":\"visits\",\"indexes\":[{\"key\":{\"region_id\":1,\"day\":1},\"name\":\"qg_visits_";
    assert!(
        ddl.starts_with(key) && ddl.ends_with("\"collation\":{\"locale\":\"simple\"}}]})"),
        "the policy's field leads: {ddl}"
    );
    let of =
        |what: &str| ask(&gate, "root", &format!("SELECT {what} FROM querygate.index_suggestions WHERE id = {id}"));
    assert_eq!(
        of("evidence LIKE 'MongoDB''s explain%', confidence > 0.1, confidence <= 0.5, benefit > 0.5"),
        "t|t|t|t"
    );
    assert!(!of("evidence || templates || ddl").contains("r7"), "no value is told");
    assert_eq!(ask(&gate, "guide", "SELECT count(*) FROM querygate.index_suggestions"), "0");

    // A user that may only read makes none; the ddl is for somebody who may.
    let apply = format!("CALL querygate.apply({id})");
    let refused = ask(&gate, "root", &apply);
    assert!(refused.contains("42501") && refused.contains("createIndex"), "{refused}");
    assert_eq!(of("state"), "suggested");
    let grant = doc! { "grantRolesToUser": USER, "roles": [{ "role": "readWrite", "db": "shop" }] };
    runtime.block_on(async { database.admin("admin").run_command(grant).await }).unwrap();
    let applied = ask(&gate, "root", &apply);
    assert!(applied.contains("created index qg_visits_"), "{applied}");
    let names = || {
        let listed = async { database.admin("shop").collection::<Document>("visits").list_index_names().await };
        runtime.block_on(listed).unwrap()
    };
    assert_eq!(names().len(), 2, "{:?}", names());
    visits(&gate);
    let measured =
        format!("SELECT state, measured FROM querygate.index_suggestions WHERE id = {id} AND measured_effect > 0.2");
    let helped = wait_for(&gate, None, &measured);
    assert!(helped.starts_with("helped|") && helped.contains("median"), "{helped}");
    let undone = ask(&gate, "root", &format!("CALL querygate.undo({id})"));
    assert!(undone.contains("dropped index qg_visits_"), "{undone}");
    assert_eq!((names(), of("state")), (vec!["_id_".to_owned()], "undone".to_owned()));
}

/// Asks until it is answered so.
fn eventually(gate: &Server, sql: &str, wanted: &str) {
    let mut last = String::new();
    for _ in 0..ASKED {
        last = ask(gate, "root", sql);
        if last.contains(wanted) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{sql}: {last}; {}", gate.lines().join("\n"));
}

#[test]
fn a_field_that_holds_something_else_or_is_gone_is_refused_widened_or_hidden() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let Some((database, folder)) = prepared(&runtime) else { return };
    let gate = Server::serve(&folder.path().join("querygate.toml"));
    let all = |change: Document| {
        runtime.block_on(async {
            for name in CHANGING {
                let collection = database.admin("shop").collection::<Document>(name);
                collection.update_many(doc! {}, change.clone()).await.unwrap();
            }
        });
    };
    let one = |value: Bson| {
        runtime.block_on(async {
            for name in CHANGING {
                let collection = database.admin("shop").collection::<Document>(name);
                collection.update_one(doc! { "_id": "2" }, doc! { "$set": { "n": value.clone() } }).await.unwrap();
            }
        });
    };
    for name in CHANGING {
        assert_eq!(ask(&gate, "root", &format!("SELECT sum(n) FROM {name}")), "6");
    }

    // One document of three holds a text. Whoever reads it is told, and that brings the gate to look.
    one(Bson::from("two"));
    let refused = ask(&gate, "root", "SELECT n FROM refusing");
    assert!(refused.contains("22000") || refused.contains("0A000"), "{refused}");
    let was = "column \"n\" of \"refusing\" was int and is int|string";
    eventually(&gate, "SELECT n FROM refusing", was);
    assert!(ask(&gate, "root", "SELECT count(*) FROM refusing WHERE n > 1").contains(was));
    // Whoever does not see that document learns nothing of what it holds.
    let untold = ask(&gate, "rep", "SELECT n FROM refusing");
    assert!(untold.contains("column \"n\" of \"refusing\" is not what it was"), "{untold}");
    assert!(!untold.contains("string") && !untold.contains("was int"), "{untold}");
    assert_eq!(ask(&gate, "root", "SELECT count(*), count(note) FROM refusing"), "3|1", "the rest answers");
    assert_eq!(ask(&gate, "root", "SELECT n FROM widening ORDER BY id"), "1\ntwo\n3");
    assert_eq!(ask(&gate, "root", "SELECT n || '!' FROM widening WHERE n IN ('two', '3') ORDER BY id"), "two!\n3!");
    assert!(ask(&gate, "root", "SELECT n FROM hiding").contains("42703"));
    assert_eq!(ask(&gate, "root", "SELECT count(*) FROM hiding"), "3");
    let events = "SELECT string_agg(object || ' ' || type_before || ' ' || type_now || ' ' || done, '; ' ORDER BY object) \
                  FROM querygate.schema_changes WHERE field = 'n' AND done <> 'restored'";
    assert_eq!(
        ask(&gate, "root", events),
        "shop_hiding int int|string hidden; shop_refusing int int|string refused; shop_widening int int|string widened"
    );
    one(Bson::from(2));
    for name in CHANGING {
        eventually(&gate, &format!("SELECT sum(n) FROM {name}"), "6");
    }

    // No document has it any more, where there was one.
    all(doc! { "$unset": { "n": "", "note": "" } });
    one(Bson::from(true));
    eventually(&gate, "SELECT n FROM refusing", "column \"n\" of \"refusing\" was int and is bool");
    let gone = "column \"note\" of \"refusing\" was string and is gone";
    assert!(ask(&gate, "root", "SELECT note FROM refusing").contains(gone));
    assert!(ask(&gate, "root", "SELECT note FROM widening").contains("was string and is gone"));
    assert!(ask(&gate, "root", "SELECT note FROM hiding").contains("42703"));
}
