//! Advice on indexes over a real server: what is there, whether an index that is not there is worth what the server then makes of
//! it, and who may make one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{driver, object_id, options, output, rows, scan};
use mongodb::bson::{DateTime, Document, doc};
use querygate_driver_api::advice::{IndexAdvice, IndexSpec, NativeQuery, Planner, Study, WhatIf};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Relation, SortKey};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_mongodb::MongoDriver;
use querygate_types::ErrorCode;
use std::sync::Arc;

const ORDERS: i64 = 20_000;
const DAY: i64 = 86_400_000;
/// 2024-01-01.
const YEAR: i64 = 19_723 * DAY;

/// Orders of 50 regions, each with 400 on 400 days; 200 customers; one in 20 is open.
async fn fill(server: &Server) {
    let admin = server.admin("shop");
    // Another order of texts than ours, so that an index in it would be of no use.
    let collation = doc! { "locale": "en", "strength": 1 };
    admin.run_command(doc! { "create": "orders", "collation": collation }).await.unwrap();
    let orders = (0..ORDERS).map(|n| {
        let day = DateTime::from_millis(YEAR + (n / 50) * 37 % 400 * DAY);
        let mut order = doc! {
            "_id": n, "region": format!("region {}", n % 50), "day": day, "total": n * 7 % 1_000,
            "weight": f64::from(u16::try_from(n % 997).unwrap()) / 4.0, "customer": object_id(u8::try_from(n % 200).unwrap()),
            "note": "x".repeat(100),
        };
        if n % 20 > 0 {
            order.insert("closed", n);
        }
        order
    });
    admin.collection::<Document>("orders").insert_many(orders).await.unwrap();
    let index = |name: &str, key: Document| doc! { "key": key, "name": name, "collation": { "locale": "simple" } };
    let kept = [index("by_total", doc! { "total": 1 }), index("by_total_day", doc! { "total": 1, "day": 1 })];
    admin.run_command(doc! { "createIndexes": "orders", "indexes": kept.to_vec() }).await.unwrap();
}

/// Who may do everything.
fn owner(server: &Server) -> MongoDriver {
    let mut options = options(server, "shop");
    options.user = Some("root".to_owned());
    MongoDriver::new(&options)
}

fn names(names: &[&str]) -> Vec<Identifier> {
    names.iter().map(|name| Identifier::new(*name).unwrap()).collect()
}

fn spec(keys: &[&str]) -> IndexSpec {
    let table = TableRef::new(["shop", "orders"]).unwrap();
    IndexSpec { table, keys: names(keys), include: Vec::new(), code_point: Vec::new(), rows: None }
}

async fn study(driver: &MongoDriver) -> Study {
    driver.study(&[TableRef::new(["shop", "orders"]).unwrap()]).await.unwrap()
}

async fn planner(driver: &MongoDriver) -> Box<dyn WhatIf> {
    match study(driver).await.planner {
        Planner::Asked(planner) => planner,
        Planner::Absent(why) => panic!("{why}"),
    }
}

/// The columns of a scan of the orders.
struct Orders {
    scan: Relation,
}

impl Orders {
    fn column(&self, name: &str) -> (ScalarExpr, ValueType) {
        let Relation::Scan { columns, .. } = &self.scan else { panic!("a scan") };
        let found = columns.iter().find(|column| column.name.as_str() == name).unwrap();
        (ScalarExpr::Column(found.id), found.value_type)
    }

    fn compare(&self, op: ComparisonOp, name: &str, parameter: usize) -> ScalarExpr {
        let (column, value_type) = self.column(name);
        ScalarExpr::compare(op, column, ScalarExpr::Parameter(parameter, value_type))
    }

    fn where_all(&self, all: Vec<ScalarExpr>) -> Relation {
        Relation::Filter { input: Box::new(self.scan.clone()), predicate: ScalarExpr::And(all) }
    }

    fn instant(&self, day: i64) -> Value {
        let (_, value_type) = self.column("day");
        Value::Timestamp { micros: (YEAR + day * DAY) * 1_000, utc: value_type == ValueType::Timestamp { utc: true } }
    }

