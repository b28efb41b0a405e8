//! What the values of a column of text have in common, and the type that holds them all. Knows no file.

use arrow::datatypes::{DataType, Field, TimeUnit};
use querygate_memory::parse;
use std::collections::HashMap;
use std::sync::Arc;

/// What the values of a column have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    Nothing,
    Boolean,
    Integer,
    /// Whole numbers beyond 64 bits.
    Whole,
    Float,
    Date,
    Time,
    /// A day and a time without an offset.
    Stamp,
    Instant,
    Text,
    Texts,
    Json,
}

/// Digits that a decimal has at most.
const DIGITS_MAX: usize = 38;

impl ValueKind {
    /// What holds values of both.
    pub(super) fn and(self, other: Self) -> Self {
        use ValueKind::{Date, Float, Instant, Integer, Json, Nothing, Stamp, Text, Texts, Whole};
        match (self, other) {
            (a, b) if a == b => a,
            (Nothing, a) | (a, Nothing) => a,
            (Integer, Whole) | (Whole, Integer) => Whole,
            (Integer | Float, Float | Integer) => Float,
            (Date, Stamp) | (Stamp, Date) => Stamp,
            (Date | Stamp, Instant) | (Instant, Date | Stamp) => Instant,
            (Json | Texts, _) | (_, Json | Texts) => Json,
            _ => Text,
        }
    }

    /// Of a text. What would be another text once it was read and written is one: codes have leading zeros, and an E among digits.
    pub(super) fn text(value: &str) -> Self {
        let digits = value.strip_prefix('-').unwrap_or(value);
        let starts = digits.starts_with(|c: char| c.is_ascii_digit());
        let coded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        let exponent = digits.split_once(['e', 'E']);
        match value {
            "" => Self::Nothing,
            "true" | "false" | "True" | "False" | "TRUE" | "FALSE" => Self::Boolean,
            _ if starts && !coded && digits.bytes().all(|b| b.is_ascii_digit()) => Self::whole(value, digits),
            _ if starts
                && !coded
                && exponent.is_none_or(|(whole, _)| whole.contains('.'))
                && parse::float(value).is_some() =>
            {
                Self::Float
            }
            _ if starts => Self::moment(value),
            _ => Self::Text,
        }
    }

    fn whole(value: &str, digits: &str) -> Self {
        match value.parse::<i64>() {
            Ok(_) => Self::Integer,
            Err(_) if digits.len() <= DIGITS_MAX => Self::Whole,
            Err(_) => Self::Text,
        }
    }

    fn moment(value: &str) -> Self {
        let unit = TimeUnit::Microsecond;
        match value.len() {
            10 if parse::date(value).is_some() => Self::Date,
            11.. if parse::instant(value, unit).is_some() => {
                let time = value.get(11..).unwrap_or_default();
                if time.contains(['Z', 'z', '+', '-']) { Self::Instant } else { Self::Stamp }
            }
            8.. if value.as_bytes().get(2) == Some(&b':') && parse::time(value, unit).is_some() => Self::Time,
            _ => Self::Text,
        }
    }

    /// Of a value as JSON writes it.
    pub(super) fn json(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'n') | None => Self::Nothing,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'"') => {
                let text = raw.get(1..raw.len() - 1).unwrap_or_default();
                match Self::text(text) {
                    moment @ (Self::Date | Self::Stamp | Self::Instant) => moment,
                    _ => Self::Text,
                }
            }
            Some(b'[') => match serde_json::from_str::<Vec<String>>(raw) {
                Ok(_) => Self::Texts,
                Err(_) => Self::Json,
            },
            Some(b'{') => Self::Json,
            Some(_) => {
                let digits = raw.strip_prefix('-').unwrap_or(raw);
                let is_whole = digits.bytes().all(|b| b.is_ascii_digit());
                if is_whole { Self::whole(raw, digits) } else { Self::Float }
            }
        }
    }

    pub(super) fn field(self, name: &str) -> Field {
        let kind = match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Whole => DataType::Decimal128(38, 0),
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Stamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Nothing | Self::Text | Self::Json => DataType::Utf8,
            Self::Texts => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        };
        let field = Field::new(name, kind, true);
        match self {
            Self::Json => field.with_metadata([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())].into()),
            _ => field,
        }
    }
}

/// Columns in the order in which they were seen first.
#[derive(Debug, Default)]
pub(super) struct Columns {
    seen: Vec<(String, ValueKind)>,
    places: HashMap<String, usize>,
}

impl Columns {
    pub(super) fn see(&mut self, name: &str, seen: ValueKind) {
        match self.places.get(name) {
            Some(&at) => self.seen[at].1 = self.seen[at].1.and(seen),
            None => {
                self.places.insert(name.to_owned(), self.seen.len());
                self.seen.push((name.to_owned(), seen));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.seen.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        self.seen.iter().map(|(name, seen)| seen.field(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart() {
        let cases = [
            ("", ValueKind::Nothing),
            ("12", ValueKind::Integer),
            ("-1", ValueKind::Integer),
            ("0", ValueKind::Integer),
            ("0012", ValueKind::Text),
            ("00501", ValueKind::Text),
            ("9999999999999999999", ValueKind::Whole),
            ("-123456789012345678901234567890123456789", ValueKind::Text),
            ("1.5", ValueKind::Float),
            ("0.5", ValueKind::Float),
            ("1.0e5", ValueKind::Float),
            ("1e5", ValueKind::Text),
            ("12E3", ValueKind::Text),
            ("nan", ValueKind::Text),
            ("NaN", ValueKind::Text),
            ("1_000", ValueKind::Text),
            ("true", ValueKind::Boolean),
            ("2024-01-02", ValueKind::Date),
            ("2024-13-02", ValueKind::Text),
            ("2024-02-30", ValueKind::Text),
            ("0000-00-00", ValueKind::Text),
            ("2024-01-02T00:00:00Z", ValueKind::Instant),
            ("2024-01-02 00:00:00+01:00", ValueKind::Instant),
            ("2024-01-02 10:11:12.5", ValueKind::Stamp),
            ("2024-01-02 25:00:00", ValueKind::Text),
            ("10:11:12", ValueKind::Time),
            ("24:00:01", ValueKind::Text),
            ("20240102", ValueKind::Integer),
            ("x", ValueKind::Text),
        ];
        for (text, want) in cases {
            assert_eq!(ValueKind::text(text), want, "{text}");
        }
        let json = [
            ("null", ValueKind::Nothing),
            ("false", ValueKind::Boolean),
            ("18446744073709551616", ValueKind::Whole),
            ("1e5", ValueKind::Float),
            ("\"12\"", ValueKind::Text),
            ("\"2024-01-02\"", ValueKind::Date),
            ("\"10:11:12\"", ValueKind::Text),
            ("[\"a\"]", ValueKind::Texts),
            ("[1]", ValueKind::Json),
            ("{}", ValueKind::Json),
        ];
        for (raw, want) in json {
            assert_eq!(ValueKind::json(raw), want, "{raw}");
        }
        assert_eq!(ValueKind::Integer.and(ValueKind::Float), ValueKind::Float);
        assert_eq!(ValueKind::Integer.and(ValueKind::Whole), ValueKind::Whole);
        assert_eq!(ValueKind::Whole.and(ValueKind::Float), ValueKind::Text, "no digit is lost");
        assert_eq!(ValueKind::Integer.and(ValueKind::Boolean), ValueKind::Text);
        assert_eq!(ValueKind::Date.and(ValueKind::Instant), ValueKind::Instant);
        assert_eq!(ValueKind::Texts.and(ValueKind::Text), ValueKind::Json);
    }
}
