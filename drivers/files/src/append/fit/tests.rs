//! Which values files of a type hold, and which are refused.

use super::*;
use arrow::array::{BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::TimeUnit;
use querygate_driver_api::identifier::Identifier;
use querygate_driver_api::relation::{Collation, Encoding};
use querygate_driver_api::value::ValueType;

fn column(name: &str, value_type: ValueType) -> TargetColumn {
    TargetColumn {
        name: Identifier::new(name).unwrap(),
        native_type: value_type.name().into(),
        value_type,
        encoding: Encoding::Canonical,
        collation: Collation::Binary,
    }
}

/// A value given for a column that is declared as one type, read by the provider as another, and held by the files as a third.
fn fitted(value: &ArrayRef, value_type: ValueType, read: &DataType, held: &DataType) -> Result<ArrayRef, ErrorCode> {
    let template = Template {
        schema: Arc::new(Schema::new(vec![Field::new("v", held.clone(), true)])),
        compression: Compression::UNCOMPRESSED,
        permissions: None,
        buffered: Buffered::default(),
        declared: vec![("v".to_owned(), read.clone())],
    };
    let rows = RecordBatch::try_from_iter_with_nullable([("v", Arc::clone(value), true)]).unwrap();
    let fitted = template.fit(&rows, &[column("v", value_type)], &Names::new("s", "t"));
    fitted.map(|rows| Arc::clone(rows.column(0))).map_err(|error| error.code())
}

#[test]
fn values_are_held_so_that_they_come_back_or_not_at_all() {
    let micros = |values: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef;
    let texts = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let floats = |value: f64| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
    let cents =
        |value: i128| Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(18, 4).unwrap()) as ArrayRef;
    let (utc, money) = (ValueType::Timestamp { utc: true }, ValueType::Decimal128 { precision: 18, scale: 4 });
    let stamp = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
    let millis = stamp(TimeUnit::Millisecond, Some("UTC"));
    let float = ValueType::Float64;
    let cases: Vec<(ArrayRef, ValueType, DataType, DataType, bool)> = vec![
        (micros(vec![1_000]), utc, millis.clone(), stamp(TimeUnit::Microsecond, None), true),
        (micros(vec![1_001]), utc, millis.clone(), stamp(TimeUnit::Microsecond, None), false),
        (micros(vec![1_001]), utc, stamp(TimeUnit::Microsecond, Some("UTC")), millis.clone(), false),
        (
            micros(vec![i64::MAX - 807]),
            utc,
            stamp(TimeUnit::Microsecond, None),
            stamp(TimeUnit::Nanosecond, None),
            false,
        ),
        (cents(10_050), money, DataType::Decimal128(18, 4), DataType::Decimal128(12, 2), false),
        (cents(10_100), money, DataType::Decimal128(18, 4), DataType::Decimal128(12, 2), true),
        (cents(999_999_999_999_999_999), money, DataType::Decimal128(18, 4), DataType::Decimal128(12, 2), false),
        (floats(0.25), float, DataType::Float64, DataType::Float32, true),
        (floats(0.1), float, DataType::Float64, DataType::Float32, false),
        (floats(-0.0), float, DataType::Float64, DataType::Float64, true),
        (floats(f64::NAN), float, DataType::Float64, DataType::Float32, true),
        (floats(2.0), float, DataType::Float64, DataType::Int64, true),
        (floats(-0.0), float, DataType::Float64, DataType::Int64, false),
        (floats(1e300), float, DataType::Float64, DataType::Int64, false),
        (texts("7"), ValueType::Text, DataType::Utf8, DataType::Int64, true),
        (texts("07"), ValueType::Text, DataType::Utf8, DataType::Int64, false),
        (texts("seven"), ValueType::Text, DataType::Utf8, DataType::Int64, false),
        (texts("a\0ü"), ValueType::Text, DataType::Utf8, DataType::Binary, true),
        (
            texts("x"),
            ValueType::Text,
            DataType::Utf8,
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            true,
        ),
    ];
    for (value, value_type, read, held, fits) in cases {
        let got = fitted(&value, value_type, &read, &held);
        assert_eq!(got.is_ok(), fits, "{value:?} as {held}: {got:?}");
        match got {
            Ok(stored) => assert_eq!(stored.data_type(), &held),
            Err(code) => assert_eq!(code, ErrorCode::DataException, "{value:?} as {held}"),
        }
    }
    let bits: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    let refused = fitted(&bits, ValueType::Boolean, &DataType::Boolean, &DataType::Date32);
    assert_eq!(refused.unwrap_err(), ErrorCode::FeatureNotSupported);
}

#[test]
fn columns_of_files_that_get_no_value_are_empty_where_they_may_be() {
    let with = |nullable: bool| Template {
        schema: Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("foreign", DataType::Utf8, nullable),
        ])),
        compression: Compression::UNCOMPRESSED,
        permissions: None,
        buffered: Buffered::default(),
        declared: vec![("id".to_owned(), DataType::Int64)],
    };
    let given = |values: Vec<Option<i64>>| {
        let values: ArrayRef = Arc::new(Int64Array::from(values));
        RecordBatch::try_from_iter_with_nullable([("id", values, true)]).unwrap()
    };
    let (names, columns) = (Names::new("s", "t"), [column("id", ValueType::Int64)]);
    let fit = |nullable, values| with(nullable).fit(&given(values), &columns, &names).map_err(|error| error.code());
    assert_eq!(fit(true, vec![Some(1)]).unwrap().column(1).null_count(), 1);
    assert_eq!(fit(true, vec![Some(1), None]).unwrap_err(), ErrorCode::NotNullViolation);
    assert_eq!(fit(false, vec![Some(1)]).unwrap_err(), ErrorCode::NotNullViolation);
    let other = [column("gone", ValueType::Int64)];
    let lost = with(true).fit(&given(vec![Some(1)]), &other, &names).map_err(|error| error.code());
    assert_eq!(lost.unwrap_err(), ErrorCode::NotNullViolation);
}
