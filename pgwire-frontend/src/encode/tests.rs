//! Goldens of the encoder: every Arrow layout, and the refusal of pairs that do not belong together.

use super::*;
use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;
use querygate_query_api::column::{column_of, pg_type_of};
use querygate_query_api::values::timetz::TimeTz;
use querygate_types::{ErrorCode, PgType};
use std::sync::Arc;

fn encoded(array: &ArrayRef, pg_type: PgType, format: Format) -> Result<Vec<Option<Vec<u8>>>> {
    let field = Field::new("c", array.data_type().clone(), true);
    let mut column = column_of(&field);
    column.pg_type = pg_type;
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::clone(array)]).unwrap();
    let style = Style::default();
    let encoder = BatchEncoder::new(&batch, &[column], &[format], &Shape::DataRow, &style)?;
    let mut values = Vec::new();
    for row in 0..batch.num_rows() {
        let mut out = Vec::new();
        encoder.encode(row..row + 1, usize::MAX, &mut out)?;
        let length = i32::from_be_bytes(out[7..11].try_into().unwrap());
        values.push((length >= 0).then(|| out[11..].to_vec()));
    }
    Ok(values)
}

#[track_caller]
fn check_as(array: ArrayRef, pg_type: PgType, expected: &[Option<&str>]) {
    let found = encoded(&array, pg_type, Format::Text).unwrap();
    let found: Vec<Option<String>> = found.into_iter().map(|v| v.map(|v| String::from_utf8(v).unwrap())).collect();
    assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{}", array.data_type());
    // Slices begin elsewhere in their buffers.
    if array.len() > 1 {
        let sliced = encoded(&array.slice(1, array.len() - 1), pg_type, Format::Text).unwrap();
        let sliced: Vec<Option<String>> =
            sliced.into_iter().map(|v| v.map(|v| String::from_utf8(v).unwrap())).collect();
        assert_eq!(
            sliced.iter().map(Option::as_deref).collect::<Vec<_>>(),
            expected[1..],
            "sliced {}",
            array.data_type()
        );
    }
    encoded(&array, pg_type, Format::Binary).unwrap();
}

#[track_caller]
fn check(array: ArrayRef, expected: &[Option<&str>]) {
    let pg_type = pg_type_of(&Field::new("c", array.data_type().clone(), true));
    check_as(array, pg_type, expected);
}

#[test]
fn every_layout_of_text_prints_the_same() {
    let values = [Some("a"), None, Some("grüß, \"x\""), Some("")];
    let expected = &values[..];
    check(Arc::new(StringArray::from_iter(values)), expected);
    check(Arc::new(LargeStringArray::from_iter(values)), expected);
    check(Arc::new(StringViewArray::from_iter(values)), expected);
    check(Arc::new(values.into_iter().collect::<DictionaryArray<Int8Type>>()), expected);
    check(Arc::new(values.into_iter().collect::<DictionaryArray<UInt32Type>>()), expected);
    check(Arc::new(values.into_iter().collect::<RunArray<Int16Type>>()), expected);
    check(Arc::new(values.into_iter().collect::<RunArray<Int64Type>>()), expected);
}

#[test]
fn dictionaries_may_be_empty_or_hold_nulls() {
    let keys = Int8Array::from(vec![Some(0), Some(1), None]);
    let values = StringArray::from(vec![Some("a"), None]);
    check(Arc::new(DictionaryArray::new(keys, Arc::new(values))), &[Some("a"), None, None]);
    let keys = Int8Array::from(vec![None, None]);
    check(Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(Vec::<&str>::new())))), &[None, None]);
}

