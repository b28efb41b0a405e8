//! Bounds the operators of a text between cutting it into tokens and parsing them. Knows tokens, no grammar.
//!
//! A chain of operators becomes a tree as deep as the chain is long: walking or dropping it needs that much stack, and
//! the engine's coercion takes time that grows with the square of an arithmetic chain. The parser's own depth limit does
//! not see chains, because it reads them in a loop.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use querygate_types::{Error, ErrorCode, Result};

/// Weight of the operators of one text.
const WEIGHT_MAX: usize = 2_000;
/// What a link of a chain weighs; AND and OR, of which programs write many, weigh one.
const LINK: usize = 4;

/// Refuses a text with more operators than any walk over it should meet.
///
/// # Errors
/// 54001.
pub(crate) fn refuse_heavy(tokens: &[TokenWithSpan]) -> Result<()> {
    if tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).count() > TOKENS_MAX {
        return Err(too_long());
    }
    if depth_of_doubled(tokens) > DOUBLED_MAX {
        return Err(Error::new(ErrorCode::StatementTooComplex, "subqueries in two parentheses are nested too deep")
            .with_detail(format!("The limit is {DOUBLED_MAX} levels.")));
    }
    if weight(tokens) <= WEIGHT_MAX {
        return Ok(());
    }
    Err(Error::new(ErrorCode::StatementTooComplex, "statement has too many operators").with_hint(format!(
        "At most {WEIGHT_MAX} AND and OR are accepted, or {} other operators; an IN list or a VALUES list counts as none.",
        WEIGHT_MAX / LINK
    )))
}

/// Subqueries in two parentheses, `((SELECT …) a CROSS JOIN t)`, within one another: the parser reads each as a query first, and then
/// once more as a join or a list.
const DOUBLED_MAX: usize = 10;

/// How deep queries stand in parentheses that open two at a time.
fn depth_of_doubled(tokens: &[TokenWithSpan]) -> usize {
    let signs = || tokens.iter().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_)));
    let (mut open, mut doubled, mut deepest): (Vec<bool>, usize, usize) = (Vec::new(), 0, 0);
    for (token, next) in signs().zip(signs().skip(1)) {
        match token {
            Token::LParen => {
                // Of a row of several, the first alone.
                let is_doubled = *next == Token::LParen && open.last() != Some(&true);
                open.push(is_doubled);
                doubled += usize::from(is_doubled);
            }
            Token::RParen => doubled -= usize::from(open.pop() == Some(true)),
            Token::Word(word) if matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES) => {
                deepest = deepest.max(doubled);
            }
            _ => {}
        }
    }
    deepest
}

/// Words and signs of one text: each becomes up to a kilobyte of syntax and plan before any limit of memory sees it.
const TOKENS_MAX: usize = 200_000;

/// Refuses a text of more words and signs than a statement is made of, before it is cut into them, which alone would take
/// a hundred bytes for each. What stands in single quotes is one word.
///
/// # Errors
/// 54001.
pub(crate) fn refuse_long_lists(sql: &str) -> Result<()> {
    // Whether a backslash hides a quote is not known here: the reading that finds fewer signs counts.
    if sql.len() > TOKENS_MAX && signs(sql, false).min(signs(sql, true)) > TOKENS_MAX / 2 {
        return Err(too_long());
    }
    Ok(())
}

/// Commas and parentheses outside of quotes.
fn signs(sql: &str, escapes: bool) -> usize {
    let (mut quoted, mut hidden, mut signs) = (false, false, 0);
    for byte in sql.bytes() {
        match byte {
            _ if hidden => hidden = false,
            b'\\' if quoted && escapes => hidden = true,
            b'\'' => quoted = !quoted,
            b',' | b'(' | b')' if !quoted => signs += 1,
            _ => {}
        }
    }
    signs
}

fn too_long() -> Error {
    Error::new(ErrorCode::StatementTooComplex, "statement has too many words and signs")
        .with_hint(format!("At most {TOKENS_MAX} are accepted; bind a list as one array and compare with = ANY ($1)."))
}

/// What a token does to the chain it stands in.
enum Role {
    /// Part of an operand, or of no expression.
    Operand,
    /// A connective; a comparison after it begins a new chain.
    Connective,
    /// Begins another expression beside this one.
    Separator,
    /// Begins an expression inside this one.
    Open,
    /// Ends it.
    Close,
    /// A comparison or a test: one of them stands in most conditions, and only a second one makes a chain.
    Test,
    /// An operator of which each link counts.
    Link,
    /// Such a link that begins an expression inside this one.
    Index,
}

fn weight(tokens: &[TokenWithSpan]) -> usize {
    // Tests in a row, at each level of nesting.
    let mut levels = vec![0_usize];
    let mut weight = 0;
    for token in tokens {
        match role(&token.token) {
            Role::Operand => {}
            Role::Connective => {
                weight += 1;
                again(&mut levels);
            }
            Role::Separator => again(&mut levels),
            Role::Open => levels.push(0),
            Role::Close => {
                levels.pop();
                if levels.is_empty() {
                    levels.push(0);
                }
            }
            Role::Test => {
                let Some(row) = levels.last_mut() else { continue };
                *row += 1;
                if *row > 1 {
                    weight += LINK;
                }
            }
            Role::Link => weight += LINK,
            Role::Index => {
                weight += LINK;
                levels.push(0);
            }
        }
    }
    weight
}

