//! Reads a path.

use super::{Comparison, Expr, Like, Method, Path, Predicate, Step};
use std::cell::OnceCell;

/// Deeper paths are refused: reading recurses.
const DEPTH_MAX: usize = 64;
/// Parts that a path may have: each may lie within the next, and evaluation recurses. Reading one in two ways counts twice, so that
/// parentheses in parentheses end, too.
const PARTS_MAX: usize = 1_000;

/// Bytes of a path: each part may look at all of the rest.
const LENGTH_MAX: usize = 64 << 10;

/// Reads a text. `None`: it is no path, or one that is not known here.
pub(crate) fn parse(text: &str) -> Option<Path> {
    if text.len() > LENGTH_MAX {
        return None;
    }
    let mut parser = Parser { rest: text, depth: 0, parts: 0 };
    let strict = match parser.word_ahead() {
        Some("strict") => {
            parser.word("strict");
            true
        }
        Some("lax") => {
            parser.word("lax");
            false
        }
        _ => false,
    };
    let root = parser.whole()?;
    parser.blanks();
    parser.rest.is_empty().then_some(Path { strict, root })
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
    /// What was read so far; a part that is read a second time counts twice.
    parts: usize,
}

impl<'a> Parser<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, sign: &str) -> bool {
        self.blanks();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word_ahead(&mut self) -> Option<&'a str> {
        self.blanks();
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        Some(&self.rest[..end]).filter(|word| !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit()))
    }

    fn word(&mut self, wanted: &str) -> bool {
        let found = self.word_ahead() == Some(wanted);
        if found {
            self.rest = &self.rest[wanted.len()..];
        }
        found
    }

    /// Counts a part.
    fn part(&mut self) -> Option<()> {
        self.parts += 1;
        (self.parts <= PARTS_MAX).then_some(())
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        let read = if self.depth > DEPTH_MAX { None } else { read(self) };
        self.depth -= 1;
        read
    }

    /// A predicate where the text is one, else an expression.
    fn whole(&mut self) -> Option<Expr> {
        let before = self.rest;
        if let Some(predicate) = self.predicate() {
            self.blanks();
            if self.rest.is_empty() || self.rest.starts_with(')') {
                return Some(Expr::Predicate(Box::new(predicate)));
            }
        }
        self.rest = before;
        self.expression()
    }

    fn predicate(&mut self) -> Option<Predicate> {
        self.deeper(|parser| {
            let mut left = parser.conjunction()?;
            while parser.eat("||") {
                parser.part()?;
                left = Predicate::Or(Box::new(left), Box::new(parser.conjunction()?));
            }
            Some(left)
        })
    }

    fn conjunction(&mut self) -> Option<Predicate> {
        let mut left = self.negation()?;
        while self.eat("&&") {
            self.part()?;
            left = Predicate::And(Box::new(left), Box::new(self.negation()?));
        }
        Some(left)
    }

    fn negation(&mut self) -> Option<Predicate> {
        self.part()?;
        self.blanks();
        if self.rest.starts_with('!') && !self.rest.starts_with("!=") {
            self.eat("!");
            return self.deeper(|parser| Some(Predicate::Not(Box::new(parser.negation()?))));
        }
        if self.word("exists") {
            let inner = (self.eat("(")).then(|| self.expression())??;
            return self.eat(")").then_some(Predicate::Exists(inner));
        }
        let before = self.rest;
        if self.eat("(")
            && let Some(inner) = self.predicate()
            && self.eat(")")
        {
            if self.word("is") {
                return self.word("unknown").then(|| Predicate::IsUnknown(Box::new(inner)));
            }
            self.blanks();
            let ends = self.rest.is_empty() || self.rest.starts_with([')', ']']);
            if ends || self.rest.starts_with("&&") || self.rest.starts_with("||") {
                return Some(inner);
            }
        }
        self.rest = before;
        self.comparison()
    }

    fn comparison(&mut self) -> Option<Predicate> {
        let left = self.expression()?;
        if self.word("starts") {
            return self.word("with").then(|| Some(Predicate::StartsWith(left, self.expression()?)))?;
        }
        if self.word("like_regex") {
            self.blanks();
            let pattern = self.text()?;
            let flags = if self.word("flag") {
                self.blanks();
                self.text()?
            } else {
                String::new()
            };
            // Literal text and extended syntax are not had.
            if !flags.chars().all(|flag| matches!(flag, 'i' | 's' | 'm')) {
                return None;
            }
            return Some(Predicate::Like(Like { of: left, pattern, flags, compiled: OnceCell::new() }));
        }
        const SIGNS: &[(&str, Comparison)] = &[
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<>", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let (_, comparison) = SIGNS.iter().find(|(sign, _)| self.eat(sign))?;
        Some(Predicate::Compare(*comparison, left, self.expression()?))
    }

    fn expression(&mut self) -> Option<Expr> {
        self.deeper(|parser| {
            let mut left = parser.product()?;
            loop {
                let sign = if parser.eat("+") {
                    '+'
                } else if parser.eat("-") {
                    '-'
                } else {
                    return Some(left);
                };
                parser.part()?;
                left = Expr::Arithmetic(sign, Box::new(left), Box::new(parser.product()?));
            }
        })
    }

    fn product(&mut self) -> Option<Expr> {
        let mut left = self.signed()?;
        loop {
            let Some(sign) = ['*', '/', '%'].into_iter().find(|sign| self.eat(&sign.to_string())) else {
                return Some(left);
            };
            self.part()?;
            left = Expr::Arithmetic(sign, Box::new(left), Box::new(self.signed()?));
        }
    }

    fn signed(&mut self) -> Option<Expr> {
        for sign in ['-', '+'] {
            if self.eat(&sign.to_string()) {
                return self.deeper(|parser| Some(Expr::Sign(sign, Box::new(parser.signed()?))));
            }
        }
        let mut of = self.primary()?;
        while let Some(step) = self.step()? {
            self.part()?;
            of = Expr::Step(Box::new(of), step);
        }
        Some(of)
    }

    fn primary(&mut self) -> Option<Expr> {
        self.part()?;
        self.blanks();
        match self.rest.chars().next()? {
            '$' => {
                self.rest = &self.rest[1..];
                if self.rest.starts_with('"') {
                    return self.text().map(Expr::Variable);
                }
                let name = if self.rest.starts_with(char::is_whitespace) { None } else { self.word_ahead() };
                Some(match name {
                    Some(name) => {
                        self.rest = &self.rest[name.len()..];
                        Expr::Variable(name.to_owned())
                    }
                    None => Expr::Root,
                })
            }
            '@' => {
                self.rest = &self.rest[1..];
                Some(Expr::Current)
            }
            '"' => self.text().map(Expr::Text),
            '(' => {
                self.eat("(");
                let inner = self.whole()?;
                self.eat(")").then_some(inner)
            }
            c if c.is_ascii_digit() || c == '.' => self.number().map(Expr::Number),
            _ => {
                let word = self.word_ahead()?;
                let literal = match word {
                    "true" => Expr::Bool(true),
                    "false" => Expr::Bool(false),
                    "null" => Expr::Null,
                    "last" => Expr::Last,
                    _ => return None,
                };
                self.rest = &self.rest[word.len()..];
                Some(literal)
            }
        }
    }

    fn number(&mut self) -> Option<String> {
        let bytes = self.rest.as_bytes();
        let mut end = 0;
        while bytes.get(end).is_some_and(|b| b.is_ascii_digit() || *b == b'.') {
            end += 1;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            end += 1;
            end += usize::from(matches!(bytes.get(end), Some(b'+' | b'-')));
            while bytes.get(end).is_some_and(u8::is_ascii_digit) {
                end += 1;
            }
        }
        let (number, rest) = self.rest.split_at(end);
        number.parse::<f64>().ok()?;
        self.rest = rest;
        Some(if number.starts_with('.') { format!("0{number}") } else { number.trim_end_matches('.').to_owned() })
    }

    /// A text in double quotes, with JSON's escapes.
    fn text(&mut self) -> Option<String> {
        let body = self.rest.strip_prefix('"')?;
        let mut escaped = false;
        let end = body.char_indices().find_map(|(at, c)| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends.then_some(at)
        })?;
        let node = super::super::tree::parse(&self.rest[..end + 2])?;
        self.rest = &body[end + 1..];
        match node.value {
            super::super::tree::Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The next step; `Some(None)`: there is none.
    fn step(&mut self) -> Option<Option<Step>> {
        self.blanks();
        if self.eat("?") {
            let predicate = (self.eat("(")).then(|| self.predicate())??;
            return self.eat(")").then(|| Some(Step::Filter(Box::new(predicate))));
        }
        if self.eat("[") {
            return self.places().map(Some);
        }
        if !self.rest.starts_with('.') {
            return Some(None);
        }
        self.eat(".");
        if self.eat("**") {
            return self.levels().map(Some);
        }
        if self.eat("*") {
            return Some(Some(Step::AnyMember));
        }
        self.blanks();
        if self.rest.starts_with('"') {
            return self.text().map(|key| Some(Step::Member(key)));
        }
        let name = self.word_ahead()?;
        self.rest = &self.rest[name.len()..];
        let before = self.rest;
        if self.eat("(") {
            let method = match name {
                "type" => Method::Type,
                "size" => Method::Size,
                "double" => Method::Double,
                "ceiling" => Method::Ceiling,
                "floor" => Method::Floor,
                "abs" => Method::Abs,
                _ => return None,
            };
            return self.eat(")").then_some(Some(Step::Method(method)));
        }
        self.rest = before;
        Some(Some(Step::Member(name.to_owned())))
    }

    /// `[*]`, `[0, 2 to last]`.
    fn places(&mut self) -> Option<Step> {
        if self.eat("*") {
            return self.eat("]").then_some(Step::AnyElement);
        }
        let mut places = Vec::new();
        loop {
            let from = self.expression()?;
            let to = if self.word("to") { Some(self.expression()?) } else { None };
            places.push((from, to));
            if self.eat("]") {
                return Some(Step::Elements(places));
            }
            if !self.eat(",") {
                return None;
            }
        }
    }

    /// What follows `**`: nothing, `{2}`, `{1 to last}`.
    fn levels(&mut self) -> Option<Step> {
        if !self.eat("{") {
            return Some(Step::Descend(Some(0), None));
        }
        let level = |parser: &mut Self| -> Option<Option<u32>> {
            if parser.word("last") {
                return Some(None);
            }
            parser.blanks();
            parser.number()?.parse().ok().map(Some)
        };
        let from = level(self)?;
        let to = if self.word("to") { level(self)? } else { from };
        self.eat("}").then_some(Step::Descend(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_long_ones_refused() {
        for path in [
            "$",
            "lax $.a[*] ? (@.b > 1 && !(@.c == \"x\")).d",
            "strict $.**{1 to last}",
            "($.a + 1) * -2 == 4",
            "$[last - 1, 0 to 2].size()",
        ] {
            assert!(parse(path).is_some(), "{path}");
        }
        for path in ["", "$.", "$ ? (@", "$.a b", "$[", "$.a.datetime()", "@ ==", "$.a ? (1)"] {
            assert!(parse(path).is_none(), "{path}");
        }
        for path in [
            "$".to_owned() + &".a".repeat(100_000),
            "(".repeat(100_000),
            "((((".repeat(15) + "$",
            "1+".repeat(100_000) + "1",
        ] {
            assert!(parse(&path).is_none());
        }
    }
}
