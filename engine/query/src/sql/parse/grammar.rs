//! The grammar that texts are read by: the parser's of Postgres, but for what makes reading take time without bound.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use std::any::TypeId;

/// Postgres's grammar, where the name of an argument is a name.
///
/// The parser's own lets it be any expression, for `json_object(key: value)`, and reads each argument as such a name
/// first and then once more as a value: calls within calls double the time with each level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grammar;

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

    as_postgres! {
        identifier_quote_style(identifier: &str) -> Option<char>,
        is_delimited_identifier_start(ch: char) -> bool,
        is_identifier_start(ch: char) -> bool,
        is_identifier_part(ch: char) -> bool,
        is_reserved_for_identifier(keyword: Keyword) -> bool,
        is_custom_operator_part(ch: char) -> bool,
        get_next_precedence(parser: &Parser) -> Option<Result<u8, ParserError>>,
        parse_prefix(parser: &mut Parser) -> Option<Result<Expr, ParserError>>,
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
            assert_eq!(tree(&Grammar), tree(&POSTGRES), "{sql}");
        }
    }

    #[test]
    fn calls_within_calls_are_read_once() {
        let deep = (0..40).fold("name".to_owned(), |inner, _| format!("coalesce({inner}, upper('x'))"));
        assert_eq!(parse(&format!("SELECT {deep} FROM t")).unwrap().len(), 1);
    }
}
