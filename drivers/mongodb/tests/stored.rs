//! Stored documents, read by the paths of their fields, are what the server makes of them by computing each field; and what
//! nobody asks for stays on the server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{driver, object_id, output, rows, rows_within, scan};
use mongodb::bson::{Bson, DateTime, Document, RawDocumentBuf, Regex, cstr, doc};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::fragment::OutputColumn;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn, SortKey};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_mongodb::MongoDriver;
use querygate_types::ErrorCode;

const INT: ValueType = ValueType::Int64;
const TEXT: ValueType = ValueType::Text;

/// Documents that no two readers need agree about. The library's own documents hold no name twice.
fn odd() -> Vec<RawDocumentBuf> {
    let regex = Bson::RegularExpression(Regex { pattern: "x".try_into().unwrap(), options: "".try_into().unwrap() });
    let ordinary = vec![
        doc! { "v": 1_i64, "p": { "v": 2_i64, "q": { "r": "x" } }, "tags": ["a", null] },
        doc! { "tags": [], "p": { "q": { "r": 5 }, "v": null }, "v": null },
        doc! {},
        doc! { "other": 1, "v": "text", "more": { "v": 1 } },
        doc! { "v": [1, { "v": 2 }], "p": [] },
        doc! { "v": { "v": 1 }, "p": [{ "v": 5 }, { "v": "x" }, { "w": 1 }, 7, null, [{ "v": 6 }]] },
        doc! { "v": 2.5, "p": [{ "q": [{ "r": "a" }, { "r": ["b"] }, 1] }, { "q": { "r": null } }, { "q": 1 }] },
        doc! { "v": true, "p": { "v": [1, 2], "q": [{ "r": "a" }, {}] } },
        doc! { "v": object_id(7), "p": 5 },
        doc! { "v": DateTime::from_millis(5), "p": [{ "v": "only" }, { "v": "texts" }] },
        doc! { "v": regex, "p": { "v": Bson::Undefined, "q": { "r": Bson::Undefined } } },
        doc! { "v": Bson::Undefined, "p": [{ "v": Bson::Undefined }, { "v": null }] },
        doc! { "v": Bson::MinKey, "p": { "v": Bson::MaxKey } },
        doc! { "p.v": 8_i64, "v": 3_i64, "p": { "q.r": "no", "v": 4_i64 } },
        doc! { "p": [[{ "v": 1 }]], "pv": 1, "vv": 2 },
        doc! { "p": { "p": { "v": 9 } }, "v": Bson::Symbol("s".to_owned()) },
    ];
    let raw = |document: &Document| RawDocumentBuf::try_from(document).unwrap();
    let mut documents: Vec<RawDocumentBuf> = ordinary.iter().map(raw).collect();
    // Names that occur twice.
    let mut twice = raw(&doc! { "v": 1_i64, "p": { "w": 1 } });
    twice.append(cstr!("v"), 2_i64);
    twice.append(cstr!("p"), raw(&doc! { "v": 3_i64 }));
    let mut inner = raw(&doc! { "v": 4_i64 });
    inner.append(cstr!("v"), 5_i64);
    let mut within = raw(&doc! { "a": 1 });
    within.append(cstr!("p"), inner);
    documents.extend([twice, within]);
    documents
}

async fn fill(server: &Server) -> i64 {
    let collection = server.admin("odd").collection::<RawDocumentBuf>("t");
    let mut number = 0;
    for document in odd() {
        let mut keyed = RawDocumentBuf::new();
        keyed.append(cstr!("_id"), number);
        for element in &document {
            let (name, value) = element.unwrap();
            keyed.append(name, value);
        }
        collection.insert_one(keyed).await.unwrap();
        number += 1_i64;
    }
    number
}

fn column(id: u32, name: &str, value_type: ValueType, encoding: Encoding) -> ScanColumn {
    let name = Identifier::new(name).unwrap();
    ScanColumn { id: ColumnId(id), name, value_type, nullable: true, collation: Collation::Binary, encoding }
}

