//! What the values of a column of text have in common, and the type that holds them all. Knows no file.

use super::foreign::{ForeignColumn, ForeignForm};
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
        // Finer than a microsecond: reading it would cut it.
        let fraction = value.split_once('.').map_or("", |(_, rest)| rest);
        let digits = fraction.len() - fraction.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if fraction.get(6..digits).is_some_and(|rest| rest.bytes().any(|digit| digit != b'0')) {
            return Self::Text;
        }
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

/// Digits of a column's numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Digits {
    /// Most before the point, and behind it.
    whole: usize,
    scale: usize,
    /// A double has not all of some value's.
    is_beyond_double: bool,
    /// Some value says its digits with a power of ten.
    has_exponent: bool,
}

/// Digits that a double always has.
const DOUBLE_DIGITS: usize = 15;

impl Digits {
    fn see(&mut self, value: &str) {
        let digits = value.strip_prefix('-').unwrap_or(value);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_power = digits.contains(['e', 'E']);
        self.has_exponent |= is_power;
        self.whole = self.whole.max(whole.len());
        self.scale = self.scale.max(fraction.len());
        let significant = |text: &str| {
            let plain: String = text.chars().filter(char::is_ascii_digit).collect();
            plain.trim_start_matches('0').trim_end_matches('0').to_owned()
        };
        if !self.is_beyond_double && whole.len() + fraction.len() > DOUBLE_DIGITS && !is_power {
            // What a double prints of it, in digits alone.
            let double = value.parse::<f64>().map(|value| format!("{value}")).unwrap_or_default();
            self.is_beyond_double = significant(&double) != significant(digits);
        }
    }
}

/// What those values of a column are that are neither plain numbers nor plain days.
#[derive(Debug, Default, PartialEq, Eq)]
enum StrayTexts {
    #[default]
    Absent,
    /// All of them are numbers or days of other countries; how the first one is written, its file and its row.
    Foreign(ForeignForm, String, u64),
    /// One is another text.
    Texts,
}

/// What is known of a column.
#[derive(Debug)]
struct InferredColumn {
    name: String,
    kind: ValueKind,
    digits: Digits,
    strays: StrayTexts,
}

impl InferredColumn {
    /// Takes note of a text.
    fn stray(&mut self, text: &str, file: &str, row: u64) {
        if self.strays == StrayTexts::Texts {
            return;
        }
        match ForeignForm::of(text) {
            None => self.strays = StrayTexts::Texts,
            Some(form) if self.is_told_by(form) => self.strays = StrayTexts::Foreign(form, file.to_owned(), row),
            Some(_) => {}
        }
    }

    /// Whether a form says more of the column than what was seen before: of `1,000` only another value can say what its comma means.
    fn is_told_by(&self, form: ForeignForm) -> bool {
        match &self.strays {
            StrayTexts::Absent => true,
            StrayTexts::Foreign(known, ..) => *known == ForeignForm::EitherComma && form != *known,
            StrayTexts::Texts => false,
        }
    }

    /// Why it is of texts, where all of them are numbers or days elsewhere.
    fn foreign(&self) -> Option<ForeignColumn> {
        match &self.strays {
            StrayTexts::Foreign(form, file, row) if self.kind == ValueKind::Text => {
                Some(ForeignColumn { column: self.name.clone(), form: *form, file: file.clone(), row: *row })
            }
            StrayTexts::Foreign(..) | StrayTexts::Absent | StrayTexts::Texts => None,
        }
    }

    /// Numbers with a fraction are doubles, unless one would lose digits: then they keep all that a decimal has, or are texts.
    fn field(&self) -> Field {
        let Digits { whole, scale, is_beyond_double, has_exponent } = self.digits;
        if self.kind != ValueKind::Float || !is_beyond_double {
            return self.kind.field(&self.name);
        }
        match i8::try_from(scale) {
            Ok(scale) if !has_exponent && whole + self.digits.scale <= DIGITS_MAX => {
                Field::new(&self.name, DataType::Decimal128(38, scale), true)
            }
            _ => ValueKind::Text.field(&self.name),
        }
    }
}

/// Columns in the order in which they were seen first.
#[derive(Debug, Default)]
pub(super) struct Columns {
    seen: Vec<InferredColumn>,
    places: HashMap<String, usize>,
    /// The file whose values are seen, and which of its rows, from 1.
    file: String,
    row: u64,
}

impl Columns {
    /// What is seen from now on is of this file.
    pub(super) fn begin_file(&mut self, name: &str) {
        (self.file, self.row) = (name.to_owned(), 0);
    }

    /// What is seen from now on is of the file's next row.
    pub(super) fn begin_row(&mut self) {
        self.row += 1;
    }

