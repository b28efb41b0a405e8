//! Orders over a real server: where conditions leave no NULL, the source's own order is the one that is asked for; elsewhere it is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{driver, output, rows, scan};
use mongodb::bson::{Bson, Document, doc};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Relation, SortKey};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use std::cmp::Ordering;
use std::sync::Arc;

const INT: ValueType = ValueType::Int64;
const ID: ColumnId = ColumnId(0);
const NUMBER: ColumnId = ColumnId(1);

/// NULL, no field, and numbers, some of them twice.
fn number(id: i64) -> Option<i64> {
    (id % 4 > 1).then_some((id * 7) % 11 - 5)
}

async fn fill(server: &Server) {
    let things = (0..40_i64).map(|id| match number(id) {
        Some(number) => doc! { "_id": id, "number": number },
        None if id % 2 == 0 => doc! { "_id": id, "number": Bson::Null },
        None => doc! { "_id": id },
    });
    server.admin("shop").collection::<Document>("things").insert_many(things).await.unwrap();
}

/// A condition, whether it leaves NULLs, and what it keeps.
type Condition = (ScalarExpr, bool, fn(Option<i64>) -> bool);

/// Parameters are 2 and 5.
fn conditions() -> Vec<Condition> {
    let column = || Box::new(ScalarExpr::Column(NUMBER));
    let value = |index| ScalarExpr::Parameter(index, INT);
    let compare = |op| ScalarExpr::compare(op, ScalarExpr::Column(NUMBER), value(0));
    let mirrored = ScalarExpr::compare(ComparisonOp::Lt, value(0), ScalarExpr::Column(NUMBER));
    let list = |list, negated| ScalarExpr::InList { expr: column(), list, negated };
    let between =
        |negated| ScalarExpr::Between { expr: column(), low: Box::new(value(0)), high: Box::new(value(1)), negated };
    let null = |negated| ScalarExpr::IsNull { expr: column(), negated };
    let either = ScalarExpr::Or(vec![compare(ComparisonOp::Gt), null(false)]);
    let one = |condition, nulls, keeps: fn(Option<i64>) -> bool| (condition, nulls, keeps);
    vec![
        one(ScalarExpr::And(vec![]), true, |_| true),
        one(compare(ComparisonOp::Gt), false, |n| n > Some(2)),
        one(mirrored, false, |n| n > Some(2)),
        one(ScalarExpr::And(vec![compare(ComparisonOp::LtEq)]), false, |n| n.is_some_and(|n| n <= 2)),
        one(compare(ComparisonOp::NotEq), false, |n| n.is_some_and(|n| n != 2)),
        one(compare(ComparisonOp::IsDistinctFrom), true, |n| n != Some(2)),
        one(list(vec![value(0), value(1)], false), false, |n| n.is_some_and(|n| n == 2 || n == 5)),
        one(list(vec![value(0), value(1)], true), false, |n| n.is_some_and(|n| n != 2 && n != 5)),
        one(list(vec![], true), true, |_| true),
        one(between(false), false, |n| n.is_some_and(|n| (2..=5).contains(&n))),
        one(between(true), false, |n| n.is_some_and(|n| !(2..=5).contains(&n))),
        one(null(true), false, |n| n.is_some()),
        one(null(false), true, |n| n.is_none()),
        one(either, true, |n| n.is_none_or(|n| n > 2)),
        one(ScalarExpr::Not(Box::new(compare(ComparisonOp::Eq))), true, |n| n.is_some_and(|n| n != 2)),
    ]
}

#[tokio::test]
async fn orders_are_those_that_are_asked_for_whatever_conditions_leave() {
    let Some(server) = Server::start().await else { return };
    fill(&server).await;
    let driver = driver(&server, "shop");
    let scan = scan(&driver, "things", 0).await;
    let (values, outputs) = ([Value::Int64(2), Value::Int64(5)], vec![output(0, INT), output(1, INT)]);
    for (case, (predicate, nulls, keeps)) in conditions().into_iter().enumerate() {
        for (ascending, nulls_first) in [(true, true), (true, false), (false, true), (false, false)] {
            // Also where the column has another id by then.
            for renamed in [false, true] {
                let key = |id, ascending, nulls_first| SortKey { expr: ScalarExpr::Column(id), ascending, nulls_first };
                let filtered = Relation::Filter { input: Box::new(scan.clone()), predicate: predicate.clone() };
                let (input, ids, outputs) = if renamed {
                    let exprs = vec![(ColumnId(6), ScalarExpr::Column(ID)), (ColumnId(7), ScalarExpr::Column(NUMBER))];
                    let renamed = Relation::Project { input: Box::new(filtered), exprs };
                    (renamed, [ColumnId(6), ColumnId(7)], vec![output(6, INT), output(7, INT)])
                } else {
                    (filtered, [ID, NUMBER], outputs.clone())
                };
                let keys = vec![key(ids[1], ascending, nulls_first), key(ids[0], true, true)];
                let sorted = Relation::Sort { input: Box::new(input), keys };
                let what = format!("case {case}, ascending {ascending}, nulls first {nulls_first}, renamed {renamed}");

                let fragment = Fragment { relation: sorted.clone(), output: outputs.clone(), parameters: vec![INT; 2] };
                let text = Arc::clone(&driver.render(&fragment).unwrap().text);
                assert_eq!(text.contains("\"k0\""), nulls && ascending != nulls_first, "{what}: {text}");

                let mut expected: Vec<(i64, Option<i64>)> = (0..40).map(|id| (id, number(id))).collect();
                expected.retain(|(_, number)| keeps(*number));
                expected.sort_by(|(one_id, one), (other_id, other)| {
                    let order = match (one, other) {
                        (None, None) => Ordering::Equal,
                        (None, Some(_)) if nulls_first => Ordering::Less,
                        (None, Some(_)) => Ordering::Greater,
                        (Some(_), None) if nulls_first => Ordering::Greater,
                        (Some(_), None) => Ordering::Less,
                        (Some(one), Some(other)) if ascending => one.cmp(other),
                        (Some(one), Some(other)) => other.cmp(one),
                    };
                    order.then(one_id.cmp(other_id))
                });
                let value = |number: Option<i64>| number.map_or(Value::Null(INT), Value::Int64);
                let expected: Vec<Vec<Value>> =
                    expected.into_iter().map(|(id, number)| vec![Value::Int64(id), value(number)]).collect();
                assert_eq!(rows(&driver, sorted, outputs, &values).await.unwrap(), expected, "{what}");
            }
        }
    }
}
