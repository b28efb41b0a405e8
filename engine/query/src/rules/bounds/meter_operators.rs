//! Operators whose expressions may make much of little are put behind a meter, which charges the statement's memory for it, and
//! those whose expressions may compute long behind one that tells them whether the statement is over. Windows over whole partitions,
//! which keep their input without charging it, have it charged, and so has what is dealt out to partitions: long rows in small
//! batches are gathered there by the thousand. Products and joins without keys take few rows of one side at once where those of the
//! other are long, and lists are taken apart some at a time.

use arrow::datatypes::Schema;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::expressions::Literal;
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning, PhysicalExpr};
use querygate_catalog::GatheringExec;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use querygate_resources::MeteredExec;
use querygate_resources::memory::Constants;
use querygate_semantics::metering::{grows, lasts};
use querygate_semantics::windows::frames;
use std::sync::Arc;

/// Wraps every operator with such an expression. Put behind every rule that needs to see through.
#[derive(Debug)]
pub(crate) struct MeterOperators;

impl PhysicalOptimizerRule for MeterOperators {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan
            .transform_up(|node| {
                if let Some(dealt) = node.downcast_ref::<RepartitionExec>()
                    && may_be_long(&node)
                {
                    let whole = matches!(dealt.partitioning(), Partitioning::RoundRobinBatch(_));
                    let gathering = if whole { GatheringExec::prevented(node)? } else { GatheringExec::charged(node)? };
                    return Ok(Transformed::yes(gathering));
                }
                if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
                    return MeteredExec::join(join).map(Transformed::yes);
                }
                if let Some(join) = node.downcast_ref::<CrossJoinExec>()
                    && may_be_long(join.left())
                {
                    return MeteredExec::product(node).map(Transformed::yes);
                }
                if let Some(unnest) = node.downcast_ref::<UnnestExec>()
                    && may_be_long(&node)
                {
                    let lists = unnest.list_column_indices().iter().map(|list| list.index_in_input_schema).collect();
                    return MeteredExec::lists(node, lists).map(Transformed::yes);
                }
                let keeps = node.downcast_ref::<WindowAggExec>().is_some();
                let node = if keeps {
                    let constant = constants_of(&node)?;
                    MeteredExec::kept(node, constant)?
                } else {
                    node
                };
                if frames(&node) {
                    return Ok(Transformed::yes(MeteredExec::over(node)));
                }
                // Others compare constants, and do not write them into each row.
                let writes =
                    node.downcast_ref::<ProjectionExec>().is_some() || node.downcast_ref::<AggregateExec>().is_some();
                let (mut growing, mut lasting, mut constants) = (false, adds_wide(&node), Constants::default());
                node.apply_expressions(&mut |expr| {
                    growing |= grows(expr);
                    lasting |= lasts(expr);
                    if writes {
                        constants.bytes = constants.bytes.saturating_add(long_constants(expr)?);
                        constants.is_open |= makes_constants(expr)?;
                    }
                    Ok(TreeNodeRecursion::Continue)
                })?;
                if (growing || constants.bytes > 0 || constants.is_open) && node.children().len() == 1 {
                    MeteredExec::around(node, constants).map(Transformed::yes)
                } else if lasting {
                    Ok(Transformed::yes(MeteredExec::cancellable(node)))
                } else {
                    Ok(Transformed::new_transformed(node, keeps))
                }
            })?
            .data)
    }

    fn name(&self) -> &'static str {
        "meter_operators"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether an operator's rows hold values of any length.
fn may_be_long(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.schema().fields().iter().any(|field| field.data_type().primitive_width().is_none())
}

