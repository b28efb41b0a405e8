//! The query that finds the rows of a change: an ordinary governed query over what the principal reads, with the values that the
//! statement computes of each row beside it.

use super::intent::{RowSource, WriteIntent, cells, folded, quoted, unsupported};
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use crate::write::forms::conflict::intent::OnConflict;
use crate::write::forms::conflict::query::{Upsert, taken};
use crate::write::values::assignment::{Literal, cast_to, literal, sql_type};
use crate::write::values::rows::Row;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, SelectItem, SetExpr, Statement as Ast, TableAlias, TableFactor,
    TableWithJoins, Value, Values,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use querygate_catalog::VisibleObject;
use querygate_catalog::leaf::GovernedColumn;
use querygate_catalog::write::WriteTarget;
use querygate_metadata::model::FieldType;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value as Json;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Rows of one `VALUES`, at most.
const VALUES_MAX: usize = 100_000;

/// Values whose types one query tells.
const UNTYPED_AT_ONCE: usize = 500;

/// A query whose columns are: what was seen of each row, then a value for each assigned field.
#[derive(Debug, Clone)]
pub(crate) struct Find {
    pub(crate) query: Arc<Query>,
    /// Indexes of the governed columns that come first: the keys among them.
    pub(crate) seen: Vec<usize>,
    /// Fields of the values after them.
    pub(crate) assigned: Vec<String>,
}

/// What a statement that changes rows finds out before it does.
#[derive(Debug, Clone)]
pub(crate) enum Finds {
    /// One row of defaults, or rows that come.
    Nothing,
    One(Find),
    /// New rows, and the update of those that are there already, in the columns of one query: whether the row that is there is to be
    /// updated; those of `update`; those of `insert`.
    Both {
        insert: Find,
        update: Find,
    },
    /// The clauses of a MERGE, in the columns of one query: the number of the clause, those of `all`, the values of each of `arms`.
    Several {
        all: Find,
        arms: Vec<Find>,
    },
}

/// The query of an intent.
///
/// # Errors
/// 0A000: a value that cannot be stored, or a condition on a column that cannot be looked at again. 42501: a value made of a masked
/// one. 42601: too many or too few values.
pub(crate) fn find(intent: &WriteIntent, target: &WriteTarget, defaults: &Row) -> Result<(Finds, Vec<Untyped>)> {
    let mut untyped = Vec::new();
    let finds = match intent.rows() {
        RowSource::Given { query: None, .. } => match intent.on_conflict() {
            None | Some(OnConflict::Skip(_)) => Finds::Nothing,
            Some(OnConflict::Update { .. }) => return Err(unsupported("ON CONFLICT DO UPDATE of a row of defaults")),
        },
        RowSource::Streamed { .. } => Finds::Nothing,
        RowSource::Given { fields, named, query: Some(query), .. } => {
            let mut query = query.as_ref().clone();
            let with = query.with.clone();
            let assigned = match cells(&mut query) {
                Some(values) => {
                    let first = untyped.len();
                    let to = Destination { object: intent.object(), target, fields };
                    let assigned = given(to, *named, values, &mut untyped)?;
                    // Cells may read what is named there.
                    untyped.iter_mut().skip(first).for_each(|of| of.query.with.clone_from(&with));
                    assigned
                }
                None => {
                    type_literals(Destination { object: intent.object(), target, fields }, &mut query)?;
                    fields.clone()
                }
            };
            match intent.on_conflict() {
                None | Some(OnConflict::Skip(_)) => {
                    Finds::One(Find { query: Arc::new(query), seen: Vec::new(), assigned })
                }
                Some(OnConflict::Update { key, update }) => {
                    let upsert = Upsert { key, update, rows: query, given: assigned };
                    taken(upsert, target, defaults, &mut untyped)?
                }
            }
        }
        RowSource::Record { .. } => Finds::Nothing,
        RowSource::Merged(merge) => merge.find(intent.object(), target, defaults, &mut untyped)?,
        RowSource::Found { name, from, selection, values } => {
            let object = intent.object();
            let values = resolved(object, values, defaults)?;
            refuse_unseen(object, name, selection.as_deref(), &values)?;
            let (fields, items) = untyped_items(object, &values)?;
            if !fields.is_empty() {
                let query = select(&object.sql_name, name, from, items, None)?;
                untyped.push(Untyped { query, fields });
            }
            let (seen, mut items) = seen(object, name);
            items.append(&mut computed(object, target, &values, |value| value)?);
            let query = select(&object.sql_name, name, from, items, selection.as_deref().cloned())?;
            let assigned = values.iter().map(|(field, _)| field.clone()).collect();
            Finds::One(Find { query: Arc::new(query), seen, assigned })
        }
    };
    Ok((finds, untyped))
}

