//! One statement's change in the transaction block of its session.

use super::apply::{Applied, Attempt};
use super::lock::Locked;
use super::target::{Form, Targeted};
use crate::books::change_log::ChangeLog;
use crate::write::forms::by_key::ByKey;
use crate::write::forms::conflict;
use crate::write::forms::merge;
use crate::write::forms::record::WrittenRecord;
use crate::write::hooks::HookRecords;
use arrow::array::RecordBatch;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::Transaction;
use querygate_policy::write::WriteOperation;
use querygate_resources::TransactionBlock;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// How a transaction ended that did not fail.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It waits for the end of its block.
    Done {
        count: usize,
        returned: Option<RecordBatch>,
        /// The one that a change by values was about.
        record: Option<WrittenRecord>,
    },
    /// A row was not as it was found, or another writer took the same number, which the source refused with this error. Unless the
    /// transaction has failed, nothing was changed and the statement may begin anew.
    Moved(Option<Error>),
}

/// The rows that a statement changes.
#[derive(Debug)]
pub(crate) enum Rows {
    /// Its query has found them.
    Found(RecordBatch),
    /// The one of a key.
    Key(ByKey),
}

/// Changes rows in the branch of a block, which stays open. `records`: where hooks ask for others.
///
/// # Errors
/// Whatever is wrong with the change: then the block is to be rolled back.
pub(crate) async fn carry_out(
    targeted: Arc<Targeted>,
    rows: Rows,
    block: &TransactionBlock,
    (log, records): (&ChangeLog, Option<&Arc<HookRecords>>),
    context: ExecuteContext,
) -> Result<Ended> {
    let table = targeted.table();
    let mut branches = block.branches().await;
    let transaction = branches.enter(table.source(), table.driver(), &context).await?;
    transaction.accompany(HookRecords::companion(records));
    let changed = change(&targeted, &rows, transaction, &context).await;
    transaction.accompany(None);
    branches.rest();
    let (count, returned, record) = match changed? {
        Change::Done { count, returned, record } => (count, returned, record),
        Change::Moved(error) => return Ok(Ended::Moved(error)),
    };
    if context.cancel.is_cancelled() {
        return Err(Error::new(ErrorCode::QueryCanceled, "canceling statement due to user request"));
    }
    begun(log, &targeted, count).await?;
    Ok(Ended::Done { count, returned, record })
}

/// Says in the audit file what is about to be stored, before it can be.
pub(super) async fn begun(log: &ChangeLog, targeted: &Targeted, count: usize) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    log.begun(&targeted.intent().object().sql_name, verb(targeted.operation()), count).await
}

const fn verb(operation: WriteOperation) -> &'static str {
    match operation {
        WriteOperation::Insert => "INSERT",
        WriteOperation::Update => "UPDATE",
        WriteOperation::Delete => "DELETE",
    }
}

/// What came of a statement's rows in the source.
pub(super) enum Change {
    Done { count: usize, returned: Option<RecordBatch>, record: Option<WrittenRecord> },
    Moved(Option<Error>),
}

pub(super) async fn change(
    targeted: &Arc<Targeted>,
    rows: &Rows,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Change> {
    let found = || match rows {
        Rows::Found(found) => Ok(found),
        Rows::Key(_) => Err(Error::internal("a change of several kinds has no query")),
    };
    let applied = match targeted.form() {
        Form::Plain => match changed(targeted, rows, transaction, context).await? {
            Some(Attempt::Applied(applied)) => Some(applied),
            Some(Attempt::Raced(error)) => return Ok(Change::Moved(Some(error))),
            None => None,
        },
        Form::Conflict(conflict) => conflict::change(targeted, conflict, found()?, transaction, context).await?,
        Form::Merge(merge) => merge::change(merge, found()?, transaction, context).await?,
    };
    let Some(Applied { count, stored, dropped }) = applied else { return Ok(Change::Moved(None)) };
    if count == 0 {
        let none = targeted.returning().map(|returning| RecordBatch::new_empty(Arc::clone(returning.schema())));
        return Ok(Change::Done { count: 0, returned: none, record: None });
    }
    let columns = targeted.intent().object().table.columns();
    let returned = targeted.returning().map(|returning| returning.view(columns, &stored)).transpose()?;
    let record = match targeted.intent().record() {
        Some(_) => Some(WrittenRecord::of(targeted.table(), &stored, dropped)?),
        None => None,
    };
    Ok(Change::Done { count, returned, record })
}

/// One kind of change of all rows.
async fn changed(
    targeted: &Arc<Targeted>,
    rows: &Rows,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Option<Attempt>> {
    let locked = match rows {
        Rows::Found(found) => Locked::of(targeted, found, transaction, context).await?,
        Rows::Key(by_key) => Some(Locked::by_key(targeted, by_key, transaction, context).await?),
    };
    let Some(locked) = locked else { return Ok(None) };
    if locked.count() == 0 {
        return Ok(Some(Attempt::Applied(Applied::none())));
    }
    Applied::of(locked, transaction, context).await.map(Some)
}
