//! EXPLAIN: the plan, and for each leaf what its source does. Policy texts are not shown: a row policy is named as such.

use crate::bind::statement::Bound;
use crate::plan::figures::{Figures, Observed};
use crate::plan::planning::PlanOptions;
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
    let options = PlanOptions { asking, receipts: true, ..PlanOptions::default() };
    let executable = session.plan_on_workers(bound, &state, parameters, options).await?;
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
    let mut shown = shown(session, prepared, bound, parameters, style).await?;
    let analyzed = match style.analyze {
        true => Some(analyzed(session, (prepared, bound, parameters), style, &mut shown).await?),
        false => None,
    };
    if style.json {
        return document(shown, analyzed);
    }
    let Shown { logical, steps, physical, notes } = shown;
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
    let figures = analyzed.as_ref().map_or(&[][..], |analyzed| analyzed.figures.as_slice());
    lines.extend(physical.lines().enumerate().map(|(at, line)| with_figures(line, at, figures)));
    if let Some(analyzed) = analyzed {
        lines.push(format!("Rows: {}", analyzed.rows));
        lines.push(format!("Execution Time: {:.3} ms", analyzed.milliseconds));
    }
    lines.extend(notes);
    match text_rows(&[COLUMN], vec![lines], "EXPLAIN")? {
        Outcome::Rows(rows) => Ok(rows),
        Outcome::Empty | Outcome::Command(_) | Outcome::Messages(_) | Outcome::CopyOut(..) | Outcome::CopyIn(_) => {
            Err(Error::internal("EXPLAIN gave no rows"))
        }
    }
}

/// What a run of the statement came to.
struct Analyzed {
    rows: usize,
    milliseconds: f64,
    /// By the lines of the plan; empty: they are not kept apart.
    figures: Vec<Option<Figures>>,
}

const WITHHELD: &str = "Rows of some nodes are for operators: hidden rows decide how many of the visible ones are read";

/// Runs the statement. The plan that is shown is then the one that ran.
async fn analyzed(
    session: &GateSession,
    (prepared, bound, parameters): (&PreparedStatement, &Arc<Bound>, &[ArrayRef]),
    style: ExplainStyle,
    shown: &mut Shown,
) -> Result<Analyzed> {
    let (started, observed) = (std::time::Instant::now(), Observed::of(bound));
    let mut answer = session.run_observed(prepared, bound, parameters, Some(&observed)).await?;
    let mut rows = 0;
    while let Some(batch) = answer.batches.next().await {
        rows += batch?.num_rows();
    }
    let elapsed = started.elapsed();
    let full = session.shows_native_text();
    let told = observed.told(rows as u64, elapsed, full);
    if let Some(text) = told.text {
        shown.physical = with_output_names(&text);
    }
    // A constant may break a line.
    let is_lined = told.nodes.len() == shown.physical.lines().count();
    let mut figures = if is_lined { told.nodes } else { Vec::new() };
    for figures in figures.iter_mut().flatten().filter(|_| !style.timing) {
        (figures.milliseconds, figures.memory) = (None, None);
    }
    shown.notes.extend(observed.reads().lines(full));
    shown.notes.extend(told.withholds.then(|| WITHHELD.to_owned()));
    Ok(Analyzed { rows, milliseconds: elapsed.as_secs_f64() * 1e3, figures })
}

/// A line of a plan with what its node did, as PostgreSQL puts it. A node runs once, in however many streams.
fn with_figures(line: &str, at: usize, figures: &[Option<Figures>]) -> String {
    let time = |milliseconds: f64| format!(" time={milliseconds:.3} ms");
    let held = |bytes: u64| format!(" memory={} kB", bytes.div_ceil(1024));
    match figures.get(at).copied().flatten() {
        Some(Figures { rows, milliseconds, memory }) => {
            let (time, memory) = (milliseconds.map(time), memory.map(held));
            format!("{line} (actual rows={rows} loops=1{}{})", time.unwrap_or_default(), memory.unwrap_or_default())
        }
        None => line.to_owned(),
    }
}

fn indented(text: &str) -> Vec<String> {
    text.lines().map(|line| format!("  {line}")).collect()
}

