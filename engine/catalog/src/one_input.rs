//! What plan nodes over one input and without expressions of their own have in common. Knows no node.

use datafusion::common::{Result, internal_err};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// Inside an `impl ExecutionPlan`: the children of a node whose one input is its field `input`, and the node over another input,
/// which the named method makes.
#[macro_export]
macro_rules! one_input {
    ($with_input:ident) => {
        fn children(&self) -> Vec<&::std::sync::Arc<dyn ::datafusion::physical_plan::ExecutionPlan>> {
            vec![&self.input]
        }

        fn apply_expressions(
            &self,
            _: &mut dyn FnMut(
                &::std::sync::Arc<dyn ::datafusion::physical_plan::PhysicalExpr>,
            ) -> ::datafusion::common::Result<::datafusion::common::tree_node::TreeNodeRecursion>,
        ) -> ::datafusion::common::Result<::datafusion::common::tree_node::TreeNodeRecursion> {
            Ok(::datafusion::common::tree_node::TreeNodeRecursion::Continue)
        }

        fn replace_children(
            self: ::std::sync::Arc<Self>,
            children: Vec<::std::sync::Arc<dyn ::datafusion::physical_plan::ExecutionPlan>>,
            _: ::datafusion::physical_plan::execution_plan::ReplaceChildrenOptions,
        ) -> ::datafusion::common::Result<::std::sync::Arc<dyn ::datafusion::physical_plan::ExecutionPlan>> {
            $crate::over_one_input(self.as_ref(), children, Self::$with_input)
        }

        fn with_new_children(
            self: ::std::sync::Arc<Self>,
            children: Vec<::std::sync::Arc<dyn ::datafusion::physical_plan::ExecutionPlan>>,
        ) -> ::datafusion::common::Result<::std::sync::Arc<dyn ::datafusion::physical_plan::ExecutionPlan>> {
            $crate::over_one_input(self.as_ref(), children, Self::$with_input)
        }
    };
}

/// A node over the only one of its new children.
///
/// # Errors
/// Internal: there is another number of them.
pub fn over_one_input<N: ExecutionPlan + 'static>(
    node: &N,
    mut children: Vec<Arc<dyn ExecutionPlan>>,
    with_input: impl FnOnce(&N, Arc<dyn ExecutionPlan>) -> N,
) -> Result<Arc<dyn ExecutionPlan>> {
    match (children.pop(), children.is_empty()) {
        (Some(input), true) => Ok(Arc::new(with_input(node, input))),
        _ => internal_err!("{} has one input", node.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::empty::EmptyExec;

    #[test]
    fn a_node_takes_one_input_and_no_other_number() {
        let input = || Arc::new(EmptyExec::new(Arc::new(Schema::empty()))) as Arc<dyn ExecutionPlan>;
        let node = CoalescePartitionsExec::new(input());
        let over = |inputs| over_one_input(&node, inputs, |_, input| CoalescePartitionsExec::new(input));
        let fresh = input();
        let made = over(vec![Arc::clone(&fresh)]).unwrap();
        assert!(Arc::ptr_eq(made.children()[0], &fresh));
        for wrong in [Vec::new(), vec![input(), input()]] {
            assert!(over(wrong).is_err_and(|error| error.to_string().contains("has one input")));
        }
    }
}
