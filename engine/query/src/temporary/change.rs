//! A change of a temporary table as a query: what its rows are made of, or which of them it changes to what.

use super::definition::Definition;
use super::tables::{TemporaryKind, TemporaryRelation, TemporaryRelations};
use crate::temporary_rows::ROW;
use crate::write::find::{call_of, is_default, no_skeleton, skeleton};
use crate::write::intent::assignments::each;
use crate::write::intent::forms::{plain_delete, plain_insert, plain_truncate, plain_update, target_name};
use crate::write::intent::{cells, quoted, refuse_named_twice, refuse_twice, unsupported, words};
use crate::write::values::assignment::{Literal, cast_to, is_assigned_type, literal};
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Expr, Ident, Insert, ObjectName, Query, SelectItem, SetExpr, Statement as Ast,
    TableAlias, TableAliasColumnDef, TableFactor, TableObject, TableWithJoins, Value, Values,
};
use querygate_catalog::image::TEMPORARY;
use querygate_query_api::column::Column;
use querygate_query_api::own_names::place;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// Schemas that no statement of a client can name: tables with the numbers of their rows, and the rows of the last change.
pub(crate) const NUMBERED: &str = "\u{1}temporary rows";
pub(crate) const CHANGED: &str = "\u{1}temporary changes";

/// What the values of a query become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TemporaryAction {
    /// New rows, whose values are for these columns.
    Insert(Vec<usize>),
    /// New values of these columns, behind the number of each row.
    Update(Vec<usize>),
    /// The numbers of rows that go.
    Delete,
    /// All rows go.
    Truncate,
}

#[derive(Debug, Clone)]
pub(crate) struct TemporaryChange {
    pub(crate) id: u64,
    pub(crate) table: String,
    pub(crate) definition: Arc<Definition>,
    pub(crate) action: TemporaryAction,
    /// Whose columns are the values, not yet of the columns' types. `None`: there is nothing to ask.
    pub(crate) source: Option<Query>,
    /// Whether a column was named for each value.
    named: bool,
    pub(crate) returning: Option<Query>,
}

/// The temporary relation that a name means; `None`: it means something else. `own`: the session's own name of the schema.
///
/// # Errors
/// 42P01: the name is of the schema of temporary tables, which has none such.
pub(crate) fn relation_named<'a>(
    name: &ObjectName,
    relations: &'a TemporaryRelations,
    own: &str,
) -> Result<Option<&'a TemporaryRelation>> {
    let words = words(name)?;
    match words.as_slice() {
        [table] => Ok(relations.named(table)),
        [schema, table] if schema == TEMPORARY || schema == own => match relations.named(table) {
            Some(relation) => Ok(Some(relation)),
            None => {
                Err(Error::new(ErrorCode::UndefinedTable, format!("relation \"{}\" does not exist", words.join("."))))
            }
        },
        _ => Ok(None),
    }
}

/// The table that a statement changes, and what it calls it.
///
/// # Errors
/// 0A000: it changes something else than one table.
pub(crate) fn changed_name(ast: &Ast) -> Result<(&ObjectName, Option<&Ident>)> {
    match ast {
        Ast::Insert(Insert { table: TableObject::TableName(name), table_alias, .. }) => {
            Ok((name, table_alias.as_ref().map(|alias| &alias.alias)))
        }
        Ast::Update(update) => target_name(&update.table),
        Ast::Delete(delete) => target_name(plain_delete(delete)?.0),
        Ast::Truncate(truncate) => plain_truncate(truncate).map(|name| (name, None)),
        Ast::Merge(merge) => match &merge.table {
            TableFactor::Table { name, alias, .. } => Ok((name, alias.as_ref().map(|alias| &alias.name))),
            _ => Err(unsupported("this target of MERGE")),
        },
        _ => Err(unsupported("this change")),
    }
}

impl TemporaryChange {
    /// A change of that relation, which the statement names.
    ///
    /// # Errors
    /// 42809: it is a view. 42703, 42601: columns that there are not, or too many values. 0A000: a form that temporary tables do not take.
    pub(crate) fn of(ast: &Ast, relation: &TemporaryRelation, called: Option<&Ident>) -> Result<Self> {
        let TemporaryKind::Table { definition, .. } = &relation.kind else {
            let text = format!("cannot change view \"{}\"", relation.name);
            return Err(Error::new(ErrorCode::WrongObjectType, text));
        };
        let called = called.cloned().unwrap_or_else(|| quoted(&relation.name));
        let table = TableOf { name: &relation.name, called: &called, definition };
        let (action, source, returning, named) = match ast {
            Ast::Insert(insert) => {
                plain_insert(insert)?;
                if insert.on.is_some() {
                    return Err(unsupported("ON CONFLICT of a temporary table"));
                }
                let (columns, named) = table.inserted(insert)?;
                let source = insert.source.as_deref().map(|query| table.typed(query, &columns, named)).transpose()?;
                (TemporaryAction::Insert(columns), source, &insert.returning, named)
            }
            Ast::Update(update) => {
                let from = plain_update(update)?;
                let (columns, values) = table.assigned(&update.assignments)?;
                let source = table.found(&from, update.selection.as_ref(), values)?;
                (TemporaryAction::Update(columns), Some(source), &update.returning, true)
            }
            Ast::Delete(delete) => {
                let (_, using) = plain_delete(delete)?;
                let source = table.found(using, delete.selection.as_ref(), Vec::new())?;
                (TemporaryAction::Delete, Some(source), &delete.returning, true)
            }
            Ast::Truncate(_) => (TemporaryAction::Truncate, None, &None, true),
            _ => return Err(unsupported("MERGE into a temporary table")),
        };
        let returning = match returning {
            None => None,
            Some(items) => Some(call_of(CHANGED, table.name, table.called, &[], items.clone(), None)?),
        };
        Ok(Self {
            id: relation.id,
            table: relation.name.clone(),
            definition: Arc::clone(definition),
            action,
            source,
            named,
            returning,
        })
    }

