//! Changes: finding their rows as any query does, and handing them to the transaction of their source.

use super::parameter_numbers::numbers;
use super::references::KnownReferences;
use super::write_cache::CachedWrite;
use crate::bind::statement::Bound;
use crate::bind::workspace::as_described;
use crate::books::clock::now_ms;
use crate::dialect::parameters::Declared;
use crate::errors::{Stage, translate};
use crate::plan::executable::started;
use crate::run::interrupt::Interrupt;
use crate::run::lifecycle::Run;
use crate::run::measured_memory;
use crate::session::gate_session::GateSession;
use crate::session::statements::prepared::PreparedStatement;
use crate::session::statements::start::Invocation;
use crate::session::transaction_end::room_of_rows;
use crate::sql::classify::refused_write;
use crate::write::forms::by_key::{ByKey, locks_at_once};
use crate::write::intent::WriteIntent;
use crate::write::returning::Returning;
use crate::write::target::{Decided, Targeted};
use crate::write::transaction::{Ended, Rows as WrittenRows, carry_out};
use crate::write::values::amounts::{COPIES, bytes_as_records};
use crate::write::values::computation::Computation;
use crate::write::values::plain::plain_rows;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::sql::sqlparser::ast::{Query, Statement as Ast};
use futures::StreamExt;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::Violation;
use querygate_query_api::column::Column;
use querygate_query_api::outcome::{CommandTag, Outcome, Rows};
use querygate_query_api::service::Door;
use querygate_resources::measured::StatementWork;
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;

/// Rows that one statement changes, at most, and what their values may take.
const ROWS_MAX: usize = 100_000;
const BYTES_MAX: usize = 64 << 20;
/// How often a statement begins anew because others changed its rows.
const ATTEMPTS: usize = 3;

/// The description of a change, before it runs.
pub(in crate::session) struct DescribedWrite {
    pub(in crate::session) types: Vec<PgType>,
    pub(in crate::session) columns: Option<Arc<[Column]>>,
    pub(in crate::session) schema: Option<SchemaRef>,
    pub(in crate::session) cached: Option<Arc<CachedWrite>>,
}

/// A change with the query that finds its rows, and the types of its parameters.
pub(in crate::session) type TargetedWrite = (Arc<Targeted>, Option<Arc<Bound>>, Vec<PgType>);

/// One run of a change: its statement, what it changes, the query that finds its rows, and its parameters.
#[derive(Clone, Copy)]
pub(in crate::session) struct WriteRun<'a> {
    pub(in crate::session) prepared: &'a PreparedStatement,
    pub(in crate::session) targeted: &'a Arc<Targeted>,
    pub(in crate::session) bound: Option<&'a Arc<Bound>>,
    pub(in crate::session) parameters: &'a [ArrayRef],
}

/// A change that was carried out: its run, what it was, how many rows it changed, and what it gives back.
type Change = (Run, Arc<Targeted>, usize, Option<RecordBatch>);

/// What a query of a change is kept bound under. No statement of a client has such a text, so that none finds this one.
fn own_text(query: &Query) -> Arc<str> {
    format!("\u{1}{query}").into()
}

impl GateSession {
    /// Describes a change, which is decided and bound as each of its runs is.
    pub(in crate::session) async fn prepare_write(
        &self,
        ast: &Ast,
        declared: &[Option<Declared>],
    ) -> Result<DescribedWrite> {
        let targeted_write = self.target_write(ast, declared, None).await?;
        let cached = self.cacheable_write(&targeted_write).await?;
        let (targeted, _, types) = targeted_write;
        let returning = targeted.returning();
        if returning.is_some() && self.door == Door::FlightSql {
            // A ticket may be redeemed more than once, and a change is made once.
            let text = "RETURNING over Flight SQL is not supported";
            return Err(Error::new(ErrorCode::FeatureNotSupported, text)
                .with_hint("Send the change without RETURNING, or by the Postgres protocol."));
        }
        let columns = returning.map(|returning| Arc::clone(returning.columns()));
        Ok(DescribedWrite { types, columns, schema: returning.map(|returning| Arc::clone(returning.schema())), cached })
    }

    pub(in crate::session) async fn run_write(
        &self,
        prepared: &PreparedStatement,
        ast: &Ast,
        parameters: &[ArrayRef],
    ) -> Result<Outcome> {
        self.refuse_read_only(|| verb(ast))?;
        // The first change of a block may begin it anew: nothing else would be lost.
        let alone = !self.runs.block().open().is_some_and(|block| block.takes_part());
        let own = self.begin_own();
        match (self.change(prepared, ast, parameters, alone).await, own) {
            (Ok((run, targeted, count, returned)), own) => {
                if let Some(own) = own
                    && let Err(error) = own.commit().await
                {
                    return Err(run.fail(error));
                }
                self.done(run, &targeted, count, returned)
            }
            (Err(error), own) => {
                if let Some(own) = own {
                    own.roll_back().await;
                }
                Err(error)
            }
        }
    }

