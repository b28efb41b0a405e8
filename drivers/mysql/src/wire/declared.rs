//! What a column's declared type means, and in which form it reads as the type that metadata wants.

use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::ValueType;

/// A declared type of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) native: Native,
    /// Character set of a text.
    pub(crate) charset: String,
    /// Collation of a text.
    pub(crate) collation: String,
}

/// Kinds of declared types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Native {
    /// `TINYINT(1)` and `BIT(1)`, which hold truth by convention: anything but 0 is true.
    Truth,
    Integer {
        /// Decimal digits of its largest value.
        digits: u8,
        unsigned: bool,
    },
    Decimal {
        precision: u8,
        scale: i8,
    },
    Float,
    Double,
    /// Most characters.
    Text(u64),
    /// `ENUM` and `SET`: ordered by position, read as text.
    Listed,
    Binary,
    Date,
    /// `DATETIME`; digits of a second.
    DateTime(u8),
    /// `TIMESTAMP`: an instant.
    Timestamp(u8),
    /// `TIME`: up to ±838 hours.
    Time(u8),
    Year,
    /// `BIT(n)`.
    Bits,
    /// MySQL's own JSON (MariaDB's is a text).
    Json,
    /// A type with a text form of its own (`UUID`, `INET6`).
    Other,
    /// Nothing that we read.
    Unreadable,
}

impl Declared {
    /// From `information_schema`: the type as it was declared, and a text's collation.
    pub(crate) fn parse(column_type: &str, collation: Option<&str>) -> Self {
        let collation = collation.unwrap_or_default().to_ascii_lowercase();
        // `utf8mb4_general_ci`; the UCA collations of MariaDB may come without their character set.
        let charset = match collation.split('_').next() {
            Some(start) if !start.starts_with("uca") => start.to_owned(),
            _ => "utf8mb4".to_owned(),
        };
        Self { native: native(column_type), charset, collation }
    }
}

fn native(column_type: &str) -> Native {
    let lower = column_type.trim().to_ascii_lowercase();
    let name: &str = lower.split(['(', ' ']).next().unwrap_or_default();
    let inside = lower.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
    let mut numbers = inside.map_or("", |(inside, _)| inside).split(',').map(|part| part.trim().parse::<u64>().ok());
    let (first, second) = (numbers.next().flatten(), numbers.next().flatten());
    let attributes = inside.map_or(lower.as_str(), |(_, after)| after);
    let unsigned = attributes.contains("unsigned") || attributes.contains("zerofill");
    let integer = |digits| Native::Integer { digits, unsigned };
    let small = |number: Option<u64>, default: u8| number.map_or(Some(default), |number| u8::try_from(number).ok());
    match name {
        "tinyint" if first == Some(1) && !unsigned => Native::Truth,
        "bit" if first.is_none_or(|width| width == 1) => Native::Truth,
        "bit" => Native::Bits,
        "bool" | "boolean" => Native::Truth,
        "tinyint" => integer(3),
        "smallint" => integer(5),
        "mediumint" => integer(8),
        "int" | "integer" => integer(10),
        "bigint" => integer(if unsigned { 20 } else { 19 }),
        "decimal" | "numeric" | "dec" => {
            match (small(first, 10), small(second, 0).and_then(|s| i8::try_from(s).ok())) {
                (Some(precision), Some(scale)) => Native::Decimal { precision, scale },
                _ => Native::Unreadable,
            }
        }
        "float" => Native::Float,
        "double" | "real" => Native::Double,
        "char" | "varchar" => Native::Text(first.unwrap_or(1)),
        "tinytext" => Native::Text(255),
        "text" => Native::Text(65_535),
        "mediumtext" | "longtext" => Native::Text(u64::from(u32::MAX)),
        "enum" | "set" => Native::Listed,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Native::Binary,
        "date" => Native::Date,
        "datetime" => small(first, 0).map_or(Native::Unreadable, Native::DateTime),
        "timestamp" => small(first, 0).map_or(Native::Unreadable, Native::Timestamp),
        "time" => small(first, 0).map_or(Native::Unreadable, Native::Time),
        "year" => Native::Year,
        "json" => Native::Json,
        "uuid" | "inet4" | "inet6" => Native::Other,
        _ => Native::Unreadable,
    }
}

/// Longest text whose whole the server sorts and groups by: it looks at 1,020 bytes, four to a character.
pub(crate) const SORTED_CHARACTERS_MAX: u64 = 255;

/// Whether the server sorts and groups by the whole value.
pub(crate) fn is_short(native: Native) -> bool {
    match native {
        Native::Text(characters) => characters <= SORTED_CHARACTERS_MAX,
        // The names of an ENUM may be long; the server bounds them at 255 characters.
        Native::Listed => true,
        Native::Binary | Native::Json | Native::Bits | Native::Unreadable => false,
        Native::Truth
        | Native::Integer { .. }
        | Native::Decimal { .. }
        | Native::Float
        | Native::Double
        | Native::Date
        | Native::DateTime(_)
        | Native::Timestamp(_)
        | Native::Time(_)
        | Native::Year
        | Native::Other => true,
    }
}

