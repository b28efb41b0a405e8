//! What became of the parts of a carved plan, whose words are made where somebody reads them. Decides nothing.

use crate::not_pushed::NotPushed;
use crate::opener::LeafOpener;
use crate::receipt::{Receipt, ReceiptLine};
use crate::required::projected;
use crate::translate::translate_typed;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan};
use std::sync::Arc;

/// Why a part is no fragment of its own where a governed leaf pushes all that can be.
pub(crate) const LEFT_TO_LEAF: &str = "its governed leaf takes what can be pushed";

/// Receipts of a plan's parts.
#[derive(Debug, Clone, Default)]
pub struct Receipts {
    pushed: Vec<Receipt>,
    kept: Vec<Kept>,
}

/// A part that is in no fragment.
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    Told(Vec<ReceiptLine>),
    /// Conditions right above a table, whose governed leaf takes what can be pushed. Which ones these are costs a translation
    /// of each.
    ByLeaf(Filter),
}

impl Receipts {
    pub(crate) const fn new(pushed: Vec<Receipt>, kept: Vec<Kept>) -> Self {
        Self { pushed, kept }
    }

    /// One per fragment, then one for what the gate runs. Of a leaf's conditions those that its source does not take, with the
    /// reason: `opener` and `context` are those of the carving.
    #[must_use]
    pub fn with_reasons(self, opener: &dyn LeafOpener, context: &SimplifyContext) -> Vec<Receipt> {
        self.told(|filter| left_by_leaf(filter, opener, context))
    }

    /// These with all conditions of leaves and no reason of theirs, where it is known that the leaves took them.
    #[must_use]
    pub fn all_taken(self) -> Vec<Receipt> {
        let taken = NotPushed::operator(LEFT_TO_LEAF);
        self.told(|filter| Receipt::kept(&LogicalPlan::Filter(filter), &taken, false))
    }

    fn told(self, by_leaf: impl Fn(Filter) -> Vec<ReceiptLine>) -> Vec<Receipt> {
        let lines = self.kept.into_iter().flat_map(|part| match part {
            Kept::Told(lines) => lines,
            Kept::ByLeaf(filter) => by_leaf(filter),
        });
        let lines: Vec<ReceiptLine> = lines.collect();
        let mut receipts = self.pushed;
        if !lines.is_empty() {
            receipts.push(Receipt { source: None, lines });
        }
        receipts
    }
}

/// Conditions of a leaf that its source does not take.
fn left_by_leaf(filter: Filter, opener: &dyn LeafOpener, context: &SimplifyContext) -> Vec<ReceiptLine> {
    let kept = |one: &Expr| {
        let condition = Filter::try_new(one.clone(), Arc::clone(&filter.input)).map(LogicalPlan::Filter).ok()?;
        // Without the columns that it does not read, of which one may be what no source gives.
        let columns: Vec<Expr> = one.column_refs().into_iter().cloned().map(Expr::Column).collect();
        let narrow = if columns.is_empty() { None } else { projected(condition.clone(), columns).ok() };
        let refusal = translate_typed(narrow.as_ref().unwrap_or(&condition), opener, context).err()?;
        Some(Receipt::kept(&condition, &refusal, false))
    };
    split_conjunction(&filter.predicate).into_iter().filter_map(kept).flatten().collect()
}
