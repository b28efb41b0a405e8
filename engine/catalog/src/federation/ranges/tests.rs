//! Ranges of keys: each row in one, the policy in place.

use super::*;
use crate::testing::expressions::Row;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::relation::{Encoding, SetOp};

fn key() -> RemoteColumn {
    RemoteColumn {
        name: Identifier::new("id").unwrap(),
        value_type: ValueType::Int64,
        nullable: true,
        collation: Collation::Binary,
        encoding: Encoding::Canonical,
    }
}

/// A scan without the key.
fn scan() -> Relation {
    let RemoteColumn { value_type, nullable, collation, encoding, .. } = key();
    let name = Identifier::new("size").unwrap();
    let column = ScanColumn { id: ColumnId(1), name, value_type, nullable, collation, encoding };
    Relation::Scan { table: TableRef::new(["t"]).unwrap(), columns: vec![column] }
}

/// A policy's filter below a fence, and a projection that drops the key.
fn governed() -> Relation {
    let of = ScalarExpr::Parameter(0, ValueType::Int64);
    let predicate = ScalarExpr::compare(ComparisonOp::Gt, ScalarExpr::Column(ColumnId(1)), of);
    let filter = Relation::Filter { input: Box::new(scan()), predicate };
    let fence = Relation::Fence { input: Box::new(filter) };
    Relation::Project { input: Box::new(fence), exprs: vec![(ColumnId(1), ScalarExpr::Column(ColumnId(1)))] }
}

fn checked(relation: Relation, id: ColumnId, parameters: Vec<ValueType>) {
    let output = vec![OutputColumn { id, name: "v".to_owned(), value_type: ValueType::Int64, nullable: true }];
    Fragment { relation, output, parameters }.check().unwrap();
}

#[test]
fn each_key_is_in_one_range_and_null_in_the_first() {
    let [five, nine] = [5, 9].map(|end| Some(Value::Int64(end)));
    let ranges = [(None, five.clone()), (five, nine.clone()), (nine, None)];
    for (value, place) in [(None, 0), (Some(-1), 0), (Some(5), 1), (Some(8), 1), (Some(9), 2), (Some(i64::MAX), 2)] {
        let cells = [(ColumnId(7), value.map_or(Value::Null(ValueType::Int64), Value::Int64))];
        let within = ranges.clone().map(|(low, high)| {
            let (mut types, mut parameters) = (vec![ValueType::Text], vec![Value::text("of the statement")]);
            let condition = condition(ColumnId(7), &KeyRange { low, high }, &mut types, &mut parameters);
            assert_eq!(types, parameters.iter().map(Value::value_type).collect::<Vec<_>>());
            Row { cells: &cells, parameters: &parameters }.truth(&condition) == Some(true)
        });
        assert_eq!(within, [0, 1, 2].map(|at| at == place), "{value:?}");
    }
}

#[test]
fn a_range_is_a_condition_on_the_tables_own_rows_with_the_policy_in_place() {
    let (mut types, mut values) = (vec![ValueType::Int64], vec![Value::Int64(0)]);
    let range = KeyRange { low: Some(Value::Int64(5)), high: None };
    let (relation, _) = narrowed(&governed(), &key(), &range, &mut types, &mut values).unwrap();
    assert_eq!(values, [Value::Int64(0), Value::Int64(5)], "the policy's own parameter keeps its place");
    checked(relation.clone(), ColumnId(1), types);
    let Relation::Project { input, .. } = relation else { panic!("{relation:?}") };
    let Relation::Fence { input } = *input else { panic!("{input:?}") };
    let Relation::Filter { input, predicate } = *input else { panic!("{input:?}") };
    assert!(matches!(predicate, ScalarExpr::Comparison { op: ComparisonOp::Gt, .. }), "{predicate:?}");
    let Relation::Filter { input, .. } = *input else { panic!("{input:?}") };
    assert!(matches!(&*input, Relation::Scan { columns, .. } if columns[1].name == key().name), "{input:?}");
}

#[test]
fn counts_and_places_are_asked_of_what_the_reader_sees() {
    let (relation, id) = carry(&governed(), &key(), &mut { FRESH }).unwrap();
    assert!(relation.output().contains(&id));
    for ValueQuery { relation: asked, id, .. } in [counted(&relation), at_place(&relation, id, 3, ValueType::Int64)] {
        checked(asked.clone(), id, vec![ValueType::Int64]);
        let mut below = &asked;
        while !matches!(below, Relation::Fence { .. }) {
            below = below.inputs()[0];
        }
    }
    // A key that is read already is not read twice.
    let (with_key, _) = carry(&scan(), &key(), &mut { FRESH }).unwrap();
    assert_eq!(carry(&with_key, &key(), &mut { FRESH + 1 }).unwrap(), (with_key, ColumnId(FRESH)));
}

#[test]
fn what_looks_at_several_rows_has_no_ranges() {
    let input = || Box::new(scan());
    let join = |kind| Relation::Join { kind, left: input(), right: input(), on: ScalarExpr::always() };
    let whole = [
        join(JoinKind::Inner),
        join(JoinKind::Full),
        Relation::Aggregate { input: input(), group: Vec::new(), aggregates: Vec::new() },
        Relation::Distinct { input: input() },
        Relation::Sort { input: input(), keys: Vec::new() },
        Relation::Limit { input: input(), skip: 0, fetch: Some(1) },
        Relation::SetOperation { op: SetOp::Union, all: true, columns: vec![], left: input(), right: input() },
        Relation::Window { input: input(), exprs: Vec::new() },
        Relation::Values { columns: Vec::new(), rows: Vec::new() },
        Relation::EmptyRow,
    ];
    let none = KeyRange { low: None, high: None };
    for relation in whole {
        let fenced = Relation::Fence { input: Box::new(relation) };
        assert_eq!(carry(&fenced, &key(), &mut { FRESH }), None, "{fenced:?}");
        assert_eq!(narrowed(&fenced, &key(), &none, &mut Vec::new(), &mut Vec::new()), None, "{fenced:?}");
    }
    assert!(carry(&join(JoinKind::LeftSemi), &key(), &mut { FRESH }).is_some());
}

#[test]
fn ends_rise_or_are_left_out() {
    let asked = [Value::Int32(5), Value::Int32(9), Value::Int32(7), Value::Int32(9), Value::Int32(12)];
    let mut ends: Vec<Value> = Vec::new();
    for value in asked {
        ends.extend(Some(value).filter(|value| is_above(value, ends.last())));
    }
    assert_eq!(ends, [Value::Int32(5), Value::Int32(9), Value::Int32(12)]);
    let text = |text: &str| Value::Text(text.into());
    assert!(is_above(&text("é"), Some(&text("z"))) && !is_above(&text("Z"), Some(&text("a"))));
    for wrong in [Value::Null(ValueType::Int32), Value::Float64(1.0), Value::Boolean(true)] {
        assert!(!is_above(&wrong, None), "{wrong:?}");
    }
    assert!(!is_above(&Value::Int64(9), Some(&Value::Int32(1))));
}
