//! What the values of a column of text have in common, and the type that holds them all. Knows no file.

use arrow::datatypes::{DataType, Field, TimeUnit};
use querygate_memory::parse;
use std::collections::HashMap;
use std::sync::Arc;

/// What the values of a column have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
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

impl Seen {
    /// What holds values of both.
    pub(super) fn and(self, other: Self) -> Self {
        use Seen::{Date, Float, Instant, Integer, Json, Nothing, Stamp, Text, Texts, Whole};
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
    seen: Vec<(String, Seen)>,
    places: HashMap<String, usize>,
}

impl Columns {
    pub(super) fn see(&mut self, name: &str, seen: Seen) {
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
            ("", Seen::Nothing),
            ("12", Seen::Integer),
            ("-1", Seen::Integer),
            ("0", Seen::Integer),
            ("0012", Seen::Text),
            ("00501", Seen::Text),
            ("9999999999999999999", Seen::Whole),
            ("-123456789012345678901234567890123456789", Seen::Text),
            ("1.5", Seen::Float),
            ("0.5", Seen::Float),
            ("1.0e5", Seen::Float),
            ("1e5", Seen::Text),
            ("12E3", Seen::Text),
            ("nan", Seen::Text),
            ("NaN", Seen::Text),
            ("1_000", Seen::Text),
            ("true", Seen::Boolean),
            ("2024-01-02", Seen::Date),
            ("2024-13-02", Seen::Text),
            ("2024-02-30", Seen::Text),
            ("0000-00-00", Seen::Text),
            ("2024-01-02T00:00:00Z", Seen::Instant),
            ("2024-01-02 00:00:00+01:00", Seen::Instant),
            ("2024-01-02 10:11:12.5", Seen::Stamp),
            ("2024-01-02 25:00:00", Seen::Text),
            ("10:11:12", Seen::Time),
            ("24:00:01", Seen::Text),
            ("20240102", Seen::Integer),
            ("x", Seen::Text),
        ];
        for (text, want) in cases {
            assert_eq!(Seen::text(text), want, "{text}");
        }
        let json = [
            ("null", Seen::Nothing),
            ("false", Seen::Boolean),
            ("18446744073709551616", Seen::Whole),
            ("1e5", Seen::Float),
            ("\"12\"", Seen::Text),
            ("\"2024-01-02\"", Seen::Date),
            ("\"10:11:12\"", Seen::Text),
            ("[\"a\"]", Seen::Texts),
            ("[1]", Seen::Json),
            ("{}", Seen::Json),
        ];
        for (raw, want) in json {
            assert_eq!(Seen::json(raw), want, "{raw}");
        }
        assert_eq!(Seen::Integer.and(Seen::Float), Seen::Float);
        assert_eq!(Seen::Integer.and(Seen::Whole), Seen::Whole);
        assert_eq!(Seen::Whole.and(Seen::Float), Seen::Text, "no digit is lost");
        assert_eq!(Seen::Integer.and(Seen::Boolean), Seen::Text);
        assert_eq!(Seen::Date.and(Seen::Instant), Seen::Instant);
        assert_eq!(Seen::Texts.and(Seen::Text), Seen::Json);
    }
}
