//! Texts that would be operators, variables or other documents, as values and as names: the shape of a pipeline never changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{driver, output, rows};
use mongodb::bson::{Document, doc};
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_mongodb::{MongoDriver, MongoOptions};
use std::collections::BTreeSet;

const TEXT: ValueType = ValueType::Text;

const CORPUS: [&str; 40] = [
    "$where",
    "$ne",
    "{\"$ne\": null}",
    "{$gt: ''}",
    "{\"$where\": \"sleep(9000)\"}",
    "'; return true; var x='",
    "$secret",
    "$$ROOT",
    "$$CURRENT.secret",
    "$secret.$",
    "secret.0",
    "$expr",
    "{\"$expr\": true}",
    "[\"$secret\"]",
    "\"}]}",
    "\"},{\"$out\":\"victims\"},{\"$match\":{\"x\":\"",
    "\\",
    "\\\"",
    "\"",
    "'",
    "/.*/",
    ".*",
    "^",
    "(?s).*",
    "\\A",
    "\\z",
    "\\Q",
    "\\E",
    "(a+)+$",
    "$1",
    "known($1,{})",
    "present[]",
    "NaN",
    "null",
    "%",
    "_",
    "a\nb",
    "\u{202e}\u{ff04}where",
    "__proto__",
    "65f000000000000000000001",
];

fn scan(table: &str, field: &str) -> Relation {
    let column = ScanColumn {
        id: ColumnId(0),
        name: Identifier::new(field).unwrap(),
        value_type: TEXT,
        nullable: true,
        collation: Collation::Binary,
        encoding: Encoding::Canonical,
    };
    Relation::Scan { table: TableRef::new([table]).unwrap(), columns: vec![column] }
}

fn column() -> ScalarExpr {
    ScalarExpr::Column(ColumnId(0))
}

fn parameter() -> ScalarExpr {
    ScalarExpr::Parameter(0, TEXT)
}

/// Every way in which a text meets a field, each of which finds the field that holds it.
fn ways() -> Vec<ScalarExpr> {
    let equal = ScalarExpr::compare(ComparisonOp::Eq, column(), parameter());
    let call =
        |function| ScalarExpr::Function { function, args: vec![column(), parameter()], value_type: ValueType::Boolean };
    let known = ScalarExpr::IsNull { expr: Box::new(column()), negated: true };
    let computed = ScalarExpr::Case { branches: vec![(known, column())], otherwise: None };
    vec![
        equal.clone(),
        ScalarExpr::compare(ComparisonOp::IsNotDistinctFrom, column(), parameter()),
        ScalarExpr::InList { expr: Box::new(column()), list: vec![parameter()], negated: false },
        ScalarExpr::Between {
            expr: Box::new(column()),
            low: Box::new(parameter()),
            high: Box::new(parameter()),
            negated: false,
        },
        ScalarExpr::Not(Box::new(ScalarExpr::compare(ComparisonOp::NotEq, column(), parameter()))),
        ScalarExpr::compare(ComparisonOp::Eq, computed, parameter()),
        ScalarExpr::Case { branches: vec![(equal, ScalarExpr::always())], otherwise: None },
        ScalarExpr::And(vec![
            call(ScalarFunction::StartsWith),
            call(ScalarFunction::EndsWith),
            ScalarExpr::compare(ComparisonOp::LtEq, column(), parameter()),
        ]),
    ]
}

fn rendered(driver: &MongoDriver, relation: &Relation) -> String {
    let fragment = Fragment { relation: relation.clone(), output: vec![output(0, TEXT)], parameters: vec![TEXT] };
    driver.render(&fragment).unwrap().text.to_string()
}

