//! What is put right in a text's tokens before the grammar sees them: places as PostgreSQL counts them, and spellings that
//! the grammar does not know or reads wrongly. Knows words, no statements.

use crate::sql::spellings::{framed, rounded_interval, similar_substring, stronger_lock, typed_text};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{
    Location, Span, Token, TokenWithSpan, Tokenizer, TokenizerError, Whitespace,
};

/// A text's tokens. A place's line is the character of the text, counted from 1, at which its statement begins; its column
/// is the character of that statement.
pub(crate) fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>, TokenizerError> {
    let mut tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location()?;
    refuse_junk(&tokens)?;
    let mut place = Place::new(sql);
    let mut begins = None;
    for token in &mut tokens {
        let (start, end) = (place.advance(token.span.start), place.advance(token.span.end));
        if !matches!(token.token, Token::Whitespace(_) | Token::SemiColon) {
            begins.get_or_insert(start);
        }
        let line = begins.unwrap_or(start);
        let at = |character: u64| Location { line, column: character - line + 1 };
        token.span = Span::new(at(start), at(end));
        if token.token == Token::SemiColon {
            begins = None;
        }
    }
    if tokens.iter().any(|token| matches!(token.token, Token::CustomBinaryOperator(_))) {
        tokens = tokens.into_iter().flat_map(signs_apart).collect();
    }
    Ok(mended(&tokens))
}

/// `123abc`: a number ends where a word begins, but not without a blank. Nor are `0x1f` and `1_000` numbers to PostgreSQL 15.
fn refuse_junk(tokens: &[TokenWithSpan]) -> Result<(), TokenizerError> {
    let junk = |location| TokenizerError { message: "trailing junk after numeric literal".to_owned(), location };
    for TokenWithSpan { token, span } in tokens {
        if let Token::HexStringLiteral(digits) = token {
            // In quotes it is longer.
            let bare = digits.chars().count() as u64 + 2;
            if span.start.line == span.end.line && span.end.column == span.start.column + bare {
                return Err(junk(span.start));
            }
        }
        if matches!(token, Token::Number(digits, _) if digits.contains('_')) {
            return Err(junk(span.start));
        }
    }
    for pair in tokens.windows(2) {
        if let [TokenWithSpan { token: Token::Number(..), span }, TokenWithSpan { token: Token::Word(word), .. }] = pair
            && word.quote_style.is_none()
        {
            return Err(junk(span.start));
        }
    }
    Ok(())
}

/// `2>-1` and `x->-1`: the tokenizer takes all characters of operators that stand together for one operator. PostgreSQL's ends before
/// signs at its end, unless one of the characters is in it of which no operator of the standard is made.
fn signs_apart(token: TokenWithSpan) -> Vec<TokenWithSpan> {
    let Token::CustomBinaryOperator(written) = &token.token else { return vec![token] };
    let bare = written.trim_end_matches(['+', '-']);
    let is_standard = matches!(bare, "->" | "->>") || bare.chars().all(|c| matches!(c, '*' | '/' | '<' | '>' | '='));
    if bare.is_empty() || bare.len() == written.len() || !is_standard || written.contains("--") {
        return vec![token];
    }
    let operator = Tokenizer::new(&PostgreSqlDialect {}, bare).tokenize();
    let Ok([operator]) = operator.as_deref() else { return vec![token] };
    let (start, line) = (token.span.start.column, token.span.start.line);
    let at = |token: Token, place: usize, length: usize| {
        let from = start + u64::try_from(place).unwrap_or_default();
        let to = from + u64::try_from(length).unwrap_or_default();
        TokenWithSpan::new(token, Span::new(Location { line, column: from }, Location { line, column: to }))
    };
    let signs = written.chars().enumerate().skip(bare.len());
    let signs = signs.map(|(place, sign)| at(if sign == '-' { Token::Minus } else { Token::Plus }, place, 1));
    std::iter::once(at(operator.clone(), 0, bare.len())).chain(signs).collect()
}

/// The character of the whole text, counted from 1, that a place in [`tokens`] means.
pub(crate) const fn character(at: Location) -> u64 {
    at.line + at.column - 1
}