/// The lines of EXPLAIN in the shape of PostgreSQL's document, which programs read.
fn document(shown: Shown, analyzed: Option<Analyzed>) -> Result<Rows> {
    let Shown { logical, steps, physical, notes } = shown;
    let mut explained = Map::new();
    let figures = analyzed.as_ref().map_or(&[][..], |analyzed| analyzed.figures.as_slice());
    let mut plans = nodes_of(&physical, figures);
    let mut plan = if plans.is_empty() { json!({}) } else { plans.swap_remove(0) };
    if let (Some(analyzed), Some(plan)) = (&analyzed, plan.as_object_mut()) {
        plan.insert("Actual Rows".to_owned(), analyzed.rows.into());
        explained.insert("Execution Time".to_owned(), rounded(analyzed.milliseconds));
    }
    explained.insert("Plan".to_owned(), plan);
    explained.extend(logical.map(|logical| ("Logical".to_owned(), logical.into())));
    if !steps.is_empty() {
        let steps: Vec<Value> = steps.into_iter().map(|step| json!({"Rule": step.rule, "Plan": step.plan})).collect();
        explained.insert("Steps".to_owned(), steps.into());
    }
    explained.insert("Notes".to_owned(), notes.into());
    let style = ExplainStyle { analyze: analyzed.is_some(), verbose: false, json: true, timing: true };
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

/// Milliseconds with three digits.
fn rounded(milliseconds: f64) -> Value {
    ((milliseconds * 1e3).round() / 1e3).into()
}

/// The nodes of a printed plan, with what each line's did.
pub(super) fn nodes_of(physical: &str, figures: &[Option<Figures>]) -> Vec<Value> {
    let figures = figures.iter().copied().chain(std::iter::repeat(None));
    let line = |(text, figures): (&str, Option<Figures>)| {
        let inside = text.trim_start();
        Line { depth: text.len() - inside.len(), text: inside.trim_end().to_owned(), figures }
    };
    nodes(&physical.lines().zip(figures).map(line).collect::<Vec<_>>())
}

/// A line of a printed plan.
struct Line {
    depth: usize,
    text: String,
    figures: Option<Figures>,
}

/// Nodes that stand side by side, each with those that are further in below it.
fn nodes(mut lines: &[Line]) -> Vec<Value> {
    let mut found = Vec::new();
    while let Some((Line { depth, text, figures }, below)) = lines.split_first() {
        let end = below.iter().position(|other| other.depth <= *depth).unwrap_or(below.len());
        let (inside, after) = below.split_at(end);
        let (name, details) = text.split_once(": ").unwrap_or((text.as_str(), ""));
        let mut node = json!({ "Node Type": name.trim_end_matches(':') });
        if let Some(node) = node.as_object_mut() {
            node.extend((!details.is_empty()).then(|| ("Details".to_owned(), details.into())));
            if let Some(Figures { rows, milliseconds, memory }) = figures {
                node.insert("Actual Rows".to_owned(), (*rows).into());
                node.insert("Actual Loops".to_owned(), 1_u64.into());
                node.extend(milliseconds.map(|time| ("Actual Total Time".to_owned(), rounded(time))));
                node.extend(memory.map(|bytes| ("Peak Memory Usage".to_owned(), bytes.div_ceil(1024).into())));
            }
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
        let text = "JoinExec: on=a\n  A\n    B: x: y\n  C:\n";
        let expected = json!([{"Node Type": "JoinExec", "Details": "on=a", "Plans": [
            {"Node Type": "A", "Plans": [{"Node Type": "B", "Details": "x: y"}]}, {"Node Type": "C"}]}]);
        assert_eq!(Value::from(nodes_of(text, &[])), expected);
    }

    #[test]
    fn nodes_and_lines_tell_what_they_did() {
        let timed = Figures { rows: 7, milliseconds: Some(1.234_56), memory: Some(2_049) };
        let figures = [Some(timed), None, Some(Figures { rows: 2, milliseconds: None, memory: None })];
        let lines: Vec<String> =
            ["A: x", "  B", "  C"].iter().enumerate().map(|(at, line)| with_figures(line, at, &figures)).collect();
        assert_eq!(
            lines,
            ["A: x (actual rows=7 loops=1 time=1.235 ms memory=3 kB)", "  B", "  C (actual rows=2 loops=1)"]
        );
        assert_eq!(with_figures("A", 0, &[]), "A");
        let expected = json!([{"Node Type": "A", "Details": "x", "Actual Rows": 7, "Actual Loops": 1,
            "Actual Total Time": 1.235, "Peak Memory Usage": 3, "Plans": [{"Node Type": "B"}, {"Node Type": "C", "Actual Rows": 2, "Actual Loops": 1}]}]);
        assert_eq!(Value::from(nodes_of("A: x\n  B\n  C\n", &figures)), expected);
    }
}
