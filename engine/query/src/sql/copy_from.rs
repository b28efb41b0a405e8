//! `COPY … FROM STDIN`, which the library reads only with its data behind it in the same text: the statement and its options, in
//! PostgreSQL's newer and older spelling. Knows no table.

mod to_client;

pub(crate) use to_client::quoted;
pub(crate) use to_client::table_query;
pub(super) use to_client::{CopyTo, copy_to};

use crate::sql::classify::is_utf8;
use crate::sql::tokens::is_word;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use datafusion::sql::sqlparser::parser::{IsOptional, Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use querygate_query_api::outcome::CopyFormat;
use querygate_query_api::requests::ingest::{CopyHeader, CopyInOptions, LogVerbosity, OnError};
use querygate_types::{Error, ErrorCode, Result};
use std::fmt;

/// Rows for a table that come from the client.
#[derive(Debug, Clone)]
pub(crate) struct CopyFrom {
    pub(crate) table: ObjectName,
    /// Empty: all that take values.
    pub(crate) columns: Vec<Ident>,
    pub(crate) options: CopyInOptions,
    pub(crate) force_not_null: Forced,
    pub(crate) force_null: Forced,
}

/// Columns that an option is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Forced {
    All,
    These(Vec<Ident>),
}

impl CopyFrom {
    /// Rows that no text describes.
    pub(crate) fn new(table: ObjectName, columns: Vec<Ident>) -> Self {
        let none = || Forced::These(Vec::new());
        let options = CopyInOptions {
            format: CopyFormat::Binary,
            header: CopyHeader::Absent,
            delimiter: b'\t',
            null: String::new(),
            default: None,
            quote: b'"',
            escape: b'"',
            on_error: OnError::Stop,
            log_verbosity: LogVerbosity::Default,
        };
        Self { table, columns, options, force_not_null: none(), force_null: none() }
    }
}

/// As records show it.
impl fmt::Display for CopyFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "COPY {}", self.table)?;
        for (at, column) in self.columns.iter().enumerate() {
            write!(f, "{}{column}", if at == 0 { " (" } else { ", " })?;
        }
        f.write_str(if self.columns.is_empty() { " FROM STDIN" } else { ") FROM STDIN" })
    }
}

/// A statement that begins with COPY, a table and FROM. `None`: it is another one, of which nothing was taken.
pub(super) fn copy_from(parser: &mut Parser<'_>) -> std::result::Result<Option<Result<CopyFrom>>, ParserError> {
    if !is_word(&parser.peek_token_ref().token, "copy") {
        return Ok(None);
    }
    let Some((table, columns, binary)) = parser.maybe_parse(head)? else { return Ok(None) };
    // PostgreSQL takes either word for the client's end.
    if !take_word(parser, "stdin") && !take_word(parser, "stdout") {
        return match &parser.peek_token_ref().token {
            Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) => Ok(Some(Err(no_file()))),
            token if is_word(token, "program") => Ok(Some(Err(no_file()))),
            _ => parser.expected_ref("STDIN", parser.peek_token_ref()),
        };
    }
    let mut written = Written { format: binary.then_some(CopyFormat::Binary), ..Written::default() };
    take_word(parser, "with");
    let read = match parser.consume_token(&Token::LParen) {
        true => options(parser, &mut written)?,
        false => words(parser, &mut written)?,
    };
    if is_word(&parser.peek_token_ref().token, "where") {
        return Ok(Some(Err(unsupported("COPY FROM with WHERE"))));
    }
    Ok(Some(read.and_then(|()| written.finish(table, columns))))
}

type Head = (ObjectName, Vec<Ident>, bool);

fn head(parser: &mut Parser<'_>) -> std::result::Result<Head, ParserError> {
    parser.next_token();
    let binary = take_word(parser, "binary");
    let table = parser.parse_object_name(false)?;
    let columns = parser.parse_parenthesized_column_list(IsOptional::Optional, false)?;
    if !take_word(parser, "from") {
        return parser.expected_ref("FROM", parser.peek_token_ref());
    }
    Ok((table, columns, binary))
}

fn no_file() -> Error {
    unsupported("COPY FROM a file or program")
        .with_hint("COPY … FROM STDIN takes the client's rows; psql's \\copy reads files there.")
}

