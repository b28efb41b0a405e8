//! The closed list of the types that values have in the gate, and PostgreSQL's names for them. Knows no Arrow.

use querygate_types::PgType;
use serde::{Deserialize, Serialize};

/// The type of a field's value as the gate serves it: what its field type stands for, or what the metadata says of its
/// column (`columnTypes` in `querygate.tables`). The catalog maps each to one Arrow type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ValueType {
    Text,
    /// As text of its canonical form.
    Uuid,
    /// As text of its canonical form, which compares and orders as the value.
    Coded(TextCoded),
    /// `inet`, or `cidr`.
    Network {
        is_cidr: bool,
    },
    TextList,
    /// An array of another type, in one dimension.
    List(ItemType),
    Float64,
    Float32,
    Int16,
    Int32,
    Int64,
    /// `numeric(precision, scale)`, at most 38 digits.
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// `numeric` of any number of digits, each value with its own places, NaN and infinities; `bounds`: precision and scale
    /// where it names them: of more than 38 digits, or with a scale below 0 or above the precision.
    Numeric {
        bounds: Option<(u16, i16)>,
    },
    Boolean,
    /// Calendar day.
    Date,
    /// Instant with milliseconds, UTC: ObjectStack's.
    TimestampMillisUtc,
    /// Instant (`utc`) or wall clock with microseconds: a column's.
    Timestamp {
        utc: bool,
    },
    /// Time of day: ObjectStack's with milliseconds, a column's with microseconds.
    Time,
    /// Time of day with a zone.
    TimeTz,
    /// Months, days and microseconds.
    Interval,
    Binary,
    /// JSON text as it was written.
    JsonText,
    /// JSON: `json`, `composite`, `record`, `repeater`, `location`, `address`.
    Json,
    /// List of 32-bit floats with the declared dimension; 0 when the field declares none.
    Float32Vector(u32),
}

/// Types whose values' texts compare and order as the values do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TextCoded {
    Macaddr,
    Macaddr8,
    /// `bit(n)`: so many.
    Bit(u32),
    /// `bit varying(n)`: at most so many.
    Varbit(Option<u32>),
}

impl TextCoded {
    const fn pg_type(self) -> PgType {
        match self {
            Self::Macaddr => PgType::Macaddr,
            Self::Macaddr8 => PgType::Macaddr8,
            Self::Bit(_) => PgType::Bit,
            Self::Varbit(_) => PgType::Varbit,
        }
    }

    /// `atttypmod`: the length; −1 for none.
    #[must_use]
    pub fn modifier(self) -> i32 {
        let length = match self {
            Self::Macaddr | Self::Macaddr8 | Self::Varbit(None) => None,
            Self::Bit(length) | Self::Varbit(Some(length)) => Some(length),
        };
        length.and_then(|length| i32::try_from(length).ok()).unwrap_or(-1)
    }
}

/// What the members of a [`ValueType::List`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ItemType {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Decimal { precision: u8, scale: i8 },
    Binary,
    Date,
    Time,
    Timestamp { utc: bool },
}

impl ItemType {
    /// The type of each member.
    #[must_use]
    pub const fn value_type(self) -> ValueType {
        match self {
            Self::Boolean => ValueType::Boolean,
            Self::Int16 => ValueType::Int16,
            Self::Int32 => ValueType::Int32,
            Self::Int64 => ValueType::Int64,
            Self::Float32 => ValueType::Float32,
            Self::Float64 => ValueType::Float64,
            Self::Decimal { precision, scale } => ValueType::Decimal { precision, scale },
            Self::Binary => ValueType::Binary,
            Self::Date => ValueType::Date,
            Self::Time => ValueType::Time,
            Self::Timestamp { utc } => ValueType::Timestamp { utc },
        }
    }
}

