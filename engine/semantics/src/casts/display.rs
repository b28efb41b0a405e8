//! Any value as the text that Postgres prints, element by element. Knows no plan.

use super::text;
use crate::fault::external;
use crate::functions::of_arrow;
use crate::times::zone::{DAY, SECOND, Zone};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use datafusion::common::{Result, internal_err};
use querygate_query_api::column::pg_type_of;
use querygate_query_api::values::admit_nested_text;
use querygate_query_api::values::network::{NETWORK, network_at, network_text};
use querygate_query_api::values::timetz::TimeTz;
use querygate_query_api::values::wide_numeric::numeric_cell;
use querygate_resources::{CHARGE_LEAST, proceed, work};

/// The text that a cast of a row's value to text gives; `None` for NULL. Unlike the type's output, it spells truth out.
pub(crate) fn cast_text_of(array: &dyn Array, row: usize, field: &Field, zone: Zone) -> Result<Option<String>> {
    let text = text_of(array, row, field, zone)?;
    Ok(match array.data_type() {
        DataType::Boolean => text.map(|text| if text == "t" { "true" } else { "false" }.to_owned()),
        _ => text,
    })
}

/// The text of a row's value; `None` for NULL.
pub(crate) fn text_of(array: &dyn Array, row: usize, field: &Field, zone: Zone) -> Result<Option<String>> {
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
        DataType::LargeBinary => numeric_cell(array.as_binary(), row).map_err(external)?.to_string(),
        keys if *keys == TimeTz::ARROW => match TimeTz::of_key(array.as_fixed_size_binary().value(row)) {
            Some(time) => timetz(time),
            None => return internal_err!("a key of a time is not its length"),
        },
        keys if *keys == NETWORK => {
            network_text(network_at(array.as_fixed_size_binary(), row).map_err(external)?, pg_type_of(field))
        }
        DataType::Binary => hex(array.as_binary::<i32>().value(row)),
        DataType::Date32 => date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(TimeUnit::Microsecond) => {
            time(array.as_primitive::<arrow::datatypes::Time64MicrosecondType>().value(row))
        }
        DataType::Time64(_) | DataType::Time32(_) => {
            let micros = arrow::compute::cast(&array.slice(row, 1), &DataType::Time64(TimeUnit::Microsecond))?;
            time(micros.as_primitive::<arrow::datatypes::Time64MicrosecondType>().value(0))
        }
        DataType::Timestamp(TimeUnit::Microsecond, own) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            if own.is_some() { instant(micros, zone) } else { text::timestamp(micros) }
        }
        DataType::Timestamp(_, own) => {
            let wanted = DataType::Timestamp(TimeUnit::Microsecond, own.clone());
            let micros = arrow::compute::cast(&array.slice(row, 1), &wanted)?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>().value(0);
            if own.is_some() { instant(micros, zone) } else { text::timestamp(micros) }
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            of_arrow(array.as_primitive::<IntervalMonthDayNanoType>().value(row)).text()
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
                    record_field(&text, &mut out)?;
                }
            }
            out.push(')');
            out
        }
        _ => {
            let plain = arrow::compute::cast(&array.slice(row, 1), &DataType::Utf8)?;
            plain.as_string::<i32>().value(0).to_owned()
        }
    }))
}

/// `{1,2,NULL}`; dimensions nest.
fn list(items: &dyn Array, item: &Field, zone: Zone) -> Result<String> {
    let nested = matches!(items.data_type(), DataType::List(_));
    let (mut out, mut unasked) = (String::from("{"), 0);
    for row in 0..items.len() {
        if out.len().saturating_sub(unasked) >= CHARGE_LEAST {
            proceed()?;
            // The text grows by doubling.
            work((out.len() - unasked).saturating_mul(2))?;
            unasked = out.len();
        }
        out.push_str(if row > 0 { "," } else { "" });
        match text_of(items, row, item, zone)? {
            None => out.push_str("NULL"),
            Some(text) if nested => out.push_str(&text),
            Some(text) => element(&text, &mut out)?,
        }
    }
    out.push('}');
    Ok(out)
}

/// An array's element, in quotes where it needs them.
fn element(text: &str, out: &mut String) -> Result<()> {
    admit_nested_text(text.len()).map_err(external)?;
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.chars().any(|c| matches!(c, '"' | '\\' | '{' | '}' | ',') || c.is_ascii_whitespace() || c == '\u{b}');
    if plain {
        out.push_str(text);
        return Ok(());
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Ok(())
}

/// A record's field: quotes and backslashes are doubled.
fn record_field(text: &str, out: &mut String) -> Result<()> {
    admit_nested_text(text.len()).map_err(external)?;
    let plain =
        !text.is_empty() && !text.chars().any(|c| matches!(c, '"' | '\\' | '(' | ')' | ',') || c.is_ascii_whitespace());
    if plain {
        out.push_str(text);
        return Ok(());
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('"');
    Ok(())
}

/// A decimal's digits with all its places.
pub(crate) fn decimal(value: i128, scale: i8) -> String {
    let mut out = String::with_capacity(24);
    if value < 0 {
        out.push('-');
    }
    let magnitude = value.unsigned_abs();
    let Ok(places) = usize::try_from(scale) else {
        out.push_str(&magnitude.to_string());
        if value != 0 {
            out.extend(std::iter::repeat_n('0', usize::from(scale.unsigned_abs())));
        }
        return out;
    };
    match u64::try_from(magnitude) {
        Ok(magnitude) => text::put_digits(magnitude, places + 1, &mut out),
        Err(_) => out.push_str(&format!("{magnitude:0>0$}", places + 1)),
    }
    if places > 0 {
        out.insert(out.len() - places, '.');
    }
    out
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut out = String::with_capacity(2 + bytes.len() * 2);
    out.push_str("\\x");
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out
}

pub(crate) fn date(days: i32) -> String {
    match days {
        i32::MAX => return "infinity".to_owned(),
        i32::MIN => return "-infinity".to_owned(),
        _ => {}
    }
    let mut text = String::with_capacity(16);
    let is_before_christ = text::put_date(i64::from(days), &mut text);
    text.push_str(if is_before_christ { " BC" } else { "" });
    text
}

pub(crate) fn time(micros: i64) -> String {
    let mut text = String::with_capacity(16);
    text::put_clock(micros.unsigned_abs(), &mut text);
    text
}

/// A time of day with its zone's distance from Greenwich.
pub(crate) fn timetz(of: TimeTz) -> String {
    let mut text = time(of.micros);
    text.push_str(&crate::times::zone::offset_text(of.east));
    text
}

/// An instant on a zone's wall clock, with the offset.
pub(crate) fn instant(micros: i64, zone: Zone) -> String {
    if crate::times::zone::is_infinite(micros) {
        return text::timestamp(micros);
    }
    let east = zone.offset_at(micros);
    let mut text = text::timestamp(micros + i64::from(east) * SECOND);
    let is_before_christ = text.ends_with(" BC");
    text.truncate(text.len() - if is_before_christ { 3 } else { 0 });
    text.push_str(&crate::times::zone::offset_text(east));
    text.push_str(if is_before_christ { " BC" } else { "" });
    text
}

/// The form of dates and times in JSON: a `T` between, the offset with minutes.
pub(crate) fn json_moment(micros: i64, zone: Option<Zone>) -> String {
    if crate::times::zone::is_infinite(micros) {
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
pub(crate) const fn days_of(micros: i64) -> i64 {
    micros.div_euclid(DAY)
}
