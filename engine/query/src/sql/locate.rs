//! Where in a statement's own text an error lies: the first place of the name or literal that the error's words tell of. Knows
//! the words of our own errors, no catalog.

mod casts;
mod literals;

use self::casts::at_cast;
use self::literals::{at_literal, without_others_text};
use crate::sql::classify::Classified;
use crate::sql::foreign::hinted;
use crate::sql::parse::Parsed;
use crate::sql::tokens::tokens;
use crate::sql::walk::{ON, Reader, Step, look};
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, GroupByExpr, Ident, ObjectName, OrderByKind, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, Spanned, Value,
};
use datafusion::sql::sqlparser::tokenizer::Span;
use querygate_query_api::service::Statement;
use querygate_types::{Error, ErrorCode};

/// The error with its place in the text, where it tells of something that the statement names.
pub(crate) fn located(error: Error, query: &Query) -> Error {
    if error.position().is_some() {
        return error;
    }
    let Some(wanted) = wanted(&error) else { return error };
    let mut search = Search { wanted, found: None };
    look(query, &mut search);
    match (search.found, search.wanted) {
        (Some(at), _) => error.with_position(at),
        (None, Wanted::Literal(text)) => without_others_text(error, text, query),
        (None, _) => error,
    }
}

/// As [`located`], for an error of a whole statement, which may tell of an operator or of a literal that was read late; with a hint where
/// it points at what another system writes.
pub(crate) fn located_in(error: Error, parsed: &Parsed) -> Error {
    let error = match parsed.class() {
        Classified::Query(query) => {
            let error = at_cast(at_literal(located(error, query), query), query, true);
            at_operator(error, query, parsed.text())
        }
        Classified::Locking { query, .. } | Classified::Declare { query, .. } | Classified::CopyOut { query, .. } => {
            at_cast(error, query, true)
        }
        Classified::Write(statement) => at_cast(error, statement, false),
        _ => error,
    };
    hinted(error, parsed.text())
}

/// The engine tells an operator and its types, no place: only where a statement has one such operator is it known which.
fn at_operator(error: Error, query: &Query, text: &str) -> Error {
    if error.position().is_some() || error.code() != ErrorCode::UndefinedFunction {
        return error;
    }
    let Some(operation) = error.message().strip_prefix("operator does not exist: ") else { return error };
    let is_sign = |word: &&str| !word.is_empty() && word.chars().all(|c| "+-*/<>=~!@#%^&|?".contains(c));
    let Some(sign) = operation.split(' ').find(is_sign).map(spelled) else { return error };
    let mut uses = Uses { sign, left_ends: Vec::new() };
    look(query, &mut uses);
    let ([left_end], Ok(tokens)) = (uses.left_ends.as_slice(), tokens(text)) else { return error };
    let mut after = tokens.iter().filter(|token| token.span.start.column >= *left_end);
    match after.find(|token| spelled(&token.token.to_string()) == uses.sign) {
        Some(token) => error.with_position(u32::try_from(token.span.start.column).unwrap_or(u32::MAX)),
        None => error,
    }
}

/// Two spellings of one operator.
fn spelled(sign: &str) -> String {
    if sign == "!=" { "<>".to_owned() } else { sign.to_owned() }
}

/// Where the left sides of an operator's uses end.
struct Uses {
    sign: String,
    left_ends: Vec<u64>,
}

impl Reader for Uses {
    fn expr(&mut self, expr: &Expr) -> Step {
        if let Expr::BinaryOp { left, op, .. } = expr
            && spelled(&op.to_string()) == self.sign
        {
            self.left_ends.push(left.span().end.column);
        }
        ON
    }
}

/// What an error tells of.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// With its table's name, if the error gives it.
    Column(Option<String>, String),
    /// A table's name before a column's.
    Qualifier(String),
    Relation(String),
    Function(String),
    Type(String),
    Parameter(String),
    Literal(String),
    /// A number in ORDER BY.
    OrderBy(String),
    /// A number in GROUP BY.
    GroupBy(String),
}