    /// Changes the rows in the session's block. Where one was not as it was found, the statement begins anew: rows that are locked by
    /// then are found as they stay. `alone`: nothing else is in the block.
    async fn change(
        &self,
        prepared: &PreparedStatement,
        ast: &Ast,
        parameters: &[ArrayRef],
        alone: bool,
    ) -> Result<Change> {
        let mut run: Option<Run> = None;
        let mut error = Violation::Serialization.error();
        for _ in 0..ATTEMPTS {
            let (targeted, bound, _) = self.target_write_again(prepared, ast, parameters).await?;
            let mut own = match run.take() {
                Some(own) => own,
                None => self.begin_run(prepared, objects(&targeted, bound.as_deref())),
            };
            let interrupt = own.interrupt(self.timeout());
            let written = WriteRun { prepared, targeted: &targeted, bound: bound.as_ref(), parameters };
            let ended = self.attempt(&mut own, &interrupt, written).await;
            match ended {
                Ok(Ended::Done { count, returned, record: _ }) => return Ok((own, targeted, count, returned)),
                Ok(Ended::Moved(why)) => {
                    error = why.unwrap_or_else(|| Violation::Serialization.error());
                    if !self.begins_anew(alone).await {
                        return Err(own.fail(error));
                    }
                    run = Some(own);
                }
                Err(error) => return Err(own.fail(error)),
            }
        }
        Err(run.map_or_else(|| error.clone(), |run| run.fail(error.clone())))
    }

    /// Whether a statement whose rows were not as they were found may begin anew. A transaction that has failed is given up, if nothing
    /// else is in it.
    async fn begins_anew(&self, alone: bool) -> bool {
        let Some(block) = self.runs.block().open() else { return true };
        let failed = block.branches().await.has_failed();
        if failed && alone {
            self.drop_block().await;
        }
        !failed || alone
    }

    /// Refuses a change where the transaction or the session only reads. `verb`: what it is, asked only to say so.
    pub(in crate::session) fn refuse_read_only(&self, verb: impl FnOnce() -> String) -> Result<()> {
        let inner = self.inner();
        let refused = || {
            let text = format!("cannot execute {} in a read-only transaction", verb());
            Err(Error::new(ErrorCode::ReadOnlyTransaction, text))
        };
        if inner.transaction.is_read_only() {
            return refused();
        }
        for name in ["default_transaction_read_only", "transaction_read_only"] {
            if inner.settings.get(name)? == "on" {
                return refused();
            }
        }
        Ok(())
    }

    /// The change of a run: as an earlier one was decided and bound, or anew.
    async fn target_write_again(
        &self,
        prepared: &PreparedStatement,
        ast: &Ast,
        parameters: &[ArrayRef],
    ) -> Result<TargetedWrite> {
        if let Some(targeted_write) = self.cached_write(prepared).await? {
            return Ok(targeted_write);
        }
        let targeted_write = Box::pin(self.target_write(ast, &prepared.declared, Some(parameters))).await?;
        self.keep_write(prepared, &targeted_write).await?;
        Ok(targeted_write)
    }

    /// Decides, and binds the query that finds the rows. `given`: values, for whose places it is bound.
    pub(in crate::session) async fn target_write(
        &self,
        ast: &Ast,
        declared: &[Option<Declared>],
        given: Option<&[ArrayRef]>,
    ) -> Result<TargetedWrite> {
        if !self.gate.options().writes {
            return Err(refused_write(ast));
        }
        let workspace = self.workspace().await?;
        let intent = WriteIntent::of(ast, &workspace.catalog)?;
        let decided = Decided::of(intent, &workspace.catalog, now_ms()).await?;
        let mut declared = declared.to_vec();
        let of_find = decided.find().map(|find| numbers(&find.query)).unwrap_or_default();
        let of_returned = decided.returned().map(numbers).unwrap_or_default();
        let count = of_find.iter().chain(&of_returned).max().copied().unwrap_or(0);
        declared.resize(count.max(declared.len()), None);
        let bound = match decided.find() {
            None => None,
            Some(find) => Some(self.bind_fitting(&find.query, &declared, given).await?),
        };
        for untyped in decided.untyped() {
            let bound = self.bind_query(&untyped.query, &declared, Some(&own_text(&untyped.query))).await?;
            let types = bound.columns().iter().map(|column| column.pg_type);
            decided.admits(untyped.fields.iter().zip(types))?;
        }
        let mut types = bound.as_ref().map(|bound| bound.parameter_types()).unwrap_or_default();
        let returned = match decided.returned() {
            None => None,
            Some(query) => {
                for (number, known) in declared.iter_mut().enumerate().filter(|(at, _)| of_find.contains(&(at + 1))) {
                    *known = known.or_else(|| types.get(number).copied().map(Declared::from));
                }
                Some(self.bind_fitting(query, &declared, given).await?)
            }
        };
        for bound in bound.iter().chain(&returned) {
            if !Arc::ptr_eq(bound.workspace(), &workspace) {
                return Err(Violation::Serialization.error());
            }
        }
        if let Some(returned) = &returned {
            let own = returned.parameter_types();
            types = (0..own.len())
                .map(|at| if of_find.contains(&(at + 1)) { types.get(at) } else { own.get(at) })
                .map(|found| found.copied().unwrap_or(PgType::Text))
                .collect();
        }
        let returning = match &returned {
            None => None,
            Some(bound) => Some(self.returning(bound, decided.intent(), given).await?),
        };
        let targeted = decided.targeted(bound.as_deref(), returning)?;
        Ok((Arc::new(targeted), bound, types))
    }

