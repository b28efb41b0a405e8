//! What filters mean by the types of the columns that they are about.

use super::*;
use crate::filter::{FilterValue, Operand};
use querygate_metadata::model::{FieldType, ValueType};
use serde_json::json;

/// No text is looked for in a document, nor in a list that is stored as one.
#[test]
fn only_lists_of_texts_are_asked_for_one_of_them() {
    let field = |field_type, multiple, column_type| Column { field_type, multiple, formula_return: None, column_type };
    let document = field(FieldType::Json, false, None);
    let stored_as_document = field(FieldType::Tags, true, Some(ValueType::Json));
    let listed = field(FieldType::Tags, true, None);
    let compiled = |column: Column, operator: &str, protocol| {
        let context = FilterContext { protocol, ..FilterContext::default() };
        let comparand = if operator == "$empty" { json!(true) } else { json!("a") };
        compile_filter(&json!({"data": {operator: comparand}}), &|_| Some(column), &context)
    };
    for (operator, in_17_4) in [("$contains", RowFilter::Nothing), ("$notContains", RowFilter::All)] {
        for protocol in [Protocol::V17_4, Protocol::V17_7] {
            let refused = compiled(stored_as_document, operator, protocol).unwrap_err().message;
            assert!(refused.contains("data") && refused.contains(operator), "{refused}");
            assert!(compiled(listed, operator, protocol).is_ok(), "{operator}");
        }
        let refused = compiled(document, operator, Protocol::V17_7).unwrap_err().message;
        assert!(refused.contains("data") && refused.contains(operator), "{refused}");
        assert_eq!(compiled(document, operator, Protocol::V17_4).unwrap(), in_17_4, "{operator}");
    }
    let refused = compiled(document, "$eq", Protocol::V17_7).unwrap_err().message;
    assert!(refused.ends_with("a json field takes $null and $exists"), "{refused}");
    let empty = compiled(stored_as_document, "$empty", Protocol::V17_7).unwrap();
    assert_eq!(empty, RowFilter::Test(Test::IsNull { column: "data".to_owned(), negated: false }));
}

/// Neither finds a record: their complement would be all of them.
#[test]
fn no_list_is_found_by_a_part_of_its_text_nor_by_the_complement() {
    let listed = Column { field_type: FieldType::Tags, multiple: true, formula_return: None, column_type: None };
    let compiled = |filter: Value, protocol| {
        let context = FilterContext { protocol, ..FilterContext::default() };
        compile_filter(&filter, &|_| Some(listed), &context).unwrap()
    };
    for operator in ["$startsWith", "$endsWith", "$icontains", "$like", "$ilike"] {
        let asked = json!({"tags": {operator: "a"}});
        for protocol in [Protocol::V17_4, Protocol::V17_7] {
            for filter in [
                asked.clone(),
                json!({"$not": asked}),
                json!({"$not": {"$not": asked}}),
                json!({"$not": {"$or": [asked, {"tags": {"$null": true}}]}}),
            ] {
                assert_eq!(compiled(filter.clone(), protocol), RowFilter::Nothing, "{filter}");
            }
            // What stands beside a complement is none.
            let beside = json!({"$or": [{"$not": {"tags": {"$null": true}}}, asked]});
            let expected =
                RowFilter::Not(Box::new(RowFilter::Test(Test::IsNull { column: "tags".to_owned(), negated: false })));
            assert_eq!(compiled(beside, protocol), expected, "{operator}");
        }
    }
}

#[test]
fn numbers_are_compared_by_all_their_digits() {
    let column = |name: &str| {
        let number = |column_type| Column {
            field_type: FieldType::Number,
            multiple: false,
            formula_return: None,
            column_type: Some(column_type),
        };
        Some(match name {
            "money" => number(ValueType::Decimal { precision: 38, scale: 2 }),
            "whole" => number(ValueType::Int64),
            _ => number(ValueType::Float64),
        })
    };
    let compiled = |filter: &Value| compile_filter(filter, &column, &FilterContext::default());
    let compared = |name: &str, op, value| {
        let value = Operand::Literal(value);
        RowFilter::Test(Test::Compare { column: name.to_owned(), op, value })
    };
    let decimal = |text: &str| FilterValue::Decimal(text.to_owned());
    let whole = FilterValue::Integer;
    for (filter, expected) in [
        (json!({"money": "1234567890123456.78"}), compared("money", CompareOp::Eq, decimal("1234567890123456.78"))),
        (json!({"money": u64::MAX}), compared("money", CompareOp::Eq, decimal("18446744073709551615"))),
        (json!({"money": {"$lt": 0.125}}), compared("money", CompareOp::Le, decimal("0.12"))),
        (json!({"whole": i64::MAX}), compared("whole", CompareOp::Eq, whole(i64::MAX))),
        (
            json!({"whole": {"$gte": -9_007_199_254_740_993_i64}}),
            compared("whole", CompareOp::Ge, whole(-9_007_199_254_740_993)),
        ),
        (json!({"whole": u64::MAX}), RowFilter::Nothing),
        (json!({"whole": {"$in": [u64::MAX, 0.5]}}), RowFilter::Nothing),
        (json!({"whole": {"$ne": 0.5}}), RowFilter::All),
        (json!({"double": 9_007_199_254_740_994_i64}), compared("double", CompareOp::Eq, whole(9_007_199_254_740_994))),
    ] {
        assert_eq!(compiled(&filter).unwrap(), expected, "{filter}");
    }
    let refused = compiled(&json!({"double": 9_007_199_254_740_993_i64})).unwrap_err();
    assert!(refused.message.contains("2^53"), "{refused}");
}

#[test]
fn parts_are_bounded_however_they_are_nested() {
    let read = |filter: Value| compile_filter(&filter, &|_| None, &FilterContext::default());
    let branches = |count: usize| json!({"$or": vec![json!({}); count]});
    assert!(read(branches(PARTS_MAX - 1)).is_ok());
    assert_eq!(read(branches(PARTS_MAX)).unwrap_err().code, FilterErrorCode::InvalidFilter);
    let nested = json!({"$and": vec![branches(PARTS_MAX / 2); 2]});
    assert_eq!(read(nested).unwrap_err().code, FilterErrorCode::InvalidFilter);
}