#[test]
fn numbers_of_every_width_print_their_digits() {
    check(Arc::new(Int8Array::from(vec![-128, 127])), &[Some("-128"), Some("127")]);
    check(Arc::new(UInt8Array::from(vec![255])), &[Some("255")]);
    check(Arc::new(UInt16Array::from(vec![65_535])), &[Some("65535")]);
    check(Arc::new(UInt32Array::from(vec![u32::MAX])), &[Some("4294967295")]);
    check(Arc::new(UInt64Array::from(vec![u64::MAX])), &[Some("18446744073709551615")]);
    check(Arc::new(Int64Array::from(vec![Some(i64::MIN), None])), &[Some("-9223372036854775808"), None]);
    check(Arc::new(Float32Array::from(vec![16_777_216.0])), &[Some("1.6777216e+07")]);
    let decimal = Decimal32Array::from(vec![1700]).with_precision_and_scale(9, 2).unwrap();
    check(Arc::new(decimal), &[Some("17.00")]);
    let decimal = Decimal64Array::from(vec![-5]).with_precision_and_scale(18, 3).unwrap();
    check(Arc::new(decimal), &[Some("-0.005")]);
    let decimal = Decimal128Array::from(vec![Some(0), None]).with_precision_and_scale(15, 2).unwrap();
    check(Arc::new(decimal), &[Some("0.00"), None]);
    let decimal = Decimal256Array::from(vec![i256::from_i128(12)]).with_precision_and_scale(76, -3).unwrap();
    check(Arc::new(decimal), &[Some("12000")]);
}

#[test]
fn times_of_every_unit_print_in_microseconds() {
    check(Arc::new(Date64Array::from(vec![86_400_000, -1])), &[Some("1970-01-02"), Some("1969-12-31")]);
    check(Arc::new(Time32SecondArray::from(vec![1])), &[Some("00:00:01")]);
    check(Arc::new(Time32MillisecondArray::from(vec![1])), &[Some("00:00:00.001")]);
    check(Arc::new(Time64NanosecondArray::from(vec![1_999])), &[Some("00:00:00.000001")]);
    check(Arc::new(TimestampSecondArray::from(vec![0])), &[Some("1970-01-01 00:00:00")]);
    check(Arc::new(TimestampMillisecondArray::from(vec![-1])), &[Some("1969-12-31 23:59:59.999")]);
    check(Arc::new(TimestampNanosecondArray::from(vec![-1])), &[Some("1969-12-31 23:59:59.999999")]);
    let zoned = TimestampMicrosecondArray::from(vec![0]).with_timezone("Asia/Tokyo");
    check(Arc::new(zoned), &[Some("1970-01-01 00:00:00+00")]);
    check(Arc::new(IntervalYearMonthArray::from(vec![-14])), &[Some("-1 years -2 mons")]);
    let day_time = IntervalDayTimeArray::from(vec![IntervalDayTime::new(1, -500)]);
    check(Arc::new(day_time), &[Some("1 day -00:00:00.5")]);
    check(Arc::new(DurationNanosecondArray::from(vec![93_600_000_000_000])), &[Some("26:00:00")]);
    let far = TimestampSecondArray::from(vec![i64::MAX / 2]);
    let error = encoded(&(Arc::new(far) as ArrayRef), PgType::Timestamp, Format::Text).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DatetimeOverflow);
}

#[test]
fn bytes_and_nulls_of_every_layout() {
    let values = [Some(&b"\x00\xff"[..]), None];
    let expected = [Some("\\x00ff"), None];
    check(Arc::new(BinaryArray::from_iter(values)), &expected);
    check(Arc::new(BinaryViewArray::from_iter(values)), &expected);
    check(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 2).unwrap()), &expected);
    for pg_type in PgType::ALL {
        check_as(Arc::new(NullArray::new(2)), *pg_type, &[None, None]);
    }
}

#[test]
fn lists_of_every_layout_are_arrays() {
    let rows = vec![Some(vec![Some(1), None, Some(3)]), None, Some(vec![])];
    let expected = [Some("{1,NULL,3}"), None, Some("{}")];
    check(Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows.clone())), &expected);
    check(Arc::new(LargeListArray::from_iter_primitive::<Int32Type, _, _>(rows)), &expected);
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let values: ArrayRef = Arc::new(Int32Array::from(vec![3, 1, 2]));
    let view = ListViewArray::new(
        Arc::clone(&item),
        ScalarBuffer::from(vec![1, 0, 3]),
        ScalarBuffer::from(vec![2, 1, 0]),
        Arc::clone(&values),
        None,
    );
    check(Arc::new(view), &[Some("{1,2}"), Some("{3}"), Some("{}")]);
    let six: ArrayRef = Arc::new(Int32Array::from_iter_values(1..=6));
    let fixed = FixedSizeListArray::new(item, 2, six, Some(NullBuffer::from(vec![true, false, true])));
    check(Arc::new(fixed), &[Some("{1,2}"), None, Some("{5,6}")]);
}

