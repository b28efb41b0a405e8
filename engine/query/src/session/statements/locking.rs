//! `SELECT … FOR UPDATE` and `FOR SHARE` in a session: found, locked in the transaction, and read again as they are then.

use super::prepared::PreparedStatement;
use super::start::Invocation;
use crate::bind::statement::Bound;
use crate::books::clock::now_ms;
use crate::errors::{Stage, translate};
use crate::run::interrupt::Interrupt;
use crate::run::lifecycle::Run;
use crate::session::gate_session::GateSession;
use crate::sql::classify::{Classified, refuse_changes};
use crate::write::forms::locking::{LockingRead, refuse_combined};
use arrow::array::{ArrayRef, RecordBatch};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::sql::sqlparser::ast::{ObjectName, Query};
use futures::StreamExt;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::Lock;
use querygate_query_api::outcome::{CommandTag, Outcome, Rows};
use querygate_types::{Error, Result};
use std::sync::Arc;

impl GateSession {
    /// Refuses a locking query where nothing is changed, and one whose rows are not those of a table.
    pub(in crate::session) fn admits_locking(&self, class: &Classified, bound: &Bound) -> Result<()> {
        if !self.gate.options().writes {
            refuse_changes(class)?;
        }
        refuse_combined(bound.plan())
    }

    pub(in crate::session) async fn run_locking(
        &self,
        prepared: &PreparedStatement,
        (query, lock, of): (&Query, Lock, Option<&ObjectName>),
        bound: &Arc<Bound>,
        parameters: &[ArrayRef],
    ) -> Result<Outcome> {
        self.refuse_read_only(|| "SELECT FOR UPDATE".to_owned())?;
        let bound = self.refreshed(bound, query, &prepared.declared, parameters).await?;
        let workspace = self.workspace().await?;
        let locking = Arc::new(LockingRead::of(query, lock, of, &workspace.catalog, now_ms()).await?);
        let own = self.begin_own();
        let read = self.locked_rows(prepared, &locking, &bound, parameters).await;
        match (read, own) {
            (Ok((run, rows)), None) => shown(run, &bound, rows),
            (Ok((run, rows)), Some(own)) => match own.commit().await {
                Ok(()) => shown(run, &bound, rows),
                Err(error) => Err(run.fail(error)),
            },
            (Err(error), own) => {
                if let Some(own) = own {
                    own.roll_back().await;
                }
                Err(error)
            }
        }
    }

    /// Rows that are locked in the session's block, as they are then.
    async fn locked_rows(
        &self,
        prepared: &PreparedStatement,
        locking: &Arc<LockingRead>,
        bound: &Bound,
        parameters: &[ArrayRef],
    ) -> Result<(Run, RecordBatch)> {
        let block = self.block_of_change()?.ok_or_else(|| Error::internal("a lock was in no transaction"))?;
        let with_keys = self.bind_query(locking.query(), &prepared.declared, None).await?;
        let with_keys = self.refreshed(&with_keys, locking.query(), &prepared.declared, parameters).await?;
        let mut run = self.begin_run(prepared, Arc::clone(bound.objects()));
        let interrupt = run.interrupt(self.timeout());
        let of = Invocation { prepared, bound: &with_keys, parameters, part: None, is_find: true, observed: None };
        let read = async {
            let account = MemoryConsumer::new("locked rows").register(&self.runs.statement_account());
            let found = interrupt.within(self.found(&mut run, &interrupt, of, &account)).await?;
            run.planned();
            let bytes = found.get_array_memory_size();
            account.try_resize(bytes.saturating_mul(COPIES)).map_err(|error| translate(&error, Stage::Execute))?;
            let locked = {
                let permit = interrupt.within(run.turn()).await?;
                let token = interrupt.token().child_token();
                let _leaving = token.clone().drop_guard();
                let context = context(&interrupt, token);
                let locking = Arc::clone(locking);
                let task = self.gate.runtime().spawn(async move {
                    let _held = permit;
                    let table = locking.table();
                    let mut branches = block.branches().await;
                    let transaction = branches.enter(table.source(), table.driver(), &context).await?;
                    let locked = locking.lock(&found, transaction, &context).await;
                    branches.rest();
                    locked
                });
                task.await.map_err(|join| Error::internal(format!("locks were not taken: {join}")))??
            };
            // What was found first is gone but for its keys.
            account.resize(bytes);
            let found = interrupt.within(self.found(&mut run, &interrupt, of, &account)).await?;
            locking.shown(&found, &locked)
        };
        match read.await {
            Ok(rows) => Ok((run, rows)),
            Err(error) => Err(run.fail(error)),
        }
    }
}

/// Of the found rows: as they were found, their keys, as they are found again.
const COPIES: usize = 3;

fn context(interrupt: &Interrupt, cancel: tokio_util::sync::CancellationToken) -> ExecuteContext {
    let deadline = interrupt.deadline().map(tokio::time::Instant::into_std);
    ExecuteContext { cancel, deadline, ..ExecuteContext::default() }
}

fn shown(run: Run, bound: &Bound, rows: RecordBatch) -> Result<Outcome> {
    let schema = Arc::clone(bound.schema());
    let rows = crate::bind::workspace::as_described(&rows, &schema)?;
    let batches = run.rows(futures::stream::iter([Ok(rows)]).boxed());
    let columns = Arc::clone(bound.columns());
    Ok(Outcome::Rows(Rows { columns, schema, batches, tag: CommandTag::Counted("SELECT") }))
}
