//! Cuts a text into statements. Knows SQL's grammar and its bounds, no names and no types.

pub(super) mod grammar;
pub(crate) mod json_members;
mod syntax_error;

use crate::errors::{Stage, translate};
use crate::sql::asking::Asking;
use crate::sql::classify::{Classified, classify, refuse_current_of, refused_words};
use crate::sql::clauses;
use crate::sql::copy_from::{CopyFrom, CopyTo, copy_from, copy_to};
use crate::sql::distinct_from::delimited;
use crate::sql::foreign::{as_names, refuse_foreign};
use crate::sql::name_length::{self, CutName};
use crate::sql::not_exists::apart;
use crate::sql::refuse::refuse_later;
use crate::sql::reserved_names::refuse_reserved;
use crate::sql::resets::reset_of_words;
use crate::sql::template::{Template, template};
use crate::sql::tokens::{character, is_word, position, tokens};
use crate::sql::weight::{refuse_heavy, refuse_long_lists};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::sql::sqlparser::ast::{DescribeAlias, Statement as Ast};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use grammar::Grammar;
use json_members::respell_json_members;
use querygate_query_api::requests::question::Question;
use querygate_query_api::service::Statement;
use querygate_telemetry_api::trace::{StageTime, StatementTrace, TraceContext};
use querygate_types::{Error, ErrorCode, Result, limits};
use serde_json::Value;
use std::any::Any;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use syntax_error::syntax_error;

/// A statement that the grammar and the closed list of classes admit. Only [`parse`] makes one.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    text: Arc<str>,
    class: Classified,
    template: OnceLock<Arc<Template>>,
    /// What text and tree take of memory, estimated.
    bytes: usize,
    /// The charge for them, kept as long as anybody has the statement or one that it carries.
    charge: OnceLock<Arc<MemoryReservation>>,
    /// Empty where tracing is off.
    trace: OnceLock<Arc<ParsedTrace>>,
}

/// What traces say of a statement's text and of what went before its first run.
#[derive(Debug)]
struct ParsedTrace {
    /// Of the text's comments.
    parent: Option<TraceContext>,
    stages: Mutex<Stages>,
}

/// Parsing and binding, until a run has reported them.
#[derive(Debug, Default)]
struct Stages {
    parse: Option<StageTime>,
    bind: Option<StageTime>,
}

impl Parsed {
    fn new(text: Arc<str>, class: Classified, bytes: usize) -> Self {
        Self { text, class, template: OnceLock::new(), bytes, charge: OnceLock::new(), trace: OnceLock::new() }
    }

    /// Rows for a table, as no client wrote it.
    pub(crate) fn ingest(copy: CopyFrom) -> Self {
        let text: Arc<str> = copy.to_string().into();
        let bytes = (2 * text.len()).saturating_add(STATEMENT_BYTES);
        Self::new(text, Classified::CopyIn(Box::new(copy)), bytes)
    }

    /// A question, under what records say of it.
    pub(crate) fn question(text: Arc<str>, template: Arc<Template>, asking: Arc<Asking>) -> Self {
        let bytes = asking_bytes(&asking.question).saturating_add(2 * text.len()).saturating_add(STATEMENT_BYTES);
        Self {
            text,
            class: Classified::Question(asking),
            template: OnceLock::from(template),
            bytes,
            charge: OnceLock::new(),
            trace: OnceLock::new(),
        }
    }

    /// A change of a record, under what records of statements say of it.
    pub(crate) fn record_change(template: Template) -> Self {
        let text = Arc::clone(&template.text);
        let (bytes, template) = (STATEMENT_BYTES.saturating_add(2 * text.len()), OnceLock::from(Arc::new(template)));
        let class = Classified::RecordChange;
        Self { text, class, template, bytes, charge: OnceLock::new(), trace: OnceLock::new() }
    }

    /// Charges the statement, once.
    ///
    /// # Errors
    /// 53200: an account is full.
    pub(crate) fn charge(&self, memory: &MemoryReservation) -> Result<()> {
        let charge = memory.new_empty();
        charge.try_grow(self.bytes).map_err(|error| translate(&error, Stage::Plan))?;
        self.charge.get_or_init(|| Arc::new(charge));
        Ok(())
    }

