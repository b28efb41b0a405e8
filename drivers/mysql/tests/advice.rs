//! Advice on indexes against a real server: what is told of tables, an index that its planner then uses, what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::{Server, USER};
use common::{driver, output, scan};
use querygate_driver_api::advice::{Costed, IndexSpec, IndexedTable, NativeQuery, Planner, TableConditions, WhatIf};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{JoinKind, Relation};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::ValueType;
use querygate_mysql::MysqlDriver;
use querygate_types::ErrorCode;
use std::sync::Arc;

const TABLES: &str = "CREATE DATABASE shop; USE shop;
    CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL);
    CREATE TABLE orders (id BIGINT PRIMARY KEY, customer INT NOT NULL, region VARCHAR(20), day DATE NOT NULL, note TEXT,
      long_text VARCHAR(4000), KEY customer (customer), KEY twice (customer), KEY starts (region(3)), UNIQUE KEY once (day, id),
      CONSTRAINT known FOREIGN KEY (customer) REFERENCES customers (id)) ENGINE=InnoDB;
    CREATE VIEW seen AS SELECT id FROM orders;
    INSERT INTO customers SELECT seq, CONCAT('customer ', seq) FROM seq_1_to_100;
    INSERT INTO orders SELECT seq, seq % 100 + 1, IF(seq % 4 = 0, NULL, CONCAT('region ', seq % 50)), '2024-01-01' + INTERVAL seq % 700 DAY,
      REPEAT('x', 80), NULL FROM seq_1_to_20000;
    ANALYZE TABLE orders, customers;";

fn name(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

fn table(text: &str) -> TableRef {
    TableRef::new(["shop", text]).unwrap()
}

fn spec(keys: &[&str], include: &[&str]) -> IndexSpec {
    let names = |all: &[&str]| all.iter().map(|text| name(text)).collect();
    IndexSpec { table: table("orders"), keys: names(keys), include: names(include), code_point: Vec::new(), rows: None }
}

async fn studied(driver: &MysqlDriver, tables: &[&str]) -> Vec<IndexedTable> {
    let tables: Vec<TableRef> = tables.iter().map(|text| table(text)).collect();
    let study = driver.index_advice().unwrap().study(&tables).await.unwrap();
    assert!(matches!(&study.planner, Planner::Asked(planner) if planner.evidence().contains("EXPLAIN")));
    study.tables
}

#[tokio::test]
async fn tables_are_told_with_their_columns_and_indexes() {
    let Some(server) = Server::start() else { return };
    server.sql(TABLES);
    let driver = driver(&server, "shop");
    let found = studied(&driver, &["orders", "seen", "nowhere", "customers"]).await;
    let [orders, customers] = found.as_slice() else { panic!("{found:?}") };
    assert!((10_000.0..40_000.0).contains(&orders.rows), "{}", orders.rows);
    let columns: Vec<&str> = orders.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["id", "customer", "region", "day"], "texts without a bound are no keys");
    let [id, customer, region, day] = orders.columns.as_slice() else { panic!() };
    assert!(id.distinct > 0.9 * orders.rows, "{id:?}");
    assert_eq!((customer.distinct, day.distinct, customer.nulls), (100.0, 700.0, 0.0));
    assert!((0.2..0.3).contains(&region.nulls) && region.collates && (6.0..10.0).contains(&region.width), "{region:?}");
    assert!(!customers.columns[1].collates);
    let index = |text: &str| orders.indexes.iter().find(|index| index.name == text).unwrap();
    assert!(index("PRIMARY").constraint && index("once").constraint && index("once").unique);
    assert!(index("customer").constraint && index("twice").constraint, "a foreign key may rest on either");
    assert!(index("customer").plain && !index("starts").plain, "a part of a text is not the text");
    assert!(customers.indexes.iter().all(|index| index.constraint));
}

#[tokio::test]
async fn an_index_is_made_while_others_write_used_by_the_planner_and_dropped() {
    let Some(server) = Server::start() else { return };
    server.sql(TABLES);
    let driver = driver(&server, "shop");
    let advice = driver.index_advice().unwrap();
    let (wanted, own) = (spec(&["region", "day"], &["customer"]), name("qg_orders"));
    assert_eq!(
        advice.ddl(&wanted, &own).unwrap(),
        "CREATE INDEX `qg_orders` ON `shop`.`orders` (`region`, `day`, `customer`) ALGORITHM=INPLACE LOCK=NONE"
    );
    assert!(advice.ddl(&spec(&[], &[]), &own).is_err());
    let refused = advice.create(&wanted, &own).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InsufficientPrivilege, "the user only reads: {refused:?}");
    server.sql(&format!("GRANT INDEX ON shop.orders TO '{USER}'@'127.0.0.1'"));
    let plan = |server: &Server| {
        server.sql("USE shop; EXPLAIN SELECT customer FROM orders WHERE region = 'region 7' AND day = '2024-03-01'")
    };
    assert!(!plan(&server).contains("qg_orders"));
    advice.create(&wanted, &own).await.unwrap();
    assert!(plan(&server).contains("qg_orders"), "{}", plan(&server));
    let again = advice.create(&wanted, &own).await.unwrap_err();
    assert_eq!(again.code(), ErrorCode::ObjectNotInPrerequisiteState);
    let found = studied(&driver, &["orders"]).await;
    let made = found[0].indexes.iter().find(|index| index.name == "qg_orders").unwrap();
    assert!(made.plain && !made.constraint && made.keys.len() == 3, "{made:?}");
    // What reads goes on reading only.
    assert_eq!(server.sql("SELECT COUNT(*) FROM shop.orders").trim(), "20000");
    advice.drop_index(&table("orders"), &own).await.unwrap();
    advice.drop_index(&table("orders"), &own).await.unwrap();
    assert!(!plan(&server).contains("qg_orders"));
}

