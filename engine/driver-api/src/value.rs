//! Typed values and their closed list of types. Knows Arrow's names for them, no source's.

use arrow::datatypes::{DataType, Field, TimeUnit};
use std::sync::Arc;

/// A type that the push-down vocabulary has words for. Whatever is not here is not pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the rest are Arrow's types of the same names")]
pub enum ValueType {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    /// `precision` total digits (1–38), `scale` of them after the point (0–precision).
    Decimal128 {
        precision: u8,
        scale: i8,
    },
    /// Unicode text; compared and ordered by code point, without padding.
    Text,
    Binary,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since midnight.
    Time,
    /// Microseconds since 1970-01-01T00:00:00; `utc`: an instant, otherwise a local wall clock.
    Timestamp {
        utc: bool,
    },
    /// A list of texts, itself and each member nullable.
    TextList,
    /// A list of values of another type, itself and each member nullable. It is read; no value of a statement is one.
    List(ItemType),
}

/// What a [`ValueType::List`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "as the value types of the same names")]
pub enum ItemType {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Decimal128 { precision: u8, scale: i8 },
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
            Self::Decimal128 { precision, scale } => ValueType::Decimal128 { precision, scale },
            Self::Binary => ValueType::Binary,
            Self::Date => ValueType::Date,
            Self::Time => ValueType::Time,
            Self::Timestamp { utc } => ValueType::Timestamp { utc },
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean[]",
            Self::Int16 => "smallint[]",
            Self::Int32 => "integer[]",
            Self::Int64 => "bigint[]",
            Self::Float32 => "real[]",
            Self::Float64 => "double precision[]",
            Self::Decimal128 { .. } => "numeric[]",
            Self::Binary => "bytea[]",
            Self::Date => "date[]",
            Self::Time => "time[]",
            Self::Timestamp { utc: false } => "timestamp[]",
            Self::Timestamp { utc: true } => "timestamptz[]",
        }
    }
}

/// One value, the only way in which data enters a fragment: always beside it, never in it.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is of the value type of its name")]
pub enum Value {
    Null(ValueType),
    Boolean(bool),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    Decimal128 { value: i128, precision: u8, scale: i8 },
    Text(Arc<str>),
    Binary(Arc<[u8]>),
    Date(i32),
    Time(i64),
    Timestamp { micros: i64, utc: bool },
    TextList(Arc<[Option<Arc<str>>]>),
}

/// Time zone of every instant in Arrow.
const UTC: &str = "UTC";

impl ValueType {
    /// The Arrow type in which a driver delivers the value.
    #[must_use]
    pub fn to_arrow(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal128 { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Text => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp { utc } => DataType::Timestamp(TimeUnit::Microsecond, utc.then(|| UTC.into())),
            Self::TextList => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            Self::List(item) => DataType::List(Arc::new(Field::new_list_field(item.value_type().to_arrow(), true))),
        }
    }

    /// The type of an Arrow type that means exactly the same. Other units, unsigned numbers and nested types have none:
    /// the caller casts above the fragment or does not push.
    #[must_use]
    pub fn from_arrow(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int16 => Self::Int16,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Decimal128(precision, scale) if *scale >= 0 => {
                Self::Decimal128 { precision: *precision, scale: *scale }
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Binary,
            DataType::Date32 => Self::Date,
            DataType::Time64(TimeUnit::Microsecond) => Self::Time,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Timestamp { utc: false },
            // An instant is the same instant in whatever zone it is shown.
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::Timestamp { utc: true },
            DataType::List(field) if matches!(field.data_type(), DataType::Utf8) => Self::TextList,
            DataType::List(field) => {
                let list = Self::from_arrow(field.data_type())?.listed()?;
                return (list.to_arrow() == *data_type).then_some(list);
            }
            _ => return None,
        })
    }

    /// The type of a list of such values. `None`: there are no lists of lists.
    #[must_use]
    pub const fn listed(self) -> Option<Self> {
        Some(Self::List(match self {
            Self::Boolean => ItemType::Boolean,
            Self::Int16 => ItemType::Int16,
            Self::Int32 => ItemType::Int32,
            Self::Int64 => ItemType::Int64,
            Self::Float32 => ItemType::Float32,
            Self::Float64 => ItemType::Float64,
            Self::Decimal128 { precision, scale } => ItemType::Decimal128 { precision, scale },
            Self::Text => return Some(Self::TextList),
            Self::Binary => ItemType::Binary,
            Self::Date => ItemType::Date,
            Self::Time => ItemType::Time,
            Self::Timestamp { utc } => ItemType::Timestamp { utc },
            Self::TextList | Self::List(_) => return None,
        }))
    }

    /// Whether a statement can bring values of the type.
    #[must_use]
    pub const fn is_bound(self) -> bool {
        match self {
            Self::List(_) => false,
            Self::Boolean
            | Self::Int16
            | Self::Int32
            | Self::Int64
            | Self::Float32
            | Self::Float64
            | Self::Decimal128 { .. }
            | Self::Text
            | Self::Binary
            | Self::Date
            | Self::Time
            | Self::Timestamp { .. }
            | Self::TextList => true,
        }
    }

    /// A whole number.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::Int16 | Self::Int32 | Self::Int64)
    }

    /// A binary floating-point number.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float64)
    }

    /// A decimal number.
    #[must_use]
    pub const fn is_decimal(self) -> bool {
        matches!(self, Self::Decimal128 { .. })
    }

    /// Any number.
    #[must_use]
    pub const fn is_numeric(self) -> bool {
        self.is_integer() || self.is_float() || self.is_decimal()
    }

    /// Whether two operands may stand on both sides of a comparison without a cast.
    #[must_use]
    pub fn comparable_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Decimal128 { scale: a, .. }, Self::Decimal128 { scale: b, .. }) => a == b,
            (a, b) => a == b,
        }
    }

    /// Name for refusals and receipts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int16 => "smallint",
            Self::Int32 => "integer",
            Self::Int64 => "bigint",
            Self::Float32 => "real",
            Self::Float64 => "double precision",
            Self::Decimal128 { .. } => "numeric",
            Self::Text => "text",
            Self::Binary => "bytea",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp { utc: false } => "timestamp",
            Self::Timestamp { utc: true } => "timestamptz",
            Self::TextList => "text[]",
            Self::List(item) => item.name(),
        }
    }
}

impl Value {
    /// Text from anything that can be shared.
    #[must_use]
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// The value's type.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Null(value_type) => *value_type,
            Self::Boolean(_) => ValueType::Boolean,
            Self::Int16(_) => ValueType::Int16,
            Self::Int32(_) => ValueType::Int32,
            Self::Int64(_) => ValueType::Int64,
            Self::Float32(_) => ValueType::Float32,
            Self::Float64(_) => ValueType::Float64,
            Self::Decimal128 { precision, scale, .. } => ValueType::Decimal128 { precision: *precision, scale: *scale },
            Self::Text(_) => ValueType::Text,
            Self::Binary(_) => ValueType::Binary,
            Self::Date(_) => ValueType::Date,
            Self::Time(_) => ValueType::Time,
            Self::Timestamp { utc, .. } => ValueType::Timestamp { utc: *utc },
            Self::TextList(_) => ValueType::TextList,
        }
    }

    /// SQL NULL.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null(_))
    }
}