impl ValueType {
    /// The type of an array of such values. `None`: there is none here.
    #[must_use]
    pub const fn listed(self) -> Option<Self> {
        Some(Self::List(match self {
            Self::Text => return Some(Self::TextList),
            Self::Boolean => ItemType::Boolean,
            Self::Int16 => ItemType::Int16,
            Self::Int32 => ItemType::Int32,
            Self::Int64 => ItemType::Int64,
            Self::Float32 => ItemType::Float32,
            Self::Float64 => ItemType::Float64,
            Self::Decimal { precision, scale } => ItemType::Decimal { precision, scale },
            Self::Binary => ItemType::Binary,
            Self::Date => ItemType::Date,
            Self::Time => ItemType::Time,
            Self::Timestamp { utc } => ItemType::Timestamp { utc },
            // Its members are compared as texts.
            Self::Uuid
            | Self::Coded(_)
            | Self::Network { .. }
            | Self::Numeric { .. }
            | Self::TimeTz
            | Self::Interval
            | Self::TextList
            | Self::List(_)
            | Self::TimestampMillisUtc
            | Self::JsonText
            | Self::Json
            | Self::Float32Vector(_) => return None,
        }))
    }

    /// The Postgres type on the wire and in `pg_attribute`.
    #[must_use]
    pub const fn pg_type(self) -> PgType {
        match self {
            Self::Text => PgType::Text,
            Self::Uuid => PgType::Uuid,
            Self::Coded(coded) => coded.pg_type(),
            Self::Network { is_cidr: false } => PgType::Inet,
            Self::Network { is_cidr: true } => PgType::Cidr,
            Self::TextList => PgType::TextArray,
            Self::List(item) => match item.value_type().pg_type().array() {
                Some(array) => array,
                None => PgType::TextArray,
            },
            Self::Float64 => PgType::Float8,
            Self::Float32 => PgType::Float4,
            Self::Int16 => PgType::Int2,
            Self::Int32 => PgType::Int4,
            Self::Int64 => PgType::Int8,
            Self::Decimal { .. } | Self::Numeric { .. } => PgType::Numeric,
            Self::Boolean => PgType::Bool,
            Self::Date => PgType::Date,
            Self::TimestampMillisUtc | Self::Timestamp { utc: true } => PgType::Timestamptz,
            Self::Timestamp { utc: false } => PgType::Timestamp,
            Self::Time => PgType::Time,
            Self::TimeTz => PgType::Timetz,
            Self::Interval => PgType::Interval,
            Self::Binary => PgType::Bytea,
            Self::JsonText => PgType::Json,
            Self::Json => PgType::Jsonb,
            Self::Float32Vector(_) => PgType::Float4Array,
        }
    }

    /// The type that PostgreSQL calls so: `bigint`, `numeric(10,2)`, `timestamp without time zone`, `text[]`.
    #[must_use]
    pub fn from_sql(name: &str) -> Option<Self> {
        let lower = name.trim().to_ascii_lowercase();
        if let Some(item) = lower.strip_suffix("[]") {
            return Self::from_sql(item)?.listed();
        }
        if let Some(arguments) = lower.strip_prefix("numeric").or_else(|| lower.strip_prefix("decimal")) {
            return decimal(arguments.trim());
        }
        if let Some(bits) = lower.strip_prefix("bit") {
            return bit_string(bits).map(Self::Coded);
        }
        Some(match lower.as_str() {
            "smallint" | "int2" => Self::Int16,
            "integer" | "int" | "int4" => Self::Int32,
            "bigint" | "int8" => Self::Int64,
            "real" | "float4" => Self::Float32,
            "double precision" | "float8" => Self::Float64,
            "boolean" | "bool" => Self::Boolean,
            "text" => Self::Text,
            "uuid" => Self::Uuid,
            "varbit" => Self::Coded(TextCoded::Varbit(None)),
            "macaddr" => Self::Coded(TextCoded::Macaddr),
            "macaddr8" => Self::Coded(TextCoded::Macaddr8),
            "inet" => Self::Network { is_cidr: false },
            "cidr" => Self::Network { is_cidr: true },
            "bytea" => Self::Binary,
            "date" => Self::Date,
            "time" | "time without time zone" => Self::Time,
            "timetz" | "time with time zone" => Self::TimeTz,
            "interval" => Self::Interval,
            "timestamp" | "timestamp without time zone" => Self::Timestamp { utc: false },
            "timestamptz" | "timestamp with time zone" => Self::Timestamp { utc: true },
            "json" => Self::JsonText,
            "jsonb" => Self::Json,
            _ => return None,
        })
    }

