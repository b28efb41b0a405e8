//! EXPLAIN: the plan, and for each leaf what its source does. Policy texts are not shown: a row policy is named as such.

use crate::bind::Bound;
use crate::session::GateSession;
use crate::session::PreparedStatement;
use crate::session::text::{text_column, text_rows};
use crate::variant::Chosen;
use arrow::array::ArrayRef;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use futures::StreamExt;
use querygate_query_api::{Column, Outcome, Rows};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// The one column of EXPLAIN.
pub(crate) fn columns() -> Arc<[Column]> {
    vec![text_column("QUERY PLAN")].into()
}

/// Plans the statement, runs it for ANALYZE, and prints.
pub(crate) async fn explain(
    session: &GateSession,
    prepared: &PreparedStatement,
    bound: &Arc<Bound>,
    parameters: &[ArrayRef],
    analyze: bool,
    verbose: bool,
) -> Result<Rows> {
    let state = session.statement_state(bound).await?;
    let asking = session.asking(prepared.parsed(), true);
    let executable = session.plan_on_workers(bound, &state, parameters, asking).await?;
    let mut lines: Vec<String> = Vec::new();
    if let Some(logical) = executable.logical().filter(|_| verbose) {
        lines.push("Logical:".to_owned());
        lines.extend(indented(&logical.display_indent().to_string()));
        lines.push("Physical:".to_owned());
    }
    let display = DisplayableExecutionPlan::new(executable.physical().as_ref());
    lines.extend(display.indent(false).to_string().lines().map(ToOwned::to_owned));
    if analyze {
        let started = std::time::Instant::now();
        let mut rows = session.run_bound(prepared, bound, parameters).await?;
        let mut count = 0;
        while let Some(batch) = rows.batches.next().await {
            count += batch?.num_rows();
        }
        lines.push(format!("Rows: {count}"));
        lines.push(format!("Execution Time: {:.3} ms", started.elapsed().as_secs_f64() * 1e3));
    }
    lines.extend(crate::receipts::lines(&executable, session.shows_native_text()));
    lines.extend(executable.chosen().map(Chosen::explained));
    match text_rows(&["QUERY PLAN"], vec![lines], "EXPLAIN")? {
        Outcome::Rows(rows) => Ok(rows),
        Outcome::Empty | Outcome::Command(_) | Outcome::CopyOut(..) => Err(Error::internal("EXPLAIN gave no rows")),
    }
}

fn indented(text: &str) -> Vec<String> {
    text.lines().map(|line| format!("  {line}")).collect()
}
