//! A guard before DataFusion's rule `eliminate_cross_join`, which loses join conditions.
//! The rule flattens inner joins and joins them anew in another order; a key of an ON clause whose one side reads several
//! relations (`c.z = a.x + b.y`) then fits no pair, and as it stands in no filter, it is dropped: too many rows, no error.

use super::kept_types::KeptTypes;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{NullEquality, Result, TableReference};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// The rules with their guards in place. Give them to every session state.
pub(crate) fn guarded(rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let guard = |rule: Arc<dyn OptimizerRule + Send + Sync>| -> Arc<dyn OptimizerRule + Send + Sync> {
        match rule.name() {
            "eliminate_cross_join" => Arc::new(Guard { rule }),
            KeptTypes::RULE => Arc::new(KeptTypes::new(rule)),
            _ => rule,
        }
    };
    rules.into_iter().map(guard).collect()
}

#[derive(Debug)]
struct Guard {
    rule: Arc<dyn OptimizerRule + Send + Sync>,
}

impl OptimizerRule for Guard {
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
        if must_stay(&plan)? { Ok(Transformed::no(plan)) } else { self.rule.rewrite(plan, config) }
    }
}

/// Whether a join key reads columns of more than one relation on one side, or an inner join counts null as equal to null:
/// the rule gives all the joins that it makes of several ones the same word about null.
fn must_stay(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node {
            found |= join.on.iter().any(|(left, right)| spans(left) || spans(right));
            found |= join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNull;
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn spans(side: &Expr) -> bool {
    let columns = side.column_refs();
    let mut relations: Vec<Option<&TableReference>> = columns.iter().map(|c| c.relation.as_ref()).collect();
    relations.sort();
    relations.dedup();
    relations.len() > 1
}