/// Values as a query gives them without the casts of an assignment: their types say whether it is one.
#[derive(Debug)]
pub(crate) struct Untyped {
    pub(crate) query: Query,
    /// The field that each column is for.
    pub(crate) fields: Vec<String>,
}

/// The values whose types only binding tells, and the fields that they are for.
///
/// # Errors
/// 42804: a constant that is none of its column.
pub(super) fn untyped_items(
    object: &VisibleObject,
    values: &[(String, Expr)],
) -> Result<(Vec<String>, Vec<SelectItem>)> {
    let (mut fields, mut items) = (Vec::new(), Vec::new());
    for (field, value) in values {
        let column = object.object.field(field).ok_or_else(|| Error::internal("a column without a field"))?;
        match literal(value) {
            Some(literal) => literal.admit(column)?,
            None => {
                let alias = quoted(&format!("x{}", items.len()));
                items.push(SelectItem::ExprWithAlias { expr: value.clone(), alias });
                fields.push(field.clone());
            }
        }
    }
    Ok((fields, items))
}

/// The values of SET, DEFAULT among them.
///
/// # Errors
/// 0A000: a default that the metadata does not say.
pub(super) fn resolved(
    object: &VisibleObject,
    values: &[(String, Expr)],
    defaults: &Row,
) -> Result<Vec<(String, Expr)>> {
    let constant = |value: &Json| match value {
        Json::Null => Some(Value::Null),
        Json::Bool(flag) => Some(Value::Boolean(*flag)),
        Json::Number(number) => Some(Value::Number(number.to_string(), false)),
        Json::String(text) => Some(Value::SingleQuotedString(text.clone())),
        Json::Array(_) | Json::Object(_) => None,
    };
    let resolve = |(field, value): &(String, Expr)| {
        if !is_default(value) {
            return Ok((field.clone(), value.clone()));
        }
        let default = object.object.field(field).and_then(|field| field.default.as_ref());
        let known = default.and_then(|_| defaults.get(field)).and_then(constant);
        match known {
            Some(known) => Ok((field.clone(), Expr::Value(known.into()))),
            None => Err(unsupported(&format!("DEFAULT of column \"{field}\", which the metadata does not say,"))),
        }
    };
    values.iter().map(resolve).collect()
}

/// The columns that new values are for.
#[derive(Clone, Copy)]
struct Destination<'a> {
    object: &'a VisibleObject,
    target: &'a WriteTarget,
    fields: &'a [String],
}

/// Gives constants and parameters of a SELECT the types of their columns, as VALUES would.
fn type_literals(to: Destination<'_>, query: &mut Query) -> Result<()> {
    let Destination { object, target, fields } = to;
    let SetExpr::Select(select) = query.body.as_mut() else { return Ok(()) };
    if select.projection.len() > fields.len() {
        return Ok(());
    }
    for (item, field) in select.projection.iter_mut().zip(fields) {
        let expr = match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr,
            // The columns after it are others than they seem.
            SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => break,
        };
        if literal(expr) == Some(Literal::Any) {
            let value = std::mem::replace(expr, Expr::Value(Value::Null.into()));
            *expr = typed(object, target, field, value)?;
        }
    }
    Ok(())
}

