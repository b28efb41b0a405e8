//! Functions of text: `format`, `split_part` and others whose results are bounded or whose errors are Postgres'.

use super::call::form::{P, R, form, variadic};
use super::{Def, Row, Value, lenient, strict};
use crate::casts::display::{cast_text_of, text_of};
use crate::fault::{external, refused};
use arrow::array::Array as _;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use querygate_resources::{CHARGE_LEAST, charge, proceed};
use querygate_types::{Error, ErrorCode};
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization as _;

/// Bytes that one result may take.
const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) const DEFS: &[Def] = &[
    lenient(
        "format",
        &[variadic(&[P::Text], P::Any, R::Text, |r| {
            if r.is_null(0) {
                return Ok(Value::Null);
            }
            formatted(r.text(0), r.len(), |at| own(r, at))
        })],
    ),
    lenient("format_elements", &[form(&[P::Text, P::AnyArray], R::Text, format_elements)]),
    strict(
        "repeat",
        &[form(&[P::Text, P::Int], R::Text, |r| {
            let count = usize::try_from(r.int(1)).unwrap_or(0);
            charged(r.text(0).len().checked_mul(count))?;
            Ok(Value::Text(r.text(0).repeat(count)))
        })],
    ),
    strict(
        "lpad",
        &[
            form(&[P::Text, P::Int], R::Text, |r| padded(r, true)),
            form(&[P::Text, P::Int, P::Text], R::Text, |r| padded(r, true)),
        ],
    ),
    strict(
        "rpad",
        &[
            form(&[P::Text, P::Int], R::Text, |r| padded(r, false)),
            form(&[P::Text, P::Int, P::Text], R::Text, |r| padded(r, false)),
        ],
    ),
    // What `string_agg` is made of where several want different orders.
    strict(
        "joined_elements",
        &[form(&[P::TextArray, P::Text], R::Text, |r| {
            let texts = r.texts(0);
            let texts: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
            if texts.is_empty() {
                return Ok(Value::Null);
            }
            let length = texts.iter().map(|text| text.len() + r.text(1).len()).sum();
            charged(Some(length))?;
            Ok(Value::Text(texts.join(r.text(1))))
        })],
    ),
    strict("split_part", &[form(&[P::Text, P::Text, P::Int], R::Text, split_part)]),
    strict(
        "chr",
        &[form(&[P::Int], R::Text, |r| match u32::try_from(r.int(0)) {
            Err(_) => Err(refused("character number must be positive")),
            Ok(0) => Err(external(Error::new(ErrorCode::ProgramLimitExceeded, "null character not permitted"))),
            Ok(code) => match char::from_u32(code) {
                Some(c) => Ok(Value::Text(c.to_string())),
                None => Err(external(Error::new(
                    ErrorCode::ProgramLimitExceeded,
                    "requested character not valid for encoding",
                ))),
            },
        })],
    ),
    strict("unistr", &[form(&[P::Text], R::Text, unistr)]),
    strict("quote_literal", &[form(&[P::Any], R::Text, |r| Ok(Value::Text(literal(&cast(r)?.unwrap_or_default()))))]),
    lenient(
        "quote_nullable",
        &[form(&[P::Any], R::Text, |r| {
            Ok(Value::Text(cast(r)?.map_or_else(|| "NULL".to_owned(), |text| literal(&text))))
        })],
    ),
    strict(
        "parse_ident",
        &[form(&[P::Text], R::TextArray, |r| {
            let parts =
                r.text(0).split('.').map(|part| match part.strip_prefix('"').and_then(|p| p.strip_suffix('"')) {
                    Some(quoted) => quoted.replace("\"\"", "\""),
                    None => part.trim().to_lowercase(),
                });
            Ok(Value::Texts(parts.map(Some).collect()))
        })],
    ),
    strict(
        "normalize",
        &[
            form(&[P::Text], R::Text, |r| normal(r, "nfc").map(Value::Text)),
            form(&[P::Text, P::Text], R::Text, |r| normal(r, r.text(1)).map(Value::Text)),
        ],
    ),
    strict(
        "is_normalized",
        &[
            form(&[P::Text], R::Bool, |r| Ok(Value::Bool(normal(r, "nfc")? == r.text(0)))),
            form(&[P::Text, P::Text], R::Bool, |r| Ok(Value::Bool(normal(r, r.text(1))? == r.text(0)))),
        ],
    ),
    strict("like_any", &[form(&[P::Text, P::TextArray], R::Bool, |r| like_each(r, false, false))]),
    strict("like_all", &[form(&[P::Text, P::TextArray], R::Bool, |r| like_each(r, true, false))]),
    strict("ilike_any", &[form(&[P::Text, P::TextArray], R::Bool, |r| like_each(r, false, true))]),
    strict("ilike_all", &[form(&[P::Text, P::TextArray], R::Bool, |r| like_each(r, true, true))]),
];

/// The length of a result, where it is not too large.
pub(super) fn bounded(length: Option<usize>) -> Result<usize> {
    match length {
        Some(length) if length <= TEXT_BYTES_MAX => Ok(length),
        _ => Err(external(Error::new(ErrorCode::ProgramLimitExceeded, "requested length too large"))),
    }
}