fn matrix(inner: Vec<Option<Vec<Option<i32>>>>, lengths: &[usize]) -> ArrayRef {
    let inner = ListArray::from_iter_primitive::<Int32Type, _, _>(inner);
    let item = Arc::new(Field::new("item", inner.data_type().clone(), true));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths.iter().copied()), Arc::new(inner), None))
}

#[test]
fn nested_lists_are_dimensions_and_must_be_rectangular() {
    let square = matrix(vec![Some(vec![Some(1), Some(2)]), Some(vec![Some(3), None])], &[2]);
    assert_eq!(pg_type_of(&Field::new("c", square.data_type().clone(), true)), PgType::Int4Array);
    check(Arc::clone(&square), &[Some("{{1,2},{3,NULL}}")]);
    let binary = encoded(&square, PgType::Int4Array, Format::Binary).unwrap().remove(0).unwrap();
    let words: Vec<i32> = binary.chunks(4).map(|word| i32::from_be_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words, [2, 1, 23, 2, 1, 2, 1, 4, 1, 4, 2, 4, 3, -1]);
    let ragged = matrix(vec![Some(vec![Some(1)]), Some(vec![])], &[2]);
    assert_eq!(encoded(&ragged, PgType::Int4Array, Format::Binary).unwrap_err().code(), ErrorCode::DataException);
    check(matrix(vec![Some(vec![]), Some(vec![])], &[2]), &[Some("{}")]);
}

