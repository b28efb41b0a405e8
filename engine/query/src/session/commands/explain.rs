//! EXPLAIN: the plan, and for each leaf what its source does. Policy texts are not shown: a row policy is named as such.

use crate::bind::statement::Bound;
use crate::plan::rule_trace::Step;
use crate::plan::variant::Chosen;
use crate::session::GateSession;
use crate::session::PreparedStatement;
use crate::session::commands::text::text_rows;
use crate::sql::classify::ExplainStyle;
use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use futures::StreamExt;
use querygate_query_api::column::{Column, PG_TYPE_KEY, column_of};
use querygate_query_api::outcome::{CommandTag, Outcome, Rows};
use querygate_query_api::own_names::with_output_names;
use querygate_types::{Error, ErrorCode, Result};
use querygate_workers::gate::PartReads;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) const COLUMN: &str = "QUERY PLAN";

/// The one column of EXPLAIN.
pub(crate) fn columns(style: ExplainStyle) -> Arc<[Column]> {
    vec![column_of(&field(style))].into()
}

fn field(style: ExplainStyle) -> Field {
    let pg_type = if style.json { "json" } else { "text" };
    Field::new(COLUMN, DataType::Utf8, true).with_metadata([(PG_TYPE_KEY.to_owned(), pg_type.to_owned())].into())
}

/// For what has no plan.
pub(crate) fn unexplained() -> Error {
    Error::new(ErrorCode::FeatureNotSupported, "EXPLAIN of this statement is not supported")
}

/// A plan in words.
pub(super) struct Shown {
    logical: Option<String>,
    steps: Vec<Step>,
    pub(super) physical: String,
    pub(super) notes: Vec<String>,
}

/// Plans a statement.
pub(super) async fn shown(
    session: &GateSession,
    prepared: &PreparedStatement,
    bound: &Arc<Bound>,
    parameters: &[ArrayRef],
    style: ExplainStyle,
) -> Result<Shown> {
    let state = session.statement_state(bound).await?;
    let asking = session.asking(prepared.parsed(), true, None);
    let executable = session.plan_on_workers(bound, &state, parameters, (asking, None)).await?;
    let logical = executable
        .logical()
        .filter(|_| style.verbose)
        .map(|plan| with_output_names(&plan.display_indent().to_string()));
    let physical =
        with_output_names(&DisplayableExecutionPlan::new(executable.physical().as_ref()).indent(false).to_string());
    let steps = match executable.logical().filter(|_| style.verbose && executable.is_default()) {
        Some(plan) => session.steps_on_workers(plan, bound, &state).await?,
        None => Vec::new(),
    };
    let named = |step: Step| Step { plan: with_output_names(&step.plan), ..step };
    let steps = steps.into_iter().map(named).collect();
    let mut notes = crate::plan::receipts::lines(&executable, session.shows_native_text());
    notes.extend(executable.chosen().map(Chosen::explained));
    notes.extend(executable.shipped().iter().map(ToString::to_string));
    notes.extend(style.verbose.then(|| session.look_up_note(bound)));
    let notes = notes.iter().map(|note| with_output_names(note)).collect();
    Ok(Shown { logical, steps, physical, notes })
}

/// Plans the statement, runs it for ANALYZE, and prints.
pub(crate) async fn explain(
    session: &GateSession,
    prepared: &PreparedStatement,
    bound: &Arc<Bound>,
    parameters: &[ArrayRef],
    style: ExplainStyle,
) -> Result<Rows> {
    let Shown { logical, steps, physical, mut notes } = shown(session, prepared, bound, parameters, style).await?;
    let mut analyzed = None;
    if style.analyze {
        let started = std::time::Instant::now();
        let reads = Arc::new(PartReads::default());
        let mut rows = session.run_observed(prepared, bound, parameters, Some(&reads)).await?;
        let mut count = 0;
        while let Some(batch) = rows.batches.next().await {
            count += batch?.num_rows();
        }
        analyzed = Some((count, started.elapsed().as_secs_f64() * 1e3));
        notes.extend(reads.lines(session.shows_native_text()));
    }
    if style.json {
        return document(&physical, logical, steps, analyzed, notes);
    }
    let mut lines: Vec<String> = Vec::new();
    if let Some(logical) = logical {
        lines.push("Logical:".to_owned());
        lines.extend(indented(&logical));
        for step in steps {
            lines.push(format!("After {}:", step.rule));
            lines.extend(indented(&step.plan));
        }
        lines.push("Physical:".to_owned());
    }
    lines.extend(physical.lines().map(ToOwned::to_owned));
    if let Some((count, milliseconds)) = analyzed {
        lines.push(format!("Rows: {count}"));
        lines.push(format!("Execution Time: {milliseconds:.3} ms"));
    }
    lines.extend(notes);
    match text_rows(&[COLUMN], vec![lines], "EXPLAIN")? {
        Outcome::Rows(rows) => Ok(rows),
        Outcome::Empty | Outcome::Command(_) | Outcome::Messages(_) | Outcome::CopyOut(..) | Outcome::CopyIn(_) => {
            Err(Error::internal("EXPLAIN gave no rows"))
        }
    }
}

