//! Runs of statements whose rows go to the client as their source writes them: found by a key, with no plan, batch or stream around
//! them. What is not such a run is left to the usual way, as if nobody had asked.

use super::statement::{GateSession, Kind, PreparedStatement};
use crate::bind::Bound;
use crate::classify::Classified;
use crate::execute;
use crate::locate::located_in;
use crate::plan;
use arrow::array::ArrayRef;
use querygate_driver_api::Wanted;
use querygate_query_api::Session;
use querygate_types::{Error, ErrorCode, Result, WireForm, WrittenRows};
use std::sync::Arc;
use tokio::time::Instant;

impl GateSession {
    /// `None`: it is to be executed.
    pub(super) async fn execute_as_written(
        &self,
        prepared: &PreparedStatement,
        parameters: &[ArrayRef],
        form: WireForm,
    ) -> Result<Option<WrittenRows>> {
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
    ) -> Result<Option<WrittenRows>> {
        let (Kind::Query(bound), Classified::Query(query)) = (&prepared.kind, prepared.parsed.class()) else {
            return Ok(None);
        };
        // What a check compares are columns.
        let may_be = bound.whole_found().is_some_and(|whole| whole.written.is_some());
        if !may_be || self.inner().settings.check_share() > 0 {
            return Ok(None);
        }
        self.admits(prepared.parsed.class())?;
        let bound = self.refreshed(bound, query, &prepared.declared).await?;
        self.look_up_written(prepared, &bound, parameters, form).await
    }

    async fn look_up_written(
        &self,
        prepared: &PreparedStatement,
        bound: &Arc<Bound>,
        parameters: &[ArrayRef],
        form: WireForm,
    ) -> Result<Option<WrittenRows>> {
        let started = Instant::now();
        let cancel = self.new_cancel();
        let deadline = self.inner().settings.duration("statement_timeout").map(|timeout| started + timeout);
        let mut record = self.record_of(&prepared.parsed, Arc::clone(bound.objects()));
        let work = async {
            let _turn = self.gate.admit(&self.principal.login).await?;
            let Some(call) = plan::written(bound, parameters)? else { return Ok(None) };
            record.planning = started.elapsed();
            (record.cached, record.fragments) = (true, Arc::clone(call.records));
            let runs = record.told.as_ref().map(|told| &told.runs);
            let wanted = Wanted { types: call.types, form };
            let found = call.fragment.look_up_written(&call.values, wanted, runs).await?;
            match (found, self.gate.options().rows_max) {
                (Some(rows), Some(max)) if rows.rows > max => {
                    record.rows = rows.rows;
                    let error = Error::new(ErrorCode::ProgramLimitExceeded, "the result has too many rows");
                    Err(error.with_detail(format!("The limit is {max} rows.")))
                }
                (found, _) => Ok(found),
            }
        };
        let found = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(execute::canceled()),
            () = execute::expired(deadline) => Err(execute::timed_out()),
            found = work => found,
        };
        record.total = started.elapsed();
        match &found {
            // Nothing was done that the books should tell.
            Ok(None) => return Ok(None),
            Ok(Some(rows)) => {
                record.rows = rows.rows;
                if let Some(told) = &mut record.told {
                    told.bytes = rows.bytes;
                    told.first_row = (rows.rows > 0).then_some(record.total);
                }
            }
            Err(error) => record.error = Some(error.code()),
        }
        self.gate.observer().session_changed(self.id, |session| session.statements += 1);
        self.gate.observer().finished(record);
        found.map_err(|error| located_in(error, &prepared.parsed))
    }
}
