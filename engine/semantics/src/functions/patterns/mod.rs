//! Functions of regular expressions. What they find is as in PostgreSQL but for one thing: the first branch that matches, not the longest.

pub(super) mod compiled;
pub(super) mod like;

use crate::fault::external;
use crate::functions::call::form::{P, R, form};
use crate::functions::regexes::{Groups, Matcher, next_character};
use crate::functions::series::MEMBERS_MAX;
use crate::functions::{Def, Row, Value, strict};
use arrow::array::{ListBuilder, StringBuilder};
use datafusion::common::Result;
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

const TWO: &[P] = &[P::Text, P::Text];
const THREE: &[P] = &[P::Text, P::Text, P::Text];

pub(super) const DEFS: &[Def] = &[
    strict(
        "regexp_like",
        &[
            form(TWO, R::Bool, |r| is_like(r, "")),
            form(THREE, R::Bool, |r| is_like(r, single(r.text(2), "regexp_like()")?)),
        ],
    ),
    strict(
        "regexp_match",
        &[
            form(TWO, R::TextArray, |r| first_match(r, "")),
            form(THREE, R::TextArray, |r| first_match(r, single(r.text(2), "regexp_match()")?)),
        ],
    ),
    strict("regexp_all_matches", &[form(TWO, R::By(lists), all_matches), form(THREE, R::By(lists), all_matches)]),
    strict("regexp_split_to_array", &[form(TWO, R::TextArray, split), form(THREE, R::TextArray, split)]),
    strict(
        "regexp_substr",
        &[
            form(TWO, R::Text, |r| substring(r, &Search::default())),
            form(&[P::Text, P::Text, P::Int], R::Text, |r| substring(r, &Search::from(r)?)),
            form(&[P::Text, P::Text, P::Int, P::Int], R::Text, |r| substring(r, &Search::from(r)?)),
            form(&[P::Text, P::Text, P::Int, P::Int, P::Text], R::Text, |r| {
                substring(r, &Search { flags: single(r.text(4), "regexp_substr()")?, ..Search::from(r)? })
            }),
            form(&[P::Text, P::Text, P::Int, P::Int, P::Text, P::Int], R::Text, |r| {
                let flags = single(r.text(4), "regexp_substr()")?;
                substring(r, &Search { flags, group: at_least(r.int(5), 0, "subexpr")?, ..Search::from(r)? })
            }),
        ],
    ),
    strict(
        "regexp_replace",
        &[
            form(TWO_TO, R::Text, |r| replaced(r, "", 0, Some(1))),
            form(FOUR, R::Text, |r| replaced(r, options(r.text(3))?, 0, many(r.text(3)))),
            form(&[P::Text, P::Text, P::Text, P::Int], R::Text, |r| {
                replaced(r, "", at_least(r.int(3), 1, "start")? - 1, Some(1))
            }),
            form(&[P::Text, P::Text, P::Text, P::Int, P::Int], R::Text, |r| replaced_nth(r, "")),
            form(&[P::Text, P::Text, P::Text, P::Int, P::Int, P::Text], R::Text, |r| replaced_nth(r, r.text(5))),
        ],
    ),
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
        &[
            form(TWO, R::Int4, |r| place(r, &Search::default(), false)),
            form(&[P::Text, P::Text, P::Int], R::Int4, |r| place(r, &Search::from(r)?, false)),
            form(&[P::Text, P::Text, P::Int, P::Int], R::Int4, |r| place(r, &Search::from(r)?, false)),
            form(&[P::Text, P::Text, P::Int, P::Int, P::Int], R::Int4, |r| place(r, &Search::from(r)?, end(r)?)),
            form(&[P::Text, P::Text, P::Int, P::Int, P::Int, P::Text], R::Int4, |r| {
                let (search, end) = (Search::from(r)?, end(r)?);
                place(r, &Search { flags: single(r.text(5), "regexp_instr()")?, ..search }, end)
            }),
            form(&[P::Text, P::Text, P::Int, P::Int, P::Int, P::Text, P::Int], R::Int4, |r| {
                let (search, end) = (Search::from(r)?, end(r)?);
                let flags = single(r.text(5), "regexp_instr()")?;
                place(r, &Search { flags, group: at_least(r.int(6), 0, "subexpr")?, ..search }, end)
            }),
        ],
    ),
    strict("substring_similar", &[form(THREE, R::Text, similar_part)]),
    strict(
        "similar_to",
        &[form(TWO, R::Bool, |r| {
            let pattern = similar(r.text(1))?;
            Ok(Value::Bool(r.patterns.compiled(&pattern, "s", r.text(0))?.is_match(r.text(0))?))
        })],
    ),
];

