//! Runs of statements whose rows go to the client as their source writes them: found by a key, with no plan, batch or stream around
//! them. What is not such a run is left to the usual way, as if nobody had asked.

use super::prepared::{Kind, PreparedStatement};
use crate::bind::statement::Bound;
use crate::books::learning_feed::MeasuredStatement;
use crate::books::observe::FragmentRecord;
use crate::plan::executable::{self, WrittenCall};
use crate::run::execute;
use crate::session::gate_session::GateSession;
use crate::sql::classify::Classified;
use crate::sql::locate::located_in;
use arrow::array::ArrayRef;
use querygate_driver_api::Wanted;
use querygate_query_api::Session;
use querygate_telemetry_api::FirstRow;
use querygate_types::{Error, ErrorCode, Result, WireForm, WireRows};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// A run, as far as the books will tell of it.
pub(in crate::session) struct Run {
    began: SystemTime,
    pub(in crate::session) started: Instant,
    form: WireForm,
    told: Option<MeasuredStatement>,
    planning: Duration,
    rows: u64,
    /// `None`: it did not come so far as to be one of a known fragment.
    fragments: Option<Arc<[FragmentRecord]>>,
}

impl Run {
    pub(in crate::session) fn begin(session: &GateSession, began: SystemTime, form: WireForm) -> Self {
        let started = Instant::now();
        let told = session.told((began, started.into_std()));
        Self { began, started, form, told, planning: Duration::ZERO, rows: 0, fragments: None }
    }
}

impl GateSession {
    /// `None`: it is to be executed.
    pub(in crate::session) async fn execute_as_written(
        &self,
        prepared: &PreparedStatement,
        parameters: &[ArrayRef],
        form: WireForm,
    ) -> Result<Option<WireRows>> {
        let written = self.run_written(prepared, parameters, form).await;
        if written.is_err() {
            self.fail_transaction();
        }
        written
    }

    async fn run_written(
        &self,
        prepared: &PreparedStatement,
        parameters: &[ArrayRef],
        form: WireForm,
    ) -> Result<Option<WireRows>> {
        let (Kind::Query(bound), Classified::Query(query)) = (&prepared.kind, prepared.parsed.class()) else {
            return Ok(None);
        };
        // What a check compares are columns.
        let may_be = bound.whole_found().is_some_and(|whole| whole.written.is_some());
        if !may_be || self.inner().settings.check_share() > 0 {
            return Ok(None);
        }
        self.admits(prepared.parsed.class())?;
        let bound = self.refreshed_query(bound, query, (prepared, parameters)).await?;
        self.look_up_written(prepared, &bound, parameters, form).await
    }

    async fn look_up_written(
        &self,
        prepared: &PreparedStatement,
        bound: &Arc<Bound>,
        parameters: &[ArrayRef],
        form: WireForm,
    ) -> Result<Option<WireRows>> {
        let mut run = Run::begin(self, SystemTime::now(), form);
        let cancel = self.new_cancel();
        let deadline = self.inner().settings.timeout().map(|timeout| run.started + timeout);
        let work = async {
            let _turn = self.gate.admit(&self.principal.login).await?;
            let Some(call) = executable::written(bound, parameters)? else { return Ok(None) };
            self.called_written(call, &mut run).await
        };
        let found = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(execute::canceled()),
            () = execute::expired(deadline) => Err(execute::timed_out()),
            found = work => found,
        };
        if matches!(found, Ok(Some(_))) {
            self.arm(prepared, bound);
        }
        self.ended(prepared, bound, run, found)
    }

    /// The rows of a statement with its values, as many as one may have.
    pub(in crate::session) async fn called_written(
        &self,
        call: WrittenCall<'_>,
        run: &mut Run,
    ) -> Result<Option<WireRows>> {
        (run.planning, run.fragments) = (run.started.elapsed(), Some(Arc::clone(call.records)));
        let runs = run.told.as_ref().map(|told| &told.measures.runs);
        let wanted = Wanted { types: call.types, form: run.form };
        let found = call.fragment.look_up_written(&call.values, wanted, runs).await?;
        run.rows = found.as_ref().map_or(0, |found| found.rows);
        match self.gate.options().rows_max {
            Some(max) if run.rows > max => {
                let error = Error::new(ErrorCode::ProgramLimitExceeded, "the result has too many rows");
                Err(error.with_detail(format!("The limit is {max} rows.")))
            }
            Some(_) | None => Ok(found),
        }
    }

    /// Closes the run's record.
    pub(in crate::session) fn ended(
        &self,
        prepared: &PreparedStatement,
        bound: &Bound,
        run: Run,
        found: Result<Option<WireRows>>,
    ) -> Result<Option<WireRows>> {
        // Nothing was done that the books should tell.
        if matches!(found, Ok(None)) {
            return Ok(None);
        }
        let mut record = self.record_begun(&prepared.parsed, Arc::clone(bound.objects()), (run.began, run.told));
        (record.planning, record.total, record.rows) = (run.planning, run.started.elapsed(), run.rows);
        if let Some(fragments) = run.fragments {
            (record.cached, record.fragments) = (true, fragments);
        }
        match &found {
            Ok(Some(rows)) => {
                if let Some(told) = &mut record.told {
                    told.measures.bytes = rows.bytes;
                    told.measures.first_row = if rows.rows > 0 { FirstRow::Came } else { FirstRow::Missing };
                }
            }
            Ok(None) => {}
            Err(error) => record.error = Some(error.code()),
        }
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.gate.observer().finished(record);
        found.map_err(|error| located_in(error, &prepared.parsed))
    }
}
