//! A statement's parts in a session: divided without running it, and run one at a time. Decides nothing about plans.

use super::prepared::{Kind, PreparedStatement};
use crate::plan::parts::Plain;
use crate::run::execute;
use crate::session::gate_session::GateSession;
use crate::sql::classify::Classified;
use arrow::array::ArrayRef;
use querygate_query_api::{Outcome, Part, Parts, Split};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio::time::Instant;

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
        if self.gate.options().rows_max.is_some() {
            // The bound on a result's rows has to see all of them.
            return Ok(Parts::default());
        }
        let timeout = self.inner().settings.timeout();
        let work = async {
            let bound = self.refreshed(bound, query, (&prepared.declared, parameters)).await?;
            let Some(plain) = Plain::of(&bound) else { return Ok(Parts::default()) };
            // Counting is work, planning alone is not.
            let _turn = match split {
                Split::Exactly(_) => Some(self.gate.admit(&self.principal.login).await?),
                Split::UpTo(_) => None,
            };
            let state = self.statement_state(&bound).await?;
            let executable = self.plan_on_workers(&bound, &state, parameters, None).await?;
            let plan = Arc::clone(executable.physical());
            let holder = self.gate.holder(&self.principal.login, self.id);
            self.on_workers(async move { plain.parts(&plan, split, &holder).await }).await
        };
        tokio::select! {
            biased;
            () = execute::expired(timeout.map(|t| Instant::now() + t)) => Err(execute::timed_out()),
            parts = work => parts,
        }
    }

    /// Runs one of a statement's parts.
    pub(in crate::session) async fn execute_one_part(
        &self,
        prepared: &PreparedStatement,
        parameters: &[ArrayRef],
        part: &Part,
    ) -> Result<Outcome> {
        self.admits(prepared.parsed.class())?;
        let (Kind::Query(bound), Classified::Query(query)) = (&prepared.kind, prepared.parsed.class()) else {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "this statement has no parts"));
        };
        let bound = self.refreshed(bound, query, (&prepared.declared, parameters)).await?;
        Ok(Outcome::Rows(self.run_rows(prepared, &bound, parameters, Some(part)).await?))
    }
}