#[tokio::test]
async fn a_value_is_found_and_never_read() {
    let Some(server) = Server::start().await else { return };
    let victims = server.admin("values_in").collection::<Document>("victims");
    victims.insert_many(CORPUS.iter().map(|evil| doc! { "v": *evil, "secret": "s" })).await.unwrap();
    victims.insert_many([doc! { "v": { "$ne": "x" } }, doc! { "secret": "s" }, doc! { "v": 7 }]).await.unwrap();
    let driver = driver(&server, "values_in");
    let mut shapes = BTreeSet::new();
    for evil in CORPUS {
        let value = Value::text(evil);
        for predicate in ways() {
            let relation = Relation::Filter { input: Box::new(scan("victims", "v")), predicate: predicate.clone() };
            shapes.insert(rendered(&driver, &relation));
            let found = rows(&driver, relation, vec![output(0, TEXT)], std::slice::from_ref(&value)).await.unwrap();
            assert_eq!(found, [[value.clone()]], "{evil} {predicate:?}");
        }
        let like = ScalarExpr::Like { expr: Box::new(column()), pattern: 0, negated: false, case_insensitive: false };
        let relation = Relation::Filter { input: Box::new(scan("victims", "v")), predicate: like };
        shapes.insert(rendered(&driver, &relation));
        let pattern = Value::text(evil.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        assert_eq!(
            rows(&driver, relation, vec![output(0, TEXT)], &[pattern]).await.unwrap(),
            [[value.clone()]],
            "{evil}"
        );
        // As what is computed, it is itself too.
        let computed = Relation::Project {
            input: Box::new(scan("victims", "v")),
            exprs: vec![(
                ColumnId(5),
                ScalarExpr::Case { branches: vec![(ScalarExpr::always(), parameter())], otherwise: None },
            )],
        };
        let found = rows(&driver, computed, vec![output(5, TEXT)], std::slice::from_ref(&value)).await.unwrap();
        assert!(found.len() == CORPUS.len() + 3 && found.iter().all(|row| row[0] == value), "{evil}");
    }
    // Equal, and not different, are one shape.
    assert_eq!(shapes.len(), ways().len(), "{shapes:?}");
    assert_eq!(victims.count_documents(doc! {}).await.unwrap(), 43);
}

#[tokio::test]
async fn a_name_is_that_name_or_refused() {
    let Some(server) = Server::start().await else { return };
    let admin = server.admin("names_in");
    let driver = driver(&server, "names_in");
    let mut read = 0;
    for evil in CORPUS.into_iter().chain(["select", "naïve", "日本", "c0", "_id ", " ", "a.b"]) {
        // A collection of that name, if the server has such names, with fields that would answer instead.
        let created = admin.run_command(doc! { "create": evil }).await.is_ok();
        let table = if created { evil } else { "plain" };
        let collection = admin.collection::<Document>(table);
        collection.insert_one(doc! { evil: "found", "secret": "s", "c0": "other" }).await.unwrap();
        let relation = scan(table, evil);
        let fragment = Fragment { relation: relation.clone(), output: vec![output(0, TEXT)], parameters: vec![] };
        match driver.render(&fragment) {
            Ok(_) => {
                let found = rows(&driver, relation, vec![output(0, TEXT)], &[]).await.unwrap();
                let found: Vec<&Value> = found.iter().map(|row| &row[0]).filter(|value| !value.is_null()).collect();
                let expected = if evil == "c0" { Value::text("other") } else { Value::text("found") };
                // A name with dots is a path, and there is nothing at its end.
                assert!(evil.contains('.') || found == [&expected], "{evil}: {found:?}");
                read += 1;
            }
            Err(refusal) => assert_eq!(refusal.reason, RefusalReason::Name, "{evil}"),
        }
        let described = driver.describe(&TableRef::new([table]).unwrap()).await.unwrap();
        let fields: Vec<&str> = described.columns.iter().map(|column| column.name.as_str()).collect();
        assert!(fields.iter().all(|field| !field.starts_with('$')), "{fields:?}");
    }
    assert!(read > 25, "{read}");
}

#[test]
fn operators_and_foreign_tables_are_no_names() {
    let driver = MongoDriver::new(&MongoOptions::new("mongodb://127.0.0.1:1", "shop"));
    for (table, field) in
        [("t", "$where"), ("t", "a.$b"), ("t", "a..b"), ("t", "0"), ("t", "a.1"), ("system.users", "c"), ("$cmd", "c")]
    {
        let fragment = Fragment { relation: scan(table, field), output: vec![output(0, TEXT)], parameters: vec![] };
        assert_eq!(driver.render(&fragment).unwrap_err().reason, RefusalReason::Name, "{table}.{field}");
    }
    let mut foreign = scan("t", "c");
    if let Relation::Scan { table, .. } = &mut foreign {
        *table = TableRef::new(["admin", "t"]).unwrap();
    }
    let fragment = Fragment { relation: foreign, output: vec![output(0, TEXT)], parameters: vec![] };
    assert_eq!(driver.render(&fragment).unwrap_err().reason, RefusalReason::Name);
}

#[test]
fn a_fence_stands_between_the_policy_and_what_is_above() {
    let driver = MongoDriver::new(&MongoOptions::new("mongodb://127.0.0.1:1", "shop"));
    let policy = ScalarExpr::compare(ComparisonOp::Eq, column(), parameter());
    let inside = Relation::Filter { input: Box::new(scan("t", "tenant")), predicate: policy };
    let length = ScalarExpr::Function {
        function: ScalarFunction::CharLength,
        args: vec![column()],
        value_type: ValueType::Int64,
    };
    let outside = ScalarExpr::IsNull { expr: Box::new(length), negated: true };
    let fenced = Relation::Filter { input: Box::new(Relation::Fence { input: Box::new(inside) }), predicate: outside };
    let text = rendered(&driver, &fenced);
    let places: Vec<usize> = ["\"tenant\":{\"$eq\":$1", "{\"$limit\":9223372036854775807}", "$strLenCP"]
        .iter()
        .map(|part| text.find(part).unwrap())
        .collect();
    assert!(places.is_sorted(), "{text}");
    assert!(
        !text.contains("known(){") && text.starts_with("{\"aggregate\":\"t\",\"pipeline\":[{\"$match\":"),
        "{text}"
    );
}