    /// PostgreSQL's name of the type, as [`Self::from_sql`] reads it.
    #[must_use]
    pub fn sql_name(self) -> String {
        match self {
            Self::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
            Self::Numeric { bounds: Some((precision, scale)) } => format!("numeric({precision},{scale})"),
            Self::Numeric { bounds: None } => "numeric".to_owned(),
            Self::Coded(TextCoded::Bit(length)) => format!("bit({length})"),
            Self::Coded(TextCoded::Varbit(Some(length))) => format!("bit varying({length})"),
            Self::TimeTz => "timetz".to_owned(),
            Self::Timestamp { utc: true } | Self::TimestampMillisUtc => "timestamptz".to_owned(),
            Self::Timestamp { utc: false } => "timestamp".to_owned(),
            Self::Time => "time".to_owned(),
            Self::List(item) => format!("{}[]", item.value_type().sql_name()),
            other => other.pg_type().sql_name(),
        }
    }

    /// What a column type may be called, for messages; or an array of one of numbers, moments, truth values, texts or bytes.
    pub const SQL_NAMES: &'static [&'static str] = &[
        "smallint",
        "integer",
        "bigint",
        "real",
        "double precision",
        "numeric",
        "numeric(p,s)",
        "boolean",
        "text",
        "varchar(n)",
        "char(n)",
        "text[]",
        "uuid",
        "inet",
        "cidr",
        "macaddr",
        "macaddr8",
        "bit(n)",
        "bit varying",
        "bytea",
        "date",
        "time",
        "timetz",
        "interval",
        "timestamp",
        "timestamptz",
        "json",
        "jsonb",
    ];

    /// Whether sources give its text, which the gate reads behind the policy.
    #[must_use]
    pub const fn is_read_from_text(self) -> bool {
        match self {
            Self::Numeric { .. } | Self::TimeTz | Self::Interval | Self::Network { .. } => true,
            Self::Text
            | Self::Uuid
            | Self::Coded(_)
            | Self::TextList
            | Self::List(_)
            | Self::Float64
            | Self::Float32
            | Self::Int16
            | Self::Int32
            | Self::Int64
            | Self::Decimal { .. }
            | Self::Boolean
            | Self::Date
            | Self::TimestampMillisUtc
            | Self::Timestamp { .. }
            | Self::Time
            | Self::Binary
            | Self::JsonText
            | Self::Json
            | Self::Float32Vector(_) => false,
        }
    }

    /// Whether two values are the same one only if they are written so: no rounding lies between a value and its column.
    #[must_use]
    pub const fn is_exact(self) -> bool {
        match self {
            Self::Float64 | Self::Float32 | Self::Float32Vector(_) | Self::Numeric { .. } | Self::Interval => false,
            Self::List(item) => item.value_type().is_exact(),
            Self::Text
            | Self::Uuid
            | Self::Coded(_)
            | Self::Network { .. }
            | Self::TextList
            | Self::Int16
            | Self::Int32
            | Self::Int64
            | Self::Decimal { .. }
            | Self::TimeTz
            | Self::Boolean
            | Self::Date
            | Self::TimestampMillisUtc
            | Self::Timestamp { .. }
            | Self::Time
            | Self::Binary
            | Self::JsonText
            | Self::Json => true,
        }
    }
}

/// Longest string of bits: PostgreSQL's limit.
const BITS_MAX: u32 = 83_886_080;

