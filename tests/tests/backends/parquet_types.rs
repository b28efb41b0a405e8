//! A column of every type that a Parquet file may have, with extremes and values at random, behind the gate: what is written is what is
//! read, and what is computed of it here is what the gate says.

use super::every_type::served;
use crate::answers::Answers;
use crate::checked::{Check, Expected};
use crate::differences::Known;
use crate::doors::Doors;
use crate::printed::{print_bytes, print_date, print_double, print_list, print_single, print_time, print_timestamp};
use crate::values::{self, seed};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationSecondArray, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int32Array, Int64Array, ListArray, NullArray, StringArray, StructArray,
    Time64NanosecondArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, TimeUnit};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use querygate_tests::harness::Rng;
use std::fs::File;
use std::sync::Arc;
use tempfile::TempDir;

const RANDOM: usize = 6;
const ROWS: usize = 30;
/// Rows of a part of the file.
const ROW_GROUP: usize = 8;

const ZEROS: &str = "the engine tells -0 and 0 apart, which PostgreSQL does not";

const KNOWN: &[Known] = &[
    ("c_zeros", "count distinct", ZEROS),
    ("c_zeros", "order", ZEROS),
    ("c_zeros", "order down", ZEROS),
    ("c_single", "distinct", "a group of -0 alone is shown as 0"),
    ("c_single", "values of groups", "a group of -0 alone is shown as 0"),
];

/// What values are ordered by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i128),
    /// Bits that are ordered as doubles are in PostgreSQL: zeros are equal, NaN is the greatest.
    Double(u64),
    Text(String),
    Bytes(Vec<u8>),
}

fn key_of(value: f64) -> Key {
    let bits = if value == 0.0 { 0.0_f64 } else { value }.to_bits();
    Key::Double(if value.is_nan() {
        u64::MAX
    } else if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    })
}

/// A column of the file, and what it must be.
struct Written {
    array: ArrayRef,
    expected: Expected,
}

/// Rows: each extreme once, then values of a small choice, so that they meet again; some are NULL.
fn drawn<T: Clone>(rng: &mut Rng, extremes: &[T], random: impl Fn(&mut Rng) -> T) -> Vec<Option<T>> {
    let choice: Vec<T> = extremes.iter().cloned().chain((0..RANDOM).map(|_| random(rng))).collect();
    let row = |row: usize| match choice.get(row) {
        Some(value) => Some(value.clone()),
        None if rng.percent(15) => None,
        None => Some(rng.pick(&choice).clone()),
    };
    (0..ROWS).map(row).collect()
}

fn written<T>(
    (name, type_name): (&str, &str),
    values: &[Option<T>],
    array: ArrayRef,
    print: impl Fn(&T) -> String,
    key: impl Fn(&T) -> Key,
) -> Written {
    let cells = values.iter().map(|value| value.as_ref().map(&print)).collect();
    let keys: Vec<Option<Key>> = values.iter().map(|value| value.as_ref().map(&key)).collect();
    let (name, type_name) = (format!("c_{name}"), type_name.to_owned());
    Written { array, expected: Expected { name, type_name, cells, answers: Answers::of(&keys) } }
}

fn integers(rng: &mut Rng) -> Vec<Written> {
    use DataType as T;
    let kinds: [(&str, &str, T, i128, i128); 8] = [
        ("int_8", "int2", T::Int8, -128, 127),
        ("int_16", "int2", T::Int16, -32_768, 32_767),
        ("int_32", "int4", T::Int32, i32::MIN.into(), i32::MAX.into()),
        ("int_64", "int8", T::Int64, i64::MIN.into(), i64::MAX.into()),
        ("unsigned_8", "int2", T::UInt8, 0, 255),
        ("unsigned_16", "int4", T::UInt16, 0, 65_535),
        ("unsigned_32", "int8", T::UInt32, 0, u32::MAX.into()),
        ("unsigned_64", "numeric", T::UInt64, 0, u64::MAX.into()),
    ];
    kinds
        .map(|(name, type_name, data_type, least, greatest)| {
            let range = u128::try_from(greatest - least).unwrap() + 1;
            let random = |rng: &mut Rng| least + i128::try_from(u128::from(rng.next()) % range).unwrap();
            let values = drawn(rng, &[least, greatest, 0, 1], random);
            let array: ArrayRef = if data_type == T::UInt64 {
                Arc::new(
                    values
                        .iter()
                        .map(|value| value.map(|value| u64::try_from(value).unwrap()))
                        .collect::<UInt64Array>(),
                )
            } else {
                let wide =
                    values.iter().map(|value| value.map(|value| i64::try_from(value).unwrap())).collect::<Int64Array>();
                cast(&wide, &data_type).unwrap()
            };
            written((name, type_name), &values, array, i128::to_string, |value| Key::Number(*value))
        })
        .into()
}

