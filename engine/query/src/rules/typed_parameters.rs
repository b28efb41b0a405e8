//! An open parameter inside of a cast that keeps each value becomes one of the cast's type. As a value it would be folded; as a cast
//! it would look like something that may fail, and no leaf would take the condition.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use querygate_driver_api::lossless::is_lossless;
use std::sync::Arc;

/// Only for plans with open parameters: others have values in their places.
#[derive(Debug)]
pub(crate) struct TypedParameters;

impl OptimizerRule for TypedParameters {
    fn name(&self) -> &'static str {
        "typed_parameters"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        // Elsewhere an expression names a column.
        if !matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::Join(_)) {
            return Ok(Transformed::no(plan));
        }
        plan.map_expressions(|expr| {
            expr.transform_up(|part| {
                Ok(match typed(&part) {
                    Some(parameter) => Transformed::yes(Expr::Placeholder(parameter)),
                    None => Transformed::no(part),
                })
            })
        })
    }
}

fn typed(expr: &Expr) -> Option<Placeholder> {
    let Expr::Cast(cast) = expr else { return None };
    let Expr::Placeholder(Placeholder { id, field: Some(field) }) = cast.expr.as_ref() else { return None };
    let wanted = cast.field.data_type();
    is_lossless(field.data_type(), wanted).then(|| {
        let field = field.as_ref().clone().with_data_type(wanted.clone());
        Placeholder { id: id.clone(), field: Some(Arc::new(field)) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};
    use datafusion::prelude::cast;

    #[test]
    fn a_cast_that_keeps_each_value_is_the_parameters_type() {
        let parameter = |data_type: DataType| {
            let field = Some(Arc::new(Field::new("", data_type, true)));
            Expr::Placeholder(Placeholder { id: "$1".to_owned(), field })
        };
        for (from, to, expected) in [
            (DataType::Utf8, DataType::Utf8View, true),
            (DataType::Int32, DataType::Int64, true),
            (DataType::Int64, DataType::Int32, false),
            (DataType::Utf8, DataType::Date32, false),
        ] {
            let found = typed(&cast(parameter(from.clone()), to.clone())).map(Expr::Placeholder);
            assert_eq!(found, expected.then(|| parameter(to.clone())), "{from} to {to}");
            assert!(typed(&parameter(from)).is_none());
        }
    }
}
