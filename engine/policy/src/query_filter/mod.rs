//! The JSON filter language of QueryAST `where` (ObjectStack reference 5.1) to a row filter. Knows no policy.

mod column;
mod comparand;
mod error;
mod fitting;
pub mod fuzzing;
mod neighbours;
mod tokens;

pub use crate::value::ColumnKind;
pub use column::Column;
pub use error::{FilterError, FilterErrorCode};
pub(crate) use fitting::holds_number;

use crate::expression::{Provenance, compare, member, text_test};
use crate::filter::{CompareOp, RowFilter, Test, TextKind};
use crate::value::Scalar;
use comparand::{Comparand, describe};
use neighbours::fitted;
use querygate_metadata::model::{Protocol, StrictRule};
use querygate_types::limits;
use serde_json::{Map, Value};
use std::cell::Cell;

/// What a filter's tokens resolve to, and how strict its door is.
#[derive(Debug, Clone, Default)]
pub struct FilterContext {
    /// Milliseconds since 1970, for `{today}` and its kin. Days are UTC days.
    pub now_ms: i64,
    /// `{current_user_id}`.
    pub user_id: Option<String>,
    /// `{current_org_id}`.
    pub organization_id: Option<String>,
    /// The release whose rules comparands and operators follow.
    pub protocol: Protocol,
}

/// Nesting of `$and`, `$or` and `$not`.
const DEPTH_MAX: usize = 32;
/// Filters and tests of one `where`, however they are nested: each is compared with those beside it when it is simplified.
const PARTS_MAX: usize = 4_096;

/// Compiles a `where` for an object whose fields `column` names.
///
/// # Errors
/// As 5.1 says: unknown fields and operators, comparands of a wrong type, operators a field does not take.
pub fn compile_filter(
    filter: &Value,
    column: &dyn Fn(&str) -> Option<Column>,
    context: &FilterContext,
) -> Result<RowFilter, FilterError> {
    Compiler::new(column, context).filter(filter, 0).map(RowFilter::simplify)
}

/// Records whose field is one of these texts, as they stand: none is a token. Texts that are no value of the field are left out.
#[must_use]
pub fn one_of(name: &str, column: Column, texts: &[String]) -> RowFilter {
    let scalars: Vec<Scalar> = texts.iter().cloned().map(Scalar::Text).collect();
    fitted(member(name, column.kind(), &scalars, &Provenance::Literal, false), column).simplify()
}

struct Compiler<'a> {
    column: &'a dyn Fn(&str) -> Option<Column>,
    context: &'a FilterContext,
    /// Read so far.
    parts: Cell<usize>,
    /// Whether what is read is asked for its complement.
    is_negated: Cell<bool>,
}

impl<'a> Compiler<'a> {
    fn new(column: &'a dyn Fn(&str) -> Option<Column>, context: &'a FilterContext) -> Self {
        Self { column, context, parts: Cell::new(0), is_negated: Cell::new(false) }
    }

