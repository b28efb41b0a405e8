//! The order of jsonb: bytes that are in order where PostgreSQL's values are, and equal where they are equal. Objects are behind arrays,
//! then come truth, numbers, strings and null; containers are ordered by how many they hold first. Knows no plan.

use super::print::normal;
use super::tree::{Json, Node};
use crate::numbers::wide;
use datafusion::common::Result;
use querygate_types::numeric::ordered_key;

const NULL: u8 = 0;
const STRING: u8 = 1;
const NUMBER: u8 = 2;
const TRUTH: u8 = 3;
const ARRAY: u8 = 4;
const OBJECT: u8 = 5;

/// Outermost, a scalar is an array of one value, before other arrays of one: an empty array is before both.
const SCALAR: u8 = 0;
const LIST: u8 = 1;

/// The key of a value.
///
/// # Errors
/// 22003: a number has more digits than a numeric.
pub(crate) fn key(node: Node) -> Result<Vec<u8>> {
    let node = normal(node);
    let mut out = Vec::new();
    match &node.value {
        Json::Object(_) => write(&node, &mut out)?,
        Json::Array(items) => {
            out.push(ARRAY);
            count(items.len(), &mut out);
            out.push(LIST);
            items.iter().try_for_each(|item| write(item, &mut out))?;
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            out.push(ARRAY);
            count(1, &mut out);
            out.push(SCALAR);
            write(&node, &mut out)?;
        }
    }
    Ok(out)
}

/// A value in the one way in which all that equal it are written: numbers without zeros behind the point.
pub(crate) fn shortest(node: Node) -> Node {
    let node = normal(node);
    let value = match node.value {
        // One that is too long to be written without its exponent stays as it is.
        Json::Number(digits) if digits.contains('.') && !digits.contains(['e', 'E']) => {
            Json::Number(digits.trim_end_matches('0').trim_end_matches('.').to_owned())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(shortest).collect()),
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(name, value)| (name, shortest(value))).collect())
        }
        other @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => other,
    };
    Node { value, ..node }
}

fn count(length: usize, out: &mut Vec<u8>) {
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

/// No value's bytes begin those of another.
fn write(node: &Node, out: &mut Vec<u8>) -> Result<()> {
    match &node.value {
        Json::Null => out.push(NULL),
        Json::Bool(truth) => out.extend([TRUTH, u8::from(*truth)]),
        Json::Number(digits) => {
            out.push(NUMBER);
            out.extend(ordered_key(&wide::read(digits)?.to_cell()));
        }
        Json::String(string) => {
            out.push(STRING);
            text(string, out);
        }
        Json::Array(items) => {
            out.push(ARRAY);
            count(items.len(), out);
            items.iter().try_for_each(|item| write(item, out))?;
        }
        Json::Object(members) => {
            out.push(OBJECT);
            count(members.len(), out);
            for (name, value) in members {
                text(name, out);
                write(value, out)?;
            }
        }
    }
    Ok(())
}

/// Texts hold no NUL.
fn text(text: &str, out: &mut Vec<u8>) {
    out.extend(text.as_bytes());
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::super::print::text;
    use super::super::tree::parse;
    use super::{key, shortest};

    #[test]
    fn equal_values_have_one_shortest_text() {
        for (one, other, expected) in [
            ("1", "1.00", "1"),
            ("-0.0", "0", "0"),
            ("1.50", "15e-1", "1.5"),
            ("1e2", "100.0", "100"),
            (
                "[1.0, {\"b\": 2, \"a\": \"1.0\"}]",
                "[1, {\"a\": \"1.0\", \"b\": 2.0}]",
                "[1, {\"a\": \"1.0\", \"b\": 2}]",
            ),
        ] {
            for written in [one, other] {
                assert_eq!(text(&shortest(parse(written).unwrap())), expected, "{written}");
            }
        }
    }

    /// As PostgreSQL 15 sorts them.
    #[test]
    fn keys_are_in_the_order_of_jsonb() {
        let sorted = [
            "[]",
            "null",
            r#""""#,
            r#""B""#,
            r#""a""#,
            "-1.50",
            "9",
            "10",
            "1e2",
            "false",
            "true",
            "[null]",
            r#"["x"]"#,
            "[1]",
            "[[]]",
            "[{}]",
            "[1,2]",
            "{}",
            r#"{"a":1}"#,
            r#"{"ab":1}"#,
            r#"{"b":0}"#,
            r#"{"bb":1}"#,
            r#"{"a":1,"b":2}"#,
        ];
        let of = |text: &str| key(parse(text).unwrap()).unwrap();
        for pair in sorted.windows(2) {
            assert!(of(pair[0]) < of(pair[1]), "{pair:?}");
        }
        assert_eq!(of("1.0"), of("1"));
        assert_eq!(of(r#"{"b":1,"a":[1.50]}"#), of(r#"{"a":[1.5],"b":2,"b":1}"#));
    }
}
