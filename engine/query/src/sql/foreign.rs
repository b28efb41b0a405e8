//! What other systems write and PostgreSQL does not: the error that it has for that, and a hint at what is written here. Knows words, no
//! names of tables and no types.

use crate::sql::tokens::{character, is_word, tokens};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};
use querygate_types::ErrorCode::{self, SyntaxError, UndefinedColumn, UndefinedFunction, UndefinedTable};
use querygate_types::{Error, Result};

/// Words of the grammar that PostgreSQL has for names alone.
const NAMES: [&str; 5] = ["div", "regexp", "rlike", "top", "xor"];

/// Operators of the grammar that PostgreSQL has none of, and what is written for them.
const OPERATORS: [(Token, &str); 3] = [
    (Token::DoubleEq, "= compares."),
    (Token::Spaceship, "IS NOT DISTINCT FROM compares and takes NULL for equal to NULL."),
    (Token::ExclamationMark, "NOT before a condition denies it."),
];

/// Behind these no operand comes any more.
const ENDS: [Token; 4] = [Token::EOF, Token::SemiColon, Token::Comma, Token::RParen];

/// What stands for any number or parameter, any name in double quotes, and anything at all.
const COUNT: &str = "COUNT";
const QUOTED: &str = "QUOTED";
const ANY: &str = "ANY";

const PART: &str = "extract(year FROM value) takes a part of a date: year, month, day, hour, minute, second.";
const SPAN: &str = "value + interval '1 day' moves a date or a time, and - moves it back.";
const DISTANCE: &str = "One date - another is the number of days between them; of time stamps it is an interval.";
const NOW: &str = "now() or CURRENT_TIMESTAMP is the time at which the transaction began, CURRENT_DATE the day.";
const READ: &str = "to_date(text, 'YYYY-MM-DD') and to_timestamp(text, 'YYYY-MM-DD HH24:MI:SS') read by a picture.";
const JOINED: &str = "string_agg(value, ',' ORDER BY value) joins texts.";
const CHOICE: &str = "CASE WHEN condition THEN value ELSE other END chooses.";
const FIRST: &str = "LIMIT 5 at the end of a query takes its first rows.";
const PATTERN: &str = "value ~ 'pattern' matches a regular expression, ~* in capitals and small letters alike.";
const NAME: &str = "Names that need quotes stand in double quotes: \"name\".";

const WHOLE: &str = "Elements of arrays are not assigned; assign the whole array.";

