//! The query that finds the rows of a change: an ordinary governed query over what the principal reads, with the values that the
//! statement computes of each row beside it.

use super::assignment::{cast_to, sql_type};
use super::intent::{RowSource, WriteIntent, folded, plain_values, quoted, unsupported};
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, ObjectName, ObjectNamePart, Query, SelectItem, SetExpr, Statement as Ast, TableAlias,
    TableFactor, Value,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use querygate_catalog::VisibleObject;
use querygate_catalog::leaf::GovernedColumn;
use querygate_catalog::write::WriteTarget;
use querygate_types::{Error, ErrorCode, Result};
use std::ops::ControlFlow;

/// Rows of one `VALUES`, at most.
const VALUES_MAX: usize = 100_000;

/// A query whose columns are: what was seen of each row, then a value for each assigned field.
#[derive(Debug, Clone)]
pub(crate) struct Find {
    pub(crate) query: Query,
    /// Indexes of the governed columns that come first: the keys among them.
    pub(crate) seen: Vec<usize>,
    /// Fields of the values after them.
    pub(crate) assigned: Vec<String>,
}

/// The query of an intent; `None`: one row of defaults.
///
/// # Errors
/// 0A000: a value that cannot be stored, or a condition on a column that cannot be looked at again. 42501: a value made of a masked
/// one. 42601: too many or too few values.
pub(crate) fn find(intent: &WriteIntent, target: &WriteTarget) -> Result<Option<Find>> {
    match intent.rows() {
        RowSource::Given { query: None, .. } => Ok(None),
        RowSource::Given { fields, named, query: Some(query) } => {
            let mut query = query.as_ref().clone();
            let assigned = match plain_values(&mut query) {
                Some(values) => given(intent.object(), target, (fields, *named), values)?,
                None => fields.clone(),
            };
            Ok(Some(Find { query, seen: Vec::new(), assigned }))
        }
        RowSource::Found { name, selection, values } => {
            found(intent.object(), target, name, selection.as_ref(), values).map(Some)
        }
    }
}

/// Casts the cells of `VALUES` to the types of their columns, which gives parameters their types, too. A column whose cells are all
/// DEFAULT is left out.
fn given(
    object: &VisibleObject,
    target: &WriteTarget,
    (fields, named): (&[String], bool),
    values: &mut datafusion::sql::sqlparser::ast::Values,
) -> Result<Vec<String>> {
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
        if defaults > 0 {
            return Err(unsupported("DEFAULT in some rows of a column and values in others"));
        }
        kept.push(place);
        assigned.push(field.clone());
    }
    if assigned.is_empty() {
        return Err(unsupported("VALUES of nothing but DEFAULT").with_hint("Write INSERT … DEFAULT VALUES."));
    }
    for row in &mut values.rows {
        let cells = std::mem::take(&mut **row);
        let mut cast = Vec::with_capacity(kept.len());
        for (place, cell) in cells.into_iter().enumerate() {
            if let Some(field) = kept.iter().position(|kept| *kept == place).and_then(|at| assigned.get(at)) {
                cast.push(typed(object, target, field, cell)?);
            }
        }
        **row = cast;
    }
    Ok(assigned)
}

fn found(
    object: &VisibleObject,
    target: &WriteTarget,
    name: &Ident,
    selection: Option<&Expr>,
    values: &[(String, Expr)],
) -> Result<Find> {
    let columns = object.table.columns();
    let masked = |column: &str| columns.iter().any(|own| own.field.name() == column && own.mask.is_some());
    let unseen: Vec<&String> =
        columns.iter().filter(|own| own.is_stored() && !own.is_viewed()).map(|own| own.field.name()).collect();
    for (_, value) in values {
        if is_default(value) {
            return Err(unsupported("SET … = DEFAULT"));
        }
        if names(value, &|word| masked(word) || word == folded(name)) {
            let text = "a value cannot be made of a masked column, nor of a whole row";
            return Err(Error::new(ErrorCode::InsufficientPrivilege, text));
        }
    }
    for expr in values.iter().map(|(_, value)| value).chain(selection) {
        if names(expr, &|word| unseen.iter().any(|column| *column == word) || word == folded(name)) {
            return Err(unsupported("a change that depends on a column of such a type, or on a whole row,"));
        }
    }
    let seen: Vec<usize> =
        (0..columns.len()).filter(|at| columns.get(*at).is_some_and(GovernedColumn::is_viewed)).collect();
    let mut items = Vec::with_capacity(seen.len() + values.len());
    for (at, column) in seen.iter().enumerate() {
        let Some(column) = columns.get(*column) else { continue };
        let expr = Expr::CompoundIdentifier(vec![name.clone(), quoted(column.field.name())]);
        items.push(SelectItem::ExprWithAlias { expr, alias: quoted(&format!("c{at}")) });
    }
    for (at, (field, value)) in values.iter().enumerate() {
        let expr = typed(object, target, field, value.clone())?;
        items.push(SelectItem::ExprWithAlias { expr, alias: quoted(&format!("v{at}")) });
    }
    let query = select(&object.sql_name, name, items, selection.cloned())?;
    Ok(Find { query, seen, assigned: values.iter().map(|(field, _)| field.clone()).collect() })
}

fn typed(object: &VisibleObject, target: &WriteTarget, field: &str, value: Expr) -> Result<Expr> {
    let own = target.place(field).and_then(|place| target.fields().get(place)).filter(|own| own.is_writable());
    let declared = object.object.field(field);
    let data_type = own.zip(declared).and_then(|(own, declared)| sql_type(own.value_type(), declared));
    let data_type = data_type.ok_or_else(|| unsupported(&format!("a value for column \"{field}\"")))?;
    Ok(cast_to(value, data_type))
}

/// `SELECT items FROM public.table AS name WHERE selection`, built as a tree.
fn select(table: &str, name: &Ident, items: Vec<SelectItem>, selection: Option<Expr>) -> Result<Query> {
    let skeleton = || Error::internal("the skeleton of a query is none");
    let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT 1 FROM t AS a").map_err(Error::internal)?;
    let Some(Ast::Query(mut query)) = parsed.pop() else { return Err(skeleton()) };
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(skeleton()) };
    let Some(from) = select.from.first_mut() else { return Err(skeleton()) };
    let TableFactor::Table { name: relation, alias, .. } = &mut from.relation else { return Err(skeleton()) };
    let part = |word: &str| ObjectNamePart::Identifier(quoted(word));
    *relation = ObjectName(vec![part("public"), part(table)]);
    let Some(TableAlias { name: called, .. }) = alias.as_mut() else { return Err(skeleton()) };
    called.clone_from(name);
    select.projection = items;
    select.selection = selection;
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    Ok(*query)
}

fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// Whether an expression, or a query in it, names a column that `wanted` says.
fn names(expr: &Expr, wanted: &dyn Fn(&str) -> bool) -> bool {
    struct Names<'a>(&'a dyn Fn(&str) -> bool);
    impl Reader for Names<'_> {
        fn expr(&mut self, expr: &Expr) -> Step {
            let last = match expr {
                Expr::Identifier(ident) => Some(ident),
                Expr::CompoundIdentifier(parts) => parts.last(),
                _ => None,
            };
            let whole = matches!(expr, Expr::QualifiedWildcard(..) | Expr::Wildcard(_));
            if whole || last.is_some_and(|ident| (self.0)(&folded(ident))) {
                return ControlFlow::Break(Stop::Found);
            }
            ON
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
    select(table, &called, vec![SelectItem::ExprWithAlias { expr: column(), alias: quoted("k") }], Some(selection))
}
