//! One run of a statement, from its first step until its last row is read: its turn, its end by cancel or deadline, its memory, its
//! record, the limit on its rows and the place of its errors in the text. Knows neither plans nor the settings of a session.

mod resources;

pub(crate) use resources::Resources;

use crate::books::change_log::ChangeLog;
use crate::books::learning_feed::MeasuredStatement;
use crate::books::observe::{Activity, FragmentRecord, QueryRecord};
use crate::books::within::Within;
use crate::run::admission::{Permit, Place};
use crate::run::execute::{Guard, StatementMemory, Turn};
use crate::run::interrupt::{Interrupt, LookUpCancels, LookUpInterrupt};
use crate::run::row_limit::exceeded;
use crate::run::session_block::SessionBlock;
use crate::run::session_end::SessionEnd;
use crate::run::start_time::StartTime;
use crate::sql::locate::located_in;
use crate::sql::parse::Parsed;
use datafusion::execution::memory_pool::MemoryPool;
use querygate_catalog::FragmentRuns;
use querygate_query_api::service::Door;
use querygate_resources::{Holder, TransactionBlock};
use querygate_telemetry_api::FirstRow;
use querygate_types::wire_rows::WireRows;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What all runs of a session share.
#[derive(Debug)]
pub(crate) struct SessionRuns {
    resources: Arc<Resources>,
    login: Arc<str>,
    session: u64,
    door: Door,
    activity: Arc<Activity>,
    /// Its user's share of memory.
    account: Arc<dyn MemoryPool>,
    /// Of the run that began last and is no look-up. It fires when its rows are dropped, too.
    cancel: Mutex<CancellationToken>,
    /// Look-ups are ended by a number: a token for each would cost a tenth of what they do.
    look_up_cancels: LookUpCancels,
    /// Whether what began last is a look-up.
    looks_up: AtomicBool,
    /// Once it has come, nothing begins in the session.
    end: SessionEnd,
    block: SessionBlock,
    /// The number of the door's request that statements are of now.
    request: Mutex<Option<Arc<str>>>,
    /// They run within a statement of a session, for a hook.
    within: Option<Within>,
}

/// Who runs statements in a session, and by which door.
#[derive(Debug)]
pub(crate) struct SessionIdentity {
    pub(crate) login: Arc<str>,
    pub(crate) session: u64,
    pub(crate) door: Door,
}

