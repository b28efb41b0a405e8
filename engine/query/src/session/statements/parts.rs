//! A statement's parts in a session: divided without running it. Decides nothing about plans.

use super::prepared::{Kind, PreparedStatement};
use crate::plan::parts::Plain;
use crate::plan::planning::PlanOptions;
use crate::session::gate_session::GateSession;
use crate::sql::classify::Classified;
use arrow::array::ArrayRef;
use querygate_query_api::parts::{Parts, Split};
use querygate_types::Result;
use std::sync::Arc;

impl GateSession {
    /// Divides the rows that a statement would give.
    pub(in crate::session) async fn divide(
        &self,
        prepared: &PreparedStatement,
        parameters: &[ArrayRef],
        split: Split,
    ) -> Result<Parts> {
        let (Kind::Query(bound), Classified::Query(query)) = (&prepared.kind, prepared.parsed.class()) else {
            return Ok(Parts::default());
        };
        if self.runs.block().is_open() {
            // Other connections do not see what the transaction changes.
            return Ok(Parts::default());
        }
        if self.gate.options().rows_max.is_some() {
            // The bound on a result's rows has to see all of them.
            return Ok(Parts::default());
        }
        let interrupt = self.runs.interrupt(self.inner().settings.timeout());
        let work = async {
            let bound = self.refreshed_query(bound, query, prepared, parameters).await?;
            let parameters = prepared.values(parameters);
            let Some(plain) = Plain::of(&bound) else { return Ok(Parts::default()) };
            // Counting is work, planning alone is not.
            let _turn = match split {
                Split::Exactly(_) => Some(self.runs.admit().await?),
                Split::UpTo(_) => None,
            };
            let state = self.statement_state(&bound).await?;
            let executable = self.plan_on_workers(&bound, &state, parameters, PlanOptions::default()).await?;
            let plan = Arc::clone(executable.physical());
            let holder = self.runs.holder(self.runs.account());
            self.on_workers(async move { plain.parts(&plan, split, &holder).await }).await
        };
        interrupt.within(work).await
    }
}