const TWO_TO: &[P] = &[P::Text, P::Text, P::Text];
const FOUR: &[P] = &[P::Text, P::Text, P::Text, P::Text];

fn lists(
    _: &[arrow::datatypes::FieldRef],
    _: &[Option<&datafusion::common::ScalarValue>],
) -> Result<arrow::datatypes::Field> {
    Ok(arrow::datatypes::Field::new("matches", super::call::form::list(super::json::texts()), true))
}

/// The expression of an argument, to be looked for in the first one.
fn compiled(row: &Row<'_>, flags: &str) -> Result<Matcher> {
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
fn groups(text: &str, found: &Groups<'_>) -> Vec<Option<String>> {
    let of = |at: usize| found.get(at).map(|range| text[range].to_owned());
    if found.len() > 1 { (1..found.len()).map(of).collect() } else { vec![of(0)] }
}

fn is_like(row: &Row<'_>, flags: &str) -> Result<Value> {
    Ok(Value::Bool(compiled(row, flags)?.is_match(row.text(0))?))
}

fn first_match(row: &Row<'_>, flags: &str) -> Result<Value> {
    let found = compiled(row, flags)?.groups_at(row.text(0), 0)?;
    Ok(found.map_or(Value::Null, |found| Value::Texts(groups(row.text(0), &found))))
}

fn all_matches(row: &Row<'_>) -> Result<Value> {
    let flags = if row.len() > 2 { row.text(2) } else { "" };
    let expression = compiled(row, flags)?;
    let many = if flags.contains('g') { usize::MAX } else { 1 };
    // One list of lists: a value for each match would take a hundred times its text.
    let mut rows = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    let mut members = 0;
    for found in expression.all_groups(row.text(0), 0).take(many) {
        let texts = groups(row.text(0), &found?);
        members = bounded_members(members + texts.len())?;
        let one = rows.values();
        texts.iter().for_each(|text| one.values().append_option(text.as_deref()));
        one.append(true);
    }
    rows.append(true);
    Ok(Value::Any(datafusion::common::ScalarValue::List(Arc::new(rows.finish()))))
}

fn split(row: &Row<'_>) -> Result<Value> {
    let flags = if row.len() > 2 { single(row.text(2), "regexp_split_to_array()")? } else { "" };
    let (text, expression) = (row.text(0), compiled(row, flags)?);
    let mut parts = Vec::new();
    let (mut from, mut last) = (0, 0);
    for found in expression.finds(text, 0) {
        let found = found?;
        // An empty match at either end or behind another match splits nothing off.
        if found.start < text.len() && found.end > last {
            parts.push(Some(text[from..found.start].to_owned()));
            bounded_members(parts.len())?;
            from = found.end;
        }
        last = found.end;
    }
    parts.push(Some(text[from..].to_owned()));
    Ok(Value::Texts(parts))
}

/// What one occurrence of a pattern is looked for by.
struct Search<'a> {
    /// Characters before the place to begin.
    skip: usize,
    /// Which occurrence, from 1.
    nth: usize,
    flags: &'a str,
    /// Which group; 0 is all of it.
    group: usize,
}

impl Default for Search<'_> {
    fn default() -> Self {
        Self { skip: 0, nth: 1, flags: "", group: 0 }
    }
}

impl Search<'_> {
    /// Of the arguments after text and pattern: where to begin, and which occurrence.
    fn from(row: &Row<'_>) -> Result<Self> {
        let nth = if row.len() > 3 { at_least(row.int(3), 1, "n")? } else { 1 };
        Ok(Self { skip: at_least(row.int(2), 1, "start")? - 1, nth, ..Self::default() })
    }

    /// Where the occurrence lies in the text, in bytes.
    fn found(&self, row: &Row<'_>) -> Result<Option<std::ops::Range<usize>>> {
        let text = row.text(0);
        let Some(from) = byte_of(text, self.skip) else { return Ok(None) };
        let expression = compiled(row, self.flags)?;
        if self.group == 0 && self.nth == 1 {
            return expression.find_at(text, from);
        }
        Ok(nth(&expression, text, from, self.nth)?.and_then(|found| found.get(self.group)))
    }
}

/// The byte at which a character begins, the end included.
fn byte_of(text: &str, character: usize) -> Option<usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(character)
}

/// An occurrence from a place on.
fn nth<'t>(expression: &Matcher, text: &'t str, from: usize, nth: usize) -> Result<Option<Groups<'t>>> {
    let mut at = from;
    for _ in 1..nth {
        let Some(found) = expression.find_at(text, at)? else { return Ok(None) };
        let next = if found.is_empty() { next_character(text, found.end) } else { Some(found.end) };
        let Some(next) = next else { return Ok(None) };
        at = next;
    }
    expression.groups_at(text, at)
}