fn decimals(rng: &mut Rng) -> Vec<Written> {
    let kinds = [
        ("decimal_9", DataType::Decimal128(9, 2)),
        ("decimal_18", DataType::Decimal128(18, 4)),
        ("decimal_38", DataType::Decimal128(38, 10)),
        ("decimal_whole", DataType::Decimal128(38, 0)),
        ("decimal_32", DataType::Decimal32(7, 3)),
        ("decimal_64", DataType::Decimal64(15, 1)),
        ("decimal_256", DataType::Decimal256(30, 5)),
        ("decimal_wide", DataType::Decimal256(60, 20)),
    ];
    kinds
        .map(|(name, data_type)| {
            let (DataType::Decimal128(precision, scale)
            | DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal256(precision, scale)) = data_type
            else {
                panic!("{data_type}")
            };
            let precision = precision.min(38);
            let most = 10_i128.pow(precision.into()) - 1;
            let random =
                |rng: &mut Rng| (i128::from(rng.next().cast_signed()) * i128::from(rng.next().cast_signed())) % most;
            let values = drawn(rng, &[most, -most, 0, 1, -1], random);
            let array =
                values.iter().copied().collect::<Decimal128Array>().with_precision_and_scale(precision, scale).unwrap();
            let places = usize::try_from(scale).unwrap();
            let print = |value: &i128| {
                let digits = format!("{:0>width$}", value.unsigned_abs(), width = places + 1);
                let (whole, behind) = digits.split_at(digits.len() - places);
                let sign = if *value < 0 { "-" } else { "" };
                if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{behind}") }
            };
            written((name, "numeric"), &values, cast(&array, &data_type).unwrap(), print, |value| Key::Number(*value))
        })
        .into()
}

fn floats(rng: &mut Rng) -> Vec<Written> {
    let doubles = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e15, 0.0, 0.1];
    let double = drawn(rng, &doubles, values::double);
    // Compared as equal.
    let zeros = drawn(rng, &[0.0, -0.0, 0.0, -0.0], |_| 1.0);
    let singles = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-45, 16_777_216.0, -0.0, 0.1];
    let single = drawn(rng, &singles, values::single);
    let halves = [65_504.0_f32, -0.5, 1.0, 0.000_061_035_156];
    let half = drawn(rng, &halves, |rng| rng.below(2_000) as f32 / 8.0);
    let half_array = half.iter().copied().collect::<Float32Array>();
    let array: ArrayRef = Arc::new(single.iter().copied().collect::<Float32Array>());
    let single_key = |value: &f32| key_of(f64::from(*value));
    vec![
        written(
            ("half", "float4"),
            &half,
            cast(&half_array, &DataType::Float16).unwrap(),
            |value| print_single(*value),
            single_key,
        ),
        written(("single", "float4"), &single, array, |value| print_single(*value), single_key),
        written(
            ("zeros", "float8"),
            &zeros,
            Arc::new(zeros.iter().copied().collect::<Float64Array>()),
            |value| print_double(*value),
            |value| key_of(*value),
        ),
        written(
            ("double", "float8"),
            &double,
            Arc::new(double.iter().copied().collect::<Float64Array>()),
            |value| print_double(*value),
            |value| key_of(*value),
        ),
    ]
}