#[test]
fn text_arrays_are_quoted_where_needed() {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for value in [Some("a"), None, Some("NULL"), Some(""), Some("a b"), Some("x\"\\y"), Some("{}"), Some("ä,")] {
        builder.values().append_option(value);
    }
    builder.append(true);
    check(Arc::new(builder.finish()), &[Some(r#"{a,NULL,"NULL","","a b","x\"\\y","{}","ä,"}"#)]);
    let vector = ListArray::from_iter_primitive::<Int16Type, _, _>([Some(vec![Some(2), Some(5)]), Some(vec![])]);
    check_as(Arc::new(vector), PgType::Int2Vector, &[Some("2 5"), Some("")]);
}

fn person() -> StructArray {
    let fields = vec![
        (
            Arc::new(Field::new("name", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![Some("a \"b\"\n"), None])) as ArrayRef,
        ),
        (Arc::new(Field::new("n", DataType::Int32, true)), Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef),
        (
            Arc::new(Field::new("x", DataType::Float64, true)),
            Arc::new(Float64Array::from(vec![f64::NAN, 0.5])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("at", DataType::Timestamp(TimeUnit::Second, None), true)),
            Arc::new(TimestampSecondArray::from(vec![0, 1])) as ArrayRef,
        ),
    ];
    StructArray::from(fields)
}

#[test]
fn nested_values_are_json_or_records() {
    check_as(
        Arc::new(person()),
        PgType::Jsonb,
        &[
            Some(r#"{"n": 1, "x": "NaN", "at": "1970-01-01T00:00:00", "name": "a \"b\"\n"}"#),
            Some(r#"{"n": null, "x": 0.5, "at": "1970-01-01T00:00:01", "name": null}"#),
        ],
    );
    check_as(
        Arc::new(person()),
        PgType::Json,
        &[
            Some(r#"{"name":"a \"b\"\n","n":1,"x":"NaN","at":"1970-01-01T00:00:00"}"#),
            Some(r#"{"name":null,"n":null,"x":0.5,"at":"1970-01-01T00:00:01"}"#),
        ],
    );
    check(
        Arc::new(person()),
        &[Some("(\"a \"\"b\"\"\n\",1,NaN,\"1970-01-01 00:00:00\")"), Some("(,,0.5,\"1970-01-01 00:00:01\")")],
    );
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    map.append(false).unwrap();
    check(Arc::new(map.finish()), &[Some(r#"{"k": 1}"#), None]);
    let mut union = UnionBuilder::new_dense();
    union.append::<Int32Type>("i", 7).unwrap();
    union.append::<Float64Type>("f", 0.5).unwrap();
    check(Arc::new(union.build().unwrap()), &[Some("7"), Some("0.5")]);
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]);
    check_as(Arc::new(list), PgType::Jsonb, &[Some("[1, null]")]);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["{}"]));
    assert_eq!(encoded(&text, PgType::Jsonb, Format::Binary).unwrap(), [Some(b"\x01{}".to_vec())]);
    assert_eq!(encoded(&text, PgType::Json, Format::Binary).unwrap(), [Some(b"{}".to_vec())]);
}

#[test]
fn catalog_types_print_as_the_catalog_does() {
    check_as(Arc::new(UInt32Array::from(vec![1259])), PgType::Regclass, &[Some("1259")]);
    let names: ArrayRef = Arc::new(StringArray::from(vec!["pg_class"]));
    let printed = encoded(&names, PgType::Regclass, Format::Text).unwrap();
    assert_eq!(printed, [Some(b"pg_class".to_vec())]);
    assert_eq!(encoded(&names, PgType::Regclass, Format::Binary).unwrap_err().code(), ErrorCode::FeatureNotSupported);
    check_as(Arc::new(StringArray::from(vec!["r", ""])), PgType::Char, &[Some("r"), Some("")]);
    check_as(Arc::new(Int8Array::from(vec![114, 0])), PgType::Char, &[Some("r"), Some("")]);
    check_as(Arc::new(StringArray::from(vec![""])), PgType::Void, &[Some("")]);
    let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    check_as(Arc::new(StringArray::from(vec![uuid])), PgType::Uuid, &[Some(uuid)]);
    let bytes = super::binary::uuid(uuid).unwrap();
    let fixed = FixedSizeBinaryArray::try_from_iter([bytes].into_iter()).unwrap();
    check_as(Arc::new(fixed), PgType::Uuid, &[Some(uuid)]);
    let times = [(43_200_500_000, 7_200), (0, -1_800), (86_400_000_000, 3_723)];
    let keys = times.map(|(micros, east)| TimeTz { micros, east }.key());
    let times = FixedSizeBinaryArray::try_from_iter(keys.into_iter()).unwrap();
    check(Arc::new(times), &[Some("12:00:00.5+02"), Some("00:00:00-00:30"), Some("24:00:00+01:02:03")]);
}

/// One array of each Arrow type.
fn one_of_each() -> Vec<ArrayRef> {
    let named: Vec<DataType> = vec![
        DataType::Boolean,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float16,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(10, 2),
        DataType::Decimal256(40, 2),
        DataType::Utf8,
        DataType::Utf8View,
        DataType::Binary,
        DataType::FixedSizeBinary(16),
        TimeTz::ARROW,
        DataType::Date32,
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Nanosecond, None),
        DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::Duration(TimeUnit::Second),
        DataType::List(Arc::new(Field::new("item", DataType::Int32, true))),
        DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
    ];
    named.iter().map(|data_type| new_null_array(data_type, 1)).chain([Arc::new(person()) as ArrayRef]).collect()
}

#[test]
fn every_pair_of_types_is_written_or_refused_and_the_natural_one_is_written() {
    let mut refused = 0;
    for array in one_of_each() {
        let natural = pg_type_of(&Field::new("c", array.data_type().clone(), true));
        for pg_type in PgType::ALL {
            for format in [Format::Text, Format::Binary] {
                match encoded(&array, *pg_type, format) {
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error.code(), ErrorCode::Internal);
                        assert_ne!(*pg_type, natural, "{}", array.data_type());
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 1_500, "{refused}");
}

#[test]
fn values_too_wide_for_their_type_are_refused_and_leave_whole_rows() {
    let array: ArrayRef = Arc::new(Int64Array::from(vec![1, i64::MAX]));
    for format in [Format::Text, Format::Binary] {
        assert_eq!(encoded(&array, PgType::Int4, format).unwrap_err().code(), ErrorCode::Internal);
    }
    let field = Field::new("c", DataType::Int64, true);
    let mut column = column_of(&field);
    column.pg_type = PgType::Int4;
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap();
    let style = Style::default();
    let encoder = BatchEncoder::new(&batch, &[column], &[Format::Text], &Shape::DataRow, &style).unwrap();
    let mut out = Vec::new();
    assert!(encoder.encode(0..2, usize::MAX, &mut out).is_err());
    assert_eq!(out, b"D\0\0\0\x0b\0\x01\0\0\0\x011");
}
