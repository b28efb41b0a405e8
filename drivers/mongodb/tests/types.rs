//! Documents as they are described and read: nested ones, ObjectIds, every kind of number, and values that are not what their field says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{driver, object_id, output, reading, rows};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Decimal128, Document, doc};
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, SortKey};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_mongodb::MongoDriver;
use querygate_types::{Error, ErrorCode};

const TEXT: ValueType = ValueType::Text;
const INT: ValueType = ValueType::Int64;

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse::<Decimal128>().unwrap())
}

async fn fill(server: &Server) {
    let admin = server.admin("kinds");
    let uuid = Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] };
    let whole = doc! {
        "_id": object_id(1), "int": 1, "long": 5_000_000_000_i64, "double": 2.5, "mixed": 1, "money": decimal("12.50"),
        "name": "a", "ok": true, "at": DateTime::from_millis(1_704_067_200_000), "day": DateTime::from_millis(86_400_000),
        "iso": "2024-02-29", "clock": "23:59:59.5", "tags": ["x", null, "y"], "list": [1, "two"], "blob": Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 255] },
        "uuid": uuid, "address": { "city": "Bern", "geo": { "lat": 46.9 } }, "owner": object_id(9), "either": object_id(3),
        "$bad": 1, "a.b": 2, "deep": { "a": { "b": { "c": { "d": 1 } } } }, "names": { "$x": 1, "y": 2 }, "half": "seen",
    };
    let other = doc! {
        "_id": object_id(2), "mixed": 2.5, "money": 3, "name": null, "address": { "city": null, "zip": "3000" }, "either": "text",
        "half": { "now": "a document" }, "tags": [],
    };
    admin.collection::<Document>("t").insert_many([whole, other]).await.unwrap();
    let odd = |id: i32, value: Bson| doc! { "_id": id, "v": value };
    let odds = [
        odd(1, Bson::Int32(5)),
        odd(2, Bson::String("5".to_owned())),
        odd(3, Bson::Array(vec![Bson::Int32(5)])),
        odd(4, Bson::Null),
        odd(5, Bson::Double(5.0)),
        odd(6, Bson::Double(5.5)),
        odd(7, decimal("5.00")),
        odd(8, Bson::Document(doc! { "$ne": 5 })),
    ];
    admin.collection::<Document>("odd").insert_many(odds).await.unwrap();
    // Arrays of documents make a path mean several values.
    let parents = [
        doc! { "_id": 1, "p": { "v": 5 } },
        doc! { "_id": 2, "p": [{ "v": 5 }] },
        doc! { "_id": 3 },
        doc! { "_id": 4, "p": { "v": null } },
    ];
    admin.collection::<Document>("parents").insert_many(parents).await.unwrap();
    admin
        .run_command(doc! { "createIndexes": "t", "indexes": [
            { "key": { "name": 1, "address.city": -1 }, "name": "by_name", "unique": true },
            { "key": { "int": 1 }, "name": "some", "partialFilterExpression": { "int": { "$gt": 0 } } },
        ] })
        .await
        .unwrap();
    admin
        .run_command(doc! { "create": "seen", "viewOn": "t", "pipeline": [{ "$project": { "name": 1 } }] })
        .await
        .unwrap();
}

async fn read(driver: &MongoDriver, table: &str, field: &str, wanted: ValueType) -> Result<Vec<Value>, Error> {
    let relation = reading(driver, table, field, wanted).await;
    let rows = rows(driver, relation, vec![output(1, wanted)], &[]).await?;
    Ok(rows.into_iter().flatten().collect())
}

/// Keys of the rows of a table whose field compares so.
async fn found(driver: &MongoDriver, table: &str, field: &str, predicate: ScalarExpr, values: &[Value]) -> Vec<i64> {
    let value_type = values.first().map_or(INT, Value::value_type);
    let Relation::Scan { table, mut columns } = reading(driver, table, field, value_type).await else { panic!() };
    let Relation::Scan { columns: key, .. } = reading(driver, table.name(), "_id", INT).await else { panic!() };
    columns
        .extend(key.into_iter().map(|column| querygate_driver_api::relation::ScanColumn { id: ColumnId(2), ..column }));
    let relation = Relation::Filter { input: Box::new(Relation::Scan { table, columns }), predicate };
    let mut ids: Vec<i64> = rows(driver, relation, vec![output(2, INT)], values)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|row| if let Value::Int64(id) = row[0] { Some(id) } else { None })
        .collect();
    ids.sort_unstable();
    ids
}