fn texts(rng: &mut Rng) -> Vec<Written> {
    use DataType as T;
    let extremes = ["", " ", "a", "A", "é", "e\u{301}", "\u{10ffff}", "\u{ffff}", "'", "\\"].map(str::to_owned);
    let dictionary = T::Dictionary(Box::new(T::Int32), Box::new(T::Utf8));
    let kinds =
        [("text", T::Utf8), ("text_large", T::LargeUtf8), ("text_view", T::Utf8View), ("text_dictionary", dictionary)];
    let mut columns: Vec<Written> = kinds
        .map(|(name, data_type)| {
            let values = drawn(rng, &extremes, |rng| values::text(rng, 15));
            let array = cast(&values.iter().map(Option::as_deref).collect::<StringArray>(), &data_type).unwrap();
            written((name, "text"), &values, array, String::clone, |value| Key::Text(value.clone()))
        })
        .into();
    let extremes = [vec![], vec![0], vec![255], vec![0, 255], vec![b'\\']];
    for (name, data_type) in [("bytes", T::Binary), ("bytes_large", T::LargeBinary), ("bytes_view", T::BinaryView)] {
        let values = drawn(rng, &extremes, |rng| values::bytes(rng, 15));
        let array = cast(&values.iter().map(Option::as_deref).collect::<BinaryArray>(), &data_type).unwrap();
        columns.push(written(
            (name, "bytea"),
            &values,
            array,
            |value| print_bytes(value),
            |value| Key::Bytes(value.clone()),
        ));
    }
    let values = drawn(rng, &[vec![0; 4], vec![255; 4]], |rng| rng.next().to_be_bytes()[..4].to_vec());
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.iter().map(Option::as_deref), 4).unwrap();
    columns.push(written(
        ("bytes_fixed", "bytea"),
        &values,
        Arc::new(fixed),
        |value| print_bytes(value),
        |value| Key::Bytes(value.clone()),
    ));
    let truths = drawn(rng, &[true, false], |rng| rng.percent(50));
    let array = Arc::new(truths.iter().copied().collect::<BooleanArray>());
    let print = |value: &bool| if *value { "t" } else { "f" }.to_owned();
    columns.push(written(("truth", "bool"), &truths, array, print, |value| Key::Number((*value).into())));
    let nothing: Vec<Option<String>> = vec![None; ROWS];
    columns.push(written(("nothing", "text"), &nothing, Arc::new(NullArray::new(ROWS)), String::clone, |v| {
        Key::Text(v.clone())
    }));
    columns
}

/// From year 1 to the end of 9999.
const DAYS: (i64, i64) = (-719_162, 2_932_896);
const DAY: i64 = 86_400_000_000;

fn times(rng: &mut Rng) -> Vec<Written> {
    use DataType as T;
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let mut columns = Vec::new();
    for (name, data_type) in [("day", T::Date32), ("day_64", T::Date64)] {
        let random =
            |rng: &mut Rng| DAYS.0 + i64::try_from(rng.below(usize::try_from(DAYS.1 - DAYS.0).unwrap())).unwrap();
        let values = drawn(rng, &[DAYS.0, DAYS.1, 0, -1], random);
        let array =
            values.iter().map(|value| value.map(|value| i32::try_from(value).unwrap())).collect::<Date32Array>();
        let array = cast(&array, &data_type).unwrap();
        columns.push(written(
            (name, "date"),
            &values,
            array,
            |value| print_date(*value),
            |value| Key::Number((*value).into()),
        ));
    }
    for (name, data_type, step) in [
        ("clock_s", T::Time32(Second), 1_000_000),
        ("clock_ms", T::Time32(Millisecond), 1_000),
        ("clock_us", T::Time64(Microsecond), 1),
        ("clock_ns", T::Time64(Nanosecond), 1),
    ] {
        let random = |rng: &mut Rng| i64::try_from(rng.next() % 86_400_000_000).unwrap() / step * step;
        let values = drawn(rng, &[0, DAY - step], random);
        let array = values.iter().map(|value| value.map(|value| value * 1_000)).collect::<Time64NanosecondArray>();
        let array = cast(&array, &data_type).unwrap();
        columns.push(written(
            (name, "time"),
            &values,
            array,
            |value| print_time(*value),
            |value| Key::Number((*value).into()),
        ));
    }
    for (unit, name, step) in
        [(Second, "s", 1_000_000), (Millisecond, "ms", 1_000), (Microsecond, "us", 1), (Nanosecond, "ns", 1)]
    {
        // Nanoseconds reach from 1677 to 2262.
        let (first, last) = if unit == Nanosecond {
            (-106_751 * DAY, 106_751 * DAY)
        } else {
            (DAYS.0 * DAY, (DAYS.1 + 1) * DAY - step)
        };
        for zone in [None, Some(Arc::from("UTC")), Some(Arc::from("+02:00"))] {
            let random = |rng: &mut Rng| {
                first + i64::try_from(rng.next() % u64::try_from(last - first).unwrap()).unwrap() / step * step
            };
            let values = drawn(rng, &[first, last, 0, -step], random);
            let array = values.iter().copied().collect::<TimestampMicrosecondArray>().with_timezone_opt(zone.clone());
            let array = cast(&array, &T::Timestamp(unit, zone.clone())).unwrap();
            let (type_name, suffix) = match &zone {
                None => ("timestamp", "wall"),
                Some(zone) if zone.starts_with('+') => ("timestamptz", "east"),
                Some(_) => ("timestamptz", "instant"),
            };
            let print = |value: &i64| print_timestamp(*value, zone.is_some());
            let name = format!("{suffix}_{name}");
            columns.push(written((&name, type_name), &values, array, print, |value| Key::Number((*value).into())));
        }
    }
    columns
}

