//! Parameters in binary format, as PostgreSQL's receive functions read them. Knows no array layout.

use super::array::binary_items;
use super::value::Value;
use super::{numeric, utf8};
use crate::encode::{PG_EPOCH_DAYS, PG_EPOCH_MICROS};
use crate::wire::{Reader, Short};
use arrow::datatypes::IntervalMonthDayNano;
use querygate_query_api::values::timetz::TimeTz;
use querygate_types::bits::of_bytes;
use querygate_types::network::{Family, Inet, colons};
use querygate_types::{Error, ErrorCode, PgType, Result, array_types, reg_types};

/// Microseconds of a day, 24:00 included.
const MICROS_PER_DAY: i64 = 86_400_000_000;

pub(super) fn value(pg_type: PgType, bytes: &[u8], number: usize) -> Result<Value> {
    let mut reader = Reader::new(bytes);
    match read(pg_type, &mut reader, number) {
        Ok(Ok(value)) if reader.is_empty() => Ok(value),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(Short) => Err(Error::new(
            ErrorCode::InvalidBinaryRepresentation,
            format!("incorrect binary data format in bind parameter {number}"),
        )),
    }
}

fn read(pg_type: PgType, reader: &mut Reader<'_>, number: usize) -> std::result::Result<Result<Value>, Short> {
    Ok(Ok(match pg_type {
        PgType::Bool => Value::Bool(reader.u8()? != 0),
        PgType::Int2 => Value::Int(reader.i16()?.into()),
        PgType::Int4 => Value::Int(reader.i32()?.into()),
        PgType::Int8 => Value::Int(reader.i64()?),
        PgType::Oid | PgType::Xid | reg_types!() => Value::Int(reader.u32()?.into()),
        PgType::Float4 => Value::Float(f32::from_bits(reader.u32()?).into()),
        PgType::Float8 => Value::Float(f64::from_bits(reader.i64()?.cast_unsigned())),
        PgType::Numeric => return Ok(numeric::read(reader)?.map(Value::Decimal)),
        PgType::Char => match reader.u8()? {
            0 => Value::Text(String::new()),
            ascii @ 1..=127 => Value::Text(char::from(ascii).to_string()),
            _ => return Err(Short),
        },
        PgType::Name
        | PgType::Text
        | PgType::Bpchar
        | PgType::Varchar
        | PgType::Unknown
        | PgType::Json
        | PgType::AclItem
        | PgType::PgNodeTree => return Ok(utf8(reader.rest()).map(|text| Value::Text(text.to_owned()))),
        PgType::Jsonb => {
            let version = reader.u8()?;
            if version != 1 {
                let message = format!("unsupported jsonb version number {version}");
                return Ok(Err(Error::new(ErrorCode::InvalidBinaryRepresentation, message)));
            }
            return Ok(utf8(reader.rest()).map(|text| Value::Text(text.to_owned())));
        }
        PgType::Bytea => Value::Bytes(reader.rest().to_vec()),
        PgType::Uuid => Value::Text(uuid(reader.take(16)?)),
        PgType::Macaddr => Value::Text(colons(reader.take(6)?)),
        PgType::Macaddr8 => Value::Text(colons(reader.take(8)?)),
        PgType::Bit | PgType::Varbit => {
            let length = usize::try_from(reader.i32()?).map_err(|_| Short)?;
            Value::Text(of_bytes(reader.rest(), length).ok_or(Short)?)
        }
        PgType::Inet | PgType::Cidr => return network(reader, pg_type),
        PgType::Date => match reader.i32()? {
            infinite @ (i32::MAX | i32::MIN) => Value::Date(infinite),
            days => match days.checked_add(PG_EPOCH_DAYS) {
                Some(days) => Value::Date(days),
                None => return Ok(Err(Error::new(ErrorCode::DatetimeOverflow, "date out of range"))),
            },
        },
        PgType::Time => match reader.i64()? {
            micros @ 0..=MICROS_PER_DAY => Value::Micros(micros),
            _ => return Ok(Err(Error::new(ErrorCode::DatetimeOverflow, "time out of range"))),
        },
        PgType::Timetz => {
            let (micros, west) = (reader.i64()?, reader.i32()?);
            // A zone is less than sixteen hours away.
            if !(0..=MICROS_PER_DAY).contains(&micros) {
                return Ok(Err(Error::new(ErrorCode::DatetimeOverflow, "time out of range")));
            }
            if !(-57_599..=57_599).contains(&west) {
                return Ok(Err(Error::new(ErrorCode::DatetimeOverflow, "time zone displacement out of range")));
            }
            Value::Bytes(TimeTz { micros, east: west.saturating_neg() }.key().to_vec())
        }
        PgType::Timestamp | PgType::Timestamptz => match reader.i64()? {
            infinite @ (i64::MAX | i64::MIN) => Value::Micros(infinite),
            micros => match micros.checked_add(PG_EPOCH_MICROS) {
                Some(micros) => Value::Micros(micros),
                None => return Ok(Err(Error::new(ErrorCode::DatetimeOverflow, "timestamp out of range"))),
            },
        },
        PgType::Interval => {
            let (micros, days, months) = (reader.i64()?, reader.i32()?, reader.i32()?);
            match micros.checked_mul(1_000) {
                Some(nanos) => Value::Interval(IntervalMonthDayNano::new(months, days, nanos)),
                None => return Ok(Err(Error::new(ErrorCode::DatetimeOverflow, "interval out of range"))),
            }
        }
        PgType::Int2Vector | PgType::OidVector | array_types!() => return list(pg_type, reader.rest(), number),
        PgType::Void | PgType::Record | PgType::RecordArray => {
            let message = format!("input of type {} is not supported", pg_type.sql_name());
            return Ok(Err(Error::new(ErrorCode::FeatureNotSupported, message)));
        }
    }))
}

