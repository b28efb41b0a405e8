//! Splits one JSON object into its keys and the raw text of each value. Knows nothing of columns or types.

use serde::de::IgnoredAny;
use serde_json::Deserializer;
use std::borrow::Cow;

/// Calls `member(key, raw value)` for each member of the object in `line`, in order.
///
/// Values stay text, so that a long decimal keeps every digit and a JSON column keeps its spelling.
/// Each value is proved to be JSON before it is handed on.
pub(crate) fn members<'a, E: From<Malformed>>(
    line: &'a str,
    mut member: impl FnMut(Cow<'a, str>, &'a str) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = expect(line.trim(), '{')?;
    if let Ok(tail) = expect(rest, '}') {
        return end(tail).map_err(E::from);
    }
    loop {
        let (key, tail) = value(rest)?;
        let key = string(key).ok_or(Malformed)?;
        let (raw, tail) = value(expect(tail, ':')?)?;
        member(key, raw)?;
        match expect(tail, ',') {
            Ok(next) => rest = next,
            Err(_) => return end(expect(tail, '}')?).map_err(E::from),
        }
    }
}

/// Calls `element(raw value)` for each element of the array in `raw`.
pub(crate) fn elements<'a, E: From<Malformed>>(
    raw: &'a str,
    mut element: impl FnMut(&'a str) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = expect(raw.trim(), '[')?;
    if let Ok(tail) = expect(rest, ']') {
        return end(tail).map_err(E::from);
    }
    loop {
        let (item, tail) = value(rest)?;
        element(item)?;
        match expect(tail, ',') {
            Ok(next) => rest = next,
            Err(_) => return end(expect(tail, ']')?).map_err(E::from),
        }
    }
}

/// The text of a JSON string token, borrowed where it has no escape; `None` for any other token.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.bytes().all(|b| b != b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).ok().map(Cow::Owned)
}

/// The text is not JSON of the shape asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

fn value(text: &str) -> Result<(&str, &str), Malformed> {
    let text = text.trim_start();
    let mut stream = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    match stream.next() {
        Some(Ok(_)) => {
            let at = stream.byte_offset();
            Ok((text.get(..at).ok_or(Malformed)?, text.get(at..).ok_or(Malformed)?))
        }
        _ => Err(Malformed),
    }
}

fn expect(text: &str, wanted: char) -> Result<&str, Malformed> {
    text.trim_start().strip_prefix(wanted).ok_or(Malformed)
}

fn end(text: &str) -> Result<(), Malformed> {
    if text.trim().is_empty() { Ok(()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Result<Vec<(String, String)>, Malformed> {
        let mut out = Vec::new();
        members::<Malformed>(line, |k, v| {
            out.push((k.into_owned(), v.to_owned()));
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn members_keep_the_raw_text_of_values() {
        let got = split(r#" { "a" : 1.50 , "b\u0041":"x\"y", "c":[1, {"d":null}],"e":{} , "é":true} "#).unwrap();
        let want = [("a", "1.50"), ("bA", r#""x\"y""#), ("c", r#"[1, {"d":null}]"#), ("e", "{}"), ("é", "true")];
        assert_eq!(got, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(split("{}").unwrap(), vec![]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in [
            "",
            "1",
            "[]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1} x",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":1}{",
            "{1:2}",
            "{\"a\":\"\u{1}\"}",
        ] {
            assert_eq!(split(bad), Err(Malformed), "{bad}");
        }
    }
}
