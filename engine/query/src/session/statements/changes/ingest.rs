//! Rows that a client sends to be stored: COPY FROM and its like of other doors.

use super::references::KnownReferences;
use crate::books::clock::now_ms;
use crate::errors::{Stage, translate};
use crate::run::interrupt::Interrupt;
use crate::run::lifecycle::Run;
use crate::session::gate_session::GateSession;
use crate::session::statements::prepared::{Kind, PreparedStatement};
use crate::session::transaction_end::OwnTransaction;
use crate::sql::classify::{Classified, disabled_copy};
use crate::sql::copy_from::{CopyFrom, Forced};
use crate::sql::parse::Parsed;
use crate::write::forms::ingest::{Arrival, Intake, at_row, is_of_a_row};
use crate::write::intent::{WriteIntent, folded, of_another_database};
use crate::write::target::{Decided, Targeted};
use crate::write::values::amounts::{COPIES, bytes_of_members};
use crate::write::values::assignment::pg_type;
use crate::write::values::received::Received;
use arrow::array::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use futures::StreamExt;
use querygate_driver_api::execution::ExecuteContext;
use querygate_query_api::holding::Occupation;
use querygate_query_api::outcome::{BatchStream, Outcome};
use querygate_query_api::requests::ingest::{CopyIn, IngestColumn, IngestTarget};
use querygate_types::{Error, ErrorCode, Result, limits};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Batches on their way to the transaction.
const BATCHES_AHEAD: usize = 1;

/// Rows on their way to the transaction that stores them.
struct Passage<'a> {
    prepared: &'a PreparedStatement,
    targeted: &'a Targeted,
    interrupt: &'a Interrupt,
    /// Pays for what is on its way.
    account: MemoryReservation,
    known: KnownReferences,
    arrivals: mpsc::Sender<Arrival>,
}

impl GateSession {
    /// A statement of rows, described as each of its runs is.
    pub(in crate::session) async fn prepare_copy(
        &self,
        parsed: Arc<Parsed>,
        copy: &CopyFrom,
    ) -> Result<PreparedStatement> {
        let columns = match self.temporary_ingest(copy)? {
            Some(columns) => columns,
            None => ingested(&self.aim_ingest(copy).await?, copy)?,
        };
        Ok(PreparedStatement {
            parsed,
            declared: Vec::new(),
            kind: Kind::Ingest(columns),
            constants: None,
            parameter_types: Vec::new(),
            columns: None,
            look_up: Mutex::default(),
            write: Mutex::default(),
            _plan: None,
        })
    }

    /// An ingestion into a table that no text names, prepared.
    pub(in crate::session) async fn prepare_target(&self, target: &IngestTarget) -> Result<PreparedStatement> {
        let quoted = |name: &String| Ident::with_quote('"', name);
        let (workspace, _, _) = self.current().await?;
        // In SQL a name of two words begins with a schema.
        let catalog = match (&target.catalog, &target.schema) {
            (Some(catalog), None) if *catalog == workspace.catalog.deployment().database => None,
            (Some(catalog), None) => return Err(of_another_database(&[catalog, &target.table])),
            (catalog, _) => catalog.as_ref(),
        };
        let words = catalog.into_iter().chain(&target.schema).chain([&target.table]);
        let table = ObjectName::from(words.map(quoted).collect::<Vec<_>>());
        let copy = CopyFrom::new(table, target.columns.iter().map(quoted).collect());
        let parsed = Arc::new(Parsed::ingest(copy));
        self.admits(parsed.class())?;
        let Classified::CopyIn(copy) = parsed.class() else { return Err(lost()) };
        let interrupt = self.runs.interrupt(self.timeout());
        interrupt.within(self.prepare_copy(Arc::clone(&parsed), copy)).await
    }

    /// Says what rows are to be sent.
    pub(in crate::session) async fn begin_copy(&self, copy: &CopyFrom, known: &[IngestColumn]) -> Result<Outcome> {
        if let Some(columns) = self.temporary_ingest(copy)? {
            let columns = unchanged(columns, known)?;
            let table = copy.table.to_string();
            let progress = Arc::default();
            self.activity.copies_into(&table, &progress);
            return Ok(Outcome::CopyIn(CopyIn { table, columns, options: copy.options.clone(), progress }));
        }
        self.refuse_read_only(|| "COPY FROM".to_owned())?;
        let targeted = self.aim_ingest(copy).await?;
        let columns = unchanged(ingested(&targeted, copy)?, known)?;
        let table = targeted.intent().object().sql_name.clone();
        let progress = Arc::default();
        self.activity.copies_into(&table, &progress);
        Ok(Outcome::CopyIn(CopyIn { table, columns, options: copy.options.clone(), progress }))
    }