    /// Binds a query; where there are values, for their places.
    async fn bind_fitting(
        &self,
        query: &Query,
        declared: &[Option<Declared>],
        given: Option<&[ArrayRef]>,
    ) -> Result<Arc<Bound>> {
        let text = own_text(query);
        let bound = self.bind_query(query, declared, Some(&text)).await?;
        match given.and_then(|given| bound.declared_for(declared, given)) {
            Some(fitting) => self.bind_query(query, &fitting, Some(&text)).await,
            None => Ok(bound),
        }
    }

    /// What RETURNING computes; without values, only what it gives.
    async fn returning(
        &self,
        bound: &Arc<Bound>,
        intent: &WriteIntent,
        given: Option<&[ArrayRef]>,
    ) -> Result<Returning> {
        let columns = intent.object().table.columns();
        let Some(given) = given else {
            Computation::admits(bound, columns)?;
            return Ok(Returning::computed(bound, None));
        };
        let state = started(&self.statement_state(bound).await?, bound.asks());
        let computation = Computation::of(bound, bound.values(given)?, &state, columns)?;
        Ok(Returning::computed(bound, Some(computation)))
    }

    pub(in crate::session) async fn attempt(
        &self,
        run: &mut Run,
        interrupt: &Interrupt,
        written: WriteRun<'_>,
    ) -> Result<Ended> {
        let WriteRun { prepared, targeted, bound, parameters } = written;
        let pool = self.runs.statement_account();
        let account = MemoryConsumer::new("change").register(&pool);
        let (rows, bytes) = match self.by_key(targeted, bound, parameters).await? {
            // One row, which pays for itself when it is read.
            Some(by_key) => {
                let bytes = by_key.bytes();
                (WrittenRows::Key(by_key), bytes)
            }
            None => {
                let found = self.found_rows(run, interrupt, written, &account).await?;
                if found.num_rows() == 0 {
                    run.planned();
                    let none =
                        targeted.returning().map(|returning| RecordBatch::new_empty(Arc::clone(returning.schema())));
                    return Ok(Ended::Done { count: 0, returned: none, record: None });
                }
                for (part, rows) in targeted.parts(&found)? {
                    let known = &mut KnownReferences::default();
                    interrupt.within(self.refer(prepared, interrupt, &part, &rows, known)).await?;
                }
                let bytes = bytes_as_records(&found);
                (WrittenRows::Found(found), bytes)
            }
        };
        run.planned();
        account.try_resize(bytes.saturating_mul(COPIES)).map_err(|error| translate(&error, Stage::Execute))?;
        let permit = interrupt.within(run.turn()).await?;
        // The task ends by itself: a caller that stops waiting for it cancels it.
        let token = interrupt.token().child_token();
        let _leaving = token.clone().drop_guard();
        let context = ExecuteContext {
            cancel: token,
            deadline: interrupt.deadline().map(tokio::time::Instant::into_std),
            room: Some(room_of_rows(&pool)),
            ..ExecuteContext::default()
        };
        let (targeted, log) = (Arc::clone(targeted), run.change_log());
        let block = self.block_of_change()?.ok_or_else(|| Error::internal("a change was in no transaction"))?;
        let records = self.hook_records(&block)?;
        let (logged, changed, asked) = (log.clone(), Arc::clone(&block), records.clone());
        let measured = measured_memory::ledger(&pool, &context.cancel);
        let change = async move {
            let _held = permit;
            let ended = carry_out(targeted, rows, &block, (&log, records.as_ref()), context).await?;
            // What formulas and expressions of RETURNING make is known when it is made.
            if let Ended::Done { returned: Some(returned), .. } = &ended {
                let bytes = returned.get_array_memory_size();
                account.try_grow(bytes).map_err(|error| translate(&error, Stage::Execute))?;
            }
            Ok(ended)
        };
        let task = self.gate.runtime().spawn(StatementWork::ending_itself(&measured, change));
        let ended = task.await.map_err(|join| Error::internal(format!("a change did not finish: {join}")))?.flatten();
        run.measure_writes(&changed).await;
        let is_by_hooks = asked.is_some_and(|records| records.0.has_changed());
        if is_by_hooks || matches!(&ended, Ok(Ended::Done { count, .. }) if *count > 0) {
            self.runs.block().remember_change(logged);
        }
        ended
    }