fn wanted(error: &Error) -> Option<Wanted> {
    let text = error.message();
    match error.code() {
        ErrorCode::UndefinedColumn => column(between(text, "column ", " does not exist")?),
        ErrorCode::FeatureNotSupported => {
            Some(Wanted::Column(None, between(text, "system column \"", "\" of a table")?.to_owned()))
        }
        ErrorCode::AmbiguousColumn => column(between(text, "column reference ", " is ambiguous")?),
        ErrorCode::GroupingError => {
            let name = between(text, "column \"", "\" must appear")?;
            let (table, name) = name.split_once('.').map_or((None, name), |(table, name)| (Some(table), name));
            Some(Wanted::Column(table.map(str::to_owned), name.to_owned()))
        }
        ErrorCode::UndefinedTable => between(text, "missing FROM-clause entry for table \"", "\"")
            .map(|name| Wanted::Qualifier(name.to_owned()))
            .or_else(|| {
                let name = between(text, "relation \"", "\" does not exist")?;
                Some(Wanted::Relation(name.to_owned()))
            }),
        ErrorCode::UndefinedFunction => {
            let name = between(text, "function ", " does not exist")?;
            Some(Wanted::Function(name.split('(').next()?.to_owned()))
        }
        ErrorCode::UndefinedObject => {
            between(text, "type \"", "\" does not exist").map(|name| Wanted::Type(name.to_owned()))
        }
        ErrorCode::InvalidColumnReference => between(text, "ORDER BY position ", " is not")
            .map(|place| Wanted::OrderBy(place.to_owned()))
            .or_else(|| Some(Wanted::GroupBy(between(text, "GROUP BY position ", " is not")?.to_owned()))),
        ErrorCode::UndefinedParameter => {
            text.strip_prefix("there is no parameter ").map(|name| Wanted::Parameter(name.to_owned()))
        }
        ErrorCode::InvalidTextRepresentation
        | ErrorCode::InvalidDatetimeFormat
        | ErrorCode::DatetimeOverflow
        | ErrorCode::IntervalFieldOverflow
        | ErrorCode::NumericOutOfRange => {
            let (_, value) = text.split_once("\"")?;
            let value = value.strip_suffix('"').or_else(|| value.split_once("\" is out of range").map(|(v, _)| v))?;
            Some(Wanted::Literal(value.to_owned()))
        }
        _ => None,
    }
}

/// `"name"` or `table.name`.
fn column(written: &str) -> Option<Wanted> {
    if let Some(name) = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Some(Wanted::Column(None, name.to_owned()));
    }
    let (table, name) = written.split_once('.')?;
    Some(Wanted::Column(Some(table.to_owned()), name.to_owned()))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

struct Search {
    wanted: Wanted,
    found: Option<u32>,
}

impl Search {
    /// The first of all places in the text. Places without a span are not the user's.
    fn at(&mut self, span: Span) {
        let column = u32::try_from(span.start.column).unwrap_or(u32::MAX);
        if column > 0 && self.found.is_none_or(|found| column < found) {
            self.found = Some(column);
        }
    }

    fn names(&mut self, idents: &[Ident]) {
        let Some((last, qualifiers)) = idents.split_last() else { return };
        let Some(first) = idents.first() else { return };
        let hit = match &self.wanted {
            Wanted::Column(None, name) => folded(last) == *name,
            Wanted::Column(Some(table), name) => {
                folded(last) == *name && qualifiers.last().is_none_or(|qualifier| folded(qualifier) == *table)
            }
            Wanted::Qualifier(table) => qualifiers.last().is_some_and(|qualifier| folded(qualifier) == *table),
            _ => false,
        };
        if hit {
            self.at(first.span);
        }
    }

    fn value(&mut self, value: &Value, span: Span) {
        let hit = match (&self.wanted, value) {
            (Wanted::Literal(wanted), Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text)) => {
                text == wanted
            }
            (Wanted::Literal(wanted), Value::Number(text, _)) => text == wanted,
            (Wanted::Parameter(wanted), Value::Placeholder(name)) => name == wanted,
            _ => false,
        };
        if hit {
            self.at(span);
        }
    }
}

impl Search {
    fn place(&mut self, wanted: &str, expr: &Expr) {
        if let Expr::Value(value) = expr
            && matches!(&value.value, Value::Number(text, _) if text == wanted)
        {
            self.at(value.span);
        }
    }
}

impl Reader for Search {
    fn query(&mut self, query: &Query) -> Step {
        if let Wanted::OrderBy(place) = &self.wanted
            && let Some(OrderByKind::Expressions(keys)) = query.order_by.as_ref().map(|by| &by.kind)
        {
            let place = place.clone();
            keys.iter().for_each(|key| self.place(&place, &key.expr));
        }
        ON
    }

    fn relation(&mut self, relation: &ObjectName) -> Step {
        if let Wanted::Relation(name) = &self.wanted {
            let idents: Option<Vec<&Ident>> = relation.0.iter().map(|part| part.as_ident()).collect();
            let Some(idents) = idents else { return ON };
            let whole = idents.iter().map(|ident| folded(ident)).collect::<Vec<_>>().join(".");
            let hit = whole == *name || idents.last().is_some_and(|last| folded(last) == *name);
            if let (true, Some(first)) = (hit, idents.first()) {
                self.at(first.span);
            }
        }
        ON
    }