    pub(in crate::session) async fn run_ingest(&self, prepared: &PreparedStatement, rows: BatchStream) -> Result<u64> {
        let (Kind::Ingest(known), Classified::CopyIn(copy)) = (&prepared.kind, prepared.parsed.class()) else {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "this statement takes no rows"));
        };
        self.admits(prepared.parsed.class())?;
        let _shown = self.activity.occupations.begin(Occupation::Upload, &copy.table.to_string());
        if self.temporary_named(&copy.table)?.is_some() {
            return self.take_in_temporary(copy, rows).await;
        }
        self.refuse_read_only(|| "COPY FROM".to_owned())?;
        let own = self.begin_own();
        let stored = self.take_in(prepared, copy, known, rows).await;
        self.conclude(stored, own).await
    }

    /// Ends a run, and the transaction where it is one of its own. Gives the number of stored rows.
    pub(in crate::session) async fn conclude(
        &self,
        stored: Result<(Run, usize)>,
        own: Option<OwnTransaction<'_>>,
    ) -> Result<u64> {
        let (mut run, count) = match (stored, own) {
            (Ok((run, count)), Some(own)) => match own.commit().await {
                Ok(()) => (run, count),
                Err(error) => return Err(run.fail(error)),
            },
            (stored, None) => stored?,
            (Err(error), Some(own)) => {
                own.roll_back().await;
                return Err(error);
            }
        };
        let count = u64::try_from(count).map_err(Error::internal)?;
        run.note(|record| record.changed = count);
        run.end(Ok(()))?;
        Ok(count)
    }

    async fn aim_ingest(&self, copy: &CopyFrom) -> Result<Targeted> {
        if !self.gate.options().writes {
            return Err(disabled_copy());
        }
        let workspace = self.workspace().await?;
        let intent = WriteIntent::ingest(&copy.table, &copy.columns, &workspace.catalog)?;
        Decided::of(intent, &workspace.catalog, now_ms()).await?.targeted(None, None)
    }

    /// Stores the rows in the session's block: their run, and how many they are.
    async fn take_in(
        &self,
        prepared: &PreparedStatement,
        copy: &CopyFrom,
        known: &[IngestColumn],
        rows: BatchStream,
    ) -> Result<(Run, usize)> {
        let targeted = Arc::new(self.aim_ingest(copy).await?);
        unchanged(ingested(&targeted, copy)?, known)?;
        let mut run = self.begin_run(prepared, Arc::from([targeted.intent().object().sql_name.clone()]));
        match self.hand_over(&mut run, prepared, &targeted, rows).await {
            Ok(count) => Ok((run, count)),
            Err(error) => Err(run.fail(error)),
        }
    }

    /// Hands the rows to a task that stores them. One that ends early says why.
    pub(in crate::session) async fn hand_over(
        &self,
        run: &mut Run,
        prepared: &PreparedStatement,
        targeted: &Arc<Targeted>,
        mut rows: BatchStream,
    ) -> Result<usize> {
        let interrupt = &run.interrupt(self.timeout());
        run.planned();
        let permit = interrupt.within(run.turn()).await?;
        // The task ends by itself: a caller that stops waiting for it cancels it.
        let token = interrupt.token().child_token();
        let _leaving = token.clone().drop_guard();
        let context = ExecuteContext {
            cancel: token,
            deadline: interrupt.deadline().map(tokio::time::Instant::into_std),
            ..ExecuteContext::default()
        };
        let (sender, arrivals) = mpsc::channel(BATCHES_AHEAD);
        let log = run.change_log();
        let block =
            self.block_of_change()?.ok_or_else(|| Error::internal("rows were to be stored in no transaction"))?;
        let intake = Intake::new(targeted, arrivals, (log.clone(), self.hook_records(&block)?), context);
        let stored = Arc::clone(&block);
        let task = self.gate.runtime().spawn(async move {
            let _held = permit;
            intake.store(&block).await
        });
        let account = MemoryConsumer::new("change").register(&self.runs.statement_account());
        let mut passage =
            Passage { prepared, targeted, interrupt, account, known: KnownReferences::within_turn(), arrivals: sender };
        let handed = interrupt.within(async {
            let mut passed = 0;
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                if !self.pass(&mut passage, &batch, passed).await? {
                    return Ok(());
                }
                passed += batch.num_rows();
            }
            // A task that has ended gives its own error.
            drop(passage.arrivals.send(Arrival::End).await);
            Ok(())
        });
        let handed = handed.await;
        let Passage { arrivals, account, .. } = passage;
        drop(arrivals);
        let done = task.await.map_err(|join| Error::internal(format!("a change did not finish: {join}")))?;
        run.measure_writes(&stored).await;
        drop(account);
        // What is wrong with rows comes before what is wrong with later ones.
        match (done?, handed) {
            (_, Err(error)) => Err(error),
            (Some(count), Ok(())) => {
                if count > 0 {
                    self.runs.block().remember_change(log);
                }
                Ok(count)
            }
            (None, Ok(())) => Err(Error::new(ErrorCode::QueryCanceled, "canceling statement due to user request")),
        }
    }

    /// Passes rows on, `passed` rows after the first. `false`: they are not waited for any more.
    async fn pass(&self, passage: &mut Passage<'_>, batch: &RecordBatch, passed: usize) -> Result<bool> {
        fits(passage.targeted, batch)?;
        let (_, state, _) = self.current().await?;
        let received = Received::of(&batch.schema(), passage.targeted, &state)?;
        for first in (0..batch.num_rows()).step_by(limits::BATCH_ROWS) {
            let (part, wrong) =
                received.sound(&batch.slice(first, limits::BATCH_ROWS.min(batch.num_rows() - first)))?;
            // Of this batch and of those on their way.
            let bytes = batch.get_array_memory_size().max(part.get_array_memory_size());
            let bytes = bytes.saturating_mul(COPIES * (BATCHES_AHEAD + 1));
            // Records are made of one part at a time.
            let members = bytes_of_members(part.columns()).saturating_mul(COPIES);
            let bytes = bytes.saturating_add(members).max(passage.account.size());
            passage.account.try_resize(bytes).map_err(|error| translate(&error, Stage::Execute))?;
            let Passage { prepared, interrupt, targeted, .. } = *passage;
            if let Err(error) = self.refer(prepared, interrupt, targeted, &part, &mut passage.known).await {
                if !is_of_a_row(&error) {
                    return Err(error);
                }
                let row = self.first_lost(passage, &part).await?;
                // What is wrong with a row before it comes first.
                if row > 0 && passage.arrivals.send(Arrival::Rows(part.slice(0, row))).await.is_err() {
                    return Ok(false);
                }
                return Err(at_row(error, passed + first + row));
            }
            let sound = part.num_rows();
            if sound > 0 && passage.arrivals.send(Arrival::Rows(part)).await.is_err() {
                return Ok(false);
            }
            if let Some(error) = wrong {
                return Err(at_row(error, passed + first + sound));
            }
        }
        Ok(true)
    }

    /// The first of some rows that refers to a record that is not there.
    async fn first_lost(&self, passage: &mut Passage<'_>, rows: &RecordBatch) -> Result<usize> {
        let Passage { prepared, interrupt, targeted, .. } = *passage;
        let (mut sound, mut end) = (0, rows.num_rows());
        while end - sound > 1 {
            let half = (end - sound) / 2;
            match self.refer(prepared, interrupt, targeted, &rows.slice(sound, half), &mut passage.known).await {
                Ok(()) => sound += half,
                Err(error) if is_of_a_row(&error) => end = sound + half,
                Err(error) => return Err(error),
            }
        }
        Ok(sound)
    }
}

