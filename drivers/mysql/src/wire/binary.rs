//! Values of the binary protocol, from their bytes. Knows no Arrow and no declared type.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::wire::codec::{DAY_MICROS, days_from_civil};
use querygate_types::{Error, Result};
use sqlx::mysql::{MySql, MySqlRow};
use sqlx::{Column, Decode, Row, TypeInfo};

/// How the server sends a result column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Signed,
    Unsigned,
    Float,
    Double,
    /// Date or time stamp.
    Moment,
    /// Time of day, or any span of time.
    Clock,
    /// Text, bytes, and digits of a decimal.
    Bytes,
}

/// A value as it was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'r> {
    Null,
    Signed(i64),
    Unsigned(u64),
    Float(f32),
    Double(f64),
    /// Microseconds since 1970-01-01T00:00:00; none for a date that does not exist (`0000-00-00`, `2024-02-30`).
    Moment(Option<i64>),
    /// Microseconds, also negative and beyond a day.
    Clock(i64),
    Bytes(&'r [u8]),
}

impl Wire {
    /// Of a result column.
    pub(crate) fn of(row: &MySqlRow, index: usize) -> Result<Self> {
        let column = row.try_column(index).map_err(Error::internal)?;
        Ok(match column.type_info().name() {
            "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => Self::Signed,
            "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED" | "BIGINT UNSIGNED"
            | "YEAR" => Self::Unsigned,
            "FLOAT" => Self::Float,
            "DOUBLE" => Self::Double,
            "DATE" | "DATETIME" | "TIMESTAMP" => Self::Moment,
            "TIME" => Self::Clock,
            _ => Self::Bytes,
        })
    }
}

/// The bytes of a value; none for NULL. (sqlx itself takes a zero date for NULL; its bytes tell.)
pub(crate) fn bytes(row: &MySqlRow, index: usize) -> Result<Option<&[u8]>> {
    let value = row.try_get_raw(index).map_err(Error::internal)?;
    // The only failure is NULL.
    Ok(<&[u8] as Decode<MySql>>::decode(value).ok())
}

/// A value of a catalog query as text, whatever its declared type.
pub(crate) fn text(row: &MySqlRow, index: usize) -> Result<Option<String>> {
    let text = bytes(row, index)?.map(|bytes| String::from_utf8(bytes.to_vec()));
    text.transpose().map_err(|_| Error::internal("a catalog text is not UTF-8"))
}

/// A value of a catalog query as a number.
pub(crate) fn integer(row: &MySqlRow, index: usize) -> Result<Option<i128>> {
    Ok(match cell(row, index, Wire::of(row, index)?)? {
        Cell::Signed(value) => Some(i128::from(value)),
        Cell::Unsigned(value) => Some(i128::from(value)),
        Cell::Bytes(digits) => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()),
        Cell::Null | Cell::Float(_) | Cell::Double(_) | Cell::Moment(_) | Cell::Clock(_) => None,
    })
}

/// One value of a row of the binary protocol.
pub(crate) fn cell(row: &MySqlRow, index: usize, wire: Wire) -> Result<Cell<'_>> {
    let Some(bytes) = bytes(row, index)? else { return Ok(Cell::Null) };
    let malformed = || Error::internal("a value of the source has an unknown form");
    Ok(match wire {
        Wire::Bytes => Cell::Bytes(bytes),
        Wire::Signed => Cell::Signed(signed(bytes).ok_or_else(malformed)?),
        Wire::Unsigned => Cell::Unsigned(unsigned(bytes).ok_or_else(malformed)?),
        Wire::Float => Cell::Float(f32::from_le_bytes(bytes.try_into().map_err(|_| malformed())?)),
        Wire::Double => Cell::Double(f64::from_le_bytes(bytes.try_into().map_err(|_| malformed())?)),
        Wire::Moment => Cell::Moment(moment(bytes).ok_or_else(malformed)?),
        Wire::Clock => Cell::Clock(clock(bytes).ok_or_else(malformed)?),
    })
}