fn column() -> ScalarExpr {
    ScalarExpr::Column(ColumnId(1))
}

#[tokio::test]
async fn collections_are_described_by_their_documents() {
    let Some(server) = Server::start().await else { return };
    fill(&server).await;
    let driver = driver(&server, "kinds");
    let names: Vec<String> = driver.tables().await.unwrap().iter().map(|table| table.name().to_owned()).collect();
    assert_eq!(names, ["odd", "parents", "seen", "t"]);
    let t = driver.describe(&TableRef::new(["t"]).unwrap()).await.unwrap();
    let kinds: Vec<(&str, &str)> = t.columns.iter().map(|c| (c.name.as_str(), c.native_type.as_str())).collect();
    for expected in [
        ("_id", "objectId"),
        ("int", "int"),
        ("long", "long"),
        ("mixed", "int|double"),
        ("money", "int|decimal"),
        ("name", "string"),
        ("address.city", "string"),
        ("address.geo.lat", "double"),
        ("address.zip", "string"),
        ("tags", "array"),
        ("list", "json"),
        ("uuid", "json"),
        ("deep.a.b.c", "json"),
        ("names", "json"),
        ("half", "string|json"),
        ("either", "string|objectId"),
    ] {
        assert!(kinds.contains(&expected), "{expected:?} in {kinds:?}");
    }
    assert!(!kinds.iter().any(|(name, _)| name.contains('$') || *name == "a.b" || *name == "address"), "{kinds:?}");
    assert_eq!(t.primary_key[0].as_str(), "_id");
    assert!(!t.columns[0].nullable && t.columns[1].nullable);
    assert_eq!(t.columns[0].collation, Collation::Named("objectid".into()));
    assert_eq!(t.row_estimate, Some(2));
    let by_name = t.indexes.iter().find(|index| index.name == "by_name").unwrap();
    assert_eq!(by_name.columns.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["name", "address.city"]);
    assert_eq!((t.unique.len(), t.indexes.len()), (1, 2));
    let statistics = driver.statistics(&TableRef::new(["t"]).unwrap()).await.unwrap();
    assert_eq!((statistics.rows, statistics.columns.len(), statistics.columns[0].distinct), (Some(2), 1, Some(2)));
    let seen = driver.describe(&TableRef::new(["kinds", "seen"]).unwrap()).await.unwrap();
    assert!(seen.primary_key.is_empty() && seen.columns.len() == 2);
    for unknown in [vec!["nothing"], vec!["admin", "t"], vec!["system.users"]] {
        let error = driver.describe(&TableRef::new(unknown).unwrap()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UndefinedTable);
    }
}

#[tokio::test]
async fn a_field_that_few_documents_have_is_found_and_one_that_none_has_is_not() {
    let Some(server) = Server::start().await else { return };
    let admin = server.admin("sparse");
    let documents = (0..1_300_i32).map(|number| match number {
        // Neither among the oldest nor among the newest.
        640 => doc! { "_id": number, "n": number, "rare": 7, "inner": { "rare": null } },
        650 => doc! { "_id": number, "n": number, "other": "x" },
        _ => doc! { "_id": number, "n": number },
    });
    admin.collection::<Document>("t").insert_many(documents).await.unwrap();
    admin.run_command(doc! { "create": "empty" }).await.unwrap();
    let driver = driver(&server, "sparse");
    let table = TableRef::new(["t"]).unwrap();
    let described = driver.describe(&table).await.unwrap();
    assert_eq!(described.columns.len(), 2);
    let names = ["rare", "other", "inner.rare", "gone", "$where", "1"].map(str::to_owned);
    let found = driver.look_for(&table, &names).await.unwrap();
    let kinds: Vec<(&str, &str)> =
        found.columns.iter().map(|column| (column.name.as_str(), column.native_type.as_str())).collect();
    assert_eq!((kinds, found.complete), (vec![("rare", "int"), ("inner.rare", "null"), ("other", "string")], true));
    let of_nothing = driver.look_for(&TableRef::new(["empty"]).unwrap(), &names).await.unwrap();
    assert!(of_nothing.columns.is_empty() && !of_nothing.complete, "nobody knows");
}