/// Characters from 1 up to a place that the tokenizer counts by lines, as PostgreSQL counts.
pub(crate) fn position(sql: &str, at: Location) -> u32 {
    u32::try_from(Place::new(sql).advance(at)).unwrap_or(u32::MAX)
}

/// A place in a text that only moves on, so that all places of a text are found in one pass. The library counts lines from
/// 1 and columns, in characters, from 1.
struct Place<'a> {
    rest: std::str::Chars<'a>,
    line: u64,
    column: u64,
    characters: u64,
}

impl<'a> Place<'a> {
    fn new(sql: &'a str) -> Self {
        Self { rest: sql.chars(), line: 1, column: 1, characters: 1 }
    }

    /// The character at a location that is not before the last one.
    fn advance(&mut self, at: Location) -> u64 {
        while (self.line, self.column) < (at.line, at.column) {
            let Some(c) = self.rest.next() else { break };
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
            self.characters += 1;
        }
        self.characters
    }
}

/// Whether a token is this word, without quotes.
pub(crate) fn is_word(token: &Token, text: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

/// - `OPERATOR(pg_catalog.=) ANY` loses what the grammar takes for no comparison.
/// - `TABLE t` becomes `SELECT * FROM t`: the grammar swallows up to two words behind the name, `LIMIT` among them.
/// - `FETCH 1 c` and `FETCH c` get the FROM, and the direction, that PostgreSQL does not ask for; `FETCH FORWARD c` gets its
///   number, and the sign of a number becomes part of it.
/// - `f(VARIADIC a)` becomes `f(variadic => a)`, `ORDER BY a USING <` becomes `ORDER BY a ASC`, `TRIM(BOTH FROM a)` gets its blank, and
///   `:=` is `=>`.
/// - `FOR NO KEY UPDATE` becomes `FOR UPDATE`, `FOR KEY SHARE` becomes `FOR SHARE`.
/// - `DEFERRABLE`, which means nothing to a transaction that reads one snapshot, is left out.
fn mended(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    // First and last word or sign of the statement so far.
    let (mut first, mut last): (Option<Token>, Option<Token>) = (None, None);
    let mut at = 0;
    let mut begin = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        if token.token == Token::SemiColon {
            fetched(&mut out, begin);
        }
        let seen = &token.token;
        if matches!(seen, Token::Whitespace(_)) {
            out.push(token.clone());
            continue;
        }
        if is_word(seen, "operator")
            && let Some((operator, used)) = quantified_operator(tokens.get(at..).unwrap_or_default())
        {
            out.push(TokenWithSpan::new(operator, token.span));
            at += used;
            continue;
        }
        if is_word(seen, "deferrable") && first.as_ref().is_some_and(begins_transaction) {
            drop_last(&mut out, |token| is_word(token, "not"));
            drop_last(&mut out, |token| *token == Token::Comma);
            continue;
        }
        if let Some((replaced, used)) = respelled(seen, out.iter().rev(), tokens.get(at..).unwrap_or_default()) {
            out.extend(replaced.into_iter().map(|word| TokenWithSpan::new(word, token.span)));
            at += used;
            last = Some(seen.clone());
            continue;
        }
        if is_word(seen, "table") && begins_query(first.as_ref(), last.as_ref()) {
            let space = || Token::Whitespace(Whitespace::Space);
            let words = [Token::make_keyword("SELECT"), space(), Token::Mul, space(), Token::make_keyword("FROM")];
            out.extend(words.into_iter().map(|word| TokenWithSpan::new(word, token.span)));
        } else {
            out.push(token.clone());
        }
        if *seen == Token::SemiColon {
            (first, last) = (None, None);
            begin = out.len();
        } else {
            first.get_or_insert_with(|| seen.clone());
            last = Some(seen.clone());
        }
    }
    fetched(&mut out, begin);
    out
}

