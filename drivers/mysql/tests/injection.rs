//! Values and names that try to become SQL: no value changes a statement's text, and no name means anything but itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{administrator, driver, ids, output, rows};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::testkit::Seeded;
use querygate_driver_api::value::{Value, ValueType};
use querygate_mysql::MysqlDriver;
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;
use std::collections::BTreeSet;

const TEXT: ValueType = ValueType::Text;

/// What breaks out of quotes, comments, statements, character sets and backslash modes elsewhere.
const HOSTILE: &[&str] = &[
    "'",
    "''",
    "\\",
    "\\'",
    "'\\",
    "\\\\'",
    "\"",
    "`",
    "``",
    "' OR '1'='1",
    "' OR 1=1 -- ",
    "\\' OR 1=1 -- ",
    "'; DROP TABLE victim; -- ",
    "x' AND SLEEP(5) -- ",
    "/*",
    "*/",
    "/*! SELECT 1 */",
    "-- ",
    "#",
    ";",
    "?",
    "?1",
    "$1",
    ":a",
    "%",
    "_",
    "|",
    "0x27",
    "x'27'",
    "_utf8mb4'a'",
    "{t '00:00'}",
    "@@version",
    "NULL",
    "\u{2019}",
    "\u{02BC}",
    "\u{FF07}",
    "\u{00BF}'",
    "\u{5C}\u{27}",
    "\r\n'",
    "\u{1A}",
    "\u{8}'",
    "😀'",
    "a\u{0}'b",
];

fn values() -> BTreeSet<String> {
    let mut all: BTreeSet<String> = HOSTILE.iter().map(|text| (*text).to_owned()).collect();
    let mut seeded = Seeded::new(0x1417);
    while all.len() < 400 {
        let parts: Vec<&str> = (0..=seeded.below(4)).filter_map(|_| seeded.choose(HOSTILE).copied()).collect();
        all.insert(parts.concat());
    }
    all
}

fn scan_of(table: &TableRef, name: &str) -> Relation {
    let column = |id, name: &str, value_type| ScanColumn {
        id: ColumnId(id),
        name: Identifier::new(name).unwrap(),
        value_type,
        nullable: false,
        collation: Collation::Binary,
        encoding: Encoding::Canonical,
    };
    let columns = vec![column(0, "id", ValueType::Int64), column(1, name, TEXT)];
    Relation::Scan { table: table.clone(), columns }
}

fn conditions() -> Vec<(&'static str, ScalarExpr)> {
    let column = || Box::new(ScalarExpr::Column(ColumnId(1)));
    let value = || ScalarExpr::Parameter(0, TEXT);
    let call =
        |function| ScalarExpr::Function { function, args: vec![*column(), value()], value_type: ValueType::Boolean };
    vec![
        ("=", ScalarExpr::compare(ComparisonOp::Eq, *column(), value())),
        ("in", ScalarExpr::InList { expr: column(), list: vec![value(), value()], negated: false }),
        (
            "between",
            ScalarExpr::Between { expr: column(), low: Box::new(value()), high: Box::new(value()), negated: false },
        ),
        ("is not distinct", ScalarExpr::compare(ComparisonOp::IsNotDistinctFrom, *column(), value())),
        ("starts and ends", ScalarExpr::And(vec![call(ScalarFunction::StartsWith), call(ScalarFunction::EndsWith)])),
    ]
}

#[tokio::test]
async fn no_value_changes_a_statement() {
    let Some(server) = Server::start() else { return };
    server.sql(
        "CREATE DATABASE inj; USE inj; CREATE TABLE victim (id BIGINT PRIMARY KEY, t VARCHAR(200) CHARACTER SET utf8mb4
             COLLATE utf8mb4_general_ci NOT NULL, KEY (t));",
    );
    let values = values();
    let mut connection = administrator(&server, "inj").await;
    for (id, value) in (0_i64..).zip(&values) {
        let insert = sqlx::query("INSERT INTO victim VALUES (?, ?)").bind(id).bind(value.clone());
        insert.execute(&mut connection).await.unwrap();
    }
    let driver = driver(&server, "inj");
    let victim = TableRef::new(["victim"]).unwrap();
    driver.describe(&victim).await.unwrap();
    for (name, predicate) in conditions() {
        let relation = Relation::Filter { input: Box::new(scan_of(&victim, "t")), predicate };
        let fragment =
            Fragment { relation: relation.clone(), output: vec![output(0, ValueType::Int64)], parameters: vec![TEXT] };
        let statement = driver.render(&fragment).unwrap();
        assert!(!statement.text.contains('"') && !statement.text.contains("--"), "{}", statement.text);
        for (id, value) in (0_i64..).zip(&values) {
            let values = [Value::text(value.as_str())];
            let found = rows(&driver, relation.clone(), vec![output(0, ValueType::Int64)], &values).await.unwrap();
            let found = ids(&found);
            if name == "starts and ends" {
                // Longer texts may begin and end with it too.
                assert!(found.contains(&id), "{name} {value:?}");
            } else {
                assert_eq!(found, [id], "{name} {value:?}");
            }
        }
    }
    assert_eq!(server.sql("SELECT COUNT(*) FROM inj.victim").trim(), values.len().to_string());
}

#[tokio::test]
async fn a_name_is_itself_or_refused() {
    let Some(server) = Server::start() else { return };
    server.sql("CREATE DATABASE inj");
    let driver = driver(&server, "inj");
    let mut connection = administrator(&server, "inj").await;
    let mut stored = 0;
    let reserved = ["select", "Order", "group by", "ключ", "a b", "t1", "c0", "column1", "1", "a.b", "`a`.`b`"];
    let names: Vec<String> = values()
        .into_iter()
        .step_by(3)
        .filter(|name| !name.contains('\0'))
        .chain(reserved.map(str::to_owned))
        .collect();
    for (number, name) in names.iter().enumerate() {
        let Ok(table) = TableRef::new([name.clone()]) else { continue };
        match create(&mut connection, &driver, &table, number).await {
            Some(found) => {
                assert_eq!(found, [i64::try_from(number).unwrap()], "{name:?}");
                stored += 1;
            }
            None => assert!(!is_plain(name), "{name:?}"),
        }
    }
    assert!(stored > 80, "only {stored} names were tried");
}

fn is_plain(name: &str) -> bool {
    name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Makes a table of this name with a column of this name, and reads the number it holds through the driver. None if the
/// server or the driver refuses the name.
async fn create(
    connection: &mut MySqlConnection,
    driver: &MysqlDriver,
    table: &TableRef,
    number: usize,
) -> Option<Vec<i64>> {
    let name = table.name();
    let quoted = name.replace('`', "``");
    let sql = format!(
        "CREATE TABLE `{quoted}` (`id` BIGINT PRIMARY KEY, `{quoted}` VARCHAR(9) NOT NULL) ENGINE=MEMORY;
         INSERT INTO `{quoted}` VALUES ({number}, 'x')"
    );
    if name == "id" || sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.is_err() {
        return None;
    }
    driver.describe(table).await.unwrap();
    let equal = ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(ColumnId(1)), ScalarExpr::Parameter(0, TEXT));
    let relation = Relation::Filter { input: Box::new(scan_of(table, name)), predicate: equal };
    let found = rows(driver, relation, vec![output(0, ValueType::Int64)], &[Value::text("x")]).await.unwrap();
    Some(ids(&found))
}
