//! Texts as values, by Postgres' input functions. Errors never quote a text. Knows no plan.

use super::conversions::{modifier, named, texts_of};
use super::networks;
use super::text;
use crate::bounds::ResultBytes;
use crate::fault::{Fault, external};
use crate::functions::{read_bytes, to_arrow};
use crate::json;
use crate::times::datetime::{Wrong, interval, parse};
use crate::times::moments::rounded;
use crate::times::zone::Zone;
use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Date32Array, ListArray, PrimitiveArray, StringArray,
    StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, MAX_DECIMAL128_FOR_EACH_PRECISION, TimeUnit, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use querygate_query_api::values::network::NETWORK;
use querygate_resources::bytes::own_bytes;
use querygate_resources::{Working, proceed, work};
use querygate_types::{Error, ErrorCode, PgType, network, uuid};
use std::sync::Arc;

/// Reads texts as a type.
pub(crate) fn read(values: &ArrayRef, field: &FieldRef, to: &DataType, zone: Zone) -> Result<ArrayRef> {
    let texts = &texts_of(values)?;
    let unit = modifier(field).and_then(|d| d.parse::<u32>().ok()).filter(|d| *d < 6).map(|d| 10_i64.pow(6 - d));
    Ok(match to {
        DataType::Boolean => {
            let read = texts.iter().map(|t| t.map(text::read_boolean).transpose()).collect::<Result<BooleanArray, _>>();
            Arc::new(read.map_err(Fault::error)?)
        }
        DataType::Float32 => numbers::<Float32Type>(texts, text::read_real)?,
        DataType::Float64 => numbers::<Float64Type>(texts, text::read_double)?,
        DataType::Int8 => numbers::<Int8Type>(texts, |t| text::read_integer(t, "smallint"))?,
        DataType::Int16 => numbers::<Int16Type>(texts, |t| text::read_integer(t, "smallint"))?,
        DataType::Int32 => numbers::<Int32Type>(texts, |t| text::read_integer(t, "integer"))?,
        DataType::Int64 => numbers::<Int64Type>(texts, |t| text::read_integer(t, "bigint"))?,
        DataType::UInt8 => numbers::<UInt8Type>(texts, |t| text::read_integer(t, "smallint"))?,
        DataType::UInt16 => numbers::<UInt16Type>(texts, |t| text::read_integer(t, "integer"))?,
        DataType::UInt32 => numbers::<UInt32Type>(texts, oid)?,
        DataType::UInt64 => numbers::<UInt64Type>(texts, |t| text::read_integer(t, "numeric"))?,
        DataType::Decimal128(precision, scale) => {
            let most = MAX_DECIMAL128_FOR_EACH_PRECISION.get(usize::from(*precision)).copied().unwrap_or(i128::MAX);
            let scale_digits = u32::from(scale.unsigned_abs());
            let read = texts.iter().map(|t| t.map(|t| text::read_decimal(t, scale_digits, most)).transpose());
            let digits = read.collect::<Result<PrimitiveArray<Decimal128Type>, _>>().map_err(Fault::error)?;
            Arc::new(digits.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Binary => {
            let bytes = each(texts, read_bytes)?;
            Arc::new(bytes.iter().map(Option::as_deref).collect::<BinaryArray>())
        }
        DataType::Date32 => Arc::new(moments(texts, "date", parse::date)?.into_iter().collect::<Date32Array>()),
        DataType::Time64(_) => {
            let times = moments(texts, "time", parse::time)?;
            Arc::new(times.into_iter().map(|t| t.map(|t| rounded(t, unit))).collect::<Time64MicrosecondArray>())
        }
        DataType::Timestamp(precision, own) => {
            let stamps = match own {
                Some(_) => moments(texts, "timestamp with time zone", |t| parse::instant(t, zone))?,
                None => moments(texts, "timestamp", parse::timestamp)?,
            };
            let stamps: TimestampMicrosecondArray = stamps.into_iter().map(|t| t.map(|t| rounded(t, unit))).collect();
            let stamps: ArrayRef = Arc::new(stamps.with_timezone_opt(own.clone()));
            match precision {
                TimeUnit::Microsecond => stamps,
                _ => arrow::compute::cast(&stamps, to)?,
            }
        }
        DataType::Interval(_) => {
            let spans = moments(texts, "interval", |t| {
                let mut span = interval::parse(t)?;
                span.micros = rounded(span.micros, unit);
                to_arrow(span).ok_or(Wrong::Range)
            })?;
            Arc::new(spans.into_iter().collect::<PrimitiveArray<IntervalMonthDayNanoType>>())
        }
        DataType::List(item) => lists(texts, field, item, zone)?,
        own if *own == NETWORK => networks::of_texts(texts, named(field) == Some("cidr"))?,
        other => return exec_err!("reading {other} from text was not planned"),
    })
}

/// Negative numbers wrap, as in Postgres.
fn oid(text: &str) -> Result<u32, Fault> {
    let value: i64 = text::read_integer(text, "oid")?;
    let wrapped = if (i64::from(i32::MIN)..0).contains(&value) { value + (1 << 32) } else { value };
    u32::try_from(wrapped).map_err(|_| Fault::OutOfRange("oid"))
}

fn each<T>(texts: &StringViewArray, read: impl Fn(&str) -> Result<T>) -> Result<Vec<Option<T>>> {
    texts.iter().map(|text| text.map(&read).transpose()).collect()
}

fn moments<T>(texts: &StringViewArray, name: &str, read: impl Fn(&str) -> Result<T, Wrong>) -> Result<Vec<Option<T>>> {
    each(texts, |text| {
        let read = if is_too_long(text) { Err(Wrong::Syntax) } else { read(text) };
        read.map_err(|wrong| wrong.error(name))
    })
}

/// Whether a text has more signs than PostgreSQL puts together for a moment or an interval, which is its room for the longest of them.
fn is_too_long(text: &str) -> bool {
    const SIGNS_MAX: usize = 256;
    text.len() > SIGNS_MAX && text.bytes().filter(|byte| !byte.is_ascii_whitespace()).nth(SIGNS_MAX).is_some()
}

fn numbers<T: ArrowPrimitiveType>(
    texts: &StringViewArray,
    read: impl Fn(&str) -> Result<T::Native, Fault>,
) -> Result<ArrayRef> {
    let numbers = texts.iter().map(|text| text.map(&read).transpose()).collect::<Result<Vec<_>, _>>();
    Ok(Arc::new(PrimitiveArray::<T>::from_iter(numbers.map_err(Fault::error)?)))
}

/// Bytes of an element beside its text, while a list is read.
const ELEMENT_BYTES: usize = 64;

fn lists(texts: &StringViewArray, array: &Field, item: &FieldRef, zone: Zone) -> Result<ArrayRef> {
    let to = super::conversions::item_target(array, item);
    let mut made = ResultBytes::default();
    let rows = texts.iter().map(|text| -> Result<Option<ScalarValue>> {
        let Some(text) = text else { return Ok(None) };
        proceed()?;
        let items = {
            let _work = Working::begin();
            let elements = text.bytes().filter(|byte| *byte == b',').count() + 1;
            work(elements.saturating_mul(ELEMENT_BYTES).saturating_add(text.len().saturating_mul(2)))?;
            let parts: ArrayRef = Arc::new(StringArray::from(super::flat_arrays::split_array(text).map_err(external)?));
            let plain = Field::new("item", DataType::Utf8, true);
            super::conversions::items(&parts, &plain, &to, zone)?
        };
        made.add(own_bytes(&items))?;
        let list = datafusion::common::utils::SingleRowListArrayBuilder::new(items).with_field(item).build_list_array();
        Ok(Some(ScalarValue::List(Arc::new(list))))
    });
    let null = ScalarValue::try_from(&DataType::List(Arc::clone(item)))?;
    let rows = rows.map(|row| Ok(row?.unwrap_or_else(|| null.clone()))).collect::<Result<Vec<_>>>()?;
    if rows.is_empty() {
        return Ok(arrow::array::new_empty_array(&DataType::List(Arc::clone(item))));
    }
    ScalarValue::iter_to_array(rows)
}

/// Texts that stay texts: checked, or cut to a length.
pub(crate) fn read_named(values: &ArrayRef, name: Option<&str>, length: Option<&str>) -> Result<ArrayRef> {
    let texts = &texts_of(values)?;
    let length = length.and_then(|l| l.parse::<usize>().ok());
    let read: Vec<Option<String>> = match (name, length) {
        (Some("bit"), Some(length)) => super::bits::in_length(texts, length)?,
        (Some("varbit"), Some(length)) => {
            each(texts, |text| Ok(super::bits::read(text)?.chars().take(length).collect()))?
        }
        (Some(name), _) if PgType::from_name(name).is_some_and(has_forms) => {
            let pg_type = PgType::from_name(name).unwrap_or(PgType::Text);
            each(texts, |text| canonical(text, pg_type))?
        }
        (Some("json"), _) => each(texts, |text| {
            let _work = Working::begin();
            work(json::tree::weight(text))?;
            json::tree::parse(text).map(|_| text.to_owned()).ok_or_else(json::invalid)
        })?,
        (Some("jsonb"), _) => each(texts, jsonb)?,
        (Some("char"), _) => each(texts, |text| Ok(one_byte(text)))?,
        // The blanks behind it say nothing; who prints the value fills it up.
        (Some("bpchar"), Some(length)) => each(texts, |text| {
            let cut: String = text.chars().take(length).collect();
            Ok(cut.trim_end_matches(' ').to_owned())
        })?,
        (_, Some(length)) => each(texts, |text| Ok(text.chars().take(length).collect()))?,
        (_, None) => each(texts, |text| Ok(text.to_owned()))?,
    };
    let read: ArrayRef = Arc::new(read.into_iter().collect::<StringArray>());
    Ok(read)
}

fn jsonb(text: &str) -> Result<String> {
    let _work = Working::begin();
    work(json::tree::weight(text))?;
    json::tree::parse(text).map(json::print::normal_text).ok_or_else(json::invalid)
}

/// What `"char"` keeps of a text: its first byte, which a backslash and three octal digits may stand for, too. A byte beyond ASCII
/// prints as these.
fn one_byte(text: &str) -> String {
    let octal = match text.as_bytes() {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
        }
        _ => None,
    };
    match octal.or_else(|| text.bytes().next()) {
        None | Some(0) => String::new(),
        Some(byte) if byte.is_ascii() => char::from(byte).to_string(),
        Some(byte) => format!("\\{byte:03o}"),
    }
}

/// Whether several texts are one value of the type, of which its column has the canonical one.
pub const fn has_forms(pg_type: PgType) -> bool {
    matches!(pg_type, PgType::Uuid | PgType::Macaddr | PgType::Macaddr8 | PgType::Bit | PgType::Varbit)
}

/// The canonical text of a value of such a type.
pub fn canonical(text: &str, pg_type: PgType) -> Result<String> {
    match pg_type {
        PgType::Uuid => uuid::canonical(text).ok_or_else(|| no_such("uuid")),
        PgType::Macaddr => network::macaddr(text).ok_or_else(|| no_such("macaddr")),
        PgType::Macaddr8 => network::macaddr8(text).ok_or_else(|| no_such("macaddr8")),
        PgType::Bit | PgType::Varbit => super::bits::read(text),
        PgType::Cidr => Ok(networks::read(text, true)?.with_prefix()),
        PgType::Bpchar => Ok(text.trim_end_matches(' ').to_owned()),
        PgType::Jsonb => jsonb(text),
        other => exec_err!("a text of {other:?} has one form"),
    }
}

/// A parameter's value of such a type, or an array of it.
pub fn canonical_value(value: ScalarValue, pg_type: PgType) -> Result<ScalarValue> {
    match (value, pg_type.element()) {
        (ScalarValue::Utf8(Some(text)), None) => Ok(ScalarValue::Utf8(Some(canonical(&text, pg_type)?))),
        (ScalarValue::List(list), Some(item)) if list.value_type() == DataType::Utf8 => {
            let (field, offsets, items, nulls) = list.as_ref().clone().into_parts();
            let items = each(&texts_of(&items)?, |text| canonical(text, item))?;
            let items = Arc::new(items.into_iter().collect::<StringArray>());
            Ok(ScalarValue::List(Arc::new(ListArray::try_new(field, offsets, items, nulls)?)))
        }
        (other, _) => Ok(other),
    }
}

fn no_such(name: &'static str) -> DataFusionError {
    external(Error::new(ErrorCode::InvalidTextRepresentation, format!("invalid input syntax for type {name}")))
}

#[cfg(test)]
mod tests {
    use super::is_too_long;

    /// As PostgreSQL 15 takes and refuses them.
    #[test]
    fn moments_have_few_signs_and_any_blanks() {
        let taken = [format!("1.{} sec", "0".repeat(240)), format!("{}2020-01-01", " ".repeat(1_000))];
        assert!(taken.iter().all(|text| !is_too_long(text)));
        let refused = [format!("1.{} sec", "0".repeat(300)), "2020-01-01 ".repeat(100)];
        assert!(refused.iter().all(|text| is_too_long(text)));
    }
}
