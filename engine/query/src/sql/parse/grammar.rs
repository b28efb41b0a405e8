//! The grammar that texts are read by: the parser's of Postgres, but for what makes reading take time without bound, and with COLLATE
//! behind any expression and an expression behind ESCAPE.

use crate::sql::walk::{ON, Reader, Step, look};
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, Value,
};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use std::any::TypeId;
use std::cell::Cell;

/// Postgres's grammar, where the name of an argument is a name.
///
/// The parser's own lets it be any expression, for `json_object(key: value)`, and reads each argument as such a name
/// first and then once more as a value: calls within calls double the time with each level. Other forms are read twice, too, where their
/// first reading fails (`position(a)`, `overlay(a, b, 1)`): so expressions are read a bounded number of times.
///
/// And it reads COLLATE behind a column or a parenthesis only, not behind a cast: there it asks for the dialect's own reading. Behind ESCAPE
/// it reads one value, and takes what follows for what is done with the comparison.
///
/// Needed with sqlparser 0.62: at each upgrade the list below is compared with what its `PostgreSqlDialect` answers.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// How often an expression may still be begun to be read.
    left: Cell<usize>,
}

/// Readings of expressions for each word or sign of a text, and those that any text has.
const READINGS_PER_TOKEN: usize = 64;
const READINGS_LEAST: usize = 10_000;

impl Grammar {
    /// The grammar of a text with this number of words and signs.
    pub(crate) fn of(tokens: usize) -> Self {
        Self { left: Cell::new(tokens.saturating_mul(READINGS_PER_TOKEN).saturating_add(READINGS_LEAST)) }
    }

    /// Why a reading failed: once no expression may be begun any more, that is why, whatever the parser tried last.
    pub(crate) fn cause(&self, error: ParserError) -> ParserError {
        if self.left.get() == 0 { ParserError::RecursionLimitExceeded } else { error }
    }

    /// Counts a copy of an expression as reading each of its parts.
    ///
    /// # Errors
    /// No expression may be read any more.
    fn copied(&self, expr: &Expr) -> Result<Expr, ParserError> {
        let mut size = Size(0);
        look(expr, &mut size);
        let left = self.left.get().saturating_sub(size.0);
        self.left.set(left);
        if left == 0 { Err(ParserError::RecursionLimitExceeded) } else { Ok(expr.clone()) }
    }

    /// A comparison with a pattern of which ESCAPE's value goes on with an operator that binds more tightly than LIKE.
    fn with_escape(&self, parser: &mut Parser, compared: &Expr) -> Result<Expr, ParserError> {
        let mut compared = self.copied(compared)?;
        let (Expr::Like { pattern, escape_char, .. }
        | Expr::ILike { pattern, escape_char, .. }
        | Expr::SimilarTo { pattern, escape_char, .. }) = &mut compared
        else {
            return Ok(compared);
        };
        let Some(first) = escape_char.take() else { return Ok(compared) };
        let like = self.prec_value(Precedence::Like);
        let mut escape = Expr::Value(first);
        loop {
            let next = parser.get_next_precedence()?;
            if next <= like {
                break;
            }
            escape = parser.parse_infix(escape, next)?;
        }
        // With a text in quotes the pattern is known when the statement is planned, and a text it is without the cast.
        let quoted = match &escape {
            Expr::Cast { expr, data_type: DataType::Text, .. } => match expr.as_ref() {
                Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)) => Some(value.clone()),
                _ => None,
            },
            _ => None,
        };
        match quoted {
            Some(text) => *escape_char = Some(text),
            None => **pattern = like_escape((**pattern).clone(), escape),
        }
        Ok(compared)
    }
}

/// Whether an expression is a comparison with a pattern that has an ESCAPE.
const fn has_escape(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Like { escape_char: Some(_), .. }
            | Expr::ILike { escape_char: Some(_), .. }
            | Expr::SimilarTo { escape_char: Some(_), .. }
    )
}

/// `like_escape(pattern, escape)`: the pattern as one that is read without ESCAPE.
fn like_escape(pattern: Expr, escape: Expr) -> Expr {
    let args = [pattern, escape].map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))).into();
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::new("like_escape"))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Of how many expressions one is made.
struct Size(usize);

