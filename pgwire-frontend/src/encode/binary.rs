//! Binary output of every type, as PostgreSQL's send functions. Knows no frame.

use super::Style;
use super::column::{Column, JsonKind, Values, Width};
use super::datetime;
use super::json;
use super::numeric;
use super::physical::{Decimals, Spans};
use super::text::{behind, char_byte, days, interval, low_byte, stamp, time_micros, too_wide};
use crate::wire::{Writer, put_length};
use querygate_query_api::values::network::network_at;
use querygate_query_api::values::wide_numeric::numeric_cell;
use querygate_types::bits::to_bytes;
use querygate_types::network::{Family, Inet, of_colons};
use querygate_types::{Error, ErrorCode, PgType, Result};

/// Version byte of jsonb's binary form.
const JSONB_VERSION: u8 = 1;

/// Appends a value that is not NULL.
pub(super) fn write(column: &Column<'_>, row: usize, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    match &column.values {
        Values::Null => {}
        Values::Bool(array) => out.push(u8::from(array.value(row))),
        Values::Int(ints, width) => {
            let value = ints.at(row).ok_or_else(too_wide)?;
            match width {
                Width::Two => out.i16(i16::try_from(value).map_err(|_| too_wide())?),
                Width::Four => out.i32(i32::try_from(value).map_err(|_| too_wide())?),
                Width::Eight => out.extend_from_slice(&value.to_be_bytes()),
                Width::Oid => out.u32(u32::try_from(value).map_err(|_| too_wide())?),
            }
        }
        Values::Float4(floats) => out.extend_from_slice(&floats.single(row).ok_or_else(too_wide)?.to_be_bytes()),
        Values::Float8(floats) => out.extend_from_slice(&floats.double(row).to_be_bytes()),
        Values::Decimal(decimals, scale) => match decimals {
            Decimals::D32(values) => numeric::binary(out, values[row].into(), *scale),
            Decimals::D64(values) => numeric::binary(out, values[row].into(), *scale),
            Decimals::D128(values) => numeric::binary(out, values[row], *scale),
            Decimals::D256(values) => numeric::binary_256(out, values[row], *scale),
        },
        Values::WideNumeric(cells) => numeric_cell(cells, row)?.write_wire(out),
        Values::WholeNumeric(ints) => numeric::binary(out, ints.wide(row), 0),
        Values::Text(texts) => out.extend_from_slice(texts.at(row).as_bytes()),
        Values::Json(texts, kind) => {
            version(*kind, out);
            out.extend_from_slice(texts.at(row).as_bytes());
        }
        Values::JsonTree(_, kind) => {
            version(*kind, out);
            json::write(column, row, style, out)?;
        }
        Values::CharText(texts) => out.push(char_byte(texts.at(row))?.unwrap_or_default()),
        Values::CharByte(ints) => out.push(low_byte(ints.at(row).unwrap_or_default())),
        Values::Bytea(blobs) => out.extend_from_slice(blobs.at(row)),
        Values::MacaddrText(texts) => out.extend(of_colons(texts.at(row)).ok_or_else(unreadable)?),
        Values::BitText(texts) => {
            let bits = texts.at(row);
            out.i32(i32::try_from(bits.len()).map_err(|_| too_wide())?);
            out.extend(to_bytes(bits).ok_or_else(unreadable)?);
        }
        Values::Network(keys, pg_type) => network(out, network_at(keys, row)?, *pg_type),
        Values::UuidText(texts) => out.extend_from_slice(&uuid(texts.at(row))?),
        Values::UuidBytes(array) => out.extend_from_slice(array.value(row)),
        Values::Date(dates) => datetime::date_binary(out, days(dates, row)?)?,
        Values::Time(counts, unit) => {
            let micros = time_micros(counts.at(row), *unit)?;
            if !(0..=datetime::MICROS_PER_DAY).contains(&micros) {
                return Err(datetime::out_of_range("time"));
            }
            out.extend_from_slice(&micros.to_be_bytes());
        }
        Values::Timestamp(counts, unit) | Values::Timestamptz(counts, unit) => {
            datetime::timestamp_binary(out, stamp(counts[row], *unit)?)?;
        }
        Values::Interval(intervals) => interval(intervals, row)?.binary(out),
        Values::Timetz(keys) => datetime::timetz_binary(out, keys.value(row))?,
        Values::Array(spans, items) => array(column.pg_type, spans, items, row, style, out)?,
        Values::Vector(spans, items) => vector(spans, items, row, style, out)?,
        Values::Record(columns) => record(columns, row, style, out)?,
        Values::RegName(texts) => out.u32(reg_number(texts.at(row))?),
        Values::Void(_) => {}
        Values::Indirect(index, values) => write(values, behind(index, row)?, style, out)?,
    }
    Ok(())
}