/// The same of a result that is made at once; a long one is charged before.
pub(super) fn charged(length: Option<usize>) -> Result<usize> {
    let length = bounded(length)?;
    if length >= CHARGE_LEAST {
        charge(length)?;
    }
    Ok(length)
}

/// The first argument as a cast to text gives it.
fn cast(row: &Row<'_>) -> Result<Option<String>> {
    let (array, at) = row.array(0);
    cast_text_of(array.as_ref(), at, row.field(0), row.zone)
}

/// An argument's value as text.
fn own(row: &Row<'_>, arg: usize) -> Result<Option<String>> {
    let (array, at) = row.array(arg);
    text_of(array.as_ref(), at, row.field(arg), row.zone)
}

fn padded(row: &Row<'_>, left: bool) -> Result<Value> {
    let text = row.text(0);
    let wanted = usize::try_from(row.int(1)).unwrap_or(0);
    let fill = if row.len() == 3 { row.text(2) } else { " " };
    charged(wanted.checked_mul(4))?;
    let length = text.chars().count();
    if length >= wanted || fill.is_empty() {
        let end = text.char_indices().nth(wanted).map_or(text.len(), |(at, _)| at);
        return Ok(Value::Text(text[..end].to_owned()));
    }
    let (missing, once) = (wanted - length, fill.chars().count());
    let end = fill.char_indices().nth(missing % once).map_or(0, |(at, _)| at);
    let mut padded = String::with_capacity(text.len() + (missing / once + 1) * fill.len());
    padded.push_str(if left { "" } else { text });
    (0..missing / once).for_each(|_| padded.push_str(fill));
    padded.push_str(&fill[..end]);
    padded.push_str(if left { text } else { "" });
    Ok(Value::Text(padded))
}

fn split_part(row: &Row<'_>) -> Result<Value> {
    let (text, separator, place) = (row.text(0), row.text(1), row.int(2));
    if place == 0 {
        return Err(refused("field position must not be zero"));
    }
    if !separator.is_empty()
        && let Ok(place @ 1..) = usize::try_from(place)
    {
        return Ok(Value::Text(text.split(separator).nth(place - 1).unwrap_or_default().to_owned()));
    }
    let parts: Vec<&str> = if text.is_empty() {
        Vec::new()
    } else if separator.is_empty() {
        vec![text]
    } else {
        text.split(separator).collect()
    };
    let length = i64::try_from(parts.len()).unwrap_or(i64::MAX);
    let at = if place > 0 { place - 1 } else { length + place };
    let part = usize::try_from(at).ok().and_then(|at| parts.get(at));
    Ok(Value::Text(part.map_or_else(String::new, |part| (*part).to_owned())))
}

fn unistr(row: &Row<'_>) -> Result<Value> {
    let invalid = || external(Error::new(ErrorCode::SyntaxError, "invalid Unicode escape"));
    let mut out = String::new();
    let mut rest = row.text(0);
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let (digits, skip) = match tail.chars().next() {
            Some('\\') => {
                out.push('\\');
                rest = &tail[1..];
                continue;
            }
            Some('+') => (tail.get(1..7), 7),
            Some('u') => (tail.get(1..5), 5),
            Some('U') => (tail.get(1..9), 9),
            _ => (tail.get(..4), 4),
        };
        let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok()).and_then(char::from_u32);
        out.push(code.filter(|c| *c != '\0').ok_or_else(invalid)?);
        rest = tail.get(skip..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(Value::Text(out))
}

