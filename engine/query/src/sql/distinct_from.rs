//! What IS DISTINCT FROM compares with. The parser takes all that follows, AND and OR too, where PostgreSQL's operator binds
//! tighter than they do: `a IS NOT DISTINCT FROM b AND c` would compare a with `b AND c`. Knows tokens, no grammar: where it
//! is not sure, nothing is changed, and what the parser made of it is refused.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// The tokens with parentheses around such comparisons, where AND or OR comes after them.
pub(crate) fn delimited(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let places = places(&tokens);
    if places.is_empty() {
        return tokens;
    }
    let mut all = Vec::with_capacity(tokens.len() + places.len());
    for (at, token) in tokens.into_iter().enumerate() {
        for (_, paren) in places.iter().filter(|(place, _)| *place == at) {
            all.push(TokenWithSpan { token: paren.clone(), span: token.span });
        }
        all.push(token);
    }
    all
}

/// Whether the parser took AND or OR for a part of what is compared with.
pub(crate) fn is_misread(expr: &Expr) -> bool {
    let (Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right)) = expr else { return false };
    matches!(right.as_ref(), Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. })
}

/// Before which tokens a parenthesis belongs.
fn places(tokens: &[TokenWithSpan]) -> Vec<(usize, Token)> {
    let mut places = Vec::new();
    for at in 0..tokens.len() {
        let Some(end) = after(tokens, at).and_then(|operand| operand_end(tokens, operand)) else { continue };
        let Some(start) = comparison_start(tokens, at) else { continue };
        places.push((start, Token::LParen));
        places.push((end, Token::RParen));
    }
    places
}

/// The first token of what stands before the IS at `is`. `None`: it may be more than a plain operand.
fn comparison_start(tokens: &[TokenWithSpan], is: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut start = None;
    for (at, token) in tokens.iter().enumerate().take(is).rev() {
        match &token.token {
            Token::RParen | Token::RBracket | Token::RBrace => depth += 1,
            Token::LParen | Token::LBracket | Token::LBrace => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return start,
            },
            Token::Comma | Token::SemiColon if depth == 0 => return start,
            Token::Whitespace(_) => continue,
            Token::Word(word) if depth == 0 && word.quote_style.is_none() => match word.keyword {
                Keyword::AND if !is_plain_and(tokens, at) => return None,
                other if STARTS.contains(&other) => return start,
                other if ENDS.contains(&other) => return None,
                _ => {}
            },
            _ => {}
        }
        start = Some(at);
    }
    start
}

/// Whether an AND is none of BETWEEN.
fn is_plain_and(tokens: &[TokenWithSpan], and: usize) -> bool {
    let mut depth = 0_usize;
    for at in (0..and).rev() {
        match tokens.get(at).map(|token| &token.token) {
            Some(Token::RParen) => depth += 1,
            Some(Token::LParen) if depth == 0 => return true,
            Some(Token::LParen) => depth -= 1,
            _ if depth > 0 => {}
            _ => match keyword(tokens, at) {
                Some(Keyword::BETWEEN) => return false,
                Some(Keyword::AND | Keyword::OR | Keyword::WHERE | Keyword::ON | Keyword::HAVING | Keyword::SELECT) => {
                    return true;
                }
                _ => {}
            },
        }
    }
    true
}

/// Words after which an operand of a condition begins.
const STARTS: &[Keyword] = &[
    Keyword::AND,
    Keyword::BY,
    Keyword::ELSE,
    Keyword::HAVING,
    Keyword::NOT,
    Keyword::ON,
    Keyword::OR,
    Keyword::SELECT,
    Keyword::THEN,
    Keyword::WHEN,
    Keyword::WHERE,
];

/// Where the operand begins, if `DISTINCT FROM` of an IS ends before it.
fn after(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    if keyword(tokens, at) != Some(Keyword::IS) {
        return None;
    }
    let mut next = following(tokens, at);
    if keyword(tokens, next) == Some(Keyword::NOT) {
        next = following(tokens, next);
    }
    let from = following(tokens, next);
    let is_there = keyword(tokens, next) == Some(Keyword::DISTINCT) && keyword(tokens, from) == Some(Keyword::FROM);
    is_there.then(|| following(tokens, from))
}

