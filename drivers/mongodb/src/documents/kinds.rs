//! Which kinds of values a field holds, as documents were seen to hold them, and as what such a field reads.

use crate::documents::decimal::{self, Finite};
use crate::tree::place::OBJECT_ID;
use mongodb::bson::RawBsonRef;
use mongodb::bson::spec::BinarySubtype;
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::relation::{Collation, Encoding};
use querygate_driver_api::value::ValueType;

/// Digits of a decimal column whose values say nothing about them: enough for money, few enough to add up exactly.
const DECIMAL_PRECISION: u8 = 20;

/// Kinds of values that are no NULL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kinds {
    seen: u16,
    /// Digits of decimals before and after the point.
    whole: u8,
    scale: u8,
}

/// One kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool = 1,
    Int = 2,
    Long = 4,
    Double = 8,
    Decimal = 16,
    Text = 32,
    ObjectId = 64,
    Date = 128,
    Binary = 256,
    /// An array of texts and NULLs.
    Texts = 512,
    /// Documents, other arrays, and types that JSON has a form for only.
    Json = 1_024,
    /// Texts that are numbers.
    Digits = 2_048,
    /// Types that JSON has no form for but that of extended JSON: time stamps of the server's own, regular expressions, code and others.
    Extended = 4_096,
}

/// What a field among whose numbers are texts of numbers only is called; texts alone are `string`, whatever they hold.
const DIGITS: &str = "numeric string";

const KINDS: [(Kind, &str); 13] = [
    (Kind::Bool, "bool"),
    (Kind::Int, "int"),
    (Kind::Long, "long"),
    (Kind::Double, "double"),
    (Kind::Decimal, "decimal"),
    (Kind::Text, "string"),
    (Kind::ObjectId, "objectId"),
    (Kind::Date, "date"),
    (Kind::Binary, "binData"),
    (Kind::Texts, "array"),
    (Kind::Json, "json"),
    (Kind::Digits, DIGITS),
    (Kind::Extended, "extended json"),
];

impl Kind {
    const fn bit(self) -> u16 {
        self as u16
    }

    const fn within(self, kinds: u16) -> bool {
        kinds & self.bit() != 0
    }
}

impl Kinds {
    /// Notes a value; NULL is none.
    pub(crate) fn note(&mut self, value: RawBsonRef<'_>) {
        let kind = match value {
            RawBsonRef::Null | RawBsonRef::Undefined => return,
            RawBsonRef::Boolean(_) => Kind::Bool,
            RawBsonRef::Int32(_) => Kind::Int,
            RawBsonRef::Int64(_) => Kind::Long,
            RawBsonRef::Double(_) => Kind::Double,
            RawBsonRef::Decimal128(value) => {
                self.digits(&value);
                Kind::Decimal
            }
            RawBsonRef::String(text) if is_number(text) => Kind::Digits,
            RawBsonRef::String(_) => Kind::Text,
            RawBsonRef::ObjectId(_) => Kind::ObjectId,
            RawBsonRef::DateTime(_) => Kind::Date,
            RawBsonRef::Binary(binary) if binary.subtype == BinarySubtype::Generic => Kind::Binary,
            RawBsonRef::Array(items) => {
                let text = |item| matches!(item, Ok(RawBsonRef::String(_) | RawBsonRef::Null));
                if items.into_iter().all(text) { Kind::Texts } else { Kind::Json }
            }
            RawBsonRef::Timestamp(_)
            | RawBsonRef::RegularExpression(_)
            | RawBsonRef::JavaScriptCode(_)
            | RawBsonRef::JavaScriptCodeWithScope(_)
            | RawBsonRef::DbPointer(_)
            | RawBsonRef::MinKey
            | RawBsonRef::MaxKey => Kind::Extended,
            RawBsonRef::Document(_) | RawBsonRef::Binary(_) | RawBsonRef::Symbol(_) => Kind::Json,
        };
        self.seen |= kind.bit();
    }

    /// As where documents were seen too.
    pub(crate) fn with_documents(self) -> Self {
        Self { seen: self.seen | Kind::Json.bit(), ..self }
    }

    fn digits(&mut self, value: &mongodb::bson::Decimal128) {
        let Some(Finite { coefficient, exponent, .. }) = decimal::finite(value) else { return };
        let digits = i32::try_from(coefficient.checked_ilog10().map_or(1, |log| log + 1)).unwrap_or(39);
        let (whole, scale) = ((digits + exponent).max(0), (-exponent).max(0));
        self.whole = self.whole.max(u8::try_from(whole).unwrap_or(u8::MAX));
        self.scale = self.scale.max(u8::try_from(scale).unwrap_or(u8::MAX));
    }

