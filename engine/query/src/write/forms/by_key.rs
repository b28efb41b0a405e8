//! A change of the row that a statement names by the table's whole key. It is locked at once, and what the statement computes of it is
//! computed in the gate: no query finds it first, and none has to be looked at again. The source is asked for the key under the policies
//! alone, so that no expression of the statement meets a hidden row.

use crate::bind::statement::Bound;
use crate::write::target::{Form, Targeted};
use crate::write::values::computation::Computation;
use crate::write::values::computation::template::Template;
use arrow::array::{ArrayRef, RecordBatch};
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use querygate_catalog::write::LockedRead;
use querygate_driver_api::value::Value;
use querygate_metadata::model::Field;
use querygate_policy::RowFilter;
use querygate_policy::write::WriteOperation;
use querygate_types::{Error, ErrorCode, Result};

/// How one row is locked, and what is computed of it.
#[derive(Debug)]
pub(crate) struct ByKey {
    read: LockedRead,
    computation: Computation,
}

impl ByKey {
    /// `None`: the rows of the change are to be found by its query.
    ///
    /// # Errors
    /// A value that does not fit.
    pub(crate) fn of(
        targeted: &Targeted,
        bound: &Bound,
        given: &[ArrayRef],
        state: &SessionState,
    ) -> Result<Option<Self>> {
        if !locks_at_once(targeted) {
            return Ok(None);
        }
        let (table, columns) = (targeted.table(), targeted.intent().object().table.columns());
        let values = bound.values(given)?;
        let template = targeted.native().template(|| Template::of(bound, state, columns));
        let computed = match template.map(|template| template.with(&values)).transpose()?.flatten() {
            Some(computed) => Some(computed),
            None => Computation::where_equal(bound, values, state, columns)?,
        };
        let Some((computation, equal)) = computed else { return Ok(None) };
        if equal.len() != table.key().len() {
            return Ok(None);
        }
        let mut key = Vec::with_capacity(equal.len());
        for place in table.key() {
            let is_it =
                |(column, _): &&(usize, ScalarValue)| columns.get(*column).is_some_and(|column| column.is_raw(*place));
            let Some((_, value)) = equal.iter().find(is_it) else { return Ok(None) };
            key.push(Value::from_array(value.to_array().map_err(Error::internal)?.as_ref(), 0)?);
        }
        let shown = || RowFilter::And(vec![targeted.permit().target().clone(), targeted.readable().clone()]);
        if let Some(read) = targeted.native().target(table, &key, shown)? {
            return Ok(Some(Self { read, computation }));
        }
        match table.having(table.key(), &[key], &shown()) {
            Ok(read) => Ok(Some(Self { read, computation })),
            Err(error) if error.code() == ErrorCode::FeatureNotSupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(in crate::write) fn read(&self) -> &LockedRead {
        &self.read
    }

    /// Of locked rows, what the change's query would have found.
    ///
    /// # Errors
    /// What an expression says of a row.
    pub(in crate::write) fn found(&self, targeted: &Targeted, stored: &RecordBatch) -> Result<RecordBatch> {
        self.computation.rows(targeted.intent().object().table.columns(), stored)
    }
}

/// Whether nothing has to be known of a row before it is locked. A reference is looked up as the principal, who has no lock.
fn locks_at_once(targeted: &Targeted) -> bool {
    let changes_rows = match targeted.operation() {
        WriteOperation::Insert => false,
        WriteOperation::Update | WriteOperation::Delete => true,
    };
    let is_plain = match targeted.form() {
        Form::Plain => true,
        Form::Conflict(_) | Form::Merge(_) => false,
    };
    let object = &targeted.intent().object().object;
    let refers = |name: &String| object.field(name).is_some_and(|field: &Field| field.field_type.is_reference());
    changes_rows && is_plain && !targeted.assigned().iter().any(refers)
}
