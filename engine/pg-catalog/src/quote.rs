//! PostgreSQL's rules for quoting identifiers and literals, and for reading a dotted name. Knows no catalog.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A word that PostgreSQL 15's grammar knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyword {
    /// What it may name: a column or a table (unreserved, or no function's name), beside that a function or a type, or nothing.
    pub is_column_name: bool,
    /// Whether it names an item of SELECT without AS.
    pub is_bare_label: bool,
    is_unreserved: bool,
}

static KEYWORDS: LazyLock<HashMap<&'static str, Keyword>> = LazyLock::new(|| {
    let read = |line: &'static str| {
        let mut fields = line.split('\t');
        let (word, category, label) = (fields.next()?, fields.next()?, fields.next()?);
        let is_column_name = matches!(category, "U" | "C");
        Some((word, Keyword { is_column_name, is_bare_label: label == "t", is_unreserved: category == "U" }))
    };
    keyword_lines().filter_map(read).collect()
});

/// PostgreSQL 15's keywords, as `pg_get_keywords` gives them.
pub(crate) fn keyword_lines() -> std::str::Lines<'static> {
    include_str!("../data/pg15/keywords.tsv").lines()
}

/// What PostgreSQL's grammar knows of a word in lower case. `None`: nothing.
#[must_use]
pub fn keyword(word: &str) -> Option<Keyword> {
    KEYWORDS.get(word).copied()
}

/// `quote_ident`.
pub fn quote_ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && keyword(name).is_none_or(|known| known.is_unreserved);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// `quote_literal`.
pub(crate) fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

/// Parts of a possibly quoted dotted name, folded to lower case where unquoted. `None` when it is not one.
pub(crate) fn split_name(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut chars = text.trim().chars().peekable();
    loop {
        let mut part = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next()? {
                    '"' if chars.next_if_eq(&'"').is_some() => part.push('"'),
                    '"' => break,
                    c => part.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != '.' && *c != '"') {
                part.extend(c.to_lowercase());
            }
            part = part.trim().to_owned();
        }
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match chars.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted_when_postgres_does() {
        for (name, expected) in [
            ("a_1", "a_1"),
            ("A", "\"A\""),
            ("select", "\"select\""),
            ("a b", "\"a b\""),
            ("a\"b", "\"a\"\"b\""),
            ("1a", "\"1a\""),
        ] {
            assert_eq!(quote_ident(name), expected);
        }
    }

    #[test]
    fn keywords_name_what_postgres_lets_them() {
        let of = |word: &str| keyword(word).map(|known| (known.is_column_name, known.is_bare_label));
        assert_eq!(
            [of("view"), of("values"), of("left"), of("year"), of("select"), of("where"), of("semi")],
            [
                Some((true, true)),
                Some((true, true)),
                Some((false, true)),
                Some((true, false)),
                Some((false, true)),
                Some((false, false)),
                None
            ]
        );
    }

    #[test]
    fn dotted_names_split_as_identifiers() {
        let check = |text: &str, expected: Option<Vec<&str>>| {
            assert_eq!(split_name(text), expected.map(|v| v.into_iter().map(str::to_owned).collect()), "{text}");
        };
        check("Sales.Orders", Some(vec!["sales", "orders"]));
        check("\"Sales\".\"a.b\"", Some(vec!["Sales", "a.b"]));
        check("\"a\"\"b\"", Some(vec!["a\"b"]));
        check("a.", None);
        check("", None);
        check("\"a", None);
    }
}