    /// The source's own words: `int|double`; `null` where nothing was seen.
    pub(crate) fn words(self) -> String {
        let seen = match self.seen & Kind::Digits.bit() {
            0 => self.seen,
            digits if self.only(&NUMBERS_AND_DIGITS) && self.seen != digits => self.seen,
            digits => (self.seen & !digits) | Kind::Text.bit(),
        };
        let words: Vec<&str> = KINDS.iter().filter(|(kind, _)| kind.within(seen)).map(|(_, word)| *word).collect();
        if words.is_empty() { "null".to_owned() } else { words.join("|") }
    }

    /// From its words.
    pub(crate) fn parse(words: &str) -> Self {
        let bit = |word: &str| KINDS.iter().find(|(_, known)| *known == word).map_or(0, |(kind, _)| kind.bit());
        Self { seen: words.split('|').map(bit).fold(0, |all, bit| all | bit), whole: 0, scale: 0 }
    }

    /// Whether values of this kind were seen.
    pub(crate) const fn has(self, kind: Kind) -> bool {
        kind.within(self.seen)
    }

    /// Whether no value was seen of another kind than these.
    pub(crate) fn only(self, kinds: &[Kind]) -> bool {
        let allowed = kinds.iter().fold(0, |all, kind| all | kind.bit());
        self.seen & !allowed == 0
    }

    /// Texts are texts.
    fn of_texts(self) -> Self {
        let digits = self.seen & Kind::Digits.bit();
        let texts = if digits == 0 { 0 } else { Kind::Text.bit() };
        Self { seen: (self.seen & !digits) | texts, ..self }
    }

    /// The type and form of the field by itself. [`Encoding::Text`] means here: handed on, never compared.
    pub(crate) fn interpret(self) -> (ValueType, Encoding) {
        self.of_texts().interpreted()
    }

    fn interpreted(self) -> (ValueType, Encoding) {
        let canonical = |value_type| (value_type, Encoding::Canonical);
        match self.seen {
            0 => (ValueType::Text, Encoding::Text),
            _ if self.only(&[Kind::Bool]) => canonical(ValueType::Boolean),
            _ if self.only(&[Kind::Int, Kind::Long]) => canonical(ValueType::Int64),
            _ if self.only(&[Kind::Int, Kind::Long, Kind::Double]) => canonical(ValueType::Float64),
            _ if self.only(&[Kind::Int, Kind::Long, Kind::Decimal]) && self.fits() => {
                let scale = i8::try_from(self.scale).unwrap_or(0);
                canonical(ValueType::Decimal128 { precision: DECIMAL_PRECISION, scale })
            }
            _ if self.only(&[Kind::Text]) || self.only(&[Kind::ObjectId]) => canonical(ValueType::Text),
            _ if self.only(&[Kind::Date]) => canonical(ValueType::Timestamp { utc: true }),
            _ if self.only(&[Kind::Binary]) => canonical(ValueType::Binary),
            _ if self.only(&[Kind::Texts]) => canonical(ValueType::TextList),
            _ => (ValueType::Text, Encoding::Text),
        }
    }

    fn fits(self) -> bool {
        self.whole.saturating_add(self.scale) <= DECIMAL_PRECISION
    }

    /// How the source would compare it.
    pub(crate) fn collation(self) -> Collation {
        if self.seen != 0 && self.only(&[Kind::ObjectId]) {
            Collation::Named(OBJECT_ID.into())
        } else {
            Collation::Binary
        }
    }

    /// In which form values of any kinds are read, where those that are none of the type are passed over.
    pub(crate) const fn read_whatever(wanted: ValueType) -> Option<Encoding> {
        match wanted {
            ValueType::Decimal128 { .. } | ValueType::Date | ValueType::Time | ValueType::Timestamp { .. } => {
                Some(Encoding::Text)
            }
            ValueType::Boolean
            | ValueType::Int16
            | ValueType::Int32
            | ValueType::Int64
            | ValueType::Float64
            | ValueType::Text
            | ValueType::Binary
            | ValueType::TextList => Some(Encoding::Canonical),
            ValueType::Float32 | ValueType::List(_) => None,
        }
    }

