//! Rows that come while they are stored: each batch takes the steps of an INSERT, all of them in the block of their statement. Nothing of
//! them holds unless the last one came and the block was committed.

use crate::books::change_log::ChangeLog;
use crate::run::interrupt::Interrupt;
use crate::write::hooks::HookRecords;
use crate::write::load::Loads;
use crate::write::target::Targeted;
use crate::write::transaction::{Change, Rows, begun, change};
use arrow::array::RecordBatch;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::{Alterations, Transaction};
use querygate_resources::TransactionBlock;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

/// The savepoint before each batch, where the source has any. Ids of a session's own savepoints count up from 0.
const BEFORE_BATCH: u32 = u32::MAX;

/// How often a batch is stored anew because another writer takes the same number at the same time.
const ATTEMPTS: usize = 3;

/// The next message to a change.
#[derive(Debug)]
pub(crate) enum Arrival {
    Rows(RecordBatch),
    /// There are no more. A sender that is gone without it takes everything back.
    End,
}

/// Rows on their way into a table.
pub(crate) struct Intake {
    targeted: Arc<Targeted>,
    arrivals: Receiver<Arrival>,
    log: ChangeLog,
    /// Where hooks ask for other records.
    records: Option<Arc<HookRecords>>,
    context: ExecuteContext,
    way: Way,
    /// A batch can be undone by itself.
    undoes_batches: bool,
}

/// How batches are stored, by what is known so far.
#[derive(Debug, Clone, PartialEq)]
enum Way {
    /// The source was not asked yet.
    Unasked,
    /// They are loaded, where their rows let it. `holds`: what the source said of its table stays so until the end.
    Loads { alterations: Alterations, holds: bool },
    /// As any other change.
    Rows,
}

/// Why rows are not stored.
struct Refused {
    error: Error,
    /// Another writer may be the reason.
    is_raced: bool,
}

impl Intake {
    pub(crate) fn new(
        targeted: &Arc<Targeted>,
        arrivals: Receiver<Arrival>,
        (log, records): (ChangeLog, Option<Arc<HookRecords>>),
        context: ExecuteContext,
    ) -> Self {
        // Without a writer it is refused when the rows come.
        let undoes_batches = targeted.table().writer().is_ok_and(|writer| writer.capabilities().savepoints);
        let way = if undoes_batches { Way::Unasked } else { Way::Rows };
        Self { targeted: Arc::clone(targeted), arrivals, log, records, context, way, undoes_batches }
    }

    /// Stores all rows that arrive, and says how many; `None`: they broke off. Between two batches the block is for others: what
    /// the rows refer to is read in it.
    ///
    /// # Errors
    /// Whatever is wrong with a row, which the error names; 57014. Then the block is to be rolled back.
    pub(crate) async fn store(mut self, block: &TransactionBlock) -> Result<Option<usize>> {
        let mut stored = 0;
        let targeted = Arc::clone(&self.targeted);
        let loads = Loads::of(&targeted);
        let deadline = self.context.deadline.map(Instant::from_std);
        let interrupt = Interrupt::new(self.context.cancel.clone(), deadline);
        loop {
            let arrivals = &mut self.arrivals;
            let arrival = interrupt.within(async { Ok(arrivals.recv().await) }).await?;
            match arrival {
                Some(Arrival::Rows(rows)) => {
                    stored += self.store_batch(loads.as_ref(), &rows, stored, block).await?;
                }
                Some(Arrival::End) => break,
                None => return Ok(None),
            }
        }
        begun(&self.log, &self.targeted, stored).await?;
        Ok(Some(stored))
    }

    async fn store_batch(
        &mut self,
        loads: Option<&Loads<'_>>,
        rows: &RecordBatch,
        before: usize,
        block: &TransactionBlock,
    ) -> Result<usize> {
        let targeted = Arc::clone(&self.targeted);
        let table = targeted.table();
        let mut branches = block.branches().await;
        let transaction = branches.enter(table.source(), table.driver(), &self.context).await?;
        transaction.accompany(HookRecords::companion(self.records.as_ref()));
        if self.undoes_batches {
            transaction.savepoint(BEFORE_BATCH).await?;
        }
        let stored = match self.loaded(loads, rows, transaction).await {
            Ok(Some(loaded)) => self.keep(transaction).await.map(|()| loaded),
            Ok(None) => self.changed(rows, before, transaction).await,
            Err(error) => Err(error),
        };
        transaction.accompany(None);
        branches.rest();
        stored
    }

    /// Forgets the savepoint of a batch that is stored.
    async fn keep(&self, transaction: &mut Transaction) -> Result<()> {
        if self.undoes_batches { transaction.release(BEFORE_BATCH).await } else { Ok(()) }
    }