#[tokio::test]
async fn every_kind_reads_as_itself_and_as_metadata_wants() {
    let Some(server) = Server::start().await else { return };
    fill(&server).await;
    let driver = driver(&server, "kinds");
    let number = |value, precision, scale| Value::Decimal128 { value, precision, scale };
    let instant = |micros| Value::Timestamp { micros, utc: true };
    let cases = [
        ("_id", Value::text("65f000000000000000000001")),
        ("int", Value::Int64(1)),
        ("int", Value::Int32(1)),
        ("int", number(100, 10, 2)),
        ("int", Value::Float64(1.0)),
        ("int", Value::text("1")),
        ("long", Value::Int64(5_000_000_000)),
        ("double", Value::Float64(2.5)),
        ("double", number(3, 5, 0)),
        ("mixed", Value::Float64(1.0)),
        ("money", number(1_250, 10, 2)),
        ("money", Value::Float64(12.5)),
        ("name", Value::text("a")),
        ("ok", Value::Boolean(true)),
        ("at", instant(1_704_067_200_000_000)),
        ("at", Value::Timestamp { micros: 1_704_067_200_000_000, utc: false }),
        ("at", Value::text("2024-01-01T00:00:00Z")),
        ("day", Value::Date(1)),
        ("iso", Value::Date(19_782)),
        ("clock", Value::Time(86_399_500_000)),
        ("tags", Value::TextList([Some("x".into()), None, Some("y".into())].into())),
        ("list", Value::text("[1, \"two\"]")),
        ("blob", Value::Binary([0, 255][..].into())),
        ("address.city", Value::text("Bern")),
        ("address.geo.lat", Value::Float64(46.9)),
        ("deep.a.b.c", Value::text("{\"d\": 1}")),
        ("names", Value::text("{\"y\": 2, \"$x\": 1}")),
        ("either", Value::text("65f000000000000000000003")),
        ("half", Value::text("seen")),
    ];
    for (field, expected) in cases {
        let found = read(&driver, "t", field, expected.value_type()).await;
        let found = found.unwrap_or_else(|error| panic!("{field}: {error} {:?}", error.cause()));
        assert_eq!((found.len(), &found[0]), (2, &expected), "{field}");
    }
    // What the other document lacks is NULL, and what it holds otherwise is told as it is.
    assert_eq!(read(&driver, "t", "name", TEXT).await.unwrap()[1], Value::Null(TEXT));
    assert_eq!(read(&driver, "t", "address.zip", TEXT).await.unwrap()[0], Value::Null(TEXT));
    assert_eq!(read(&driver, "t", "half", TEXT).await.unwrap()[1], Value::text("{\"now\": \"a document\"}"));
    for (field, wanted, code) in [
        ("mixed", INT, ErrorCode::DataException),
        ("long", ValueType::Int32, ErrorCode::NumericOutOfRange),
        ("money", ValueType::Decimal128 { precision: 3, scale: 2 }, ErrorCode::NumericOutOfRange),
    ] {
        let error = read(&driver, "t", field, wanted).await.unwrap_err();
        assert_eq!(error.code(), code, "{field}");
        assert!(!format!("{error} {:?}", error.detail()).contains("5000000000"));
    }
    let remote = driver.describe(&TableRef::new(["t"]).unwrap()).await.unwrap();
    for (field, wanted) in [("name", INT), ("list", ValueType::TextList), ("address.city", ValueType::Boolean)] {
        let column = remote.columns.iter().find(|known| known.name.as_str() == field).unwrap();
        assert_eq!(driver.read_as(column, wanted).unwrap_err().reason, RefusalReason::Encoding, "{field}");
    }
}