/// What follows `bit`: ``, `(n)`, ` varying`, ` varying(n)`.
fn bit_string(rest: &str) -> Option<TextCoded> {
    let (varying, arguments) = match rest.trim().strip_prefix("varying") {
        Some(arguments) => (true, arguments.trim()),
        None => (false, rest.trim()),
    };
    let length = match arguments.strip_prefix('(').and_then(|inside| inside.strip_suffix(')')) {
        Some(digits) => Some(digits.trim().parse::<u32>().ok().filter(|length| (1..=BITS_MAX).contains(length))?),
        None => arguments.is_empty().then_some(None)?,
    };
    Some(if varying { TextCoded::Varbit(length) } else { TextCoded::Bit(length.unwrap_or(1)) })
}

/// Most digits of a numeric with a precision, and most places before or behind them: PostgreSQL's limits.
const PRECISION_MAX: u16 = 1_000;
const SCALE_MAX: i16 = 1_000;

/// `(p,s)`, `(p)`, or nothing.
fn decimal(arguments: &str) -> Option<ValueType> {
    if arguments.is_empty() {
        return Some(ValueType::Numeric { bounds: None });
    }
    let inside = arguments.strip_prefix('(')?.strip_suffix(')')?;
    let (precision, scale) = inside.split_once(',').unwrap_or((inside, "0"));
    let (precision, scale) = (precision.trim().parse::<u16>().ok()?, scale.trim().parse::<i16>().ok()?);
    if !(1..=PRECISION_MAX).contains(&precision) || !(-SCALE_MAX..=SCALE_MAX).contains(&scale) {
        return None;
    }
    Some(match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision @ 1..=38), Ok(scale)) if scale >= 0 && i16::from(scale) <= i16::from(precision) => {
            ValueType::Decimal { precision, scale }
        }
        _ => ValueType::Numeric { bounds: Some((precision, scale)) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_postgresql_are_read() {
        for name in ValueType::SQL_NAMES.iter().filter(|name| !name.contains('(')) {
            let read = ValueType::from_sql(name).unwrap();
            assert_eq!(ValueType::from_sql(&read.pg_type().sql_name()), Some(read), "{name}");
            assert_eq!(read.sql_name(), *name);
        }
        for (name, expected) in [
            ("numeric(10, 2)", Some(ValueType::Decimal { precision: 10, scale: 2 })),
            ("DECIMAL(5)", Some(ValueType::Decimal { precision: 5, scale: 0 })),
            (" BigInt ", Some(ValueType::Int64)),
            ("numeric(10,2) []", Some(ValueType::List(ItemType::Decimal { precision: 10, scale: 2 }))),
            ("int4[]", Some(ValueType::List(ItemType::Int32))),
            ("integer[][]", None),
            ("jsonb[]", None),
            ("uuid[]", None),
            ("numeric[]", None),
            ("[]", None),
            ("numeric(39,0)", Some(ValueType::Numeric { bounds: Some((39, 0)) })),
            ("numeric(2,3)", Some(ValueType::Numeric { bounds: Some((2, 3)) })),
            ("numeric(5,-2)", Some(ValueType::Numeric { bounds: Some((5, -2)) })),
            ("numeric", Some(ValueType::Numeric { bounds: None })),
            ("decimal", Some(ValueType::Numeric { bounds: None })),
            ("numeric(1001)", None),
            ("numeric(0)", None),
            ("numeric()", None),
            ("interval", Some(ValueType::Interval)),
            ("time with time zone", Some(ValueType::TimeTz)),
            ("interval[]", None),
            ("bit", Some(ValueType::Coded(TextCoded::Bit(1)))),
            ("bit(3)", Some(ValueType::Coded(TextCoded::Bit(3)))),
            ("BIT VARYING (5)", Some(ValueType::Coded(TextCoded::Varbit(Some(5))))),
            ("bit varying", Some(ValueType::Coded(TextCoded::Varbit(None)))),
            ("bit(0)", None),
            ("bits", None),
            ("bit(3", None),
            ("inet[]", None),
            ("serial", None),
        ] {
            assert_eq!(ValueType::from_sql(name), expected, "{name}");
        }
    }
}