impl Reader for Size {
    fn expr(&mut self, _: &Expr) -> Step {
        self.0 += 1;
        ON
    }
}

/// What PostgreSQL knows of one of the parser's words.
fn known(word: Keyword) -> Option<querygate_pg_catalog::Keyword> {
    querygate_pg_catalog::keyword(&format!("{word:?}").to_ascii_lowercase())
}

const POSTGRES: PostgreSqlDialect = PostgreSqlDialect {};

/// What the parser's own Postgres answers.
macro_rules! as_postgres {
    ($($question:ident($($name:ident: $argument:ty),*) -> $answer:ty,)*) => {
        $(fn $question(&self, $($name: $argument),*) -> $answer {
            POSTGRES.$question($($name),*)
        })*
    };
}

impl Dialect for Grammar {
    /// Where the parser asks for the dialect itself, it is Postgres.
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    /// By PostgreSQL's own table of words: the parser's list is one for all dialects.
    fn is_column_alias(&self, word: &Keyword, _: &mut Parser) -> bool {
        known(*word).is_none_or(|known| known.is_bare_label)
    }

    /// As that. Behind a table SET begins what an UPDATE sets.
    fn is_table_alias(&self, word: &Keyword, _: &mut Parser) -> bool {
        *word != Keyword::SET && known(*word).is_none_or(|known| known.is_column_name)
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let Some(left) = self.left.get().checked_sub(1) else {
            // No other reading is tried after this one.
            return Some(Err(ParserError::RecursionLimitExceeded));
        };
        self.left.set(left);
        POSTGRES.parse_prefix(parser)
    }

    /// What goes on with ESCAPE's value, and COLLATE behind what is no single operand. What stands before either is copied, which counts as
    /// reading each of its parts: a chain of casts and collations behind a long expression would copy it with each.
    fn parse_infix(&self, parser: &mut Parser, expr: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        // A comparison in parentheses is no comparison here.
        if has_escape(expr) && precedence > self.prec_value(Precedence::Like) {
            return Some(self.with_escape(parser, expr));
        }
        if !parser.parse_keyword(Keyword::COLLATE) {
            return None;
        }
        let collated = self.copied(expr).and_then(|expr| {
            let collation = parser.parse_object_name(false)?;
            Ok(Expr::Collate { expr: Box::new(expr), collation })
        });
        Some(collated)
    }

