//! An answer against the recorded one, whole: status, code, members, values, order, texts of messages, and the headers that clients read.

use super::holes::{is_alike, is_any_number, is_anything};
use super::own::{is_set, without};
use serde_json::Value;
use std::collections::BTreeSet;

/// Headers that clients read.
const HEADERS: [&str; 8] = [
    "content-type",
    "allow",
    "cache-control",
    "content-disposition",
    "x-export-format",
    "x-export-limit",
    "x-objectstack-dropped-fields",
    "etag",
];
/// Members of refusals that people read.
const WORDS: [&str; 7] = ["error", "message", "developerMessage", "detail", "hint", "issues", "userMessage"];
/// Differences of one exchange that are told.
const TOLD: usize = 12;

/// What an answer does otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Status,
    Code,
    Header,
    Missing,
    Unexpected,
    Length,
    Value,
    Words,
}

/// One difference: where, and what stands there.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    pub(crate) kind: Kind,
    /// The path without places of lists.
    pub(crate) place: String,
    pub(crate) text: String,
}

/// The recorded half of an exchange.
pub(crate) struct Recorded<'r> {
    pub(crate) status: u16,
    pub(crate) headers: &'r Value,
    pub(crate) body: Body,
    /// No order was asked for.
    pub(crate) is_unordered: bool,
    /// The body depends on sessions, or on what ran before.
    pub(crate) is_status_only: bool,
}

pub(crate) enum Body {
    Json(Value),
    Text(String),
    None,
}

/// The gate's half.
pub(crate) struct Given<'g> {
    pub(crate) status: u16,
    pub(crate) header: &'g dyn Fn(&str) -> Option<String>,
    pub(crate) body: &'g Value,
    pub(crate) text: &'g str,
}

pub(crate) fn code(body: &Value) -> Option<&str> {
    body["code"].as_str().or_else(|| body["error"]["code"].as_str())
}

/// What an answer does otherwise than the recorded one; behind another status or code nothing is compared.
pub(crate) fn differences(recorded: &Recorded<'_>, given: &Given<'_>) -> Vec<Difference> {
    let mut found =
        Found { differences: Vec::new(), is_unordered: recorded.is_unordered, is_refusal: recorded.status >= 400 };
    if recorded.status != given.status {
        found.add(Kind::Status, "status", format!("{} for {}: {:.300}", given.status, recorded.status, given.text));
        return found.differences;
    }
    if recorded.is_status_only {
        return Vec::new();
    }
    if let Body::Json(body) = &recorded.body
        && code(body) != code(given.body)
    {
        let (ours, theirs) = (code(given.body), code(body));
        found.add(
            Kind::Code,
            "code",
            format!("{ours:?} for {theirs:?}: {:.300} for {:.300}", given.text, body.to_string()),
        );
        return found.differences;
    }
    match &recorded.body {
        Body::Json(body) => found.value("body", &without(body.clone()), &without(given.body.clone())),
        Body::Text(text) => found.text(text, given.text),
        Body::None if given.text.is_empty() => {}
        Body::None => found.add(Kind::Unexpected, "body", format!("{:.300}", given.text)),
    }
    // A body that is not there has no type.
    let is_told = |name: &str| recorded.status != 304 || name != "content-type";
    for name in HEADERS.into_iter().filter(|name| is_told(name)) {
        if let Some(expected) = recorded.headers[name].as_str() {
            let ours = (given.header)(name);
            // What an entity tag is made of is the server's own.
            let is = if name == "etag" {
                ours.is_some()
            } else {
                ours.as_deref().is_some_and(|own| is_alike(expected, own))
            };
            if !is {
                found.add(Kind::Header, name, format!("{ours:?} for {expected:?}"));
            }
        }
    }
    found.differences
}

struct Found {
    differences: Vec<Difference>,
    is_unordered: bool,
    is_refusal: bool,
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(400).collect()
}

/// Texts in answers that are no refusals: of rows that failed, and of the layers of a verdict.
fn is_text_for_people(path: &str, name: &str) -> bool {
    match name {
        "message" | "error" => path.starts_with("body.results["),
        "detail" | "via" => path.starts_with("body.layers["),
        _ => false,
    }
}

/// A path without the places of lists.
fn kind_of_place(path: &str) -> String {
    let mut place = String::new();
    let mut in_brackets = false;
    for sign in path.chars() {
        match sign {
            '[' => in_brackets = true,
            ']' => {
                in_brackets = false;
                place.push_str("[]");
            }
            _ if in_brackets => {}
            _ => place.push(sign),
        }
    }
    place
}

