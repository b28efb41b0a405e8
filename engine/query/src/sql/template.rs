//! Templates: a statement without its literals, and its fingerprint. Stable across literals, white space, letter case, aliases and the
//! length of IN lists.

mod aliases;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use querygate_types::harmless;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A statement's template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// Text with `?` for every literal, bounded.
    pub(crate) text: Arc<str>,
    pub(crate) fingerprint: u64,
}

const TEMPLATE_CHARS_MAX: usize = 4_000;

/// Makes the template. What cannot be cut into tokens has the template `?`.
pub(crate) fn template(sql: &str) -> Template {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else {
        return finish("?".to_owned());
    };
    let told = |token: &Token| !matches!(token, Token::Whitespace(_) | Token::EOF);
    let tokens = aliases::renamed(&tokens.into_iter().filter(told).collect::<Vec<_>>());
    let mut words: Vec<String> = Vec::with_capacity(tokens.len());
    for token in tokens {
        match token {
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::Placeholder(_) => literal(&mut words),
            Token::Word(word) if word.quote_style.is_none() => words.push(word.value.to_lowercase()),
            other => words.push(other.to_string()),
        }
    }
    finish(words.join(" "))
}

/// The template of the statement that an EXPLAIN carries.
pub(crate) fn explained(sql: &str) -> Template {
    let word = |text: &str, word: &str| {
        let (head, rest) = text.split_at_checked(word.len())?;
        let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        (ends && head.eq_ignore_ascii_case(word)).then(|| rest.trim_start().to_owned())
    };
    let mut rest = sql.trim_start().to_owned();
    if let Some(after) = word(&rest, "explain") {
        rest = after;
    }
    let options = rest.strip_prefix('(').map(str::trim_start);
    let query = |text: &str| ["select", "with", "values", "("].iter().any(|start| word(text, start).is_some());
    if let Some((_, after)) = options.filter(|text| !query(text)).and_then(|text| text.split_once(')')) {
        rest = after.trim_start().to_owned();
    }
    for option in ["analyze", "analyse", "verbose"] {
        if let Some(after) = word(&rest, option) {
            rest = after;
        }
    }
    template(&rest)
}

/// `?, ?, ?` becomes one `?`.
fn literal(words: &mut Vec<String>) {
    if let [.., question, comma] = words.as_slice()
        && question == "?"
        && comma == ","
    {
        words.pop();
        return;
    }
    words.push("?".to_owned());
}

/// The template of a statement that is no SQL: its text has no literals.
pub(crate) fn of_text(text: String) -> Template {
    finish(text)
}

/// Quoted names may hold any character; templates are read in logs, tables and pages, so they hold harmless ones. Names that
/// differ in the others only are different templates all the same.
fn finish(text: String) -> Template {
    let mut hasher = std::hash::DefaultHasher::new();
    text.hash(&mut hasher);
    let fingerprint = hasher.finish();
    let shown: String = text.chars().take(TEMPLATE_CHARS_MAX).map(harmless).collect();
    Template { text: shown.into(), fingerprint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_spaces_and_list_lengths_do_not_matter() {
        let one = template("select a from T where b = 'x' and c in (1, 2, 3)");
        let other = template("SELECT  a\nFROM t WHERE b = 'it''s'  AND c IN (4)");
        assert_eq!(one, other);
        assert_eq!(&*one.text, "select a from t where b = ? and c in ( ? )");
        assert_ne!(one.fingerprint, template("select a from t where b = 'x'").fingerprint);
    }

    #[test]
    fn explain_is_no_part_of_what_it_explains() {
        for sql in [
            "select a from t",
            "EXPLAIN select a from t",
            "explain  analyze verbose\nselect a from t",
            "EXPLAIN (ANALYZE, COSTS off) SELECT a FROM t",
        ] {
            assert_eq!(explained(sql), template("select a from t"), "{sql}");
        }
        assert_eq!(explained("explain (select 1)"), template("(select 2)"));
        assert_eq!(explained(""), template(""));
    }

    #[test]
    fn names_are_no_commands_to_a_terminal() {
        let one = template("select 1 from \"a\u{1b}[2Jb\u{202e}\"");
        assert_eq!(&*one.text, "select ? from \"a\u{fffd}[2Jb\u{fffd}\"");
        assert_ne!(one.fingerprint, template("select 1 from \"a\u{1}[2Jb\u{202e}\"").fingerprint);
    }

    #[test]
    fn no_value_survives() {
        for sql in [
            "select 'secret'",
            "select $$secret$$",
            "select E'sec\\'ret'",
            "select * from t where p = 'secret' or 1=1 -- secret",
        ] {
            assert!(!template(sql).text.contains("sec"), "{sql}");
        }
    }
}
