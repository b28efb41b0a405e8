//! One statement's change in a transaction of its own: everything or nothing, whoever leaves. The commit, once it is sent, is waited
//! for.

use super::apply::Applied;
use super::check::Checked;
use super::image::Imaged;
use super::lock::Locked;
use super::target::Targeted;
use arrow::array::RecordBatch;
use querygate_driver_api::ExecuteContext;
use querygate_driver_api::write::{Begin, CommitError, Fate, Transaction, Violation, Writer};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// How a transaction ended that did not fail.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was committed.
    Done { count: usize, returned: Option<RecordBatch> },
    /// A row was not as it was found. Nothing was changed: the statement may begin anew.
    Moved,
}

/// Changes the found rows.
///
/// # Errors
/// Whatever is wrong with the change: then nothing is stored. 08007: it is not known whether it is.
pub(crate) async fn carry_out(targeted: Arc<Targeted>, found: RecordBatch, context: ExecuteContext) -> Result<Ended> {
    let writer = targeted.table().writer()?;
    let mut transaction = writer.begin(Begin::default(), &context).await?;
    let changed = change(&targeted, &found, &mut transaction, &context).await;
    match changed {
        Ok(Some((count, returned))) if !context.cancel.is_cancelled() => {
            commit(writer, transaction).await?;
            Ok(Ended::Done { count, returned })
        }
        Ok(Some(_)) => {
            transaction.rollback().await;
            Err(Error::new(ErrorCode::QueryCanceled, "canceling statement due to user request"))
        }
        Ok(None) => {
            transaction.rollback().await;
            Ok(Ended::Moved)
        }
        Err(error) => {
            transaction.rollback().await;
            Err(error)
        }
    }
}

async fn change(
    targeted: &Arc<Targeted>,
    found: &RecordBatch,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Option<(usize, Option<RecordBatch>)>> {
    let Some(locked) = Locked::of(targeted, found, transaction, context).await? else { return Ok(None) };
    if locked.count() == 0 {
        let none = targeted.returning().map(|returning| RecordBatch::new_empty(Arc::clone(returning.schema())));
        return Ok(Some((0, none)));
    }
    let imaged = Imaged::of(locked)?;
    let checked = Checked::of(imaged, transaction, context).await?;
    let Applied { count, stored } = checked.apply(transaction, context).await?;
    let columns = targeted.intent().object().table.columns();
    let returned = targeted.returning().map(|returning| returning.view(columns, &stored)).transpose()?;
    Ok(Some((count, returned)))
}

async fn commit(writer: &dyn Writer, transaction: Transaction) -> Result<()> {
    match transaction.commit().await {
        Ok(()) => Ok(()),
        Err(CommitError::RolledBack(error)) => Err(error),
        Err(CommitError::Unknown(error, mark)) => {
            let Some(mark) = mark else { return Err(error) };
            match writer.fate_of(&mark).await {
                Ok(Some(Fate::Committed)) => Ok(()),
                Ok(Some(Fate::RolledBack)) => Err(Violation::Serialization.error()),
                Ok(None) | Err(_) => Err(error),
            }
        }
    }
}
