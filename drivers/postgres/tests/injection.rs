//! Texts that break out of quotes, as values and as names: the shape of a statement never changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod common;

use common::query::{fragment, rows};
use common::server;
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_postgres::{PostgresDriver, PostgresOptions};

const TEXT: ValueType = ValueType::Text;

const CORPUS: [&str; 34] = [
    "'",
    "''",
    "\"",
    "\"\"",
    "\\",
    "\\'",
    "q\\' or 1=1 --",
    "' OR '1'='1",
    "'; DROP TABLE victims; --",
    "\"; DROP TABLE victims; --",
    "x\"\" , version() --",
    "$$",
    "$1",
    "$1::text",
    "$tag$",
    "E'\\x27'",
    "U&'\\0027'",
    "/*",
    "*/",
    "--",
    "-- \n",
    ";",
    "\u{2019}",
    "\u{ff07}",
    "\u{02bc}",
    "'||pg_sleep(9)||'",
    "%",
    "_",
    "\u{0}x",
    "a\nb",
    "\u{202e}'",
    "?",
    ":name",
    "{}",
];

fn scan(table: &str, column: &str) -> Relation {
    let column = ScanColumn {
        id: ColumnId(0),
        name: Identifier::new(column).unwrap(),
        value_type: TEXT,
        nullable: true,
        collation: Collation::Binary,
        encoding: Encoding::Canonical,
    };
    Relation::Scan { table: TableRef::new(["public", table]).unwrap(), columns: vec![column] }
}

fn equals(input: Relation) -> Relation {
    let predicate =
        ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(ColumnId(0)), ScalarExpr::Parameter(0, TEXT));
    Relation::Filter { input: Box::new(input), predicate }
}

#[tokio::test]
async fn a_value_is_found_and_never_read() {
    let Some(server) = server() else { return };
    let client = server.database("values_in", "").await;
    client.batch_execute("CREATE TABLE victims (v text)").await.unwrap();
    for evil in CORPUS.iter().filter(|evil| !evil.contains('\0')) {
        client.execute("INSERT INTO victims VALUES ($1)", &[evil]).await.unwrap();
    }
    let driver = server.driver("values_in");
    let mut shapes = std::collections::BTreeSet::new();
    for evil in CORPUS {
        let value = Value::text(evil);
        let fragment = fragment(equals(scan("victims", "v")), &[(0, TEXT)], std::slice::from_ref(&value));
        let statement = driver.render(&fragment).unwrap();
        shapes.insert(statement.text.to_string());
        if evil.contains('\0') {
            assert!(driver.accepts(&statement, &[value]).is_err());
            continue;
        }
        let found =
            rows(&driver, equals(scan("victims", "v")), &[(0, TEXT)], std::slice::from_ref(&value)).await.unwrap();
        assert_eq!(found, [[value.clone()]], "{evil}");
        let like = ScalarExpr::Like {
            expr: Box::new(ScalarExpr::Column(ColumnId(0))),
            pattern: 0,
            negated: false,
            case_insensitive: false,
        };
        let liked = Relation::Filter { input: Box::new(scan("victims", "v")), predicate: like };
        let pattern = Value::text(evil.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        assert_eq!(rows(&driver, liked, &[(0, TEXT)], &[pattern]).await.unwrap(), [[value]], "{evil}");
    }
    assert_eq!(shapes.len(), 1, "{shapes:?}");
    let left: i64 = client.query_one("SELECT count(*) FROM victims", &[]).await.unwrap().get(0);
    assert_eq!(left, 33);
}

#[tokio::test]
async fn a_name_is_that_name_or_refused() {
    let Some(server) = server() else { return };
    let client = server.database("names_in", "").await;
    let driver = server.driver("names_in");
    let long = "n".repeat(63);
    let mixed = ["select", "Order Item", "naïve", "日本", "c0", "t1", "c1", " ", long.as_str()];
    for evil in CORPUS.into_iter().filter(|evil| !evil.contains('\0')).chain(mixed) {
        let quoted = format!("\"{}\"", evil.replace('"', "\"\""));
        client
            .batch_execute(&format!("CREATE TABLE {quoted} ({quoted} text); INSERT INTO {quoted} VALUES ('found')"))
            .await
            .unwrap();
        let path = TableRef::new(["public", evil]).unwrap();
        let described = driver.describe(&path).await.unwrap();
        assert_eq!(described.columns[0].name.as_str(), evil);
        let found = rows(&driver, equals(scan(evil, evil)), &[(0, TEXT)], &[Value::text("found")]).await.unwrap();
        assert_eq!(found, [[Value::text("found")]], "{evil}");
    }
    assert_eq!(driver.tables().await.unwrap().len(), 33 + 9);
}

#[test]
fn names_that_the_server_would_cut_or_take_for_its_own_are_refused() {
    let driver = PostgresDriver::new(&PostgresOptions::new("shop", "nowhere", "u", "d")).unwrap();
    let long = "n".repeat(64);
    for (table, column) in [("t", "ctid"), ("t", "xmin"), ("t", "tableoid"), ("t", long.as_str()), (long.as_str(), "c")]
    {
        let refusal = driver.render(&fragment(scan(table, column), &[(0, TEXT)], &[])).unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::Name, "{table}.{column}");
    }
    let mut bare = scan("t", "c");
    if let Relation::Scan { table, .. } = &mut bare {
        *table = TableRef::new(["t"]).unwrap();
    }
    assert_eq!(driver.render(&fragment(bare, &[(0, TEXT)], &[])).unwrap_err().reason, RefusalReason::Name);
}
