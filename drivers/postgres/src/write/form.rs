//! In which of the server's types the values of a column go there. It is the column's own type, so that nothing is cast, rounded, padded or cut on the way.

use crate::wire::declared;
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::value::ValueType;
use tokio_postgres::types::Type;

/// A column's own type, as far as values are checked against it here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Boolean,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Digits in all and after the point; `None`: any number.
    Numeric(Option<(u8, i8)>),
    /// Characters at most.
    Text(Option<usize>),
    Uuid,
    Json,
    /// The one type that keeps another text than it is given: the same document.
    Jsonb,
    Bytea,
    Date,
    /// Microseconds that one step has.
    Time(i64),
    Timestamp {
        step: i64,
        utc: bool,
    },
    /// Its items are `varchar`, not `text`; characters of each at most.
    TextArray(bool, Option<usize>),
}

impl Form {
    /// The form of a column that keeps values of a type, each of which either reads back as it is or is refused.
    ///
    /// # Errors
    /// The column does not keep such values.
    pub(super) fn of(native: &str, value_type: ValueType) -> Result<Self, Refusal> {
        let refused = || {
            let text = format!("a column of type {native} in the source does not keep each {}", value_type.name());
            Refusal::new(RefusalReason::Encoding, text)
        };
        Self::declared(native).filter(|form| form.keeps(value_type)).ok_or_else(refused)
    }

    fn declared(native: &str) -> Option<Self> {
        if let Some(item) = native.strip_suffix("[]") {
            return match declared::words(item) {
                ("text", "") => Some(Self::TextArray(false, None)),
                ("character varying", arguments) => Some(Self::TextArray(true, length(arguments)?)),
                _ => None,
            };
        }
        let (name, arguments) = declared::words(native);
        Some(match name {
            "boolean" => Self::Boolean,
            "smallint" => Self::Int2,
            "integer" => Self::Int4,
            "bigint" => Self::Int8,
            "real" => Self::Float4,
            "double precision" => Self::Float8,
            "numeric" if arguments.is_empty() => Self::Numeric(None),
            "numeric" => match declared::interpret(native) {
                ValueType::Decimal128 { precision, scale } => Self::Numeric(Some((precision, scale))),
                _ => return None,
            },
            "text" => Self::Text(None),
            "character varying" => Self::Text(length(arguments)?),
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            "bytea" => Self::Bytea,
            "date" => Self::Date,
            "time without time zone" => Self::Time(step(arguments)?),
            "timestamp without time zone" => Self::Timestamp { step: step(arguments)?, utc: false },
            "timestamp with time zone" => Self::Timestamp { step: step(arguments)?, utc: true },
            _ => return None,
        })
    }

    const fn keeps(self, value_type: ValueType) -> bool {
        match value_type {
            ValueType::Boolean => matches!(self, Self::Boolean),
            ValueType::Int16 | ValueType::Int32 | ValueType::Int64 => {
                matches!(self, Self::Int2 | Self::Int4 | Self::Int8)
            }
            ValueType::Float32 => matches!(self, Self::Float4),
            ValueType::Float64 => matches!(self, Self::Float4 | Self::Float8),
            ValueType::Decimal128 { .. } => {
                matches!(self, Self::Numeric(_) | Self::Int2 | Self::Int4 | Self::Int8 | Self::Float4 | Self::Float8)
            }
            ValueType::Text => matches!(self, Self::Text(_) | Self::Uuid | Self::Json | Self::Jsonb),
            ValueType::Binary => matches!(self, Self::Bytea),
            ValueType::Date => matches!(self, Self::Date),
            ValueType::Time => matches!(self, Self::Time(_)),
            ValueType::Timestamp { .. } => matches!(self, Self::Timestamp { .. }),
            ValueType::TextList => matches!(self, Self::TextArray(..)),
            ValueType::List(_) => false,
        }
    }

    /// Whether rows are found by it: json has no equality, and that of jsonb is not of texts.
    pub(super) const fn is_key(self) -> bool {
        !matches!(self, Self::Json | Self::Jsonb | Self::TextArray(..))
    }