/// The code of an error, the words and signs of which it points at one, and what is written for them.
const WRITTEN: [(ErrorCode, &[&str], &str); 61] = [
    (SyntaxError, &["top", COUNT], FIRST),
    (UndefinedFunction, &["top", "("], FIRST),
    (SyntaxError, &["`"], NAME),
    (SyntaxError, &["set", ANY, "["], WHOLE),
    (SyntaxError, &["(", ANY, "["], WHOLE),
    (SyntaxError, &["["], NAME),
    (UndefinedColumn, &[QUOTED], "A text stands in single quotes: 'text'. What is in double quotes is a name."),
    (SyntaxError, &["regexp", ANY], PATTERN),
    (SyntaxError, &["not", "regexp"], PATTERN),
    (SyntaxError, &["rlike", ANY], PATTERN),
    (SyntaxError, &["not", "rlike"], PATTERN),
    (SyntaxError, &["xor", ANY], "<> between two conditions is true where one of them alone is."),
    (SyntaxError, &["div", ANY], "/ between two whole numbers gives a whole number."),
    (SyntaxError, &["separator", ANY], JOINED),
    (UndefinedFunction, &["group_concat", "("], JOINED),
    (UndefinedFunction, &["listagg", "("], JOINED),
    (UndefinedFunction, &["year", "("], PART),
    (UndefinedFunction, &["month", "("], PART),
    (UndefinedFunction, &["day", "("], PART),
    (UndefinedFunction, &["hour", "("], PART),
    (UndefinedFunction, &["minute", "("], PART),
    (UndefinedFunction, &["second", "("], PART),
    (UndefinedFunction, &["quarter", "("], PART),
    (UndefinedFunction, &["week", "("], PART),
    (UndefinedFunction, &["dayofweek", "("], PART),
    (UndefinedFunction, &["dayofmonth", "("], PART),
    (UndefinedFunction, &["datepart", "("], PART),
    (UndefinedColumn, &["datepart", "(", ANY], PART),
    (UndefinedFunction, &["datediff", "("], DISTANCE),
    (UndefinedColumn, &["datediff", "(", ANY], DISTANCE),
    (UndefinedFunction, &["timestampdiff", "("], DISTANCE),
    (UndefinedColumn, &["timestampdiff", "(", ANY], DISTANCE),
    (UndefinedFunction, &["dateadd", "("], SPAN),
    (UndefinedColumn, &["dateadd", "(", ANY], SPAN),
    (UndefinedFunction, &["date_add", "("], SPAN),
    (UndefinedFunction, &["date_sub", "("], SPAN),
    (UndefinedFunction, &["add_months", "("], SPAN),
    (UndefinedFunction, &["getdate", "("], NOW),
    (UndefinedFunction, &["curdate", "("], NOW),
    (UndefinedFunction, &["sysdate", "("], NOW),
    (UndefinedColumn, &["sysdate"], NOW),
    (UndefinedColumn, &["rownum"], FIRST),
    (UndefinedTable, &["dual"], "A SELECT without FROM gives one row."),
    (UndefinedFunction, &["str_to_date", "("], READ),
    (UndefinedFunction, &["date_format", "("], "to_char(value, 'YYYY-MM-DD') writes a date by a picture."),
    (UndefinedFunction, &["ifnull", "("], "coalesce(value, other) is the first that is not NULL."),
    (UndefinedFunction, &["nvl", "("], "coalesce(value, other) is the first that is not NULL."),
    (UndefinedFunction, &["nvl2", "("], CHOICE),
    (UndefinedFunction, &["isnull", "("], "value IS NULL asks; coalesce(value, other) is the first that is not NULL."),
    (UndefinedFunction, &["iif", "("], CHOICE),
    (UndefinedFunction, &["if", "("], CHOICE),
    (UndefinedFunction, &["len", "("], "length(text) counts characters."),
    (UndefinedFunction, &["ucase", "("], "upper(text) writes in capitals."),
    (UndefinedFunction, &["lcase", "("], "lower(text) writes in small letters."),
    (UndefinedFunction, &["charindex", "("], "position(part IN text) finds a part, and strpos(text, part) does."),
    (UndefinedFunction, &["locate", "("], "position(part IN text) finds a part, and strpos(text, part) does."),
    (
        UndefinedFunction,
        &["json_extract", "("],
        "value -> 'key' is a part of a JSON value, and value ->> 'key' is its text.",
    ),
    (UndefinedFunction, &["unix_timestamp", "("], "extract(epoch FROM value) counts seconds since 1970."),
    (UndefinedFunction, &["mid", "("], "substring(text FROM 2 FOR 3) cuts a part out."),
    (UndefinedFunction, &["truncate", "("], "trunc(number, places) cuts digits off."),
    (UndefinedFunction, &["newid", "("], "gen_random_uuid() makes an identifier."),
];

/// Takes from the grammar its words that are names here.
pub(crate) fn as_names(tokens: &mut [TokenWithSpan]) {
    for token in tokens {
        if let Token::Word(word) = &mut token.token
            && word.quote_style.is_none()
            && NAMES.iter().any(|name| word.value.eq_ignore_ascii_case(name))
        {
            word.keyword = Keyword::NoKeyword;
        }
    }
}

