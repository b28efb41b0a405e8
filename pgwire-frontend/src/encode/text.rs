//! Text output of every type, byte for byte as PostgreSQL's output functions. Knows no frame.

use super::Style;
use super::column::{Column, Values, Width};
use super::datetime::{self, Interval, Layout, out_of_range};
use super::physical::{Dates, Decimals, Intervals, NO_VALUE, Spans, micros};
use super::style::{ByteaOutput, IntervalStyle};
use super::{float, json, numeric};
use crate::digits::push_i64;
use arrow::datatypes::TimeUnit;
use querygate_query_api::values::admit_nested_text;
use querygate_query_api::values::network::{network_at, network_text};
use querygate_query_api::values::wide_numeric::numeric_cell;
use querygate_types::{Error, ErrorCode, Result};

/// Appends a value that is not NULL.
pub(super) fn write(column: &Column<'_>, row: usize, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    match &column.values {
        Values::Null => {}
        Values::Bool(array) => out.push(if array.value(row) { b't' } else { b'f' }),
        Values::Int(ints, width) => {
            push_i64(out, ints.at(row).filter(|value| fits(*value, *width)).ok_or_else(too_wide)?)
        }
        Values::Float4(floats) => {
            float::float4(out, floats.single(row).ok_or_else(too_wide)?, style.extra_float_digits)
        }
        Values::Float8(floats) => float::float8(out, floats.double(row), style.extra_float_digits),
        Values::Decimal(decimals, scale) => match decimals {
            Decimals::D32(values) => numeric::text(out, values[row].into(), *scale),
            Decimals::D64(values) => numeric::text(out, values[row].into(), *scale),
            Decimals::D128(values) => numeric::text(out, values[row], *scale),
            Decimals::D256(values) => numeric::text_256(out, values[row], *scale),
        },
        Values::WideNumeric(cells) => out.extend(numeric_cell(cells, row)?.to_string().into_bytes()),
        Values::WholeNumeric(ints) => numeric::text(out, ints.wide(row), 0),
        Values::Text(texts)
        | Values::Json(texts, _)
        | Values::RegName(texts)
        | Values::Void(texts)
        | Values::UuidText(texts)
        | Values::MacaddrText(texts)
        | Values::BitText(texts) => out.extend_from_slice(texts.at(row).as_bytes()),
        Values::JsonTree(..) => json::write(column, row, style, out)?,
        Values::CharText(texts) => match char_byte(texts.at(row))? {
            Some(byte) if byte.is_ascii() => out.extend((byte != 0).then_some(byte)),
            Some(_) => out.extend_from_slice(texts.at(row).as_bytes()),
            None => {}
        },
        Values::CharByte(ints) => out.extend(ints.at(row).map(low_byte).filter(|byte| *byte != 0)),
        Values::Bytea(blobs) => bytea(out, blobs.at(row), style.bytea),
        Values::Network(keys, pg_type) => {
            out.extend_from_slice(network_text(network_at(keys, row)?, *pg_type).as_bytes());
        }
        Values::UuidBytes(array) => uuid(out, array.value(row)),
        Values::Date(dates) => datetime::date(out, days(dates, row)?),
        Values::Time(counts, unit) => datetime::time(out, time_micros(counts.at(row), *unit)?)?,
        Values::Timestamp(counts, unit) => {
            datetime::timestamp(out, stamp(counts[row], *unit)?, None, Layout::Iso)?;
        }
        Values::Timestamptz(counts, unit) => {
            datetime::timestamp(out, stamp(counts[row], *unit)?, Some(style.zone), Layout::Iso)?;
        }
        Values::Interval(intervals) => match style.interval {
            IntervalStyle::Postgres => interval(intervals, row)?.text(out),
            IntervalStyle::Iso8601 => interval(intervals, row)?.text_iso_8601(out),
        },
        Values::Timetz(keys) => datetime::timetz(out, keys.value(row))?,
        Values::Array(spans, items) => array(spans, items, row, style, out)?,
        Values::Vector(spans, items) => {
            for (position, item) in spans.at(row).enumerate() {
                if position > 0 {
                    out.push(b' ');
                }
                write(items, item, style, out)?;
            }
        }
        Values::Record(columns) => record(columns, row, style, out)?,
        Values::Indirect(index, values) => write(values, behind(index, row)?, style, out)?,
    }
    Ok(())
}

/// Index of the value behind a row that is not NULL.
pub(super) fn behind(index: &[u32], row: usize) -> Result<usize> {
    index
        .get(row)
        .filter(|at| **at != NO_VALUE)
        .map(|at| *at as usize)
        .ok_or_else(|| Error::internal("a row has no value behind its index"))
}

pub(super) const fn fits(value: i64, width: Width) -> bool {
    match width {
        Width::Two => value >= i16::MIN as i64 && value <= i16::MAX as i64,
        Width::Four => value >= i32::MIN as i64 && value <= i32::MAX as i64,
        Width::Eight => true,
        Width::Oid => value >= 0 && value <= u32::MAX as i64,
    }
}

pub(super) fn too_wide() -> Error {
    Error::internal("a value does not fit the type of its column")
}