fn list(pg_type: PgType, bytes: &[u8], number: usize) -> std::result::Result<Result<Value>, Short> {
    let Some(element) = pg_type.element() else {
        return Ok(Err(Error::internal("an array type without an element")));
    };
    Ok(binary_items(bytes, element.oid())?.and_then(|items| {
        let items = items.into_iter().map(|item| item.map(|item| value(element, item, number)).transpose());
        items.collect::<Result<_>>().map(Value::List)
    }))
}

/// Family, bits of the prefix, whether it is a `cidr` (which the type says already), bytes of the address, the address.
fn network(reader: &mut Reader<'_>, pg_type: PgType) -> std::result::Result<Result<Value>, Short> {
    let (family, bits, _is_cidr, length) = (reader.u8()?, reader.u8()?, reader.u8()?, reader.u8()?);
    let family = match (family, length) {
        (2, 4) => Family::V4,
        (3, 16) => Family::V6,
        _ => return Err(Short),
    };
    let mut address = [0; 16];
    for byte in address.iter_mut().take(family.bytes()) {
        *byte = reader.u8()?;
    }
    let read = Inet { family, address, bits };
    if bits > family.width() || pg_type == PgType::Cidr && read.network() != read {
        let message = format!("invalid external \"{}\" value", pg_type.name());
        return Ok(Err(Error::new(ErrorCode::InvalidBinaryRepresentation, message)));
    }
    Ok(Ok(Value::Bytes(read.key().to_vec())))
}

fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (position, byte) in bytes.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.extend([byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_checked() {
        let check = |pg_type, bytes: &[u8], expected: Option<Value>| {
            assert_eq!(value(pg_type, bytes, 1).ok(), expected, "{pg_type:?} {bytes:?}");
        };
        check(PgType::Int4, &[0, 0, 0, 7], Some(Value::Int(7)));
        check(PgType::Int4, &[0, 0, 7], None);
        check(PgType::Int4, &[0, 0, 0, 0, 7], None);
        check(PgType::Bool, &[1], Some(Value::Bool(true)));
        check(PgType::Date, &[0, 0, 0, 0], Some(Value::Date(10_957)));
        check(PgType::Jsonb, b"\x01{}", Some(Value::Text("{}".to_owned())));
        check(PgType::Jsonb, b"\x02{}", None);
        check(PgType::Text, b"a\0b", None);
        check(PgType::Uuid, &[0xa0; 16], Some(Value::Text("a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a0a0".to_owned())));
        let time = |micros: i64, west: i32| [micros.to_be_bytes().as_slice(), &west.to_be_bytes()].concat();
        let key = TimeTz { micros: 5, east: 7_200 }.key().to_vec();
        check(PgType::Timetz, &time(5, -7_200), Some(Value::Bytes(key)));
        check(PgType::Timetz, &time(5, 57_600), None);
        check(PgType::Timetz, &time(MICROS_PER_DAY + 1, 0), None);
        check(PgType::Timetz, &time(5, 0)[..11], None);
        check(PgType::Record, &[], None);
        let array =
            [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9, 255, 255, 255, 255];
        check(PgType::Int4Array, &array, Some(Value::List(vec![Some(Value::Int(9)), None])));
        check(PgType::Int8Array, &array, None);
        for cut in 0..array.len() {
            check(PgType::Int4Array, &array[..cut], None);
        }
    }
}
