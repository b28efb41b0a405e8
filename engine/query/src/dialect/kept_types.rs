//! A rule of the engine that changes types: it takes count(DISTINCT x) beside sum(y) apart into two groupings, and the sum of
//! sums of decimals is wider than the sum was. Where a rewrite gives other types, the plan stays as it was.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct KeptTypes {
    rule: Arc<dyn OptimizerRule + Send + Sync>,
}

impl KeptTypes {
    /// The rule that this guards.
    pub(super) const RULE: &str = "single_distinct_aggregation_to_group_by";

    pub(super) fn new(rule: Arc<dyn OptimizerRule + Send + Sync>) -> Self {
        Self { rule }
    }
}

impl OptimizerRule for KeptTypes {
    fn name(&self) -> &str {
        self.rule.name()
    }
    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }
    fn supports_rewrite(&self) -> bool {
        true
    }
    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !matches!(plan, LogicalPlan::Aggregate(_)) {
            return self.rule.rewrite(plan, config);
        }
        let rewritten = self.rule.rewrite(plan.clone(), config)?;
        let types = |plan: &LogicalPlan| -> Vec<_> {
            plan.schema().fields().iter().map(|field| field.data_type().clone()).collect()
        };
        Ok(if types(&rewritten.data) == types(&plan) { rewritten } else { Transformed::no(plan) })
    }
}