fn wrong_value(parameter: &str) -> datafusion::common::DataFusionError {
    external(Error::new(ErrorCode::InvalidParameterValue, format!("invalid value for parameter \"{parameter}\"")))
}

fn at_least(value: i64, least: usize, parameter: &str) -> Result<usize> {
    usize::try_from(value).ok().filter(|value| *value >= least).ok_or_else(|| wrong_value(parameter))
}

/// Flags of a function that finds one occurrence.
fn single<'a>(flags: &'a str, function: &str) -> Result<&'a str> {
    if !flags.contains('g') {
        return Ok(flags);
    }
    let message = format!("{function} does not support the \"global\" option");
    Err(external(Error::new(ErrorCode::InvalidParameterValue, message)))
}

/// Whether the place behind the occurrence is asked for.
fn end(row: &Row<'_>) -> Result<bool> {
    match row.int(4) {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(wrong_value("endoption")),
    }
}

fn substring(row: &Row<'_>, search: &Search<'_>) -> Result<Value> {
    Ok(search.found(row)?.map_or(Value::Null, |range| Value::Text(row.text(0)[range].to_owned())))
}

fn place(row: &Row<'_>, search: &Search<'_>, end: bool) -> Result<Value> {
    let found = search.found(row)?.map(|range| if end { range.end } else { range.start });
    let place = found.map_or(0, |at| row.text(0)[..at].chars().count() + 1);
    Ok(Value::Int(i64::try_from(place).unwrap_or(i64::MAX)))
}

/// The flags of a replacement; a number there is a mistake for the form with a start.
fn options(flags: &str) -> Result<&str> {
    match flags.chars().next() {
        Some(first) if first.is_ascii_digit() => {
            let message = format!("invalid regular expression option: \"{first}\"");
            let hint = "If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.";
            Err(external(Error::new(ErrorCode::InvalidParameterValue, message).with_hint(hint)))
        }
        _ => Ok(flags),
    }
}

/// How many occurrences are replaced.
fn many(flags: &str) -> Option<usize> {
    if flags.contains('g') { None } else { Some(1) }
}

/// The n-th occurrence, all of them for 0.
fn replaced_nth(row: &Row<'_>, flags: &str) -> Result<Value> {
    let skip = at_least(row.int(3), 1, "start")? - 1;
    let which = at_least(row.int(4), 0, "n")?;
    if which == 0 {
        return replaced(row, flags, skip, None);
    }
    let (text, template) = (row.text(0), row.text(2));
    let expression = compiled(row, flags)?;
    let found = match byte_of(text, skip) {
        Some(from) => nth(&expression, text, from, which)?,
        None => None,
    };
    let mut out = String::new();
    let mut from = 0;
    if let Some(found) = found
        && let Some(whole) = found.get(0)
    {
        out.push_str(&text[..whole.start]);
        fill(template, text, &found, &mut out)?;
        from = whole.end;
    }
    out.push_str(&text[from..]);
    crate::functions::texts::bounded(Some(out.len()))?;
    Ok(Value::Text(out))
}

/// So many occurrences after the first characters, or all.
fn replaced(row: &Row<'_>, flags: &str, skip: usize, many: Option<usize>) -> Result<Value> {
    let expression = compiled(row, flags)?;
    let (text, template) = (row.text(0), row.text(2));
    let begin = if skip == 0 { Some(0) } else { byte_of(text, skip) };
    let Some(begin) = begin else { return Ok(Value::Text(text.to_owned())) };
    let mut out = text[..begin].to_owned();
    let mut from = begin;
    if !template.contains('\\') {
        // What is found need not be taken apart.
        for found in expression.finds(text, begin).take(many.unwrap_or(usize::MAX)) {
            let found = found?;
            out.push_str(&text[from..found.start]);
            crate::functions::texts::bounded(out.len().checked_add(template.len()))?;
            out.push_str(template);
            from = found.end;
        }
        out.push_str(&text[from..]);
        return Ok(Value::Text(out));
    }
    for found in expression.all_groups(text, begin).take(many.unwrap_or(usize::MAX)) {
        let found = found?;
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&text[from..whole.start]);
        fill(template, text, &found, &mut out)?;
        from = whole.end;
    }
    out.push_str(&text[from..]);
    Ok(Value::Text(out))
}