    pub(super) fn see(&mut self, name: &str, kind: ValueKind, value: &str) {
        let at = match self.places.get(name) {
            Some(&at) => at,
            None => {
                let at = self.seen.len();
                self.places.insert(name.to_owned(), at);
                let (name, kind) = (name.to_owned(), ValueKind::Nothing);
                let (digits, strays) = (Digits::default(), StrayTexts::default());
                self.seen.push(InferredColumn { name, kind, digits, strays });
                at
            }
        };
        let Some(column) = self.seen.get_mut(at) else { return };
        column.kind = column.kind.and(kind);
        if matches!(kind, ValueKind::Integer | ValueKind::Float) {
            column.digits.see(value);
        }
        match kind {
            // JSON's texts have their quotes.
            ValueKind::Text => column.stray(value.trim_matches('"'), &self.file, self.row),
            // Neither numbers nor days.
            ValueKind::Boolean | ValueKind::Time | ValueKind::Texts | ValueKind::Json => {
                column.strays = StrayTexts::Texts;
            }
            ValueKind::Nothing
            | ValueKind::Integer
            | ValueKind::Whole
            | ValueKind::Float
            | ValueKind::Date
            | ValueKind::Stamp
            | ValueKind::Instant => {}
        }
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.seen.iter().map(|column| column.name.as_str())
    }

    /// Columns of texts that are numbers or days elsewhere.
    pub(super) fn foreign(&self) -> Vec<ForeignColumn> {
        self.seen.iter().filter_map(InferredColumn::foreign).collect()
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        self.seen.iter().map(InferredColumn::field).collect()
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
            ("10:11:12.123456789", ValueKind::Text),
            ("2024-01-02 10:11:12.123456000", ValueKind::Stamp),
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
        for (values, expected) in [
            (&["1.5", "2"][..], DataType::Float64),
            (&["12345678901234567.89", "0.1"], DataType::Decimal128(38, 2)),
            (&["9007199254740993", "0.5"], DataType::Decimal128(38, 1)),
            (&["0.1234567890123456", "1"], DataType::Float64),
            (&["99999999999999999.99", "1.0e5"], DataType::Utf8),
            (&["1.0e5", "99999999999999999.99"], DataType::Utf8),
            (&["12345678901234567890123456789012345.6789", "1"], DataType::Utf8),
        ] {
            let mut columns = Columns::default();
            values.iter().for_each(|value| columns.see("n", ValueKind::text(value), value));
            assert_eq!(columns.fields()[0].data_type(), &expected, "{values:?}");
        }
        assert_eq!(ValueKind::Integer.and(ValueKind::Float), ValueKind::Float);
        assert_eq!(ValueKind::Integer.and(ValueKind::Whole), ValueKind::Whole);
        assert_eq!(ValueKind::Whole.and(ValueKind::Float), ValueKind::Text, "no digit is lost");
        assert_eq!(ValueKind::Integer.and(ValueKind::Boolean), ValueKind::Text);
        assert_eq!(ValueKind::Date.and(ValueKind::Instant), ValueKind::Instant);
        assert_eq!(ValueKind::Texts.and(ValueKind::Text), ValueKind::Json);
    }

    #[test]
    fn a_column_of_numbers_or_days_of_another_country_is_told_with_its_first_row() {
        for (values, expected) in [
            (&["1", "2,5", "1.234,56"][..], Some((ForeignForm::DecimalComma, 2))),
            (&["\"1,5\""], Some((ForeignForm::DecimalComma, 1))),
            (&["\"1,000\"", "7", "\"2,000\""], Some((ForeignForm::EitherComma, 1))),
            (&["\"1,000\"", "\"2,5\""], Some((ForeignForm::DecimalComma, 2))),
            (&["2024-12-31", "", "31.12.2024"], Some((ForeignForm::Day, 3))),
            (&["1,234.5", "7.5"], Some((ForeignForm::Thousands, 1))),
            (&["2,5", "n/a"], None),
            (&["n/a", "2,5"], None),
            (&["1", "2.5"], None),
            (&["true", "7"], None),
            (&["true", "2,5"], None),
            (&["2,5", "10:15:00"], None),
            (&["00501"], None),
        ] {
            let mut columns = Columns::default();
            columns.begin_file("a.csv");
            for value in values {
                columns.begin_row();
                columns.see("n", ValueKind::text(value), value);
            }
            let told = columns.foreign();
            assert!(told.iter().all(|one| (one.column.as_str(), one.file.as_str()) == ("n", "a.csv")), "{told:?}");
            assert_eq!(told.first().map(|one| (one.form, one.row)), expected, "{values:?}");
        }
    }
}