/// Proves that a batch has a column for each that it is to fill.
fn fits(targeted: &Targeted, rows: &RecordBatch) -> Result<()> {
    if rows.num_columns() == targeted.assigned().len() {
        return Ok(());
    }
    Err(Error::internal("rows to store have another number of columns than they were described with"))
}

/// The columns that a statement's rows fill.
fn ingested(targeted: &Targeted, copy: &CopyFrom) -> Result<Arc<[IngestColumn]>> {
    let object = &targeted.intent().object().object;
    let table = targeted.table();
    let assigned = targeted.assigned();
    let force_not_null = forced("FORCE_NOT_NULL", &copy.force_not_null, assigned)?;
    let force_null = forced("FORCE_NULL", &copy.force_null, assigned)?;
    let columns = assigned.iter().enumerate().map(|(at, name)| {
        let own = table.place(name).and_then(|place| table.fields().get(place)).zip(object.field(name));
        let typed = own.and_then(|(own, declared)| Some((own, pg_type(own.value_type(), declared)?)));
        let (own, pg_type) = typed.ok_or_else(|| {
            let text = format!("a value for column \"{name}\" is not supported");
            Error::new(ErrorCode::FeatureNotSupported, text)
                .with_hint("Name the columns that the rows have values for.")
        })?;
        let flag = |flags: &[bool]| flags.get(at).copied().unwrap_or_default();
        Ok(IngestColumn {
            name: name.clone(),
            pg_type,
            data_type: own.value_type().to_arrow(),
            force_not_null: flag(&force_not_null),
            force_null: flag(&force_null),
            has_default: object.field(name).is_some_and(|field| field.default.is_some()),
        })
    });
    columns.collect()
}

/// For each column whether a list of COPY names it.
///
/// # Errors
/// 42P10: the list names another column.
pub(in crate::session) fn forced(option: &str, forced: &Forced, assigned: &[String]) -> Result<Vec<bool>> {
    let Forced::These(columns) = forced else { return Ok(vec![true; assigned.len()]) };
    let mut flags = vec![false; assigned.len()];
    for column in columns {
        let name = folded(column);
        let flag = assigned.iter().position(|own| *own == name).and_then(|at| flags.get_mut(at));
        *flag.ok_or_else(|| {
            let text = format!("{option} column \"{name}\" not referenced by COPY");
            Error::new(ErrorCode::InvalidColumnReference, text)
        })? = true;
    }
    Ok(flags)
}

/// Rows that were described as others are not stored.
fn unchanged(columns: Arc<[IngestColumn]>, known: &[IngestColumn]) -> Result<Arc<[IngestColumn]>> {
    if *columns == *known {
        return Ok(columns);
    }
    Err(Error::new(ErrorCode::FeatureNotSupported, "cached plan must not change its columns"))
}

fn lost() -> Error {
    Error::internal("a statement of rows lost its table")
}

#[cfg(test)]
mod tests;
