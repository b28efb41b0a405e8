//! A JSON reader that keeps positions and notes duplicate keys. Strict RFC 8259: no comments, no trailing commas.

use super::{DEPTH_MAX, Duplicate, Entry, MapBuilder, NODES_MAX, Node, Parsed, Span, SyntaxError, Value};

pub(super) fn parse(text: &str) -> Result<Parsed, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        line: 1,
        line_start: 0,
        continuations: 0,
        nodes: 0,
        duplicates: vec![],
    };
    reader.blank();
    let root = reader.value(0)?;
    reader.blank();
    if reader.at < reader.bytes.len() {
        return Err(reader.error("unexpected text after the document"));
    }
    Ok(Parsed { root, duplicates: reader.duplicates })
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: u32,
    /// Byte offset of the current line.
    line_start: usize,
    /// UTF-8 continuation bytes seen on the current line, to count columns in characters.
    continuations: usize,
    nodes: usize,
    duplicates: Vec<Duplicate>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn column(&self) -> u32 {
        let characters = (self.at - self.line_start).saturating_sub(self.continuations) + 1;
        u32::try_from(characters).unwrap_or(u32::MAX)
    }

    fn here(&self) -> Span {
        Span { line: self.line, column: self.column(), length: 1 }
    }

    fn since(&self, start: Span) -> Span {
        let length = if self.line == start.line { self.column().saturating_sub(start.column).max(1) } else { 1 };
        Span { length, ..start }
    }

    fn error(&self, message: &str) -> SyntaxError {
        SyntaxError { span: self.here(), message: message.to_owned() }
    }

    fn blank(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    self.line = self.line.saturating_add(1);
                    self.line_start = self.at;
                    self.continuations = 0;
                }
                _ => break,
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        if depth > DEPTH_MAX {
            return Err(self.error("nested too deeply"));
        }
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.error("too many values in one file"));
        }
        let start = self.here();
        let value = match self.peek() {
            Some(b'{') => return self.map(depth, start),
            Some(b'[') => return self.list(depth, start),
            Some(b'"') => Value::Text(self.string()?),
            Some(b't') => self.word("true", Value::Boolean(true))?,
            Some(b'f') => self.word("false", Value::Boolean(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => return Err(self.error("expected a JSON value")),
            None => return Err(self.error("unexpected end of file")),
        };
        Ok(Node { span: self.since(start), value })
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, SyntaxError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.error("expected a JSON value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        querygate_types::json::value::number(text).map(Value::Number).ok_or_else(|| {
            self.at = start;
            self.error("malformed number")
        })
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None | Some(b'\n') => return Err(self.error("unterminated string")),
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(0x00..=0x1f) => return Err(self.error("control character in a string")),
                Some(byte) => {
                    if byte & 0xc0 == 0x80 {
                        self.continuations += 1;
                    }
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        let raw = self.text.get(start..self.at).ok_or_else(|| self.error("malformed escape"))?;
        let inner = raw.get(1..raw.len() - 1).unwrap_or_default();
        if !inner.contains('\\') {
            return Ok(inner.to_owned());
        }
        serde_json::from_str(raw).map_err(|_| self.error("malformed escape in a string"))
    }

    fn map(&mut self, depth: usize, start: Span) -> Result<Node, SyntaxError> {
        self.at += 1;
        let mut map = MapBuilder::default();
        self.blank();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node { span: self.since(start), value: Value::Map(vec![]) });
        }
        loop {
            self.blank();
            let key_start = self.here();
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key in double quotes"));
            }
            let key = self.string()?;
            let key_span = self.since(key_start);
            self.blank();
            if self.peek() != Some(b':') {
                return Err(self.error("expected ':' after the key"));
            }
            self.at += 1;
            self.blank();
            let node = self.value(depth + 1)?;
            map.add(Entry { key, key_span, node }, &mut self.duplicates);
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                Some(_) => return Err(self.error("expected ',' or '}'")),
                None => return Err(self.error("unexpected end of file")),
            }
        }
        self.at += 1;
        Ok(Node { span: self.since(start), value: Value::Map(map.entries) })
    }

    fn list(&mut self, depth: usize, start: Span) -> Result<Node, SyntaxError> {
        self.at += 1;
        let mut items = Vec::new();
        self.blank();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node { span: self.since(start), value: Value::List(items) });
        }
        loop {
            self.blank();
            items.push(self.value(depth + 1)?);
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                Some(_) => return Err(self.error("expected ',' or ']'")),
                None => return Err(self.error("unexpected end of file")),
            }
        }
        self.at += 1;
        Ok(Node { span: self.since(start), value: Value::List(items) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_lines() {
        let parsed = parse("{\n  \"é🔥\": 1, \"b\": [true]\n}").unwrap();
        let Value::Map(entries) = &parsed.root.value else { panic!() };
        assert_eq!(entries[0].key_span, Span { line: 2, column: 3, length: 4 });
        assert_eq!(entries[0].node.span, Span { line: 2, column: 9, length: 1 });
        assert_eq!(entries[1].key_span, Span { line: 2, column: 12, length: 3 });
    }

    #[test]
    fn values_equal_serde_json() {
        for text in [
            r#"{"a":[1,-2.5e3,18446744073709551615,"x\n\u00e9\ud83d\ude00"],"b":{},"c":[],"d":null,"e":0.1}"#,
            "[]",
            "\"00123\"",
        ] {
            assert_eq!(parse(text).unwrap().root.to_json(), serde_json::from_str::<serde_json::Value>(text).unwrap());
        }
    }

    #[test]
    fn malformed_texts_are_refused_with_their_place() {
        let check = |text: &str, line: u32, column: u32, message: &str| {
            let error = parse(text).unwrap_err();
            assert_eq!((error.span.line, error.span.column, error.message.as_str()), (line, column, message), "{text}");
        };
        check("{\"a\": 1,}", 1, 9, "expected a key in double quotes");
        check("[1\n 2]", 2, 2, "expected ',' or ']'");
        check("{\"a\" 1}", 1, 6, "expected ':' after the key");
        check("[01]", 1, 2, "malformed number");
        check("[\"a", 1, 4, "unterminated string");
        check("[\"a\\", 1, 6, "unterminated string");
        check("nul", 1, 1, "expected a JSON value");
        check("", 1, 1, "unexpected end of file");
        check("1 2", 1, 3, "unexpected text after the document");
        check(&"[".repeat(1000), 1, 130, "nested too deeply");
    }

    #[test]
    fn duplicate_keys_name_both_places() {
        let mut wide: Vec<String> = (0..40).map(|n| format!("\"k{n}\":{n}")).collect();
        wide.push("\"k39\":0".to_owned());
        for (text, key) in [("{\"a\":1,\"a\":2}".to_owned(), "a"), (format!("{{{}}}", wide.join(",\n")), "k39")] {
            let parsed = parse(&text).unwrap();
            assert_eq!(parsed.duplicates.len(), 1, "{text}");
            assert_eq!(parsed.duplicates[0].key, key);
            assert_ne!(parsed.duplicates[0].first, parsed.duplicates[0].second);
        }
    }
}