/// Bytes of the long constants of an operator's expressions.
fn constants_of(node: &Arc<dyn ExecutionPlan>) -> Result<usize> {
    let mut bytes = 0_usize;
    node.apply_expressions(&mut |expr| {
        bytes = bytes.saturating_add(long_constants(expr)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(bytes)
}

/// Whether an operator adds up numbers of any width, of which each addition may take long.
fn adds_wide(node: &Arc<dyn ExecutionPlan>) -> bool {
    let aggregate = node.downcast_ref::<AggregateExec>();
    aggregate
        .is_some_and(|aggregate| aggregate.aggr_expr().iter().any(|call| *call.field().data_type() == WIDE_NUMERIC))
}

/// Whether a part of an expression that names no column makes much of little, or is the value of a subquery that may be long: a constant
/// that no plan had the room for.
fn makes_constants(expr: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    let (mut makes, no_columns) = (false, Schema::empty());
    expr.apply(|part| {
        if let Some(value) = part.downcast_ref::<ScalarSubqueryExpr>() {
            let field = value.return_field(&no_columns)?;
            makes |= field.data_type().is_string() || field.data_type().is_list();
        }
        makes |= part.downcast_ref::<Literal>().is_none() && grows(part) && collect_columns(part).is_empty();
        Ok(if makes { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(makes)
}

/// Constants up to this make no batch much larger than batches should be.
const LONG_BYTES: usize = 1_024;

/// Bytes of the long constants of an expression: `repeat('x', 20000)` is one when it runs.
fn long_constants(expr: &Arc<dyn PhysicalExpr>) -> Result<usize> {
    let mut bytes = 0_usize;
    expr.apply(|part| {
        if let Some(literal) = part.downcast_ref::<Literal>() {
            let size = literal.value().size();
            bytes = bytes.saturating_add(if size > LONG_BYTES { size } else { 0 });
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reader, Shop, printed};

    fn metered(reader: &Reader, sql: &str) -> Vec<String> {
        let plan = printed(&reader.planned_once(sql).unwrap());
        let named = |line: &str| line.trim().split([':', ' ']).next().unwrap_or_default().to_owned();
        plan.lines().map(named).filter(|name| matches!(name.as_str(), "MeteredExec" | "GatheringExec")).collect()
    }

    /// What may make much of little is behind a meter; plain columns, sums and comparisons need none.
    #[test]
    fn what_may_grow_or_last_is_metered() {
        let reader = Shop::open().reader("olga", "shop_owner", 1);
        for (sql, is_metered) in [
            ("SELECT id, rank + 1 FROM regions", false),
            ("SELECT count(*), max(rank) FROM regions", false),
            ("SELECT repeat(name, rank) FROM regions", true),
            ("SELECT repeat(name, rank) || 'x', max(rank) FROM regions GROUP BY 1", true),
            ("SELECT name || name FROM regions", true),
            ("SELECT rank::float8::text FROM regions", true),
            ("SELECT name::text[] FROM regions", true),
            ("SELECT name::int FROM regions", false),
            ("SELECT id, (SELECT max(name) FROM regions) FROM regions", true),
            ("SELECT id, (SELECT max(rank) FROM regions) FROM regions", false),
        ] {
            let printed = printed(&reader.planned_once(sql).unwrap());
            let is_there = |plan: &str| {
                ["ProjectionExec", "AggregateExec", "WindowAggExec"].iter().any(|node| {
                    let lines: Vec<&str> = plan.lines().map(str::trim).collect();
                    lines.windows(2).any(|pair| pair[0].starts_with("MeteredExec") && pair[1].starts_with(node))
                })
            };
            assert_eq!(is_there(&printed), is_metered, "{sql}\n{printed}");
            assert!(metered(&reader.without(MeterOperators.name()), sql).is_empty(), "{sql}");
        }
    }

    /// Long rows that are dealt out to partitions are gathered there, and charged.
    #[test]
    fn what_is_dealt_out_is_charged_where_rows_may_be_long() {
        let reader = Shop::open().reader("olga", "shop_owner", 4);
        let dealt = |sql: &str| metered(&reader, sql).contains(&"GatheringExec".to_owned());
        assert!(dealt("SELECT region_id, count(*) FROM visits GROUP BY region_id"));
        assert!(!dealt("SELECT score, count(*) FROM visits GROUP BY score"), "numbers are short");
    }

    #[test]
    fn products_of_rows_that_may_be_long_are_made_in_pieces() {
        let reader = Shop::open().owner();
        assert_eq!(metered(&reader, "SELECT r.name, v.id FROM regions r CROSS JOIN visits v"), ["MeteredExec"; 2]);
        let numbers = "SELECT a.n, b.n FROM (VALUES (1), (2)) a(n) CROSS JOIN (VALUES (1), (2)) b(n)";
        assert!(metered(&reader, numbers).is_empty(), "numbers are short");
    }

    #[test]
    fn long_constants_count_with_all_their_bytes() {
        let literal = |text: &str| -> Arc<dyn PhysicalExpr> { datafusion::physical_expr::expressions::lit(text) };
        assert_eq!(long_constants(&literal("short")).unwrap(), 0);
        assert!(long_constants(&literal(&"x".repeat(20_000))).unwrap() >= 20_000);
    }
}