impl SessionRuns {
    pub(crate) fn new(
        resources: Arc<Resources>,
        SessionIdentity { login, session, door }: SessionIdentity,
        activity: Arc<Activity>,
        account: Arc<dyn MemoryPool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            resources,
            login,
            session,
            door,
            activity,
            account,
            cancel: Mutex::default(),
            look_up_cancels: LookUpCancels::default(),
            looks_up: AtomicBool::new(false),
            end: SessionEnd::default(),
            block: SessionBlock::default(),
            request: Mutex::default(),
            within: None,
        })
    }

    /// For statements of a hook, which are counted and written down as those of the session whose statement it is.
    pub(crate) fn of_hook(&self, within: Within) -> Arc<Self> {
        Arc::new(Self {
            resources: Arc::clone(&self.resources),
            login: Arc::clone(&self.login),
            session: self.session,
            door: self.door,
            activity: Arc::clone(&self.activity),
            account: Arc::clone(&self.account),
            cancel: Mutex::default(),
            look_up_cancels: LookUpCancels::default(),
            looks_up: AtomicBool::new(false),
            end: SessionEnd::default(),
            block: SessionBlock::default(),
            request: Mutex::new(self.request()),
            within: Some(within),
        })
    }

    /// The savepoint of one of several changes of a call. Those of clients are counted from 0; those of a hook are others than
    /// those of the change that it is of.
    pub(crate) fn item_savepoint(&self) -> u32 {
        u32::MAX - self.depth()
    }

    /// Whether a statement that has a turn waits for them.
    pub(crate) fn is_within(&self) -> bool {
        self.within.as_ref().is_some_and(|within| within.has_turn)
    }

    /// Hooks whose changes led to its statements.
    pub(crate) fn depth(&self) -> u32 {
        self.within.as_ref().map_or(0, |within| within.depth)
    }

    /// Statements from now on are of this request.
    pub(crate) fn follow_request(&self, id: Option<Arc<str>>) {
        *self.request.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    fn request(&self) -> Option<Arc<str>> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn account(&self) -> &Arc<dyn MemoryPool> {
        &self.account
    }

    /// What one statement may hold.
    pub(crate) fn statement_account(&self) -> Arc<dyn MemoryPool> {
        self.resources.statement_account(&self.account)
    }

    /// A statement of this session, as sources' connections are shared out. `account`: pays for what it reads of a source that its
    /// transaction changes.
    pub(crate) fn holder(&self, account: &Arc<dyn MemoryPool>) -> Arc<Holder> {
        let block = self.block.open().map(|block| (block, Arc::clone(account)));
        Holder::in_block(&self.resources.source_shares, &self.login, self.session, block)
    }

    /// The transaction block of this session's statements.
    pub(crate) fn block(&self) -> &SessionBlock {
        &self.block
    }

    /// Where this user's statements ask for turns.
    pub(crate) fn place(&self) -> Place {
        self.resources.admission.place(&self.login)
    }

    /// Ends the session: what it runs, and what would begin in it. Doors that keep its connection let it go.
    pub(crate) fn end(&self) {
        self.end.come();
        self.cancel_last();
    }

    /// Waits until an operator has ended the session.
    pub(crate) async fn until_ended(&self) {
        self.end.wait().await;
    }

    /// What the session does now.
    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.end.has_come()
    }

    /// A turn for work of this session.
    ///
    /// # Errors
    /// 53300: too many wait, or this work has waited for too long. 57P01: an operator ended the session.
    pub(crate) async fn admit(&self) -> Result<Permit> {
        if self.is_ended() {
            return Err(Error::new(ErrorCode::AdminShutdown, "an operator ended the session"));
        }
        if self.is_within() {
            return Ok(self.place().turn_within());
        }
        self.resources.admission.admit(&self.login).await
    }

    /// What ends work that begins now and may take so long.
    pub(crate) fn interrupt(&self, timeout: Option<Duration>) -> Interrupt {
        let token = CancellationToken::new();
        *self.cancel() = token.clone();
        self.looks_up.store(false, Ordering::Release);
        Interrupt::new(token, timeout.map(|timeout| Instant::now() + timeout))
    }

    /// Ends what began last, if it still runs.
    pub(crate) fn cancel_last(&self) {
        if self.looks_up.load(Ordering::Acquire) {
            self.look_up_cancels.request();
        } else {
            self.cancel().cancel();
        }
    }

    /// What ends a look-up that begins now, and those that began since the last other run.
    pub(crate) fn look_up_interrupt(&self, deadline: Option<Instant>) -> LookUpInterrupt<'_> {
        self.looks_up.store(true, Ordering::Release);
        self.look_up_cancels.interrupt(deadline)
    }

    fn cancel(&self) -> MutexGuard<'_, CancellationToken> {
        self.cancel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One run of a statement. Dropped before its end, it leaves no record.
#[derive(Debug)]
pub(crate) struct Run {
    runs: Arc<SessionRuns>,
    statement: Arc<Parsed>,
    started: Instant,
    permit: Option<Permit>,
    /// What a request to cancel it fires.
    cancel: OnceLock<CancellationToken>,
    /// `None`: the run is part of another statement's, which is recorded.
    record: Option<QueryRecord>,
    /// It has left the session's activity: rows that are all read may be kept open, as those of a cursor.
    is_over: bool,
}

impl Run {
    /// Begins a run that is recorded. `measured`: what is measured for learning, if anything is.
    pub(crate) fn begin(
        runs: &Arc<SessionRuns>,
        statement: &Arc<Parsed>,
        objects: Arc<[String]>,
        began: StartTime,
        mut measured: Option<MeasuredStatement>,
    ) -> Self {
        if let Some(measured) = &mut measured {
            measured.begin_run(statement, &objects, (began.at, began.started.into_std()));
        }
        let record = QueryRecord {
            id: runs.resources.observer.next_query(),
            started: began.at,
            login: Arc::clone(&runs.login),
            session: runs.session,
            door: runs.door,
            request: runs.request(),
            within: runs.within.clone(),
            template: Arc::clone(statement.template()),
            objects,
            planning: Duration::ZERO,
            total: Duration::ZERO,
            rows: 0,
            changed: 0,
            deletes: false,
            error: None,
            cached: false,
            fragments: Arc::default(),
            reads: Vec::new(),
            told: measured,
        };
        Self::new(runs, statement, began.started, Some(record))
    }