/// What stands for a word that the grammar does not know at its place, and how many tokens behind it are taken.
fn respelled<'a>(
    seen: &Token,
    before: impl Iterator<Item = &'a TokenWithSpan>,
    rest: &[TokenWithSpan],
) -> Option<(Vec<Token>, usize)> {
    let space = || Token::Whitespace(Whitespace::Space);
    if *seen == Token::Assignment {
        return Some((vec![Token::RArrow], 0));
    }
    if let Token::SingleQuotedString(text) = seen
        && let Some((text, used)) = continued(text, rest)
    {
        return Some((vec![Token::SingleQuotedString(text)], used));
    }
    if is_word(seen, "substring")
        && let Some(replaced) = similar_substring(rest)
    {
        return Some(replaced);
    }
    if is_word(seen, "interval") {
        return rounded_interval(seen, rest);
    }
    if is_word(seen, "for") {
        return stronger_lock(seen, rest);
    }
    if let Some(typed) = typed_text(seen, rest) {
        return Some(typed);
    }
    if *seen == Token::DoubleColon {
        return framed(before, rest).map(|used| (Vec::new(), used));
    }
    if !["variadic", "using", "both", "leading", "trailing"].iter().any(|word| is_word(seen, word)) {
        return None;
    }
    let blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let mut before = before.filter(|token| !blank(token)).map(|token| &token.token);
    let (next, follows) = rest.iter().enumerate().find(|(_, token)| !blank(token))?;
    let opens = |token: Option<&Token>| token == Some(&Token::LParen);
    if is_word(seen, "variadic") {
        let argument = matches!(before.next(), Some(Token::LParen | Token::Comma));
        let value = !matches!(follows.token, Token::Comma | Token::RParen | Token::Period | Token::SemiColon);
        return (argument && value).then(|| (vec![seen.clone(), space(), Token::RArrow], 0));
    }
    if is_word(seen, "using") {
        let direction = match &follows.token {
            Token::Lt => "ASC",
            Token::Gt => "DESC",
            Token::CustomBinaryOperator(operator) if operator == "~<~" => "ASC",
            Token::CustomBinaryOperator(operator) if operator == "~>~" => "DESC",
            _ => return None,
        };
        return Some((vec![Token::make_keyword(direction)], next + 1));
    }
    let trims = opens(before.next()) && before.next().is_some_and(|token| is_word(token, "trim"));
    (trims && is_word(&follows.token, "from"))
        .then(|| (vec![seen.clone(), space(), Token::SingleQuotedString(" ".to_owned())], 0))
}

/// A text in quotes that goes on in the next lines, and the tokens behind it that it takes.
fn continued(text: &str, rest: &[TokenWithSpan]) -> Option<(String, usize)> {
    let (mut text, mut used, mut line_ends) = (text.to_owned(), 0, false);
    for (at, token) in rest.iter().enumerate() {
        match &token.token {
            Token::Whitespace(Whitespace::Space | Whitespace::Tab) => {}
            Token::Whitespace(Whitespace::Newline) => line_ends = true,
            Token::SingleQuotedString(next) if line_ends => {
                text.push_str(next);
                (used, line_ends) = (at + 1, false);
            }
            _ => break,
        }
    }
    (used > 0).then_some((text, used))
}

/// The FETCH or MOVE that begins at a token, as the grammar wants it.
fn fetched(out: &mut Vec<TokenWithSpan>, begin: usize) {
    let mut written = out.get(begin..).unwrap_or_default().iter().map(|token| &token.token);
    let first = written.find(|token| !matches!(token, Token::Whitespace(_)));
    if first.is_some_and(|first| is_word(first, "fetch") || is_word(first, "move")) {
        with_number(out, begin);
        with_from(out, begin);
    }
}

/// What is no blank, with its place.
fn words(out: &[TokenWithSpan], begin: usize) -> Vec<(usize, Token)> {
    let written = out.get(begin..).unwrap_or_default().iter().enumerate();
    let written = written.filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)));
    written.map(|(at, token)| (begin + at, token.token.clone())).collect()
}