/// `\1` to `\9` are groups, `\&` the whole match. Bounded before anything is written.
fn fill(template: &str, text: &str, found: &Groups<'_>, out: &mut String) -> Result<()> {
    let group = |at: usize| found.get(at).map_or("", |range| &text[range]);
    let mut chars = template.chars();
    let mut letter = [0; 4];
    while let Some(c) = chars.next() {
        let piece = match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('&')) => group(0),
            ('\\', Some(digit @ '1'..='9')) => {
                let at = digit.to_digit(10).and_then(|d| usize::try_from(d).ok()).unwrap_or(0);
                group(at)
            }
            ('\\', Some(other)) if other != '\\' => {
                out.push('\\');
                &*other.encode_utf8(&mut letter)
            }
            (plain, _) => &*plain.encode_utf8(&mut letter),
        };
        crate::functions::texts::bounded(out.len().checked_add(piece.len()))?;
        out.push_str(piece);
    }
    Ok(())
}

fn counted(row: &Row<'_>, skip: i64, flags: &str) -> Result<Value> {
    let skip = usize::try_from(skip)
        .map_err(|_| external(Error::new(ErrorCode::InvalidParameterValue, "invalid value for parameter \"start\"")))?;
    let text = row.text(0);
    let Some(from) = byte_of(text, skip) else { return Ok(Value::Int(0)) };
    let expression = compiled(row, flags)?;
    let mut count = 0;
    for found in expression.finds(text, from) {
        found?;
        count += 1;
    }
    Ok(Value::Int(count))
}

/// The part of a text that the middle of a pattern of SIMILAR TO matches: escaped quotes part it, and what is before takes as little as
/// it can. Without them it is all of the text.
fn similar_part(row: &Row<'_>) -> Result<Value> {
    let (text, pattern, escape) = (row.text(0), row.text(1), row.text(2));
    let mut escapes = escape.chars();
    let (escape, more) = (escapes.next(), escapes.next());
    if more.is_some() {
        return Err(external(Error::new(ErrorCode::InvalidParameterValue, "invalid escape string")));
    }
    let parts = similar_parts(pattern, escape)?;
    let expression = match parts.as_slice() {
        [whole] => format!("^({whole})$"),
        [before, middle] => format!("^(?:{})({middle})$", least(before)),
        [before, middle, after] => format!("^(?:{})({middle})(?:{after})$", least(before)),
        _ => return Err(too_many_separators()),
    };
    let expression = row.patterns.compiled(&expression, "s", text)?;
    let found = expression.groups_at(text, 0)?.and_then(|found| found.get(1));
    Ok(found.map_or(Value::Null, |part| Value::Text(text[part].to_owned())))
}

fn too_many_separators() -> datafusion::common::DataFusionError {
    let message = "SQL regular expression may not contain more than two escape-double-quote separators";
    external(Error::new(ErrorCode::InvalidRegularExpression, message))
}

/// An expression whose repetitions take as little as they can.
fn least(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len() + 8);
    let (mut escaped, mut in_class, mut before) = (false, false, '(');
    for c in expression.chars() {
        out.push(c);
        let repeats = matches!(c, '*' | '+' | '}') || c == '?' && before != '(';
        if !escaped && !in_class && repeats {
            out.push('?');
        }
        match c {
            '[' if !escaped => in_class = true,
            ']' if !escaped => in_class = false,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        before = c;
    }
    out
}

/// A pattern of SIMILAR TO as a regular expression over the whole text.
fn similar(pattern: &str) -> Result<String> {
    let parts = similar_parts(pattern, Some('\\'))?;
    if parts.len() > 3 {
        return Err(too_many_separators());
    }
    let parts: Vec<String> = parts.iter().map(|part| format!("(?:{part})")).collect();
    Ok(format!("^(?:{})$", parts.concat()))
}

/// The parts of a pattern of SIMILAR TO between escaped quotes, as regular expressions whose parentheses capture nothing. What is escaped
/// keeps its meaning there, as in PostgreSQL.
fn similar_parts(pattern: &str, escape: Option<char>) -> Result<Vec<String>> {
    let (mut parts, mut out) = (Vec::new(), String::new());
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            match chars.next() {
                Some('"') if !in_class => parts.push(std::mem::take(&mut out)),
                Some(other) => out.extend(['\\', other]),
                None => {}
            }
            continue;
        }
        match c {
            _ if in_class => {
                if c == '\\' {
                    out.push(c);
                }
                out.push(c);
                in_class = c != ']';
            }
            '[' => {
                in_class = true;
                out.push(c);
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '\\' | '.' | '^' | '$' => out.extend(['\\', c]),
            other => out.push(other),
        }
    }
    parts.push(out);
    Ok(parts)
}
