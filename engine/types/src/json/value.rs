//! Values of JSON as doors, rules and hooks work on them. A number is the double that is nearest to what is written, or a whole number
//! of 64 bits; or, where no digit may be lost, the text of its digits.

use super::jsonb;
use super::read::{Fault, FaultKind, Made, double, read, read_bytes};
use serde_json::{Map, Number, Value};

/// Deeper values are refused: what works on them recurses.
const DEPTH_MAX: usize = 128;
/// Decimal digits that every double keeps.
pub const DOUBLE_DIGITS: usize = 15;

/// Reads a text as a value.
///
/// # Errors
/// It is no JSON, or has a number beyond the largest double, or half a character.
pub fn value(text: &str) -> Result<Value, Fault> {
    read(text, DEPTH_MAX)
}

/// Reads bytes as a value.
///
/// # Errors
/// As [`value`]; they are not UTF-8.
pub fn value_of_bytes(bytes: &[u8]) -> Result<Value, Fault> {
    read_bytes(bytes, DEPTH_MAX)
}

/// Reads a text as a value without losing a digit: a number that is no other one as a double is a number, any other the text of its
/// digits.
///
/// # Errors
/// As [`value`].
pub fn exact(text: &str) -> Result<Value, Fault> {
    read(text, DEPTH_MAX).map(|Exact(value)| value)
}

/// Reads bytes as [`exact`] reads a text.
///
/// # Errors
/// As [`value_of_bytes`].
pub fn exact_of_bytes(bytes: &[u8]) -> Result<Value, Fault> {
    read_bytes(bytes, DEPTH_MAX).map(|Exact(value)| value)
}

/// Reads a text as an object.
///
/// # Errors
/// As [`value`]; it is another value.
pub fn object(text: &str) -> Result<Map<String, Value>, Fault> {
    match value(text)? {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Fault { kind: FaultKind::Syntax, at: 0 })
        }
    }
}

/// A number of JSON. `None`: it is none, or beyond the largest double.
#[must_use]
pub fn number(text: &str) -> Option<Number> {
    match value(text).ok()? {
        Value::Number(number) => Some(number),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The digits of a number of JSON that is another one as a value, without an exponent. `None`: the value is the number.
#[must_use]
pub fn lost_digits(text: &str) -> Option<String> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    if mantissa.bytes().filter(u8::is_ascii_digit).count() <= DOUBLE_DIGITS {
        return None;
    }
    let plain = |text: &str| jsonb(text).filter(|plain| !plain.contains(['e', 'E']));
    let shortest = |plain: &str| match plain.contains('.') {
        true => plain.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => plain.to_owned(),
    };
    let (own, kept) = (plain(text)?, number(text).and_then(|number| plain(&number.to_string()))?);
    (shortest(&own) != shortest(&kept)).then_some(own)
}

/// A number that is one by the grammar. `None`: it is beyond the largest double.
fn nearest(text: &str) -> Option<Number> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && text != "-0" {
        if let Ok(whole) = text.parse::<u64>() {
            return Some(whole.into());
        }
        if let Ok(whole) = text.parse::<i64>() {
            return Some(whole.into());
        }
    }
    double(text).and_then(Number::from_f64)
}

impl Made for Value {
    type Members = Map<String, Value>;
    const HOLDS_NUL: bool = true;

    fn null() -> Self {
        Self::Null
    }

    fn boolean(value: bool) -> Self {
        Self::Bool(value)
    }

    fn number(text: &str) -> Option<Self> {
        nearest(text).map(Self::Number)
    }

    fn string(text: String) -> Self {
        Self::String(text)
    }

    fn array(items: Vec<Self>) -> Self {
        Self::Array(items)
    }

    /// The last of equal keys, as JavaScript's reader has it.
    fn add(members: &mut Self::Members, key: String, value: Self) {
        members.insert(key, value);
    }

    fn object(members: Self::Members) -> Self {
        Self::Object(members)
    }
}

/// A value whose numbers have all their digits.
struct Exact(Value);

impl Made for Exact {
    type Members = Map<String, Value>;
    const HOLDS_NUL: bool = true;

    fn null() -> Self {
        Self(Value::null())
    }

    fn boolean(value: bool) -> Self {
        Self(Value::boolean(value))
    }

    fn number(text: &str) -> Option<Self> {
        let number = nearest(text)?;
        Some(Self(lost_digits(text).map_or(Value::Number(number), Value::String)))
    }

    fn string(text: String) -> Self {
        Self(Value::string(text))
    }

    fn array(items: Vec<Self>) -> Self {
        Self(Value::array(items.into_iter().map(|Self(item)| item).collect()))
    }

    fn add(members: &mut Self::Members, key: String, Self(value): Self) {
        Value::add(members, key, value);
    }

    fn object(members: Self::Members) -> Self {
        Self(Value::object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What a double changes is the text of its digits; whole numbers of 64 bits and doubles are numbers.
    #[test]
    fn exact_values_lose_no_digit() {
        let text = r#"{"a":[1234567890123456.78,-1.2345678901234567890e3,99999999999999999999,0.1000000000000000055511151231257827],
            "b":{"c":[9007199254740993,18446744073709551615,-9223372036854775808,10928588.983213553,5.25000000000000000000,1e300]}}"#;
        let lost = json!([
            "1234567890123456.78",
            "-1234.5678901234567890",
            "99999999999999999999",
            "0.1000000000000000055511151231257827"
        ]);
        let kept = json!([9_007_199_254_740_993_i64, u64::MAX, i64::MIN, 10_928_588.983_213_553, 5.25, 1e300]);
        let expected = json!({"a": lost, "b": {"c": kept}});
        assert_eq!(exact(text).unwrap(), expected);
        assert_eq!(exact_of_bytes(text.as_bytes()).unwrap(), expected);
        let plain = r#"{"a":[null,true,"x",-0.5,{}],"a":[0]}"#;
        assert_eq!(exact(plain), value(plain));
        assert!(exact("1e400").is_err() && exact("[1").is_err());
        assert_eq!(lost_digits("1.0"), None);
    }
}
