//! Look-ups whose rows go to the client as their source writes them: found by a key, with no plan, batch or stream around them.

use crate::bind::statement::Bound;
use crate::plan::executable::{self, WrittenCall};
use crate::run::lifecycle::Run;
use crate::session::gate_session::GateSession;
use arrow::array::ArrayRef;
use querygate_driver_api::execution::Wanted;
use querygate_query_api::service::LookUpRefusal;
use querygate_types::Result;
use querygate_types::wire_rows::{WireForm, WireRows};
use std::sync::Arc;

impl GateSession {
    /// Why a bound statement is not run as a look-up, as far as that is known before its values are; `None`: it may be one.
    pub(in crate::session) fn look_up_refusal(&self, bound: &Bound) -> Option<LookUpRefusal> {
        if bound.asks().moment {
            return Some(LookUpRefusal::Moment);
        }
        if !bound.is_whole_known() {
            return Some(LookUpRefusal::FirstRun);
        }
        let Some(whole) = bound.whole_found() else { return Some(LookUpRefusal::NotWhole) };
        if let Err(reason) = whole.fragment.gives_wire_rows() {
            return Some(LookUpRefusal::Source(reason.text()));
        }
        // What a check compares are columns.
        (self.inner().settings.check_share() > 0).then_some(LookUpRefusal::Compared)
    }

    /// The line of EXPLAIN on this.
    pub(in crate::session) fn look_up_note(&self, bound: &Bound) -> String {
        match self.look_up_refusal(bound) {
            None => "Look-up: yes".to_owned(),
            Some(declined) => format!("Look-up: no, {}", declined.text()),
        }
    }

    /// The rows of a look-up; declined: it is to be run for batches, and nothing was done.
    pub(in crate::session) async fn messages(
        &self,
        run: &mut Run,
        bound: &Bound,
        parameters: &[ArrayRef],
        form: WireForm,
    ) -> Result<std::result::Result<WireRows, LookUpRefusal>> {
        run.admit().await?;
        let Some(call) = executable::written(bound, parameters)? else { return Ok(Err(LookUpRefusal::Values)) };
        self.called_written(call, run, form).await
    }

    /// The rows of a statement with its values, unless the source declines it.
    pub(in crate::session) async fn called_written(
        &self,
        call: WrittenCall<'_>,
        run: &mut Run,
        form: WireForm,
    ) -> Result<std::result::Result<WireRows, LookUpRefusal>> {
        run.reuse_plan(Arc::clone(call.records));
        let wanted = Wanted { types: call.types, form };
        let found = call.fragment.look_up_wire_rows(&call.values, wanted, run.measured_whole()).await?;
        Ok(found.map_err(|reason| {
            run.discard_plan();
            LookUpRefusal::Source(reason.text())
        }))
    }
}