#[tokio::test]
async fn values_of_another_kind_compare_as_nothing() {
    let Some(server) = Server::start().await else { return };
    fill(&server).await;
    let driver = driver(&server, "kinds");
    // Where neither the oldest nor the newest documents show what else there is.
    let admin = server.admin("kinds");
    admin.collection::<Document>("odd2").insert_many((0..600).map(|n| doc! { "_id": n + 100, "v": 7 })).await.unwrap();
    let mut odd: Vec<Document> =
        futures::TryStreamExt::try_collect(admin.collection::<Document>("odd").find(doc! {}).await.unwrap())
            .await
            .unwrap();
    odd.iter_mut().for_each(|document| {
        let id = document.get_i32("_id").unwrap();
        document.insert("_id", id + 900);
    });
    admin.collection::<Document>("odd2").insert_many(odd.clone()).await.unwrap();
    admin
        .collection::<Document>("odd2")
        .insert_many((0..600).map(|n| doc! { "_id": n + 2_000, "v": 7 }))
        .await
        .unwrap();
    let parameter = || ScalarExpr::Parameter(0, INT);
    let compare = |op| ScalarExpr::compare(op, column(), parameter());
    let five = [Value::Int64(5)];
    let check = async |predicate: ScalarExpr, expected: &[i64]| {
        let ids = found(&driver, "odd2", "v", predicate.clone(), &five).await;
        let near: Vec<i64> = ids.into_iter().filter(|id| (900..1_000).contains(id)).map(|id| id - 900).collect();
        assert_eq!(near, expected, "{predicate:?}");
    };
    check(compare(ComparisonOp::Eq), &[1, 5, 7]).await;
    check(compare(ComparisonOp::NotEq), &[6]).await;
    check(compare(ComparisonOp::GtEq), &[1, 5, 6, 7]).await;
    check(ScalarExpr::Not(Box::new(compare(ComparisonOp::Gt))), &[1, 5, 7]).await;
    check(ScalarExpr::IsNull { expr: Box::new(column()), negated: false }, &[4]).await;
    check(ScalarExpr::IsNull { expr: Box::new(column()), negated: true }, &[1, 2, 3, 5, 6, 7, 8]).await;
    check(ScalarExpr::InList { expr: Box::new(column()), list: vec![parameter()], negated: true }, &[6]).await;
    // Read, each of them is an error.
    let error = read(&driver, "odd2", "v", INT).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::DataException);
    let v = |op| ScalarExpr::compare(op, column(), parameter());
    assert_eq!(found(&driver, "parents", "p.v", v(ComparisonOp::Eq), &five).await, [1]);
    let null = |negated| ScalarExpr::IsNull { expr: Box::new(column()), negated };
    assert_eq!(found(&driver, "parents", "p.v", null(false), &five).await, [3, 4]);
    assert_eq!(found(&driver, "parents", "p.v", null(true), &five).await, [1, 2]);
}

#[tokio::test]
async fn object_ids_are_their_digits_everywhere() {
    let Some(server) = Server::start().await else { return };
    let admin = server.admin("ids");
    let documents = (1..=9_u8).map(|n| doc! { "_id": object_id(n), "owner": if n % 3 == 0 { Bson::Null } else { object_id(n % 2).into() }, "n": i32::from(n) });
    admin.collection::<Document>("t").insert_many(documents).await.unwrap();
    let driver = driver(&server, "ids");
    let parameter = |index| ScalarExpr::Parameter(index, TEXT);
    let id = |n: u8| Value::text(object_id(n).to_hex());
    let scan = reading(&driver, "t", "_id", TEXT).await;
    let keys = async |predicate, values: &[Value]| {
        let relation = Relation::Filter { input: Box::new(scan.clone()), predicate };
        let rows = rows(&driver, relation, vec![output(1, TEXT)], values).await.unwrap();
        rows.len()
    };
    let compare = |op| ScalarExpr::compare(op, column(), parameter(0));
    let upper = Value::text(object_id(0xAB).to_hex().to_uppercase());
    for (op, value, expected) in [
        (ComparisonOp::Eq, id(4), 1),
        (ComparisonOp::NotEq, id(4), 8),
        (ComparisonOp::Eq, Value::text("no id"), 0),
        (ComparisonOp::NotEq, Value::text("no id"), 9),
        (ComparisonOp::NotEq, Value::Null(TEXT), 0),
        (ComparisonOp::Eq, upper, 0),
        (ComparisonOp::Lt, id(4), 3),
        (ComparisonOp::GtEq, Value::text("65f"), 9),
        (ComparisonOp::IsDistinctFrom, Value::text("x"), 9),
        (ComparisonOp::IsNotDistinctFrom, id(1), 1),
    ] {
        assert_eq!(keys(compare(op), std::slice::from_ref(&value)).await, expected, "{op:?} {value:?}");
    }
    let list =
        |negated| ScalarExpr::InList { expr: Box::new(column()), list: vec![parameter(0), parameter(1)], negated };
    assert_eq!(keys(list(false), &[id(2), Value::text("x")]).await, 1);
    assert_eq!(keys(list(true), &[id(2), Value::text("x")]).await, 8);
    assert_eq!(keys(list(true), &[id(2), Value::Null(TEXT)]).await, 0);
    let like = ScalarExpr::Like { expr: Box::new(column()), pattern: 0, negated: false, case_insensitive: false };
    assert_eq!(keys(like, &[Value::text("%7")]).await, 1);
    // Sorted, grouped and the greatest of them.
    let owner = reading(&driver, "t", "owner", TEXT).await;
    let key = SortKey { expr: column(), ascending: false, nulls_first: false };
    let grouped = Relation::Distinct { input: Box::new(owner.clone()) };
    let sorted = Relation::Sort { input: Box::new(grouped), keys: vec![key] };
    let found = rows(&driver, sorted, vec![output(1, TEXT)], &[]).await.unwrap();
    assert_eq!(found, [[id(1)], [id(0)], [Value::Null(TEXT)]]);
    let max = AggregateExpr {
        function: AggregateFunction::Max,
        args: vec![column()],
        distinct: false,
        filter: None,
        value_type: TEXT,
    };
    let relation = Relation::Aggregate { input: Box::new(owner), group: vec![], aggregates: vec![(ColumnId(5), max)] };
    assert_eq!(rows(&driver, relation, vec![output(5, TEXT)], &[]).await.unwrap(), [[id(1)]]);
}