/// Of the document whose key is the parameter; the key's column is 0.
fn one(columns: &[ScanColumn]) -> Relation {
    let key = column(0, "_id", INT, Encoding::Canonical);
    let columns = std::iter::once(key).chain(columns.iter().cloned()).collect();
    let scan = Relation::Scan { table: TableRef::new(["t"]).unwrap(), columns };
    let predicate =
        ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(ColumnId(0)), ScalarExpr::Parameter(0, INT));
    Relation::Filter { input: Box::new(scan), predicate }
}

/// The same rows in ways that stored documents are read for, and last the one where the server computes each field.
fn ways(columns: &[ScanColumn]) -> Vec<Relation> {
    let here = || Box::new(one(columns));
    let fenced = Relation::Fence { input: here() };
    let again = || ScalarExpr::IsNull { expr: Box::new(ScalarExpr::Column(ColumnId(0))), negated: true };
    let key = SortKey { expr: ScalarExpr::Column(ColumnId(0)), ascending: true, nulls_first: true };
    let computed = columns.iter().map(|column| (column.id, ScalarExpr::Column(column.id)));
    let computed = computed.chain([(ColumnId(90), again())]).collect();
    vec![
        one(columns),
        fenced.clone(),
        Relation::Filter { input: Box::new(fenced), predicate: again() },
        Relation::Sort { input: here(), keys: vec![key] },
        Relation::Limit { input: here(), skip: 0, fetch: Some(3) },
        Relation::Project { input: here(), exprs: computed },
    ]
}

async fn asked(
    driver: &MongoDriver,
    relation: Relation,
    columns: &[ScanColumn],
    key: i64,
) -> Result<Vec<Vec<Value>>, ErrorCode> {
    let wanted: Vec<OutputColumn> = columns.iter().map(|column| output(column.id.0, column.value_type)).collect();
    rows(driver, relation, wanted, &[Value::Int64(key)]).await.map_err(|error| error.code())
}

#[tokio::test]
async fn a_stored_field_is_what_the_server_would_compute() {
    let Some(server) = Server::start().await else { return };
    let documents = fill(&server).await;
    let driver = driver(&server, "odd");
    let text = |id, name| column(id, name, TEXT, Encoding::Text);
    let exact = |id, name, value_type| column(id, name, value_type, Encoding::Canonical);
    let object_id = ScanColumn { collation: Collation::Named("objectid".into()), ..exact(1, "v", TEXT) };
    let readings = [
        vec![text(1, "v")],
        vec![exact(1, "v", INT)],
        vec![exact(1, "v", TEXT)],
        vec![object_id],
        vec![exact(1, "v", ValueType::Boolean)],
        vec![exact(1, "v", ValueType::Float64)],
        vec![text(1, "p.v")],
        vec![exact(1, "p.v", INT)],
        vec![exact(1, "p.v", ValueType::TextList)],
        vec![text(1, "p.q.r")],
        vec![exact(1, "tags", ValueType::TextList)],
        vec![text(1, "p.v"), text(2, "p")],
        vec![text(1, "p.q"), text(2, "p.v"), text(3, "v"), text(4, "p.q.r")],
        vec![text(1, "v"), exact(2, "v", INT)],
        vec![text(1, "_id"), text(2, "p.p.v")],
    ];
    let (mut answers, mut failures) = (0, 0);
    for columns in &readings {
        // A document with a name twice, read whole and by the path of that name: the server tells it in two ways itself.
        let both = columns.iter().any(|column| column.name.as_str() == "p");
        for key in 0..documents - i64::from(both) {
            let mut ways = ways(columns);
            let computed = asked(&driver, ways.pop().unwrap(), columns, key).await;
            for (way, relation) in ways.into_iter().enumerate() {
                let stored = asked(&driver, relation, columns, key).await;
                assert_eq!(stored, computed, "way {way} of {columns:?} in document {key}");
                answers += 1;
            }
            failures += usize::from(computed.is_err());
        }
    }
    assert!(failures > 40, "only {failures} of {answers} fail: values of other kinds are errors");
    assert!(failures * 5 < answers / 2, "{failures} of {answers} fail");
    // All in one statement, whole documents too, in several answers of the server.
    let described = scan(&driver, "t", 0).await;
    let Relation::Scan { columns, table } = described else { panic!() };
    let columns: Vec<ScanColumn> = columns.into_iter().filter(|column| column.encoding == Encoding::Text).collect();
    let wanted: Vec<OutputColumn> = columns.iter().map(|column| output(column.id.0, column.value_type)).collect();
    let readable = |keys: std::ops::Range<i64>| {
        let all = Relation::Scan { table: table.clone(), columns: columns.clone() };
        let key = column(70, "_id", INT, Encoding::Canonical);
        let Relation::Scan { columns, table } = all else { panic!() };
        let scan = Relation::Scan { table, columns: columns.into_iter().chain([key]).collect() };
        let bound = |op, parameter| {
            ScalarExpr::compare(op, ScalarExpr::Column(ColumnId(70)), ScalarExpr::Parameter(parameter, INT))
        };
        let both = ScalarExpr::And(vec![bound(ComparisonOp::GtEq, 0), bound(ComparisonOp::Lt, 1)]);
        let relation = Relation::Filter { input: Box::new(scan), predicate: both };
        (relation, [Value::Int64(keys.start), Value::Int64(keys.end)])
    };
    // The document with the least and the greatest key has no text.
    for keys in [0..12, 13..documents] {
        let (relation, values) = readable(keys.clone());
        let mut many = Vec::new();
        for batch_rows in [1, 3, 8_192] {
            let context = ExecuteContext { batch_rows, ..ExecuteContext::default() };
            many.push(rows_within(&driver, relation.clone(), wanted.clone(), &values, context).await.unwrap());
        }
        assert_eq!(many[0].len(), usize::try_from(keys.end - keys.start).unwrap());
        assert!(many.iter().all(|rows| *rows == many[0]), "{many:?}");
    }
}

