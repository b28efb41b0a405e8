//! Array literals of one dimension. Knows no types.

use querygate_types::{Error, ErrorCode};

/// Elements of an array literal of one dimension; `None` for NULL.
///
/// # Errors
/// 22P02 for a malformed literal, 0A000 for more dimensions.
pub fn split_array(text: &str) -> querygate_types::Result<Vec<Option<String>>> {
    let malformed = || Error::new(ErrorCode::InvalidTextRepresentation, format!("malformed array literal: \"{text}\""));
    let inner = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(malformed)?;
    let mut parts = Vec::new();
    if inner.trim().is_empty() {
        return Ok(parts);
    }
    let (mut part, mut quoted, mut was_quoted) = (String::new(), false, false);
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => part.push(chars.next().ok_or_else(malformed)?),
            '"' => {
                if !was_quoted && !part.trim().is_empty() {
                    return Err(malformed());
                }
                part = if was_quoted { part } else { String::new() };
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => {
                parts.push(element(std::mem::take(&mut part), std::mem::take(&mut was_quoted)).ok_or_else(malformed)?)
            }
            '{' | '}' if !quoted => {
                return Err(Error::new(
                    ErrorCode::FeatureNotSupported,
                    "array literals of several dimensions are not supported",
                ));
            }
            c if quoted || !was_quoted => part.push(c),
            c if c.is_whitespace() => {}
            _ => return Err(malformed()),
        }
    }
    if quoted {
        return Err(malformed());
    }
    parts.push(element(part, was_quoted).ok_or_else(malformed)?);
    Ok(parts)
}

/// One element; `None` outside when an unquoted one is empty.
#[allow(clippy::option_option, reason = "NULL and malformed are two things")]
fn element(part: String, was_quoted: bool) -> Option<Option<String>> {
    if was_quoted {
        return Some(Some(part));
    }
    let trimmed = part.trim();
    if trimmed.is_empty() {
        return None;
    }
    Some(if trimmed.eq_ignore_ascii_case("null") { None } else { Some(trimmed.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_literals_split_as_postgres_reads_them() {
        let some = |s: &str| Some(s.to_owned());
        let check =
            |text: &str, expected: &[Option<String>]| assert_eq!(split_array(text).unwrap(), expected, "{text}");
        check("{}", &[]);
        check("{r,v}", &[some("r"), some("v")]);
        check("{ a , \"b,c\" , NULL, \"\" }", &[some("a"), some("b,c"), None, some("")]);
        for text in ["a", "{a", "{,}", "{\"a}", "{\"a\"b}"] {
            assert!(split_array(text).is_err(), "{text}");
        }
    }
}