/// The type and form of a declared column, if we have one. [`Encoding::Text`] means here: handed on, never compared.
pub(crate) fn interpret(native: Native) -> Option<(ValueType, Encoding)> {
    let canonical = |value_type| Some((value_type, Encoding::Canonical));
    let handed_on = |value_type| Some((value_type, Encoding::Text));
    match native {
        Native::Truth => canonical(ValueType::Boolean),
        Native::Integer { digits: 3, .. } | Native::Integer { digits: 5, unsigned: false } => {
            canonical(ValueType::Int16)
        }
        Native::Integer { digits: 5 | 8, .. } | Native::Integer { digits: 10, unsigned: false } => {
            canonical(ValueType::Int32)
        }
        Native::Integer { digits: 20, .. } => canonical(ValueType::Decimal128 { precision: 20, scale: 0 }),
        Native::Integer { .. } => canonical(ValueType::Int64),
        Native::Decimal { precision, scale } if precision <= 38 => {
            canonical(ValueType::Decimal128 { precision, scale })
        }
        // Wider than ours: as its digits, never rounded.
        Native::Decimal { .. } | Native::Time(_) | Native::Json | Native::Other => handed_on(ValueType::Text),
        Native::Float => canonical(ValueType::Float32),
        Native::Double => canonical(ValueType::Float64),
        Native::Text(_) | Native::Listed => canonical(ValueType::Text),
        Native::Binary => canonical(ValueType::Binary),
        Native::Bits => handed_on(ValueType::Binary),
        Native::Date => canonical(ValueType::Date),
        Native::DateTime(_) => canonical(ValueType::Timestamp { utc: false }),
        Native::Timestamp(_) => canonical(ValueType::Timestamp { utc: true }),
        Native::Year => canonical(ValueType::Int16),
        Native::Unreadable => None,
    }
}

/// In which form a column of this declared type reads as `wanted`.
pub(crate) fn read_as(native: Native, wanted: ValueType) -> Result<Encoding, Refusal> {
    let fits = match (wanted, native) {
        (ValueType::Boolean, Native::Truth | Native::Integer { .. }) => Some(Encoding::Canonical),
        (ValueType::Int16 | ValueType::Int32 | ValueType::Int64, Native::Truth | Native::Year) => {
            Some(Encoding::Canonical)
        }
        (ValueType::Int16 | ValueType::Int32 | ValueType::Int64, Native::Integer { digits, .. }) if digits < 20 => {
            Some(Encoding::Canonical)
        }
        (ValueType::Decimal128 { precision, scale }, native) => decimal(precision, scale, native),
        (ValueType::Float64, Native::Integer { .. } | Native::Decimal { .. } | Native::Float | Native::Double) => {
            Some(Encoding::Canonical)
        }
        (ValueType::Float32, Native::Float) => Some(Encoding::Canonical),
        (ValueType::Text, Native::Text(_) | Native::Listed | Native::Integer { .. }) => Some(Encoding::Canonical),
        (
            ValueType::Text,
            Native::Decimal { .. }
            | Native::Time(_)
            | Native::Json
            | Native::Other
            | Native::Year
            | Native::Date
            | Native::DateTime(_)
            | Native::Timestamp(_),
        ) => Some(Encoding::Text),
        (ValueType::Binary, Native::Binary) => Some(Encoding::Canonical),
        (ValueType::Binary, Native::Bits) => Some(Encoding::Text),
        (ValueType::Date, Native::Date) => Some(Encoding::Canonical),
        (ValueType::Time, Native::Time(_)) => Some(Encoding::Canonical),
        (ValueType::Timestamp { .. }, Native::DateTime(_) | Native::Timestamp(_) | Native::Date) => {
            Some(Encoding::Canonical)
        }
        (ValueType::TextList, Native::Text(_) | Native::Json) => Some(Encoding::Json),
        _ => None,
    };
    fits.ok_or_else(|| {
        let text = format!("a column declared as it is in the source does not read as {}", wanted.name());
        Refusal::new(RefusalReason::Encoding, text)
    })
}

/// As [`read_as`], with NULL in place of what is no value of the type, as the server finds it.
pub(crate) fn read_or_null(native: Native, wanted: ValueType) -> Result<Encoding, Refusal> {
    let encoding = read_as(native, wanted)?;
    Ok(match (encoding, wanted) {
        (Encoding::Canonical, _) if reads_surely(wanted) => encoding,
        (Encoding::Canonical, ValueType::Date | ValueType::Time | ValueType::Timestamp { .. }) => {
            Encoding::CanonicalOrNull
        }
        // Numbers are computed with as they are; one that its column's type cannot hold stays an error.
        (Encoding::Canonical, _) => encoding,
        (other, _) => other.or_null(),
    })
}

/// A column that holds only values of the wanted precision and scale is computed with; others are read, and a value that
/// does not fit is an error.
fn decimal(precision: u8, scale: i8, native: Native) -> Option<Encoding> {
    let whole = i16::from(precision) - i16::from(scale);
    match native {
        Native::Decimal { precision: p, scale: s } => {
            let fits = s <= scale && i16::from(p) - i16::from(s) <= whole;
            Some(if fits { Encoding::Canonical } else { Encoding::Text })
        }
        // Without a fraction nothing is converted, so that larger values only fail when they are read.
        Native::Integer { .. } if scale == 0 => Some(Encoding::Canonical),
        Native::Integer { digits, .. } if i16::from(digits) <= whole => Some(Encoding::Canonical),
        Native::Integer { .. } => Some(Encoding::Text),
        Native::Float | Native::Double => Some(Encoding::Double),
        _ => None,
    }
}

/// Whether a column of the type holds nothing that it does not read as: dates may be zero, and texts of a binary collation
/// hold any bytes.
pub(crate) fn reads_surely(value_type: ValueType) -> bool {
    match value_type {
        ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Float32
        | ValueType::Float64
        | ValueType::Text
        | ValueType::Binary => true,
        ValueType::Boolean
        | ValueType::Decimal128 { .. }
        | ValueType::Date
        | ValueType::Time
        | ValueType::Timestamp { .. }
        | ValueType::TextList
        | ValueType::List(_) => false,
    }
}

#[cfg(test)]
mod tests;