/// One number, with its sign, after a direction that takes one. The cursor itself may have a direction's name.
fn with_number(out: &mut Vec<TokenWithSpan>, begin: usize) {
    let words = words(out, begin);
    for pair in words.windows(2).rev() {
        let [(at, token), (next, follows)] = pair else { continue };
        let span = out.get(*at).map_or_else(Span::empty, |token| token.span);
        match (token, follows) {
            (Token::Minus | Token::Plus, Token::Number(digits, long)) => {
                let sign = if *token == Token::Minus { "-" } else { "" };
                let signed = Token::Number(format!("{sign}{digits}"), *long);
                out.splice(*at..=*next, [TokenWithSpan::new(signed, span)]);
            }
            (word, Token::Word(_))
                if (is_word(word, "forward") || is_word(word, "backward")) && !is_word(follows, "all") =>
            {
                let added = [Token::Number("1".to_owned(), false), Token::Whitespace(Whitespace::Space)];
                out.splice(*next..*next, added.map(|token| TokenWithSpan::new(token, span)));
            }
            _ => {}
        }
    }
}

/// FROM before the cursor's name.
fn with_from(out: &mut Vec<TokenWithSpan>, begin: usize) {
    let words = words(out, begin);
    let [_, rest @ ..] = words.as_slice() else { return };
    let has = |word: &str| rest.iter().any(|(_, token)| is_word(token, word));
    if has("from") || has("in") {
        return;
    }
    let Some((name, Token::Word(_))) = rest.last() else { return };
    let (name, span) = (*name, out.get(*name).map_or_else(Span::empty, |token| token.span));
    let mut added = vec![Token::make_keyword("FROM"), Token::Whitespace(Whitespace::Space)];
    if rest.len() == 1 {
        added.splice(0..0, [Token::make_keyword("NEXT"), Token::Whitespace(Whitespace::Space)]);
    }
    out.splice(name..name, added.into_iter().map(|token| TokenWithSpan::new(token, span)));
}

/// Takes the last token away if it is such a one, blanks behind it too.
fn drop_last(out: &mut Vec<TokenWithSpan>, unwanted: impl Fn(&Token) -> bool) {
    let blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let Some(at) = out.iter().rposition(|token| !blank(token)) else { return };
    if out.get(at).is_some_and(|token| unwanted(&token.token)) {
        out.truncate(at);
    }
}

fn begins_transaction(first: &Token) -> bool {
    ["begin", "start", "set"].iter().any(|word| is_word(first, word))
}

/// Whether a query may begin here.
fn begins_query(first: Option<&Token>, last: Option<&Token>) -> bool {
    let Some(last) = last else { return true };
    let Token::Word(word) = last else { return *last == Token::LParen };
    let prepared = first.is_some_and(|first| is_word(first, "prepare"));
    match word.keyword {
        Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::EXPLAIN | Keyword::FOR => true,
        // `AS table` names a column elsewhere, `ALL` follows an operator; neither is followed by TABLE there.
        Keyword::ALL => true,
        Keyword::AS => prepared,
        Keyword::ANALYZE | Keyword::VERBOSE => first.is_some_and(|first| is_word(first, "explain")),
        _ => false,
    }
}