    fn filter(&self, filter: &Value, depth: usize) -> Result<RowFilter, FilterError> {
        if depth > DEPTH_MAX {
            return Err(FilterError::invalid("the filter is nested too deeply"));
        }
        self.part()?;
        let Value::Object(entries) = filter else {
            return Err(FilterError::invalid(format!("a filter is an object, not {}", describe(filter))));
        };
        let mut members = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            members.push(match key.as_str() {
                "$and" => RowFilter::And(self.branches(key, value, depth)?),
                "$or" => RowFilter::Or(self.branches(key, value, depth)?),
                "$not" => {
                    let outside = self.is_negated.replace(!self.is_negated.get());
                    let inner = self.filter(value, depth + 1);
                    self.is_negated.set(outside);
                    RowFilter::Not(Box::new(inner?))
                }
                key if key.starts_with('$') => {
                    return Err(FilterError::invalid(format!("'{key}' is no logical operator ($and, $or, $not)")));
                }
                name => self.field(name, value)?,
            });
        }
        Ok(RowFilter::And(members))
    }

    /// # Errors
    /// There are too many.
    fn part(&self) -> Result<(), FilterError> {
        self.parts.set(self.parts.get() + 1);
        if self.parts.get() > PARTS_MAX {
            return Err(FilterError::invalid(format!("the filter has more than {PARTS_MAX} parts")));
        }
        Ok(())
    }

    fn branches(&self, key: &str, value: &Value, depth: usize) -> Result<Vec<RowFilter>, FilterError> {
        let Value::Array(branches) = value else {
            return Err(FilterError::invalid(format!("{key} takes an array of filters, not {}", describe(value))));
        };
        if branches.len() > limits::KEY_LIST_MAX {
            return Err(FilterError::invalid(format!("{key} has too many branches")));
        }
        branches.iter().map(|branch| self.filter(branch, depth + 1)).collect()
    }

    fn field(&self, name: &str, value: &Value) -> Result<RowFilter, FilterError> {
        let column = (self.column)(name).ok_or_else(|| match name.contains('.') {
            true => FilterError::field(name, format!("'{name}' is a path; a filter names own fields only")),
            false => FilterError::field(name, format!("there is no field '{name}'")),
        })?;
        let Value::Object(operators) = value else {
            return self.operator(name, column, "$eq", value);
        };
        if operators.is_empty() {
            return Err(FilterError::invalid(format!("'{name}' has no operator")));
        }
        refuse_regex(name, operators)?;
        let tests = operators.iter().map(|(operator, comparand)| self.operator(name, column, operator, comparand));
        Ok(RowFilter::And(tests.collect::<Result<_, _>>()?))
    }

    fn operator(&self, name: &str, column: Column, operator: &str, value: &Value) -> Result<RowFilter, FilterError> {
        self.part()?;
        let text = |kind, negated| self.text(name, column, operator, kind, value, negated);
        match operator {
            "$contains" => text(TextKind::Contains, false),
            "$notContains" => text(TextKind::Contains, true),
            "$startsWith" => text(TextKind::StartsWith, false),
            "$endsWith" => text(TextKind::EndsWith, false),
            "$icontains" => text(TextKind::IContains, false),
            "$like" => text(TextKind::Like, false),
            "$ilike" => text(TextKind::ILike, false),
            "$eq" => self.compare(name, column, operator, CompareOp::Eq, value),
            "$ne" => self.compare(name, column, operator, CompareOp::Ne, value),
            "$lt" => self.compare(name, column, operator, CompareOp::Lt, value),
            "$lte" => self.compare(name, column, operator, CompareOp::Le, value),
            "$gt" => self.compare(name, column, operator, CompareOp::Gt, value),
            "$gte" => self.compare(name, column, operator, CompareOp::Ge, value),
            "$in" => self.list(name, column, operator, value, false),
            "$nin" => self.list(name, column, operator, value, true),
            "$between" => self.between(name, column, value),
            "$null" => null_test(name, column, operator, value, true),
            "$exists" => null_test(name, column, operator, value, false),
            "$empty" => self.empty(name, column, value),
            key if key.starts_with('$') => {
                Err(FilterError::invalid(format!("'{key}' is no operator (field '{name}')")))
            }
            _ => Err(FilterError::invalid(comparand::refused(name, "a plain object"))),
        }
    }

    fn compare(
        &self,
        name: &str,
        column: Column,
        operator: &str,
        op: CompareOp,
        value: &Value,
    ) -> Result<RowFilter, FilterError> {
        if column.kind() == ColumnKind::ReadFromText && value.is_null() && matches!(op, CompareOp::Eq | CompareOp::Ne) {
            return Ok(is_null(name, op == CompareOp::Ne));
        }
        let kind = scalar(name, column, operator)?;
        if let Some(reference) = field_reference(value) {
            return self.compare_columns(name, kind, op, reference);
        }
        match self.comparand(name, column, operator, value)? {
            Comparand::Null => match op {
                CompareOp::Eq => Ok(is_null(name, false)),
                CompareOp::Ne => Ok(is_null(name, true)),
                CompareOp::Lt | CompareOp::Le | CompareOp::Gt | CompareOp::Ge => {
                    Err(FilterError::invalid(format!("{operator} on '{name}' does not take null")))
                }
            },
            Comparand::Scalar(scalar, from) => Ok(fitted(compare(name, kind, op, &scalar, &from), column)),
        }
    }

    fn compare_columns(
        &self,
        left: &str,
        kind: ColumnKind,
        op: CompareOp,
        reference: &Map<String, Value>,
    ) -> Result<RowFilter, FilterError> {
        let right = reference.get("$field").and_then(Value::as_str);
        let right = right.ok_or_else(|| FilterError::invalid(format!("$field of '{left}' takes a field name")))?;
        let column =
            (self.column)(right).ok_or_else(|| FilterError::field(right, format!("there is no field '{right}'")))?;
        if scalar(right, column, "$field")? != kind {
            return Err(FilterError::invalid(format!("'{left}' and '{right}' are of different types")));
        }
        if let Some(other) = reference.keys().find(|k| !matches!(k.as_str(), "$field" | "addDays")) {
            return Err(FilterError::invalid(format!("'{other}' is no key of a $field comparand")));
        }
        let add_days = match reference.get("addDays") {
            None => 0,
            Some(days) => days
                .as_i64()
                .and_then(|days| i32::try_from(days).ok())
                .filter(|_| matches!(kind, ColumnKind::Date | ColumnKind::Timestamp))
                .ok_or_else(|| FilterError::invalid(format!("addDays of '{left}' takes days on a date or datetime")))?,
        };
        Ok(RowFilter::Test(Test::CompareColumns { left: left.to_owned(), op, right: right.to_owned(), add_days }))
    }

    fn list(
        &self,
        name: &str,
        column: Column,
        operator: &str,
        value: &Value,
        negated: bool,
    ) -> Result<RowFilter, FilterError> {
        let kind = scalar(name, column, operator)?;
        let Value::Array(values) = value else {
            return Err(FilterError::invalid(format!(
                "{operator} on '{name}' takes an array, not {}",
                describe(value)
            )));
        };
        if values.len() > limits::KEY_LIST_MAX {
            return Err(FilterError::invalid(format!("{operator} on '{name}' has too many members")));
        }
        let mut scalars = Vec::with_capacity(values.len());
        let mut tests = Vec::new();
        for (i, value) in values.iter().enumerate() {
            match self.comparand(name, column, &format!("{operator}[{i}]"), value)? {
                Comparand::Null => {
                    return Err(FilterError::invalid(format!("{name}.{operator}[{i}] is null; use $null")));
                }
                Comparand::Scalar(scalar, Provenance::Literal) => scalars.push(scalar),
                Comparand::Scalar(scalar, from) => {
                    self.part()?;
                    tests.push(fitted(member(name, kind, &[scalar], &from, negated), column));
                }
            }
        }
        tests.push(fitted(member(name, kind, &scalars, &Provenance::Literal, negated), column));
        Ok(if negated { RowFilter::And(tests) } else { RowFilter::Or(tests) })
    }

    fn between(&self, name: &str, column: Column, value: &Value) -> Result<RowFilter, FilterError> {
        let Some([low, high]) = value.as_array().map(Vec::as_slice) else {
            return Err(FilterError::invalid(format!("$between on '{name}' takes exactly two values")));
        };
        let is_no_end = |end: &Value| end.as_str().is_some_and(|text| text.trim().is_empty()) || end.is_object();
        if self.context.protocol.has(StrictRule::BlankRange) && [low, high].into_iter().any(is_no_end) {
            return Err(FilterError::invalid(format!("$between on '{name}' takes two values, none of them blank")));
        }
        Ok(RowFilter::And(vec![
            self.compare(name, column, "$between", CompareOp::Ge, low)?,
            self.compare(name, column, "$between", CompareOp::Le, high)?,
        ]))
    }

    fn text(
        &self,
        name: &str,
        column: Column,
        operator: &str,
        kind: TextKind,
        value: &Value,
        negated: bool,
    ) -> Result<RowFilter, FilterError> {
        if self.context.protocol.has(StrictRule::TextOperator) && column.refuses_text() {
            let declared = column.field_type.name();
            return Err(FilterError::invalid(format!("{operator} does not apply to '{name}' of type {declared}")));
        }
        if column.kind() == ColumnKind::Computed {
            return Err(FilterError::field(name, format!("'{name}' is computed and cannot be filtered")));
        }
        if column.kind() == ColumnKind::ReadFromText {
            return Err(FilterError::invalid(format!("{operator} on '{name}' WAS NOT APPLIED: {READ_FROM_TEXT}")));
        }
        if column.kind() == ColumnKind::List && !column.has_items() {
            return Err(not_applied(name, column, operator));
        }
        let Comparand::Scalar(Scalar::Text(pattern), from) = self.comparand(name, column, operator, value)? else {
            return Err(FilterError::invalid(format!(
                "{operator} on '{name}' takes a string, not {}",
                describe(value)
            )));
        };
        if kind == TextKind::IContains && pattern.is_empty() {
            return Err(FilterError::invalid(format!("{operator} on '{name}' takes a non-empty string")));
        }
        if column.kind() == ColumnKind::List && kind != TextKind::Contains {
            // A list is no text: neither the question nor its complement finds a record by it.
            return Ok(if self.is_negated.get() { RowFilter::All } else { RowFilter::Nothing });
        }
        Ok(text_test(name, column.kind(), kind, &pattern, &from, negated))
    }

    /// No value, a blank text, a list without elements.
    fn empty(&self, name: &str, column: Column, value: &Value) -> Result<RowFilter, FilterError> {
        let no_value = null_test(name, column, "$empty", value, true)?;
        if !self.context.protocol.has(StrictRule::EmptyValue) {
            return Ok(no_value);
        }
        if name == "id" {
            return Err(FilterError::invalid("$empty does not apply to 'id': every record has one"));
        }
        let is_empty = match column.kind() {
            ColumnKind::List if !column.has_items() => return Ok(no_value),
            ColumnKind::Text => RowFilter::Or(vec![
                is_null(name, false),
                compare(name, ColumnKind::Text, CompareOp::Eq, &Scalar::Text(String::new()), &Provenance::Literal),
            ]),
            ColumnKind::List => {
                RowFilter::Not(Box::new(RowFilter::Test(Test::HasElements { column: name.to_owned() })))
            }
            ColumnKind::Uuid
            | ColumnKind::Number
            | ColumnKind::Boolean
            | ColumnKind::Date
            | ColumnKind::Timestamp
            | ColumnKind::Time
            | ColumnKind::Json
            | ColumnKind::ReadFromText
            | ColumnKind::Computed => return Ok(no_value),
        };
        Ok(if *value == Value::Bool(true) { is_empty } else { RowFilter::Not(Box::new(is_empty)) })
    }

    /// # Errors
    /// It is no comparand; it is none of the field's type, which would find nothing on every row.
    fn comparand(&self, name: &str, column: Column, slot: &str, value: &Value) -> Result<Comparand, FilterError> {
        let place = format!("{name}.{slot}");
        let read = comparand::read(&place, value, self.context)?;
        if fitting::is_beyond_doubles(value, column) {
            return Err(comparand::beyond(&place));
        }
        let unfit = match &read {
            Comparand::Scalar(scalar, Provenance::Literal) => fitting::unfit(scalar, column, self.context.protocol),
            Comparand::Null | Comparand::Scalar(..) => None,
        };
        match unfit {
            Some(unfit) => Err(FilterError::invalid(format!(
                "filter on '{name}' compares a declared {} field against {} at where.{place}, which is not {}",
                column.field_type.name(),
                value,
                unfit
            ))),
            None => Ok(read),
        }
    }
}

