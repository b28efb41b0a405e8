//! `json_object(a: b, c VALUE d)` is a call of [`MEMBERS`] with the arguments `a, b, c, d`: the grammar takes names of arguments only.

use crate::sql::tokens::is_word;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// What the call is named until its column has its name; it is `json_build_object` then.
pub(crate) const MEMBERS: &str = "json_object_members";

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
    let places: Vec<usize> =
        tokens.iter().enumerate().filter(|(_, token)| !is_blank(&token.token)).map(|(at, _)| at).collect();
    let mut open: Vec<Open> = Vec::new();
    for (order, at) in places.iter().copied().enumerate() {
        let word = |order: Option<usize>| {
            order.and_then(|order| places.get(order)).and_then(|at| tokens.get(*at)).map(|token| &token.token)
        };
        let (before, next) = (word(order.checked_sub(1)), word(order.checked_add(1)));
        let Some(token) = word(Some(order)) else { continue };
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                let is_call = before.is_some_and(|name| is_word(name, "json_object"))
                    && !word(order.checked_sub(2)).is_some_and(names_table);
                let name = order.checked_sub(1).and_then(|order| places.get(order)).copied();
                let name = name.filter(|_| is_call && *token == Token::LParen);
                open.push(Open { name, separators: Vec::new(), in_value: false, has_clause: false });
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                let Some(Open { name: Some(name), separators, has_clause: false, .. }) = open.pop() else { continue };
                if separators.is_empty() {
                    continue;
                }
                set(tokens, name, Token::make_word(MEMBERS, None));
                separators.into_iter().for_each(|separator| set(tokens, separator, Token::Comma));
            }
            Token::SemiColon => open.clear(),
            word => {
                let Some(call) = open.last_mut().filter(|open| open.name.is_some()) else { continue };
                if *word == Token::Comma {
                    call.in_value = false;
                } else if !call.in_value && separates(word, before, next) {
                    call.separators.push(at);
                    call.in_value = true;
                } else if is_clause(word, before) {
                    call.has_clause = true;
                }
            }
        }
    }
}

fn is_blank(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_))
}

/// Whether a table is named behind this word.
fn names_table(word: &Token) -> bool {
    ["into", "from", "join", "table", "update", "only"].iter().any(|known| is_word(word, known))
}

/// A colon, or VALUE between what may end an expression and what may begin one: else it is a column.
fn separates(word: &Token, before: Option<&Token>, next: Option<&Token>) -> bool {
    *word == Token::Colon
        || is_word(word, "value") && before.is_some_and(ends_expression) && next.is_some_and(begins_expression)
}

fn ends_expression(token: &Token) -> bool {
    const OPERATORS: [&str; 12] =
        ["when", "then", "else", "case", "and", "or", "not", "is", "like", "ilike", "between", "in"];
    match token {
        Token::Word(word) => word.quote_style.is_some() || !OPERATORS.iter().any(|operator| is_word(token, operator)),
        Token::RParen | Token::RBracket | Token::Number(..) | Token::Placeholder(_) => true,
        Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_) => true,
        _ => false,
    }
}

fn begins_expression(token: &Token) -> bool {
    const OPERATORS: [&str; 12] =
        ["when", "then", "else", "end", "and", "or", "is", "like", "ilike", "between", "in", "collate"];
    match token {
        Token::Word(word) => word.quote_style.is_some() || !OPERATORS.iter().any(|operator| is_word(token, operator)),
        Token::LParen | Token::Number(..) | Token::Placeholder(_) | Token::Minus | Token::Plus => true,
        Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_) => true,
        _ => false,
    }
}

/// `ABSENT ON NULL`, `NULL ON NULL`, `WITH UNIQUE KEYS`, `RETURNING jsonb`.
fn is_clause(word: &Token, before: Option<&Token>) -> bool {
    let follows = |known: [&str; 2]| before.is_some_and(|before| known.iter().any(|known| is_word(before, known)));
    is_word(word, "returning")
        || is_word(word, "on") && follows(["null", "absent"])
        || is_word(word, "unique") && follows(["with", "without"])
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
            ("json_object('a': 1)", "json_object_members('a', 1)"),
            ("JSON_OBJECT ('a' VALUE b, c: d)", "json_object_members ('a' , b, c, d)"),
            (
                "json_object('a': json_object('b': x[1:2]), 'c': f(y))",
                "json_object_members('a', json_object_members('b', x[1:2]), 'c', f(y))",
            ),
            ("json_object($1: $2, $3::text VALUE $4)", "json_object_members($1, $2, $3::text , $4)"),
            ("json_object('a': x::timestamp with time zone)", "json_object_members('a', x::timestamp with time zone)"),
            ("json_object('a': null)", "json_object_members('a', null)"),
            (
                "json_object(value: 1 + value, t.value VALUE value, 'a' || value VALUE b)",
                "json_object_members(value, 1 + value, t.value , value, 'a' || value , b)",
            ),
            ("json_object('{a, 1}')", "json_object('{a, 1}')"),
            ("json_object('{a}'::text[] || value)", "json_object('{a}'::text[] || value)"),
            ("json_object(CASE WHEN value IS NULL THEN x END)", "json_object(CASE WHEN value IS NULL THEN x END)"),
            ("json_object('a': 1 ABSENT ON NULL)", "json_object('a': 1 ABSENT ON NULL)"),
            ("INSERT INTO json_object (SELECT a value FROM t)", "INSERT INTO json_object (SELECT a value FROM t)"),
            ("f(a : 1), value, x[1:2], json_object", "f(a : 1), value, x[1:2], json_object"),
        ] {
            let mut tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().unwrap();
            respell_json_members(&mut tokens);
            let spelled: String = tokens.iter().map(|token| token.token.to_string()).collect();
            assert_eq!(spelled, expected);
        }
    }
}
