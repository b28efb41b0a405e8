//! `COPY … TO STDOUT`, of a table or of a query, with the options of both spellings. Knows no table.

use super::{Forced, Written, options, take_word, words};
use crate::sql::tokens::is_word;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, SelectItem, SetExpr, Statement as Ast, TableFactor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{IsOptional, Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use querygate_query_api::outcome::{CopyFormat, CopyOptions, ForceQuote};
use querygate_query_api::requests::ingest::{CopyHeader, OnError};
use querygate_types::{Error, ErrorCode, Result};

/// Rows for the client.
#[derive(Debug, Clone)]
pub(in crate::sql) struct CopyTo {
    pub(in crate::sql) query: Box<Query>,
    /// Without the columns that are quoted: they are names yet.
    pub(in crate::sql) options: CopyOptions,
    pub(in crate::sql) force_quote: Forced,
}

enum Source {
    Query(Box<Query>),
    Table(ObjectName, Vec<Ident>),
}

/// A statement that begins with COPY, what is read, and TO. `None`: it is another one, of which nothing was taken.
pub(in crate::sql) fn copy_to(parser: &mut Parser<'_>) -> std::result::Result<Option<Result<CopyTo>>, ParserError> {
    if !is_word(&parser.peek_token_ref().token, "copy") {
        return Ok(None);
    }
    let Some((source, binary)) = parser.maybe_parse(head)? else { return Ok(None) };
    // PostgreSQL takes either word for the client's end; PHP writes TO STDIN.
    if !take_word(parser, "stdout") && !take_word(parser, "stdin") {
        return match &parser.peek_token_ref().token {
            Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) => Ok(Some(Err(no_file()))),
            token if is_word(token, "program") => Ok(Some(Err(no_file()))),
            _ => parser.expected_ref("STDOUT", parser.peek_token_ref()),
        };
    }
    let mut written = Written { format: binary.then_some(CopyFormat::Binary), ..Written::default() };
    take_word(parser, "with");
    let read = match parser.consume_token(&Token::LParen) {
        true => options(parser, &mut written)?,
        false => words(parser, &mut written)?,
    };
    Ok(Some(read.and_then(|()| {
        let query = match source {
            Source::Query(query) => query,
            Source::Table(table, columns) => table_query(table, columns)?,
        };
        let (options, force_quote) = finish(written)?;
        Ok(CopyTo { query, options, force_quote })
    })))
}

fn head(parser: &mut Parser<'_>) -> std::result::Result<(Source, bool), ParserError> {
    parser.next_token();
    let binary = take_word(parser, "binary");
    let source = if parser.consume_token(&Token::LParen) {
        let query = parser.parse_query()?;
        parser.expect_token(&Token::RParen)?;
        Source::Query(query)
    } else {
        let table = parser.parse_object_name(false)?;
        Source::Table(table, parser.parse_parenthesized_column_list(IsOptional::Optional, false)?)
    };
    if !take_word(parser, "to") {
        return parser.expected_ref("TO", parser.peek_token_ref());
    }
    Ok((source, binary))
}

fn no_file() -> Error {
    Error::new(ErrorCode::InsufficientPrivilege, "permission denied to COPY to a file or program")
        .with_hint("COPY … TO STDOUT reaches the client; psql's \\copy writes files there.")
}

fn finish(written: Written) -> Result<(CopyOptions, Forced)> {
    let of_rows_that_come = [
        (written.default.is_some(), "DEFAULT"),
        (written.force_not_null.is_some(), "FORCE_NOT_NULL"),
        (written.force_null.is_some(), "FORCE_NULL"),
        (written.on_error == Some(OnError::Ignore), "ON_ERROR"),
    ];
    let marks = written.marks()?;
    if let Some((_, name)) = of_rows_that_come.into_iter().find(|(given, _)| *given) {
        return Err(Error::new(ErrorCode::FeatureNotSupported, format!("COPY {name} cannot be used with COPY TO")));
    }
    let header = match written.header {
        None | Some(CopyHeader::Absent) => false,
        Some(CopyHeader::Skip) => true,
        Some(CopyHeader::Match) => {
            let text = "cannot use \"match\" with HEADER in COPY TO";
            return Err(Error::new(ErrorCode::FeatureNotSupported, text));
        }
    };
    let force_quote = written.force_quote.unwrap_or(Forced::These(Vec::new()));
    let options = CopyOptions {
        format: marks.format,
        header,
        delimiter: marks.delimiter,
        null: marks.null,
        quote: marks.quote,
        escape: marks.escape,
        force_quote: ForceQuote::These(Vec::new()),
    };
    Ok((options, force_quote))
}

/// `COPY t (a, b)` reads what `SELECT a, b FROM t` reads; built as a tree, not as text.
pub(crate) fn table_query(table: ObjectName, columns: Vec<Ident>) -> Result<Box<Query>> {
    let Ok(mut statements) = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT * FROM t") else {
        return Err(Error::internal("the COPY skeleton does not parse"));
    };
    let Some(Ast::Query(mut query)) = statements.pop() else {
        return Err(Error::internal("the COPY skeleton is no query"));
    };
    if let SetExpr::Select(select) = query.body.as_mut() {
        if let Some(from) = select.from.first_mut()
            && let TableFactor::Table { name, .. } = &mut from.relation
        {
            *name = table;
        }
        if !columns.is_empty() {
            let item = |column| SelectItem::UnnamedExpr(Expr::Identifier(column));
            select.projection = columns.into_iter().map(item).collect();
        }
    }
    Ok(query)
}

/// The columns that are quoted, as places among those of the rows.
///
/// # Errors
/// 42703: a name that no column has.
pub(crate) fn quoted(force_quote: &Forced, names: &[&str]) -> Result<ForceQuote> {
    let columns = match force_quote {
        Forced::All => return Ok(ForceQuote::All),
        Forced::These(columns) => columns,
    };
    let place = |column: &Ident| {
        let wanted = match column.quote_style {
            Some(_) => column.value.clone(),
            None => column.value.to_lowercase(),
        };
        let missing = || Error::new(ErrorCode::UndefinedColumn, format!("column \"{wanted}\" does not exist"));
        names.iter().position(|name| *name == wanted).ok_or_else(missing)
    };
    columns.iter().map(place).collect::<Result<Vec<usize>>>().map(ForceQuote::These)
}