    /// Rows that come for these columns; of none, for all.
    ///
    /// # Errors
    /// 42809: it is a view. 42703: a column that there is not.
    pub(crate) fn of_rows(relation: &TemporaryRelation, columns: &[Ident]) -> Result<(Arc<Definition>, Vec<usize>)> {
        let TemporaryKind::Table { definition, .. } = &relation.kind else {
            let text = format!("cannot copy to view \"{}\"", relation.name);
            return Err(Error::new(ErrorCode::WrongObjectType, text));
        };
        let table = TableOf { name: &relation.name, called: &quoted(&relation.name), definition };
        let named: Vec<ObjectName> = columns.iter().map(|column| ObjectName::from(vec![column.clone()])).collect();
        let places = if named.is_empty() { (0..definition.columns().len()).collect() } else { table.places(&named)? };
        Ok((Arc::clone(definition), places))
    }

    /// The query that is run: values of the columns' own types. `found`: the columns of the source.
    ///
    /// # Errors
    /// 42601: too many values, or too few. 42804: a value that the column does not take without a cast.
    pub(crate) fn query(&self, found: &[Column]) -> Result<Option<Query>> {
        let columns = self.definition.columns();
        let (first, assigned) = match &self.action {
            TemporaryAction::Truncate => return Ok(None),
            TemporaryAction::Delete => return Ok(self.source.clone()),
            TemporaryAction::Update(assigned) => (1, assigned),
            TemporaryAction::Insert(assigned) => (0, assigned),
        };
        let values = found.get(first..).unwrap_or_default();
        refuse_count(values.len(), assigned.len(), self.named)?;
        for (value, place) in values.iter().zip(assigned) {
            let Some(column) = columns.get(*place) else { continue };
            if !is_assigned_type(value.pg_type, column.pg_type) {
                let (own, other) = (column.pg_type.sql_name(), value.pg_type.sql_name());
                let text = format!("column \"{}\" is of type {own} but expression is of type {other}", column.name);
                return Err(Error::new(ErrorCode::DatatypeMismatch, text)
                    .with_hint("You will need to rewrite or cast the expression."));
            }
        }
        let of = |at: usize| Expr::CompoundIdentifier(vec![quoted(CHANGED), quoted(&place(at))]);
        let item = |expr: Expr, name: &str| SelectItem::ExprWithAlias { expr, alias: quoted(name) };
        let mut items = Vec::new();
        match &self.action {
            TemporaryAction::Update(assigned) => {
                items.push(item(of(0), ROW));
                for (at, column) in
                    assigned.iter().enumerate().filter_map(|(at, place)| Some((at, columns.get(*place)?)))
                {
                    items.push(item(cast_to(of(at + 1), column.sql_type.clone()), &column.name));
                }
            }
            TemporaryAction::Insert(assigned) => {
                for (own, column) in columns.iter().enumerate() {
                    let given = assigned.iter().take(values.len()).position(|place| *place == own);
                    let value = match given {
                        Some(at) => of(at),
                        None => column.default.clone().unwrap_or_else(null),
                    };
                    items.push(item(cast_to(value, column.sql_type.clone()), &column.name));
                }
            }
            TemporaryAction::Delete | TemporaryAction::Truncate => {}
        }
        let source = self.source.as_ref().map(|source| (source, found.len()));
        over(source, items).map(Some)
    }
}

struct TableOf<'a> {
    name: &'a str,
    called: &'a Ident,
    definition: &'a Definition,
}