/// Refuses operators and brackets that only the grammar knows, and two numbers behind LIMIT.
///
/// # Errors
/// 42883 for an operator, otherwise 42601, with the place.
pub(crate) fn refuse_foreign(tokens: &[TokenWithSpan]) -> Result<()> {
    // Of each bracket and parenthesis that is open: whether items of ARRAY stand in it.
    let mut open = Vec::new();
    // The place of LIMIT, and whether its number stands behind it.
    let mut limit = None;
    let (mut last, mut before_last) = (None, None);
    let mut tokens = tokens.iter().filter(|one| !matches!(one.token, Token::Whitespace(_))).peekable();
    while let Some(TokenWithSpan { token, span }) = tokens.next() {
        // Without an operand behind it, no operator is looked for: that is the parser's to refuse.
        let ends = tokens.peek().is_none_or(|next| ENDS.contains(&next.token));
        if let Some((_, hint)) = OPERATORS.iter().find(|(operator, _)| operator == token && !ends) {
            let message = format!("operator does not exist: {token}");
            return Err(at(*span, Error::new(UndefinedFunction, message)).with_hint(*hint));
        }
        match token {
            Token::LParen => open.push(false),
            Token::LBracket => {
                let items = begins_items(last, open.last() == Some(&true));
                if !items && !takes_subscript(before_last, last) {
                    return Err(at(*span, Error::new(SyntaxError, "syntax error at or near \"[\"")).with_hint(NAME));
                }
                open.push(items);
            }
            Token::RParen | Token::RBracket => open.truncate(open.len().saturating_sub(1)),
            _ => {}
        }
        limit = match (token, limit) {
            (Token::Comma, Some((place, true))) => {
                let error = at(place, Error::new(SyntaxError, "LIMIT #,# syntax is not supported"));
                return Err(error.with_hint("Use separate LIMIT and OFFSET clauses."));
            }
            (token, Some((place, false))) if is(token, COUNT) => Some((place, true)),
            (token, _) => is_word(token, "limit").then_some((*span, false)),
        };
        (before_last, last) = (last, Some(token));
    }
    Ok(())
}

/// The error with its place.
fn at(place: Span, error: Error) -> Error {
    error.with_position(u32::try_from(character(place.start)).unwrap_or(u32::MAX))
}

/// Whether a bracket behind a token holds items: behind ARRAY, and as an item of such a one.
fn begins_items(last: Option<&Token>, within_items: bool) -> bool {
    let is_item = within_items && matches!(last, Some(Token::LBracket | Token::Comma));
    is_item || last.is_some_and(|last| is_word(last, "array"))
}

/// Whether a bracket behind two tokens belongs to what ends there: a value, or a type. Behind a point each word is a name.
fn takes_subscript(before_last: Option<&Token>, last: Option<&Token>) -> bool {
    match last {
        Some(Token::Word(_)) if before_last == Some(&Token::Period) => true,
        Some(Token::Word(word)) => {
            let known = querygate_pg_catalog::keyword(&word.value.to_ascii_lowercase());
            word.quote_style.is_some() || known.is_none_or(|known| known.is_column_name)
        }
        Some(Token::RParen | Token::RBracket | Token::Placeholder(_)) => true,
        _ => false,
    }
}

/// The error with a hint, where it points at what another system writes. The nearest column that there is stays the hint.
pub(crate) fn hinted(error: Error, sql: &str) -> Error {
    let is_one = WRITTEN.iter().any(|(code, ..)| *code == error.code());
    if !is_one || error.code() == UndefinedColumn && error.hint().is_some() {
        return error;
    }
    let (Some(place), Ok(tokens)) = (error.position(), tokens(sql)) else { return error };
    let words: Vec<&TokenWithSpan> =
        tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let Some(at) = words.iter().position(|word| character(word.span.start) == u64::from(place)) else { return error };
    let stands = |written: &[&str]| {
        let from = (at + 1).saturating_sub(written.len());
        (from..=at)
            .filter_map(|from| words.get(from..from + written.len()))
            .any(|words| words.iter().zip(written).all(|(word, wanted)| is(&word.token, wanted)))
    };
    match WRITTEN.iter().find(|(code, written, _)| *code == error.code() && stands(written)) {
        Some((_, _, hint)) => error.with_hint(*hint),
        None => error,
    }
}