    as_postgres! {
        identifier_quote_style(identifier: &str) -> Option<char>,
        is_delimited_identifier_start(ch: char) -> bool,
        is_identifier_start(ch: char) -> bool,
        is_identifier_part(ch: char) -> bool,
        is_reserved_for_identifier(keyword: Keyword) -> bool,
        is_custom_operator_part(ch: char) -> bool,
        get_next_precedence(parser: &Parser) -> Option<Result<u8, ParserError>>,
        prec_value(precedence: Precedence) -> u8,
        allow_extract_custom() -> bool,
        allow_extract_single_quotes() -> bool,
        supports_alter_column_type_using() -> bool,
        supports_array_typedef_with_brackets() -> bool,
        supports_bitwise_shift_operators() -> bool,
        supports_comma_separated_trim() -> bool,
        supports_comment_on() -> bool,
        supports_comment_optimizer_hint() -> bool,
        supports_create_index_with_clause() -> bool,
        supports_create_table_like_parenthesized() -> bool,
        supports_empty_projections() -> bool,
        supports_explain_with_utility_options() -> bool,
        supports_factorial_operator() -> bool,
        supports_filter_during_aggregation() -> bool,
        supports_geometric_types() -> bool,
        supports_group_by_expr() -> bool,
        supports_insert_table_alias() -> bool,
        supports_interval_options() -> bool,
        supports_listen_notify() -> bool,
        supports_load_extension() -> bool,
        supports_named_fn_args_with_colon_operator() -> bool,
        supports_nested_comments() -> bool,
        supports_notnull_operator() -> bool,
        supports_numeric_literal_underscores() -> bool,
        supports_select_wildcard_with_alias() -> bool,
        supports_set_names() -> bool,
        supports_string_escape_constant() -> bool,
        supports_unicode_string_literal() -> bool,
        supports_xml_expressions() -> bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse;
    use querygate_types::ErrorCode;

    /// Statements of all kinds that the product's own texts hold are read into the same trees by both.
    #[test]
    fn it_reads_what_the_parsers_own_reads() {
        for sql in [
            "SELECT a::text[], b->>'x', c # 2, !!3, 5!, 1 << 2, x'1f', E'\\n', U&'\\0041', 1_000 FROM \"T\" AS t (a, b)",
            "SELECT count(*) FILTER (WHERE a NOTNULL), f(a, 'b'), extract('epoch' FROM d) FROM t GROUP BY a, (b)",
            "SELECT interval '1' year, interval '3 days', a AT TIME ZONE 'UTC', a COLLATE \"C\", a || b, a ^ b, -a ^ 2",
            "SELECT /* a /* b */ c */ FROM t",
            "SELECT t.* FROM t WHERE a ~* 'x' AND NOT b IS NULL OR c BETWEEN 1 AND 2 AND d",
            "INSERT INTO t AS x (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.a RETURNING *",
            "EXPLAIN (ANALYZE, FORMAT TEXT) SELECT point '(1,2)'",
            "SET NAMES 'UTF8'",
            "LISTEN a",
            "DECLARE c CURSOR FOR SELECT 1",
        ] {
            let tree = |dialect: &dyn Dialect| Parser::parse_sql(dialect, sql).unwrap();
            assert_eq!(tree(&Grammar::of(100)), tree(&POSTGRES), "{sql}");
        }
    }

    /// A word stands for a name where PostgreSQL lets it, and nowhere else.
    #[test]
    fn words_are_aliases_where_postgres_takes_them() {
        let read = |sql: &str| Parser::parse_sql(&Grammar::of(100), sql).map(|tree| tree[0].to_string());
        for (sql, expected) in [
            ("SELECT a.x view FROM t a", "SELECT a.x AS view FROM t a"),
            ("SELECT view.x FROM t view", "SELECT view.x FROM t view"),
            ("SELECT 1 cluster, 2 sort, 3 explain", "SELECT 1 AS cluster, 2 AS sort, 3 AS explain"),
            ("SELECT * FROM t sample, u qualify", "SELECT * FROM t sample, u qualify"),
            ("SELECT * FROM t left JOIN u ON true", "SELECT * FROM t LEFT JOIN u ON true"),
            ("UPDATE t SET a = 1", "UPDATE t SET a = 1"),
            ("DELETE FROM t USING u WHERE true RETURNING a", "DELETE FROM t USING u WHERE true RETURNING a"),
            ("SELECT a FROM t WINDOW w AS (ORDER BY a)", "SELECT a FROM t WINDOW w AS (ORDER BY a)"),
            ("SELECT a INTO u FROM t", "SELECT a INTO u FROM t"),
            ("SELECT a FROM t FETCH FIRST 1 ROWS ONLY", "SELECT a FROM t FETCH FIRST 1 ROWS ONLY"),
            ("SELECT a FROM t TABLESAMPLE bernoulli (1)", "SELECT a FROM t TABLESAMPLE BERNOULLI (1)"),
            ("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1)"),
        ] {
            assert_eq!(read(sql).unwrap_or_else(|error| panic!("{sql}: {error}")), expected);
        }
        for sql in ["SELECT 1 year", "SELECT 1 over", "SELECT * FROM t user"] {
            assert!(read(sql).is_err(), "{sql}");
        }
    }

    /// Behind a cast, too, where the parser's own has none, and binding as tightly as behind a column.
    #[test]
    fn collations_stand_behind_any_expression() {
        let read = |sql: &str| Parser::parse_sql(&Grammar::of(100), sql).unwrap()[0].to_string();
        for (sql, expected) in [
            ("SELECT a::text COLLATE \"C\"", "SELECT a::TEXT COLLATE \"C\""),
            ("SELECT a || b::text COLLATE \"C\" < c", "SELECT a || b::TEXT COLLATE \"C\" < c"),
            ("SELECT f(a)[1] COLLATE \"C\" COLLATE \"POSIX\"", "SELECT f(a)[1] COLLATE \"C\" COLLATE \"POSIX\""),
            ("SELECT 1 ORDER BY a::int COLLATE pg_catalog.c", "SELECT 1 ORDER BY a::INT COLLATE pg_catalog.c"),
        ] {
            assert_eq!(read(sql), expected);
        }
        let grammar = Grammar::of(100);
        let joined = Parser::new(&grammar).try_with_sql("a || b::text COLLATE \"C\"").unwrap().parse_expr().unwrap();
        assert!(matches!(&joined, Expr::BinaryOp { right, .. } if matches!(**right, Expr::Collate { .. })), "{joined}");
        let long = format!("SELECT f({}a){}", "a, ".repeat(5_000), "::text COLLATE \"C\"".repeat(400));
        let refused = Parser::parse_sql(&Grammar::of(12_000), &long).unwrap_err();
        assert!(matches!(refused, ParserError::RecursionLimitExceeded), "{refused}");
    }

    /// As far as operators bind more tightly than LIKE.
    #[test]
    fn an_expression_stands_behind_escape() {
        let read = |sql: &str| {
            let grammar = Grammar::of(100);
            let expr = Parser::new(&grammar).try_with_sql(sql).unwrap().parse_expr().unwrap();
            expr.to_string()
        };
        for (sql, expected) in [
            ("a LIKE b ESCAPE '#'", "a LIKE b ESCAPE '#'"),
            ("a LIKE b ESCAPE '#'::text", "a LIKE b ESCAPE '#'"),
            ("a NOT ILIKE b ESCAPE '#' || '' AND c", "a NOT ILIKE like_escape(b, '#' || '') AND c"),
            ("a SIMILAR TO b ESCAPE '#'::varchar(1) = c", "a SIMILAR TO like_escape(b, '#'::VARCHAR(1)) = c"),
            ("NOT a LIKE b ESCAPE $1::text || '' IS NULL", "NOT a LIKE like_escape(b, $1::TEXT || '') IS NULL"),
            ("a LIKE b ESCAPE '#' COLLATE \"C\" OR c", "a LIKE like_escape(b, '#' COLLATE \"C\") OR c"),
            ("(a LIKE b ESCAPE '#')::text", "(a LIKE b ESCAPE '#')::TEXT"),
            ("a LIKE b ESCAPE '#' IN (c)", "a LIKE b ESCAPE '#' IN (c)"),
        ] {
            assert_eq!(read(sql), expected);
        }
    }

    fn nested(inner: &str, levels: usize) -> String {
        format!("SELECT {} FROM t", (0..levels).fold("name".to_owned(), |deep, _| inner.replace("{}", &deep)))
    }

    #[test]
    fn calls_within_calls_are_read_once() {
        assert_eq!(parse(&nested("coalesce({}, upper('x'))", 40)).unwrap().len(), 1);
        assert_eq!(parse(&nested("overlay({}, 'a', 1)", 8)).unwrap().len(), 1);
    }

    #[test]
    fn what_is_read_again_and_again_is_refused() {
        for inner in ["position({})", "overlay({}, 'a', 1)", "convert({}, 'a', 'b')"] {
            let refused = parse(&nested(inner, 30)).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::StatementTooComplex, "{inner}");
        }
        let deep =
            (0..30).fold("SELECT * FROM t".to_owned(), |deep, _| format!("SELECT * FROM (({deep}) a CROSS JOIN t)"));
        assert_eq!(parse(&deep).unwrap_err().code(), ErrorCode::StatementTooComplex);
        let few =
            (0..6).fold("SELECT * FROM t".to_owned(), |deep, _| format!("SELECT * FROM (({deep}) a CROSS JOIN t)"));
        assert!(parse(&few).is_ok() && parse(&format!("SELECT {}1{}", "(".repeat(60), ")".repeat(60))).is_ok());
    }
}
