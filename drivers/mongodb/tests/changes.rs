//! Changes to a MongoDB database: the shared suite, and what only documents have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::changing::{Target, marking, writing};
use common::server::Server;
use common::suited::Suited;
use common::{LIMITS, load, object_id};
use futures::TryStreamExt;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Decimal128, Document, doc};
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{Constant, ScalarExpr};
use querygate_driver_api::testkit::changes;
use querygate_driver_api::testkit::dataset::values;
use querygate_driver_api::testkit::reference::order;
use querygate_driver_api::testkit::suite::values_of;
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{ChangeOp, Writer};
use querygate_types::ErrorCode;
use std::collections::BTreeMap;
use std::sync::Arc;

const TYPES: [ValueType; 13] = [
    ValueType::Boolean,
    ValueType::Int16,
    ValueType::Int32,
    ValueType::Int64,
    ValueType::Float64,
    ValueType::Decimal128 { precision: 18, scale: 2 },
    ValueType::Decimal128 { precision: 38, scale: 0 },
    ValueType::Text,
    ValueType::Binary,
    ValueType::Date,
    ValueType::Time,
    ValueType::Timestamp { utc: true },
    ValueType::TextList,
];

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_stored_or_refused_and_end_as_they_should() {
    let Some(server) = Server::start_replicated().await else { return };
    load(&server, "shop", false).await;
    let unique = doc! { "key": { "id": 1 }, "name": "id", "unique": true, "collation": { "locale": "simple" } };
    server.admin("shop").run_command(doc! { "createIndexes": "empty", "indexes": [unique] }).await.unwrap();
    server.admin("shop").run_command(doc! { "create": "querygate_commits" }).await.unwrap();
    let driver = marking(&server, "shop");
    assert!(driver.writer().is_some() && common::driver(&server, "shop").writer().is_none());
    let suited = Suited { inner: driver, endless: false };
    let report = changes::run(Arc::new(suited), &["shop"], LIMITS).await.unwrap();
    eprintln!("stored {}, refused {:#?}", report.stored, report.refused);
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.stored > 150, "only {} values were stored", report.stored);
}