/// The AND or OR after an operand that begins there. `None`: another word comes first.
fn operand_end(tokens: &[TokenWithSpan], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.checked_sub(1)?,
            Token::Comma | Token::SemiColon | Token::EOF if depth == 0 => return None,
            Token::Word(word) if depth == 0 && word.quote_style.is_none() => match word.keyword {
                Keyword::AND | Keyword::OR => return (at > start).then_some(at),
                other if ENDS.contains(&other) => return None,
                _ => {}
            },
            _ => {}
        }
    }
    None
}

/// Words after which an AND or OR may belong to something else, or to nothing that this operand is part of.
const ENDS: &[Keyword] = &[
    Keyword::AS,
    Keyword::ASC,
    Keyword::BETWEEN,
    Keyword::CASE,
    Keyword::CROSS,
    Keyword::DESC,
    Keyword::ELSE,
    Keyword::END,
    Keyword::EXCEPT,
    Keyword::FETCH,
    Keyword::FILTER,
    Keyword::FOR,
    Keyword::FROM,
    Keyword::FULL,
    Keyword::GROUP,
    Keyword::HAVING,
    Keyword::ILIKE,
    Keyword::IN,
    Keyword::INNER,
    Keyword::INTERSECT,
    Keyword::IS,
    Keyword::JOIN,
    Keyword::LEFT,
    Keyword::LIKE,
    Keyword::LIMIT,
    Keyword::NATURAL,
    Keyword::NOT,
    Keyword::NOTNULL,
    Keyword::NULLS,
    Keyword::OFFSET,
    Keyword::ON,
    Keyword::ORDER,
    Keyword::OUTER,
    Keyword::OVER,
    Keyword::RIGHT,
    Keyword::SELECT,
    Keyword::SIMILAR,
    Keyword::THEN,
    Keyword::UNION,
    Keyword::USING,
    Keyword::VALUES,
    Keyword::WHEN,
    Keyword::WHERE,
    Keyword::WINDOW,
    Keyword::WITH,
];

fn keyword(tokens: &[TokenWithSpan], at: usize) -> Option<Keyword> {
    match &tokens.get(at)?.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

/// The next token that is no space.
fn following(tokens: &[TokenWithSpan], at: usize) -> usize {
    let spaces = tokens.iter().skip(at + 1).take_while(|token| matches!(token.token, Token::Whitespace(_))).count();
    at + 1 + spaces
}

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
    fn it_binds_tighter_than_and_and_or() {
        for (sql, read_as) in [
            ("SELECT a IS DISTINCT FROM b AND c", "SELECT (a IS DISTINCT FROM b) AND c"),
            (
                "SELECT x OR a IS NOT DISTINCT FROM f(b, c AND d) + 1 OR NOT e = h IS DISTINCT FROM 2 AND g",
                "SELECT x OR (a IS NOT DISTINCT FROM f(b, c AND d) + 1) OR NOT (e = h IS DISTINCT FROM 2) AND g",
            ),
            (
                "SELECT 1 FROM t JOIN u ON t.a IS NOT DISTINCT FROM u.a AND b IS NOT DISTINCT FROM c AND d",
                "SELECT 1 FROM t JOIN u ON (t.a IS NOT DISTINCT FROM u.a) AND (b IS NOT DISTINCT FROM c) AND d",
            ),
            (
                "SELECT 1 FROM t WHERE a IS DISTINCT FROM b GROUP BY c AND d",
                "SELECT 1 FROM t WHERE a IS DISTINCT FROM b GROUP BY c AND d",
            ),
            ("SELECT (a IS DISTINCT FROM b) AND c", "SELECT (a IS DISTINCT FROM b) AND c"),
            ("SELECT DISTINCT a FROM t WHERE b AND c", "SELECT DISTINCT a FROM t WHERE b AND c"),
            // What is not sure stays, and is refused later.
            ("SELECT x BETWEEN 1 AND a IS DISTINCT FROM b AND c", "SELECT x BETWEEN 1 AND a IS DISTINCT FROM b AND c"),
        ] {
            assert_eq!(read(sql), read_as);
        }
    }
}
