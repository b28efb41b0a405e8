//! Parquet: columns of many types, and files that differ in order, width, case or absence of columns.

use super::cell::Cell;
use super::files::pattern;
use super::names;
use super::world::{Column, Fate, Made};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, ListArray, NullArray, StringArray, StructArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use querygate_tests::harness::Rng;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

type Filled = (ArrayRef, Vec<Cell>);

/// A column of values, some of which are NULL, as an array of Arrow and as cells.
fn filled<T, A: From<Vec<Option<T>>> + arrow::array::Array + 'static>(
    rng: &mut Rng,
    rows: usize,
    value: impl Fn(&mut Rng) -> T,
    cell: impl Fn(&T) -> Cell,
) -> Filled {
    let values: Vec<Option<T>> = (0..rows).map(|_| (!rng.percent(15)).then(|| value(rng))).collect();
    let cells = values.iter().map(|value| value.as_ref().map_or(Cell::Null, &cell)).collect();
    (Arc::new(A::from(values)), cells)
}

fn of_number<T: ToString>(value: &T) -> Cell {
    Cell::Number(value.to_string())
}

fn as_type(filled: Filled, to: &DataType) -> Filled {
    (cast(&filled.0, to).unwrap(), filled.1)
}

fn texts(rng: &mut Rng, rows: usize) -> Filled {
    filled::<String, StringArray>(rng, rows, names::text, |text| Cell::text(text))
}

/// Microseconds, and the moment that they are.
fn stamps(rng: &mut Rng, rows: usize) -> Filled {
    let values: Vec<i64> = (0..rows).map(|_| i64::try_from(rng.below(4_000_000_000)).unwrap() * 1_000_000).collect();
    let show = |micros: &i64| {
        let seconds = micros.div_euclid(1_000_000);
        let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![seconds * 1_000_000]));
        Cell::Moment(arrow::util::display::array_value_to_string(&array, 0).unwrap())
    };
    (Arc::new(TimestampMicrosecondArray::from(values.clone())), values.iter().map(show).collect())
}

fn days(rng: &mut Rng, rows: usize) -> Filled {
    let show = |days: &i32| {
        let array: ArrayRef = Arc::new(Date32Array::from(vec![*days]));
        Cell::Moment(arrow::util::display::array_value_to_string(&array, 0).unwrap())
    };
    filled::<i32, Date32Array>(rng, rows, |rng| i32::try_from(rng.below(60_000)).unwrap() - 30_000, show)
}

fn decimals(rng: &mut Rng, rows: usize) -> Filled {
    let values: Vec<i128> = (0..rows).map(|_| i128::from(names::whole(rng))).collect();
    let cells = values.iter().map(|value| Cell::Number(format!("{value}e-2"))).collect();
    (Arc::new(Decimal128Array::from(values).with_precision_and_scale(22, 2).unwrap()), cells)
}

fn small(rng: &mut Rng) -> i16 {
    i16::try_from(rng.below(60_000)).unwrap_or(0) - 3
}

fn clock(seconds: &i32) -> Cell {
    Cell::Field(format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60))
}

fn lists(rng: &mut Rng, rows: usize) -> Filled {
    let values: Vec<Vec<Option<i32>>> = (0..rows)
        .map(|_| (0..rng.below(4)).map(|_| (!rng.percent(20)).then(|| i32::try_from(rng.below(9)).unwrap())).collect())
        .collect();
    let show = |items: &Vec<Option<i32>>| {
        let items: Vec<String> =
            items.iter().map(|item| item.map_or("null".to_owned(), |item| item.to_string())).collect();
        Cell::Json(format!("[{}]", items.join(",")))
    };
    let cells = values.iter().map(show).collect();
    let array = ListArray::from_iter_primitive::<Int32Type, _, _>(values.into_iter().map(Some));
    (Arc::new(array), cells)
}

fn structs(rng: &mut Rng, rows: usize) -> Filled {
    let numbers: Vec<i32> = (0..rows).map(|_| i32::try_from(rng.below(99)).unwrap()).collect();
    let words: Vec<String> = (0..rows).map(|_| names::word(rng)).collect();
    let cells = numbers
        .iter()
        .zip(&words)
        .map(|(number, word)| Cell::Json(format!("{{\"n\":{number},\"w\":{}}}", serde_json::to_string(word).unwrap())));
    let cells = cells.collect();
    let fields =
        vec![Arc::new(Field::new("n", DataType::Int32, true)), Arc::new(Field::new("w", DataType::Utf8, true))];
    let arrays: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(numbers)), Arc::new(StringArray::from(words))];
    (Arc::new(StructArray::new(fields.into(), arrays, None)), cells)
}