impl TableOf<'_> {
    fn place(&self, name: &ObjectName) -> Result<usize> {
        let words = words(name)?;
        let place = match words.as_slice() {
            [word] => self.definition.place(word),
            _ => None,
        };
        place.ok_or_else(|| {
            let text = format!("column \"{}\" of relation \"{}\" does not exist", words.join("."), self.name);
            Error::new(ErrorCode::UndefinedColumn, text)
        })
    }

    fn places(&self, names: &[ObjectName]) -> Result<Vec<usize>> {
        let places = names.iter().map(|name| self.place(name)).collect::<Result<Vec<_>>>()?;
        refuse_named_twice(&self.names(&places))?;
        Ok(places)
    }

    fn names(&self, places: &[usize]) -> Vec<String> {
        let columns = self.definition.columns();
        places.iter().filter_map(|place| columns.get(*place)).map(|column| column.name.clone()).collect()
    }

    /// The columns that get values, and whether they are named.
    fn inserted(&self, insert: &Insert) -> Result<(Vec<usize>, bool)> {
        if insert.source.is_none() {
            return Ok((Vec::new(), true));
        }
        if insert.columns.is_empty() {
            return Ok(((0..self.definition.columns().len()).collect(), false));
        }
        Ok((self.places(&insert.columns)?, true))
    }

    /// A query whose texts and parameters have the types of the columns that they are for, and DEFAULT its value.
    fn typed(&self, query: &Query, places: &[usize], named: bool) -> Result<Query> {
        let mut query = query.clone();
        let columns = self.definition.columns();
        let own = |at: usize| places.get(at).and_then(|place| columns.get(*place));
        let typed = |at: usize, expr: &mut Expr| {
            let Some(column) = own(at) else { return };
            if literal(expr) == Some(Literal::Any) {
                *expr = cast_to(expr.clone(), column.sql_type.clone());
            }
        };
        if let Some(Values { rows, .. }) = cells(&mut query) {
            for row in rows {
                refuse_count(row.len(), places.len(), named)?;
                for (at, cell) in row.iter_mut().enumerate() {
                    if is_default(cell)
                        && let Some(column) = own(at)
                    {
                        let default = column.default.clone().unwrap_or_else(null);
                        *cell = cast_to(default, column.sql_type.clone());
                    }
                    typed(at, cell);
                }
            }
        } else if let SetExpr::Select(select) = query.body.as_mut() {
            for (at, item) in select.projection.iter_mut().enumerate() {
                match item {
                    SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => typed(at, expr),
                    // What follows has other places.
                    SelectItem::ExprWithAliases { .. }
                    | SelectItem::Wildcard(_)
                    | SelectItem::QualifiedWildcard(..) => break,
                }
            }
        }
        Ok(query)
    }

    fn assigned(&self, assignments: &[Assignment]) -> Result<(Vec<usize>, Vec<Expr>)> {
        let (mut places, mut values) = (Vec::new(), Vec::new());
        for assignment in assignments {
            match &assignment.target {
                AssignmentTarget::ColumnName(column) => {
                    places.push(self.place(column)?);
                    values.push(assignment.value.clone());
                }
                AssignmentTarget::Tuple(columns) => {
                    for (column, value) in columns.iter().zip(each(&assignment.value, columns.len())?) {
                        places.push(self.place(column)?);
                        values.push(value);
                    }
                }
            }
        }
        refuse_twice(&self.names(&places))?;
        let columns = self.definition.columns();
        let typed = places.iter().zip(values).map(|(place, value)| match columns.get(*place) {
            Some(column) if is_default(&value) => {
                cast_to(column.default.clone().unwrap_or_else(null), column.sql_type.clone())
            }
            Some(column) if literal(&value) == Some(Literal::Any) => cast_to(value, column.sql_type.clone()),
            Some(_) | None => value,
        });
        let values = typed.collect();
        Ok((places, values))
    }

    /// The numbers of the rows that meet a condition, with values of each.
    fn found(&self, others: &[TableWithJoins], selection: Option<&Expr>, values: Vec<Expr>) -> Result<Query> {
        let row = Expr::CompoundIdentifier(vec![self.called.clone(), quoted(ROW)]);
        let items = [row].into_iter().chain(values).enumerate();
        let items = items.map(|(at, expr)| SelectItem::ExprWithAlias { expr, alias: quoted(&place(at)) });
        call_of(NUMBERED, self.name, self.called, others, items.collect(), selection.cloned())
    }
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

fn refuse_count(values: usize, columns: usize, named: bool) -> Result<()> {
    let text = match values.cmp(&columns) {
        std::cmp::Ordering::Greater => "INSERT has more expressions than target columns",
        std::cmp::Ordering::Less if named => "INSERT has more target columns than expressions",
        std::cmp::Ordering::Less | std::cmp::Ordering::Equal => return Ok(()),
    };
    Err(Error::new(ErrorCode::SyntaxError, text))
}

/// `SELECT items FROM (source) AS …`, where there is a source of that many columns.
fn over(source: Option<(&Query, usize)>, items: Vec<SelectItem>) -> Result<Query> {
    let mut query = skeleton(if source.is_some() { "SELECT 1 FROM t" } else { "SELECT 1" })?;
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(no_skeleton()) };
    if let Some((source, count)) = source {
        let Some(from) = select.from.first_mut() else { return Err(no_skeleton()) };
        let columns = (0..count).map(|at| TableAliasColumnDef { name: quoted(&place(at)), data_type: None });
        let alias = TableAlias { explicit: true, name: quoted(CHANGED), columns: columns.collect(), at: None };
        let subquery = Box::new(source.clone());
        from.relation = TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None };
    }
    select.projection = items;
    Ok(query)
}