    fn select(&mut self, select: &Select) -> Step {
        if let Wanted::GroupBy(place) = &self.wanted
            && let GroupByExpr::Expressions(keys, _) = &select.group_by
        {
            let place = place.clone();
            keys.iter().for_each(|key| self.place(&place, key));
        }
        for item in &select.projection {
            if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item
                && let Wanted::Qualifier(wanted) = &self.wanted
                && let Some(ident) = name.0.last().and_then(|part| part.as_ident())
                && folded(ident) == *wanted
            {
                self.at(ident.span);
            }
        }
        ON
    }

    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            Expr::Identifier(ident) => self.names(std::slice::from_ref(ident)),
            Expr::CompoundIdentifier(idents) => self.names(idents),
            Expr::Value(value) => self.value(&value.value, value.span),
            Expr::TypedString(typed) => self.value(&typed.value.value, typed.value.span),
            Expr::Function(function) => {
                if let Wanted::Function(name) = &self.wanted
                    && let Some(last) = function.name.0.last().and_then(|part| part.as_ident())
                    && folded(last) == *name
                    && let Some(first) = function.name.0.first().and_then(|part| part.as_ident())
                {
                    self.at(first.span);
                }
            }
            Expr::Cast { data_type: DataType::Custom(name, _), .. } => {
                if let Wanted::Type(wanted) = &self.wanted
                    && let Some(first) = name.0.first().and_then(|part| part.as_ident())
                    && name.to_string().to_lowercase() == wanted.to_lowercase()
                {
                    self.at(first.span);
                }
            }
            _ => {}
        }
        ON
    }
}

fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::classify::Classified;
    use crate::sql::parse::parse;

    #[test]
    fn errors_point_at_what_they_tell_of() {
        let check = |sql: &str, code: ErrorCode, message: &str, expected: Option<u32>| {
            let parsed = parse(sql).unwrap();
            let Classified::Query(query) = parsed.last().unwrap().class() else { panic!("{sql}") };
            assert_eq!(located(Error::new(code, message), query).position(), expected, "{sql}: {message}");
        };
        use ErrorCode as E;
        check("select no_such from t", E::UndefinedColumn, "column \"no_such\" does not exist", Some(8));
        check("select 1;\nselect é, X from t", E::UndefinedColumn, "column \"x\" does not exist", Some(11));
        check("select c.id, c.x from c", E::UndefinedColumn, "column c.x does not exist", Some(14));
        check("select y.id from c", E::UndefinedTable, "missing FROM-clause entry for table \"y\"", Some(8));
        check("select y.* from c", E::UndefinedTable, "missing FROM-clause entry for table \"y\"", Some(8));
        check("select * from No_such", E::UndefinedTable, "relation \"no_such\" does not exist", Some(15));
        check("select * from a.b", E::UndefinedTable, "relation \"a.b\" does not exist", Some(15));
        check("select 1 + f(1)", E::UndefinedFunction, "function f(integer) does not exist", Some(12));
        check("select 'x'::nosuch", E::UndefinedObject, "type \"nosuch\" does not exist", Some(13));
        check("select 1 + 'a'", E::InvalidTextRepresentation, "invalid input syntax for type integer: \"a\"", Some(12));
        check("select $3", E::UndefinedParameter, "there is no parameter $3", Some(8));
        check("select 1/0", E::DivisionByZero, "division by zero", None);
        let place = "ORDER BY position 9 is not in select list";
        check("select 9 order by 1, 9", E::InvalidColumnReference, place, Some(22));
        let place = "GROUP BY position 9 is not in select list";
        check("select 9 from t group by 9", E::InvalidColumnReference, place, Some(26));
    }

    #[test]
    fn an_operator_is_pointed_at_where_it_is_the_only_one() {
        let check = |sql: &str, operation: &str, expected: Option<u32>| {
            let parsed = parse(sql).unwrap();
            let error = Error::new(ErrorCode::UndefinedFunction, format!("operator does not exist: {operation}"));
            assert_eq!(located_in(error, parsed.last().unwrap()).position(), expected, "{sql}");
        };
        check("select 1 + true", "integer + boolean", Some(10));
        check("select 1;\n select é, (a)::text <>  b from t", "text <> date", Some(21));
        check("select a != b from t", "text <> date", Some(10));
        check("select -1 * (2) - date '2024-01-01'", "double precision - date", Some(17));
        check("select 1 + 2 + true", "integer + boolean", None);
        check("select 1 + true", "this type", None);
    }
}
