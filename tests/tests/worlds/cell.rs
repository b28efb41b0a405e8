//! What a cell is when it is made, and whether a text that the gate prints is the same value.

use super::json::{Json, parse};
use super::plain::{array, decimal, moment, time};

/// A value, as its maker knows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    /// A field of a text file. Whatever type is found for its column, nothing of it may be lost.
    Field(String),
    Number(String),
    Double(f64),
    Truth(bool),
    Text(String),
    Bytes(Vec<u8>),
    /// A day, or a day and a time.
    Moment(String),
    /// A value of JSON, as it is written.
    Json(String),
    /// What the source's own client prints, as PostgreSQL prints it.
    Printed(String),
}

const NUMBERS: [&str; 6] = ["int2", "int4", "int8", "numeric", "float4", "float8"];
const MOMENTS: [&str; 3] = ["date", "timestamp", "timestamptz"];

impl Cell {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Whether it is NULL, or may be served as NULL.
    pub(crate) fn may_be_null(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Field(text) => text.is_empty(),
            Self::Json(text) => text == "null",
            _ => false,
        }
    }

    /// Whether the gate's answer, of a column of this type, is this value.
    pub(crate) fn is_shown_as(&self, got: Option<&str>, kind: &str) -> bool {
        let Some(got) = got else { return self.may_be_null() };
        match self {
            Self::Null => false,
            Self::Field(text) => is_field(text, got, kind),
            Self::Number(text) => {
                let truth = || kind == "bool" && (text == "1" && got == "t" || text == "0" && got == "f");
                same_number(text, got) || truth()
            }
            Self::Double(value) => got.parse::<f64>().is_ok_and(|got| got == *value || got.is_nan() && value.is_nan()),
            Self::Truth(value) => match kind {
                "bool" => got == if *value { "t" } else { "f" },
                _ => got == value.to_string() || got == u8::from(*value).to_string(),
            },
            Self::Text(text) => got == text || is_of_another_type(text, got, kind),
            Self::Bytes(bytes) => {
                let printed = bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}"));
                got == printed
            }
            Self::Moment(text) => moment(text).is_some() && moment(text) == moment(got),
            Self::Json(text) => is_json(text, got, kind),
            Self::Printed(text) => is_printed(text, got, kind),
        }
    }
}

fn same_number(one: &str, other: &str) -> bool {
    match (decimal(one), decimal(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.eq_ignore_ascii_case(other),
    }
}

/// A code has zeros before it, or a sign: as a number it is another text.
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text.starts_with('+') || digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.")
}

fn is_field(text: &str, got: &str, kind: &str) -> bool {
    if got == text {
        return true;
    }
    match kind {
        "bool" => text.eq_ignore_ascii_case(if got == "t" { "true" } else { "false" }),
        number if NUMBERS.contains(&number) => !is_code(text) && same_number(text, got),
        _ => is_of_another_type(text, got, kind),
    }
}

/// Of a text whose column is of days or times.
fn is_of_another_type(text: &str, got: &str, kind: &str) -> bool {
    match kind {
        "time" => time(text).is_some() && time(text) == time(got),
        day if MOMENTS.contains(&day) => moment(text).is_some() && moment(text) == moment(got),
        "json" | "jsonb" => parse(text).is_some() && parse(text) == parse(got),
        _ => false,
    }
}

fn is_json(text: &str, got: &str, kind: &str) -> bool {
    let Some(own) = parse(text) else { return false };
    if matches!(kind, "json" | "jsonb") {
        return parse(got).is_some_and(|got| got == own);
    }
    is_json_value(&own, got, kind)
}

fn is_json_value(own: &Json, got: &str, kind: &str) -> bool {
    let is_itself = || parse(got).is_some_and(|got| got == *own);
    match own {
        Json::Null => false,
        Json::Truth(value) => Cell::Truth(*value).is_shown_as(Some(got), kind),
        Json::Number(value) => decimal(got).is_some_and(|got| got == *value),
        Json::Text(text) => got == text || is_of_another_type(text, got, kind),
        Json::List(items) => {
            let (Some(item_kind), Some(got)) = (kind.strip_prefix('_'), array(got)) else { return is_itself() };
            let same = |(own, got): (&Json, &Option<String>)| match got {
                Some(got) => is_json_value(own, got, item_kind),
                None => *own == Json::Null,
            };
            items.len() == got.len() && items.iter().zip(&got).all(same)
        }
        Json::Object(_) => is_itself(),
    }
}

/// Letter for letter, but for what has several spellings.
fn is_printed(text: &str, got: &str, kind: &str) -> bool {
    if text == got {
        return true;
    }
    match kind {
        number if NUMBERS.contains(&number) => same_number(text, got),
        "bool" => text == if got == "t" { "1" } else { "0" },
        "bpchar" => text.trim_end_matches(' ') == got,
        "json" | "jsonb" => parse(text).is_some() && parse(text) == parse(got),
        list if list.starts_with('_') => {
            let (Some(own), Some(got)) = (array(text), array(got)) else { return false };
            let same = |(own, got): (&Option<String>, &Option<String>)| match (own, got) {
                (Some(own), Some(got)) => is_printed(own, got, &list[1..]),
                (own, got) => own == got,
            };
            own.len() == got.len() && own.iter().zip(&got).all(same)
        }
        _ => false,
    }
}

#[test]
fn values_are_known_in_every_spelling_and_others_are_not() {
    for (text, got, kind, expected) in [
        ("1.50", "1.5", "float8", true),
        ("007", "7", "int8", false),
        ("007", "007", "text", true),
        ("12345678901234567.89", "12345678901234568", "float8", false),
        ("2024-01-01T10:00:00+02:00", "2024-01-01 08:00:00+00", "timestamptz", true),
        ("2024-01-01T10:00:00", "2024-01-01 10:00:01", "timestamp", false),
        ("TRUE", "t", "bool", true),
        ("x ", "x", "text", false),
    ] {
        assert_eq!(Cell::Field(text.to_owned()).is_shown_as(Some(got), kind), expected, "{text} {got}");
    }
    assert!(Cell::Field(String::new()).is_shown_as(None, "text"));
    assert!(!Cell::text("").is_shown_as(None, "text"));
    let json = |text: &str| Cell::Json(text.to_owned());
    assert!(json("[\"a\",null]").is_shown_as(Some("{a,NULL}"), "_text"));
    assert!(json("{\"a\":1.0}").is_shown_as(Some("{\"a\": 1}"), "jsonb"));
    assert!(!json("9007199254740993").is_shown_as(Some("9007199254740992"), "float8"));
    assert!(!json("null").is_shown_as(Some(""), "text"));
}