/// `'it''s'`, with an `E` where a backslash is in it.
fn literal(text: &str) -> String {
    let escape = if text.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn identifier(text: &str) -> String {
    querygate_pg_catalog::quote_ident(text)
}

/// `%[position$][flags][width]type`, types `s`, `I`, `L`.
/// `format(text, VARIADIC array)`.
fn format_elements(row: &Row<'_>) -> Result<Value> {
    if row.is_null(0) {
        return Ok(Value::Null);
    }
    if row.is_null(1) {
        return formatted(row.text(0), 1, |_| Ok(None));
    }
    let items = row.list(1);
    let DataType::List(item) = row.field(1).data_type() else { return Ok(Value::Null) };
    formatted(row.text(0), items.len() + 1, |at| text_of(items.as_ref(), at - 1, item, row.zone))
}

/// What stands between `%` and the letter of a value, and that letter.
struct Directive {
    /// The value that is named; `None`: the next one.
    position: Option<usize>,
    left: bool,
    width: Width,
    kind: char,
}

enum Width {
    Fixed(i64),
    /// A value is the width: the one that is named, or the next one.
    Of(Option<usize>),
}

type Pattern<'p> = std::iter::Peekable<std::str::Chars<'p>>;

fn number_in(chars: &mut Pattern<'_>) -> Option<usize> {
    let mut digits = String::new();
    while let Some(digit) = chars.peek().filter(|c| c.is_ascii_digit()) {
        digits.push(*digit);
        chars.next();
    }
    digits.parse::<usize>().ok().filter(|_| !digits.is_empty())
}

impl Directive {
    /// What follows a `%`.
    fn read(chars: &mut Pattern<'_>) -> Result<Self> {
        let (mut position, mut left, mut width) = (None, false, None);
        match number_in(chars) {
            Some(found) if chars.peek() == Some(&'$') => {
                chars.next();
                position = Some(found);
            }
            Some(found) => width = i64::try_from(found).ok().map(Width::Fixed),
            None => {}
        }
        if width.is_none() {
            while chars.peek() == Some(&'-') {
                chars.next();
                left = true;
            }
            width = Some(Self::width(chars)?);
        }
        let Some(kind) = chars.next() else { return Err(refused("unterminated format() type specifier")) };
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(refused("unrecognized format() type specifier"));
        }
        Ok(Self { position, left, width: width.unwrap_or(Width::Fixed(0)), kind })
    }

    fn width(chars: &mut Pattern<'_>) -> Result<Width> {
        if chars.peek() != Some(&'*') {
            return Ok(Width::Fixed(number_in(chars).and_then(|width| i64::try_from(width).ok()).unwrap_or(0)));
        }
        chars.next();
        // Which value is the width may be said, too.
        match number_in(chars) {
            Some(_) if chars.next() != Some('$') => Err(refused("width argument position must be ended by \"$\"")),
            Some(0) => Err(refused("format specifies argument 0, but arguments are numbered from 1")),
            from => Ok(Width::Of(from)),
        }
    }

    /// A value as its letter says.
    fn text(&self, value: Option<String>) -> Result<String> {
        match (self.kind, value) {
            ('s', value) => Ok(value.unwrap_or_default()),
            ('L', value) => Ok(value.map_or_else(|| "NULL".to_owned(), |text| literal(&text))),
            (_, Some(value)) => Ok(identifier(&value)),
            (_, None) => Err(refused("null values cannot be formatted as an SQL identifier")),
        }
    }
}

/// A pattern with the values from 1 to below a count.
fn formatted(pattern: &str, count: usize, value_of: impl Fn(usize) -> Result<Option<String>>) -> Result<Value> {
    let value_of = |at: usize| {
        if at == 0 || at >= count {
            return Err(refused("too few arguments for format()"));
        }
        value_of(at)
    };
    let mut out = String::new();
    let mut next = 1;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            out.push('%');
            continue;
        }
        let directive = Directive::read(&mut chars)?;
        let width = match directive.width {
            Width::Fixed(width) => width,
            Width::Of(from) => {
                let from = from.unwrap_or(next);
                let width = value_of(from)?.and_then(|text| text.parse().ok()).unwrap_or(0);
                next = from + 1;
                width
            }
        };
        let at = directive.position.unwrap_or(next);
        let text = directive.text(value_of(at)?)?;
        next = at + 1;
        let left = directive.left || width < 0;
        let wanted = usize::try_from(width.unsigned_abs()).unwrap_or(0);
        bounded(out.len().checked_add(text.len()).and_then(|l| l.checked_add(wanted)))?;
        let padding = " ".repeat(wanted.saturating_sub(text.chars().count()));
        if left {
            out.push_str(&text);
            out.push_str(&padding);
        } else {
            out.push_str(&padding);
            out.push_str(&text);
        }
    }
    Ok(Value::Text(out))
}

/// The first argument in a normal form of Unicode, which may be several times as long.
fn normal(row: &Row<'_>, form: &str) -> Result<String> {
    let text = row.text(0);
    // A letter's marks are gathered, eight bytes for each of two, before they are put in order.
    charge(text.len().saturating_mul(4))?;
    let mut out = String::with_capacity(text.len());
    let letters: &mut dyn Iterator<Item = char> = match form {
        "nfc" => &mut text.nfc(),
        "nfd" => &mut text.nfd(),
        "nfkc" => &mut text.nfkc(),
        "nfkd" => &mut text.nfkd(),
        _ => {
            let message = "invalid normalization form";
            return Err(external(Error::new(ErrorCode::InvalidParameterValue, message)));
        }
    };
    let mut charged = 0;
    for letter in letters {
        out.push(letter);
        if out.len() - charged >= CHARGE_LEAST {
            charge(out.len() - charged)?;
            charged = out.len();
            proceed()?;
            if charged > TEXT_BYTES_MAX {
                return Err(external(Error::new(ErrorCode::ProgramLimitExceeded, "requested length too large")));
            }
        }
    }
    Ok(out)
}

/// Whether a text is like any, or all, of the patterns; `folded`: in either case of letters.
fn like_each(row: &Row<'_>, all: bool, folded: bool) -> Result<Value> {
    let mut unknown = false;
    let text = if folded { Cow::Owned(row.text(0).to_lowercase()) } else { Cow::Borrowed(row.text(0)) };
    for pattern in row.texts(1) {
        match pattern {
            None => unknown = true,
            Some(pattern) => {
                proceed()?;
                let pattern = if folded { pattern.to_lowercase() } else { pattern };
                if super::patterns::like::like(&text, &pattern)? != all {
                    return Ok(Value::Bool(!all));
                }
            }
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(all) })
}