fn again(levels: &mut [usize]) {
    if let Some(row) = levels.last_mut() {
        *row = 0;
    }
}

fn role(token: &Token) -> Role {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word_role(word.keyword),
        Token::Word(_)
        | Token::EOF
        | Token::Number(..)
        | Token::Char(_)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::Placeholder(_)
        | Token::Period
        | Token::Backslash
        | Token::Whitespace(_) => Role::Operand,
        Token::Comma | Token::SemiColon => Role::Separator,
        Token::LParen | Token::LBrace => Role::Open,
        Token::RParen | Token::RBracket | Token::RBrace => Role::Close,
        Token::Eq
        | Token::DoubleEq
        | Token::Neq
        | Token::Lt
        | Token::Gt
        | Token::LtEq
        | Token::GtEq
        | Token::Spaceship
        // One cast of each value is what programs write in long lists of them.
        | Token::DoubleColon => Role::Test,
        Token::LBracket => Role::Index,
        _ => Role::Link,
    }
}

fn word_role(keyword: Keyword) -> Role {
    match keyword {
        Keyword::AND | Keyword::OR => Role::Connective,
        Keyword::CASE => Role::Open,
        Keyword::END => Role::Close,
        Keyword::SELECT
        | Keyword::FROM
        | Keyword::WHERE
        | Keyword::HAVING
        | Keyword::ON
        | Keyword::WHEN
        | Keyword::THEN
        | Keyword::ELSE
        | Keyword::BY
        | Keyword::LIMIT
        | Keyword::VALUES => Role::Separator,
        Keyword::IS
        | Keyword::IN
        | Keyword::LIKE
        | Keyword::ILIKE
        | Keyword::RLIKE
        | Keyword::REGEXP
        | Keyword::SIMILAR
        | Keyword::BETWEEN
        | Keyword::OVERLAPS
        | Keyword::NOTNULL
        | Keyword::AT
        | Keyword::COLLATE
        | Keyword::XOR
        | Keyword::DIV
        | Keyword::OPERATOR
        | Keyword::MEMBER => Role::Test,
        Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::JOIN => Role::Link,
        _ => Role::Operand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    fn judge(sql: &str) -> Result<()> {
        refuse_heavy(&Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().unwrap())
    }

    fn chain(of: &str, between: &str, count: usize) -> String {
        format!("select {}", vec![of; count].join(between))
    }

    #[test]
    fn long_chains_are_refused() {
        for sql in [
            chain("a = 1", " or ", 6_000),
            chain("true", " = ", 1_500),
            chain("(true)", " = ", 1_500),
            chain("f(1, 2)", " = ", 1_500),
            chain("case when x then 1 end", "=", 1_500),
            format!("select 1{}", " is null".repeat(1_500)),
            format!("select x{}", " at time zone 'UTC'".repeat(1_500)),
            format!("select x{}", " collate \"C\"".repeat(1_500)),
            chain("x", " like ", 1_500),
            chain("x", " ~ ", 1_500),
            chain("x", " @> ", 1_500),
            chain("1", "+", 990),
            format!("select x{}", "::text".repeat(990)),
            format!("select x{}", "[1]".repeat(990)),
            chain("1", " union select ", 990),
        ] {
            assert_eq!(judge(&sql).unwrap_err().code(), ErrorCode::StatementTooComplex, "{:.60}", sql);
        }
    }

    #[test]
    fn longer_lists_than_memory_should_hold_are_refused() {
        for sql in [
            format!("select array[{}]", chain("1", ",", 1_000_000)),
            format!("values {}", vec!["(1,2)"; 100_000].join(",")),
            format!("select {}", chain("'a''b'", ",", 300_000)),
        ] {
            assert_eq!(refuse_long_lists(&sql).unwrap_err().code(), ErrorCode::StatementTooComplex, "{:.60}", sql);
        }
        assert_eq!(judge(&chain("1", " ", 200_001)).unwrap_err().code(), ErrorCode::StatementTooComplex);
        let text = "{\"a\": [1, 2, (3)]}, ".repeat(100_000);
        for sql in [
            format!("select '{text}'"),
            format!("select e'\\'{text}'"),
            format!("select '\\', '{text}'"),
            format!("select 1 where a in ({})", chain("1", ", ", 60_000)),
        ] {
            assert!(refuse_long_lists(&sql).is_ok(), "{:.60}", sql);
        }
    }

    #[test]
    fn what_programs_write_is_accepted() {
        for sql in [
            chain("a = 1 and b is null", " or ", 800),
            chain("a = 1", ", ", 1_600),
            format!("select 1 where a in ({})", chain("1", ", ", 60_000)),
            format!("values {}", vec!["(1, 'x', true)"; 5_000].join(", ")),
            chain("case when a = 1 then b = 2 else c > 3 end", ", ", 400),
            chain("(a = 1) = (b = 2)", " and ", 100),
            format!("values {}", vec!["($1::int, $2::varchar(20), null::numeric(10,2))"; 5_000].join(", ")),
            chain("1", "+", 400),
        ] {
            assert!(judge(&sql).is_ok(), "{:.60}", sql);
        }
    }
}