/// Options as they are written; `None`: not at all.
#[derive(Debug, Default)]
struct Written {
    format: Option<CopyFormat>,
    header: Option<CopyHeader>,
    delimiter: Option<String>,
    null: Option<String>,
    default: Option<String>,
    quote: Option<String>,
    escape: Option<String>,
    force_not_null: Option<Forced>,
    force_null: Option<Forced>,
    force_quote: Option<Forced>,
    on_error: Option<OnError>,
    log_verbosity: Option<LogVerbosity>,
}

/// `name [value], …)`.
fn options(parser: &mut Parser<'_>, written: &mut Written) -> std::result::Result<Result<()>, ParserError> {
    let mut known: Vec<String> = Vec::new();
    loop {
        let name = parser.parse_identifier()?.value.to_lowercase();
        if known.contains(&name) {
            return Ok(Err(conflicting()));
        }
        let read = match name.as_str() {
            "force_not_null" => forced(parser)?.map(|columns| written.force_not_null = Some(columns)),
            "force_null" => forced(parser)?.map(|columns| written.force_null = Some(columns)),
            "force_quote" => forced(parser)?.map(|columns| written.force_quote = Some(columns)),
            _ => {
                let value = value(parser);
                option(&name, value.as_deref(), written)
            }
        };
        if read.is_err() {
            return Ok(read);
        }
        known.push(name);
        if parser.consume_token(&Token::Comma) {
            continue;
        }
        parser.expect_token(&Token::RParen)?;
        return Ok(Ok(()));
    }
}

/// One word, text or number.
fn value(parser: &mut Parser<'_>) -> Option<String> {
    let value = match &parser.peek_token_ref().token {
        Token::Word(word) => word.value.clone(),
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text.clone(),
        Token::Number(digits, _) => digits.clone(),
        _ => return None,
    };
    parser.next_token();
    Some(value)
}

fn option(name: &str, value: Option<&str>, written: &mut Written) -> Result<()> {
    let required = || value.ok_or_else(|| syntax(format!("{name} requires a parameter")));
    match name {
        "format" => written.format = Some(format(required()?)?),
        "header" => {
            written.header = Some(match value {
                Some(text) if text.eq_ignore_ascii_case("match") => CopyHeader::Match,
                other => {
                    if flag(name, other)? {
                        CopyHeader::Skip
                    } else {
                        CopyHeader::Absent
                    }
                }
            });
        }
        "delimiter" => written.delimiter = Some(required()?.to_owned()),
        "null" => written.null = Some(required()?.to_owned()),
        "default" => written.default = Some(required()?.to_owned()),
        "quote" => written.quote = Some(required()?.to_owned()),
        "escape" => written.escape = Some(required()?.to_owned()),
        "encoding" => encoding(required()?)?,
        "freeze" => {
            if flag(name, value)? {
                return Err(unsupported("COPY option FREEZE"));
            }
        }
        "on_error" => {
            let value = required()?;
            written.on_error = Some(match value.to_lowercase().as_str() {
                "stop" => OnError::Stop,
                "ignore" => OnError::Ignore,
                _ => return Err(invalid(format!("COPY ON_ERROR \"{value}\" not recognized"))),
            });
        }
        "log_verbosity" => {
            let value = required()?;
            written.log_verbosity = Some(match value.to_lowercase().as_str() {
                "silent" => LogVerbosity::Silent,
                "default" => LogVerbosity::Default,
                "verbose" => LogVerbosity::Verbose,
                _ => return Err(invalid(format!("COPY LOG_VERBOSITY \"{value}\" not recognized"))),
            });
        }
        other => return Err(syntax(format!("option \"{other}\" not recognized"))),
    }
    Ok(())
}

fn format(value: &str) -> Result<CopyFormat> {
    match value {
        "text" => Ok(CopyFormat::Text),
        "csv" => Ok(CopyFormat::Csv),
        "binary" => Ok(CopyFormat::Binary),
        other if other.chars().any(char::is_uppercase) => format(&other.to_lowercase()),
        other => Err(invalid(format!("COPY format \"{other}\" not recognized"))),
    }
}

fn flag(name: &str, value: Option<&str>) -> Result<bool> {
    match value.map(str::to_lowercase).as_deref() {
        None | Some("true" | "on" | "1") => Ok(true),
        Some("false" | "off" | "0") => Ok(false),
        Some(_) => Err(syntax(format!("{name} requires a Boolean value"))),
    }
}

