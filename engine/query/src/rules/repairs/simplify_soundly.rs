//! DataFusion's rule that simplifies expressions, but for what it makes another thing of: lists of one value, and casts of decimals to fewer
//! places. They are hidden from it, and put back as they were written.
//! Needed with DataFusion 55.2.0.

use super::keep_lists_apart::{self, lists_meet};
use super::keep_narrowing_casts::{self, is_cast_to_decimal, is_narrowing};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use querygate_semantics::lineage::InputColumns;
use std::sync::Arc;

/// The rule that simplifies expressions.
pub(in crate::rules) const SIMPLIFYING: &str = "simplify_expressions";

/// The rules, of which the one that simplifies leaves such lists and casts alone.
pub(in crate::rules) fn with_sound_simplification(
    rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let sound = |rule: Arc<dyn OptimizerRule + Send + Sync>| -> Arc<dyn OptimizerRule + Send + Sync> {
        if rule.name() == SIMPLIFYING { Arc::new(SimplifySoundly(rule)) } else { rule }
    };
    rules.into_iter().map(sound).collect()
}

#[derive(Debug)]
struct SimplifySoundly(Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for SimplifySoundly {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let (mut meet, mut cast) = (false, false);
        plan.apply_expressions(|expr| {
            meet = meet || lists_meet(expr)?;
            cast = cast || expr.exists(|part| Ok(is_cast_to_decimal(part)))?;
            Ok(if meet { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if !meet && !cast {
            return self.0.rewrite(plan, config);
        }
        let columns = InputColumns::of(&plan)?;
        if !meet {
            plan.apply_expressions(|expr| {
                meet = meet || expr.exists(|part| Ok(is_narrowing(part, columns.schema())))?;
                Ok(if meet { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })?;
        }
        if !meet {
            return self.0.rewrite(plan, config);
        }
        let context = SimplifyContext::builder()
            .with_schema(columns.shared())
            .with_config_options(config.options())
            .with_query_execution_start_time(config.query_execution_start_time())
            .build();
        // Sides of a join's condition are in the order of its inputs.
        let simplifier = ExprSimplifier::new(context).with_canonicalize(!matches!(plan, LogicalPlan::Join(_)));
        let names = NamePreserver::new(&plan);
        let one = |expr: Expr| {
            let name = names.save(&expr);
            let simplified = simplified(&simplifier, columns.schema(), expr)?;
            Ok(simplified.update_data(|expr| name.restore(expr)))
        };
        plan.map_expressions(|expr| match expr {
            Expr::GroupingSet(_) => expr.map_children(one),
            other => one(other),
        })
    }
}

/// An expression as DataFusion simplifies it, but for lists of one value and casts to fewer places. `schema`: what it may read.
pub(crate) fn simplified(simplifier: &ExprSimplifier, schema: &DFSchema, expr: Expr) -> Result<Transformed<Expr>> {
    let (meet, narrowing) = (lists_meet(&expr)?, expr.exists(|part| Ok(is_narrowing(part, schema)))?);
    if !meet && !narrowing {
        return Ok(simplifier.simplify_with_cycle_count_transformed(expr)?.0);
    }
    let mut expr = expr;
    if narrowing {
        expr = expr.transform_down(|part| Ok(keep_narrowing_casts::hidden(part, schema)))?.data;
    }
    if meet {
        expr = expr.transform_up(|part| Ok(keep_lists_apart::hidden(part)))?.data;
    }
    let (simplified, _) = simplifier.simplify_with_cycle_count_transformed(expr)?;
    simplified.map_data(|expr| {
        let listed = expr.transform_up(|part| Ok(keep_lists_apart::shown(part)))?.data;
        Ok(listed.transform_up(|part| Ok(keep_narrowing_casts::shown(part)))?.data)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};
    use datafusion::common::DFSchemaRef;
    use datafusion::logical_expr::cast;
    use datafusion::prelude::{col, lit};

    fn schema() -> DFSchemaRef {
        let fields = vec![
            (None, Arc::new(Field::new("a", DataType::Int32, true))),
            (None, Arc::new(Field::new("b", DataType::Int32, true))),
            (None, Arc::new(Field::new("price", DataType::Decimal128(10, 2), true))),
        ];
        Arc::new(DFSchema::new_with_metadata(fields, std::collections::HashMap::new()).unwrap())
    }

    fn simplifier() -> ExprSimplifier {
        ExprSimplifier::new(SimplifyContext::builder().with_schema(schema()).build())
    }

    fn simplified(expr: Expr) -> Expr {
        super::simplified(&simplifier(), &schema(), expr).unwrap().data
    }

    fn decimal(value: i128, precision: u8, scale: i8) -> Expr {
        Expr::Literal(datafusion::common::ScalarValue::Decimal128(Some(value), precision, scale), None)
    }

    #[test]
    fn casts_to_fewer_places_stay() {
        let narrow = cast(col("price"), DataType::Decimal128(3, 1));
        let kept = narrow.clone().eq(decimal(54, 3, 1));
        assert_eq!(simplified(kept.clone()), kept);
        assert_ne!(simplifier().simplify(kept.clone()).unwrap(), kept, "DataFusion does it by itself");
        // Beside lists of one value, in a list of its own, and around what is computed.
        let both = among("a", 0, false).and(among("a", 10, false)).and(kept);
        assert_eq!(simplified(both.clone()), both);
        let listed = narrow.clone().in_list(vec![decimal(54, 3, 1), decimal(55, 3, 1)], false);
        assert!(simplified(listed).to_string().contains("CAST"));
        let computed = cast(col("price"), DataType::Decimal128(3, 1)).gt(cast(lit("5.4"), DataType::Decimal128(3, 1)));
        assert_eq!(simplified(computed), narrow.gt(decimal(54, 3, 1)));
        // Of what another query reads, too.
        let field = Arc::new(Field::new("price", DataType::Decimal128(10, 2), true));
        let outer = Expr::OuterReferenceColumn(field, datafusion::common::Column::from_name("p"));
        let kept = cast(outer, DataType::Decimal128(3, 1)).eq(decimal(54, 3, 1));
        assert_eq!(simplified(kept.clone()), kept);
        // To more places it may go.
        let wide = cast(col("price"), DataType::Decimal128(12, 4)).eq(decimal(54_000, 12, 4));
        assert_eq!(simplified(wide), col("price").eq(decimal(540, 10, 2)));
    }

    fn among(name: &str, from: i32, negated: bool) -> Expr {
        col(name).in_list((from..from + 5).map(lit).collect(), negated)
    }

    #[test]
    fn lists_of_one_value_stay() {
        let null = || Expr::Literal(datafusion::common::ScalarValue::Int32(None), None);
        let kept = [
            among("a", 0, false).and(among("a", 10, false)),
            among("a", 0, true).or(among("a", 10, true)),
            among("a", 0, false).and(among("a", 3, true)),
            among("a", 0, false).and(col("a").in_list(vec![lit(7), lit(8), lit(9), lit(10), null()], true)),
        ];
        for expr in kept {
            assert_eq!(simplified(expr.clone()), expr);
            let alone = simplifier().simplify(expr.clone()).unwrap();
            assert_ne!(alone, expr, "DataFusion does it by itself");
        }
        let folded = among("a", 0, false).and(among("a", 10, false)).and(col("b").eq(lit(1) + lit(2)));
        let expected = among("a", 0, false).and(among("a", 10, false)).and(col("b").eq(lit(3)));
        assert_eq!(simplified(folded), expected);
    }

    #[test]
    fn not_goes_into_a_list_again() {
        let expr = Expr::Not(Box::new(among("a", 0, false).or(among("a", 10, true))));
        let expected = among("a", 0, true).and(among("a", 10, false));
        assert_eq!(simplified(expr), expected);
    }

    #[test]
    fn lists_of_other_values_are_simplified() {
        let expr = among("a", 0, false).and(col("b").in_list(vec![lit(1)], false));
        let expected = among("a", 0, false).and(col("b").eq(lit(1)));
        assert_eq!(simplified(expr), expected);
    }
}
