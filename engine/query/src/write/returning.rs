//! RETURNING: columns of the changed rows, as the principal reads them, or what is computed of those.

use super::find::select;
use super::intent::{WriteIntent, folded, unsupported};
use crate::bind::statement::Bound;
use crate::bind::system_columns::is_unsupported_system_column;
use crate::write::values::computation::Computation;
use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, SelectItem, SelectItemQualifiedWildcardKind,
};
use querygate_catalog::leaf::GovernedColumn;
use querygate_query_api::column::{Column, column_of};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// What is given back.
#[derive(Debug)]
pub(crate) struct Returning {
    schema: SchemaRef,
    columns: Arc<[Column]>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Indexes of governed columns.
    Columns(Vec<usize>),
    /// `None`: the values of its parameters are not known yet.
    Computed(Option<Computation>),
}

/// RETURNING as it is written.
#[derive(Debug)]
pub(crate) enum Wanted {
    Columns(Returning),
    /// A query over the table, which is to be bound: its expressions are.
    Computed(Box<Query>),
}

impl Wanted {
    /// # Errors
    /// 42703: a column that the principal does not see. 0A000: columns of other tables.
    pub(super) fn of(items: &[SelectItem], intent: &WriteIntent) -> Result<Self> {
        let is_plain = |item: &SelectItem| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => match expr {
                Expr::Identifier(name) => !is_of_system(name, intent),
                Expr::CompoundIdentifier(parts) => !parts.last().is_some_and(|name| is_of_system(name, intent)),
                _ => false,
            },
            SelectItem::ExprWithAliases { .. } => false,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
        };
        if items.iter().all(is_plain) {
            return Returning::of(items, intent).map(Self::Columns);
        }
        if intent.reads_others() {
            return Err(unsupported("RETURNING of expressions beside other tables"));
        }
        let query = select(&intent.object().sql_name, intent.name(), &[], items.to_vec(), None)?;
        Ok(Self::Computed(Box::new(query)))
    }

    /// The query that is to be bound.
    pub(crate) fn query(&self) -> Option<&Query> {
        match self {
            Self::Columns(_) => None,
            Self::Computed(query) => Some(query),
        }
    }
}

impl Returning {
    /// What a bound query computes. `None`: it is only described.
    pub(crate) fn computed(bound: &Bound, computation: Option<Computation>) -> Self {
        Self {
            schema: Arc::clone(bound.schema()),
            columns: Arc::clone(bound.columns()),
            source: Source::Computed(computation),
        }
    }

    fn of(items: &[SelectItem], intent: &WriteIntent) -> Result<Self> {
        let object = intent.object();
        let called = folded(intent.name());
        let mut places = Vec::new();
        let mut fields: Vec<Field> = Vec::new();
        let served = object.table.schema();
        let mut add = |place: usize, alias: Option<String>| -> Result<()> {
            let column = object.table.columns().get(place).filter(|column| column.is_given_back());
            let Some(field) = column.and_then(|_| served.fields().get(place)) else {
                return Err(unsupported("RETURNING of a column of such a type"));
            };
            let name = alias.unwrap_or_else(|| field.name().clone());
            fields.push(field.as_ref().clone().with_name(name).with_nullable(true));
            places.push(place);
            Ok(())
        };
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => add(column(expr, intent, &called)?, None)?,
                SelectItem::ExprWithAlias { expr, alias } => {
                    add(column(expr, intent, &called)?, Some(folded(alias)))?;
                }
                SelectItem::Wildcard(_) if intent.reads_others() => {
                    return Err(unsupported("RETURNING * beside other tables").with_hint("Write table.*."));
                }
                SelectItem::Wildcard(options) if options.to_string().is_empty() => {
                    for place in 0..object.table.columns().len() {
                        add(place, None)?;
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
                    if options.to_string().is_empty() && is_named(name, &called) =>
                {
                    for place in 0..object.table.columns().len() {
                        add(place, None)?;
                    }
                }
                _ => return Err(unsupported("RETURNING of anything but columns")),
            }
        }
        let columns: Vec<Column> = fields.iter().map(column_of).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { schema, columns: columns.into(), source: Source::Columns(places) })
    }

    /// Whether it is the same whatever the statement's values are.
    pub(super) fn is_reusable(&self) -> bool {
        match self.source {
            Source::Columns(_) => true,
            Source::Computed(_) => false,
        }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn columns(&self) -> &Arc<[Column]> {
        &self.columns
    }

    /// Stored rows as the principal reads them.
    ///
    /// # Errors
    /// A mask that cannot be applied.
    pub(crate) fn view(&self, columns: &[GovernedColumn], stored: &RecordBatch) -> Result<RecordBatch> {
        let lost = || Error::internal("a column that is to be given back is not there");
        let places = match &self.source {
            Source::Columns(places) => places,
            Source::Computed(computation) => return computation.as_ref().ok_or_else(lost)?.rows(columns, stored),
        };
        let mut arrays = Vec::with_capacity(places.len());
        for (place, field) in places.iter().zip(self.schema.fields()) {
            let values = columns.get(*place).ok_or_else(lost)?.view(stored)?.ok_or_else(lost)?;
            // A table that is read past its driver may have texts as views, and instants in another unit.
            arrays.push(cast(&values, field.data_type()).map_err(Error::internal)?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(Error::internal)
    }
}

/// The column that an expression names.
fn column(expr: &Expr, intent: &WriteIntent, called: &str) -> Result<usize> {
    let unknown = |name: &str| {
        if intent.reads_others() {
            return unsupported("RETURNING of columns of other tables");
        }
        Error::new(ErrorCode::UndefinedColumn, format!("column {name} does not exist"))
    };
    let name = match expr {
        Expr::Identifier(ident) => folded(ident),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, column] if folded(table) == called => folded(column),
            _ => return Err(unknown(&expr.to_string())),
        },
        _ => return Err(unsupported("RETURNING of anything but columns")),
    };
    let is_it = |column: &GovernedColumn| *column.field.name() == name;
    intent.object().table.columns().iter().position(is_it).ok_or_else(|| unknown(&name))
}

/// Whether a name is a system column's, which the table has no column of: a query knows what there is of those.
fn is_of_system(name: &Ident, intent: &WriteIntent) -> bool {
    let name = folded(name);
    let is_own = || intent.object().table.columns().iter().any(|column| *column.field.name() == name);
    (name == "tableoid" || is_unsupported_system_column(&name)) && !is_own()
}

/// Whether a name is that of the table.
fn is_named(name: &ObjectName, called: &str) -> bool {
    matches!(name.0.as_slice(), [ObjectNamePart::Identifier(ident)] if folded(ident) == called)
}

#[cfg(test)]
mod tests;