    /// What text and tree take of memory, estimated.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The text without its literals; cut once, however often the statement runs.
    pub(crate) fn template(&self) -> &Arc<Template> {
        self.template.get_or_init(|| Arc::new(template(&self.text)))
    }

    pub(crate) fn class(&self) -> &Classified {
        &self.class
    }

    pub(crate) fn shared_text(&self) -> &Arc<str> {
        &self.text
    }

    /// Takes note of how its text was parsed. `parse`: `None` of a statement that is not the first of its text.
    pub(crate) fn trace_parsing(&self, parent: Option<TraceContext>, parse: Option<StageTime>) {
        let stages = Mutex::new(Stages { parse, bind: None });
        self.trace.get_or_init(|| Arc::new(ParsedTrace { parent, stages }));
    }

    /// Takes note of how it was bound, where its parsing was noted.
    pub(crate) fn trace_binding(&self, bind: StageTime) {
        if let Some(trace) = self.trace.get() {
            trace.stages.lock().unwrap_or_else(PoisonError::into_inner).bind = Some(bind);
        }
    }

    /// Adds to the trace of a run what is known here: the client's span, unless the door knew one, and the stages before the
    /// first run.
    pub(crate) fn add_to(&self, run: &mut StatementTrace) {
        let Some(trace) = self.trace.get() else { return };
        run.parent = run.parent.or(trace.parent);
        let stages = std::mem::take(&mut *trace.stages.lock().unwrap_or_else(PoisonError::into_inner));
        (run.parse, run.bind) = (stages.parse, stages.bind);
    }

    /// A statement that another one carries (EXPLAIN, PREPARE, DECLARE, COPY).
    pub(crate) fn nested(&self, ast: Ast) -> Result<Self> {
        let nested = Self::new(Arc::clone(&self.text), classify(ast)?, self.bytes);
        Ok(Self { charge: self.charge.clone(), ..nested })
    }
}

impl Statement for Parsed {
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn text(&self) -> &str {
        &self.text
    }
}

/// What the values of a question take, estimated: as much as their texts, and a tree around them.
fn asking_bytes(question: &Question) -> usize {
    let filters = [question.filter.as_ref(), question.having.as_ref()].into_iter().flatten();
    filters.map(json_bytes).sum::<usize>().saturating_add(question.search.as_ref().map_or(0, String::len))
}

fn json_bytes(value: &Value) -> usize {
    const NODE: usize = 64;
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(members) => members.iter().map(json_bytes).sum(),
        Value::Object(members) => members.iter().map(|(key, value)| key.len() + json_bytes(value)).sum(),
    };
    NODE.saturating_add(inner)
}

/// What a word or a sign becomes in a tree: half of an expression, as measured of lists.
const TOKEN_BYTES: usize = 256;
/// What any statement takes beside its words.
const STATEMENT_BYTES: usize = 4 << 10;

/// Statements of one text.
const STATEMENTS_MAX: usize = 10_000;

/// Parses every statement of a text, with all of its names.
///
/// # Errors
/// As [`parse_cutting`].
pub(crate) fn parse(sql: &str) -> Result<Vec<Arc<Parsed>>> {
    parse_cutting(sql, || true).map(|(statements, _)| statements)
}

