//! Arrow arrays as typed references, by one exhaustive match over Arrow's types. Knows no Postgres type.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, LargeBinaryArray,
    LargeStringArray, MapArray, RunArray, StringArray, StringViewArray, StructArray, UnionArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, Field, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalDayTime, IntervalDayTimeType,
    IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, RunEndIndexType,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type, i256,
};
use querygate_types::{Error, Result};
use std::ops::Range;

/// Integers of every width.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ints<'a> {
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
}

impl Ints<'_> {
    /// `None` beyond 64 bits with sign.
    pub(super) fn at(&self, row: usize) -> Option<i64> {
        match self {
            Self::I8(values) => Some(values[row].into()),
            Self::I16(values) => Some(values[row].into()),
            Self::I32(values) => Some(values[row].into()),
            Self::I64(values) => Some(values[row]),
            Self::U8(values) => Some(values[row].into()),
            Self::U16(values) => Some(values[row].into()),
            Self::U32(values) => Some(values[row].into()),
            Self::U64(values) => values[row].try_into().ok(),
        }
    }

    pub(super) fn wide(&self, row: usize) -> i128 {
        match self {
            Self::U64(values) => values[row].into(),
            Self::I8(_) | Self::I16(_) | Self::I32(_) | Self::I64(_) | Self::U8(_) | Self::U16(_) | Self::U32(_) => {
                self.at(row).unwrap_or_default().into()
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Floats<'a> {
    F16(&'a [half_float::F16]),
    F32(&'a [f32]),
    F64(&'a [f64]),
}

/// Arrow's half-precision float under a name that needs no crate of its own.
pub(super) mod half_float {
    use arrow::datatypes::{ArrowPrimitiveType, Float16Type};
    pub(crate) type F16 = <Float16Type as ArrowPrimitiveType>::Native;
}

impl Floats<'_> {
    pub(super) fn single(&self, row: usize) -> Option<f32> {
        match self {
            Self::F16(values) => Some(values[row].to_f32()),
            Self::F32(values) => Some(values[row]),
            Self::F64(_) => None,
        }
    }

    pub(super) fn double(&self, row: usize) -> f64 {
        match self {
            Self::F16(values) => values[row].to_f64(),
            Self::F32(values) => values[row].into(),
            Self::F64(values) => values[row],
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Decimals<'a> {
    D32(&'a [i32]),
    D64(&'a [i64]),
    D128(&'a [i128]),
    D256(&'a [i256]),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Texts<'a> {
    Utf8(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    pub(super) fn at(&self, row: usize) -> &'a str {
        match self {
            Self::Utf8(array) => array.value(row),
            Self::Large(array) => array.value(row),
            Self::View(array) => array.value(row),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Blobs<'a> {
    Binary(&'a BinaryArray),
    View(&'a BinaryViewArray),
    Fixed(&'a FixedSizeBinaryArray),
}

impl<'a> Blobs<'a> {
    pub(super) fn at(&self, row: usize) -> &'a [u8] {
        match self {
            Self::Binary(array) => array.value(row),
            Self::View(array) => array.value(row),
            Self::Fixed(array) => array.value(row),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Dates<'a> {
    Days(&'a [i32]),
    Millis(&'a [i64]),
}

/// 32- or 64-bit counts of a time unit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counts<'a> {
    I32(&'a [i32]),
    I64(&'a [i64]),
}

impl Counts<'_> {
    pub(super) fn at(&self, row: usize) -> i64 {
        match self {
            Self::I32(values) => values[row].into(),
            Self::I64(values) => values[row],
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Intervals<'a> {
    Months(&'a [i32]),
    DayTime(&'a [IntervalDayTime]),
    MonthDayNano(&'a [IntervalMonthDayNano]),
    Duration(&'a [i64], TimeUnit),
}

/// Where the items of each row lie.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spans<'a> {
    Offsets32(&'a [i32]),
    Offsets64(&'a [i64]),
    Views32(&'a [i32], &'a [i32]),
    Views64(&'a [i64], &'a [i64]),
    Fixed(usize),
}

impl Spans<'_> {
    /// Arrow keeps offsets non-negative; a negative one would give an empty span.
    pub(super) fn at(&self, row: usize) -> Range<usize> {
        let index = |offset: i64| usize::try_from(offset).unwrap_or_default();
        match self {
            Self::Offsets32(offsets) => index(offsets[row].into())..index(offsets[row + 1].into()),
            Self::Offsets64(offsets) => index(offsets[row])..index(offsets[row + 1]),
            Self::Views32(offsets, sizes) => {
                let start = index(offsets[row].into());
                start..start + index(sizes[row].into())
            }
            Self::Views64(offsets, sizes) => {
                let start = index(offsets[row]);
                start..start + index(sizes[row])
            }
            Self::Fixed(size) => row * size..(row + 1) * size,
        }
    }
}

/// An array by its physical kind.
pub(super) enum Physical<'a> {
    Null,
    Bool(&'a BooleanArray),
    Int(Ints<'a>),
    Float(Floats<'a>),
    Decimal(Decimals<'a>, i8),
    Text(Texts<'a>),
    Blob(Blobs<'a>),
    /// Cells of numerics of any width.
    Numeric(&'a LargeBinaryArray),
    Date(Dates<'a>),
    Time(Counts<'a>, TimeUnit),
    Timestamp(&'a [i64], TimeUnit),
    Interval(Intervals<'a>),
    List(Spans<'a>, &'a ArrayRef, &'a Field),
    Struct(&'a StructArray),
    Map(&'a MapArray),
    Union(&'a UnionArray),
    /// Values elsewhere: the index of each row's value, `u32::MAX` for NULL.
    Indirect(Vec<u32>, &'a ArrayRef),
}

/// Index of a row without a value.
pub(super) const NO_VALUE: u32 = u32::MAX;

macro_rules! values {
    ($array:expr, $type:ty) => {
        &$array.as_primitive::<$type>().values()[..]
    };
}

pub(super) fn physical(array: &dyn Array) -> Result<Physical<'_>> {
    use Physical as P;
    Ok(match array.data_type() {
        DataType::Null => P::Null,
        DataType::Boolean => P::Bool(array.as_boolean()),
        DataType::Int8 => P::Int(Ints::I8(values!(array, Int8Type))),
        DataType::Int16 => P::Int(Ints::I16(values!(array, Int16Type))),
        DataType::Int32 => P::Int(Ints::I32(values!(array, Int32Type))),
        DataType::Int64 => P::Int(Ints::I64(values!(array, Int64Type))),
        DataType::UInt8 => P::Int(Ints::U8(values!(array, UInt8Type))),
        DataType::UInt16 => P::Int(Ints::U16(values!(array, UInt16Type))),
        DataType::UInt32 => P::Int(Ints::U32(values!(array, UInt32Type))),
        DataType::UInt64 => P::Int(Ints::U64(values!(array, UInt64Type))),
        DataType::Float16 => P::Float(Floats::F16(values!(array, Float16Type))),
        DataType::Float32 => P::Float(Floats::F32(values!(array, Float32Type))),
        DataType::Float64 => P::Float(Floats::F64(values!(array, Float64Type))),
        DataType::Decimal32(_, scale) => P::Decimal(Decimals::D32(values!(array, Decimal32Type)), *scale),
        DataType::Decimal64(_, scale) => P::Decimal(Decimals::D64(values!(array, Decimal64Type)), *scale),
        DataType::Decimal128(_, scale) => P::Decimal(Decimals::D128(values!(array, Decimal128Type)), *scale),
        DataType::Decimal256(_, scale) => P::Decimal(Decimals::D256(values!(array, Decimal256Type)), *scale),
        DataType::Utf8 => P::Text(Texts::Utf8(array.as_string())),
        DataType::LargeUtf8 => P::Text(Texts::Large(array.as_string())),
        DataType::Utf8View => P::Text(Texts::View(array.as_string_view())),
        DataType::Binary => P::Blob(Blobs::Binary(array.as_binary())),
        DataType::LargeBinary => P::Numeric(array.as_binary()),
        DataType::BinaryView => P::Blob(Blobs::View(array.as_binary_view())),
        DataType::FixedSizeBinary(_) => P::Blob(Blobs::Fixed(array.as_fixed_size_binary())),
        DataType::Date32 => P::Date(Dates::Days(values!(array, Date32Type))),
        DataType::Date64 => P::Date(Dates::Millis(values!(array, Date64Type))),
        DataType::Time32(unit @ TimeUnit::Second) => P::Time(Counts::I32(values!(array, Time32SecondType)), *unit),
        DataType::Time32(unit @ TimeUnit::Millisecond) => {
            P::Time(Counts::I32(values!(array, Time32MillisecondType)), *unit)
        }
        DataType::Time64(unit @ TimeUnit::Microsecond) => {
            P::Time(Counts::I64(values!(array, Time64MicrosecondType)), *unit)
        }
        DataType::Time64(unit @ TimeUnit::Nanosecond) => {
            P::Time(Counts::I64(values!(array, Time64NanosecondType)), *unit)
        }
        DataType::Time32(TimeUnit::Microsecond | TimeUnit::Nanosecond)
        | DataType::Time64(TimeUnit::Second | TimeUnit::Millisecond) => {
            return Err(Error::internal("a time array has a unit that does not fit its width"));
        }
        DataType::Timestamp(unit, _) => P::Timestamp(timestamps(array, *unit), *unit),
        DataType::Duration(unit) => P::Interval(Intervals::Duration(durations(array, *unit), *unit)),
        DataType::Interval(IntervalUnit::YearMonth) => {
            P::Interval(Intervals::Months(values!(array, IntervalYearMonthType)))
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            P::Interval(Intervals::DayTime(values!(array, IntervalDayTimeType)))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            P::Interval(Intervals::MonthDayNano(values!(array, IntervalMonthDayNanoType)))
        }
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            P::List(Spans::Offsets32(&list.offsets()[..]), list.values(), item)
        }
        DataType::LargeList(item) => {
            let list = array.as_list::<i64>();
            P::List(Spans::Offsets64(&list.offsets()[..]), list.values(), item)
        }
        DataType::ListView(item) => {
            let list = array.as_list_view::<i32>();
            P::List(Spans::Views32(&list.offsets()[..], &list.sizes()[..]), list.values(), item)
        }
        DataType::LargeListView(item) => {
            let list = array.as_list_view::<i64>();
            P::List(Spans::Views64(&list.offsets()[..], &list.sizes()[..]), list.values(), item)
        }
        DataType::FixedSizeList(item, size) => {
            let list = array.as_fixed_size_list();
            P::List(Spans::Fixed(usize::try_from(*size).unwrap_or_default()), list.values(), item)
        }
        DataType::Struct(_) => P::Struct(array.as_struct()),
        DataType::Map(..) => P::Map(array.as_map()),
        DataType::Union(..) => P::Union(array.as_union()),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let keys = dictionary.keys();
            let index = if dictionary.values().is_empty() {
                vec![NO_VALUE; array.len()]
            } else {
                let normalized = dictionary.normalized_keys().into_iter().enumerate();
                normalized.map(|(row, key)| if keys.is_null(row) { NO_VALUE } else { index_of(key) }).collect()
            };
            P::Indirect(index, dictionary.values())
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(array)?,
            DataType::Int32 => runs::<Int32Type>(array)?,
            DataType::Int64 => runs::<Int64Type>(array)?,
            other => return Err(Error::internal(format!("run ends of type {other}"))),
        },
    })
}

fn index_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NO_VALUE)
}

fn runs<R: RunEndIndexType>(array: &dyn Array) -> Result<Physical<'_>> {
    let runs = array
        .as_any()
        .downcast_ref::<RunArray<R>>()
        .ok_or_else(|| Error::internal("a run array is not of its own type"))?;
    let index = (0..runs.len()).map(|row| index_of(runs.get_physical_index(row))).collect();
    Ok(Physical::Indirect(index, runs.values()))
}

fn timestamps(array: &dyn Array, unit: TimeUnit) -> &[i64] {
    match unit {
        TimeUnit::Second => values!(array, TimestampSecondType),
        TimeUnit::Millisecond => values!(array, TimestampMillisecondType),
        TimeUnit::Microsecond => values!(array, TimestampMicrosecondType),
        TimeUnit::Nanosecond => values!(array, TimestampNanosecondType),
    }
}

fn durations(array: &dyn Array, unit: TimeUnit) -> &[i64] {
    match unit {
        TimeUnit::Second => values!(array, DurationSecondType),
        TimeUnit::Millisecond => values!(array, DurationMillisecondType),
        TimeUnit::Microsecond => values!(array, DurationMicrosecondType),
        TimeUnit::Nanosecond => values!(array, DurationNanosecondType),
    }
}

/// A count of a unit in microseconds, rounded down; `None` when it does not fit. The extremes stay: they mean infinity.
pub(super) fn micros(count: i64, unit: TimeUnit) -> Option<i64> {
    match (count, unit) {
        (i64::MAX | i64::MIN, _) | (_, TimeUnit::Microsecond) => Some(count),
        (_, TimeUnit::Second) => count.checked_mul(1_000_000),
        (_, TimeUnit::Millisecond) => count.checked_mul(1_000),
        (_, TimeUnit::Nanosecond) => Some(count.div_euclid(1_000)),
    }
}