/// Whether a word or sign is the one that a row has at its place.
fn is(token: &Token, wanted: &str) -> bool {
    match wanted {
        ANY => true,
        COUNT => matches!(token, Token::Number(..) | Token::Placeholder(_)),
        QUOTED => matches!(token, Token::Word(word) if word.quote_style.is_some()),
        // A word in quotes is printed with them.
        written => is_word(token, written) || token.to_string() == written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse;

    fn refused(sql: &str) -> (ErrorCode, Option<u32>, Option<String>) {
        let error = parse(sql).unwrap_err();
        (error.code(), error.position(), error.hint().map(str::to_owned))
    }

    #[test]
    fn syntax_of_other_systems_is_answered_with_what_is_written_here() {
        for (sql, place, hint) in [
            ("SELECT TOP 5 a FROM t", 12, FIRST),
            ("SELECT a FROM t LIMIT 5, 5", 17, "Use separate LIMIT and OFFSET clauses."),
            ("SELECT a FROM t LIMIT $1, $2", 17, "Use separate LIMIT and OFFSET clauses."),
            ("SELECT `a` FROM t", 8, NAME),
            ("SELECT a FROM [t]", 15, NAME),
            ("SELECT 1;\nSELECT a FROM t WHERE a REGEXP 'x'", 35, PATTERN),
            ("SELECT a FROM t WHERE a NOT RLIKE 'x'", 25, PATTERN),
            ("SELECT 7 DIV 2", 14, "/ between two whole numbers gives a whole number."),
            ("SELECT f(a SEPARATOR ',') FROM t", 12, JOINED),
        ] {
            assert_eq!(refused(sql), (SyntaxError, Some(place), Some(hint.to_owned())), "{sql}");
        }
        let (code, _, hint) = refused("SELECT a FROM t WHERE");
        assert_eq!((code, hint), (SyntaxError, None));
    }

    #[test]
    fn brackets_belong_to_arrays() {
        for (sql, place) in
            [("SELECT [a] FROM t", 8), ("SELECT 1; SELECT t.[a] FROM t", 20), ("SELECT a, [1] FROM t", 11)]
        {
            assert_eq!(refused(sql), (SyntaxError, Some(place), Some(NAME.to_owned())), "{sql}");
        }
        for sql in [
            "SELECT ARRAY[[1, 2], [a[1], b]], a[1][2], t.a[1:2], (f(a))[1], $1[1], \"a\"[1] FROM t",
            "SELECT a::text[][], a::varchar(3)[], ARRAY [1], ARRAY[(SELECT a[1]), 2] FROM t",
            "SELECT t.order[1], t.left[1:2] FROM t",
        ] {
            assert!(parse(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn operators_of_other_systems_do_not_exist() {
        for (sql, place) in [("SELECT a == 1", 10), ("SELECT 1; SELECT a <=> NULL", 20), ("SELECT !a FROM t", 8)] {
            let (code, found, hint) = refused(sql);
            assert_eq!((code, found, hint.is_some()), (UndefinedFunction, Some(place), true), "{sql}");
        }
        for sql in
            ["SELECT '==', \"<=>\" FROM t", "SELECT a <> b, a != b, a !~ b, a >= b", "SELECT (SELECT a LIMIT 5), 5"]
        {
            assert!(parse(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn words_of_other_systems_are_names() {
        for sql in [
            "SELECT top FROM t",
            "SELECT regexp, t.rlike AS xor FROM t top",
            "SELECT top(a), div(7, 2) FROM t WHERE xor",
        ] {
            assert!(parse(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn what_is_not_found_is_hinted_at_where_it_stands() {
        let check = |sql: &str, code: ErrorCode, place: u32, expected: Option<&str>| {
            let error = hinted(Error::new(code, "x does not exist").with_position(place), sql);
            assert_eq!(error.hint(), expected, "{sql}");
        };
        check("SELECT é, year(b) FROM t", UndefinedFunction, 11, Some(PART));
        check("SELECT YEAR (b) FROM t", UndefinedFunction, 8, Some(PART));
        check("SELECT \"year\"(b) FROM t", UndefinedFunction, 8, None);
        check("SELECT dateadd(day, 1, b) FROM t", UndefinedColumn, 16, Some(SPAN));
        check("SELECT dateadd(day, 1, b) FROM t", UndefinedFunction, 8, Some(SPAN));
        check("SELECT dateadd(day, 1, b) FROM t", UndefinedColumn, 24, None);
        check("SELECT year FROM t", UndefinedColumn, 8, None);
        let text = "A text stands in single quotes: 'text'. What is in double quotes is a name.";
        check("SELECT a FROM t WHERE a = \"x\"", UndefinedColumn, 27, Some(text));
        let near = Error::new(UndefinedColumn, "x").with_position(8).with_hint("near");
        assert_eq!(hinted(near, "SELECT \"x\" FROM t").hint(), Some("near"));
        let other = Error::new(UndefinedTable, "x").with_position(8);
        assert_eq!(hinted(other, "SELECT \"x\".a FROM t").hint(), None);
        check("SELECT 1 FROM DUAL", UndefinedTable, 15, Some("A SELECT without FROM gives one row."));
    }
}