    /// Each way in which an index serves a statement: what is asked, values, the index for it.
    fn cases(&self) -> Vec<(&'static str, Relation, Vec<Value>, Vec<&'static str>)> {
        use ComparisonOp::{Eq, Gt, GtEq};
        let region = || self.compare(Eq, "region", 0);
        let text = |text: &str| Value::text(text);
        let boxed = |name: &str| Box::new(self.column(name).0);
        let list = ScalarExpr::InList {
            expr: boxed("region"),
            list: vec![ScalarExpr::Parameter(0, ValueType::Text), ScalarExpr::Parameter(1, ValueType::Text)],
            negated: false,
        };
        let like = ScalarExpr::Like { expr: boxed("region"), pattern: 0, negated: false, case_insensitive: false };
        let null = ScalarExpr::IsNull { expr: boxed("closed"), negated: false };
        let last = Relation::Sort {
            input: Box::new(self.where_all(vec![region(), self.compare(GtEq, "total", 1)])),
            keys: vec![SortKey { expr: self.column("day").0, ascending: false, nulls_first: false }],
        };
        let last = Relation::Limit { input: Box::new(last), skip: 0, fetch: Some(10) };
        // As `ORDER BY day DESC` means it: the condition leaves no NULL that would have to come first.
        let newest = Relation::Sort {
            input: Box::new(self.where_all(vec![region(), self.compare(GtEq, "day", 1)])),
            keys: vec![SortKey { expr: self.column("day").0, ascending: false, nulls_first: true }],
        };
        let newest = Relation::Limit { input: Box::new(newest), skip: 0, fetch: Some(10) };
        let fenced = Relation::Filter {
            input: Box::new(Relation::Fence { input: Box::new(self.where_all(vec![region()])) }),
            predicate: self.compare(Gt, "weight", 1),
        };
        let float = vec![region(), self.compare(Gt, "weight", 1)];
        let range = vec![region(), self.compare(GtEq, "day", 1)];
        let hex = object_id(7).to_hex();
        vec![
            ("equal", self.where_all(vec![region()]), vec![text("region 7")], vec!["region"]),
            ("range", self.where_all(range), vec![text("region 7"), self.instant(300)], vec!["region", "day"]),
            ("instant", self.where_all(vec![self.compare(Eq, "day", 0)]), vec![self.instant(7)], vec!["day"]),
            ("list", self.where_all(vec![list]), vec![text("region 7"), text("region 8")], vec!["region"]),
            ("beginning", self.where_all(vec![like]), vec![text("region 47%")], vec!["region"]),
            ("key", self.where_all(vec![self.compare(Eq, "customer", 0)]), vec![text(&hex)], vec!["customer"]),
            ("float", self.where_all(float), vec![text("region 7"), Value::Float64(187.0)], vec!["region", "weight"]),
            ("null", self.where_all(vec![null]), vec![], vec!["closed"]),
            ("last", last, vec![text("region 7"), Value::Int64(750)], vec!["region", "day", "total"]),
            ("newest", newest, vec![text("region 7"), self.instant(0)], vec!["region", "day"]),
            ("fenced", fenced, vec![text("region 7"), Value::Float64(1.0)], vec!["region"]),
        ]
    }
}

fn query(driver: &MongoDriver, relation: &Relation, values: &[Value]) -> NativeQuery {
    let parameters = values.iter().map(Value::value_type).collect();
    let fragment = Fragment { relation: relation.clone(), output: vec![output(0, ValueType::Int64)], parameters };
    let statement = driver.render(&fragment).unwrap_or_else(|refusal| panic!("{refusal}"));
    NativeQuery { text: Arc::clone(&statement.text), tables: Vec::new(), rows: None }
}

/// What the server did for the driver's statement last: its plan in short, and index entries and documents that it visited.
async fn profiled(server: &Server) -> (String, f64) {
    let profile = server.admin("shop").collection::<Document>("system.profile");
    let statements = doc! { "ns": "shop.orders", "user": { "$regex": "^gate@" }, "$or": [
        { "command.find": "orders" }, { "command.aggregate": "orders" },
    ] };
    let last = profile.find_one(statements).sort(doc! { "ts": -1 }).await.unwrap().unwrap();
    let number = |name: &str| f64::from(last.get_i32(name).unwrap());
    (last.get_str("planSummary").unwrap().to_owned(), number("keysExamined") + 3.0 * number("docsExamined"))
}

