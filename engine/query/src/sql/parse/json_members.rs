//! `json_object(a: b, c VALUE d)`, which is `json_build_object(a, b, c, d)`: the grammar takes names of arguments only.

use crate::sql::tokens::is_word;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// A parenthesis, bracket or brace that is open.
struct Open {
    /// Where the name of a `json_object` stands that it belongs to.
    name: Option<usize>,
    /// What stands between its keys and values.
    separators: Vec<usize>,
    /// What stands behind the key already, so that a `value` is a column.
    in_value: bool,
    /// A clause behind the members, which `json_build_object` has not.
    has_clause: bool,
}

/// Spells the members of JSON objects as arguments, in place. A call with clauses behind its members stays as it is.
pub(crate) fn respell_json_members(tokens: &mut [TokenWithSpan]) {
    let blank = |token: &Token| matches!(token, Token::Whitespace(_));
    let mut open: Vec<Open> = Vec::new();
    let mut last: Option<usize> = None;
    for at in 0..tokens.len() {
        let Some(token) = tokens.get(at).map(|token| token.token.clone()).filter(|token| !blank(token)) else {
            continue;
        };
        let before = last.replace(at);
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                let is_call = |at: &usize| tokens.get(*at).is_some_and(|token| is_word(&token.token, "json_object"));
                let name = before.filter(is_call).filter(|_| token == Token::LParen);
                open.push(Open { name, separators: Vec::new(), in_value: false, has_clause: false });
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                let Some(Open { name: Some(name), separators, has_clause: false, .. }) = open.pop() else { continue };
                if separators.is_empty() {
                    continue;
                }
                set(tokens, name, Token::make_word("json_build_object", None));
                separators.into_iter().for_each(|separator| set(tokens, separator, Token::Comma));
            }
            Token::SemiColon => open.clear(),
            word => {
                let Some(call) = open.last_mut().filter(|open| open.name.is_some()) else { continue };
                let before = before.and_then(|at| tokens.get(at)).map(|token| &token.token);
                if word == Token::Comma {
                    call.in_value = false;
                } else if !call.in_value && (word == Token::Colon || is_word(&word, "value") && !begins(before)) {
                    call.separators.push(at);
                    call.in_value = true;
                } else if is_clause(&word, before) {
                    call.has_clause = true;
                }
            }
        }
    }
}

/// Whether a name may follow here that is no word of the call's own.
fn begins(before: Option<&Token>) -> bool {
    matches!(before, Some(Token::LParen | Token::Comma | Token::Period))
}

/// `ABSENT ON NULL`, `NULL ON NULL`, `WITH UNIQUE KEYS`, `RETURNING jsonb`.
fn is_clause(word: &Token, before: Option<&Token>) -> bool {
    let after_null = || before.is_some_and(|token| is_word(token, "null") || is_word(token, "absent"));
    ["with", "without", "returning"].iter().any(|clause| is_word(word, clause)) || is_word(word, "on") && after_null()
}

fn set(tokens: &mut [TokenWithSpan], at: usize, token: Token) {
    if let Some(place) = tokens.get_mut(at) {
        place.token = token;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    #[test]
    fn members_are_arguments() {
        for (text, expected) in [
            ("json_object('a': 1)", "json_build_object('a', 1)"),
            ("JSON_OBJECT ('a' VALUE b, c: d)", "json_build_object ('a' , b, c, d)"),
            (
                "json_object('a': json_object('b': x[1]), 'c': f(y))",
                "json_build_object('a', json_build_object('b', x[1]), 'c', f(y))",
            ),
            ("json_object('{a, 1}')", "json_object('{a, 1}')"),
            ("json_object('a': 1 ABSENT ON NULL)", "json_object('a': 1 ABSENT ON NULL)"),
            ("json_object('a': null)", "json_build_object('a', null)"),
            (
                "json_object(value: 1 + value, t.value VALUE value)",
                "json_build_object(value, 1 + value, t.value , value)",
            ),
            ("f(a : 1), value, x[1:2], json_object", "f(a : 1), value, x[1:2], json_object"),
        ] {
            let mut tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().unwrap();
            respell_json_members(&mut tokens);
            let spelled: String = tokens.iter().map(|token| token.token.to_string()).collect();
            assert_eq!(spelled, expected);
        }
    }
}