#[tokio::test]
async fn fields_that_are_only_read_are_never_compared() {
    let Some(server) = Server::start().await else { return };
    fill(&server).await;
    let driver = driver(&server, "kinds");
    let list = reading(&driver, "t", "list", TEXT).await;
    assert!(matches!(&list, Relation::Scan { columns, .. } if columns[0].encoding == Encoding::Text));
    let relation = Relation::Distinct { input: Box::new(list) };
    let fragment = Fragment { relation, output: vec![output(1, TEXT)], parameters: vec![] };
    assert_eq!(driver.render(&fragment).unwrap_err().reason, RefusalReason::Encoding);
}

#[tokio::test]
async fn a_long_list_of_keys_is_bound_at_once() {
    let Some(server) = Server::start().await else { return };
    let keys = (0..60_000_i64).map(|id| doc! { "_id": id });
    server.admin("keys").collection::<Document>("t").insert_many(keys).await.unwrap();
    let driver = driver(&server, "keys");
    let values: Vec<Value> = (0..40_000).map(|number| Value::Int64(number * 2)).collect();
    let list: Vec<ScalarExpr> = (0..values.len()).map(|index| ScalarExpr::Parameter(index, INT)).collect();
    for (negated, expected) in [(false, 30_000), (true, 30_000)] {
        let input = Box::new(reading(&driver, "t", "_id", INT).await);
        let member = ScalarExpr::InList { expr: Box::new(column()), list: list.clone(), negated };
        let relation = Relation::Filter { input, predicate: member };
        let began = std::time::Instant::now();
        let found = rows(&driver, relation, vec![output(1, INT)], &values).await.unwrap();
        assert_eq!(found.len(), expected);
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    }
}

/// A field is described by some of its documents; another may hold anything.
#[tokio::test]
async fn what_is_no_number_is_an_error_and_never_left_out_of_an_aggregate() {
    let Some(server) = Server::start().await else { return };
    let numbers = server.admin("aggregated").collection::<Document>("t");
    let documents = (1..=10_i64).map(|id| doc! { "_id": id, "n": id });
    numbers
        .insert_many(documents.chain([doc! { "_id": 11_i64, "n": Bson::Null }, doc! { "_id": 12_i64 }]))
        .await
        .unwrap();
    let driver = driver(&server, "aggregated");
    let scan = reading(&driver, "t", "n", INT).await;
    let aggregate = |function, value_type| {
        let (filter, args) = (None, vec![column()]);
        let aggregate = AggregateExpr { function, args, distinct: false, filter, value_type };
        let input = Box::new(scan.clone());
        (Relation::Aggregate { input, group: vec![], aggregates: vec![(ColumnId(9), aggregate)] }, value_type)
    };
    let cases = [
        (aggregate(AggregateFunction::Sum, INT), Value::Int64(55)),
        (aggregate(AggregateFunction::Avg, ValueType::Float64), Value::Float64(5.5)),
        (aggregate(AggregateFunction::Max, INT), Value::Int64(10)),
    ];
    for ((relation, of), expected) in &cases {
        let found = rows(&driver, relation.clone(), vec![output(9, *of)], &[]).await.unwrap();
        assert_eq!(found, [[expected.clone()]]);
    }
    for other in [Bson::from("secret"), Bson::Boolean(true), Bson::DateTime(DateTime::from_millis(5)), doc! {}.into()] {
        numbers.update_one(doc! { "_id": 5_i64 }, doc! { "$set": { "n": other.clone() } }).await.unwrap();
        for ((relation, of), _) in &cases {
            let error = rows(&driver, relation.clone(), vec![output(9, *of)], &[]).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::DataException, "{other}: {error} {:?}", error.cause());
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
