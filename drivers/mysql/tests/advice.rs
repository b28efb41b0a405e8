//! Advice on indexes against a real server: what is told of tables, an index that its planner then uses, what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::driver;
use common::server::{Server, USER};
use querygate_driver_api::advice::{IndexSpec, IndexedTable, Planner};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::{Identifier, TableRef};
use querygate_mysql::MysqlDriver;
use querygate_types::ErrorCode;

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
    assert!(matches!(&study.planner, Planner::Absent(why) if why.contains("not there")));
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
