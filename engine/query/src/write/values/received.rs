//! Values that come in other types than those of their columns: cast as a query's values are that an INSERT stores, by the same functions,
//! and refused with the same words.

use super::analyzed::Analyzed;
use super::assignment::{admit, is_stored_as};
use crate::errors::{Stage, translate};
use crate::write::target::Targeted;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Column, DFSchema, DFSchemaRef};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Cast, EmptyRelation, Expr, LogicalPlan, Projection};
use datafusion::physical_plan::PhysicalExpr;
use querygate_query_api::column::{PG_TYPE_KEY, pg_type_of};
use querygate_query_api::own_names;
use querygate_semantics as semantics;
use querygate_types::{Error, PgType, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// The casts of a client's columns, made once for all of its rows.
#[derive(Debug)]
pub(crate) struct Received {
    /// `None`: the column's values are stored as they come.
    casts: Vec<Option<Arc<dyn PhysicalExpr>>>,
}

impl Received {
    /// `given`: the columns as they come, in the order of those that they fill.
    ///
    /// # Errors
    /// 42804: a column takes no values of such a type without an explicit cast.
    pub(crate) fn of(given: &Schema, targeted: &Targeted, state: &SessionState) -> Result<Self> {
        let (table, object) = (targeted.table(), &targeted.intent().object().object);
        let lost = || Error::internal("rows fill a column that their table has not");
        let mut casts = Vec::with_capacity(given.fields().len());
        for (given, name) in given.fields().iter().zip(targeted.assigned()) {
            let field = object.field(name).ok_or_else(lost)?;
            let own = table.place(name).and_then(|place| table.fields().get(place)).ok_or_else(lost)?;
            let wanted = own.value_type().to_arrow();
            if is_kept(given.data_type(), &wanted) {
                casts.push(None);
                continue;
            }
            admit(pg_type_of(given), field)?;
            let to = Field::new("", wanted.clone(), true);
            let to = match field.pg_type() {
                // Their values are texts whose form the cast proves.
                named @ (PgType::Json | PgType::Jsonb | PgType::Uuid) if wanted == DataType::Utf8 => {
                    to.with_metadata(HashMap::from([(PG_TYPE_KEY.to_owned(), named.name().to_owned())]))
                }
                _ => to,
            };
            casts.push(Some(cast(given, to, state)?));
        }
        Ok(Self { casts })
    }

    /// The rows before the first whose values are none of their columns, cast, and what is wrong with that one.
    ///
    /// # Errors
    /// Whatever is about no row.
    pub(crate) fn sound(&self, rows: &RecordBatch) -> Result<(RecordBatch, Option<Error>)> {
        let mut wrong = match self.cast(rows) {
            Ok(cast) => return Ok((cast, None)),
            Err(error) => error,
        };
        let (mut sound, mut end) = (0, rows.num_rows());
        while end - sound > 1 {
            let half = (end - sound) / 2;
            match self.cast(&rows.slice(sound, half)) {
                Ok(_) => sound += half,
                Err(error) => {
                    end = sound + half;
                    wrong = error;
                }
            }
        }
        if end > sound {
            // Of the one row alone.
            wrong = self.cast(&rows.slice(sound, 1)).err().unwrap_or(wrong);
        }
        Ok((self.cast(&rows.slice(0, sound))?, Some(wrong)))
    }

    fn cast(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        if self.casts.iter().all(Option::is_none) {
            return Ok(rows.clone());
        }
        let count = rows.num_rows();
        let mut fields = Vec::with_capacity(rows.num_columns());
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(rows.num_columns());
        for ((field, array), cast) in rows.schema().fields().iter().zip(rows.columns()).zip(&self.casts) {
            let array = match cast {
                Some(cast) => {
                    let one = batch(
                        vec![Field::new(own_names::place(0), array.data_type().clone(), true)],
                        vec![Arc::clone(array)],
                        count,
                    )?;
                    let made = cast.evaluate(&one).and_then(|value| value.into_array(count));
                    made.map_err(|error| translate(&error, Stage::Execute))?
                }
                None => Arc::clone(array),
            };
            fields.push(Field::new(field.name(), array.data_type().clone(), true));
            arrays.push(array);
        }
        batch(fields, arrays, count)
    }
}

fn batch(fields: Vec<Field>, arrays: Vec<ArrayRef>, count: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(Error::internal)
}

/// Whether an array is stored with no change of its values' type of SQL.
fn is_kept(given: &DataType, wanted: &DataType) -> bool {
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_binary = |t: &DataType| matches!(t, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    given.is_null()
        || is_stored_as(given, wanted)
        || (is_text(given) && is_text(wanted))
        || (is_binary(given) && is_binary(wanted))
        || matches!((given, wanted), (DataType::List(given), DataType::List(wanted)) if given.data_type() == wanted.data_type())
}

/// The cast of a column, bound and analyzed as that of a query.
fn cast(given: &Field, to: Field, state: &SessionState) -> Result<Arc<dyn PhysicalExpr>> {
    let name = own_names::place(0);
    let own = Field::new(&name, given.data_type().clone(), true);
    let input: DFSchemaRef = Arc::new(
        DFSchema::new_with_metadata(vec![(None, Arc::new(own))], HashMap::new())
            .map_err(|error| translate(&error, Stage::Plan))?,
    );
    let value = Expr::Column(Column::new_unqualified(name));
    let value = Expr::Cast(Cast { expr: Box::new(value), field: Arc::new(to) });
    let rows = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema: Arc::clone(&input) });
    let plan = Projection::try_new(vec![value], Arc::new(rows)).map(LogicalPlan::Projection);
    let plan = plan.and_then(|plan| semantics::bound(plan, state.config_options()));
    let plan = plan.map_err(|error| translate(&error, Stage::Plan))?;
    let bound = match plan {
        LogicalPlan::Projection(Projection { mut expr, .. }) => expr.pop(),
        _ => None,
    };
    let bound = bound.ok_or_else(|| Error::internal("a cast is no expression when it is bound"))?;
    Analyzed::of(&bound.unalias(), &input, state)?.physical(state)
}

#[cfg(test)]
mod tests;
