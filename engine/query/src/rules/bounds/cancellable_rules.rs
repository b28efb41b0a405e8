//! Planning that ends when its statement is over: each rule of the engine asks before it looks at a plan or at one of its
//! nodes, so that a statement whose time is up, or that was cancelled, does not keep a thread with rules that are still to come.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use querygate_resources::proceed;
use std::sync::Arc;

type Rule = Arc<dyn OptimizerRule + Send + Sync>;
type PhysicalRule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// Rules of bound plans that ask first.
pub(crate) fn cancellable(rules: Vec<Rule>) -> Vec<Rule> {
    rules.into_iter().map(|rule| -> Rule { Arc::new(Cancellable(rule)) }).collect()
}

/// Rules of physical plans that ask first.
pub(crate) fn cancellable_physical(rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    rules.into_iter().map(|rule| -> PhysicalRule { Arc::new(Cancellable(rule)) }).collect()
}

#[derive(Debug)]
struct Cancellable<R>(R);

impl OptimizerRule for Cancellable<Rule> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        proceed()?;
        self.0.rewrite(plan, config)
    }
}

impl PhysicalOptimizerRule for Cancellable<PhysicalRule> {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        proceed()?;
        self.0.optimize(plan, config)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::optimizer::{Optimizer, OptimizerContext};
    use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::prelude::SessionContext;
    use futures::FutureExt;
    use querygate_resources::Metered;
    use std::sync::atomic::AtomicBool;

    /// What every rule says of a plan, each on its own, while the statement runs and when it is over.
    fn ended(given_up: bool) -> (usize, usize) {
        let context = SessionContext::new();
        let plan = context.sql("SELECT a + 1 FROM (VALUES (1), (2)) t(a) WHERE a > 1").now_or_never().unwrap().unwrap();
        let plan = plan.into_unoptimized_plan();
        let asked = async {
            let logical = cancellable(Optimizer::new().rules);
            let alone = |rule: Rule| {
                let rules = Optimizer::with_rules(vec![rule]);
                rules.optimize(plan.clone(), &OptimizerContext::new(), |_, _| ()).is_err()
            };
            let logical = logical.into_iter().map(alone).filter(|ended| *ended).count();
            let empty: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(Arc::clone(plan.schema().inner())));
            let options = ConfigOptions::new();
            let rules = cancellable_physical(PhysicalOptimizer::new().rules).into_iter();
            (logical, rules.filter(|rule| rule.optimize(Arc::clone(&empty), &options).is_err()).count())
        };
        Metered::new(asked, Arc::new(AtomicBool::new(given_up)), usize::MAX).now_or_never().unwrap()
    }

    #[test]
    fn no_rule_goes_on_when_nobody_waits() {
        assert_eq!(ended(false), (0, 0));
        assert_eq!(ended(true), (Optimizer::new().rules.len(), PhysicalOptimizer::new().rules.len()));
    }
}
