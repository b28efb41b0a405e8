//! `INSERT … VALUES ($1, …)` for many sets of values: the sets are the new rows themselves.

use crate::write::intent::RowSource;
use crate::write::target::{Form, Targeted};
use crate::write::values::assignment::is_stored_as;
use crate::write::values::texts::in_form;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use datafusion::sql::sqlparser::ast::{Expr, SetExpr, Statement as Ast, Value};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// Places of the parameters that are the cells of the one row of VALUES. `None`: the statement computes its rows.
pub(crate) fn cells(ast: &Ast) -> Option<Vec<usize>> {
    let Ast::Insert(insert) = ast else { return None };
    let query = insert.source.as_deref()?;
    let is_bare =
        query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    let SetExpr::Values(values) = query.body.as_ref() else { return None };
    let ([row], true) = (values.rows.as_slice(), is_bare) else { return None };
    let place = |cell: &Expr| match cell {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        _ => None,
    };
    row.iter().map(place).collect()
}

/// The new rows. `None`: a value must be cast, or the change is more than an insert: it runs set by set.
///
/// # Errors
/// 22P02: a text that is no value of its column's type.
pub(crate) fn rows(targeted: &Targeted, cells: &[usize], parameters: &[ArrayRef]) -> Result<Option<RecordBatch>> {
    let (Form::Plain, RowSource::Given { .. }, None) =
        (targeted.form(), targeted.intent().rows(), targeted.returning())
    else {
        return Ok(None);
    };
    let assigned = targeted.assigned();
    if assigned.len() != cells.len() {
        return Ok(None);
    }
    let (table, object) = (targeted.table(), &targeted.intent().object().object);
    let mut columns: Vec<(Field, ArrayRef)> = Vec::with_capacity(cells.len());
    for (name, cell) in assigned.iter().zip(cells) {
        let own = table.place(name).and_then(|place| table.fields().get(place)).zip(object.field(name));
        let (Some((own, field)), Some(values)) = (own, parameters.get(*cell)) else { return Ok(None) };
        if !is_stored_as(values.data_type(), &own.value_type().to_arrow()) {
            return Ok(None);
        }
        let values = in_form(Arc::clone(values), field)?;
        columns.push((Field::new(name, values.data_type().clone(), true), values));
    }
    let count = parameters.first().map_or(0, |values| values.len());
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options);
    batch.map(Some).map_err(Error::internal)
}

#[cfg(test)]
mod tests;