fn signed(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [a] => Some(i64::from(i8::from_le_bytes([*a]))),
        [a, b] => Some(i64::from(i16::from_le_bytes([*a, *b]))),
        [a, b, c, d] => Some(i64::from(i32::from_le_bytes([*a, *b, *c, *d]))),
        other => other.try_into().ok().map(i64::from_le_bytes),
    }
}

fn unsigned(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 8 {
        return None;
    }
    Some(bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}

fn micros(bytes: &[u8]) -> Option<i64> {
    i64::try_from(unsigned(bytes)?).ok()
}

/// Length, then year (two bytes), month, day, hour, minute, second, microseconds (four bytes), the end left out when zero.
#[expect(clippy::option_option, reason = "malformed, then not a date")]
fn moment(bytes: &[u8]) -> Option<Option<i64>> {
    let (length, rest) = bytes.split_first()?;
    if usize::from(*length) != rest.len() {
        return None;
    }
    let ([low, high, month, day], time) = match rest {
        [] => return Some(None),
        [low, high, month, day, time @ ..] => ([*low, *high, *month, *day], time),
        _ => return None,
    };
    let clock = time_of_day(time)?;
    let year = i64::from(u16::from_le_bytes([low, high]));
    let Some(days) = days_from_civil(year, i64::from(month), i64::from(day)) else { return Some(None) };
    days.checked_mul(DAY_MICROS)?.checked_add(clock).map(Some)
}

#[cfg_attr(
    not(test),
    expect(clippy::arithmetic_side_effects, reason = "three bytes and four, as microseconds: far below 64 bits")
)]
fn time_of_day(time: &[u8]) -> Option<i64> {
    match time {
        [] => Some(0),
        [hour, minute, second, fraction @ ..] => {
            let seconds = (i64::from(*hour) * 60 + i64::from(*minute)) * 60 + i64::from(*second);
            let fraction = if fraction.is_empty() { 0 } else { micros(fraction)? };
            Some(seconds * 1_000_000 + fraction)
        }
        _ => None,
    }
}

/// Length, then sign, days (four bytes), hour, minute, second, microseconds (four bytes).
fn clock(bytes: &[u8]) -> Option<i64> {
    let (length, rest) = bytes.split_first()?;
    if usize::from(*length) != rest.len() {
        return None;
    }
    match rest {
        [] => Some(0),
        [negative, a, b, c, d, time @ ..] => {
            let days = i64::from(u32::from_le_bytes([*a, *b, *c, *d]));
            let span = days.checked_mul(DAY_MICROS)?.checked_add(time_of_day(time)?)?;
            if *negative == 1 { span.checked_neg() } else { Some(span) }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_their_short_and_long_forms() {
        for (bytes, expected) in [
            (&[0][..], Some(None)),
            (&[4, 178, 7, 1, 2], Some(Some(DAY_MICROS))),
            (&[7, 178, 7, 1, 1, 1, 0, 1], Some(Some(3_601_000_000))),
            (&[11, 178, 7, 1, 1, 0, 0, 0, 1, 0, 0, 0], Some(Some(1))),
            (&[4, 232, 7, 2, 30], Some(None)),
            (&[4, 232, 7, 0, 0], Some(None)),
            (&[5, 232, 7, 1, 1], None),
            (&[], None),
        ] {
            assert_eq!(moment(bytes), expected, "{bytes:?}");
        }
        assert_eq!(clock(&[0]), Some(0));
        assert_eq!(clock(&[8, 1, 1, 0, 0, 0, 0, 0, 1]), Some(-DAY_MICROS - 1_000_000));
    }

    #[test]
    fn integers_are_read_by_their_length() {
        assert_eq!(signed(&[255]), Some(-1));
        assert_eq!(signed(&i64::MIN.to_le_bytes()), Some(i64::MIN));
        assert_eq!(unsigned(&[255, 255]), Some(65_535));
        assert_eq!((signed(&[]), unsigned(&[0; 9])), (None, None));
    }
}
