//! RETURNING: columns of the changed rows, as the principal reads them. Computes nothing.

use super::intent::{RowSource, WriteIntent, folded, unsupported};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::sql::sqlparser::ast::{Expr, SelectItem};
use querygate_catalog::VisibleObject;
use querygate_catalog::leaf::GovernedColumn;
use querygate_query_api::{Column, column_of};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// The columns that are given back.
#[derive(Debug)]
pub(crate) struct Returning {
    /// Indexes of governed columns.
    places: Vec<usize>,
    schema: SchemaRef,
    columns: Arc<[Column]>,
}

impl Returning {
    /// # Errors
    /// 42703: a column that the principal does not see. 0A000: anything that is to be computed.
    pub(super) fn of(items: &[SelectItem], intent: &WriteIntent) -> Result<Self> {
        let object = intent.object();
        let called = match intent.rows() {
            RowSource::Found { name, .. } => folded(name),
            RowSource::Given { .. } => object.sql_name.clone(),
        };
        let mut places = Vec::new();
        let mut fields: Vec<Field> = Vec::new();
        let served = object.table.schema();
        let mut add = |place: usize, alias: Option<String>| -> Result<()> {
            let column = object.table.columns().get(place).filter(|column| column.is_viewed());
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
                SelectItem::UnnamedExpr(expr) => add(column(expr, object, &called)?, None)?,
                SelectItem::ExprWithAlias { expr, alias } => {
                    add(column(expr, object, &called)?, Some(folded(alias)))?;
                }
                SelectItem::Wildcard(options) if options.to_string().is_empty() => {
                    for place in 0..object.table.columns().len() {
                        add(place, None)?;
                    }
                }
                _ => return Err(unsupported("RETURNING of anything but columns")),
            }
        }
        let columns: Vec<Column> = fields.iter().map(column_of).collect();
        Ok(Self { places, schema: Arc::new(Schema::new(fields)), columns: columns.into() })
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
        let mut arrays = Vec::with_capacity(self.places.len());
        for place in &self.places {
            arrays.push(columns.get(*place).ok_or_else(lost)?.view(stored)?.ok_or_else(lost)?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(Error::internal)
    }
}

/// The column that an expression names.
fn column(expr: &Expr, object: &VisibleObject, called: &str) -> Result<usize> {
    let name = match expr {
        Expr::Identifier(ident) => folded(ident),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, column] if folded(table) == called => folded(column),
            _ => return Err(unknown(&expr.to_string())),
        },
        _ => return Err(unsupported("RETURNING of anything but columns")),
    };
    let is_it = |column: &GovernedColumn| *column.field.name() == name;
    object.table.columns().iter().position(is_it).ok_or_else(|| unknown(&name))
}

fn unknown(name: &str) -> Error {
    Error::new(ErrorCode::UndefinedColumn, format!("column {name} does not exist"))
}
