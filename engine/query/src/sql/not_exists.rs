//! NOT EXISTS beside an operator. The parser takes both words for one, where PostgreSQL's NOT binds less than all but AND and OR:
//! `NOT EXISTS (…) IS NULL` is `NOT (EXISTS (…) IS NULL)`. Knows tokens, no grammar.

use crate::sql::tokens::is_word;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use std::collections::BTreeMap;

/// The tokens with parentheses around the EXISTS behind a NOT, where an operator follows.
pub(crate) fn apart(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let places = places(&tokens);
    if places.is_empty() {
        return tokens;
    }
    let mut all = Vec::with_capacity(tokens.len() + places.len());
    for (at, token) in tokens.into_iter().enumerate() {
        if let Some(paren) = places.get(&at) {
            all.push(TokenWithSpan { token: paren.clone(), span: token.span });
        }
        all.push(token);
    }
    all
}

/// Before which tokens a parenthesis belongs.
fn places(tokens: &[TokenWithSpan]) -> BTreeMap<usize, Token> {
    let mut places = BTreeMap::new();
    // Of each parenthesis that is open, the EXISTS that it belongs to, if a NOT stands before that.
    let mut open: Vec<Option<usize>> = Vec::new();
    let (mut before, mut last): (Option<usize>, Option<usize>) = (None, None);
    let is = |at: Option<usize>, word: &str| {
        at.and_then(|at| tokens.get(at)).is_some_and(|token| is_word(&token.token, word))
    };
    for (at, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::LParen => open.push(last.filter(|_| is(before, "not") && is(last, "exists"))),
            Token::RParen => {
                if let Some(Some(exists)) = open.pop()
                    && is_operand(tokens.get(at + 1..).unwrap_or_default())
                {
                    places.insert(exists, Token::LParen);
                    places.insert(at + 1, Token::RParen);
                }
            }
            _ => {}
        }
        (before, last) = (last, Some(at));
    }
    places
}

/// Whether an operator begins there.
fn is_operand(rest: &[TokenWithSpan]) -> bool {
    match rest.iter().map(|token| &token.token).find(|token| !matches!(token, Token::Whitespace(_))) {
        Some(Token::Word(word)) => word.quote_style.is_none() && OPERATORS.contains(&word.keyword),
        None | Some(Token::Comma | Token::SemiColon | Token::RParen | Token::RBracket | Token::EOF) => false,
        Some(_) => true,
    }
}

/// Words that are operators, and bind more than NOT does.
const OPERATORS: &[Keyword] = &[
    Keyword::AT,
    Keyword::BETWEEN,
    Keyword::COLLATE,
    Keyword::ILIKE,
    Keyword::IN,
    Keyword::IS,
    Keyword::LIKE,
    Keyword::NOT,
    Keyword::NOTNULL,
    Keyword::OPERATOR,
    Keyword::SIMILAR,
];

#[cfg(test)]
mod tests {
    use crate::sql::parse::parse;

    fn read(sql: &str) -> String {
        let crate::sql::classify::Classified::Query(query) = parse(sql).unwrap().remove(0).class().clone() else {
            panic!()
        };
        query.to_string()
    }

    #[test]
    fn not_binds_less_than_operators() {
        for (sql, read_as) in [
            ("SELECT NOT EXISTS (SELECT 1) IS NULL", "SELECT NOT (EXISTS (SELECT 1)) IS NULL"),
            ("SELECT NOT EXISTS (SELECT 1) = b AND c", "SELECT NOT (EXISTS (SELECT 1)) = b AND c"),
            (
                "SELECT not exists(SELECT 1 WHERE NOT EXISTS (SELECT 2) IN (true)) IS NOT TRUE",
                "SELECT NOT (EXISTS (SELECT 1 WHERE NOT (EXISTS (SELECT 2)) IN (true))) IS NOT TRUE",
            ),
            // Where nothing follows, both words are one.
            ("SELECT 1 WHERE NOT EXISTS (SELECT 1) AND b", "SELECT 1 WHERE NOT EXISTS (SELECT 1) AND b"),
            ("SELECT (NOT EXISTS (SELECT 1)) IS NULL", "SELECT (NOT EXISTS (SELECT 1)) IS NULL"),
            ("SELECT NOT EXISTS (SELECT 1) AS a, b", "SELECT NOT EXISTS (SELECT 1) AS a, b"),
            ("SELECT EXISTS (SELECT 1) IS NULL", "SELECT EXISTS (SELECT 1) IS NULL"),
        ] {
            assert_eq!(read(sql), read_as);
        }
    }
}
