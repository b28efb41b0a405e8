//! Forms of texts and numbers as the vendor's patterns have them. Knows no field.

use serde_json::{Number, Value};

/// Operators of the filter language (reference 5.1), which have no place among values.
pub(in crate::rules) const FILTER_OPERATORS: &[&str] = &[
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$between",
    "$contains",
    "$notContains",
    "$startsWith",
    "$endsWith",
    "$icontains",
    "$like",
    "$ilike",
    "$null",
    "$exists",
    "$not",
    "$and",
    "$or",
    "$field",
    "$regex",
    "$options",
];

/// Length in the units of JavaScript, of which a character outside the first plane has two.
pub(in crate::rules) fn js_length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// `^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$`
pub(in crate::rules) fn has_email_form(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '@');
    is_plain(local) && domain.contains('.') && domain.split('.').all(is_plain)
}

/// `scheme://…` without blanks, a path, or a `data:` or `blob:` address.
pub(in crate::rules) fn has_url_form(text: &str) -> bool {
    if text.contains(char::is_whitespace) {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    if lower.starts_with('/') {
        return true;
    }
    if let Some(rest) = lower.strip_prefix("data:").or_else(|| lower.strip_prefix("blob:")) {
        return !rest.is_empty();
    }
    let Some((scheme, rest)) = lower.split_once("://") else { return false };
    let mut bytes = scheme.bytes();
    matches!(bytes.next(), Some(b'a'..=b'z'))
        && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'.' | b'-'))
        && !rest.is_empty()
}

/// `^[+()\-\s\d.]{5,}$`
pub(in crate::rules) fn has_phone_form(text: &str) -> bool {
    js_length(text) >= 5
        && text.chars().all(|c| c.is_whitespace() || matches!(c, '+' | '(' | ')' | '-' | '.' | '0'..='9'))
}

/// The stricter form of a format validation: `^\+?[\d\s().-]{7,20}$`.
pub(in crate::rules) fn has_strict_phone_form(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (7..=20).contains(&js_length(digits))
        && digits.chars().all(|c| c.is_whitespace() || matches!(c, '(' | ')' | '-' | '.' | '0'..='9'))
}

/// The stricter form of a format validation: an absolute address.
pub(in crate::rules) fn is_absolute_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.trim().split_once(':') else { return false };
    let mut bytes = scheme.bytes();
    let has_scheme = matches!(bytes.next(), Some(b'a'..=b'z' | b'A'..=b'Z'))
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'));
    let is_special = ["http", "https", "ws", "wss", "ftp"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let host = rest.trim_start_matches(['/', '\\']);
    has_scheme && (!is_special || !host.is_empty()) && !rest.contains(char::is_whitespace)
}

/// `^[A-Za-z0-9_-]{1,64}$`
pub(in crate::rules) fn is_file_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// The finite number that a text is, surrounded by blanks or not.
pub(in crate::rules) fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Number::from(whole));
    }
    let float: f64 = text.parse().ok().filter(|float: &f64| float.is_finite())?;
    match json_number(float) {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

/// The number as JSON, whole ones without a point; null where it is not finite.
pub(in crate::rules) fn json_number(float: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    if float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 {
        return Value::from(float as i64);
    }
    Number::from_f64(float).map_or(Value::Null, Value::Number)
}

/// The number as JavaScript writes it, but for very large and very small ones.
pub(in crate::rules) fn shown(float: f64) -> String {
    float.to_string()
}

/// Digits after the point of the shortest text that is the number.
pub(in crate::rules) fn decimal_places(float: f64) -> usize {
    let text = float.to_string();
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// A plain decimal with more digits than a double holds.
pub(in crate::rules) fn long_decimal(text: &str) -> Option<&str> {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain(whole) && is_plain(fraction) && whole.len() + fraction.len() > DOUBLE_DIGITS).then_some(text)
}

/// Decimal digits that every double keeps.
const DOUBLE_DIGITS: usize = 15;

/// Digits after the point, without zeros at the end.
pub(in crate::rules) fn text_places(decimal: &str) -> usize {
    decimal.split_once('.').map_or(0, |(_, fraction)| fraction.trim_end_matches('0').len())
}

/// The whole number that a plain decimal is; zeros after its point count for nothing.
pub(in crate::rules) fn whole(decimal: &str) -> Option<i128> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    if fraction.bytes().any(|digit| digit != b'0') {
        return None;
    }
    whole.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        type Form = fn(&str) -> bool;
        let check = |form: Form, good: &[&str], bad: &[&str]| {
            good.iter().for_each(|text| assert!(form(text), "{text}"));
            bad.iter().for_each(|text| assert!(!form(text), "{text}"));
        };
        check(
            has_email_form,
            &["a@b.c", "a.b@c.d.e"],
            &["no-at-sign", "a@b", "a@b..c", "a b@c.d", "a@@b.c", "@b.c", "a@.c"],
        );
        check(
            has_url_form,
            &["https://x", "HTTP://X/y", "/path", "//host/p", "data:x", "blob:x", "libsql://d"],
            &["no scheme", "example.com", "http://", "https://a b", "data:", "1x://a"],
        );
        check(has_phone_form, &["13800131032", "+1 (2) 3.4-5"], &["call", "1234", "12345x"]);
        check(has_strict_phone_form, &["+41 44 123 45", "1234567"], &["123456", "++1234567", "123456789012345678901"]);
        check(is_absolute_url, &["https://x/y", "mailto:a"], &["x/y", "https://", ":x", "no scheme: at all"]);
        check(is_file_id, &["file_9", "a-b"], &["", "a/b", "ä"]);
    }

    #[test]
    fn numbers() {
        for (text, expected) in
            [("12", Some("12")), (" 1.5 ", Some("1.5")), ("1e3", Some("1000")), ("-0.5", Some("-0.5"))]
        {
            assert_eq!(number(text).map(|n| n.to_string()).as_deref(), expected, "{text}");
        }
        for text in ["abc", "", "Infinity", "NaN", "inf", "1e999", "1,5", "--1"] {
            assert_eq!(number(text), None, "{text}");
        }
        for (float, places) in [(1.0, 0), (1.123_456, 6), (0.1, 1), (-2.50, 1), (1e21, 0)] {
            assert_eq!(decimal_places(float), places, "{float}");
        }
        assert_eq!(long_decimal(" 12345678901234567890.50"), Some("12345678901234567890.50"));
        assert_eq!((long_decimal("1.5"), long_decimal("1234567890123456e1")), (None, None));
        assert_eq!((text_places("1.2500"), text_places("1")), (2, 0));
        for (text, expected) in [
            ("-9223372036854775808", Some(-9_223_372_036_854_775_808)),
            ("12345678901234567.000", Some(12_345_678_901_234_567)),
            ("1.5", None),
            ("x", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
        assert_eq!(whole(&1e20_f64.to_string()), Some(100_000_000_000_000_000_000));
        assert_eq!(js_length("a😀"), 3);
    }
}