/// Parses every statement of a text. Gives the names that were cut, too, unless tables or columns have such long ones.
///
/// # Errors
/// 42601 with the position of the offending token, 54001 when nested too deep, 54000 when too long, 0A000 for a
/// statement outside the closed list and for names that are the engine's own.
pub(crate) fn parse_cutting(sql: &str, reaches: impl FnOnce() -> bool) -> Result<(Vec<Arc<Parsed>>, Vec<CutName>)> {
    if sql.len() > limits::SQL_BYTES_MAX {
        return Err(Error::new(ErrorCode::ProgramLimitExceeded, "statement is too long")
            .with_detail(format!("The limit is {} bytes.", limits::SQL_BYTES_MAX)));
    }
    refuse_long_lists(sql)?;
    let mut tokens = tokens(sql).map_err(|e| {
        let at = e.location;
        syntax_error(sql, e.into(), Some(Location { line: 1, column: u64::from(position(sql, at)) }))
    })?;
    let cut = name_length::cut(&mut tokens, reaches);
    refuse_heavy(&tokens)?;
    refuse_foreign(&tokens)?;
    as_names(&mut tokens);
    respell_json_members(&mut tokens);
    refuse_reserved(&tokens)?;
    refuse_current_of(&tokens)?;
    let words = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).count();
    let (tokens, absent) = clauses::known(tokens);
    let mut absent = absent.into_iter().peekable();
    let tokens = delimited(apart(tokens));
    let grammar = Grammar::of(words);
    let mut parser =
        Parser::new(&grammar).with_recursion_limit(limits::SQL_DEPTH_MAX).with_tokens_with_locations(tokens);
    let mut statements = Vec::new();
    let mut bytes = Bytes { sql, characters: 1, offset: 0 };
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        let first = parser.peek_token();
        if first.token == Token::EOF {
            return Ok((statements, cut));
        }
        if statements.len() == STATEMENTS_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many statements in one text")
                .with_detail(format!("The limit is {}.", STATEMENTS_MAX)));
        }
        if let Some(refusal) = refused_words(&first.token, [1, 2].map(|at| &parser.peek_nth_token_ref(at).token)) {
            return Err(refusal);
        }
        let start = bytes.before(character(first.span.start));
        let moves = is_move(&first.token);
        let mut tree = parse_one(&mut parser, moves).map_err(|e| {
            let at = parser.peek_token().span.start;
            syntax_error(sql, grammar.cause(e), Some(at))
        })?;
        if let Tree::CopyFrom(Err(refusal)) | Tree::CopyTo(Err(refusal)) = tree {
            return Err(refusal);
        }
        let after = parser.peek_token();
        if !matches!(after.token, Token::SemiColon | Token::EOF) {
            // A failed reading may have been taken for the statement's end.
            let unexpected = ParserError::ParserError(format!("found: {} at Line:", after.token));
            return Err(syntax_error(sql, unexpected, Some(after.span.start)));
        }
        let next = if after.token == Token::EOF { u64::MAX } else { character(after.span.start) };
        while let Some(absent) = absent.next_if(|absent| absent.at < next) {
            tree.refuse_later(absent.clause)?;
        }
        let end = if after.token == Token::EOF { sql.len() } else { bytes.before(character(after.span.start)) };
        let text: Arc<str> = sql.get(start..end).unwrap_or(sql).trim_end().into();
        // Of the words of all statements, its share.
        let bytes = words.saturating_mul(TOKEN_BYTES).saturating_mul(text.len()) / sql.len().max(1);
        let bytes = bytes.saturating_add(2 * text.len()).saturating_add(STATEMENT_BYTES);
        let mut parsed = Parsed::new(text, tree.class()?, bytes);
        if moves && let Classified::Fetch { name, walk } = parsed.class {
            parsed.class = Classified::Move { name, walk };
        }
        statements.push(Arc::new(parsed));
    }
}

/// MOVE, which the library does not know, is FETCH without the rows.
fn is_move(first: &Token) -> bool {
    is_word(first, "move")
}

/// What a statement is read as: the library's tree, or one that it has no tree for.
enum Tree {
    Ast(Box<Ast>),
    CopyFrom(Result<CopyFrom>),
    CopyTo(Result<CopyTo>),
}

impl Tree {
    fn refuse_later(&mut self, clause: &str) -> Result<()> {
        match self {
            Self::Ast(ast) => refuse_later(ast, clause),
            Self::CopyFrom(_) => Err(Error::new(ErrorCode::SyntaxError, "syntax error in COPY")),
            Self::CopyTo(_) => Err(Error::new(ErrorCode::FeatureNotSupported, format!("{clause} is not supported"))),
        }
    }

    fn class(self) -> Result<Classified> {
        match self {
            Self::Ast(ast) => classify(*ast),
            Self::CopyFrom(copy) => Ok(Classified::CopyIn(Box::new(copy?))),
            Self::CopyTo(copy) => {
                let CopyTo { query, options, force_quote } = copy?;
                Ok(Classified::CopyOut { query, options, force_quote })
            }
        }
    }
}

