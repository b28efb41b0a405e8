//! Calls, casts and bounds that the grammar does not read, as what it reads.

use crate::sql::tokens::is_word;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

/// Types whose names before a text in quotes are a cast, which the grammar knows of its own types alone.
const NAMES: [&str; 4] = ["inet", "cidr", "macaddr", "macaddr8"];

/// `inet '…'` is a cast.
pub(crate) fn typed_text(seen: &Token, rest: &[TokenWithSpan]) -> Option<(Vec<Token>, usize)> {
    if !NAMES.iter().any(|name| is_word(seen, name)) {
        return None;
    }
    let (at, text) = rest.iter().enumerate().find(|(_, token)| !matches!(token.token, Token::Whitespace(_)))?;
    if !matches!(text.token, Token::SingleQuotedString(_)) {
        return None;
    }
    let space = || Token::Whitespace(Whitespace::Space);
    let cast = [Token::make_keyword("CAST"), Token::LParen, text.token.clone(), space(), Token::make_keyword("AS")];
    Some((cast.into_iter().chain([space(), seen.clone(), Token::RParen]).collect(), at + 1))
}

/// Tokens of a call in which SIMILAR is looked for.
const SIMILAR_TOKENS_MAX: usize = 1_000;

/// `substring(a SIMILAR b ESCAPE c)` is `substring_similar(a, b, c)`.
pub(crate) fn similar_substring(rest: &[TokenWithSpan]) -> Option<(Vec<Token>, usize)> {
    let blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let begin = rest.iter().position(|token| !blank(token))?;
    if rest.get(begin)?.token != Token::LParen {
        return None;
    }
    let mut depth = 0_usize;
    let (mut similar, mut escaped) = (None, None);
    // A text of such calls within calls is not read again from each of them to its end.
    for (at, token) in rest.iter().enumerate().skip(begin).take(SIMILAR_TOKENS_MAX) {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 1 => {
                let (similar, escaped) = (similar?, escaped?);
                let inner = rest.get(begin..=at)?.iter().enumerate();
                let inner = inner.map(|(place, token)| {
                    if place + begin == similar || place + begin == escaped {
                        Token::Comma
                    } else {
                        token.token.clone()
                    }
                });
                let name = Token::make_word("substring_similar", None);
                return Some((std::iter::once(name).chain(inner).collect(), at + 1));
            }
            Token::RParen => depth -= 1,
            word if depth == 1 && similar.is_none() && is_word(word, "similar") => {
                let next = rest.get(at + 1..)?.iter().find(|token| !blank(token))?;
                if is_word(&next.token, "to") {
                    return None;
                }
                similar = Some(at);
            }
            word if depth == 1 && similar.is_some() && escaped.is_none() && is_word(word, "escape") => {
                escaped = Some(at)
            }
            _ => {}
        }
    }
    None
}

/// `interval(2) '…'` is a cast: the grammar forgets the digits.
pub(crate) fn rounded_interval(seen: &Token, rest: &[TokenWithSpan]) -> Option<(Vec<Token>, usize)> {
    let rest = rest.iter().enumerate().filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)));
    let next: Vec<(usize, &Token)> = rest.take(4).map(|(at, token)| (at, &token.token)).collect();
    let [(_, Token::LParen), (_, digits), (_, Token::RParen), (at, text)] = next[..] else { return None };
    let cast = [Token::make_keyword("CAST"), Token::LParen, text.clone(), Token::make_keyword("AS"), seen.clone()];
    let to = [Token::LParen, digits.clone(), Token::RParen, Token::RParen];
    matches!((digits, text), (Token::Number(..), Token::SingleQuotedString(_)))
        .then(|| (cast.into_iter().chain(to).collect(), at + 1))
}

/// `FOR NO KEY UPDATE` and `FOR KEY SHARE` are the next stronger locks, which the grammar knows.
pub(crate) fn stronger_lock(seen: &Token, rest: &[TokenWithSpan]) -> Option<(Vec<Token>, usize)> {
    let rest = rest.iter().enumerate().filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)));
    let next: Vec<(usize, &Token)> = rest.take(3).map(|(at, token)| (at, &token.token)).collect();
    let are = |words: &[&str]| {
        words.len() <= next.len() && words.iter().zip(&next).all(|(word, (_, token))| is_word(token, word))
    };
    let (strength, last) = match next[..] {
        [_, _, (at, _)] if are(&["no", "key", "update"]) => ("UPDATE", at),
        [_, (at, _), ..] if are(&["key", "share"]) => ("SHARE", at),
        _ => return None,
    };
    let space = Token::Whitespace(Whitespace::Space);
    Some((vec![seen.clone(), space, Token::make_keyword(strength)], last + 1))
}

/// `'1 day'::interval PRECEDING`: the grammar wants the text alone there. How many tokens are the cast's.
pub(crate) fn framed<'a>(before: impl Iterator<Item = &'a TokenWithSpan>, rest: &[TokenWithSpan]) -> Option<usize> {
    let blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let mut before = before.filter(|token| !blank(token));
    if !matches!(before.next()?.token, Token::SingleQuotedString(_)) {
        return None;
    }
    let mut rest = rest.iter().enumerate().filter(|(_, token)| !blank(token));
    let (at, cast) = rest.next()?;
    let (_, bound) = rest.next()?;
    let bounds = ["preceding", "following"].iter().any(|word| is_word(&bound.token, word));
    (is_word(&cast.token, "interval") && bounds).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    #[test]
    fn weaker_locks_are_the_next_stronger_ones() {
        let read = |sql: &str| Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().unwrap();
        for (sql, expected) in [
            ("for no  key update nowait", Some(("for UPDATE", 7))),
            ("FOR KEY SHARE", Some(("FOR SHARE", 4))),
            ("for key", None),
            ("for no key", None),
            ("for update", None),
            ("for \"no\" key update", None),
        ] {
            let tokens = read(sql);
            let lock = stronger_lock(&tokens[0].token, &tokens[1..]);
            let written = lock.map(|(tokens, used)| (tokens.iter().map(ToString::to_string).collect::<String>(), used));
            let expected = expected.map(|(text, used)| (text.to_owned(), used));
            assert_eq!(written, expected, "{sql}");
        }
    }

    #[test]
    fn a_text_behind_a_type_is_a_cast() {
        let read = |sql: &str| Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().unwrap();
        let tokens = read("inet  '10.1.2.3'");
        let (cast, used) = typed_text(&tokens[0].token, &tokens[1..]).unwrap();
        let written: String = cast.iter().map(ToString::to_string).collect();
        assert_eq!((written.as_str(), used), ("CAST('10.1.2.3' AS inet)", 3));
        for other in ["inet, 'a'", "inet", "uuid 'a'"] {
            let tokens = read(other);
            assert!(typed_text(&tokens[0].token, &tokens[1..]).is_none(), "{other}");
        }
    }
}