fn encoding(name: &str) -> Result<()> {
    if is_utf8(name) { Ok(()) } else { Err(unsupported("a COPY encoding other than UTF8")) }
}

/// `*` or names in parentheses.
fn forced(parser: &mut Parser<'_>) -> std::result::Result<Result<Forced>, ParserError> {
    if parser.consume_token(&Token::Mul) {
        return Ok(Ok(Forced::All));
    }
    let columns = parser.parse_parenthesized_column_list(IsOptional::Mandatory, false)?;
    Ok(Ok(Forced::These(columns)))
}

/// The older spelling: words behind each other.
fn words(parser: &mut Parser<'_>, written: &mut Written) -> std::result::Result<Result<()>, ParserError> {
    loop {
        let Token::Word(word) = &parser.peek_token_ref().token else { return Ok(Ok(())) };
        let word = word.value.to_lowercase();
        let twice = match word.as_str() {
            "binary" => written.format.replace(CopyFormat::Binary).is_some(),
            "csv" => written.format.replace(CopyFormat::Csv).is_some(),
            "header" => written.header.replace(CopyHeader::Skip).is_some(),
            "delimiter" | "delimiters" | "null" | "quote" | "escape" | "encoding" => {
                parser.next_token();
                take_word(parser, "as");
                let text = parser.parse_literal_string()?;
                match word.as_str() {
                    "null" => written.null.replace(text).is_some(),
                    "quote" => written.quote.replace(text).is_some(),
                    "escape" => written.escape.replace(text).is_some(),
                    "encoding" => {
                        if let Err(refusal) = encoding(&text) {
                            return Ok(Err(refusal));
                        }
                        continue;
                    }
                    _ => written.delimiter.replace(text).is_some(),
                }
            }
            "force" => {
                parser.next_token();
                let place = if take_word(parser, "quote") {
                    &mut written.force_quote
                } else {
                    let is_not = take_word(parser, "not");
                    if !take_word(parser, "null") {
                        return parser.expected_ref("NULL", parser.peek_token_ref());
                    }
                    if is_not { &mut written.force_not_null } else { &mut written.force_null }
                };
                let columns = match parser.consume_token(&Token::Mul) {
                    true => Forced::All,
                    false => Forced::These(parser.parse_comma_separated(Parser::parse_identifier)?),
                };
                place.replace(columns).is_some()
            }
            "freeze" => return Ok(Err(unsupported("COPY option FREEZE"))),
            _ => return Ok(Ok(())),
        };
        if twice {
            return Ok(Err(conflicting()));
        }
        if matches!(word.as_str(), "binary" | "csv" | "header") {
            parser.next_token();
        }
    }
}

/// How lines look, with what is not written filled in.
struct Marks {
    format: CopyFormat,
    delimiter: u8,
    null: String,
    quote: u8,
    escape: u8,
}

impl Written {
    fn finish(self, table: ObjectName, columns: Vec<Ident>) -> Result<CopyFrom> {
        let Marks { format, delimiter, null, quote, escape } = self.marks()?;
        if self.force_quote.is_some() {
            let text = "COPY FORCE_QUOTE cannot be used with COPY FROM";
            return Err(Error::new(ErrorCode::FeatureNotSupported, text));
        }
        let options = CopyInOptions {
            format,
            header: self.header.unwrap_or(CopyHeader::Absent),
            delimiter,
            null,
            default: self.default,
            quote,
            escape,
            on_error: self.on_error.unwrap_or(OnError::Stop),
            log_verbosity: self.log_verbosity.unwrap_or(LogVerbosity::Default),
        };
        let forced = |columns: Option<Forced>| columns.unwrap_or(Forced::These(Vec::new()));
        let (force_not_null, force_null) = (forced(self.force_not_null), forced(self.force_null));
        Ok(CopyFrom { table, columns, options, force_not_null, force_null })
    }

