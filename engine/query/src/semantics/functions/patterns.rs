//! Functions of regular expressions, on an engine whose time is linear in the text. Postgres' classes and escapes are
//! read as far as both agree; look-around and back-references are refused as invalid.

use super::form::{P, R, form};
use super::series::MEMBERS_MAX;
use super::{Def, Row, Value, strict};
use crate::semantics::fault::external;
use arrow::array::{ListBuilder, StringBuilder};
use datafusion::common::Result;
use querygate_types::{Error, ErrorCode};
use regex::{Captures, Regex};
use std::rc::Rc;
use std::sync::Arc;

const TWO: &[P] = &[P::Text, P::Text];
const THREE: &[P] = &[P::Text, P::Text, P::Text];

pub(super) const DEFS: &[Def] = &[
    strict("regexp_all_matches", &[form(TWO, R::By(lists), all_matches), form(THREE, R::By(lists), all_matches)]),
    strict("regexp_split_to_array", &[form(TWO, R::TextArray, split), form(THREE, R::TextArray, split)]),
    strict(
        "regexp_substr",
        &[form(TWO, R::Text, |r| {
            let found = compiled(r, "")?.find(r.text(0)).map(|m| m.as_str().to_owned());
            Ok(found.map_or(Value::Null, Value::Text))
        })],
    ),
    strict("regexp_replace", &[form(TWO_TO, R::Text, replaced), form(FOUR, R::Text, replaced)]),
    strict(
        "regexp_count",
        &[
            form(TWO, R::Int4, |r| counted(r, 0, "")),
            form(&[P::Text, P::Text, P::Int], R::Int4, |r| counted(r, r.int(2) - 1, "")),
            form(&[P::Text, P::Text, P::Int, P::Text], R::Int4, |r| counted(r, r.int(2) - 1, r.text(3))),
        ],
    ),
    strict(
        "regexp_instr",
        &[form(TWO, R::Int4, |r| {
            let text = r.text(0);
            let place = compiled(r, "")?.find(text).map_or(0, |m| text[..m.start()].chars().count() + 1);
            Ok(Value::Int(i64::try_from(place).unwrap_or(i64::MAX)))
        })],
    ),
    strict(
        "similar_to",
        &[form(TWO, R::Bool, |r| {
            let pattern = similar(r.text(1));
            Ok(Value::Bool(r.patterns.compiled(&pattern, "s", r.text(0))?.is_match(r.text(0))))
        })],
    ),
];

const TWO_TO: &[P] = &[P::Text, P::Text, P::Text];
const FOUR: &[P] = &[P::Text, P::Text, P::Text, P::Text];

fn lists(
    _: &[arrow::datatypes::FieldRef],
    _: &[Option<&datafusion::common::ScalarValue>],
) -> Result<arrow::datatypes::Field> {
    Ok(arrow::datatypes::Field::new("matches", super::form::list(super::jsons::texts()), true))
}

/// The expression of an argument, to be looked for in the first one.
fn compiled(row: &Row<'_>, flags: &str) -> Result<Rc<Regex>> {
    row.patterns.compiled(row.text(1), flags, row.text(0))
}

/// The members of a result, where they are not too many.
fn bounded_members(members: usize) -> Result<usize> {
    if members <= MEMBERS_MAX {
        return Ok(members);
    }
    Err(external(Error::new(ErrorCode::ProgramLimitExceeded, "too many regular expression matches")))
}

/// The groups of a match, or all of it.
fn groups(found: &Captures<'_>) -> Vec<Option<String>> {
    let text = |at: usize| found.get(at).map(|m| m.as_str().to_owned());
    if found.len() > 1 { (1..found.len()).map(text).collect() } else { vec![text(0)] }
}

fn all_matches(row: &Row<'_>) -> Result<Value> {
    let flags = if row.len() > 2 { row.text(2) } else { "" };
    let expression = compiled(row, flags)?;
    let many = if flags.contains('g') { usize::MAX } else { 1 };
    // One list of lists: a value for each match would take a hundred times its text.
    let mut rows = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    let mut members = 0;
    for found in expression.captures_iter(row.text(0)).take(many) {
        let texts = groups(&found);
        members = bounded_members(members + texts.len())?;
        let one = rows.values();
        texts.iter().for_each(|text| one.values().append_option(text.as_deref()));
        one.append(true);
    }
    rows.append(true);
    Ok(Value::Any(datafusion::common::ScalarValue::List(Arc::new(rows.finish()))))
}

fn split(row: &Row<'_>) -> Result<Value> {
    let flags = if row.len() > 2 { row.text(2) } else { "" };
    let (text, expression) = (row.text(0), compiled(row, flags)?);
    let mut parts = Vec::new();
    let mut from = 0;
    for found in expression.find_iter(text) {
        // An empty match at either end splits nothing off.
        if found.is_empty() && (found.start() == 0 || found.end() == text.len()) {
            continue;
        }
        parts.push(Some(text[from..found.start()].to_owned()));
        bounded_members(parts.len())?;
        from = found.end();
    }
    parts.push(Some(text[from..].to_owned()));
    Ok(Value::Texts(parts))
}

fn replaced(row: &Row<'_>) -> Result<Value> {
    let flags = if row.len() > 3 { row.text(3) } else { "" };
    let expression = compiled(row, flags)?;
    let (text, template) = (row.text(0), row.text(2));
    let mut out = String::new();
    let mut from = 0;
    let many = if flags.contains('g') { usize::MAX } else { 1 };
    for found in expression.captures_iter(text).take(many) {
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&text[from..whole.start()]);
        fill(template, &found, &mut out);
        super::texts::bounded(Some(out.len()))?;
        from = whole.end();
    }
    out.push_str(&text[from..]);
    Ok(Value::Text(out))
}

/// `\1` to `\9` are groups, `\&` the whole match.
fn fill(template: &str, found: &Captures<'_>, out: &mut String) {
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => out.push_str(found.get(0).map_or("", |m| m.as_str())),
            Some(digit @ '1'..='9') => {
                let at = digit.to_digit(10).and_then(|d| usize::try_from(d).ok()).unwrap_or(0);
                out.push_str(found.get(at).map_or("", |m| m.as_str()));
            }
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
}

fn counted(row: &Row<'_>, skip: i64, flags: &str) -> Result<Value> {
    let skip = usize::try_from(skip)
        .map_err(|_| external(Error::new(ErrorCode::InvalidParameterValue, "invalid value for parameter \"start\"")))?;
    let text = row.text(0);
    let from = text.char_indices().nth(skip).map_or(text.len(), |(at, _)| at);
    let count = compiled(row, flags)?.find_iter(&text[from..]).count();
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// A pattern of SIMILAR TO as a regular expression over the whole text.
fn similar(pattern: &str) -> String {
    let mut out = String::from("^(?:");
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                if let Some(next) = chars.next() {
                    out.push_str(&regex::escape(&next.to_string()));
                }
            }
            '[' => {
                in_class = true;
                out.push(c);
            }
            ']' => {
                in_class = false;
                out.push(c);
            }
            _ if in_class => out.push(c),
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '.' | '^' | '$' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out + ")$"
}