/// The last command of a source's user, as the server noted it.
async fn noted(server: &Server) -> Document {
    let profile = server.admin("odd").collection::<Document>("system.profile");
    let statements = doc! { "ns": "odd.few", "user": { "$regex": "^gate@" }, "op": { "$in": ["query", "command"] } };
    let last = profile.find_one(statements).sort(doc! { "$natural": -1 }).await.unwrap().unwrap();
    last.get_document("command").unwrap().clone()
}

#[tokio::test]
async fn what_nobody_wants_stays_on_the_server() {
    let Some(server) = Server::start().await else { return };
    let admin = server.admin("odd");
    let few = admin.collection::<Document>("few");
    few.insert_many([doc! { "_id": 1, "a": 1, "b": { "c": 2 } }, doc! { "_id": 2, "b": { "c": 3 } }]).await.unwrap();
    let driver = driver(&server, "odd");
    let table = || TableRef::new(["few"]).unwrap();
    let columns = || ["_id", "a", "b.c"].map(|name| column(0, name, INT, Encoding::Canonical));
    let relation = |number: usize| {
        let numbered =
            columns().into_iter().take(number).zip(0..).map(|(column, id)| ScanColumn { id: ColumnId(id), ..column });
        Relation::Scan { table: table(), columns: numbered.collect() }
    };
    let read = async |number: usize| {
        let wanted = (0..u32::try_from(number).unwrap()).map(|id| output(id, INT)).collect();
        admin.run_command(doc! { "profile": 2 }).await.unwrap();
        let found = rows(&driver, relation(number), wanted, &[]).await.unwrap();
        admin.run_command(doc! { "profile": 0 }).await.unwrap();
        assert_eq!(found.len(), 2);
        noted(&server).await.get_document("projection").ok().cloned()
    };
    // Nobody has said yet which fields there are.
    assert_eq!(read(3).await, Some(doc! { "_id": 1, "a": 1, "b.c": 1 }));
    driver.describe(&table()).await.unwrap();
    assert_eq!(read(3).await, None);
    assert_eq!(read(2).await, Some(doc! { "_id": 1, "a": 1 }));
    assert_eq!(read(1).await, Some(doc! { "_id": 1 }));
    // One more field, and one that no column can be.
    for more in [doc! { "_id": 3, "b": { "secret": 1 } }, doc! { "_id": 3, "$secret": 1 }] {
        few.insert_one(more).await.unwrap();
        driver.describe(&table()).await.unwrap();
        few.delete_one(doc! { "_id": 3 }).await.unwrap();
        assert_eq!(read(3).await, Some(doc! { "_id": 1, "a": 1, "b.c": 1 }));
    }
    driver.describe(&table()).await.unwrap();
    assert_eq!(read(3).await, None);
}