    fn marks(&self) -> Result<Marks> {
        let format = self.format.unwrap_or(CopyFormat::Text);
        self.refuse_of_other_formats(format)?;
        let csv = format == CopyFormat::Csv;
        let delimiter = one_byte("delimiter", self.delimiter.as_deref(), if csv { b',' } else { b'\t' })?;
        let null = self.null.clone().unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() });
        let quote = one_byte("quote", self.quote.as_deref(), b'"')?;
        let escape = one_byte("escape", self.escape.as_deref(), quote)?;
        if matches!(delimiter, b'\n' | b'\r') {
            return Err(invalid("COPY delimiter cannot be newline or carriage return"));
        }
        if null.contains(['\n', '\r']) {
            return Err(invalid("COPY null representation cannot use newline or carriage return"));
        }
        let is_escape =
            matches!(delimiter, b'\\' | b'.') || delimiter.is_ascii_lowercase() || delimiter.is_ascii_digit();
        if !csv && is_escape {
            return Err(invalid(format!("COPY delimiter cannot be \"{}\"", char::from(delimiter))));
        }
        if csv && delimiter == quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        if null.as_bytes().contains(&delimiter) {
            return Err(invalid("COPY delimiter character must not appear in the NULL specification"));
        }
        if csv && null.as_bytes().contains(&quote) {
            return Err(invalid("CSV quote character must not appear in the NULL specification"));
        }
        if let Some(default) = &self.default {
            refuse_default(default, &null, delimiter, csv.then_some(quote))?;
        }
        Ok(Marks { format, delimiter, null, quote, escape })
    }

    fn refuse_of_other_formats(&self, format: CopyFormat) -> Result<()> {
        let of_csv = [
            (self.quote.is_some(), "QUOTE"),
            (self.escape.is_some(), "ESCAPE"),
            (self.force_not_null.is_some(), "FORCE_NOT_NULL"),
            (self.force_null.is_some(), "FORCE_NULL"),
            (self.force_quote.is_some(), "FORCE_QUOTE"),
        ];
        let of_lines = [
            (self.delimiter.is_some(), "DELIMITER"),
            (self.null.is_some(), "NULL"),
            (self.default.is_some(), "DEFAULT"),
            (self.header.is_some_and(|header| header != CopyHeader::Absent), "HEADER"),
        ];
        let named = |options: &[(bool, &'static str)]| options.iter().find(|(given, _)| *given).map(|(_, name)| *name);
        match format {
            CopyFormat::Csv => {}
            CopyFormat::Text | CopyFormat::Binary => {
                if let Some(name) = named(&of_csv) {
                    let text = format!("COPY {name} requires CSV mode");
                    return Err(Error::new(ErrorCode::FeatureNotSupported, text));
                }
            }
        }
        if format == CopyFormat::Binary {
            if let Some(name) = named(&of_lines) {
                return Err(syntax(format!("cannot specify {name} in BINARY mode")));
            }
            if self.on_error == Some(OnError::Ignore) {
                return Err(syntax("only ON_ERROR STOP is allowed in BINARY mode"));
            }
        }
        Ok(())
    }
}

/// A word for defaults must be one that is nothing else.
fn refuse_default(default: &str, null: &str, delimiter: u8, quote: Option<u8>) -> Result<()> {
    if default.contains(['\n', '\r']) {
        return Err(invalid("COPY default representation cannot use newline or carriage return"));
    }
    if default.as_bytes().contains(&delimiter) {
        return Err(invalid("COPY delimiter character must not appear in the DEFAULT specification"));
    }
    if quote.is_some_and(|quote| default.as_bytes().contains(&quote)) {
        return Err(invalid("CSV quote character must not appear in the DEFAULT specification"));
    }
    if default == null {
        return Err(invalid("NULL specification and DEFAULT specification cannot be the same"));
    }
    Ok(())
}

fn one_byte(name: &str, written: Option<&str>, default: u8) -> Result<u8> {
    match written.map(str::as_bytes) {
        None => Ok(default),
        Some([byte]) => Ok(*byte),
        Some(_) => {
            let text = format!("COPY {name} must be a single one-byte character");
            Err(Error::new(ErrorCode::FeatureNotSupported, text))
        }
    }
}

fn take_word(parser: &mut Parser<'_>, word: &str) -> bool {
    let found = is_word(&parser.peek_token_ref().token, word);
    if found {
        parser.next_token();
    }
    found
}

fn conflicting() -> Error {
    syntax("conflicting or redundant options")
}

fn syntax(text: impl Into<String>) -> Error {
    Error::new(ErrorCode::SyntaxError, text)
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidParameterValue, text)
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, format!("{what} is not supported"))
}

#[cfg(test)]
mod tests;