    /// Where changes of the statement are written down before they are stored.
    pub(crate) fn change_log(&self) -> ChangeLog {
        let SessionRuns { resources, login, session, door, .. } = self.runs.as_ref();
        let observer = Arc::clone(&resources.observer);
        let query = self.record.as_ref().map_or(0, |record| record.id);
        let request = self.record.as_ref().and_then(|record| record.request.clone());
        let within = self.runs.within.clone();
        ChangeLog { observer, query, session: *session, login: Arc::clone(login), door: *door, request, within }
    }

    /// Begins a run on behalf of a statement that has a record of its own.
    pub(crate) fn unrecorded(runs: &Arc<SessionRuns>, statement: &Arc<Parsed>, started: Instant) -> Self {
        Self::new(runs, statement, started, None)
    }

    fn new(runs: &Arc<SessionRuns>, statement: &Arc<Parsed>, started: Instant, record: Option<QueryRecord>) -> Self {
        runs.activity.enter();
        let (runs, statement) = (Arc::clone(runs), Arc::clone(statement));
        Self { runs, statement, started, permit: None, cancel: OnceLock::new(), record, is_over: false }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// What ends it, as the session's last run; it may take so long from its beginning.
    pub(crate) fn interrupt(&self, timeout: Option<Duration>) -> Interrupt {
        let deadline = timeout.map(|timeout| self.started + timeout);
        let interrupt = self.runs.interrupt(None).until(deadline);
        self.cancel.get_or_init(|| interrupt.token().clone());
        interrupt
    }

    /// Ends the run where its rows are no longer read: a reader that left early (a row limit, a closed portal) is no failure, one that was
    /// to end is.
    pub(crate) fn leave_rows(&mut self) {
        let is_cancelled = self.cancel.get().is_some_and(CancellationToken::is_cancelled);
        self.close(is_cancelled.then_some(ErrorCode::QueryCanceled));
    }

    /// Waits for a turn, unless it has one.
    ///
    /// # Errors
    /// 53300: too many wait, or this run has waited for too long.
    pub(crate) async fn admit(&mut self) -> Result<()> {
        if self.permit.is_none() {
            self.permit = Some(self.runs.admit().await?);
        }
        Ok(())
    }

    /// Runs within a statement that has a turn and waits for it: to wait for one of its own could take forever.
    pub(crate) fn run_within(&mut self) {
        self.permit = Some(self.runs.place().turn_within());
    }

    /// Its turn, for work that it hands on and waits for.
    ///
    /// # Errors
    /// As [`admit`](Self::admit).
    pub(crate) async fn turn(&mut self) -> Result<Permit> {
        self.admit().await?;
        self.permit.take().ok_or_else(|| Error::internal("a run has no turn"))
    }

    /// What the record says so far; `None`: nothing is recorded.
    pub(crate) fn record(&self) -> Option<&QueryRecord> {
        self.record.as_ref()
    }

    /// Puts something into the record, if there is one.
    pub(crate) fn note(&mut self, change: impl FnOnce(&mut QueryRecord)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }

    /// Planning ends now, unless it ended before.
    pub(crate) fn planned(&mut self) {
        let elapsed = self.started.elapsed();
        self.note(|record| {
            if record.planning.is_zero() {
                record.planning = elapsed;
            }
        });
    }

    /// Takes over the plan of an earlier run, whose fragments these are.
    pub(crate) fn reuse_plan(&mut self, fragments: Arc<[FragmentRecord]>) {
        self.planned();
        self.note(|record| (record.cached, record.fragments) = (true, fragments));
    }

    /// Goes on planning: the source declined the fragment that was taken over.
    pub(crate) fn discard_plan(&mut self) {
        self.note(|record| {
            record.planning = Duration::ZERO;
            (record.cached, record.fragments) = (false, Arc::default());
        });
    }

    /// Takes in what its statement wrote in a block, if that is measured.
    pub(crate) async fn measure_writes(&mut self, block: &TransactionBlock) {
        let Some(told) = self.record.as_mut().and_then(|record| record.told.as_mut()) else { return };
        for (source, written) in block.branches().await.take_written() {
            told.measures.wrote(&source, &written);
        }
    }

    /// Where the fragments of its plan are measured; `None`: they are not.
    pub(crate) fn measured(&mut self) -> Option<&Arc<FragmentRuns>> {
        let record = self.record.as_mut()?;
        let began = (record.started, self.started.into_std());
        Some(record.told.as_mut()?.measures.fragments(began))
    }

    /// Where the fragment is measured that is its whole statement; `None`: it is not, or not in this run.
    pub(crate) fn measured_whole(&mut self) -> Option<&Arc<FragmentRuns>> {
        self.record.as_mut()?.told.as_mut()?.measures.whole_fragment()
    }

    /// What the task that makes its batches holds, with the account that pays for it. The turn goes along.
    ///
    /// # Errors
    /// 53200: an account is full. 53300: a turn was needed and not given.
    pub(crate) async fn guard(&mut self, interrupt: Interrupt) -> Result<(Guard, Arc<dyn MemoryPool>, Arc<Holder>)> {
        self.admit().await?;
        let permit = self.permit.take().ok_or_else(|| Error::internal("a run has no turn"))?;
        let account = self.runs.statement_account();
        let holder = self.runs.holder(&account);
        let memory = StatementMemory::begin(&account, &interrupt, &self.statement.template().text)?;
        permit.computes(&interrupt, memory.measured());
        let guard = Guard { interrupt, permit: Turn::new(permit), holder: Some(Arc::clone(&holder)), memory };
        Ok((guard, account, holder))
    }

    /// Runs nothing: the record is left out.
    pub(crate) fn withdraw(self) {}

    /// Ends the run, which gave no rows of its own.
    pub(crate) fn end(mut self, outcome: Result<()>) -> Result<()> {
        self.planned();
        self.close(outcome.as_ref().err().map(Error::code));
        outcome.map_err(|error| located_in(error, &self.statement))
    }

    /// Ends the run with an error, and says where in the statement it is.
    pub(crate) fn fail(mut self, error: Error) -> Error {
        self.close(Some(error.code()));
        located_in(error, &self.statement)
    }

    /// Ends a run whose rows, which are few, are all here.
    ///
    /// # Errors
    /// 54000: there are more than one may have.
    pub(crate) fn deliver(&mut self, rows: WireRows) -> Result<WireRows> {
        self.note(|record| {
            record.rows = rows.rows;
            if let Some(told) = &mut record.told {
                (told.measures.bytes, told.measures.is_read) = (rows.bytes, true);
                told.measures.first_row = if rows.rows > 0 { FirstRow::Came } else { FirstRow::Missing };
            }
        });
        match self.too_many(rows.rows) {
            Some(error) => {
                self.close(Some(error.code()));
                Err(self.located(error))
            }
            None => {
                self.close(None);
                Ok(rows)
            }
        }
    }

    /// The error of a result with so many rows, if that is more than one may have.
    pub(crate) fn too_many(&self, rows: u64) -> Option<Error> {
        exceeded(self.runs.resources.rows_max, rows)
    }

    /// The error with its place in the statement.
    pub(crate) fn located(&self, error: Error) -> Error {
        located_in(error, &self.statement)
    }

    /// Reports to learning what the run has done so far.
    pub(crate) fn report_progress(&self) {
        if let Some(record) = &self.record {
            self.runs.resources.observer.goes_on(record, self.started.elapsed());
        }
    }

    /// Gives back the turn, leaves the session's activity and closes the record, once.
    pub(crate) fn close(&mut self, error: Option<ErrorCode>) {
        self.leave();
        let total = self.started.elapsed();
        self.note(|record| (record.total, record.error) = (total, error));
        if let Some(record) = self.record.take() {
            self.runs.activity.count();
            self.runs.resources.observer.finished(record);
        }
    }
}

impl Run {
    fn leave(&mut self) {
        self.permit = None;
        if !std::mem::replace(&mut self.is_over, true) {
            self.runs.activity.leave();
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests;