fn fixed(rng: &mut Rng, rows: usize) -> Filled {
    let values: Vec<[u8; 4]> = (0..rows).map(|_| (rng.next() as u32).to_le_bytes()).collect();
    let array: ArrayRef = Arc::new(BinaryArray::from_iter_values(&values));
    let cells = values.iter().map(|bytes| Cell::Bytes(bytes.to_vec())).collect();
    as_type((array, cells), &DataType::FixedSizeBinary(4))
}

/// A column of some type.
fn column(rng: &mut Rng, rows: usize) -> Filled {
    match rng.below(28) {
        20 => lists(rng, rows),
        21 => structs(rng, rows),
        22 => as_type(
            filled::<i32, Int32Array>(rng, rows, |rng| i32::try_from(rng.below(86_400)).unwrap(), clock),
            &DataType::Time32(TimeUnit::Second),
        ),
        23 => as_type(stamps(rng, rows), &DataType::Timestamp(TimeUnit::Second, None)),
        24 => {
            let utc = as_type(stamps(rng, rows), &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
            as_type(utc, &DataType::Timestamp(TimeUnit::Microsecond, Some("+05:30".into())))
        }
        25 => as_type(days(rng, rows), &DataType::Date64),
        26 => as_type(
            filled::<f32, Float32Array>(
                rng,
                rows,
                |rng| f32::from(small(rng) % 64) / 4.0,
                |value| Cell::Double(f64::from(*value)),
            ),
            &DataType::Float16,
        ),
        27 => fixed(rng, rows),
        0 => filled::<i8, Int8Array>(rng, rows, |rng| (rng.next() & 0xff) as i8, of_number),
        1 => filled::<i16, Int16Array>(rng, rows, small, of_number),
        2 => filled::<i32, Int32Array>(rng, rows, |rng| (rng.next() & 0xffff_ffff) as i32, of_number),
        3 => filled::<i64, Int64Array>(rng, rows, names::whole, of_number),
        4 => filled::<u64, UInt64Array>(rng, rows, Rng::next, of_number),
        5 => filled::<f32, Float32Array>(
            rng,
            rows,
            |rng| small(rng) as f32 / 4.0,
            |value| Cell::Double(f64::from(*value)),
        ),
        6 => {
            let odd = |rng: &mut Rng| *rng.pick(&[f64::NAN, f64::INFINITY, -0.0, 0.1, 5e-324, f64::MAX]);
            filled::<f64, Float64Array>(rng, rows, odd, |value| Cell::Double(*value))
        }
        7 => filled::<bool, BooleanArray>(rng, rows, |rng| rng.percent(50), |value| Cell::Truth(*value)),
        8 => days(rng, rows),
        9 => stamps(rng, rows),
        10 => as_type(stamps(rng, rows), &DataType::Timestamp(TimeUnit::Nanosecond, None)),
        11 => as_type(stamps(rng, rows), &DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        12 => decimals(rng, rows),
        13 => as_type(decimals(rng, rows), &DataType::Decimal256(50, 2)),
        14 => as_type(texts(rng, rows), &DataType::LargeUtf8),
        15 => as_type(texts(rng, rows), &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
        16 => as_type(texts(rng, rows), &DataType::Utf8View),
        17 => (Arc::new(NullArray::new(rows)), vec![Cell::Null; rows]),
        18 => {
            let bytes = |rng: &mut Rng| rng.next().to_le_bytes()[..rng.below(8)].to_vec();
            let values: Vec<Vec<u8>> = (0..rows).map(|_| bytes(rng)).collect();
            let array = BinaryArray::from_iter_values(&values);
            (Arc::new(array), values.into_iter().map(Cell::Bytes).collect())
        }
        _ => texts(rng, rows),
    }
}

fn batch(names: &[String], arrays: Vec<ArrayRef>) -> RecordBatch {
    let fields: Vec<Field> =
        names.iter().zip(&arrays).map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn write(path: &Path, batch: &RecordBatch) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// Rows out of columns.
fn rows_of(columns: &[Vec<Cell>], count: usize) -> Vec<Vec<Cell>> {
    (0..count).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect()
}

pub(crate) fn one(rng: &mut Rng, folder: &Path, name: &str) -> Made {
    let count = rng.below(12);
    let mut taken = Vec::new();
    let (mut arrays, mut cells) = (Vec::new(), Vec::new());
    for _ in 0..rng.between(1, 7) {
        names::name(rng, "p", &mut taken, &['\u{0}']);
        let (array, of_column) = column(rng, count);
        arrays.push(array);
        cells.push(of_column);
    }
    let file = format!("{name}.{}", rng.pick(&["parquet", "pq", "parq"]));
    write(&folder.join(&file), &batch(&taken, arrays));
    let columns = taken.into_iter().map(Column::of).collect();
    Made { remote: pattern(&file), columns, rows: rows_of(&cells, count), fate: Fate::Served }
}

/// A number as one of the types that hold it, the widest of which may come first or last.
fn of_width(rng: &mut Rng, rows: usize, fractions: bool) -> Filled {
    let filled = filled::<i32, Int32Array>(rng, rows, |rng| i32::try_from(rng.below(100)).unwrap(), of_number);
    let types = if fractions {
        [DataType::Float32, DataType::Float64, DataType::Int16]
    } else {
        [DataType::Int32, DataType::Int64, DataType::Int8]
    };
    as_type(filled, rng.pick(&types))
}

/// A day, or the beginning of it.
fn of_day(rng: &mut Rng, rows: usize) -> Filled {
    let filled = days(rng, rows);
    let types = [DataType::Date32, DataType::Date32, DataType::Timestamp(TimeUnit::Millisecond, None)];
    as_type(filled, rng.pick(&types))
}

/// Whole cents in decimals of several widths.
fn money(rng: &mut Rng, rows: usize) -> Filled {
    let values: Vec<i128> = (0..rows).map(|_| i128::from(small(rng))).collect();
    let cells = values.iter().map(|value| Cell::Number(format!("{value}e-2"))).collect();
    let array: ArrayRef = Arc::new(Decimal128Array::from(values).with_precision_and_scale(10, 2).unwrap());
    let types = [DataType::Decimal128(10, 2), DataType::Decimal128(20, 2), DataType::Decimal128(20, 4)];
    as_type((array, cells), rng.pick(&types))
}

pub(crate) fn drifting(rng: &mut Rng, folder: &Path, name: &str) -> Made {
    let called = ["nr", "amount", "label", "Share", "day", "money"];
    let mut all = Vec::new();
    for file in 0..rng.between(2, 4) {
        let count = rng.below(5);
        let mut filled = vec![
            Some(of_width(rng, count, false)),
            Some(of_width(rng, count, false)),
            Some(texts(rng, count)),
            Some(of_width(rng, count, true)),
            Some(of_day(rng, count)),
            Some(money(rng, count)),
        ];
        let upper = file > 0 && rng.percent(40);
        if file > 0 && rng.percent(60) {
            filled[rng.between(1, 5)] = None;
        }
        let mut places: Vec<usize> = (0..called.len()).filter(|place| filled[*place].is_some()).collect();
        if rng.percent(50) {
            rng.shuffle(&mut places);
        }
        let name_of = |place: &usize| if upper { called[*place].to_uppercase() } else { called[*place].to_owned() };
        let names: Vec<String> = places.iter().map(name_of).collect();
        let arrays = places.iter().filter_map(|place| Some(Arc::clone(&filled[*place].as_ref()?.0))).collect();
        write(&folder.join(name).join(format!("part-{file}.parquet")), &batch(&names, arrays));
        let cells: Vec<Vec<Cell>> = filled
            .into_iter()
            .map(|column| column.map_or_else(|| vec![Cell::Null; count], |column| column.1))
            .collect();
        all.extend(rows_of(&cells, count));
    }
    let columns = called.map(Column::of).to_vec();
    // Days beside moments, and decimals of several scales, may be refused.
    Made { remote: pattern(name), columns, rows: all, fate: Fate::MayBeLeftOut("files of types that do not widen") }
}
