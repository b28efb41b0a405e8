//! One change for many sets of values, in one transaction.

use super::write::{objects, verb};
use crate::session::gate_session::GateSession;
use crate::session::statements::prepared::PreparedStatement;
use crate::write::forms::sets::{cells, rows};
use arrow::array::ArrayRef;
use datafusion::sql::sqlparser::ast::Statement as Ast;
use futures::StreamExt;
use querygate_types::Result;

impl GateSession {
    /// The number of rows that were stored. `None`: the statement is to be run set by set, and nothing was done.
    pub(in crate::session) async fn run_write_sets(
        &self,
        prepared: &PreparedStatement,
        ast: &Ast,
        parameters: &[ArrayRef],
    ) -> Result<Option<u64>> {
        let Some(cells) = cells(ast) else { return Ok(None) };
        self.admits(prepared.parsed.class())?;
        self.refuse_read_only(|| verb(ast))?;
        let first: Vec<ArrayRef> = parameters.iter().map(|values| values.slice(0, values.len().min(1))).collect();
        let (targeted, bound, _) = self.target_write(ast, &prepared.declared, Some(&first)).await?;
        let Some(rows) = rows(&targeted, &cells, parameters)? else { return Ok(None) };
        let own = self.begin_own();
        let mut run = self.begin_run(prepared, objects(&targeted, bound.as_deref()));
        let rows = futures::stream::iter([Ok(rows)]).boxed();
        let stored = match self.hand_over(&mut run, prepared, &targeted, rows).await {
            Ok(count) => Ok((run, count)),
            Err(error) => Err(run.fail(error)),
        };
        self.conclude(stored, own).await.map(Some)
    }
}