fn parse_one(parser: &mut Parser<'_>, moves: bool) -> std::result::Result<Tree, ParserError> {
    if let Some(copy) = copy_from(parser)? {
        return Ok(Tree::CopyFrom(copy));
    }
    match copy_to(parser)? {
        Some(copy) => Ok(Tree::CopyTo(copy)),
        None => parse_known(parser, moves).map(|ast| Tree::Ast(Box::new(ast))),
    }
}

/// ABORT is an older word for ROLLBACK; `EXPLAIN (SELECT …)` has no options.
fn parse_known(parser: &mut Parser<'_>, moves: bool) -> std::result::Result<Ast, ParserError> {
    if moves {
        parser.next_token();
        return parser.parse_fetch_statement();
    }
    if is_word(&parser.peek_token_ref().token, "abort") {
        parser.next_token();
        return parser.parse_rollback();
    }
    if let Some(reset) = reset_of_words(parser) {
        return Ok(reset);
    }
    if explains_parentheses(parser) {
        parser.next_token();
        let query = parser.parse_query()?;
        return Ok(Ast::Explain {
            describe_alias: DescribeAlias::Explain,
            analyze: false,
            verbose: false,
            query_plan: false,
            estimate: false,
            statement: Box::new(Ast::Query(query)),
            format: None,
            options: None,
        });
    }
    parser.parse_statement()
}

/// EXPLAIN, parentheses, and in them what begins a query.
fn explains_parentheses(parser: &Parser<'_>) -> bool {
    if !is_word(&parser.peek_token_ref().token, "explain") {
        return false;
    }
    let mut at = 1;
    while parser.peek_nth_token_ref(at).token == Token::LParen {
        at += 1;
    }
    let begins = |word: Keyword| matches!(word, Keyword::SELECT | Keyword::WITH | Keyword::VALUES);
    at > 1 && matches!(&parser.peek_nth_token_ref(at).token, Token::Word(word) if begins(word.keyword))
}

/// Byte offsets of characters, in one pass over a text.
struct Bytes<'a> {
    sql: &'a str,
    characters: u64,
    offset: usize,
}

impl Bytes<'_> {
    /// Bytes before a character, counted from 1, that is not before the last one asked for.
    fn before(&mut self, character: u64) -> usize {
        for c in self.sql.get(self.offset..).unwrap_or_default().chars() {
            if self.characters >= character {
                break;
            }
            self.characters += 1;
            self.offset += c.len_utf8();
        }
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cut_with_their_own_text() {
        let parsed = parse("select 1 ; ;\n select 'é;' as x; set a = 1").unwrap();
        let texts: Vec<_> = parsed.iter().map(|p| p.text()).collect();
        assert_eq!(texts, ["select 1", "select 'é;' as x", "set a = 1"]);
        assert!(parse(" ; -- nothing\n").unwrap().is_empty());
    }

    #[test]
    fn syntax_errors_point_at_the_token() {
        for (sql, message, position) in [
            ("selct 1", "syntax error at or near \"selct\"", 1),
            ("select 1 where where x", "syntax error at or near \"x\"", 22),
            ("select (1", "syntax error at end of input", 10),
        ] {
            let error = parse(sql).unwrap_err();
            assert_eq!((error.code(), error.message()), (ErrorCode::SyntaxError, message), "{sql}");
            assert_eq!(error.position(), Some(position), "{sql}");
        }
    }

    #[test]
    fn many_statements_are_cut_in_one_pass_and_bounded() {
        let most = "select 1;".repeat(STATEMENTS_MAX);
        assert_eq!(parse(&most).unwrap().len(), STATEMENTS_MAX);
        assert_eq!(parse(&format!("{most}select 1")).unwrap_err().code(), ErrorCode::ProgramLimitExceeded);
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        for sql in [
            format!("select {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
            format!("select {}1", "- ".repeat(10_000)),
            format!("select {} 1", "not ".repeat(10_000)),
            format!("{}select 1{}", "select * from (".repeat(10_000), ") t".repeat(10_000)),
        ] {
            let error = parse(&sql).unwrap_err();
            assert_eq!(error.code(), ErrorCode::StatementTooComplex, "{} {error}", sql.get(..20).unwrap_or_default());
        }
    }
}