fn nested(rng: &mut Rng) -> Vec<Written> {
    let item = |rng: &mut Rng| (!rng.percent(20)).then(|| values::text(rng, 5));
    let lists = drawn(rng, &[vec![], vec![None], vec![Some(String::new())]], |rng| {
        (0..rng.below(4)).map(|_| item(rng)).collect()
    });
    let mut builder = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    for list in &lists {
        match list {
            None => builder.append(false),
            Some(items) => {
                items.iter().for_each(|item| builder.values().append_option(item.as_deref()));
                builder.append(true);
            }
        }
    }
    let texts: ArrayRef = Arc::new(builder.finish());
    // An item that is NULL is greater than any other.
    let key = |items: &Vec<Option<String>>| {
        let item = |item: &Option<String>| {
            item.as_ref().map_or("\u{10ffff}\u{10ffff}".to_owned(), |text| format!("\u{1}{text}\u{0}"))
        };
        Key::Text(items.iter().map(item).collect())
    };
    vec![written(("texts", "_text"), &lists, texts, |items| print_list(items), key)]
}

/// What no type here holds.
fn left_out() -> [(&'static str, ArrayRef); 3] {
    let numbers = ListArray::from_iter_primitive::<Int32Type, _, _>((0..ROWS).map(|_| Some([Some(1)])));
    let fields = vec![Field::new("a", DataType::Int32, true)];
    let member: ArrayRef = Arc::new(Int32Array::from(vec![1; ROWS]));
    let structure = StructArray::new(fields.into(), vec![member], None);
    let span = DurationSecondArray::from(vec![1; ROWS]);
    [("numbers", Arc::new(numbers)), ("structure", Arc::new(structure)), ("span", Arc::new(span))]
}

#[test]
fn a_column_of_every_type_is_as_in_parquet() {
    let seed = seed("Parquet");
    let folder = TempDir::new().unwrap();
    let mut columns = integers(&mut Rng::part(seed, 0));
    columns.extend(decimals(&mut Rng::part(seed, 1)));
    columns.extend(floats(&mut Rng::part(seed, 2)));
    columns.extend(texts(&mut Rng::part(seed, 3)));
    columns.extend(times(&mut Rng::part(seed, 4)));
    columns.extend(nested(&mut Rng::part(seed, 5)));
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..i32::try_from(ROWS).unwrap()));
    let named = columns.iter().map(|column| (column.expected.name.as_str(), Arc::clone(&column.array), true));
    let others = left_out().map(|(name, array)| (name, array, true));
    let all = [("nr", numbers, false)].into_iter().chain(others).chain(named);
    let batch = RecordBatch::try_from_iter_with_nullable(all).unwrap();
    let lake = folder.path().join("lake");
    std::fs::create_dir(&lake).unwrap();
    let properties =
        parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(ROW_GROUP)).build();
    let mut writer =
        ArrowWriter::try_new(File::create(lake.join("kinds.parquet")).unwrap(), batch.schema(), Some(properties))
            .unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let (server, said) = served(folder.path(), "files", &lake);
    for name in ["numbers", "structure", "span"] {
        assert!(said.contains(&format!("left out: kinds.parquet.{name}")), "{name}: {said}");
    }
    let mut check = Check::new(Doors::login(&server, "ann"));
    columns.iter().for_each(|column| check.column(&column.expected));
    check.found.settle(KNOWN, 2_000);
}
