//! Texts with placeholders for what differs between two runs: an id, a time, a number. A placeholder matches its own kind and nothing else.

/// A part of an expected text.
enum Part<'t> {
    Plain(&'t str),
    Hole(Kind),
}

/// What stands in place of a placeholder.
#[derive(Clone, Copy)]
enum Kind {
    Instant,
    Stamp,
    Id,
    Number,
    Token,
    /// A text that is not empty: an entity tag, a date of HTTP, a signed token.
    Some,
    Any,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "ts" => Self::Instant,
            "stamp" => Self::Stamp,
            "id" => Self::Id,
            "number" => Self::Number,
            "token" => Self::Token,
            "etag" | "http-date" | "jwt" => Self::Some,
            "any" => Self::Any,
            _ => return None,
        })
    }

    fn takes(self, text: &str) -> bool {
        match self {
            Self::Instant => is_instant(text),
            Self::Stamp => has_shape(text, "dddddddd-dddddd"),
            Self::Id => {
                !text.is_empty() && !text.contains(|sign: char| sign.is_whitespace() || "\",[]{}()'".contains(sign))
            }
            Self::Number => text.parse::<f64>().is_ok(),
            Self::Token => !text.contains(';'),
            Self::Some => !text.is_empty(),
            Self::Any => true,
        }
    }
}

/// `d` is a digit, `?` any sign.
fn has_shape(text: &str, shape: &str) -> bool {
    let is = |(sign, shape): (u8, u8)| match shape {
        b'd' => sign.is_ascii_digit(),
        b'?' => true,
        plain => sign == plain,
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(is)
}

fn is_instant(text: &str) -> bool {
    let (day, time) = text.split_at_checked(11).unwrap_or((text, ""));
    let time = time.strip_suffix('Z').unwrap_or(time);
    has_shape(day, "dddd-dd-dd?")
        && day.ends_with(['T', ' '])
        && !time.is_empty()
        && time.bytes().all(|sign| sign.is_ascii_digit() || matches!(sign, b':' | b'.'))
}

/// The parts of a text; one plain part where it has no placeholder.
fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    let mut from = 0;
    while let Some(at) = rest[from..].find("{{").map(|at| at + from) {
        let named = rest[at + 2..].find("}}").and_then(|end| Some((end, Kind::of(&rest[at + 2..at + 2 + end])?)));
        match named {
            Some((end, kind)) => {
                parts.extend((at > 0).then(|| Part::Plain(&rest[..at])));
                parts.push(Part::Hole(kind));
                (rest, from) = (&rest[at + 2 + end + 2..], 0);
            }
            None => from = at + 2,
        }
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Plain(rest));
    }
    parts
}

fn matches(parts: &[Part<'_>], text: &str) -> bool {
    match parts {
        [] => text.is_empty(),
        [Part::Plain(plain), rest @ ..] => text.strip_prefix(plain).is_some_and(|text| matches(rest, text)),
        [Part::Hole(kind)] => kind.takes(text),
        [Part::Hole(kind), rest @ ..] => {
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.any(|end| kind.takes(&text[..end]) && matches(rest, &text[end..]))
        }
    }
}

/// Whether a text is the expected one, with any value of its kind in place of each placeholder.
pub(crate) fn is_alike(expected: &str, text: &str) -> bool {
    expected == text || (expected.contains("{{") && matches(&parts(expected), text))
}

/// Whether an expected value is a number of any size.
pub(crate) fn is_any_number(expected: &str) -> bool {
    expected == "{{number}}"
}

/// Whether an expected value may be anything at all.
pub(crate) fn is_anything(expected: &str) -> bool {
    expected == "{{any}}"
}

#[test]
fn a_placeholder_takes_its_own_kind() {
    for (expected, text, is) in [
        ("{{ts}}", "2026-11-20T06:19:02.462Z", true),
        ("{{ts}}", "2026-11-20 06:19:02", true),
        ("{{ts}}", "2026-11-20", false),
        ("Record {{id}} not found", "Record a-1 not found", true),
        ("Record {{id}} not found", "Record a 1 not found", false),
        ("a {{b}} {{number}}", "a {{b}} 1.5", true),
        ("export-{{stamp}}.csv", "export-20261120-061902.csv", true),
        ("{{id}}", "", false),
        ("plain", "other", false),
    ] {
        assert_eq!(is_alike(expected, text), is, "{expected} {text}");
    }
}
