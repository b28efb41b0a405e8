//! One new row, for tests whose transactions have to have done something.

use crate::driver::Driver;
use crate::execution::ExecuteContext;
use crate::identifier::TableRef;
use crate::value::Value;
use crate::write::{ChangeOp, ChangeSet, ChangeShape, TargetColumn, Transaction};
use arrow::array::RecordBatch;
use querygate_types::{Error, Result};

/// Inserts a row in a transaction of this driver. Its first column is the key.
///
/// # Errors
/// As [`Transaction::apply`]; internal: the table has no such columns.
pub async fn insert_row(
    driver: &dyn Driver,
    tx: &mut Transaction,
    table: &TableRef,
    row: &[(&str, Value)],
) -> Result<()> {
    let remote = driver.describe(table).await?;
    let writer = driver.writer().ok_or_else(|| Error::internal("the driver has no writer"))?;
    let target = |(name, value): &(&str, Value)| {
        let column = remote.columns.iter().find(|column| column.name.as_str() == *name);
        let column = column.ok_or_else(|| Error::internal(format_args!("column {name} is not described")))?;
        let encoding = writer.writable_as(column, value.value_type()).map_err(Error::internal)?;
        Ok(TargetColumn::new(column, value.value_type(), encoding))
    };
    let mut columns = row.iter().map(target).collect::<Result<Vec<_>>>()?;
    let assigned = columns.split_off(usize::from(!columns.is_empty()));
    let shape = ChangeShape {
        table: remote.table.clone(),
        op: ChangeOp::Insert,
        key: columns,
        assigned,
        returning: Vec::new(),
    };
    let change = writer.render_change(&shape).map_err(Error::internal)?;
    let arrays = row.iter().map(|(name, value)| Ok((*name, value.to_array()?, true))).collect::<Result<Vec<_>>>()?;
    let rows = RecordBatch::try_from_iter_with_nullable(arrays).map_err(Error::internal)?;
    tx.apply(&change, &ChangeSet::new(&shape, rows)?, &ExecuteContext::default()).await.map(drop)
}