/// `(pg_catalog.=)` before ANY, ALL or SOME: the operator, and how many tokens it takes.
fn quantified_operator(rest: &[TokenWithSpan]) -> Option<(Token, usize)> {
    let mut words =
        rest.iter().enumerate().filter(|(_, token)| !matches!(token.token, Token::Whitespace(_))).take(6).peekable();
    let mut next = || words.next().map(|(at, token)| (at, &token.token));
    if next()?.1 != &Token::LParen {
        return None;
    }
    let (_, mut operator) = next()?;
    if is_word(operator, "pg_catalog") {
        if next()?.1 != &Token::Period {
            return None;
        }
        operator = next()?.1;
    }
    let (end, closing) = next()?;
    let (_, quantifier) = next()?;
    let quantified = ["any", "all", "some"].iter().any(|word| is_word(quantifier, word));
    let plain = !matches!(operator, Token::Word(_) | Token::LParen | Token::RParen | Token::Period);
    (plain && quantified && *closing == Token::RParen).then(|| (operator.clone(), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sql: &str) -> String {
        tokens(sql).unwrap().iter().map(|token| token.token.to_string()).collect()
    }

    #[test]
    fn spellings_are_put_right() {
        let check = |sql: &str, expected: &str| assert_eq!(text(sql), expected, "{sql}");
        check("a OPERATOR(pg_catalog.=) ANY (b)", "a = ANY (b)");
        check("a operator ( ~ ) all (b)", "a ~ all (b)");
        check("a OPERATOR(pg_catalog.=) b", "a OPERATOR(pg_catalog.=) b");
        check("a OPERATOR(other.=) ANY (b)", "a OPERATOR(other.=) ANY (b)");
        check("table t limit 1; table u", "SELECT * FROM t limit 1; SELECT * FROM u");
        check("select 1 union all table t", "select 1 union all SELECT * FROM t");
        check("copy (table t) to stdout", "copy (SELECT * FROM t) to stdout");
        check("prepare p as table t", "prepare p as SELECT * FROM t");
        check("select 1 as table", "select 1 as table");
        check("begin isolation level serializable, not deferrable", "begin isolation level serializable");
        check("start transaction read only deferrable", "start transaction read only ");
        check("select deferrable from t", "select deferrable from t");
        check("select f(1, variadic array[2])", "select f(1, variadic => array[2])");
        check("select variadic, f(variadic) from t", "select variadic, f(variadic) from t");
        check("select a order by a using >, b using <", "select a order by a DESC, b ASC");
        check("select a from t join u using (a)", "select a from t join u using (a)");
        check("select trim(both from a)", "select trim(both ' ' from a)");
        check(
            "range between '1 day'::interval preceding and current row",
            "range between '1 day' preceding and current row",
        );
        check("select '1 day'::interval", "select '1 day'::interval");
        check("select substring(a similar '(b)' escape '#')", "select substring_similar(a , '(b)' , '#')");
        check("select substring(a similar to b)", "select substring(a similar to b)");
        check("select f(a := 1)", "select f(a => 1)");
        check("fetch c", "fetch NEXT FROM c");
        check("fetch 2 c; move forward 3 \"C d\"", "fetch 2 FROM c; move forward 3 FROM \"C d\"");
        check("fetch all in c", "fetch all in c");
        check("fetch backward from c; move forward c", "fetch backward 1 from c; move forward 1 FROM c");
        check("fetch - 3 c; fetch absolute -2 from c", "fetch -3 FROM c; fetch absolute -2 from c");
        check("fetch backward all c; fetch relative +1 in c", "fetch backward all FROM c; fetch relative 1 in c");
        check("fetch forward; select - 1", "fetch NEXT FROM forward; select - 1");
    }

    #[test]
    fn signs_belong_to_what_follows_an_operator() {
        for operator in [">", ">=", "<>", "<=", "<", "=", "*", "/", "->", "->>"] {
            for sign in ["-", "+", "+-"] {
                let spaced = text(&format!("2 {operator} {sign}1")).replace(' ', "");
                let found = tokens(&format!("2{operator}{sign}1")).unwrap();
                assert_eq!(found.iter().map(|token| token.token.to_string()).collect::<String>(), spaced);
                assert!(
                    found.iter().any(|token| matches!(token.token, Token::Minus | Token::Plus)),
                    "{operator}{sign}"
                );
                let last = found.last().unwrap();
                assert_eq!(last.span.start.column, (2 + operator.len() + sign.len()) as u64, "{operator}{sign}");
            }
        }
        // Operators of their own, as PostgreSQL reads them.
        let own = TokenWithSpan::new(Token::CustomBinaryOperator("~-".to_owned()), Span::empty());
        assert_eq!(signs_apart(own.clone()), [own]);
    }

    #[test]
    fn places_are_counted_in_characters() {
        let found: Vec<(String, u64, u64)> = tokens("é\n b\n'ü';  c d")
            .unwrap()
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_)))
            .map(|token| (token.token.to_string(), token.span.start.column, character(token.span.start)))
            .collect();
        let expected = [("é", 1, 1), ("b", 4, 4), ("'ü'", 6, 6), (";", 9, 9), ("c", 1, 12), ("d", 3, 14)];
        assert_eq!(found, expected.map(|(word, own, whole)| (word.to_owned(), own, whole)));
        assert_eq!(position("ab\ncd", Location { line: 2, column: 2 }), 5);
    }
}
