//! The parser: RFC 8259 with Postgres' bounds. Each node knows where in the text it stands.

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
    let mut parser = Parser { text, at: 0 };
    let node = parser.value(0)?;
    parser.blanks();
    (parser.at == text.len()).then_some(node)
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

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.blanks();
        let from = self.at;
        let value = match self.peek()? {
            b'{' => self.object(depth)?,
            b'[' => self.array(depth)?,
            b'"' => Json::String(self.string()?),
            b'-' | b'0'..=b'9' => Json::Number(self.number()?),
            _ => self.word()?,
        };
        Some(Node { from, to: self.at, value })
    }

    fn word(&mut self) -> Option<Json> {
        for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                let ends = self.peek().is_none_or(|b| !b.is_ascii_alphanumeric() && b != b'_');
                return ends.then_some(value);
            }
        }
        None
    }

    fn array(&mut self, depth: usize) -> Option<Json> {
        self.at += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.eat(b']') {
            return Some(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.eat(b']') {
                return Some(Json::Array(items));
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.at += 1;
        let mut members = Vec::new();
        self.blanks();
        if self.eat(b'}') {
            return Some(Json::Object(members));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return None;
            }
            let key = self.string()?;
            self.blanks();
            if !self.eat(b':') {
                return None;
            }
            members.push((key, self.value(depth + 1)?));
            self.blanks();
            if self.eat(b'}') {
                return Some(Json::Object(members));
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    fn number(&mut self) -> Option<String> {
        let from = self.at;
        self.eat(b'-');
        let digits = |parser: &mut Self| {
            let start = parser.at;
            while parser.peek().is_some_and(|b| b.is_ascii_digit()) {
                parser.at += 1;
            }
            parser.at > start
        };
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else if !digits(self) {
            return None;
        }
        if self.eat(b'.') && !digits(self) {
            return None;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            if !digits(self) {
                return None;
            }
        }
        let ends = self.peek().is_none_or(|b| !b.is_ascii_alphanumeric() && b != b'_');
        ends.then(|| self.text[from..self.at].to_owned())
    }

    fn string(&mut self) -> Option<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find(|c: char| matches!(c, '"' | '\\') || c < ' ')?;
            out.push_str(&rest[..end]);
            self.at += end;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(out);
                }
                b'\\' => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                _ => return None,
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let byte = self.peek()?;
        self.at += 1;
        out.push(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex()?;
                let code = if (0xD800..0xDC00).contains(&high) {
                    if !(self.eat(b'\\') && self.eat(b'u')) {
                        return None;
                    }
                    let low = self.hex()?;
                    if !(0xDC00..0xE000).contains(&low) {
                        return None;
                    }
                    0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)
                } else {
                    high
                };
                // Text holds no NUL.
                char::from_u32(code).filter(|c| *c != '\0')?
            }
            _ => return None,
        });
        Some(())
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }
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
