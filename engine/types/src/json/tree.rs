//! A text as a tree, within Postgres' bounds. Each node knows where in the text it stands.

use super::read::{Made, read};

/// Deeper texts are refused: reading recurses.
const DEPTH_MAX: usize = 500;

/// A value and its place in the text it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Byte where it begins.
    pub from: usize,
    /// Byte behind its end.
    pub to: usize,
    /// What it says.
    pub value: Json,
}

/// A JSON value, with its parts.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// As written.
    Number(String),
    /// Without its escapes.
    String(String),
    /// In order.
    Array(Vec<Node>),
    /// In the order written, equal keys included.
    Object(Vec<(String, Node)>),
}

impl Json {
    /// As a node that stands nowhere.
    pub const fn node(self) -> Node {
        Node { from: 0, to: 0, value: self }
    }

    /// Its type's name, as `json_typeof` gives it.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

/// Reads a text. `None`: it is no JSON.
pub fn parse(text: &str) -> Option<Node> {
    read(text, DEPTH_MAX).ok()
}

impl Made for Node {
    type Members = Vec<(String, Self)>;
    const HOLDS_NUL: bool = false;

    fn null() -> Self {
        Json::Null.node()
    }

    fn boolean(value: bool) -> Self {
        Json::Bool(value).node()
    }

    fn number(text: &str) -> Option<Self> {
        Some(Json::Number(text.to_owned()).node())
    }

    fn string(text: String) -> Self {
        Json::String(text).node()
    }

    fn array(items: Vec<Self>) -> Self {
        Json::Array(items).node()
    }

    fn add(members: &mut Self::Members, key: String, value: Self) {
        members.push((key, value));
    }

    fn object(members: Self::Members) -> Self {
        Json::Object(members).node()
    }

    fn placed(self, from: usize, to: usize) -> Self {
        Self { from, to, ..self }
    }
}

/// Texts below this make small trees.
const LIGHT: usize = 1_024;
/// What allocating a text of its own takes at least.
const ALLOCATION: usize = 16;

/// Bytes that reading a text and writing it as jsonb does may take, about and rather more; 0 for a short one. Signs within strings
/// count, too.
#[must_use]
pub fn weight(text: &str) -> usize {
    if text.len() < LIGHT {
        return 0;
    }
    let value = 2 * size_of::<Node>() + ALLOCATION;
    let key = 3 * size_of::<String>() + ALLOCATION;
    let bytes = text.as_bytes();
    let mut weight = text.len().saturating_mul(2);
    for (at, byte) in bytes.iter().enumerate() {
        let more = match byte {
            b',' | b'[' | b'{' => value,
            b':' => key + size_of::<Node>(),
            // Numbers are written without their exponents.
            b'e' | b'E' if at > 0 && bytes[at - 1].is_ascii_digit() => 2 * zeros(&bytes[at + 1..]),
            _ => 0,
        };
        weight = weight.saturating_add(more);
    }
    weight
}

/// The zeros that an exponent stands for: at most as many as numbers are written with.
fn zeros(exponent: &[u8]) -> usize {
    let digits = exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+")).unwrap_or(exponent);
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit()).skip_while(|byte| **byte == b'0').take(5);
    let zeros = digits.fold(0_usize, |found, digit| found * 10 + usize::from(digit - b'0'));
    if zeros > super::print::EXPONENT_MAX { 0 } else { zeros }
}

#[cfg(test)]
mod tests {
    use super::weight;

    #[test]
    fn what_a_text_may_become_weighs() {
        assert_eq!(weight("[1e1000]"), 0);
        let list = format!("[{}1]", "1,".repeat(10_000));
        assert!((1_000_000..3_000_000).contains(&weight(&list)), "{}", weight(&list));
        let long = format!("[{}1]", "1e1000,".repeat(10_000));
        assert!(weight(&long) > 20_000_000, "{}", weight(&long));
        // Too large for a number of jsonb, which stays as it is written.
        let kept = format!("[{}1]", "1e99999,".repeat(10_000));
        assert!(weight(&kept) < 3_000_000, "{}", weight(&kept));
        assert!(weight(&format!("\"{}\"", "x".repeat(1 << 20))) < 3 << 20);
    }
}
