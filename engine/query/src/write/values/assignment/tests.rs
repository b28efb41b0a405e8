//! Tests of assignment: PostgreSQL's casts in an assignment, and the exact form that a source is given.

use super::*;
use arrow::array::{Array, Float64Array, Int32Array, Int64Array, NullArray};
use arrow::datatypes::TimeUnit;

/// `pg_cast.castcontext` of PostgreSQL 16, `a` and `i`: what is cast in an assignment.
#[test]
fn types_are_assigned_as_in_postgresql() {
    use PgType as T;
    for (found, wanted) in [
        (T::Int4, T::Int2),
        (T::Float8, T::Int4),
        (T::Numeric, T::Float8),
        (T::Bool, T::Text),
        (T::Date, T::Varchar),
        (T::Unknown, T::Date),
        (T::Date, T::Timestamptz),
        (T::Timestamp, T::Date),
        (T::Timestamptz, T::Time),
        (T::Json, T::Jsonb),
        (T::Int4Array, T::Int8Array),
        (T::TextArray, T::VarcharArray),
        (T::Uuid, T::Uuid),
    ] {
        assert!(is_assigned_type(found, wanted), "{} to {}", found.name(), wanted.name());
    }
    for (found, wanted) in [
        (T::Text, T::Int4),
        (T::Int4, T::Bool),
        (T::Bool, T::Int4),
        (T::Text, T::Date),
        (T::Text, T::Uuid),
        (T::Text, T::Jsonb),
        (T::Date, T::Time),
        (T::Int4, T::Date),
        (T::TextArray, T::Int4Array),
        (T::Int4, T::Int4Array),
        (T::Interval, T::Timestamp),
    ] {
        assert!(!is_assigned_type(found, wanted), "{} to {}", found.name(), wanted.name());
    }
}

#[test]
fn arguments_are_assigned_and_numbers_of_the_catalog_are_alike() {
    use PgType as T;
    let code = |found, wanted| admit_argument(1, found, wanted).err().map(|error| error.code().sqlstate());
    for (found, wanted) in [
        (T::Int4, T::Oid),
        (T::Regclass, T::Oid),
        (T::Oid, T::Regclass),
        (T::Oid, T::Int8),
        (T::Text, T::Regclass),
        (T::Int4Array, T::OidArray),
        (T::Date, T::Unknown),
        (T::Float8, T::Int4),
    ] {
        assert_eq!(code(found, wanted), None, "{} to {}", found.name(), wanted.name());
    }
    for (found, wanted) in [(T::Bool, T::Int4), (T::Int4, T::Date), (T::Bool, T::Oid), (T::Text, T::Uuid)] {
        assert_eq!(code(found, wanted), Some("42804"), "{} to {}", found.name(), wanted.name());
    }
}

/// A constant says its type where its text does; everything else is bound to know.
#[test]
fn constants_are_known_by_their_text() {
    let expr = |sql: &str| {
        let query = crate::write::find::skeleton(&format!("SELECT {sql}")).unwrap();
        let datafusion::sql::sqlparser::ast::SetExpr::Select(select) = *query.body else { panic!("{sql}") };
        let datafusion::sql::sqlparser::ast::SelectItem::UnnamedExpr(expr) = select.projection[0].clone() else {
            panic!("{sql}")
        };
        expr
    };
    for (sql, expected) in [
        ("1", Some(Literal::Number)),
        ("-1.5e3", Some(Literal::Number)),
        ("(+(1))", Some(Literal::Number)),
        ("'a'", Some(Literal::Any)),
        ("E'a'", Some(Literal::Any)),
        ("$1", Some(Literal::Any)),
        ("((NULL))", Some(Literal::Any)),
        ("true", Some(Literal::Boolean)),
        ("-'1'", None),
        ("-$1", None),
        ("1 + 1", None),
        ("a", None),
        ("'a'::text", None),
        ("B'01'", None),
    ] {
        assert_eq!(literal(&expr(sql)), expected, "{sql}");
    }
}

/// PostgreSQL, "Character Types": too long a text is an error, but for blanks that are cut off. Lengths count characters.
#[test]
fn texts_are_within_their_length() {
    let texts = |values: &[Option<&str>]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let cut = within(texts(&[Some("abc  "), Some("äöü"), None, Some("")]), Some(3)).unwrap();
    assert_eq!(cut.as_string::<i32>(), texts(&[Some("abc"), Some("äöü"), None, Some("")]).as_string::<i32>());
    let error = within(texts(&[Some("abcd")]), Some(3)).unwrap_err();
    assert_eq!((error.code().sqlstate(), error.message()), ("22001", "value too long for type character varying(3)"));
    assert_eq!(within(texts(&[Some("ab c")]), Some(3)).unwrap_err().code().sqlstate(), "22001");
    assert!(within(texts(&[Some("abcd")]), None).is_ok());
    let number = Arc::new(Int32Array::from(vec![12_345])) as ArrayRef;
    assert!(within(number, Some(2)).is_ok(), "lengths are of texts");
}

/// What the source is given is exactly the value, or an error; nothing is rounded away or wrapped around.
#[test]
fn values_are_fitted_exactly_or_refused() {
    let int8 = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    assert_eq!(fit(&int8(7), &DataType::Int32, "c").unwrap().as_ref(), &Int32Array::from(vec![7]));
    let error = fit(&int8(1 << 40), &DataType::Int32, "c").unwrap_err();
    assert_eq!((error.code().sqlstate(), error.message()), ("22003", "value is out of range for column \"c\""));
    assert_eq!(fit(&int8(7), &DataType::Float64, "c").unwrap().as_ref(), &Float64Array::from(vec![7.0]));
    let nulls = Arc::new(NullArray::new(2)) as ArrayRef;
    let fitted = fit(&nulls, &DataType::Date32, "c").unwrap();
    assert_eq!((fitted.data_type(), fitted.null_count()), (&DataType::Date32, 2));
    let text = Arc::new(StringArray::from(vec!["7"])) as ArrayRef;
    for wanted in
        [DataType::Int32, DataType::Date32, DataType::Boolean, DataType::Timestamp(TimeUnit::Millisecond, None)]
    {
        assert_eq!(fit(&text, &wanted, "c").unwrap_err().code().sqlstate(), "42804", "{wanted}");
    }
}

/// Many sets of values go to the source as they are only where a cast of each would be the same.
#[test]
fn sets_are_stored_as_a_cast_would_store_them() {
    let (ms, us) = (DataType::Timestamp(TimeUnit::Millisecond, None), DataType::Timestamp(TimeUnit::Microsecond, None));
    for (found, wanted, expected) in [
        (DataType::Int32, DataType::Int64, true),
        (DataType::Int64, DataType::Decimal128(10, 2), true),
        (DataType::Decimal128(10, 4), DataType::Decimal128(10, 2), true),
        (us.clone(), ms.clone(), true),
        (DataType::Utf8, DataType::Utf8, true),
        (DataType::Int64, DataType::Float64, false),
        (DataType::Float64, DataType::Float32, false),
        (DataType::Decimal128(10, 2), DataType::Int64, false),
        (DataType::Date32, us, false),
        (DataType::Utf8, DataType::Int64, false),
        (DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), ms, false),
    ] {
        assert_eq!(is_stored_as(&found, &wanted), expected, "{found} to {wanted}");
    }
}