    /// Loads a batch. `None`: its rows take the steps of other changes; nothing of them is stored.
    async fn loaded(
        &mut self,
        loads: Option<&Loads<'_>>,
        rows: &RecordBatch,
        transaction: &mut Transaction,
    ) -> Result<Option<usize>> {
        let Some(loads) = loads else { return Ok(None) };
        let targeted = Arc::clone(&self.targeted);
        if transaction.captures(targeted.table().object()) {
            // Of what is loaded nothing comes back, and who follows changes gets each row as it is stored.
            return Ok(None);
        }
        let table = targeted.table().remote();
        if self.way == Way::Unasked {
            self.way = Way::of(transaction.alterations(table).await?, false);
        }
        let Way::Loads { alterations, holds } = &self.way else { return Ok(None) };
        let (said, holds) = (alterations.clone(), *holds);
        let Some(loadable) = loads.rows(rows, &said) else { return Ok(None) };
        match loadable.load(transaction, &self.context).await {
            Ok(count) => {
                if !holds {
                    // Rows are in the table, which keeps triggers from being made before the transaction ends.
                    self.way = Way::of(transaction.alterations(table).await?, true);
                }
                if self.way == (Way::Loads { alterations: said, holds: true }) {
                    return Ok(Some(count));
                }
            }
            Err(error) if is_interrupt(&error) => return Err(error),
            // Of many rows, the source has not said which one is wrong.
            Err(error) => {
                if transaction.rollback_to(BEFORE_BATCH).await.is_err() {
                    return Err(error);
                }
                self.way = Way::Rows;
                return Ok(None);
            }
        }
        transaction.rollback_to(BEFORE_BATCH).await?;
        Ok(None)
    }

    /// Stores a batch as any other change, after its savepoint.
    async fn changed(&self, rows: &RecordBatch, before: usize, transaction: &mut Transaction) -> Result<usize> {
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            match self.change(rows, transaction).await {
                Ok(stored) => break self.keep(transaction).await.map(|()| stored),
                Err(Refused { is_raced: true, .. })
                    if attempts > 0 && transaction.rollback_to(BEFORE_BATCH).await.is_ok() => {}
                Err(Refused { error, .. }) if is_of_a_row(&error) => {
                    break Err(self.first_wrong(rows, before, error, transaction).await);
                }
                Err(Refused { error, .. }) => break Err(error),
            }
        }
    }

    async fn change(&self, rows: &RecordBatch, transaction: &mut Transaction) -> Result<usize, Refused> {
        let refused = |error, is_raced| Err(Refused { error, is_raced });
        match change(&self.targeted, &Rows::Found(rows.clone()), transaction, &self.context).await {
            Ok(Change::Done { count, .. }) => Ok(count),
            Ok(Change::Moved(Some(error))) => refused(error, true),
            Ok(Change::Moved(None)) => refused(Error::internal("a new row was not as it was found"), false),
            Err(error) => refused(error, false),
        }
    }

    /// The error of the first row of a batch that has one, with its place. Sources say of many rows only that one is wrong: the half
    /// that it must be in is stored again, without the other, until it is alone. Where a batch cannot be undone by itself, only one of a
    /// single row has a known place.
    async fn first_wrong(
        &self,
        rows: &RecordBatch,
        before: usize,
        mut error: Error,
        transaction: &mut Transaction,
    ) -> Error {
        let (mut first, mut end) = (0, rows.num_rows());
        if end == 1 {
            return at_row(error, before);
        }
        while first < end {
            if transaction.rollback_to(BEFORE_BATCH).await.is_err() {
                return error;
            }
            let half = (end - first).div_ceil(2);
            match self.change(&rows.slice(first, half), transaction).await {
                // Its cause has gone, or lies in several rows together.
                Ok(_) if first + half == end => return error,
                Ok(_) => {
                    let kept = transaction.release(BEFORE_BATCH).await;
                    if kept.is_err() || transaction.savepoint(BEFORE_BATCH).await.is_err() {
                        return error;
                    }
                    first += half;
                }
                Err(Refused { error: own, .. }) if !is_of_a_row(&own) => return own,
                Err(Refused { error: own, .. }) if half == 1 => return at_row(own, before + first),
                Err(Refused { error: own, .. }) => {
                    end = first + half;
                    error = own;
                }
            }
        }
        error
    }
}

impl Way {
    /// By what the source says.
    fn of(alterations: Option<Alterations>, holds: bool) -> Self {
        alterations.map_or(Self::Rows, |alterations| Self::Loads { alterations, holds })
    }
}

/// Whether rows are not waited for any more.
fn is_interrupt(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::QueryCanceled | ErrorCode::StatementTimeout)
}

/// An error of one of the rows that a client gave.
pub(crate) fn at_row(error: Error, row: usize) -> Error {
    match u64::try_from(row) {
        Ok(row) => error.with_row(row),
        Err(_) => error,
    }
}

/// Whether an error is about a row's values, and so about one of the rows.
pub(crate) fn is_of_a_row(error: &Error) -> bool {
    let code = error.code();
    let state = code.sqlstate();
    let is_refused = matches!(code, ErrorCode::InsufficientPrivilege | ErrorCode::RaisedException);
    state.starts_with("22") || state.starts_with("23") || is_refused
}