    /// The type of an array of such values.
    pub(super) const fn array(self) -> Type {
        match self {
            Self::Boolean => Type::BOOL_ARRAY,
            Self::Int2 => Type::INT2_ARRAY,
            Self::Int4 => Type::INT4_ARRAY,
            Self::Int8 => Type::INT8_ARRAY,
            Self::Float4 => Type::FLOAT4_ARRAY,
            Self::Float8 => Type::FLOAT8_ARRAY,
            Self::Numeric(_) => Type::NUMERIC_ARRAY,
            // An array of arrays would be one of all their items: each goes as its text.
            Self::Text(_) | Self::TextArray(..) => Type::TEXT_ARRAY,
            Self::Uuid => Type::UUID_ARRAY,
            Self::Json => Type::JSON_ARRAY,
            Self::Jsonb => Type::JSONB_ARRAY,
            Self::Bytea => Type::BYTEA_ARRAY,
            Self::Date => Type::DATE_ARRAY,
            Self::Time(_) => Type::TIME_ARRAY,
            Self::Timestamp { utc: false, .. } => Type::TIMESTAMP_ARRAY,
            Self::Timestamp { utc: true, .. } => Type::TIMESTAMPTZ_ARRAY,
        }
    }

    /// The type of one value in such an array.
    pub(super) const fn item(self) -> Type {
        match self {
            Self::Boolean => Type::BOOL,
            Self::Int2 => Type::INT2,
            Self::Int4 => Type::INT4,
            Self::Int8 => Type::INT8,
            Self::Float4 => Type::FLOAT4,
            Self::Float8 => Type::FLOAT8,
            Self::Numeric(_) => Type::NUMERIC,
            Self::Text(_) | Self::TextArray(..) => Type::TEXT,
            Self::Uuid => Type::UUID,
            Self::Json => Type::JSON,
            Self::Jsonb => Type::JSONB,
            Self::Bytea => Type::BYTEA,
            Self::Date => Type::DATE,
            Self::Time(_) => Type::TIME,
            Self::Timestamp { utc: false, .. } => Type::TIMESTAMP,
            Self::Timestamp { utc: true, .. } => Type::TIMESTAMPTZ,
        }
    }

    /// What makes the column's value of an array's item.
    pub(super) const fn cast(self) -> &'static str {
        match self {
            Self::TextArray(false, _) => "::text[]",
            Self::TextArray(true, _) => "::varchar[]",
            _ => "",
        }
    }
}

/// `Some(None)`: any length.
fn length(arguments: &str) -> Option<Option<usize>> {
    if arguments.is_empty() { Some(None) } else { arguments.parse().ok().map(Some) }
}

/// Microseconds of the last digit.
fn step(arguments: &str) -> Option<i64> {
    let digits = if arguments.is_empty() { 6 } else { arguments.parse::<u32>().ok()? };
    6_u32.checked_sub(digits).map(|missing| 10_i64.pow(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_columns_that_keep_each_value_are_written() {
        let money = ValueType::Decimal128 { precision: 10, scale: 2 };
        let local = ValueType::Timestamp { utc: false };
        for (native, value_type, expected) in [
            ("smallint", ValueType::Int64, Some(Form::Int2)),
            ("numeric(10,2)", money, Some(Form::Numeric(Some((10, 2))))),
            ("numeric", money, Some(Form::Numeric(None))),
            ("numeric", ValueType::Text, None),
            ("numeric(10,2)", ValueType::Float64, None),
            ("double precision", money, Some(Form::Float8)),
            ("character varying(20)", ValueType::Text, Some(Form::Text(Some(20)))),
            ("character varying", ValueType::Text, Some(Form::Text(None))),
            ("character(3)", ValueType::Text, None),
            ("citext", ValueType::Text, None),
            ("jsonb", ValueType::Text, Some(Form::Jsonb)),
            ("json", ValueType::Text, Some(Form::Json)),
            ("uuid", ValueType::Text, Some(Form::Uuid)),
            ("time(3) without time zone", ValueType::Time, Some(Form::Time(1_000))),
            ("timestamp(0) without time zone", local, Some(Form::Timestamp { step: 1_000_000, utc: false })),
            ("timestamp with time zone", local, Some(Form::Timestamp { step: 1, utc: true })),
            ("character varying(5)[]", ValueType::TextList, Some(Form::TextArray(true, Some(5)))),
            ("integer[]", ValueType::TextList, None),
            ("uuid[]", ValueType::TextList, None),
            ("oid", ValueType::Int64, None),
        ] {
            assert_eq!(Form::of(native, value_type).ok(), expected, "{native} as {}", value_type.name());
        }
    }
}