fn is_null(name: &str, negated: bool) -> RowFilter {
    RowFilter::Test(Test::IsNull { column: name.to_owned(), negated })
}

/// Why a column is not compared, and what may be asked of it.
const READ_FROM_TEXT: &str = "bytes, an interval, a time with a zone, an address, a string of bits and a numeric without digits of its own take null, $null and $exists";

/// `{$null: true}` = `{$exists: false}` = has no value.
fn null_test(
    name: &str,
    column: Column,
    operator: &str,
    value: &Value,
    null_when: bool,
) -> Result<RowFilter, FilterError> {
    if column.kind() == ColumnKind::Computed {
        return Err(FilterError::field(name, format!("'{name}' is computed and cannot be filtered")));
    }
    let Value::Bool(flag) = value else {
        return Err(FilterError::invalid(format!(
            "{operator} on '{name}' takes true or false, not {}",
            describe(value)
        )));
    };
    Ok(is_null(name, *flag != null_when))
}

/// The kind of a field that a scalar may be compared with.
fn scalar(name: &str, column: Column, operator: &str) -> Result<ColumnKind, FilterError> {
    match column.kind() {
        kind @ (ColumnKind::Text
        | ColumnKind::Uuid
        | ColumnKind::Number
        | ColumnKind::Boolean
        | ColumnKind::Date
        | ColumnKind::Timestamp
        | ColumnKind::Time) => Ok(kind),
        ColumnKind::List | ColumnKind::Json => Err(not_applied(name, column, operator)),
        ColumnKind::ReadFromText => {
            Err(FilterError::invalid(format!("{operator} on '{name}' WAS NOT APPLIED: {READ_FROM_TEXT}")))
        }
        ColumnKind::Computed => Err(FilterError::field(name, format!("'{name}' is computed and cannot be filtered"))),
    }
}

/// That a list or a document is asked for more than what such a field takes.
fn not_applied(name: &str, column: Column, operator: &str) -> FilterError {
    let takes = if column.has_items() { "$contains, $notContains, $null and $exists" } else { "$null and $exists" };
    let declared = column.field_type.name();
    FilterError::invalid(format!("{operator} on '{name}' WAS NOT APPLIED: a {declared} field takes {takes}"))
}

fn field_reference(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object().filter(|object| object.contains_key("$field"))
}

fn refuse_regex(name: &str, operators: &Map<String, Value>) -> Result<(), FilterError> {
    let found: Vec<&str> = ["$regex", "$options"].into_iter().filter(|key| operators.contains_key(*key)).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(FilterError::invalid(format!("{} on '{name}' is not supported; use $icontains or $like", found.join(" with "))))
}

#[cfg(test)]
mod tests;