    /// How the row of a change is locked that is named by its key.
    pub(in crate::session) async fn by_key(
        &self,
        targeted: &Targeted,
        bound: Option<&Arc<Bound>>,
        parameters: &[ArrayRef],
    ) -> Result<Option<ByKey>> {
        let Some(bound) = bound.filter(|_| locks_at_once(targeted)) else { return Ok(None) };
        let state = started(&self.statement_state(bound).await?, bound.asks());
        ByKey::of(targeted, bound, parameters, &state)
    }

    /// The rows that the query of a change finds; one without columns where it has none.
    async fn found_rows(
        &self,
        run: &mut Run,
        interrupt: &Interrupt,
        written: WriteRun<'_>,
        account: &MemoryReservation,
    ) -> Result<RecordBatch> {
        let WriteRun { prepared, targeted, bound, parameters } = written;
        match bound {
            Some(bound) => {
                let (_, state, _) = self.current().await?;
                let found = match plain_rows(bound, parameters, &state, chrono::Utc::now())? {
                    Some(rows) => rows,
                    None => {
                        let of = Invocation { prepared, bound, parameters, part: None, is_find: true, observed: None };
                        interrupt.within(self.found(run, interrupt, of, account)).await?
                    }
                };
                targeted.fitted(found, &|value, wanted| bound.fitted(value, wanted))
            }
            None => {
                let one = RecordBatchOptions::new().with_row_count(Some(1));
                RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one).map_err(Error::internal)
            }
        }
    }

    /// All found rows, which `account` pays for as they come. The bound on them is the statement's.
    pub(in crate::session) async fn found(
        &self,
        run: &mut Run,
        interrupt: &Interrupt,
        of: Invocation<'_>,
        account: &MemoryReservation,
    ) -> Result<RecordBatch> {
        let schema = Arc::clone(of.bound.schema());
        // The stream ends its own token when it is dropped.
        let own = interrupt.child();
        let mut batches = self.start_rows(run, &own, of).await?;
        let (mut kept, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while let Some(batch) = batches.next().await {
            let batch = as_described(&batch?, &schema)?;
            rows += batch.num_rows();
            let own = batch.get_array_memory_size();
            bytes += own;
            // As it came, and as part of all of them.
            account.try_grow(own.saturating_mul(2)).map_err(|error| translate(&error, Stage::Execute))?;
            if rows > ROWS_MAX || bytes > BYTES_MAX {
                return Err(Error::new(ErrorCode::ProgramLimitExceeded, "the statement changes too many rows at once")
                    .with_detail(format!("The limit is {ROWS_MAX} rows, and {BYTES_MAX} bytes."))
                    .with_hint("Change them in several statements."));
            }
            kept.push(batch);
        }
        let schema = kept.first().map_or(schema, RecordBatch::schema);
        concat_batches(&schema, &kept).map_err(Error::internal)
    }

    fn done(&self, mut run: Run, targeted: &Targeted, count: usize, returned: Option<RecordBatch>) -> Result<Outcome> {
        let (verb, tag) = targeted.intent().tag(count);
        run.note(|record| {
            record.changed = count as u64;
            record.deletes = matches!(verb, "DELETE" | "TRUNCATE TABLE");
        });
        let (Some(returning), Some(batch)) = (targeted.returning(), returned) else {
            run.end(Ok(()))?;
            return Ok(Outcome::Command(CommandTag::Fixed(tag)));
        };
        let (columns, schema) = (Arc::clone(returning.columns()), Arc::clone(returning.schema()));
        let batches = run.rows(futures::stream::iter([Ok(batch)]).boxed());
        Ok(Outcome::Rows(Rows { columns, schema, batches, tag: CommandTag::Counted(verb) }))
    }
}

/// SQL names of the table that is changed and of those that are read for it.
pub(super) fn objects(targeted: &Targeted, bound: Option<&Bound>) -> Arc<[String]> {
    let own = &targeted.intent().object().sql_name;
    let read = bound.map(|bound| bound.objects().as_ref()).unwrap_or_default();
    std::iter::once(own).chain(read.iter().filter(|name| *name != own)).cloned().collect()
}

/// The word that a statement begins with.
pub(super) fn verb(ast: &Ast) -> String {
    ast.to_string().split_whitespace().next().unwrap_or_default().to_uppercase()
}
