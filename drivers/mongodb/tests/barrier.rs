//! What a user computes never meets a document that a policy hides: one hidden text is too long to be doubled, and whoever
//! doubles it hears an error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{driver, output, rows};
use mongodb::bson::{Document, doc};
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn, SortKey};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr, Truth};
use querygate_driver_api::value::{Value, ValueType};
use querygate_types::ErrorCode;

const INT: ValueType = ValueType::Int64;
const TEXT: ValueType = ValueType::Text;
/// Doubled, it exceeds what the server holds as one text.
const TOO_LONG: usize = 9_000_000;

fn column(id: u32) -> ScalarExpr {
    ScalarExpr::Column(ColumnId(id))
}

/// `id`, `tenant`, `note`.
fn scan() -> Relation {
    let column = |(id, name, value_type): (u32, &str, ValueType)| ScanColumn {
        id: ColumnId(id),
        name: Identifier::new(name).unwrap(),
        value_type,
        nullable: true,
        collation: Collation::Binary,
        encoding: Encoding::Canonical,
    };
    let columns = [(0, "_id", INT), (1, "tenant", INT), (2, "note", TEXT)].map(column).to_vec();
    Relation::Scan { table: TableRef::new(["notes"]).unwrap(), columns }
}

fn filter(input: Relation, predicate: ScalarExpr) -> Relation {
    Relation::Filter { input: Box::new(input), predicate }
}

fn fence(input: Relation) -> Relation {
    Relation::Fence { input: Box::new(input) }
}

/// Policies that hide the document of tenant 2; the parameter is 1.
fn policies() -> Vec<ScalarExpr> {
    let one = || ScalarExpr::Parameter(0, INT);
    let compare = |op| ScalarExpr::compare(op, column(1), one());
    let cast = ScalarExpr::Cast { expr: Box::new(column(1)), from: INT, to: ValueType::Float64 };
    let same = ScalarExpr::Cast { expr: Box::new(column(1)), from: INT, to: ValueType::Float64 };
    vec![
        compare(ComparisonOp::Eq),
        compare(ComparisonOp::LtEq),
        ScalarExpr::InList { expr: Box::new(column(1)), list: vec![one()], negated: false },
        ScalarExpr::Or(vec![
            compare(ComparisonOp::Eq),
            ScalarExpr::IsNull { expr: Box::new(column(0)), negated: false },
        ]),
        ScalarExpr::Not(Box::new(compare(ComparisonOp::Gt))),
        ScalarExpr::IsTruth { expr: Box::new(compare(ComparisonOp::Eq)), truth: Truth::True, negated: false },
        ScalarExpr::And(vec![compare(ComparisonOp::Eq), ScalarExpr::compare(ComparisonOp::Eq, cast, same)]),
    ]
}

/// What a user asks of the rows below, each naming the note twice.
fn questions(input: &Relation) -> Vec<Relation> {
    let call = |function, args, value_type| ScalarExpr::Function { function, args, value_type };
    let doubled = call(ScalarFunction::Concat, vec![column(2), column(2)], TEXT);
    let length = call(ScalarFunction::CharLength, vec![doubled.clone()], INT);
    let long = || ScalarExpr::compare(ComparisonOp::Gt, length.clone(), ScalarExpr::Parameter(1, INT));
    let bounded = ScalarExpr::compare(ComparisonOp::GtEq, column(2), ScalarExpr::Parameter(2, TEXT));
    let input = || Box::new(input.clone());
    let project = |expr: ScalarExpr| Relation::Project {
        input: input(),
        exprs: vec![(ColumnId(0), column(0)), (ColumnId(9), expr)],
    };
    let count = AggregateExpr {
        function: AggregateFunction::Max,
        args: vec![column(0)],
        distinct: false,
        filter: Some(long()),
        value_type: INT,
    };
    let key = SortKey { expr: doubled.clone(), ascending: true, nulls_first: false };
    let sorted = Relation::Sort { input: input(), keys: vec![key] };
    let groups = vec![(ColumnId(0), column(0)), (ColumnId(8), doubled)];
    vec![
        filter(input().as_ref().clone(), long()),
        filter(input().as_ref().clone(), ScalarExpr::And(vec![bounded, long()])),
        project(length.clone()),
        Relation::Limit { input: Box::new(sorted), skip: 0, fetch: Some(5) },
        Relation::Aggregate {
            input: input(),
            group: vec![(ColumnId(0), column(0))],
            aggregates: vec![(ColumnId(7), count)],
        },
        Relation::Aggregate { input: input(), group: groups, aggregates: vec![] },
    ]
}

#[tokio::test]
async fn no_question_reaches_a_hidden_document() {
    let Some(server) = Server::start().await else { return };
    let admin = server.admin("shop");
    let notes = admin.collection::<Document>("notes");
    let secret = "s".repeat(TOO_LONG);
    let hidden = doc! { "_id": 2_i64, "tenant": 2_i64, "note": &secret };
    notes.insert_many([doc! { "_id": 1_i64, "tenant": 1_i64, "note": "mine" }, hidden]).await.unwrap();
    let indexes = doc! { "createIndexes": "notes", "indexes": [
        { "key": { "tenant": 1 }, "name": "tenant", "collation": { "locale": "simple" } },
    ] };
    let driver = driver(&server, "shop");
    let values = [Value::Int64(1), Value::Int64(0), Value::text("")];
    let mut asked = 0;
    for indexed in [false, true] {
        if indexed {
            admin.run_command(indexes.clone()).await.unwrap();
        }
        for policy in policies() {
            for question in questions(&fence(filter(scan(), policy.clone()))) {
                let found = rows(&driver, question.clone(), vec![output(0, INT)], &values).await;
                assert_eq!(found.unwrap(), [[Value::Int64(1)]], "{policy:?} {question:?}");
                asked += 1;
            }
        }
        // Who may see the document hears that it failed, and nothing of what it holds.
        for question in questions(&scan()) {
            let error = rows(&driver, question, vec![output(0, INT)], &values).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::SourceError);
            assert!(!format!("{error} {:?} {:?}", error.detail(), error.hint()).contains("ss"), "{error}");
        }
    }
    assert_eq!(asked, 84);
}