fn indented(text: &str) -> Vec<String> {
    text.lines().map(|line| format!("  {line}")).collect()
}

/// The lines of EXPLAIN in the shape of PostgreSQL's document, which programs read.
fn document(
    physical: &str,
    logical: Option<String>,
    steps: Vec<Step>,
    analyzed: Option<(usize, f64)>,
    notes: Vec<String>,
) -> Result<Rows> {
    let mut explained = Map::new();
    let mut plans = nodes_of(physical);
    let mut plan = if plans.is_empty() { json!({}) } else { plans.swap_remove(0) };
    if let (Some((rows, milliseconds)), Some(plan)) = (analyzed, plan.as_object_mut()) {
        plan.insert("Actual Rows".to_owned(), rows.into());
        explained.insert("Execution Time".to_owned(), ((milliseconds * 1e3).round() / 1e3).into());
    }
    explained.insert("Plan".to_owned(), plan);
    explained.extend(logical.map(|logical| ("Logical".to_owned(), logical.into())));
    if !steps.is_empty() {
        let steps: Vec<Value> = steps.into_iter().map(|step| json!({"Rule": step.rule, "Plan": step.plan})).collect();
        explained.insert("Steps".to_owned(), steps.into());
    }
    explained.insert("Notes".to_owned(), notes.into());
    let style = ExplainStyle { analyze: analyzed.is_some(), verbose: false, json: true };
    one_document(style, explained)
}

/// One document as the answer of EXPLAIN.
pub(super) fn document_rows(style: ExplainStyle, explained: Map<String, Value>) -> Result<Outcome> {
    one_document(style, explained).map(Outcome::Rows)
}

fn one_document(style: ExplainStyle, explained: Map<String, Value>) -> Result<Rows> {
    let text = serde_json::to_string_pretty(&[explained]).map_err(Error::internal)?;
    let schema = Arc::new(Schema::new(vec![field(style)]));
    let values: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![values]).map_err(Error::internal)?;
    let batches = futures::stream::iter([Ok(batch)]).boxed();
    Ok(Rows { columns: columns(style), schema, batches, tag: CommandTag::Counted("EXPLAIN") })
}

/// The nodes of a printed plan.
pub(super) fn nodes_of(physical: &str) -> Vec<Value> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<(usize, &str)> = physical.lines().map(|line| (depth(line), line.trim())).collect();
    nodes(&lines)
}

/// Nodes that stand side by side, each with those that are further in below it.
fn nodes(mut lines: &[(usize, &str)]) -> Vec<Value> {
    let mut found = Vec::new();
    while let Some(((depth, text), below)) = lines.split_first() {
        let end = below.iter().position(|(other, _)| other <= depth).unwrap_or(below.len());
        let (inside, after) = below.split_at(end);
        let (name, details) = text.split_once(": ").unwrap_or((text, ""));
        let mut node = json!({ "Node Type": name.trim_end_matches(':') });
        if let Some(node) = node.as_object_mut() {
            node.extend((!details.is_empty()).then(|| ("Details".to_owned(), details.into())));
            node.extend((!inside.is_empty()).then(|| ("Plans".to_owned(), nodes(inside).into())));
        }
        found.push(node);
        lines = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_nodes_by_their_depth() {
        let lines = [(0, "JoinExec: on=a"), (2, "A"), (4, "B: x: y"), (2, "C:")];
        let expected = json!([{"Node Type": "JoinExec", "Details": "on=a", "Plans": [
            {"Node Type": "A", "Plans": [{"Node Type": "B", "Details": "x: y"}]}, {"Node Type": "C"}]}]);
        assert_eq!(Value::from(nodes(&lines)), expected);
    }
}