    /// In which form it reads as `wanted`. Values that were not seen and do not fit are errors when they are met.
    pub(crate) fn read_as(self, wanted: ValueType) -> Result<Encoding, Refusal> {
        let exact = |kinds: &[Kind]| self.only(kinds).then_some(Encoding::Canonical);
        let numbers = [Kind::Int, Kind::Long, Kind::Double, Kind::Decimal];
        let read = |kinds: &[Kind]| self.only(kinds).then_some(Encoding::Text);
        let fits = match wanted {
            ValueType::Boolean => exact(&[Kind::Bool]),
            ValueType::Int16 | ValueType::Int32 | ValueType::Int64 => exact(&numbers),
            // A decimal fraction is no double.
            ValueType::Float64 => exact(&[Kind::Int, Kind::Long, Kind::Double]).or_else(|| read(&numbers)),
            ValueType::Float32 => None,
            ValueType::Decimal128 { .. } => exact(&[Kind::Int, Kind::Long, Kind::Decimal])
                .or_else(|| self.only(&numbers).then_some(Encoding::Double))
                // Money as text, or some of it.
                .or_else(|| read(&[Kind::Int, Kind::Long, Kind::Decimal, Kind::Digits]))
                .or_else(|| read(&[Kind::Text, Kind::Digits])),
            ValueType::Text if self.seen != 0 => {
                exact(&[Kind::Text]).or_else(|| exact(&[Kind::ObjectId])).or(Some(Encoding::Text))
            }
            ValueType::Text => Some(Encoding::Canonical),
            ValueType::Binary => exact(&[Kind::Binary]),
            ValueType::Date | ValueType::Timestamp { .. } => {
                exact(&[Kind::Date]).or_else(|| read(&[Kind::Date, Kind::Text]))
            }
            ValueType::Time => read(&[Kind::Text]),
            ValueType::TextList => exact(&[Kind::Texts]),
            ValueType::List(_) => None,
        };
        fits.ok_or_else(|| {
            let text = format!("a field with such values in the source does not read as {}", wanted.name());
            Refusal::new(RefusalReason::Encoding, text)
        })
    }
}

const NUMBERS_AND_DIGITS: [Kind; 5] = [Kind::Int, Kind::Long, Kind::Double, Kind::Decimal, Kind::Digits];

/// Whether a text is a number as metadata's decimals are.
fn is_number(text: &str) -> bool {
    let of_one = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    text.bytes().all(of_one) && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_among_numbers_are_told_apart_by_whether_they_are_numbers() {
        let words = |texts: &[&str], number: bool| {
            let mut kinds = Kinds::default();
            texts.iter().for_each(|text| kinds.note(RawBsonRef::String(text)));
            if number {
                kinds.note(RawBsonRef::Int32(1));
            }
            (kinds.words(), kinds.interpret().0 == ValueType::Text)
        };
        assert_eq!(words(&["1", "-2.50"], true), ("int|numeric string".to_owned(), true));
        assert_eq!(words(&["1", "two"], true), ("int|string".to_owned(), true));
        assert_eq!(words(&["", "1"], true), ("int|string".to_owned(), true));
        assert_eq!(words(&["1", "2"], false), ("string".to_owned(), true));
        assert_eq!(words(&["1", "two"], false), ("string".to_owned(), true));
    }

    #[test]
    fn fields_read_as_what_they_hold() {
        let decimal = ValueType::Decimal128 { precision: 18, scale: 2 };
        for (words, wanted, expected) in [
            ("int", ValueType::Int64, Some(Encoding::Canonical)),
            ("int|double", ValueType::Float64, Some(Encoding::Canonical)),
            ("decimal", ValueType::Float64, Some(Encoding::Text)),
            ("decimal|int", decimal, Some(Encoding::Canonical)),
            ("double", decimal, Some(Encoding::Double)),
            ("string", decimal, Some(Encoding::Text)),
            ("int|numeric string", decimal, Some(Encoding::Text)),
            ("int|string", decimal, None),
            ("int|numeric string", ValueType::Text, Some(Encoding::Text)),
            ("int|numeric string", ValueType::Int64, None),
            ("string", ValueType::Date, Some(Encoding::Text)),
            ("date", ValueType::Date, Some(Encoding::Canonical)),
            ("json", ValueType::Text, Some(Encoding::Text)),
            ("objectId", ValueType::Text, Some(Encoding::Canonical)),
            ("objectId|string", ValueType::Text, Some(Encoding::Text)),
            ("null", ValueType::Int32, Some(Encoding::Canonical)),
            ("json", ValueType::Int64, None),
            ("extended json", ValueType::Text, Some(Encoding::Text)),
            ("extended json", ValueType::Timestamp { utc: true }, None),
            ("string", ValueType::Int64, None),
            ("double", ValueType::Float32, None),
        ] {
            let kinds = Kinds::parse(words);
            assert_eq!(kinds.words().split('|').count(), words.split('|').count());
            assert_eq!(kinds.read_as(wanted).ok(), expected, "{words} as {wanted:?}");
        }
    }
}