/// A document with a field of each kind, and two of which fields have several kinds.
fn kinds() -> [Document; 2] {
    let decimal = Bson::Decimal128("12.50".parse::<Decimal128>().unwrap());
    let bytes = Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 255] });
    let uuid = Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] });
    let date = DateTime::from_millis(86_400_000);
    let one = doc! {
        "_id": object_id(1), "bool": true, "int": 1, "long": 5_000_000_000_i64, "double": 2.5, "decimal": decimal.clone(),
        "string": "a", "digits": "12.50", "oid": object_id(9), "date": date, "bytes": bytes, "tags": ["x", null],
        "json": { "$x": 1 }, "uuid": uuid, "whole": 1, "number": 1, "money": 1, "either": object_id(3), "when": date,
        "deep": { "int": 1, "more": { "string": "b" } },
    };
    let other = doc! {
        "_id": object_id(2), "whole": 5_000_000_000_i64, "number": 2.5, "money": decimal, "either": "text", "when": "2024-01-01",
        "null": null,
    };
    [one, other]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_read_back_from_every_kind_of_field_or_refused() {
    let Some(server) = Server::start_replicated().await else { return };
    let collection = server.admin("kinds").collection::<Document>("t");
    collection.insert_many(kinds()).await.unwrap();
    let driver = writing(&server, "kinds");
    let target = Target::of(&driver, "t").await;
    let id = |number: u8| Value::text(object_id(number).to_hex());
    let (mut stored, mut refused, mut closed) = (0, BTreeMap::<String, usize>::new(), 0);
    for column in &target.remote.columns {
        let name = column.name.as_str();
        for value_type in TYPES.into_iter().filter(|_| name != "_id") {
            let Ok(encoding) = driver.writable_as(column, value_type) else {
                closed += 1;
                continue;
            };
            assert_eq!(driver.read_as(column, value_type), Ok(encoding), "{name} {value_type:?}");
            let update = target.change_as(ChangeOp::Update, &[(name, value_type)]);
            let insert = target.change_as(ChangeOp::Insert, &[(name, value_type)]);
            let all = values(value_type, LIMITS).into_iter().chain([Value::Null(value_type)]);
            for value in all {
                for (change, key) in [(&update, id(1)), (&insert, id(50))] {
                    let mut tx = target.begin().await;
                    match Target::apply(&mut tx, change, &[key.clone(), value.clone()]).await {
                        Ok(rows) => {
                            let same = rows.len() == 1
                                && rows[0][1].is_null() == value.is_null()
                                && order(&rows[0][1], &value).is_eq();
                            assert!(same, "{name} as {value_type:?}: {rows:?} instead of {value:?}");
                            stored += 1;
                        }
                        Err(error) => {
                            assert!(
                                error.code().sqlstate().starts_with("22"),
                                "{name} {value:?}: {error} {:?}",
                                error.cause()
                            );
                            *refused
                                .entry(format!("{} in {}: {error}", value_type.name(), column.native_type))
                                .or_default() += 1;
                        }
                    }
                    tx.rollback().await;
                }
            }
        }
    }
    eprintln!("stored {stored}, closed {closed}, refused {refused:#?}");
    assert!(stored > 600, "only {stored} values were stored");
    assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 2, "what is rolled back is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_assigned_fields_change_and_keep_their_kinds() {
    let Some(server) = Server::start_replicated().await else { return };
    let collection = server.admin("kinds").collection::<Document>("t");
    collection.insert_many(kinds()).await.unwrap();
    let driver = writing(&server, "kinds");
    let target = Target::of(&driver, "t").await;
    let assigned = ["int", "whole", "deep.int", "deep.more.string", "string", "oid", "tags"];
    let update = target.change(ChangeOp::Update, &assigned);
    let list = Value::TextList([Some("y".into()), None, Some("z".into())].into());
    let row = |number: u8, text: Value| {
        let (int, id) = (Value::Int64(7), Value::text(object_id(number).to_hex()));
        [id, int.clone(), int.clone(), int, Value::text("c"), text, Value::text(object_id(8).to_hex()), list.clone()]
    };
    let null = Value::Null(ValueType::Text);
    let mut tx = target.begin().await;
    let rows = Target::apply(&mut tx, &update, &row(1, null.clone())).await.unwrap();
    assert_eq!(rows[0][1..], row(1, null.clone())[1..]);
    tx.commit().await.unwrap();
    let [mut expected, _] = kinds();
    for (name, value) in [("int", Bson::Int32(7)), ("whole", Bson::Int32(7)), ("oid", object_id(8).into())] {
        expected.insert(name, value);
    }
    expected.insert("deep", doc! { "int": 7, "more": { "string": "c" } });
    expected.insert("tags", vec![Bson::from("y"), Bson::Null, Bson::from("z")]);
    expected.remove("string");
    assert_eq!(collection.find_one(doc! { "_id": object_id(1) }).await.unwrap(), Some(expected));
    // A new document has its fields below others, and none for NULL. Without a key it gets one.
    let insert = target.change(ChangeOp::Insert, &assigned);
    let mut tx = target.begin().await;
    Target::apply(&mut tx, &insert, &row(7, null.clone())).await.unwrap();
    let mut keyless = row(7, Value::text("kept"));
    keyless[0] = null;
    let made = Target::apply(&mut tx, &insert, &keyless).await.unwrap();
    tx.commit().await.unwrap();
    let Value::Text(key) = &made[0][0] else { panic!("{made:?}") };
    assert_eq!(key.len(), 24);
    let found = collection.find_one(doc! { "_id": object_id(7) }).await.unwrap().unwrap();
    assert_eq!(
        found,
        doc! { "_id": object_id(7), "int": 7, "whole": 7, "deep": { "int": 7, "more": { "string": "c" } }, "oid": object_id(8),
        "tags": ["y", null, "z"] }
    );
    assert_eq!(collection.count_documents(doc! { "string": "kept" }).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_the_source_are_told_by_their_kind_alone() {
    let Some(server) = Server::start_replicated().await else { return };
    let admin = server.admin("rules");
    let schema = doc! { "bsonType": "object", "properties": { "secret_small": { "maximum": 9 }, "_id": {}, "code": {}, "p": {} },
    "additionalProperties": false };
    admin.run_command(doc! { "create": "strict", "validator": { "$jsonSchema": schema } }).await.unwrap();
    let collection = admin.collection::<Document>("strict");
    let plain = |id: i32, code: &str| doc! { "_id": id, "code": code, "secret_small": 1, "p": { "q": 1 } };
    collection.insert_many([plain(1, "secret a"), plain(2, "b")]).await.unwrap();
    let unique = doc! { "key": { "code": 1 }, "name": "secret_index", "unique": true };
    admin.run_command(doc! { "createIndexes": "strict", "indexes": [unique] }).await.unwrap();
    let driver = writing(&server, "rules");
    let target = Target::of(&driver, "strict").await;
    // After it was described, a field has become an array, and another a value.
    collection.insert_one(doc! { "_id": 3, "code": "c", "p": [{ "q": 1 }] }).await.unwrap();
    collection.insert_one(doc! { "_id": 4, "code": "d", "p": 5 }).await.unwrap();
    let code = target.change(ChangeOp::Update, &["code"]);
    let insert = target.change(ChangeOp::Insert, &["code"]);
    let small = target.change(ChangeOp::Update, &["secret_small"]);
    let below = target.change(ChangeOp::Update, &["p.q"]);
    let delete = target.change(ChangeOp::Delete, &[]);
    let (int, text) = (Value::Int64, |text: &str| Value::text(text));
    for (change, row, expected) in [
        (&code, vec![int(2), text("secret a")], ErrorCode::UniqueViolation),
        (&insert, vec![int(2), text("x")], ErrorCode::UniqueViolation),
        (&insert, vec![Value::Null(ValueType::Int64), text("x")], ErrorCode::NotNullViolation),
        (&small, vec![int(1), int(10)], ErrorCode::CheckViolation),
        (&below, vec![int(3), int(2)], ErrorCode::DataException),
        (&below, vec![int(4), int(2)], ErrorCode::DataException),
        (&code, vec![int(9), text("x")], ErrorCode::SerializationFailure),
        (&code, vec![int(1), text("a\0")], ErrorCode::CharacterNotInRepertoire),
        (&delete, vec![int(9)], ErrorCode::SerializationFailure),
    ] {
        let mut tx = target.begin().await;
        let error = Target::apply(&mut tx, change, &row).await.unwrap_err();
        assert_eq!(error.code(), expected, "{row:?}: {error} {:?}", error.cause());
        let told = format!("{error} {:?} {:?}", error.detail(), error.hint());
        assert!(!told.contains("secret") && !told.contains("strict"), "{told}");
        assert!(tx.has_failed());
        tx.rollback().await;
    }
    // A row that is locked only would have to be written to.
    let mut tx = target.begin().await;
    target.locked(&mut tx, int(1), "code").await.unwrap();
    let refused = tx.commit().await.unwrap_err();
    assert_eq!(refused.error().code(), ErrorCode::FeatureNotSupported, "{refused}");
    let mut tx = target.begin().await;
    target.locked(&mut tx, int(1), "code").await.unwrap();
    Target::apply(&mut tx, &code, &[int(1), text("changed")]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(collection.count_documents(doc! { "code": "changed" }).await.unwrap(), 1);
}

/// Rows of a transaction, counted by the server: those that are there, and none.
async fn counted(target: &Target<'_>, rows: i64) {
    let count = AggregateExpr {
        function: AggregateFunction::CountStar,
        args: vec![],
        distinct: false,
        filter: None,
        value_type: ValueType::Int64,
    };
    for (truth, expected) in [(Constant::True, rows), (Constant::False, 0)] {
        let scan = common::scan(target.driver, target.remote.table.name(), 0).await;
        let scan = Relation::Filter { input: Box::new(scan), predicate: ScalarExpr::Constant(truth) };
        let aggregates = vec![(ColumnId(9), count.clone())];
        let relation = Relation::Aggregate { input: Box::new(scan), group: vec![], aggregates };
        let output = vec![common::output(9, ValueType::Int64)];
        let statement = target.driver.render(&Fragment { relation, output, parameters: vec![] }).unwrap();
        let mut tx = target.begin().await;
        let found = tx.query(&statement, &[], ExecuteContext::default()).await.unwrap();
        let found = values_of(&found.try_collect::<Vec<_>>().await.unwrap()).unwrap();
        assert_eq!(found, [[Value::Int64(expected)]]);
    }
}

/// Whoever is on duty may leave while another stays. Each looks at both before leaving: locks keep one of them there.
#[tokio::test(flavor = "multi_thread")]
async fn locks_keep_what_was_read_until_the_commit() {
    let Some(server) = Server::start_replicated().await else { return };
    let collection = server.admin("duty").collection::<Document>("t");
    let on_duty = [doc! { "_id": 1_i64, "on": 1, "more": 5 }, doc! { "_id": 2_i64, "on": 1, "more": 5 }];
    collection.insert_many(on_duty.clone()).await.unwrap();
    let driver = writing(&server, "duty");
    let target = Target::of(&driver, "t").await;
    let update = target.change(ChangeOp::Update, &["on"]);
    let leave = async |own: i64| {
        let mut tx = target.begin().await;
        let mut others = 0;
        for id in [1, 2] {
            let rows = target.locked(&mut tx, Value::Int64(id), "on").await?;
            others += usize::from(id != own && rows[0][1] == Value::Int64(1));
        }
        if others > 0 {
            Target::apply(&mut tx, &update, &[Value::Int64(own), Value::Int64(0)]).await?;
        }
        tx.commit().await.map_err(|error| error.error().clone())
    };
    let (mut left, mut refused) = (0, 0);
    for _ in 0..20 {
        let (first, second) = tokio::join!(leave(1), leave(2));
        for ended in [first, second] {
            match ended {
                Ok(()) => left += 1,
                Err(error) if error.code() == ErrorCode::SerializationFailure => refused += 1,
                Err(error) => panic!("{error} {:?}", error.cause()),
            }
        }
        assert!(collection.count_documents(doc! { "on": 1 }).await.unwrap() >= 1, "both have left");
        collection.update_many(doc! {}, doc! { "$set": { "on": 1 } }).await.unwrap();
    }
    // One of two, but for rounds in which each meets the other's lock; how many those are is the machine's affair.
    assert!(left > 0 && refused > 0, "{left} left, {refused} were refused");
    counted(&target, 2).await;
    // Locks leave nothing behind.
    let mut tx = target.begin().await;
    target.locked(&mut tx, Value::Int64(1), "on").await.unwrap();
    tx.commit().await.unwrap();
    let stored = collection.find_one(doc! { "_id": 1_i64 }).await.unwrap();
    assert_eq!(stored.as_ref(), Some(&on_duty[0]));
    // An update that changes nothing, which would be another way, keeps nobody away.
    let mut session = collection.client().start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let same = doc! { "$set": { "on": 1 } };
    collection.update_one(doc! { "_id": 1_i64 }, same).session(&mut session).await.unwrap();
    let mut tx = target.begin().await;
    Target::apply(&mut tx, &update, &[Value::Int64(1), Value::Int64(3)]).await.unwrap();
    tx.commit().await.unwrap();
    session.commit_transaction().await.unwrap();
}
