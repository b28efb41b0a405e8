//! JSON with all digits of its numbers: two texts of one value are equal.

use super::plain::decimal;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Truth(bool),
    Number((bool, String, i64)),
    Text(String),
    List(Vec<Self>),
    /// Of keys that stand twice, the last one.
    Object(BTreeMap<String, Self>),
}

/// `None` for a text that is no JSON.
pub(crate) fn parse(text: &str) -> Option<Json> {
    let mut rest = text;
    let value = value(&mut rest)?;
    rest.trim().is_empty().then_some(value)
}

fn value(rest: &mut &str) -> Option<Json> {
    *rest = rest.trim_start();
    let word = |rest: &mut &str, word: &str, value: Json| {
        *rest = rest.strip_prefix(word)?;
        Some(value)
    };
    match rest.chars().next()? {
        'n' => word(rest, "null", Json::Null),
        't' => word(rest, "true", Json::Truth(true)),
        'f' => word(rest, "false", Json::Truth(false)),
        '"' => text(rest).map(Json::Text),
        '[' => list(rest),
        '{' => object(rest),
        _ => {
            let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            *rest = after;
            decimal(number).map(Json::Number)
        }
    }
}

/// A text with its quotes, by a parser that knows its escapes.
fn text(rest: &mut &str) -> Option<String> {
    let mut escaped = false;
    let mut ends = rest.char_indices().skip(1).filter(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let (end, _) = ends.next()?;
    let (quoted, after) = rest.split_at(end + 1);
    *rest = after;
    serde_json::from_str(quoted).ok()
}

/// Steps over a sign.
fn sign(rest: &mut &str, sign: char) -> bool {
    match rest.trim_start().strip_prefix(sign) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

fn list(rest: &mut &str) -> Option<Json> {
    let mut items = Vec::new();
    sign(rest, '[');
    if sign(rest, ']') {
        return Some(Json::List(items));
    }
    loop {
        items.push(value(rest)?);
        if !sign(rest, ',') {
            return sign(rest, ']').then_some(Json::List(items));
        }
    }
}

fn object(rest: &mut &str) -> Option<Json> {
    let mut members = BTreeMap::new();
    sign(rest, '{');
    if sign(rest, '}') {
        return Some(Json::Object(members));
    }
    loop {
        *rest = rest.trim_start();
        let key = text(rest)?;
        if !sign(rest, ':') {
            return None;
        }
        members.insert(key, value(rest)?);
        if !sign(rest, ',') {
            return sign(rest, '}').then_some(Json::Object(members));
        }
    }
}

#[test]
fn texts_of_one_value_are_equal() {
    assert_eq!(parse("{\"b\":1, \"a\" : [true,null,\"\\u00e9\"]}"), parse(" {\"a\":[true , null,\"é\"],\"b\":1.0}"));
    assert_ne!(parse("12345678901234567890123"), parse("12345678901234567890124"));
    assert_eq!(parse("{\"a\":1"), None);
    assert_eq!(parse("[1] 2"), None);
}
