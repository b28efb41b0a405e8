//! Null logic, identities and shapes of the algebra.

use super::{CompareOp, FilterValue, Operand, RowFilter, RowLookup, Test, TextKind};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value, json};

struct Related;

impl RowLookup for Related {
    fn rows_where(&self, object: &str, _: &str, value: &str) -> Result<Vec<Map<String, Value>>> {
        match object {
            "broken" => Err(Error::new(ErrorCode::SourceLost, "source lost")),
            _ => Ok(vec![json!({"id": value, "open": value == "m1"}).as_object().unwrap().clone()]),
        }
    }
}

fn literal(text: &str) -> Operand {
    Operand::Literal(FilterValue::Text(text.to_owned()))
}

fn principal(value: FilterValue) -> Operand {
    Operand::Principal { key: "id".to_owned(), value }
}

fn compare(op: CompareOp, value: Operand) -> RowFilter {
    RowFilter::Test(Test::Compare { column: "c".to_owned(), op, value })
}

fn related(object: &str) -> RowFilter {
    let open = Test::Compare { column: "open".to_owned(), op: CompareOp::Eq, value: FilterValue::Boolean(true).into() };
    RowFilter::Test(Test::InRelated {
        column: "c".to_owned(),
        object: object.to_owned(),
        filter: Box::new(RowFilter::Test(open)),
        select: "id".to_owned(),
    })
}

fn test(kind: &str, negated: bool) -> RowFilter {
    let column = "c".to_owned();
    RowFilter::Test(match kind {
        "in" => Test::In { column, values: vec![literal("a")], negated },
        "null" => Test::IsNull { column, negated },
        "text" => Test::Text { column, kind: TextKind::Contains, pattern: literal("a"), negated },
        "list" => Test::ListContains { column, value: literal("a") },
        "columns" => Test::CompareColumns {
            left: column,
            op: if negated { CompareOp::Ne } else { CompareOp::Eq },
            right: "other".to_owned(),
            add_days: 0,
        },
        other => panic!("{other}"),
    })
}

/// (filter, on "a", on "b", on null)
#[test]
fn every_test_is_two_valued() {
    let table = [
        (compare(CompareOp::Eq, literal("a")), true, false, false),
        (compare(CompareOp::Ne, literal("a")), false, true, true),
        (compare(CompareOp::Lt, literal("b")), true, false, false),
        (compare(CompareOp::Le, literal("a")), true, false, false),
        (compare(CompareOp::Gt, literal("a")), false, true, false),
        (compare(CompareOp::Ge, literal("b")), false, true, false),
        (test("in", false), true, false, false),
        (test("in", true), false, true, true),
        (test("null", false), false, false, true),
        (test("null", true), true, true, false),
        (test("text", false), true, false, false),
        (test("text", true), false, true, true),
        (test("list", false), false, false, false),
        (test("columns", false), true, false, false),
        (test("columns", true), false, true, true),
        (compare(CompareOp::Eq, FilterValue::Integer(1).into()), false, false, false),
        (compare(CompareOp::Ne, FilterValue::Integer(1).into()), true, true, true),
        (RowFilter::All, true, true, true),
        (RowFilter::Nothing, false, false, false),
        (RowFilter::And(vec![]), true, true, true),
        (RowFilter::Or(vec![]), false, false, false),
    ];
    for (filter, on_a, on_b, on_null) in table {
        for (value, expected) in [(json!("a"), on_a), (json!("b"), on_b), (json!(null), on_null)] {
            let row = json!({"c": value, "other": "a"});
            let row = row.as_object().unwrap();
            assert_eq!(filter.evaluate(row, &Related).unwrap(), expected, "{filter:?} on {value}");
            let not = RowFilter::Not(Box::new(filter.clone()));
            assert_eq!(not.evaluate(row, &Related).unwrap(), !expected, "not {filter:?} on {value}");
            assert_eq!(filter.clone().simplify().evaluate(row, &Related).unwrap(), expected, "simplified {filter:?}");
        }
    }
}

#[test]
fn related_rows_decide_and_their_absence_is_an_error() {
    for (value, expected) in [(json!("m1"), true), (json!("m2"), false), (json!(null), false)] {
        let row = json!({"c": value});
        assert_eq!(related("o").evaluate(row.as_object().unwrap(), &Related).unwrap(), expected);
    }
    assert!(related("broken").evaluate(json!({"c": "m1"}).as_object().unwrap(), &Related).is_err());
}

