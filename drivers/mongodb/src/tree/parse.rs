//! The text of a pipeline back into its tree: what [`crate::tree::node`] writes and nothing else.

use crate::tree::node::{Form, Node};

/// Deepest nesting that is read: fragments are bounded below it.
const DEPTH_MAX: usize = 2_000;

/// The tree of a text; none for a text that we did not write.
pub(crate) fn parse(text: &str) -> Option<Node> {
    let mut reader = Reader { rest: text };
    let node = reader.node(0)?;
    reader.rest.is_empty().then_some(node)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn take(&mut self, word: &str) -> bool {
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, word: &str) -> Option<()> {
        self.take(word).then_some(())
    }

    fn node(&mut self, depth: usize) -> Option<Node> {
        if depth > DEPTH_MAX {
            return None;
        }
        let deeper = depth + 1;
        match self.rest.as_bytes().first()? {
            b'"' => self.string().map(Node::Text),
            b'[' => self.items(deeper).map(Node::Array),
            b'{' => self.object(deeper),
            b'$' => Some(Node::Parameter(self.parameter()?, Form::Value)),
            b'-' | b'0'..=b'9' => self.integer(),
            _ => self.word(deeper),
        }
    }

    fn word(&mut self, deeper: usize) -> Option<Node> {
        for (word, node) in [
            ("null", Node::Null),
            ("true", Node::Bool(true)),
            ("false", Node::Bool(false)),
            ("NaN", Node::NotANumber),
            ("Infinity", Node::Infinity),
        ] {
            if self.take(word) {
                return Some(node);
            }
        }
        if self.take("present") {
            return self.items(deeper).map(Node::Present);
        }
        if self.take("known(") {
            let mut parameters = Vec::new();
            while self.rest.starts_with('$') {
                parameters.push(self.parameter()?);
                self.expect(",")?;
            }
            let inner = self.node(deeper)?;
            self.expect(")")?;
            return (!parameters.is_empty()).then(|| Node::Known(parameters, Box::new(inner)));
        }
        let form = Form::WORDS.into_iter().find(|form| self.take(form.word()))?;
        self.expect("(")?;
        let parameter = self.parameter()?;
        self.expect(")")?;
        Some(Node::Parameter(parameter, form))
    }

    fn digits(&mut self) -> Option<&str> {
        let sign = usize::from(self.rest.starts_with('-'));
        let end = self.rest.bytes().skip(sign).take_while(u8::is_ascii_digit).count() + sign;
        let (digits, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(digits)
    }

    fn integer(&mut self) -> Option<Node> {
        self.digits()?.parse().ok().map(Node::Int)
    }

    fn parameter(&mut self) -> Option<usize> {
        self.expect("$")?;
        self.digits()?.parse::<usize>().ok()?.checked_sub(1)
    }

    fn items(&mut self, deeper: usize) -> Option<Vec<Node>> {
        self.expect("[")?;
        let mut items = Vec::new();
        if self.take("]") {
            return Some(items);
        }
        loop {
            items.push(self.node(deeper)?);
            if self.take("]") {
                return Some(items);
            }
            self.expect(",")?;
        }
    }

    fn object(&mut self, deeper: usize) -> Option<Node> {
        self.expect("{")?;
        let mut fields = Vec::new();
        if self.take("}") {
            return Some(Node::Object(fields));
        }
        loop {
            let name = self.string()?;
            self.expect(":")?;
            fields.push((name, self.node(deeper)?));
            if self.take("}") {
                return Some(Node::Object(fields));
            }
            self.expect(",")?;
        }
    }

    fn string(&mut self) -> Option<String> {
        self.expect("\"")?;
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        loop {
            let (at, character) = characters.next()?;
            match character {
                '"' => {
                    self.rest = self.rest.get(at + 1..)?;
                    return Some(text);
                }
                '\\' => match characters.next()?.1 {
                    'u' => {
                        let code = (0..4)
                            .try_fold(0, |code, _| Some(code * 16 + characters.next().and_then(|c| c.1.to_digit(16))?));
                        text.push(char::from_u32(code?)?);
                    }
                    plain => text.push(plain),
                },
                plain => text.push(plain),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::node::{call, one, text};

    #[test]
    fn what_is_written_is_read_back() {
        let name = "a\"b\\c\n$1 known($1,{}) \u{0} 😀";
        let node = Node::Object(vec![
            (name.to_owned(), Node::Known(vec![0, 11], Box::new(one(name, Node::Parameter(11, Form::Floor))))),
            ("x".to_owned(), Node::Present(vec![Node::Parameter(0, Form::ObjectId), Node::Parameter(3, Form::Value)])),
            (
                String::new(),
                call("$and", [Node::Null, Node::Bool(true), Node::Bool(false), Node::NotANumber, Node::Infinity]),
            ),
            ("n".to_owned(), Node::Array(vec![Node::Int(i64::MIN), Node::Int(i64::MAX), text(name)])),
            ("e".to_owned(), Node::Array(vec![Node::Object(vec![]), Node::Array(vec![])])),
            ("r".to_owned(), Node::Parameter(7, Form::Pattern)),
            ("c".to_owned(), Node::Parameter(7, Form::Ceil)),
        ]);
        let mut written = String::new();
        node.write(&mut written);
        assert_eq!(parse(&written), Some(node), "{written}");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "{", "[1,]", "{\"a\":}", "$0", "$x", "known(1)", "floor($1", "nul", "1 2", "\"", "\"\\u12\""] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None);
    }
}