fn version(kind: JsonKind, out: &mut Vec<u8>) {
    match kind {
        JsonKind::Json => {}
        JsonKind::Jsonb => out.push(JSONB_VERSION),
    }
}

/// The binary form of a `reg…` value is its number, which a name alone does not tell.
fn reg_number(name: &str) -> Result<u32> {
    match name {
        "-" => Ok(0),
        number => number.parse().map_err(|_| {
            Error::new(ErrorCode::FeatureNotSupported, "object names have no binary form")
                .with_hint("Cast to oid or to text.")
        }),
    }
}

pub(crate) fn uuid(text: &str) -> Result<[u8; 16]> {
    let wrong = || Error::internal("a uuid column holds what is not a uuid");
    let mut nibbles = text.bytes().filter(|byte| *byte != b'-').map(|byte| char::from(byte).to_digit(16));
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        let high = nibbles.next().flatten().ok_or_else(wrong)?;
        let low = nibbles.next().flatten().ok_or_else(wrong)?;
        *byte = (high * 16 + low) as u8;
    }
    if nibbles.next().is_some() { Err(wrong()) } else { Ok(bytes) }
}

fn unreadable() -> Error {
    Error::internal("a column holds a text that is none of its type")
}

/// `inet_send`: family, bits of the prefix, whether it is a `cidr`, bytes of the address, the address.
fn network(out: &mut Vec<u8>, address: Inet, pg_type: PgType) {
    let (family, length) = match address.family {
        Family::V4 => (2, 4),
        Family::V6 => (3, 16),
    };
    out.extend([family, address.bits, u8::from(pg_type == PgType::Cidr), length]);
    out.extend(address.address.iter().take(address.family.bytes()));
}

/// A length-prefixed item, −1 for NULL.
fn item(column: &Column<'_>, row: usize, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    if column.is_null(row) {
        out.i32(-1);
        return Ok(());
    }
    let at = out.len();
    out.i32(0);
    write(column, row, style, out)?;
    let length = out.len() - at - 4;
    put_length(out, at, length);
    Ok(())
}

/// `array_send`: dimensions, element type, elements in row-major order.
fn array(
    pg_type: PgType,
    spans: &Spans<'_>,
    items: &Column<'_>,
    row: usize,
    style: &Style,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut level = Level { items, members: spans.at(row).collect() };
    let mut dimensions = vec![level.members.len()];
    while let Values::Array(spans, inner) = &level.items.values {
        level = level.inner(spans, inner)?;
        let outer: usize = dimensions.iter().product();
        dimensions.push(level.members.len().checked_div(outer).unwrap_or_default());
    }
    if dimensions.contains(&0) {
        dimensions.clear();
        level.members.clear();
    }
    let element = pg_type.element().ok_or_else(too_wide)?;
    out.i32(i32::try_from(dimensions.len()).map_err(|_| too_wide())?);
    out.i32(i32::from(level.members.iter().any(|member| level.items.is_null(*member))));
    out.u32(element.oid());
    for dimension in dimensions {
        out.i32(i32::try_from(dimension).map_err(|_| too_wide())?);
        out.i32(1);
    }
    level.members.iter().try_for_each(|member| item(level.items, *member, style, out))
}

/// One dimension of an array: the items and which of them belong to the value.
struct Level<'c, 'a> {
    items: &'c Column<'a>,
    members: Vec<usize>,
}

impl<'c, 'a> Level<'c, 'a> {
    /// PostgreSQL's arrays are rectangular: every sub-array has the same length and none is NULL.
    fn inner(self, spans: &Spans<'a>, inner: &'c Column<'a>) -> Result<Self> {
        let ragged = || {
            Error::new(
                ErrorCode::DataException,
                "multidimensional arrays must have sub-arrays with matching dimensions",
            )
        };
        let mut members = Vec::new();
        let mut width = None;
        for member in self.members {
            if self.items.is_null(member) {
                return Err(ragged());
            }
            let span = spans.at(member);
            if *width.get_or_insert(span.len()) != span.len() {
                return Err(ragged());
            }
            members.extend(span);
        }
        Ok(Level { items: inner, members })
    }
}

/// `int2vectorsend`, `oidvectorsend`: always one dimension, counted from 0.
fn vector(spans: &Spans<'_>, items: &Column<'_>, row: usize, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    let span = spans.at(row);
    out.i32(1);
    out.i32(0);
    out.u32(items.pg_type.oid());
    out.i32(i32::try_from(span.len()).map_err(|_| too_wide())?);
    out.i32(0);
    span.into_iter().try_for_each(|member| item(items, member, style, out))
}

/// `record_send`: number of fields, then type, length and value of each.
fn record(columns: &[Column<'_>], row: usize, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    out.i32(i32::try_from(columns.len()).map_err(|_| too_wide())?);
    for column in columns {
        out.u32(column.pg_type.oid());
        item(column, row, style, out)?;
    }
    Ok(())
}