/// Casts the cells of `VALUES` to the types of their columns, which gives parameters their types, too. A column whose cells are all
/// DEFAULT is left out.
fn given(to: Destination<'_>, named: bool, values: &mut Values, untyped: &mut Vec<Untyped>) -> Result<Vec<String>> {
    let Destination { object, target, fields } = to;
    let count = values.rows.first().map_or(0, |row| row.len());
    if values.rows.len() > VALUES_MAX {
        return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many rows in VALUES"));
    }
    if values.rows.iter().any(|row| row.len() != count) {
        return Err(Error::new(ErrorCode::SyntaxError, "VALUES lists must all be the same length"));
    }
    if count > fields.len() {
        return Err(Error::new(ErrorCode::SyntaxError, "INSERT has more expressions than target columns"));
    }
    if count < fields.len() && named {
        return Err(Error::new(ErrorCode::SyntaxError, "INSERT has more target columns than expressions"));
    }
    let mut kept = Vec::new();
    let mut assigned = Vec::new();
    for (place, field) in fields.iter().take(count).enumerate() {
        let defaults = values.rows.iter().filter(|row| row.get(place).is_some_and(is_default)).count();
        if defaults == values.rows.len() {
            continue;
        }
        // Rules give a row without a value its default.
        if defaults > 0 && object.object.field(field).is_none_or(|field| field.default.is_none()) {
            return Err(unsupported("DEFAULT in some rows, of a column whose default the metadata does not say,"));
        }
        kept.push(place);
        assigned.push(field.clone());
    }
    if assigned.is_empty() {
        return Err(unsupported("VALUES of nothing but DEFAULT").with_hint("Write INSERT … DEFAULT VALUES."));
    }
    let mut unknown = Vec::new();
    let mut known = HashSet::new();
    for row in &mut values.rows {
        let cells = std::mem::take(&mut **row);
        let mut cast = Vec::with_capacity(kept.len());
        for (place, cell) in cells.into_iter().enumerate() {
            let Some(field) = kept.iter().position(|kept| *kept == place).and_then(|at| assigned.get(at)) else {
                continue;
            };
            let cell = if is_default(&cell) { Expr::Value(Value::Null.into()) } else { cell };
            let column = object.object.field(field).ok_or_else(|| Error::internal("a column without a field"))?;
            match literal(&cell) {
                Some(literal) => literal.admit(column)?,
                None if known.insert((field.clone(), cell.clone())) => unknown.push((field.clone(), cell.clone())),
                None => {}
            }
            cast.push(typed(object, target, field, cell)?);
        }
        **row = cast;
    }
    for some in unknown.chunks(UNTYPED_AT_ONCE) {
        let (fields, items) = untyped_items(object, some)?;
        let mut query = skeleton("SELECT 1")?;
        let SetExpr::Select(select) = query.body.as_mut() else { return Err(no_skeleton()) };
        select.projection = items;
        untyped.push(Untyped { query, fields });
    }
    Ok(assigned)
}

/// Refuses values that are made of masked columns, and what depends on columns that cannot be looked at again.
pub(super) fn refuse_unseen(
    object: &VisibleObject,
    name: &Ident,
    selection: Option<&Expr>,
    values: &[(String, Expr)],
) -> Result<()> {
    let columns = object.table.columns();
    let own = |qualifier: Option<&str>| qualifier.is_none_or(|qualifier| qualifier == folded(name));
    let row = |qualifier: Option<&str>, word: &str| qualifier.is_none() && word == folded(name);
    let masked = |column: &str| columns.iter().any(|own| own.field.name() == column && own.mask.is_some());
    let unseen: Vec<&String> =
        columns.iter().filter(|own| own.is_stored() && !own.is_viewed()).map(|own| own.field.name()).collect();
    for (_, value) in values {
        if names(value, &|qualifier, word| row(qualifier, word) || (own(qualifier) && masked(word))) {
            let text = "a value cannot be made of a masked column, nor of a whole row";
            return Err(Error::new(ErrorCode::InsufficientPrivilege, text));
        }
    }
    for expr in values.iter().map(|(_, value)| value).chain(selection) {
        let is_unseen = |word: &str| unseen.iter().any(|column| *column == word);
        if names(expr, &|qualifier, word| row(qualifier, word) || (own(qualifier) && is_unseen(word))) {
            return Err(unsupported("a change that depends on a column of such a type, or on a whole row,"));
        }
    }
    Ok(())
}

/// The columns by which a row is known again, and the items that give them.
pub(super) fn seen(object: &VisibleObject, name: &Ident) -> (Vec<usize>, Vec<SelectItem>) {
    let viewed = object.table.columns().iter().enumerate().filter(|(_, column)| column.is_viewed());
    let item = |(at, (place, column)): (usize, (usize, &GovernedColumn))| {
        let expr = Expr::CompoundIdentifier(vec![name.clone(), quoted(column.field.name())]);
        (place, SelectItem::ExprWithAlias { expr, alias: quoted(&format!("c{at}")) })
    };
    viewed.enumerate().map(item).unzip()
}

/// The items that give the statement's values.
pub(super) fn computed(
    object: &VisibleObject,
    target: &WriteTarget,
    values: &[(String, Expr)],
    only: impl Fn(Expr) -> Expr,
) -> Result<Vec<SelectItem>> {
    let item = |(at, (field, value)): (usize, &(String, Expr))| {
        let expr = only(typed(object, target, field, value.clone())?);
        Ok(SelectItem::ExprWithAlias { expr, alias: quoted(&format!("v{at}")) })
    };
    values.iter().enumerate().map(item).collect()
}

