//! Texts of JSON values: jsonb's own form, and `jsonb_pretty`.

use super::tree::{Json, Node};
use std::fmt::Write as _;

/// A string in quotes.
pub fn quoted(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    // What is escaped is ASCII, so that a text is cut between characters.
    while let Some((plain, escaped)) = first_escaped(rest.as_bytes()).and_then(|at| rest.split_at_checked(at)) {
        out.push_str(plain);
        let mut signs = escaped.chars();
        signs.next().into_iter().for_each(|sign| escape(sign, out));
        rest = signs.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

fn escape(sign: char, out: &mut String) {
    match sign {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        sign => {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{:04x}", u32::from(sign));
        }
    }
}

const fn is_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Where the first byte is that does not stand in a string as it is. Eight bytes are looked at at once: most texts have none.
pub(super) fn first_escaped(bytes: &[u8]) -> Option<usize> {
    let (words, last) = bytes.as_chunks::<8>();
    let place = |start: usize, part: &[u8]| part.iter().position(|byte| is_escaped(*byte)).map(|at| start + at);
    match words.iter().position(|word| has_escaped(u64::from_le_bytes(*word))) {
        Some(at) => place(8 * at, words.get(at)?),
        None => place(bytes.len() - last.len(), last),
    }
}

/// Whether one of eight bytes is escaped.
const fn has_escaped(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The high bit of a byte is set where it was zero; a byte above one that was zero may get one, too.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGH
    }
    let low = word.wrapping_sub(ONES * b' ' as u64) & !word & HIGH;
    low | zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ (ONES * b'\\' as u64)) != 0
}

/// A value as jsonb keeps it: the last of equal keys, keys by length and bytes, numbers without an exponent.
pub fn normal(node: Node) -> Node {
    let value = match node.value {
        Json::Array(items) => Json::Array(items.into_iter().map(normal).collect()),
        Json::Object(members) => {
            let mut kept: Vec<(String, Node)> = Vec::with_capacity(members.len());
            let mut members: Vec<(String, Node)> = members.into_iter().map(|(k, v)| (k, normal(v))).collect();
            // Stable: of equal keys the last stays last.
            members.sort_by(|(a, _), (b, _)| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
            for member in members {
                match kept.last_mut() {
                    Some(last) if last.0 == member.0 => *last = member,
                    _ => kept.push(member),
                }
            }
            Json::Object(kept)
        }
        Json::Number(text) => Json::Number(plain_number(&text)),
        other => other,
    };
    Node { value, ..node }
}

/// Numeric's own bound, by which numbers are written without their exponents.
pub(super) const EXPONENT_MAX: usize = 1_000;

/// A number without an exponent, as numeric prints it.
fn plain_number(text: &str) -> String {
    let (negative, body) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let Some((mantissa, exponent)) = body.split_once(['e', 'E']) else {
        let zero = body.bytes().all(|b| matches!(b, b'0' | b'.'));
        return if negative && zero { body.to_owned() } else { text.to_owned() };
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.trim_start_matches('+').parse::<i64>() else { return text.to_owned() };
    // A longer number stays as it is written.
    if usize::try_from(exponent.unsigned_abs()).map_or(true, |exponent| exponent > EXPONENT_MAX) {
        return text.to_owned();
    }
    let digits = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).unwrap_or(0) + exponent;
    let length = i64::try_from(digits.len()).unwrap_or(0);
    let plain = if point <= 0 {
        format!("0.{}{digits}", "0".repeat(usize::try_from(-point).unwrap_or(0)))
    } else if point >= length {
        format!("{digits}{}", "0".repeat(usize::try_from(point - length).unwrap_or(0)))
    } else {
        let (before, after) = digits.split_at(usize::try_from(point).unwrap_or(0));
        format!("{before}.{after}")
    };
    let (before, after) = plain.split_once('.').map_or((plain.as_str(), None), |(b, a)| (b, Some(a)));
    let before = before.trim_start_matches('0');
    let before = if before.is_empty() { "0" } else { before };
    let zero = plain.bytes().all(|b| matches!(b, b'0' | b'.'));
    let sign = if negative && !zero { "-" } else { "" };
    after.map_or_else(|| format!("{sign}{before}"), |after| format!("{sign}{before}.{after}"))
}

/// A value's text with a blank after each comma and colon.
pub fn text(node: &Node) -> String {
    let mut out = String::new();
    write_value(node, &mut out);
    out
}

/// Any text of JSON in jsonb's form.
pub fn normal_text(node: Node) -> String {
    text(&normal(node))
}

fn write_value(node: &Node, out: &mut String) {
    match &node.value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(text) => out.push_str(text),
        Json::String(text) => quoted(text, out),
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_value(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                quoted(key, out);
                out.push_str(": ");
                write_value(value, out);
            }
            out.push('}');
        }
    }
}

/// `jsonb_pretty`: four blanks for each level.
pub fn pretty(node: &Node) -> String {
    let mut out = String::new();
    write_pretty(node, 0, &mut out);
    out
}

fn write_pretty(node: &Node, level: usize, out: &mut String) {
    let line = |level: usize, out: &mut String| {
        out.push('\n');
        out.push_str(&"    ".repeat(level));
    };
    match &node.value {
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(level + 1, out);
                write_pretty(item, level + 1, out);
            }
            line(level, out);
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(level + 1, out);
                quoted(key, out);
                out.push_str(": ");
                write_pretty(value, level + 1, out);
            }
            line(level, out);
            out.push('}');
        }
        _ => write_value(node, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a reader of JSON takes it back; and nothing is escaped that need not be.
    #[test]
    fn strings_of_every_length_are_quoted() {
        let signs = [
            "a",
            "\"",
            "\\",
            "\n",
            "\u{0}",
            "\u{1f}",
            "\u{20}",
            "\u{7f}",
            "\u{80}",
            "ß",
            "\u{a0}",
            "漢",
            "😀",
            "\u{10ffff}",
        ];
        for sign in signs {
            for before in 0..20 {
                for after in [0, 1, 7, 8, 30] {
                    let text = format!("{}{sign}{}{sign}", "x".repeat(before), "y".repeat(after));
                    let mut out = String::new();
                    quoted(&text, &mut out);
                    let plain: String = text.chars().map(one).collect();
                    assert_eq!(out, format!("\"{plain}\""), "{text:?}");
                }
            }
        }
    }

    fn one(sign: char) -> String {
        match sign {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            sign if sign < ' ' => format!("\\u{:04x}", u32::from(sign)),
            sign => sign.to_string(),
        }
    }
}
