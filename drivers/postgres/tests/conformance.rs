//! The shared conformance suite over real PostgreSQL servers: plain columns, and columns in every other form that reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

mod common;

use common::{LIMITS, load, plain, server};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::testkit::{lifecycle, suite};
use querygate_driver_api::value::ValueType;

async fn check(database: &str, least: usize) {
    let Some(server) = server() else { return };
    let driver = server.driver(database);
    let report = suite::run(&driver, &["public"], LIMITS).await.unwrap();
    let refused: usize = report.refused.values().sum();
    eprintln!(
        "{database}: equal {}, refused {refused}, overflowed {}, failed {}",
        report.equal,
        report.overflowed,
        report.failures.len()
    );
    for (text, count) in &report.refused {
        eprintln!("  refused {count}: {text}");
    }
    for failure in report.failures.iter().take(25) {
        eprintln!("FAILED {failure}");
    }
    assert!(report.failures.is_empty());
    assert!(report.equal > least, "only {} fragments were pushed", report.equal);
}

#[tokio::test]
async fn every_pushed_fragment_equals_the_reference() {
    let Some(server) = server() else { return };
    load(&server.database("plain", "").await, plain).await;
    check("plain", 6_000).await;
}

#[tokio::test]
async fn a_database_that_orders_by_code_point_answers_the_same() {
    let Some(server) = server() else { return };
    load(&server.database("code_point", "LOCALE 'C' LOCALE_PROVIDER libc").await, plain).await;
    check("code_point", 6_000).await;
}

#[tokio::test]
async fn columns_in_other_forms_answer_the_same() {
    let Some(server) = server() else { return };
    let client = server.database("forms", "").await;
    let types = "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE DOMAIN amount AS numeric(18,4); CREATE DOMAIN nested AS amount;";
    client.batch_execute(types).await.unwrap();
    let declare = |name: &str, value_type: ValueType| match (name, value_type) {
        ("words", _) => "text COLLATE folded".to_owned(),
        ("label", _) => "varchar(40) COLLATE \"de-x-icu\"".to_owned(),
        ("medium", _) => "integer".to_owned(),
        ("money", _) => "nested".to_owned(),
        ("wide", _) => "numeric".to_owned(),
        ("instant", _) => "timestamp".to_owned(),
        ("tags", _) => "varchar(30)[]".to_owned(),
        (name, value_type) => plain(name, value_type),
    };
    load(&client, declare).await;
    check("forms", 6_000).await;
}

#[tokio::test]
async fn executions_end_as_they_should() {
    let Some(server) = server() else { return };
    load(&server.database("lifecycle", "").await, plain).await;
    let driver = server.driver("lifecycle");
    assert_eq!(lifecycle::run(&driver, &["public"]).await.unwrap(), Vec::<String>::new());
    assert_eq!(driver.kind(), "postgres");
}
