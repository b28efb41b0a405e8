//! Single values in PostgreSQL's binary forms: which form holds which type, and its value. Knows no row.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::wire::bind::{EPOCH_DAYS, EPOCH_MICROS};
use crate::wire::numeric::{self, Unreadable};
use querygate_driver_api::value::ValueType;
use querygate_types::{Error, ErrorCode, Result};
use tokio_postgres::types::{Kind, Type};

const DAY_MICROS: i64 = 86_400_000_000;

/// Forms in which the server sends what we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Boolean,
    Integer,
    /// Four bytes without a sign.
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
    TextArray,
    /// Of items in other forms.
    Array,
}

/// The form of a type; none for those that are never asked for.
pub(crate) fn wire(sql_type: &Type) -> Option<Wire> {
    Some(match *sql_type {
        Type::BOOL => Wire::Boolean,
        Type::INT2 | Type::INT4 | Type::INT8 => Wire::Integer,
        Type::OID => Wire::Oid,
        Type::FLOAT4 => Wire::Float4,
        Type::FLOAT8 => Wire::Float8,
        Type::NUMERIC => Wire::Numeric,
        Type::TEXT | Type::VARCHAR => Wire::Text,
        Type::BYTEA => Wire::Bytea,
        Type::DATE => Wire::Date,
        Type::TIME => Wire::Time,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => Wire::Timestamp,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY => Wire::TextArray,
        _ => match sql_type.kind() {
            Kind::Array(item) => return wire(item).map(|_| Wire::Array),
            _ => return None,
        },
    })
}

/// Whether values in this form are values of the type, or fail to be.
pub(crate) fn reads(wire: Wire, value_type: ValueType) -> bool {
    match value_type {
        ValueType::Boolean => wire == Wire::Boolean,
        ValueType::Int16 | ValueType::Int32 => wire == Wire::Integer,
        ValueType::Int64 => matches!(wire, Wire::Integer | Wire::Oid),
        ValueType::Float32 => wire == Wire::Float4,
        ValueType::Float64 => matches!(wire, Wire::Float4 | Wire::Float8),
        ValueType::Decimal128 { .. } => {
            matches!(wire, Wire::Numeric | Wire::Integer | Wire::Oid | Wire::Float4 | Wire::Float8)
        }
        ValueType::Text => wire == Wire::Text,
        ValueType::Binary => wire == Wire::Bytea,
        ValueType::Date => wire == Wire::Date,
        ValueType::Time => wire == Wire::Time,
        ValueType::Timestamp { .. } => wire == Wire::Timestamp,
        ValueType::TextList => wire == Wire::TextArray,
        ValueType::List(_) => wire == Wire::Array,
    }
}

/// Days since 1970-01-01.
pub(crate) fn date(bytes: &[u8]) -> Result<i32> {
    let days = i32::from_be_bytes(fixed(bytes)?);
    let finite = days != i32::MAX && days != i32::MIN;
    days.checked_add(EPOCH_DAYS).filter(|_| finite).ok_or_else(|| beyond(ValueType::Date))
}

/// Microseconds since midnight. 24:00:00 is a time of the server's that no clock of ours shows.
pub(crate) fn time(bytes: &[u8]) -> Result<i64> {
    let micros = i64::from_be_bytes(fixed(bytes)?);
    if (0..DAY_MICROS).contains(&micros) { Ok(micros) } else { Err(beyond(ValueType::Time)) }
}

/// Microseconds since 1970-01-01.
pub(crate) fn timestamp(bytes: &[u8], value_type: ValueType) -> Result<i64> {
    let micros = i64::from_be_bytes(fixed(bytes)?);
    let finite = micros != i64::MAX && micros != i64::MIN;
    micros.checked_add(EPOCH_MICROS).filter(|_| finite).ok_or_else(|| beyond(value_type))
}

pub(crate) fn malformed() -> Error {
    Error::internal("a source's value is not in the binary form of its type")
}

/// `infinity`, and what lies beyond our calendar.
fn beyond(value_type: ValueType) -> Error {
    Error::new(ErrorCode::DatetimeOverflow, format!("source holds a {} that is out of range", value_type.name()))
}

pub(crate) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| malformed())
}

