//! Masking of field values by code point (ObjectStack reference 6.9), or by an extension. Knows neither who asks nor which field.

use querygate_extension::Registration;
use querygate_extension::mask::NativeMask;
use querygate_types::Result;
use serde_json::Value;

/// How a value is hidden. Null stays null under every mask.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Mask {
    /// Keeps so many code points at each end and stars those between; a value that is not longer than both ends
    /// together is starred whole.
    Keep { head: usize, tail: usize },
    /// The first code point of the local part and the whole domain; without a local part or `@` as `Keep { 1, 0 }`.
    Email,
    /// Every code point starred: what an invalid rule means.
    Full,
    /// Eight bullets whatever the value: password and secret fields.
    Bullets,
    /// In Rust.
    Native(Registration<dyn NativeMask>),
}

const BULLETS: &str = "••••••••";
const OPAQUE: &str = "***";

impl Mask {
    /// Masks a text (for a number: its decimal text).
    ///
    /// # Errors
    /// XX000: one in Rust failed.
    pub fn apply(&self, text: &str) -> Result<String> {
        Ok(match self {
            Self::Native(mask) => return mask.apply(text),
            Self::Keep { head, tail } => keep(text, *head, *tail),
            Self::Full => "*".repeat(text.chars().count()),
            Self::Bullets => BULLETS.to_owned(),
            Self::Email => match text.find('@') {
                None | Some(0) => keep(text, 1, 0),
                Some(at) => {
                    let (local, domain) = text.split_at(at);
                    format!("{}{domain}", keep(local, 1, 0))
                }
            },
        })
    }

    /// Masks a JSON value: numbers as their decimal text, arrays per element, other non-strings as `***`.
    ///
    /// # Errors
    /// XX000: one in Rust failed.
    pub fn apply_json(&self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::Null => Value::Null,
            _ if *self == Self::Bullets => Value::String(BULLETS.to_owned()),
            Value::String(text) => Value::String(self.apply(text)?),
            Value::Number(number) => Value::String(self.apply(&number.to_string())?),
            Value::Array(elements) => Value::Array(elements.iter().map(|e| self.apply_json(e)).collect::<Result<_>>()?),
            Value::Bool(_) | Value::Object(_) => Value::String(OPAQUE.to_owned()),
        })
    }
}

fn keep(text: &str, head: usize, tail: usize) -> String {
    let length = text.chars().count();
    if length <= head.saturating_add(tail) {
        return "*".repeat(length);
    }
    text.chars().enumerate().map(|(i, c)| if i < head || i >= length - tail { c } else { '*' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn masks_count_code_points() {
        for (mask, text, expected) in [
            (Mask::Keep { head: 3, tail: 4 }, "13812345678", "138****5678"),
            (Mask::Keep { head: 3, tail: 4 }, "1234567", "*******"),
            (Mask::Keep { head: 3, tail: 4 }, "12345678", "123*5678"),
            (Mask::Keep { head: 6, tail: 4 }, "110101199003071234", "110101********1234"),
            (Mask::Keep { head: 0, tail: 4 }, "12345", "*2345"),
            (Mask::Keep { head: 0, tail: 4 }, "1234", "****"),
            (Mask::Keep { head: 1, tail: 0 }, "李小龙", "李**"),
            (Mask::Keep { head: 1, tail: 0 }, "李", "*"),
            (Mask::Email, "ada@example.com", "a**@example.com"),
            (Mask::Email, "a@example.com", "*@example.com"),
            (Mask::Email, "@example.com", "@***********"),
            (Mask::Email, "nobody", "n*****"),
            (Mask::Keep { head: 1, tail: 1 }, "🙂🙃🙂", "🙂*🙂"),
            (Mask::Keep { head: 0, tail: 0 }, "abc", "***"),
            (Mask::Full, "abc", "***"),
            (Mask::Keep { head: usize::MAX, tail: usize::MAX }, "abc", "***"),
            (Mask::Bullets, "x", "••••••••"),
            (Mask::Full, "", ""),
        ] {
            assert_eq!(mask.apply(text).unwrap(), expected, "{mask:?} {text}");
        }
    }

    #[test]
    fn other_values_mask_as_text_or_opaquely() {
        let mask = Mask::Keep { head: 1, tail: 0 };
        for (value, expected) in [
            (json!(null), json!(null)),
            (json!(123), json!("1**")),
            (json!(["ab", 12, null]), json!(["a*", "1*", null])),
            (json!({"a": 1}), json!("***")),
            (json!(true), json!("***")),
        ] {
            assert_eq!(mask.apply_json(&value).unwrap(), expected);
        }
        assert_eq!(Mask::Bullets.apply_json(&json!(null)).unwrap(), json!(null));
        assert_eq!(Mask::Bullets.apply_json(&json!(5)).unwrap(), json!("••••••••"));
    }
}
