//! Tests of binding: types of parameters, columns, walk one.

mod kept_schemas;

use super::*;
use crate::testing::Shop;
use arrow::array::{Int32Array, Int64Array, StringArray};

/// What a parameter is: by what stands beside it, by a cast, by LIMIT; else a text.
#[test]
fn a_parameter_has_the_type_of_its_place() {
    let reader = Shop::open().owner();
    for (sql, expected) in [
        ("SELECT id FROM accounts WHERE rating = $1", vec![PgType::Int4]),
        ("SELECT id FROM accounts WHERE name = $1 AND rating > $2", vec![PgType::Text, PgType::Int4]),
        ("SELECT id FROM accounts WHERE rating IN ($1, $2)", vec![PgType::Int4, PgType::Int4]),
        ("SELECT id FROM orders WHERE placed >= $1", vec![PgType::Date]),
        ("SELECT id FROM orders WHERE placed BETWEEN $2 AND $1", vec![PgType::Date, PgType::Date]),
        ("SELECT id FROM accounts LIMIT $1 OFFSET $2", vec![PgType::Int8, PgType::Int8]),
        ("SELECT $1::uuid", vec![PgType::Uuid]),
        ("SELECT $1::int + 1", vec![PgType::Int4]),
        ("SELECT $1", vec![PgType::Text]),
        ("SELECT id FROM accounts WHERE name LIKE $1", vec![PgType::Text]),
        ("SELECT timestamp '2024-01-01' - $1, date '2024-01-01' - $2", vec![PgType::Timestamp, PgType::Date]),
        ("SELECT now() + $1, time '12:00' + $2", vec![PgType::Interval, PgType::Interval]),
        ("SELECT '\\x00'::bytea || $1", vec![PgType::Bytea]),
        ("SELECT ARRAY['a'] && $1, ARRAY[1] @> $2", vec![PgType::TextArray, PgType::Int4Array]),
        ("SELECT $1 LIKE $2, $3 ~ $4, $5 SIMILAR TO $6", vec![PgType::Text; 6]),
        ("SELECT substring('abc' from $1), substring('abc' from 2 for $2)", vec![PgType::Text, PgType::Int4]),
        ("SELECT id FROM accounts WHERE rating = (SELECT rank FROM regions WHERE id = $1)", vec![PgType::Text]),
        ("SELECT id FROM accounts WHERE $1 IN (rating, $2)", vec![PgType::Int4, PgType::Int4]),
        ("SELECT id FROM accounts WHERE $1 BETWEEN rating AND $2", vec![PgType::Int4, PgType::Int4]),
        ("SELECT $1 IN ($2, $3), $4 BETWEEN $5 AND $6", vec![PgType::Text; 6]),
        ("SELECT coalesce($1, $2) = $3, $4 = NULL", vec![PgType::Text; 4]),
        ("SELECT $1 = ANY(ARRAY[$2, $3]), $4 IN (SELECT $5), $6 = (SELECT $7)", vec![PgType::Text; 7]),
        ("SELECT 1", vec![]),
    ] {
        let bound = reader.bind(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(bound.parameter_types(), expected, "{sql}");
    }
}

#[test]
fn parameters_that_are_none_are_refused() {
    let reader = Shop::open().owner();
    let error = reader.bind("SELECT $70000").map(drop).unwrap_err();
    assert_eq!(error.code(), ErrorCode::UndefinedParameter, "{error}");
    assert!(reader.bind("SELECT $0").is_err());
}

/// Numbered to the highest one: what lies between and is named nowhere is a text.
#[test]
fn a_gap_among_parameters_is_one_too() {
    let bound = Shop::open().owner().bind("SELECT id FROM accounts WHERE rating = $3").unwrap();
    assert_eq!(bound.parameter_types(), [PgType::Text, PgType::Text, PgType::Int4]);
}

#[test]
fn values_are_as_many_as_parameters_and_of_their_types() {
    let bound = Shop::open().owner().bind("SELECT id FROM accounts WHERE rating = $1 AND name = $2").unwrap();
    let number = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    assert_eq!(
        bound.values(&[number(3), text("Bolt")]).unwrap(),
        [ScalarValue::Int32(Some(3)), ScalarValue::Utf8(Some("Bolt".to_owned()))]
    );
    for given in [vec![], vec![number(3)], vec![number(3), text("a"), text("b")]] {
        let error = bound.values(&given).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ProtocolViolation, "{} values", given.len());
    }
    let beyond = bound.values(&[number(1 << 40), text("Bolt")]).unwrap_err();
    assert_eq!(beyond.code().sqlstate(), "22003", "{beyond}");
    assert_eq!(bound.fitted(&number(7), &DataType::Int32).unwrap().as_ref(), &Int32Array::from(vec![7]));
}

/// What a door has read already is taken as it stands where it is exactly what the plan wants, and read where it is not.
#[test]
fn given_values_stand_as_they_are_or_are_read() {
    let bound = Shop::open().owner().bind("SELECT id FROM accounts WHERE rating = $1 AND name = $2").unwrap();
    let given = |first: Given<'_>, second: Given<'_>| bound.given(&[first, second]);
    assert_eq!(given(Given::Int32(3), Given::Text("Bolt")), Some(vec![Value::Int32(3), Value::text("Bolt")]));
    assert_eq!(given(Given::Int64(3), Given::Text("Bolt")), None, "another width");
    assert_eq!(given(Given::Int32(3), Given::Int32(3)), None, "another type");
    assert_eq!(bound.given(&[Given::Int32(3)]), None, "too few");
    let numeric = DataType::Decimal128(5, 2);
    assert!(as_it_stands(Given::Decimal { value: 12_345, scale: 2 }, &numeric).is_some());
    assert!(as_it_stands(Given::Decimal { value: 123_456, scale: 2 }, &numeric).is_none(), "six digits");
    assert!(as_it_stands(Given::Decimal { value: 12, scale: 1 }, &numeric).is_none(), "other places");
}

#[test]
fn a_result_has_no_more_columns_than_a_client_may_be_told_of() {
    let columns = |count: usize| format!("SELECT {}", vec!["1"; count].join(", "));
    let reader = Shop::open().owner();
    assert_eq!(reader.bind(&columns(limits::RESULT_COLUMNS_MAX)).unwrap().columns().len(), limits::RESULT_COLUMNS_MAX);
    let error = reader.bind(&columns(limits::RESULT_COLUMNS_MAX + 1)).map(drop).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ProgramLimitExceeded);
}

/// All who prepare a statement share one charge, which ends with the last of them.
#[test]
fn a_bound_statement_is_charged_once() {
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
    let bound = Shop::open().owner().bind("SELECT id FROM accounts").unwrap();
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 20));
    let memory = MemoryConsumer::new("test").register(&pool);
    let (first, second) = (bound.charge(&memory).unwrap(), bound.charge(&memory).unwrap());
    assert_eq!(pool.reserved(), bound.bytes());
    drop(first);
    assert_eq!(pool.reserved(), bound.bytes());
    drop(second);
    assert_eq!(pool.reserved(), 0);
    let small: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1));
    assert!(bound.charge(&MemoryConsumer::new("test").register(&small)).is_err());
}