fn typed(object: &VisibleObject, target: &WriteTarget, field: &str, value: Expr) -> Result<Expr> {
    let own = target.place(field).and_then(|place| target.fields().get(place)).filter(|own| own.is_writable());
    let declared = object.object.field(field);
    if declared.is_some_and(|declared| declared.field_type == FieldType::Formula) {
        let text = format!("cannot store a value in column \"{field}\" of relation \"{}\"", object.sql_name);
        return Err(Error::new(ErrorCode::GeneratedAlways, text).with_detail("It is computed of other columns."));
    }
    let data_type = own.zip(declared).and_then(|(own, declared)| sql_type(own.value_type(), declared));
    let data_type = data_type.ok_or_else(|| unsupported(&format!("a value for column \"{field}\"")))?;
    Ok(cast_to(value, data_type))
}

/// `SELECT items FROM public.table AS name, from WHERE selection`, built as a tree.
pub(super) fn select(
    table: &str,
    name: &Ident,
    others: &[TableWithJoins],
    items: Vec<SelectItem>,
    selection: Option<Expr>,
) -> Result<Query> {
    call_of("public", table, name, others, items, selection)
}

/// As [`select`], of a table of another schema.
pub(crate) fn call_of(
    schema: &str,
    table: &str,
    name: &Ident,
    others: &[TableWithJoins],
    items: Vec<SelectItem>,
    selection: Option<Expr>,
) -> Result<Query> {
    let mut query = skeleton("SELECT 1 FROM t AS a")?;
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(no_skeleton()) };
    let Some(from) = select.from.first_mut() else { return Err(no_skeleton()) };
    call_in(&mut from.relation, schema, table, name)?;
    select.from.extend_from_slice(others);
    select.projection = items;
    select.selection = selection;
    Ok(query)
}

/// A query of our own words, parts of which are put in afterwards.
pub(crate) fn skeleton(sql: &str) -> Result<Query> {
    let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(Error::internal)?;
    match parsed.pop() {
        Some(Ast::Query(query)) => Ok(*query),
        _ => Err(no_skeleton()),
    }
}

pub(crate) fn no_skeleton() -> Error {
    Error::internal("the skeleton of a query is none")
}

/// Makes a factor with an alias `public.table AS name`.
pub(super) fn call(factor: &mut TableFactor, table: &str, name: &Ident) -> Result<()> {
    call_in(factor, "public", table, name)
}

fn call_in(factor: &mut TableFactor, schema: &str, table: &str, name: &Ident) -> Result<()> {
    let TableFactor::Table { name: relation, alias: Some(TableAlias { name: called, .. }), .. } = factor else {
        return Err(no_skeleton());
    };
    let part = |word: &str| ObjectNamePart::Identifier(quoted(word));
    *relation = ObjectName(vec![part(schema), part(table)]);
    called.clone_from(name);
    Ok(())
}

pub(crate) fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// Whether an expression, or a query in it, names a column that `wanted` says, given what stands before its name.
pub(super) fn names(expr: &Expr, wanted: &dyn Fn(Option<&str>, &str) -> bool) -> bool {
    struct Names<'a>(&'a dyn Fn(Option<&str>, &str) -> bool);
    impl Reader for Names<'_> {
        fn expr(&mut self, expr: &Expr) -> Step {
            let found = match expr {
                Expr::Identifier(ident) => (self.0)(None, &folded(ident)),
                Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                    [.., qualifier, column] => (self.0)(Some(&folded(qualifier)), &folded(column)),
                    [column] => (self.0)(None, &folded(column)),
                    [] => false,
                },
                Expr::QualifiedWildcard(..) | Expr::Wildcard(_) => true,
                _ => false,
            };
            if found { ControlFlow::Break(Stop::Found) } else { ON }
        }
    }
    finds(expr, &mut Names(wanted))
}

/// `SELECT field FROM public.table AS r WHERE field IN ($1, …)`: which of some values a principal finds in a table.
///
/// # Errors
/// Internal: the query cannot be built.
pub(crate) fn existing(table: &str, field: &str, count: usize) -> Result<Query> {
    let called = quoted("r");
    let column = || Expr::CompoundIdentifier(vec![called.clone(), quoted(field)]);
    let parameter = |number: usize| Expr::Value(Value::Placeholder(format!("${number}")).into());
    let selection =
        Expr::InList { expr: Box::new(column()), list: (1..=count).map(parameter).collect(), negated: false };
    let items = vec![SelectItem::ExprWithAlias { expr: column(), alias: quoted("k") }];
    select(table, &called, &[], items, Some(selection))
}

#[cfg(test)]
mod tests;
