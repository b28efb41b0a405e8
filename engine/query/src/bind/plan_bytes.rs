//! What a bound plan takes of memory, estimated from its nodes, expressions and schemas. Knows no limit.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use std::collections::HashSet;
use std::sync::Arc;

/// A node, with what its kind keeps beside expressions.
const NODE_BYTES: usize = size_of::<LogicalPlan>() + 512;
/// A column of a schema: its field, name and qualifier, and its places in maps of names and of dependencies.
const FIELD_BYTES: usize = 768;
/// An expression with its names, and room that its list has beside.
const EXPR_BYTES: usize = size_of::<Expr>() + 128;

/// Bytes of a plan, its subqueries included.
pub(crate) fn plan_bytes(plan: &LogicalPlan) -> usize {
    let mut seen: HashSet<*const DFSchema> = HashSet::new();
    let mut bytes = 0_usize;
    // The closures never fail, so neither does the walk.
    let _walked = plan.apply_with_subqueries(|node| {
        bytes = bytes.saturating_add(NODE_BYTES);
        if seen.insert(Arc::as_ptr(node.schema())) {
            bytes = bytes.saturating_add(node.schema().fields().len().saturating_mul(FIELD_BYTES));
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                let own = match part {
                    Expr::Literal(value, _) => value.size(),
                    _ => 0,
                };
                bytes = bytes.saturating_add(EXPR_BYTES).saturating_add(own);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{LogicalPlanBuilder, in_list, lit};

    #[test]
    fn lists_columns_and_texts_weigh() {
        let one = || LogicalPlanBuilder::empty(true);
        let small = plan_bytes(&one().build().unwrap());
        let columns = one().project((0..100).map(|n| lit(n).alias(format!("c{n}")))).unwrap().build().unwrap();
        let list = one().filter(in_list(lit(1), (0..1_000).map(lit).collect(), false)).unwrap().build().unwrap();
        let text = one().project([lit("x".repeat(1 << 20))]).unwrap().build().unwrap();
        assert!(small < 4_096, "{small}");
        assert!(plan_bytes(&columns) > 100 * (FIELD_BYTES + EXPR_BYTES));
        assert!(plan_bytes(&list) > 1_000 * EXPR_BYTES);
        assert!(plan_bytes(&text) > 1 << 20);
    }
}
