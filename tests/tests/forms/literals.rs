//! The literals of a statement, found in its tokens: where they stand, what they are worth, and of which type PostgreSQL takes
//! them. The same rule for both servers. Knows no server.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::ops::Range;
use tokio_postgres::types::Type;

/// A literal of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literal {
    /// Its bytes in the statement, with the type's name before it.
    pub(crate) place: Range<usize>,
    pub(crate) value: String,
    pub(crate) pg_type: Type,
    /// The type stands before it: `date '2024-02-29'`.
    pub(crate) named: bool,
}

impl Literal {
    /// The statement's text of a thing in the literal's place.
    pub(crate) fn replaced_by(&self, what: &str) -> String {
        if self.named { format!("CAST({what} AS {})", self.pg_type.name()) } else { what.to_owned() }
    }
}

/// Types that stand before a literal.
const NAMED: [Type; 17] = [
    Type::DATE,
    Type::TIME,
    Type::TIMESTAMP,
    Type::TIMESTAMPTZ,
    Type::INTERVAL,
    Type::NUMERIC,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::BOOL,
    Type::UUID,
    Type::JSON,
    Type::JSONB,
    Type::BYTEA,
    Type::TEXT,
];
/// Types whose digits stand in parentheses after them.
const MODIFIED: [&str; 16] = [
    "numeric",
    "decimal",
    "dec",
    "varchar",
    "char",
    "character",
    "varying",
    "bpchar",
    "bit",
    "timestamp",
    "timestamptz",
    "time",
    "timetz",
    "interval",
    "float",
    "second",
];
const UNITS: [&str; 7] = ["year", "month", "day", "hour", "minute", "second", "to"];

/// Those that may be parameters: no position of ORDER BY, no digits of a type.
pub(crate) fn literals(sql: &str) -> Vec<Literal> {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location() else { return Vec::new() };
    let tokens: Vec<TokenWithSpan> =
        tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    // Statements of one line: a column is a character's number.
    let places: Vec<usize> = sql.char_indices().map(|(at, _)| at).chain([sql.len()]).collect();
    let place = |at: usize| {
        let span = tokens[at].span;
        let byte = |column: u64| places.get(usize::try_from(column).unwrap() - 1).copied();
        Some(byte(span.start.column)?..byte(span.end.column)?)
    };
    let mut found = Vec::new();
    let mut context = Context::default();
    for at in 0..tokens.len() {
        let (before, after) = (word(&tokens, at.wrapping_sub(1)), word(&tokens, at + 1));
        let literal = match &tokens[at].token {
            Token::Number(digits, false) if !context.is_position(&tokens, at) && !context.in_modifier() => {
                place(at).map(|place| Literal { place, value: digits.clone(), pg_type: number(digits), named: false })
            }
            Token::SingleQuotedString(value) | Token::EscapedStringLiteral(value)
                if !UNITS.contains(&after.as_str()) && !follows_modifier(&tokens, at) =>
            {
                text(value, &before, at, &place)
            }
            _ => None,
        };
        found.extend(literal);
        context.step(&tokens, at);
    }
    found
}

fn text(value: &str, before: &str, at: usize, place: &dyn Fn(usize) -> Option<Range<usize>>) -> Option<Literal> {
    let own = place(at)?;
    let named = match before {
        "zone" | "precision" | "varying" => return None,
        "integer" | "int" => Some(Type::INT4),
        "boolean" => Some(Type::BOOL),
        name => NAMED.into_iter().find(|known| known.name() == name),
    };
    Some(match named {
        Some(pg_type) => {
            Literal { place: place(at - 1)?.start..own.end, value: value.to_owned(), pg_type, named: true }
        }
        None => Literal { place: own, value: value.to_owned(), pg_type: Type::TEXT, named: false },
    })
}

fn number(digits: &str) -> Type {
    if digits.parse::<i32>().is_ok() {
        Type::INT4
    } else if digits.parse::<i64>().is_ok() {
        Type::INT8
    } else {
        Type::NUMERIC
    }
}

/// An unquoted word in lower case; empty for anything else.
fn word(tokens: &[TokenWithSpan], at: usize) -> String {
    match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
        _ => String::new(),
    }
}

/// `timestamp(3) '…'`: the text belongs to the type.
fn follows_modifier(tokens: &[TokenWithSpan], at: usize) -> bool {
    at > 0 && tokens[at - 1].token == Token::RParen
}

/// Where in a statement a token stands.
#[derive(Default)]
struct Context {
    /// For each open parenthesis, whether it holds a type's digits.
    open: Vec<bool>,
    /// Depths of the lists of ORDER BY and GROUP BY.
    lists: Vec<usize>,
}

impl Context {
    fn in_modifier(&self) -> bool {
        self.open.last().is_some_and(|modifier| *modifier)
    }

    /// `ORDER BY 1, 2`: numbers of columns.
    fn is_position(&self, tokens: &[TokenWithSpan], at: usize) -> bool {
        self.lists.last() == Some(&self.open.len())
            && (word(tokens, at.wrapping_sub(1)) == "by" || tokens[at - 1].token == Token::Comma)
    }

    fn step(&mut self, tokens: &[TokenWithSpan], at: usize) {
        match &tokens[at].token {
            Token::LParen => self.open.push(MODIFIED.contains(&word(tokens, at.wrapping_sub(1)).as_str())),
            Token::RParen => {
                self.open.pop();
                self.lists.retain(|depth| *depth <= self.open.len());
            }
            Token::Word(_) => match word(tokens, at).as_str() {
                "by" => self.lists.push(self.open.len()),
                "limit" | "offset" | "fetch" | "having" | "window" | "union" | "intersect" | "except" | "rows"
                | "range" | "groups" => self.lists.retain(|depth| *depth != self.open.len()),
                _ => {}
            },
            _ => {}
        }
    }
}

/// The statement with `$1`, `$2`, … in the places of some of its literals.
pub(crate) fn with_places(sql: &str, literals: &[Literal], what: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut from = 0;
    for (at, literal) in literals.iter().enumerate() {
        text.push_str(&sql[from..literal.place.start]);
        text.push_str(&literal.replaced_by(&what(at)));
        from = literal.place.end;
    }
    text + &sql[from..]
}

#[test]
fn literals_are_found_where_parameters_may_stand() {
    let places = |sql: &str| with_places(sql, &literals(sql), |at| format!("${}", at + 1));
    for (sql, placed) in [
        ("SELECT 1 + 2.5, 'a''b'", "SELECT $1 + $2, $3"),
        ("SELECT 'ä', 1::numeric(10,2)", "SELECT $1, $2::numeric(10,2)"),
        ("SELECT date '2024-02-29' + 1", "SELECT CAST($1 AS date) + $2"),
        ("SELECT interval '1' year, 'x'", "SELECT interval '1' year, $1"),
        ("SELECT a FROM t ORDER BY 1, a + 1 LIMIT 2", "SELECT a FROM t ORDER BY 1, a + $1 LIMIT $2"),
        ("SELECT sum(1) OVER (ORDER BY 1), 3", "SELECT sum($1) OVER (ORDER BY 1), $2"),
    ] {
        assert_eq!(places(sql), placed);
    }
    assert_eq!(literals("SELECT 2147483648, 'a''b'")[1].value, "a'b");
    assert_eq!(literals("SELECT 2147483648")[0].pg_type, Type::INT8);
}