impl Found {
    fn add(&mut self, kind: Kind, path: &str, text: String) {
        if self.differences.len() < TOLD {
            self.differences.push(Difference { kind, place: kind_of_place(path), text: format!("{path}: {text}") });
        }
    }

    fn text(&mut self, expected: &str, text: &str) {
        let lines = |text: &str| text.split("\r\n").map(str::to_owned).collect::<Vec<_>>();
        let sorted = |text: &str| lines(text).into_iter().collect::<BTreeSet<_>>();
        if is_alike(expected, text) || (self.is_unordered && sorted(expected) == sorted(text)) {
            return;
        }
        let (theirs, ours) = (lines(expected), lines(text));
        let first =
            theirs.iter().zip(&ours).position(|(theirs, ours)| theirs != ours).unwrap_or(theirs.len().min(ours.len()));
        let line = |lines: &[String]| lines.get(first).cloned().unwrap_or_default();
        self.add(Kind::Value, "text", format!("line {first}: {:.300} for {:.300}", line(&ours), line(&theirs)));
    }

    fn value(&mut self, path: &str, expected: &Value, value: &Value) {
        match (expected, value) {
            (Value::String(expected), _) if is_anything(expected) => {}
            (Value::String(expected), Value::Number(_)) if is_any_number(expected) => {}
            (Value::String(expected), Value::String(text)) if is_alike(expected, text) => {}
            (Value::Number(expected), Value::Number(number)) if is_near(expected, number) => {}
            (Value::Array(expected), Value::Array(items)) => self.list(path, expected, items),
            (Value::Object(expected), Value::Object(members)) => {
                for (name, theirs) in expected {
                    let path = format!("{path}.{name}");
                    match members.get(name) {
                        None => self.add(Kind::Missing, &path, shown(theirs)),
                        Some(own) => self.value(&path, theirs, own),
                    }
                }
                for (name, own) in members.iter().filter(|(name, _)| !expected.contains_key(*name)) {
                    self.add(Kind::Unexpected, &format!("{path}.{name}"), shown(own));
                }
            }
            (expected, value) if expected == value => {}
            (expected, value) => {
                let name = path.rsplit('.').next().unwrap_or(path);
                let name = name.split('[').next().unwrap_or(name);
                let is_words = (self.is_refusal && WORDS.contains(&name)) || is_text_for_people(path, name);
                let kind = if is_words { Kind::Words } else { Kind::Value };
                self.add(kind, path, format!("{} for {}", shown(value), shown(expected)));
            }
        }
    }

    fn list(&mut self, path: &str, expected: &[Value], items: &[Value]) {
        if expected.len() != items.len() {
            let text = format!(
                "{} for {}: {:.200} for {:.200}",
                items.len(),
                expected.len(),
                Value::from(items).to_string(),
                Value::from(expected).to_string()
            );
            self.add(Kind::Length, path, text);
            return;
        }
        let is_list = matches!(path, "body" | "body.records" | "body.rows" | "body.hits" | "body.data.rows");
        if !(is_set(path) || self.is_unordered && is_list) {
            for (at, (expected, item)) in expected.iter().zip(items).enumerate() {
                self.value(&format!("{path}[{at}]"), expected, item);
            }
            return;
        }
        // Each expected one takes the item that is nearest to it.
        let mut left: Vec<&Value> = items.iter().collect();
        for (at, expected) in expected.iter().enumerate() {
            let tried = left.iter().enumerate().map(|(place, item)| (self.of(path, at, expected, item), place));
            let Some((nearest, place)) = tried.min_by_key(|(differences, _)| differences.len()) else { return };
            left.remove(place);
            for difference in nearest {
                if self.differences.len() < TOLD {
                    self.differences.push(difference);
                }
            }
        }
    }

    fn of(&self, path: &str, at: usize, expected: &Value, item: &Value) -> Vec<Difference> {
        let mut found = Self { differences: Vec::new(), is_unordered: false, is_refusal: self.is_refusal };
        found.value(&format!("{path}[{at}]"), expected, item);
        found.differences
    }
}

fn is_near(expected: &serde_json::Number, number: &serde_json::Number) -> bool {
    let (Some(expected), Some(number)) = (expected.as_f64(), number.as_f64()) else { return expected == number };
    expected == number || (expected - number).abs() <= 1e-9 * expected.abs().max(number.abs())
}
