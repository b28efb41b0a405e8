//! Which modules a Rust file names: its tokens without comments, texts and tests, and the paths that begin in its crate.

/// A word, or one character of anything else; `::` is one token.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Separator,
    Sign(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }
}

/// A path as it is written, and the modules of its file that enclose it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) inside: Vec<String>,
    pub(crate) segments: Vec<String>,
    /// The name that a `use` gives it.
    pub(crate) name: Option<String>,
}

/// What a file says of modules, outside of tests.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) paths: Vec<Written>,
    /// Modules that it declares for tests only.
    pub(crate) tests: Vec<String>,
}

pub(crate) fn read(text: &str) -> Source {
    let mut reader = Reader { tokens: tokens(text), at: 0, found: Source::default(), blocks: Vec::new() };
    reader.run();
    reader.found
}

/// The length of a comment, text or character that begins `rest`; 0 where none does.
fn skipped(rest: &str) -> usize {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until("*/", 2);
    }
    if let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        return if raw[hashes..].starts_with('"') {
            until(&format!("\"{}", "#".repeat(hashes)), hashes + 2)
        } else {
            0
        };
    }
    if let Some(inner) = rest.strip_prefix('"') {
        return 1 + end_of_text(inner, '"');
    }
    // A lifetime has no closing quote; a character is one sign or an escape.
    if let Some(inner) = rest.strip_prefix('\'') {
        let closes = inner.starts_with('\\') || inner.chars().nth(1) == Some('\'');
        return if closes { 1 + end_of_text(inner, '\'') } else { 1 };
    }
    0
}

fn end_of_text(rest: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == end => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

fn tokens(text: &str) -> Vec<Token> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let skip = skipped(rest);
        let length = if skip > 0 {
            skip
        } else if is_word(first) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            found.push(Token::Word(rest[..length].to_owned()));
            length
        } else if rest.starts_with("::") {
            found.push(Token::Separator);
            2
        } else {
            if !first.is_whitespace() {
                found.push(Token::Sign(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    found: Source,
    /// Of each open brace, the module that it opens.
    blocks: Vec<Option<String>>,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn is_sign(&self, ahead: usize, sign: char) -> bool {
        self.peek(ahead) == Some(&Token::Sign(sign))
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        match self.peek(ahead) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn run(&mut self) {
        while let Some(token) = self.peek(0).cloned() {
            match token {
                Token::Sign('#') if self.tests_only() => self.skip_item(),
                Token::Sign('{') => self.open(None),
                Token::Sign('}') => {
                    self.blocks.pop();
                    self.at += 1;
                }
                Token::Word(word) if word == "mod" && self.is_sign(2, '{') => {
                    let name = self.word(1).map(str::to_owned);
                    self.at += 2;
                    self.open(name);
                }
                Token::Word(word) if word == "use" => {
                    self.at += 1;
                    self.tree(&[]);
                }
                Token::Word(word) if ["crate", "self", "super"].contains(&word.as_str()) && self.begins() => {
                    let segments = self.segments();
                    self.note(segments, None);
                }
                _ => self.at += 1,
            }
        }
    }

    fn open(&mut self, module: Option<String>) {
        self.blocks.push(module);
        self.at += 1;
    }

    /// Whether a path begins here: `pub(in crate::a)` names a module without using it.
    fn begins(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        before != Some(&Token::Separator)
            && !before.is_some_and(|token| token.is("in"))
            && self.peek(1) == Some(&Token::Separator)
    }

    fn segments(&mut self) -> Vec<String> {
        let mut segments = Vec::new();
        while let Some(word) = self.word(0).map(str::to_owned) {
            segments.push(word);
            self.at += 1;
            if self.peek(0) != Some(&Token::Separator) || self.word(1).is_none() {
                break;
            }
            self.at += 1;
        }
        segments
    }

    /// A tree of `use`, after `prefix`, up to what ends it.
    fn tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        path.extend(self.segments());
        if self.peek(0) == Some(&Token::Separator) {
            self.at += 1;
        }
        if self.is_sign(0, '{') {
            self.at += 1;
            while self.at < self.tokens.len() && !self.is_sign(0, '}') {
                self.tree(&path);
                if self.is_sign(0, ',') {
                    self.at += 1;
                }
            }
            self.at += 1;
            return;
        }
        if self.is_sign(0, '*') {
            self.at += 1;
        }
        let mut name = path.last().cloned();
        if self.word(0) == Some("as") {
            name = self.word(1).map(str::to_owned);
            self.at += 2;
        }
        self.note(path, name);
    }

    fn note(&mut self, segments: Vec<String>, name: Option<String>) {
        let inside = self.blocks.iter().flatten().cloned().collect();
        self.found.paths.push(Written { inside, segments, name });
    }

    /// Whether `#[cfg(test)]` stands here, also with more conditions.
    fn tests_only(&self) -> bool {
        let all = self.word(4) == Some("all") && self.word(6) == Some("test");
        self.is_sign(1, '[') && self.word(2) == Some("cfg") && (self.word(4) == Some("test") || all)
    }

    /// Steps over attributes and the item, statement or field behind them.
    fn skip_item(&mut self) {
        while self.is_sign(0, '#') {
            self.skip_to(&[']']);
        }
        let ahead = (0..6).find(|ahead| self.word(*ahead) == Some("mod"));
        if let Some(ahead) = ahead
            && self.is_sign(ahead + 2, ';')
            && let Some(name) = self.word(ahead + 1).map(str::to_owned)
        {
            self.found.tests.push(name);
        }
        let items = ["pub", "fn", "mod", "use", "struct", "enum", "impl", "const", "static", "type", "trait", "let"];
        let others = ["async", "macro_rules", "extern"];
        match self.word(0) {
            Some("use") => self.skip_to(&[';']),
            Some(word) if word == "pub" && (0..6).any(|ahead| self.word(ahead) == Some("use")) => self.skip_to(&[';']),
            Some(word) if items.contains(&word) || others.contains(&word) => self.skip_to(&[';', '}']),
            _ => self.skip_to(&[',', ';', '}']),
        }
    }

    /// Steps behind the first of `ends` outside of brackets; the brackets that close here belong to it.
    fn skip_to(&mut self, ends: &[char]) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            let sign = if let Token::Sign(sign) = token { *sign } else { ' ' };
            match sign {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' if depth == 0 => return,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 && ends.contains(&sign) {
                return;
            }
        }
    }
}

#[test]
fn paths_are_read_where_they_are_used() {
    let text = r##"
        //! crate::comment
        use crate::{a::x, b::{self, y as z}, c::*};
        #[cfg(test)]
        mod tests;
        mod inner { use super::super::d; fn f() { crate::e::g("crate::text", 'c', r#"crate::raw"#) } }
        pub(in crate::visible) fn h<'a>(x: &'a super::k::T) {}
        #[cfg(test)]
        use crate::{hidden, other};
        #[cfg(test)]
        mod unit { use crate::hidden; }
        fn last() -> crate::l::M { other::crate_::n() }
    "##;
    let source = read(text);
    let shown: Vec<String> = source
        .paths
        .iter()
        .map(|p| format!("{}>{}={}", p.inside.join("."), p.segments.join("."), p.name.as_deref().unwrap_or_default()))
        .collect();
    let expected = [
        ">crate.a.x=x",
        ">crate.b.self=self",
        ">crate.b.y=z",
        ">crate.c=c",
        "inner>super.super.d=d",
        "inner>crate.e.g=",
        ">super.k.T=",
        ">crate.l.M=",
    ];
    assert_eq!(shown, expected);
    assert_eq!(source.tests, ["tests"]);
}
