//! Names of a text, cut to the bytes that PostgreSQL keeps of one: clients that make long aliases look for the cut ones in what they read.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use querygate_query_api::outcome::{Effect, Notice};

/// Bytes of a name: PostgreSQL's NAMEDATALEN without its last byte.
pub(crate) const NAME_BYTES: usize = 63;

/// A name that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CutName {
    pub(crate) written: String,
    pub(crate) name: String,
}

impl CutName {
    pub(crate) fn notice(&self) -> Effect {
        let Self { written, name } = self;
        Effect::Notice(Notice {
            severity: "NOTICE",
            sqlstate: "42622".to_owned(),
            message: format!("identifier \"{written}\" will be truncated to \"{name}\""),
            hint: None,
        })
    }
}

/// Cuts names, between two characters. `reaches`: whether a table or a column has a longer name, which its readers could not write else:
/// asked once, and only where a text has such names.
pub(crate) fn cut(tokens: &mut [TokenWithSpan], reaches: impl FnOnce() -> bool) -> Vec<CutName> {
    let mut long = tokens.iter_mut().filter_map(|token| match &mut token.token {
        Token::Word(word) if word.value.len() > NAME_BYTES => Some(word),
        _ => None,
    });
    let Some(first) = long.next() else { return Vec::new() };
    if reaches() {
        return Vec::new();
    }
    let cut = |word: &mut Word| {
        let name = word.value[..word.value.floor_char_boundary(NAME_BYTES)].to_owned();
        CutName { written: std::mem::replace(&mut word.value, name.clone()), name }
    };
    std::iter::once(first).chain(long).map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tokens::tokens;

    fn cut_of(sql: &str, reaches: bool) -> Vec<(usize, String)> {
        let mut tokens = tokens(sql).unwrap();
        cut(&mut tokens, || reaches).into_iter().map(|cut| (cut.written.len(), cut.name)).collect()
    }

    #[test]
    fn names_are_cut_between_characters_and_texts_are_not() {
        let (fits, long, wide) = ("a".repeat(63), "b".repeat(64), "é".repeat(40));
        let sql = format!("SELECT '{long}' AS {fits}, $${long}$$ AS {long}, 1 AS \"{wide}\" -- {long}");
        assert_eq!(cut_of(&sql, false), [(64, "b".repeat(63)), (80, "é".repeat(31))]);
        assert!(cut_of(&sql, true).is_empty(), "a table has such a name");
        assert!(cut_of("SELECT 1", false).is_empty());
    }
}
