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
    refuse_long_names(tokens)?;
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
/// Bytes of a name. PostgreSQL cuts names at 63; what is longer than this is none, and would be compared with every name that there is.
const NAME_BYTES_MAX: usize = 1_024;

/// Refuses a text of more words and signs than a statement is made of, before it is cut into them, which alone would take
/// hundreds of bytes for each. What stands in quotes or in a comment is one word.
///
/// # Errors
/// 54001.
pub(crate) fn refuse_long_lists(sql: &str) -> Result<()> {
    // Whether a backslash hides a quote is not known here: the reading that finds fewer counts.
    if sql.len() > TOKENS_MAX && words(sql, false).min(words(sql, true)) > TOKENS_MAX {
        return Err(too_long());
    }
    Ok(())
}

/// Refuses names that are none.
///
/// # Errors
/// 54000.
fn refuse_long_names(tokens: &[TokenWithSpan]) -> Result<()> {
    let is_long = |token: &Token| matches!(token, Token::Word(word) if word.value.len() > NAME_BYTES_MAX);
    if tokens.iter().any(|token| is_long(&token.token)) {
        return Err(Error::new(ErrorCode::ProgramLimitExceeded, "a name is too long")
            .with_detail(format!("The limit is {NAME_BYTES_MAX} bytes.")));
    }
    Ok(())
}

/// Words and signs outside of quotes and comments, never more than the tokenizer makes of the text.
fn words(sql: &str, escapes: bool) -> usize {
    let bytes = sql.as_bytes();
    let (mut at, mut words) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let length = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => 1,
            b'-' if rest.starts_with(b"--") => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with(b"/*") => comment(rest),
            b'\'' | b'"' => {
                // `E'a'` and `'it''s'` are one each.
                let before = at.checked_sub(1).and_then(|before| bytes.get(before));
                words += usize::from(!before.is_some_and(|before| before == byte || is_of_word(*before)));
                quoted(rest, escapes && *byte == b'\'')
            }
            b'$' if let Some(length) = dollar_quoted(rest) => {
                words += 1;
                length
            }
            b',' | b'(' | b')' | b'[' | b']' | b';' | b'.' => {
                words += 1;
                1
            }
            _ => {
                words += 1;
                run(rest)
            }
        };
        at += length;
    }
    words
}

/// A letter of any alphabet, a digit, or a sign that names hold.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

/// Bytes of a word, a number or signs that stand together, at least one.
fn run(bytes: &[u8]) -> usize {
    let first = bytes.first().copied().unwrap_or_default();
    let goes_on = |at: usize| {
        let (byte, before) = (bytes[at], bytes[at - 1]);
        if first.is_ascii_digit() {
            // `1.5e-3`
            return is_of_word(byte)
                || byte == b'.'
                || (matches!(byte, b'+' | b'-') && before.eq_ignore_ascii_case(&b'e'));
        }
        let ends = byte.is_ascii_whitespace() || b",()[];.'\"".contains(&byte) || is_of_word(byte) != is_of_word(first);
        !ends && !bytes[at..].starts_with(b"--") && !bytes[at..].starts_with(b"/*")
    };
    (1..bytes.len()).find(|at| !goes_on(*at)).unwrap_or(bytes.len())
}

/// Bytes of `$tag$ … $tag$`, where it is one.
fn dollar_quoted(bytes: &[u8]) -> Option<usize> {
    let tag = 2 + bytes.iter().skip(1).position(|byte| *byte == b'$')?;
    let is_tag = |(at, byte): (usize, &u8)| is_of_word(*byte) && (at > 0 || !byte.is_ascii_digit());
    if tag > 66 || !bytes[1..tag - 1].iter().enumerate().all(is_tag) {
        return None;
    }
    let end = bytes[tag..].windows(tag).position(|window| window == &bytes[..tag]);
    Some(end.map_or(bytes.len(), |end| tag + end + tag))
}

/// Bytes of a quoted text with its quotes.
fn quoted(bytes: &[u8], escapes: bool) -> usize {
    let mut hidden = false;
    let quote = bytes.first();
    let end = bytes.iter().skip(1).position(|byte| {
        let is_hidden = std::mem::replace(&mut hidden, false);
        if !is_hidden && escapes && *byte == b'\\' {
            hidden = true;
        }
        !is_hidden && Some(byte) == quote
    });
    end.map_or(bytes.len(), |end| end + 2)
}

/// Bytes of a comment, which may hold others.
fn comment(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if rest.starts_with(b"*/") {
            (at, depth) = (at + 2, depth.saturating_sub(1));
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
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
            format!("select {}", vec!["a"; 1_000_000].join(".")),
            format!("select {}1", "- ".repeat(300_000)),
            format!("select {}", "\"a\" ".repeat(300_000)),
        ] {
            assert_eq!(refuse_long_lists(&sql).unwrap_err().code(), ErrorCode::StatementTooComplex, "{:.60}", sql);
        }
        assert_eq!(judge(&chain("1", " ", 200_001)).unwrap_err().code(), ErrorCode::StatementTooComplex);
        assert_eq!(
            judge(&format!("select {}(1)", "f".repeat(2_000))).unwrap_err().code(),
            ErrorCode::ProgramLimitExceeded
        );
        let text = "{\"a\": [1, 2, (3)]}, ".repeat(100_000);
        for sql in [
            format!("select '{text}'"),
            format!("select e'\\'{text}'"),
            format!("select '\\', '{text}'"),
            format!("select $x$ {text} $$ {text} $x$"),
            format!("select {}", chain("E'it''s \\' 1'", ",", 90_000)),
            format!("select {}", chain("-1.5e-3", ",", 60_000)),
            format!("select 1 /* {text} /* {text} */ */ -- {text}"),
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