#[tokio::test]
async fn an_index_is_worth_beforehand_what_explain_says_once_it_is_there() {
    let Some(server) = Server::start().await else { return };
    fill(&server).await;
    let (reader, owner) = (driver(&server, "shop"), owner(&server));
    let orders = Orders { scan: scan(&reader, "orders", 0).await };
    assert_eq!(orders.column("_id").0, ScalarExpr::Column(ColumnId(0)));
    let name = Identifier::new("qg_made").unwrap();
    for (case, relation, values, keys) in orders.cases() {
        let query = query(&reader, &relation, &values);
        let index = spec(&keys);
        let useless = spec(&["note", "region"]);
        let mut before = planner(&reader).await;
        let now = before.cost(&query, &[]).await.unwrap();
        let promised = before.cost(&query, &[&useless, &index]).await.unwrap();
        assert_eq!((now.used.len(), promised.used.as_slice()), (0, &[1][..]), "{case}: {now:?} {promised:?}");
        assert!(promised.cost < 0.9 * now.cost, "{case}: {now:?} {promised:?}");
        let expected = rows(&reader, relation.clone(), vec![output(0, ValueType::Int64)], &values).await.unwrap();
        assert!(!expected.is_empty(), "{case}");

        owner.create(&index, &name).await.unwrap();
        let kept = planner(&reader).await.cost(&query, &[]).await.unwrap();
        let ratio = kept.cost / promised.cost;
        assert!((0.6..1.7).contains(&ratio), "{case}: {promised:?} was promised, {kept:?} came");
        server.admin("shop").run_command(doc! { "profile": 2 }).await.unwrap();
        let found = rows(&reader, relation, vec![output(0, ValueType::Int64)], &values).await.unwrap();
        let sorted = |mut rows: Vec<Vec<Value>>| {
            rows.sort_by_key(|row| format!("{row:?}"));
            rows
        };
        assert_eq!(sorted(found), sorted(expected), "{case}");
        // The judge is what the server counted while it ran the driver's own statement.
        let (plan, visited) = profiled(&server).await;
        server.admin("shop").run_command(doc! { "profile": 0 }).await.unwrap();
        assert!(plan.contains("IXSCAN") && plan.contains(keys[0]), "{case}: {plan}");
        let ratio = visited / promised.cost;
        assert!((0.3..3.0).contains(&ratio), "{case}: {visited} visited, {promised:?} promised");
        owner.drop_index(&index.table, &name).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_there_is_told_and_only_who_may_makes_more() {
    let Some(server) = Server::start().await else { return };
    fill(&server).await;
    let (reader, owner) = (driver(&server, "shop"), owner(&server));
    for (driver, counts) in [(&reader, false), (&owner, true)] {
        let study = study(driver).await;
        let [orders] = &study.tables[..] else { panic!("{study:?}") };
        assert!((orders.rows - 20_000.0).abs() < 1.0 && orders.writes.is_none());
        let column = |name: &str| orders.columns.iter().find(|column| column.name.as_str() == name).unwrap();
        assert!((column("region").distinct - 50.0).abs() < 2.0 && column("_id").distinct > 15_000.0);
        assert!(column("closed").nulls > 0.02 && column("closed").nulls < 0.1);
        let index = |name: &str| orders.indexes.iter().find(|index| index.name == name).unwrap();
        assert!(index("_id_").constraint && index("by_total").plain && !index("by_total").constraint);
        assert_eq!(index("by_total_day").keys, names(&["total", "day"]));
        assert!(index("by_total").bytes.unwrap() > 0);
        assert_eq!(index("by_total").scans.is_some(), counts, "the role read may not see how often");
    }
    // Neither a view nor what is not there can have one.
    server.admin("shop").run_command(doc! { "create": "seen", "viewOn": "orders", "pipeline": [] }).await.unwrap();
    let others = ["seen", "gone"].map(|name| TableRef::new(["shop", name]).unwrap());
    let nothing = reader.study(&others).await.unwrap();
    assert!(nothing.tables.is_empty() && matches!(nothing.planner, Planner::Absent(_)), "{nothing:?}");

    let (index, name) = (spec(&["region"]), Identifier::new("qg_made").unwrap());
    let refused = reader.create(&index, &name).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InsufficientPrivilege);
    assert!(refused.hint().unwrap().contains("createIndex"), "{refused:?}");
    owner.create(&index, &name).await.unwrap();
    // The same again, the same fields under another name, and a name that is taken.
    for (index, name) in [(spec(&["region"]), "qg_made"), (spec(&["region"]), "qg_other"), (spec(&["day"]), "by_total")]
    {
        let error = owner.create(&index, &Identifier::new(name).unwrap()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ObjectNotInPrerequisiteState, "{name}");
    }
    assert_eq!(reader.drop_index(&index.table, &name).await.unwrap_err().code(), ErrorCode::InsufficientPrivilege);
    owner.drop_index(&index.table, &name).await.unwrap();
    // What is gone already is no failure.
    owner.drop_index(&index.table, &name).await.unwrap();
    owner.drop_index(&TableRef::new(["shop", "gone"]).unwrap(), &name).await.unwrap();
    let left = server.admin("shop").collection::<Document>("orders").list_index_names().await.unwrap();
    assert_eq!(left, ["_id_", "by_total", "by_total_day"]);
    let wrong = owner.create(&IndexSpec { table: TableRef::new(["other", "orders"]).unwrap(), ..index }, &name).await;
    assert_eq!(wrong.unwrap_err().code(), ErrorCode::UndefinedTable);
}