#[test]
fn constants_are_simplified() {
    let t = || compare(CompareOp::Eq, literal("a"));
    let u = || compare(CompareOp::Eq, literal("b"));
    for (filter, expected) in [
        (RowFilter::And(vec![]), RowFilter::All),
        (RowFilter::Or(vec![]), RowFilter::Nothing),
        (RowFilter::And(vec![RowFilter::All, t()]), t()),
        (RowFilter::And(vec![RowFilter::Nothing, t()]), RowFilter::Nothing),
        (RowFilter::Or(vec![RowFilter::All, t()]), RowFilter::All),
        (RowFilter::Or(vec![RowFilter::Nothing, t(), t()]), t()),
        (RowFilter::Not(Box::new(RowFilter::And(vec![]))), RowFilter::Nothing),
        (RowFilter::Not(Box::new(RowFilter::Not(Box::new(t())))), t()),
        (RowFilter::And(vec![t(), RowFilter::And(vec![u(), RowFilter::All])]), RowFilter::And(vec![t(), u()])),
        (RowFilter::Test(Test::In { column: "c".to_owned(), values: vec![], negated: false }), RowFilter::Nothing),
        (RowFilter::Test(Test::In { column: "c".to_owned(), values: vec![], negated: true }), RowFilter::All),
    ] {
        assert_eq!(filter.simplify(), expected);
    }
}

#[test]
fn the_fingerprint_sees_everything_but_the_principals_values() {
    let text = |t: &str| FilterValue::Text(t.to_owned());
    let base = compare(CompareOp::Eq, principal(text("u1")));
    assert_eq!(base.shape_fingerprint(), compare(CompareOp::Eq, principal(text("u2"))).shape_fingerprint());
    assert_eq!(base.parameters(), [&text("u1")]);
    for other in [
        compare(CompareOp::Ne, principal(text("u1"))),
        compare(CompareOp::Eq, literal("u1")),
        compare(CompareOp::Eq, principal(FilterValue::Integer(1))),
        RowFilter::And(vec![base.clone()]),
        RowFilter::Not(Box::new(base.clone())),
        RowFilter::All,
        RowFilter::Nothing,
    ] {
        assert_ne!(base.shape_fingerprint(), other.shape_fingerprint(), "{other:?}");
    }
    assert_ne!(
        compare(CompareOp::Eq, literal("a")).shape_fingerprint(),
        compare(CompareOp::Eq, literal("b")).shape_fingerprint()
    );
    let shares = |ids: &[&str]| {
        let values = ids.iter().map(|id| principal(text(id))).collect();
        RowFilter::Test(Test::In { column: "id".to_owned(), values, negated: false })
    };
    assert_eq!(shares(&["a", "b"]).shape_fingerprint(), shares(&["c", "d"]).shape_fingerprint());
    assert_ne!(shares(&["a", "b"]).shape_fingerprint(), shares(&["a"]).shape_fingerprint());
}

/// (wider, narrower, whether it is plain that the first passes every row that the second passes)
#[test]
fn what_covers_another_filter_passes_all_its_rows() {
    let list = |values: &[&str], negated| {
        let values = values.iter().map(|value| literal(value)).collect();
        RowFilter::Test(Test::In { column: "c".to_owned(), values, negated })
    };
    let inside = |filter: RowFilter| {
        let (column, select) = ("c".to_owned(), "id".to_owned());
        RowFilter::Test(Test::InRelated { column, object: "m".to_owned(), filter: Box::new(filter), select })
    };
    let (a, b, c) = (test("null", false), test("text", false), test("list", false));
    let and = |of: &[&RowFilter]| RowFilter::And(of.iter().map(|f| (*f).clone()).collect());
    let or = |of: &[&RowFilter]| RowFilter::Or(of.iter().map(|f| (*f).clone()).collect());
    let not = |of: &RowFilter| RowFilter::Not(Box::new(of.clone()));
    let table = [
        (RowFilter::All, a.clone(), true),
        (a.clone(), RowFilter::All, false),
        (a.clone(), RowFilter::Nothing, true),
        (RowFilter::Nothing, a.clone(), false),
        (a.clone(), a.clone(), true),
        (a.clone(), b.clone(), false),
        (a.clone(), and(&[&a, &b]), true),
        (and(&[&a, &b]), a.clone(), false),
        (or(&[&a, &b]), a.clone(), true),
        (a.clone(), or(&[&a, &b]), false),
        (or(&[&a, &b, &c]), or(&[&b, &a]), true),
        (or(&[&a, &b]), or(&[&b, &c]), false),
        (and(&[&a, &b]), and(&[&c, &b, &a]), true),
        (and(&[&a, &c]), and(&[&a, &b]), false),
        (or(&[&and(&[&a, &b]), &c]), and(&[&b, &a]), true),
        (or(&[&and(&[&a, &c]), &c]), and(&[&b, &a]), false),
        (not(&and(&[&a, &b])), not(&a), true),
        (not(&a), not(&and(&[&a, &b])), false),
        (list(&["a", "b"], false), list(&["b"], false), true),
        (list(&["b"], false), list(&["a", "b"], false), false),
        (list(&["a", "b"], true), list(&["a", "b"], true), true),
        (list(&["a", "b"], true), list(&["b"], true), false),
        (inside(RowFilter::All), inside(a.clone()), true),
        (inside(a.clone()), inside(RowFilter::All), false),
        (inside(a), related("m"), false),
        (
            compare(CompareOp::Eq, principal(FilterValue::Text("u".to_owned()))),
            compare(CompareOp::Eq, literal("u")),
            false,
        ),
    ];
    for (wider, narrower, expected) in table {
        assert_eq!(wider.covers(&narrower), expected, "{wider:?}\n{narrower:?}");
    }
}
