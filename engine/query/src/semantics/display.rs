//! Any value as the text that Postgres prints, element by element. Knows no plan.

use super::civil::Date;
use super::functions::of_arrow;
use super::text;
use super::zone::{DAY, SECOND, Zone};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::common::Result;
use std::fmt::Write as _;

/// The text of a row's value; `None` for NULL.
pub(super) fn text_of(array: &dyn Array, row: usize, field: &Field, zone: Zone) -> Result<Option<String>> {
    if array.data_type() == &DataType::Null || array.is_null(row) {
        return Ok(None);
    }
    macro_rules! number {
        ($kind:ty) => {
            array.as_primitive::<$kind>().value(row).to_string()
        };
    }
    Ok(Some(match array.data_type() {
        DataType::Boolean => if array.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => text::real(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => text::double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => decimal(array.as_primitive::<Decimal128Type>().value(row), *scale),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Binary => hex(array.as_binary::<i32>().value(row)),
        DataType::Date32 => date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(_) | DataType::Time32(_) => {
            let micros = arrow::compute::cast(&array.slice(row, 1), &DataType::Time64(TimeUnit::Microsecond))?;
            time(micros.as_primitive::<arrow::datatypes::Time64MicrosecondType>().value(0))
        }
        DataType::Timestamp(_, own) => {
            let wanted = DataType::Timestamp(TimeUnit::Microsecond, own.clone());
            let micros = arrow::compute::cast(&array.slice(row, 1), &wanted)?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>().value(0);
            if own.is_some() { instant(micros, zone) } else { text::timestamp(micros) }
        }
        DataType::Interval(_) | DataType::Duration(_) => {
            let wanted = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
            let value = arrow::compute::cast(&array.slice(row, 1), &wanted)?;
            of_arrow(value.as_primitive::<IntervalMonthDayNanoType>().value(0)).text()
        }
        DataType::List(item) => list(array.as_list::<i32>().value(row).as_ref(), item, zone)?,
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            let mut out = String::from("(");
            for (at, (field, column)) in fields.iter().zip(columns.columns()).enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                if let Some(text) = text_of(column.as_ref(), row, field, zone)? {
                    record_field(&text, &mut out);
                }
            }
            out.push(')');
            out
        }
        _ => {
            let _ = field;
            let plain = arrow::compute::cast(&array.slice(row, 1), &DataType::Utf8)?;
            plain.as_string::<i32>().value(0).to_owned()
        }
    }))
}

/// `{1,2,NULL}`; dimensions nest.
fn list(items: &dyn Array, item: &Field, zone: Zone) -> Result<String> {
    let nested = matches!(items.data_type(), DataType::List(_));
    let mut out = String::from("{");
    for row in 0..items.len() {
        out.push_str(if row > 0 { "," } else { "" });
        match text_of(items, row, item, zone)? {
            None => out.push_str("NULL"),
            Some(text) if nested => out.push_str(&text),
            Some(text) => element(&text, &mut out),
        }
    }
    out.push('}');
    Ok(out)
}

/// An array's element, in quotes where it needs them.
fn element(text: &str, out: &mut String) {
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.chars().any(|c| matches!(c, '"' | '\\' | '{' | '}' | ',') || c.is_ascii_whitespace() || c == '\u{b}');
    if plain {
        return out.push_str(text);
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// A record's field: quotes and backslashes are doubled.
fn record_field(text: &str, out: &mut String) {
    let plain =
        !text.is_empty() && !text.chars().any(|c| matches!(c, '"' | '\\' | '(' | ')' | ',') || c.is_ascii_whitespace());
    if plain {
        return out.push_str(text);
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('"');
}

/// A decimal's digits with all its places.
pub(super) fn decimal(value: i128, scale: i8) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    match usize::try_from(scale) {
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) => {
            let digits = format!("{digits:0>0$}", scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) if value == 0 => "0".to_owned(),
        Err(_) => format!("{sign}{digits}{}", "0".repeat(usize::from(scale.unsigned_abs()))),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 + bytes.len() * 2);
    out.push_str("\\x");
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

pub(super) fn date(days: i32) -> String {
    match days {
        i32::MAX => return "infinity".to_owned(),
        i32::MIN => return "-infinity".to_owned(),
        _ => {}
    }
    let date = Date::from_days(i64::from(days));
    // There is no year 0: 1 BC is 0 in the calendar's own count.
    let (year, era) = if date.year > 0 { (date.year, "") } else { (1 - date.year, " BC") };
    format!("{year:04}-{:02}-{:02}{era}", date.month, date.day)
}

pub(super) fn time(micros: i64) -> String {
    let (seconds, fraction) = (micros / SECOND, micros % SECOND);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    text
}

/// An instant on a zone's wall clock, with the offset.
pub(super) fn instant(micros: i64, zone: Zone) -> String {
    if super::zone::is_infinite(micros) {
        return text::timestamp(micros);
    }
    let east = zone.offset_at(micros);
    let local = text::timestamp(micros + i64::from(east) * SECOND);
    let (clock, era) = local.strip_suffix(" BC").map_or((local.as_str(), ""), |clock| (clock, " BC"));
    format!("{clock}{}{era}", super::zone::offset_text(east))
}

/// The form of dates and times in JSON: a `T` between, the offset with minutes.
pub(super) fn json_moment(micros: i64, zone: Option<Zone>) -> String {
    if super::zone::is_infinite(micros) {
        return text::timestamp(micros);
    }
    let Some(zone) = zone else { return text::timestamp(micros).replacen(' ', "T", 1) };
    let east = zone.offset_at(micros);
    let sign = if east < 0 { '-' } else { '+' };
    let minutes = east.unsigned_abs() / 60;
    let local = text::timestamp(micros + i64::from(east) * SECOND).replacen(' ', "T", 1);
    format!("{local}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// The days of a time stamp.
pub(super) const fn days_of(micros: i64) -> i64 {
    micros.div_euclid(DAY)
}