/// `"char"` holds one byte; empty is the zero byte, a byte beyond ASCII is a backslash and its octal digits.
pub(super) fn char_byte(text: &str) -> Result<Option<u8>> {
    match text.as_bytes() {
        [] => Ok(None),
        [byte] => Ok(Some(*byte)),
        [b'\\', a @ b'2'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            Ok(Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0')))
        }
        _ => Err(Error::internal("a \"char\" column holds more than one byte")),
    }
}

/// `"char"` from an eight-bit integer, whatever its sign.
pub(super) const fn low_byte(value: i64) -> u8 {
    value.to_le_bytes()[0]
}

pub(super) fn days(dates: &Dates<'_>, row: usize) -> Result<i32> {
    match dates {
        Dates::Days(values) => Ok(values[row]),
        Dates::Millis(values) => i32::try_from(values[row].div_euclid(86_400_000)).map_err(|_| out_of_range("date")),
    }
}

pub(super) fn time_micros(count: i64, unit: TimeUnit) -> Result<i64> {
    micros(count, unit).ok_or_else(|| out_of_range("time"))
}

/// Microseconds of a timestamp, not before PostgreSQL's first one (4714-11-24 BC; its last is beyond 64 bits from 1970).
pub(super) fn stamp(count: i64, unit: TimeUnit) -> Result<i64> {
    /// `MIN_TIMESTAMP` of PostgreSQL, counted from 1970.
    const FIRST: i64 = -211_813_488_000_000_000 + datetime::PG_EPOCH_MICROS;
    match micros(count, unit) {
        Some(micros) if micros >= FIRST || micros == i64::MIN => Ok(micros),
        Some(_) | None => Err(out_of_range("timestamp")),
    }
}

pub(super) fn interval(intervals: &Intervals<'_>, row: usize) -> Result<Interval> {
    let overflow = || Error::new(ErrorCode::DatetimeOverflow, "interval out of range");
    Ok(match intervals {
        Intervals::Months(values) => Interval { months: values[row], days: 0, micros: 0 },
        Intervals::DayTime(values) => {
            Interval { months: 0, days: values[row].days, micros: i64::from(values[row].milliseconds) * 1_000 }
        }
        Intervals::MonthDayNano(values) => {
            // Towards zero, so that the parts keep their sign.
            Interval { months: values[row].months, days: values[row].days, micros: values[row].nanoseconds / 1_000 }
        }
        Intervals::Duration(values, unit) => {
            let micros = match unit {
                TimeUnit::Second => values[row].checked_mul(1_000_000),
                TimeUnit::Millisecond => values[row].checked_mul(1_000),
                TimeUnit::Microsecond => Some(values[row]),
                TimeUnit::Nanosecond => Some(values[row] / 1_000),
            };
            Interval { months: 0, days: 0, micros: micros.ok_or_else(overflow)? }
        }
    })
}

const HEX: &[u8; 16] = b"0123456789abcdef";

pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]));
}

fn bytea(out: &mut Vec<u8>, bytes: &[u8], output: ByteaOutput) {
    match output {
        ByteaOutput::Hex => {
            out.extend_from_slice(b"\\x");
            hex(out, bytes);
        }
        ByteaOutput::Escape => {
            for byte in bytes {
                match byte {
                    b'\\' => out.extend_from_slice(b"\\\\"),
                    0x20..=0x7e => out.push(*byte),
                    _ => out.extend([b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
                }
            }
        }
    }
}

fn uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    for (position, byte) in bytes.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        hex(out, &[*byte]);
    }
}

/// `array_out`: braces, quotes where needed, NULL bare.
fn array(spans: &Spans<'_>, items: &Column<'_>, row: usize, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    let span = spans.at(row);
    // An array of empty arrays has no elements in PostgreSQL, whatever its dimensions.
    if is_hollow(span.clone(), items) {
        out.extend_from_slice(b"{}");
        return Ok(());
    }
    out.push(b'{');
    for (position, item) in span.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        if items.is_null(item) {
            out.extend_from_slice(b"NULL");
            continue;
        }
        let start = out.len();
        write(items, item, style, out)?;
        if !matches!(items.values, Values::Array(..)) && array_item_needs_quotes(&out[start..]) {
            quote(out, start, |byte| matches!(byte, b'"' | b'\\'), |_| b'\\')?;
        }
    }
    out.push(b'}');
    Ok(())
}

fn is_hollow(span: std::ops::Range<usize>, items: &Column<'_>) -> bool {
    match &items.values {
        Values::Array(spans, inner) => {
            span.clone().all(|item| !items.is_null(item) && is_hollow(spans.at(item), inner))
        }
        _ => span.is_empty(),
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn array_item_needs_quotes(item: &[u8]) -> bool {
    item.is_empty()
        || item.eq_ignore_ascii_case(b"NULL")
        || item.iter().any(|byte| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',') || is_space(*byte))
}

/// Puts what was written since `start` into double quotes.
fn quote(out: &mut Vec<u8>, start: usize, escaped: impl Fn(u8) -> bool, escape: impl Fn(u8) -> u8) -> Result<()> {
    admit_nested_text(out.len() - start)?;
    let bare = out.split_off(start);
    out.push(b'"');
    for byte in bare {
        if escaped(byte) {
            out.push(escape(byte));
        }
        out.push(byte);
    }
    out.push(b'"');
    Ok(())
}

/// `record_out`: parentheses, NULL as nothing, quotes and backslashes doubled.
fn record(columns: &[Column<'_>], row: usize, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'(');
    for (position, column) in columns.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        if column.is_null(row) {
            continue;
        }
        let start = out.len();
        write(column, row, style, out)?;
        let item = &out[start..];
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'(' | b')' | b',') || is_space(*byte);
        if item.is_empty() || item.iter().any(special) {
            quote(out, start, |byte| matches!(byte, b'"' | b'\\'), |byte| byte)?;
        }
    }
    out.push(b')');
    Ok(())
}
