//! Changes to a MariaDB schema: the shared suite, and what only such servers have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use arrow::array::RecordBatch;
use common::server::{PASSWORD, Server};
use common::{Variant, load, options};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::testkit::changes;
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{Begin, ChangeOp, ChangeSet, ChangeShape, NativeChange, TargetColumn, Writer};
use querygate_mysql::{MysqlDriver, MysqlOptions};
use querygate_types::ErrorCode;
use std::sync::Arc;

/// A driver whose readers and writers are different users.
fn driver(server: &Server, schema: &str) -> MysqlDriver {
    MysqlDriver::new(&writing(server, schema, false))
}

fn writing(server: &Server, schema: &str, distributed: bool) -> MysqlOptions {
    let password = PASSWORD.replace('\\', "\\\\").replace('\'', "''");
    server.sql(&format!(
        "CREATE USER IF NOT EXISTS 'writing'@'127.0.0.1' IDENTIFIED BY '{password}'; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO 'writing'@'127.0.0.1';"
    ));
    let writer = Some(("writing".to_owned(), Some(PASSWORD.to_owned())));
    MysqlOptions { writer, distributed, ..options(server, schema) }
}

#[tokio::test]
async fn changes_are_stored_or_refused_and_end_as_they_should() {
    let Some(server) = Server::start() else { return };
    for (schema, collation, digits) in [("general", "utf8mb4_general_ci", 6), ("binary", "utf8mb4_nopad_bin", 3)] {
        let variant = Variant { schema, collation, digits, indexed: false };
        load(&server, variant).await;
        let driver = MysqlDriver::new(&writing(&server, schema, schema == "general"));
        assert!(driver.writer().is_some() && common::driver(&server, schema).writer().is_none());
        let report = changes::run(Arc::new(driver), &[schema], variant.limits()).await.unwrap();
        eprintln!("{schema}: stored {}, refused {:#?}", report.stored, report.refused);
        assert_eq!(report.failures, Vec::<String>::new());
        assert!(report.stored > 180, "only {} values were stored", report.stored);
    }
}

const RULES: &str = "CREATE DATABASE rules; USE rules;
    CREATE TABLE parent (id INT PRIMARY KEY);
    CREATE TABLE child (id INT PRIMARY KEY, parent INT, must VARCHAR(10) NOT NULL, small INT CHECK (small < 10),
        twice INT AS (small * 2) STORED, alone VARCHAR(5) UNIQUE, FOREIGN KEY (parent) REFERENCES parent (id));
    CREATE TABLE folded (id VARCHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, e ENUM('a', 'B'));
    CREATE TABLE plain (id INT PRIMARY KEY, small INT) ENGINE = MyISAM;
DELIMITER //
    CREATE TRIGGER refused BEFORE INSERT ON child FOR EACH ROW
        IF NEW.must = 'forbidden' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'secret forbidden'; END IF //
DELIMITER ;
    INSERT INTO parent VALUES (1); INSERT INTO child (id, parent, must, small, alone) VALUES (1, 1, 'x', 1, 'a'); INSERT INTO folded VALUES ('A', 'a');";

async fn change(driver: &MysqlDriver, table: &str, op: ChangeOp, assigned: &[&str]) -> Arc<NativeChange> {
    let remote = driver.describe(&TableRef::new(["rules", table]).unwrap()).await.unwrap();
    let target = |name: &&str| {
        let column = remote.columns.iter().find(|column| column.name.as_str() == *name).unwrap();
        let value_type = column.value_type.unwrap();
        TargetColumn::new(column, value_type, driver.writable_as(column, value_type).unwrap())
    };
    let shape = ChangeShape {
        table: remote.table.clone(),
        op,
        key: vec![target(&"id")],
        assigned: assigned.iter().map(target).collect(),
        returning: Vec::new(),
    };
    driver.render_change(&shape).unwrap()
}

#[tokio::test]
async fn rules_of_the_source_are_told_by_their_kind_alone() {
    let Some(server) = Server::start() else { return };
    server.sql(RULES);
    let driver = driver(&server, "rules");
    driver.health().await.unwrap();
    let context = ExecuteContext::default();
    let insert = change(&driver, "child", ChangeOp::Insert, &["parent", "must", "small"]).await;
    let row = |id: i32, parent: i32, must: &str, small: i32| {
        vec![Value::Int32(id), Value::Int32(parent), Value::text(must), Value::Int32(small)]
    };
    let nothing = vec![Value::Int32(2), Value::Int32(1), Value::Null(ValueType::Text), Value::Int32(1)];
    let generated = change(&driver, "child", ChangeOp::Update, &["twice"]).await;
    let referred = change(&driver, "parent", ChangeOp::Delete, &[]).await;
    let folded = change(&driver, "folded", ChangeOp::Delete, &[]).await;
    let listed = change(&driver, "folded", ChangeOp::Update, &["e"]).await;
    let plain = change(&driver, "plain", ChangeOp::Insert, &["small"]).await;
    for (change, row, code) in [
        (&insert, row(1, 1, "x", 1), ErrorCode::UniqueViolation),
        (&insert, row(2, 9, "x", 1), ErrorCode::ForeignKeyViolation),
        (&insert, nothing, ErrorCode::NotNullViolation),
        (&insert, row(2, 1, "x", 11), ErrorCode::CheckViolation),
        (&insert, row(2, 1, "forbidden", 1), ErrorCode::CheckViolation),
        (&insert, row(2, 1, "much too long", 1), ErrorCode::StringDataTooLong),
        (&generated, vec![Value::Int32(1), Value::Int32(5)], ErrorCode::GeneratedAlways),
        (&referred, vec![Value::Int32(1)], ErrorCode::ForeignKeyViolation),
        // Another row, by the column's own collation.
        (&folded, vec![Value::text("a")], ErrorCode::SerializationFailure),
        (&listed, vec![Value::text("A"), Value::text("b")], ErrorCode::DataException),
        (&plain, vec![Value::Int32(1), Value::Int32(1)], ErrorCode::FeatureNotSupported),
    ] {
        let columns = row.iter().enumerate().map(|(at, value)| (format!("c{at}"), value.to_array().unwrap(), true));
        let set = ChangeSet::new(&change.shape, RecordBatch::try_from_iter_with_nullable(columns).unwrap()).unwrap();
        let mut tx = driver.begin(Begin::default(), &context).await.unwrap();
        let error = tx.apply(change, &set, &context).await.unwrap_err();
        assert_eq!(error.code(), code, "{row:?}: {error} {:?}", error.cause());
        for name in ["child", "parent", "must", "twice", "secret", "forbidden", "folded"] {
            assert!(!format!("{error} {:?}", error.hint()).contains(name), "{error}");
        }
        tx.rollback().await;
    }
}
