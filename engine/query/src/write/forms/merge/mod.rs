//! MERGE: each found row goes to the clause that it is for, and no row of the table is changed twice.

pub(crate) mod intent;

use crate::write::apply::Applied;
use crate::write::find::Find;
use crate::write::forms::conflict::taken;
use crate::write::lock::{Locked, key_columns};
use crate::write::target::Targeted;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::Transaction;
use querygate_policy::write::WriteOperation;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashSet;
use std::sync::Arc;

/// The clauses of a MERGE, in their order.
#[derive(Debug)]
pub(crate) struct Merge {
    /// Columns by which rows of the table are known again.
    seen: usize,
    arms: Vec<Arc<Targeted>>,
}

impl Merge {
    pub(in crate::write) fn new(all: &Find, arms: Vec<Targeted>) -> Self {
        Self { seen: all.seen.len(), arms: arms.into_iter().map(Arc::new).collect() }
    }

    /// Columns of the query beside those by which rows are known again.
    pub(in crate::write) fn columns(arms: &[&Find]) -> usize {
        1 + arms.iter().map(|find| find.assigned.len()).sum::<usize>()
    }

    /// Each clause with its rows.
    ///
    /// # Errors
    /// Internal: rows of another query.
    pub(in crate::write) fn parts(&self, found: &RecordBatch) -> Result<Vec<(Arc<Targeted>, RecordBatch)>> {
        let lost = || Error::internal("rows of another query");
        let chosen = cast(found.columns().first().ok_or_else(lost)?, &DataType::Int64).map_err(Error::internal)?;
        let chosen = chosen.as_primitive_opt::<Int64Type>().ok_or_else(lost)?;
        let mut parts = Vec::with_capacity(self.arms.len());
        let mut first = 1 + self.seen;
        for (at, arm) in self.arms.iter().enumerate() {
            let own = first..first + arm.assigned().len();
            first = own.end;
            let columns: Vec<usize> = match arm.operation() {
                WriteOperation::Insert => own.collect(),
                WriteOperation::Update | WriteOperation::Delete => (1..=self.seen).chain(own).collect(),
            };
            let number = i64::try_from(at + 1).map_err(Error::internal)?;
            let is_own = |row: &usize| chosen.is_valid(*row) && chosen.value(*row) == number;
            let rows = (0..found.num_rows()).filter(is_own).map(|row| row as u64).collect();
            let columns = found.project(&columns).map_err(Error::internal)?;
            parts.push((Arc::clone(arm), taken(&columns, rows)?));
        }
        Ok(parts)
    }
}

/// Carries out the clauses: what is deleted first, then updates, then new rows. `None`: a row is not as it was found.
///
/// # Errors
/// 21000: a row would change twice. 42501: a row may not be changed in this way.
pub(crate) async fn change(
    merge: &Merge,
    found: &RecordBatch,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Option<Applied>> {
    let parts = merge.parts(found)?;
    refuse_twice(&parts)?;
    // All rows are locked before one is changed: a statement that begins anew has changed nothing.
    let mut locked = Vec::with_capacity(parts.len());
    for operation in [WriteOperation::Delete, WriteOperation::Update, WriteOperation::Insert] {
        for (arm, rows) in parts.iter().filter(|(arm, rows)| arm.operation() == operation && rows.num_rows() > 0) {
            let Some(own) = Locked::of(arm, rows, transaction, context).await? else { return Ok(None) };
            if own.count() != rows.num_rows() {
                let shown = &arm.intent().object().sql_name;
                let text =
                    format!("target row violates row-level security policy (USING expression) for table \"{shown}\"");
                return Err(Error::new(ErrorCode::InsufficientPrivilege, text));
            }
            locked.push(own);
        }
    }
    let mut count = 0;
    for own in locked {
        count += Applied::of(own, transaction, context).await?.applied()?.count;
    }
    Ok(Some(Applied { count, ..Applied::none() }))
}

fn refuse_twice(parts: &[(Arc<Targeted>, RecordBatch)]) -> Result<()> {
    let mut known = HashSet::new();
    for (arm, rows) in parts.iter().filter(|(arm, _)| arm.operation() != WriteOperation::Insert) {
        let Some(find) = arm.find() else { continue };
        let keys = key_columns(arm, find, rows)?;
        for row in 0..rows.num_rows() {
            let key = keys.iter().map(|column| ScalarValue::try_from_array(column, row));
            let key = key.collect::<std::result::Result<Vec<_>, _>>().map_err(Error::internal)?;
            if !known.insert(key) {
                let text = "MERGE command cannot affect row a second time";
                return Err(Error::new(ErrorCode::CardinalityViolation, text)
                    .with_hint("Ensure that not more than one source row matches any one target row."));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