/// Two, four or eight bytes.
pub(crate) fn integer(bytes: &[u8], wire: Wire) -> Result<i64> {
    match bytes.len() {
        4 if wire == Wire::Oid => Ok(i64::from(u32::from_be_bytes(fixed(bytes)?))),
        2 => Ok(i64::from(i16::from_be_bytes(fixed(bytes)?))),
        4 => Ok(i64::from(i32::from_be_bytes(fixed(bytes)?))),
        8 => Ok(i64::from_be_bytes(fixed(bytes)?)),
        _ => Err(malformed()),
    }
}

pub(crate) fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| Error::new(ErrorCode::NumericOutOfRange, "integer out of range"))
}

pub(crate) fn float(bytes: &[u8], wire: Wire) -> Result<f64> {
    if wire == Wire::Float4 {
        Ok(f64::from(f32::from_be_bytes(fixed(bytes)?)))
    } else {
        Ok(f64::from_be_bytes(fixed(bytes)?))
    }
}

pub(crate) fn decimal(bytes: &[u8], wire: Wire, value_type: ValueType) -> Result<i128> {
    let ValueType::Decimal128 { precision, scale } = value_type else { return Err(malformed()) };
    let value = match wire {
        Wire::Numeric => numeric::decode(bytes, scale),
        Wire::Integer | Wire::Oid => {
            let power = 10_i128.pow(u32::from(scale.unsigned_abs()));
            i128::from(integer(bytes, wire)?).checked_mul(power).ok_or(Unreadable::TooWide)
        }
        _ => numeric::rounded(float(bytes, wire)?, scale).ok_or(Unreadable::TooWide),
    };
    let fits = |value: &i128| value.unsigned_abs() < 10_u128.pow(u32::from(precision));
    let value = value.and_then(|value| if fits(&value) { Ok(value) } else { Err(Unreadable::TooWide) });
    value.map_err(|why| match why {
        Unreadable::Malformed => malformed(),
        Unreadable::NotFinite => Error::new(ErrorCode::NumericOutOfRange, "source holds a numeric that is no number"),
        Unreadable::TooWide => Error::new(
            ErrorCode::NumericOutOfRange,
            format!("source holds a number that numeric({precision},{scale}) does not hold"),
        ),
    })
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorCode::CharacterNotInRepertoire, "source holds a text with an invalid byte"))
}

/// A one-dimensional array, item by item.
pub(crate) struct Items<'a> {
    /// In which form the items are.
    pub(crate) wire: Wire,
    count: usize,
    rest: &'a [u8],
}

/// What a list of ours does not say: more dimensions than one, and indices that begin elsewhere than at 1.
fn shape(what: &str) -> Error {
    let message = format!("source holds an array {what}");
    Error::new(ErrorCode::DataException, message)
        .with_hint("Have its column read as json or text, by a view in the source.")
}

impl<'a> Items<'a> {
    /// # Errors
    /// The array has dimensions or indices that a list has not.
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Self> {
        let mut rest = bytes;
        let mut number = || -> Result<[u8; 4]> {
            let (four, after) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
            rest = after;
            Ok(*four)
        };
        let dimensions = i32::from_be_bytes(number()?);
        let _has_nulls = number()?;
        let item = Type::from_oid(u32::from_be_bytes(number()?));
        let wire = item.as_ref().and_then(wire).ok_or_else(malformed)?;
        let count = match dimensions {
            0 => 0,
            1 => {
                let count = i32::from_be_bytes(number()?);
                if i32::from_be_bytes(number()?) != 1 {
                    return Err(shape("whose first index is not 1"));
                }
                usize::try_from(count).map_err(|_| malformed())?
            }
            _ => return Err(shape("of arrays in a list")),
        };
        Ok(Self { wire, count, rest })
    }

    /// The next item, or none after the last one. NULL is `Some(None)`.
    pub(crate) fn next(&mut self) -> Result<Option<Option<&'a [u8]>>> {
        let Some(left) = self.count.checked_sub(1) else { return Ok(None) };
        self.count = left;
        let (length, after) = self.rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        self.rest = after;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else { return Ok(Some(None)) };
        let (item, after) = self.rest.split_at_checked(length).ok_or_else(malformed)?;
        self.rest = after;
        Ok(Some(Some(item)))
    }
}
