//! CALL: procedures that extensions of schema `querygate` supply. Each call is in the books, with its outcome.

use super::text::text_rows;
use crate::books::system::extensions;
use crate::session::gate_session::GateSession;
use crate::session::statements::prepared::PreparedStatement;
use querygate_query_api::outcome::Outcome;
use querygate_telemetry_api::system::Cell;
use querygate_types::Result;
use std::sync::Arc;

/// The one column of a call's answer.
pub(in crate::session) const ANSWER: &str = "result";

impl GateSession {
    pub(in crate::session) async fn call(
        &self,
        prepared: &PreparedStatement,
        name: &str,
        arguments: &[Cell],
    ) -> Result<Outcome> {
        let run = self.begin_run(prepared, Arc::default());
        let mut answer = String::new();
        let called = self.call_procedure(name, arguments).await.map(|text| answer = text);
        run.end(called)?;
        text_rows(&[ANSWER], vec![vec![answer]], "CALL")
    }

    async fn call_procedure(&self, name: &str, arguments: &[Cell]) -> Result<String> {
        self.inner().transaction.refuse_if_read_only("CALL")?;
        let supplied = &self.gate.options().extensions;
        let (extension, procedure, arguments) =
            extensions::procedure(supplied, name, arguments.to_vec(), &self.principal)?;
        let caller = Arc::clone(&self.principal);
        tracing::info!(procedure = procedure.name, login = caller.login, "a procedure is called");
        self.on_workers(async move { extension.call(procedure.name, &arguments, &caller).await }).await
    }
}
