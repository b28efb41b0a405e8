//! The record of what was pushed, what was kept, and why: readable lines without any value. Decides nothing.

use crate::not_pushed::NotPushed;
use crate::operators::{name, table_name};
use crate::redact::redacted;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use std::fmt;
use std::sync::Arc;

/// Most lines of one receipt.
const LINES_MAX: usize = 200;

/// What became of one part of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The source that got the fragment; `None`: the gate runs it.
    pub source: Option<Arc<str>>,
    pub lines: Vec<ReceiptLine>,
}

/// One operator or condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptLine {
    /// `filter t.a > ?`; holds no value.
    pub subject: String,
    pub disposition: Disposition,
    /// Why, where it was kept; for every reader.
    pub reason: Option<String>,
    /// The same where it tells how a row policy is made: only for those who may read policies.
    pub policy_reason: Option<String>,
}

/// Where something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// In the source.
    Pushed,
    /// In the source, above a fence around its tables.
    Fenced,
    /// In the gate.
    Kept,
}

impl Receipt {
    /// A plan that one source runs as a whole.
    pub(crate) fn pushed(source: &Arc<str>, plan: &LogicalPlan, fences: usize) -> Self {
        let mut lines = Vec::new();
        // A walk that only reads cannot fail.
        let _walked = plan.apply_with_subqueries(|node| {
            for subject in subjects(node) {
                lines.push(ReceiptLine {
                    subject,
                    disposition: Disposition::Pushed,
                    reason: None,
                    policy_reason: None,
                });
            }
            Ok(if lines.len() < LINES_MAX { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        if fences > 0 {
            let subject = format!("fence around {fences} restricted scan{}", if fences == 1 { "" } else { "s" });
            let reason = "an expression above can fail".to_owned();
            lines.push(ReceiptLine {
                subject,
                disposition: Disposition::Fenced,
                reason: Some(reason),
                policy_reason: None,
            });
        }
        lines.truncate(LINES_MAX);
        Self { source: Some(Arc::clone(source)), lines }
    }

    /// One operator that the gate runs.
    pub(crate) fn kept(plan: &LogicalPlan, why: &NotPushed, below: bool) -> Vec<ReceiptLine> {
        let reason = if below { "part of its input stays in the gate".to_owned() } else { why.plainly() };
        let policy_reason = (why.of_policy && !below).then(|| why.to_string());
        let line = |subject| ReceiptLine {
            subject,
            disposition: Disposition::Kept,
            reason: Some(reason.clone()),
            policy_reason: policy_reason.clone(),
        };
        subjects(plan).into_iter().map(line).collect()
    }
}

/// What an operator is called in a receipt: one line, or one for each conjunct.
fn subjects(plan: &LogicalPlan) -> Vec<String> {
    let kind = name(plan);
    let list = |exprs: &[Expr]| exprs.iter().map(redacted).collect::<Vec<_>>().join(", ");
    match plan {
        LogicalPlan::Filter(filter) => {
            split_conjunction(&filter.predicate).into_iter().map(|one| format!("{kind} {}", redacted(one))).collect()
        }
        LogicalPlan::TableScan(scan) => vec![format!("{kind} {}", table_name(&scan.table_name))],
        LogicalPlan::Join(join) => {
            let equalities = join.on.iter().map(|(l, r)| format!("{} = {}", redacted(l), redacted(r)));
            let rest = join.filter.iter().flat_map(split_conjunction).map(redacted);
            let on = equalities.chain(rest).collect::<Vec<_>>().join(" and ");
            vec![format!("{} {kind} on {}", join.join_type, if on.is_empty() { "true" } else { &on })]
        }
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
            vec![format!("{kind} {}", list(&aggregate.aggr_expr))]
        }
        LogicalPlan::Aggregate(aggregate) => {
            let calls = list(&aggregate.aggr_expr);
            let space = if calls.is_empty() { "" } else { " " };
            vec![format!("{kind}{space}{calls} by {}", list(&aggregate.group_expr))]
        }
        LogicalPlan::Sort(sort) => {
            let keys: Vec<Expr> = sort.expr.iter().map(|key| key.expr.clone()).collect();
            vec![format!("{kind} {}", list(&keys))]
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => Vec::new(),
        LogicalPlan::Window(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => vec![kind.to_owned()],
    }
}

impl fmt::Display for ReceiptLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.disposition {
            Disposition::Pushed => "pushed",
            Disposition::Fenced => "fenced",
            Disposition::Kept => "kept",
        };
        write!(f, "{word}: {}", self.subject)?;
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.source.as_deref().unwrap_or("gate"))?;
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
