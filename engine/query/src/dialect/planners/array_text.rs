//! Array literals: the text form of arrays, of any number of dimensions. Knows no types.

use querygate_types::{Error, ErrorCode, Result};

/// Dimensions that an array may have, as in PostgreSQL.
const DIMENSIONS_MAX: usize = 6;

/// One element of an array literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dialect) enum Item {
    Null,
    Text(String),
    Array(Vec<Item>),
}

/// The elements of an array literal.
///
/// # Errors
/// 22P02 for a malformed literal, and for one whose inner arrays differ in length.
pub(in crate::dialect) fn items(text: &str) -> Result<Vec<Item>> {
    let malformed = || Error::new(ErrorCode::InvalidTextRepresentation, format!("malformed array literal: \"{text}\""));
    let mut reader = Reader { rest: text.trim().chars().peekable() };
    let items = reader.array(1).ok_or_else(malformed)?;
    if reader.rest.next().is_some() || !rectangular(&items) {
        return Err(malformed());
    }
    Ok(items)
}

/// Inner arrays are of one length at each depth, and no array stands beside a value.
fn rectangular(items: &[Item]) -> bool {
    fn shape(item: &Item) -> Option<Vec<usize>> {
        match item {
            Item::Null | Item::Text(_) => Some(Vec::new()),
            Item::Array(items) => {
                let mut inner = items.iter().map(shape);
                let first = inner.next()??;
                if !inner.all(|other| other.as_ref() == Some(&first)) {
                    return None;
                }
                Some(std::iter::once(items.len()).chain(first).collect())
            }
        }
    }
    items.is_empty() || shape(&Item::Array(items.to_vec())).is_some()
}

struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.rest.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.rest.next();
        }
    }

    /// From the opening brace to the closing one; `None`: malformed.
    fn array(&mut self, depth: usize) -> Option<Vec<Item>> {
        if self.rest.next() != Some('{') || depth > DIMENSIONS_MAX {
            return None;
        }
        let mut items = Vec::new();
        self.blanks();
        if self.rest.peek() == Some(&'}') {
            self.rest.next();
            return Some(items);
        }
        loop {
            self.blanks();
            items.push(match self.rest.peek()? {
                '{' => Item::Array(self.array(depth + 1)?),
                '"' => Item::Text(self.quoted()?),
                _ => self.plain()?,
            });
            self.blanks();
            match self.rest.next()? {
                ',' => {}
                '}' => return Some(items),
                _ => return None,
            }
        }
    }

    fn quoted(&mut self) -> Option<String> {
        self.rest.next();
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.rest.next()?),
                c => text.push(c),
            }
        }
    }

    fn plain(&mut self) -> Option<Item> {
        let (mut text, mut escaped) = (String::new(), false);
        while let Some(c) = self.rest.peek().copied() {
            match c {
                ',' | '}' => break,
                '{' | '"' => return None,
                '\\' => {
                    self.rest.next();
                    text.push(self.rest.next()?);
                    escaped = true;
                }
                c => {
                    self.rest.next();
                    text.push(c);
                }
            }
        }
        let trimmed = text.trim_end();
        if trimmed.is_empty() {
            return None;
        }
        Some(if !escaped && trimmed.eq_ignore_ascii_case("null") { Item::Null } else { Item::Text(trimmed.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_postgres_reads_them() {
        let text = |t: &str| Item::Text(t.to_owned());
        let check = |literal: &str, expected: Vec<Item>| assert_eq!(items(literal).unwrap(), expected, "{literal}");
        check("{}", vec![]);
        check("{r,v}", vec![text("r"), text("v")]);
        check(
            "{ a b , \"b,c\" , NULL, \"null\", \"\" }",
            vec![text("a b"), text("b,c"), Item::Null, text("null"), text("")],
        );
        check(
            " {{1,2}, {3,\\}}} ",
            vec![Item::Array(vec![text("1"), text("2")]), Item::Array(vec![text("3"), text("}")])],
        );
        for literal in ["a", "{a", "{,}", "{\"a}", "{\"a\"b}", "{1,{2}}", "{{1},{2,3}}", "{a}b", "{{{{{{{1}}}}}}}"] {
            assert_eq!(items(literal).unwrap_err().code().sqlstate(), "22P02", "{literal}");
        }
    }
}
