//! Array literals (`{a,"b",NULL}`) and binary arrays to their elements. Knows no element type.

use crate::wire::{Reader, Short};
use querygate_types::{Error, ErrorCode, Result};

fn malformed(text: &str) -> Error {
    Error::new(ErrorCode::InvalidTextRepresentation, format!("malformed array literal: \"{text}\""))
}

fn one_dimension_only() -> Error {
    Error::new(ErrorCode::FeatureNotSupported, "parameters that are arrays of several dimensions are not supported")
}

/// Elements of a one-dimensional literal; `None` for NULL.
pub(super) fn items(text: &str) -> Result<Vec<Option<String>>> {
    let trimmed = text.trim_ascii();
    if trimmed.starts_with('[') {
        return Err(one_dimension_only());
    }
    let inner = trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(|| malformed(text))?;
    if inner.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let mut items = Vec::new();
    let mut characters = inner.chars().peekable();
    loop {
        let mut item = String::new();
        while characters.next_if(char::is_ascii_whitespace).is_some() {}
        let quoted = characters.next_if_eq(&'"').is_some();
        if quoted {
            loop {
                match characters.next().ok_or_else(|| malformed(text))? {
                    '"' => break,
                    '\\' => item.push(characters.next().ok_or_else(|| malformed(text))?),
                    other => item.push(other),
                }
            }
            while characters.next_if(char::is_ascii_whitespace).is_some() {}
        } else {
            // Trailing blanks belong to the layout unless they were escaped.
            let mut kept = 0;
            while let Some(character) = characters.next_if(|character| *character != ',') {
                match character {
                    '{' => return Err(one_dimension_only()),
                    '"' | '}' => return Err(malformed(text)),
                    '\\' => {
                        item.push(characters.next().ok_or_else(|| malformed(text))?);
                        kept = item.len();
                    }
                    blank if blank.is_ascii_whitespace() => item.push(blank),
                    other => {
                        item.push(other);
                        kept = item.len();
                    }
                }
            }
            item.truncate(kept);
            if item.is_empty() {
                return Err(malformed(text));
            }
        }
        items.push(if !quoted && item.eq_ignore_ascii_case("null") { None } else { Some(item) });
        match characters.next() {
            None => return Ok(items),
            Some(',') => {}
            Some(_) => return Err(malformed(text)),
        }
    }
}

/// Elements of `array_recv`'s form. The element type must be the expected one.
pub(super) fn binary_items(bytes: &[u8], element_oid: u32) -> std::result::Result<Result<Vec<Option<&[u8]>>>, Short> {
    let mut reader = Reader::new(bytes);
    let dimensions = reader.i32()?;
    let flags = reader.i32()?;
    let oid = reader.u32()?;
    if !matches!(flags, 0 | 1) {
        return Err(Short);
    }
    if oid != element_oid {
        let message = format!("binary data has array element type {oid} instead of expected {element_oid}");
        return Ok(Err(Error::new(ErrorCode::DatatypeMismatch, message)));
    }
    match dimensions {
        0 => return if reader.is_empty() { Ok(Ok(Vec::new())) } else { Err(Short) },
        1 => {}
        2..=6 => return Ok(Err(one_dimension_only())),
        _ => return Err(Short),
    }
    let count = usize::try_from(reader.i32()?).map_err(|_| Short)?;
    reader.i32()?;
    if count.saturating_mul(4) > reader.remaining() {
        return Err(Short);
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        items.push(match reader.i32()? {
            -1 => None,
            length => Some(reader.take(usize::try_from(length).map_err(|_| Short)?)?),
        });
    }
    if reader.is_empty() { Ok(Ok(items)) } else { Err(Short) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_split_with_quotes_blanks_and_nulls() {
        let check = |text: &str, expected: &[Option<&str>]| {
            let found = items(text).unwrap();
            assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{text}");
        };
        check("{}", &[]);
        check(" { } ", &[]);
        check("{1,2}", &[Some("1"), Some("2")]);
        check("{ a b , NULL ,\"NULL\"}", &[Some("a b"), None, Some("NULL")]);
        check(r#"{"x\"y\\z",""}"#, &[Some(r#"x"y\z"#), Some("")]);
        check(r"{a\ }", &[Some("a ")]);
    }

    #[test]
    fn broken_or_nested_literals_are_refused() {
        for text in ["", "1,2", "{1,2", "{1,}", "{,1}", "{\"a}", "{a\"b}", "{1}2}"] {
            assert_eq!(items(text).unwrap_err().code(), ErrorCode::InvalidTextRepresentation, "{text}");
        }
        for text in ["{{1},{2}}", "[2:3]={1,2}"] {
            assert_eq!(items(text).unwrap_err().code(), ErrorCode::FeatureNotSupported, "{text}");
        }
    }
}
