//! Receipts: what went to which source, what stayed, and why. No value is ever in one.

use crate::books::observe::FragmentRecord;
use crate::plan::executable::Executable;
use datafusion::physical_plan::ExecutionPlan;
use querygate_catalog::leaf::GovernedExec;
use querygate_rules::ReceiptLine;
use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One governed leaf of a plan.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) source: String,
    pub(crate) table: String,
    pub(crate) lines: Vec<String>,
}

/// Receipts of a plan's leaves, in order. `full`: the native text, which shows policy.
pub(crate) fn receipts(plan: &Arc<dyn ExecutionPlan>, full: bool) -> Vec<Receipt> {
    let mut found = Vec::new();
    collect(plan, full, &mut found);
    found
}

fn collect(plan: &Arc<dyn ExecutionPlan>, full: bool, found: &mut Vec<Receipt>) {
    let any: &dyn Any = plan.as_ref();
    if let Some(leaf) = any.downcast_ref::<GovernedExec>() {
        found.push(Receipt {
            source: leaf.source().to_owned(),
            table: leaf.table().to_owned(),
            lines: leaf.receipt(full),
        });
        return;
    }
    for child in plan.children() {
        collect(child, full, found);
    }
}

/// Sources whose drivers run a statement for the plan.
pub(crate) fn asked_sources(plan: &Arc<dyn ExecutionPlan>) -> BTreeSet<String> {
    let any: &dyn Any = plan.as_ref();
    if let Some(leaf) = any.downcast_ref::<GovernedExec>() {
        return holds_fragment(leaf.inner()).then(|| leaf.source().to_owned()).into_iter().collect();
    }
    plan.children().into_iter().flat_map(asked_sources).collect()
}

fn holds_fragment(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.name() == "Fragment" || plan.children().into_iter().any(holds_fragment)
}

/// Receipts as lines of EXPLAIN: each leaf with its source, then each part of the statement with its place. `full`: native
/// texts, and why policies stayed in the gate; both show how policies are made.
pub(crate) fn lines(executable: &Executable, full: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let filters = has_filter(executable.physical());
    for (n, receipt) in receipts(executable.physical(), full).into_iter().enumerate() {
        lines.push(format!("Fragment {}: source {}, table {}", n + 1, receipt.source, receipt.table));
        lines.extend(receipt.lines.into_iter().map(|line| format!("  {line}")));
    }
    for receipt in executable.receipts() {
        lines.push(match &receipt.source {
            Some(source) => format!("Pushed to {source}:"),
            None => "Kept in the gate:".to_owned(),
        });
        let shown = receipt.lines.iter().filter(|line| receipt.source.is_some() || stays(&line.subject, filters));
        let policy_reason = |line: &ReceiptLine| line.policy_reason.clone().filter(|_| full);
        lines.extend(shown.map(|line| match policy_reason(line).as_ref().or(line.reason.as_ref()) {
            Some(reason) => format!("  {} ({reason})", line.subject),
            None => format!("  {}", line.subject),
        }));
    }
    lines
}

/// Scans, and filters that the leaves took, did not stay in the gate.
fn stays(subject: &str, filters: bool) -> bool {
    !subject.starts_with("scan ") && (filters || !subject.starts_with("filter "))
}

/// Whether the gate itself decides a condition.
pub(crate) fn has_filter(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.name() == "FilterExec" || plan.children().into_iter().any(has_filter)
}

/// What the books keep of a plan's leaves and receipts: `pushed to crm: …` for what a source did, `kept: …` for what the gate did
/// itself, and `read: …` for what leaves took with their scans.
pub(crate) fn fragments(executable: &Executable) -> Arc<[FragmentRecord]> {
    let filters = has_filter(executable.physical());
    let parts: Vec<(Option<&str>, String)> = executable
        .receipts()
        .iter()
        .flat_map(|receipt| {
            receipt.lines.iter().map(move |line| {
                let place = match receipt.source.as_deref() {
                    Some(source) => format!("pushed to {source}"),
                    None if stays(&line.subject, filters) => "kept".to_owned(),
                    None => "read".to_owned(),
                };
                let text = match &line.reason {
                    Some(reason) if place != "read" => format!("{place}: {} ({reason})", line.subject),
                    Some(_) | None => format!("{place}: {}", line.subject),
                };
                (receipt.source.as_deref(), text)
            })
        })
        .collect();
    let of = |source: &str| {
        let is_told = parts.iter().any(|(place, _)| *place == Some(source));
        let own = parts.iter().filter(|(place, text)| match place {
            Some(place) => *place == source,
            None => !is_told || !text.starts_with("read: "),
        });
        own.map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("; ")
    };
    receipts(executable.physical(), false)
        .into_iter()
        .map(|leaf| FragmentRecord { receipt: of(&leaf.source), source: leaf.source, table: leaf.table })
        .collect()
}