fn conditions(of: &str, equal: &[&str], range: &[&str], join: &[&str]) -> TableConditions {
    let names = |all: &[&str]| all.iter().map(|text| name(text)).collect();
    TableConditions { table: table(of), equal: names(equal), range: names(range), join: names(join), nulls: Vec::new() }
}

/// Orders with conditions on columns by their places.
async fn filtered(driver: &MysqlDriver, on: &[(ComparisonOp, u32, ValueType)]) -> (Relation, Vec<ValueType>) {
    let one = |(number, (op, column, value_type)): (usize, &(ComparisonOp, u32, ValueType))| {
        let column = ScalarExpr::Column(ColumnId(*column));
        ScalarExpr::compare(*op, column, ScalarExpr::Parameter(number, *value_type))
    };
    let predicate = ScalarExpr::And(on.iter().enumerate().map(one).collect());
    let input = Box::new(scan(driver, "orders", 0).await);
    (Relation::Filter { input, predicate }, on.iter().map(|(_, _, value_type)| *value_type).collect())
}

fn asked(
    driver: &MysqlDriver,
    (relation, parameters): (Relation, Vec<ValueType>),
    tables: Vec<TableConditions>,
) -> NativeQuery {
    let fragment = Fragment { relation, output: vec![output(0, ValueType::Int64)], parameters };
    NativeQuery { text: Arc::clone(&driver.render(&fragment).unwrap().text), tables, rows: None }
}

async fn cost(planner: &mut dyn WhatIf, query: &NativeQuery, indexes: &[&IndexSpec]) -> Costed {
    planner.cost(query, indexes).await.unwrap()
}

#[tokio::test]
async fn the_plan_as_it_is_is_the_servers_own_and_an_index_is_reckoned_from_it() {
    let Some(server) = Server::start() else { return };
    server.sql(TABLES);
    server.sql(
        "USE shop; CREATE TABLE visits (id BIGINT PRIMARY KEY, day DATE NOT NULL); CREATE TABLE calls LIKE visits; \
         INSERT INTO visits SELECT seq, '2024-01-01' + INTERVAL seq % 700 DAY FROM seq_1_to_2000; \
         INSERT INTO calls SELECT * FROM visits; ANALYZE TABLE visits, calls",
    );
    let driver = driver(&server, "shop");
    let tables = ["orders", "visits", "calls"].map(table);
    let Planner::Asked(mut planner) = driver.index_advice().unwrap().study(&tables).await.unwrap().planner else {
        panic!("nobody is asked")
    };
    let planner = planner.as_mut();
    let (by_day, by_region) = (spec(&["day"], &[]), spec(&["region", "day"], &["id"]));

    // The unique index over day and id has all that is asked for: another one gains nothing.
    let days = filtered(&driver, &[(ComparisonOp::Eq, 3, ValueType::Date)]).await;
    let days = asked(&driver, days, vec![conditions("orders", &["day"], &[], &[])]);
    let present = cost(planner, &days, &[]).await;
    assert!(present.cost < 1_000.0, "{present:?}");
    assert_eq!(cost(planner, &days, &[&by_day]).await, present);

    let regions = [(ComparisonOp::Eq, 2, ValueType::Text), (ComparisonOp::Gt, 3, ValueType::Date)];
    let tables = vec![conditions("orders", &["region"], &["day"], &[])];
    let regions = asked(&driver, filtered(&driver, &regions).await, tables);
    let present = cost(planner, &regions, &[]).await;
    let offered = cost(planner, &regions, &[&by_day, &by_region]).await;
    assert_eq!(offered.used, [1], "{offered:?} against {present:?}");
    assert!(offered.cost < present.cost / 4.0, "{offered:?} against {present:?}");

    // An index that is there is in the plan already: nothing is gained by the same again.
    let own = asked(
        &driver,
        filtered(&driver, &[(ComparisonOp::Eq, 1, ValueType::Int32)]).await,
        vec![conditions("orders", &["customer"], &[], &[])],
    );
    let present = cost(planner, &own, &[]).await;
    assert!(present.cost < 2_000.0, "{present:?}");
    let again = cost(planner, &own, &[&spec(&["customer"], &[])]).await;
    assert!(again.cost > 0.5 * present.cost, "{again:?} against {present:?}");

    // A join without an index compares every pair; with one it looks up, on whichever side the server reads second.
    let (left, right) = (Box::new(scan(&driver, "visits", 0).await), Box::new(scan(&driver, "calls", 10).await));
    let on = ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(ColumnId(1)), ScalarExpr::Column(ColumnId(11)));
    let relation = Relation::Join { kind: JoinKind::Inner, left, right, on };
    let join = ["visits", "calls"].map(|of| conditions(of, &[], &[], &["day"])).to_vec();
    let join = asked(&driver, (relation, Vec::new()), join);
    let present = cost(planner, &join, &[]).await;
    let both = ["visits", "calls"].map(|of| IndexSpec { table: table(of), ..by_day.clone() });
    let offered = cost(planner, &join, &[&both[0], &both[1]]).await;
    assert_eq!(offered.used.len(), 1, "{offered:?} against {present:?}");
    assert!(offered.cost < present.cost / 4.0, "{offered:?} against {present:?}");

    let wrong = NativeQuery { text: "SELECT 1 FROM `shop`.`nowhere`".into(), tables: Vec::new(), rows: None };
    assert!(planner.cost(&wrong, &[]).await.is_err());
}
