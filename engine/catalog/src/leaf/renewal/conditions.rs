//! Physical conditions of a kept leaf, for another run: with that run's join filters and values in them.

use crate::arguments::{Arguments, NotedValue};
use crate::leaf::exec::bottom_of;
use crate::remote::RenewFilter;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, DynamicFilterPhysicalExpr, Literal, NotExpr,
};
use datafusion::physical_expr::split_conjunction;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use std::any::Any;
use std::sync::Arc;

/// What conditions of a kept plan are filled with.
pub(super) struct RunConditions<'a> {
    pub(super) arguments: &'a Arguments,
    /// Filters of the run's joins.
    pub(super) fresh: &'a RenewFilter<'a>,
}

impl RunConditions<'_> {
    /// A condition for this run. `None`: a filter or a value of it is not known.
    pub(super) fn of(&self, kept: &Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
        let mut known = true;
        let rewritten = Arc::clone(kept).transform_down(|expr| {
            let of_run = if expr.is::<DynamicFilterPhysicalExpr>() {
                (self.fresh)(&expr)
            } else {
                let noted = expr.downcast_ref::<Literal>().and_then(NotedValue::of);
                let Some(noted) = noted else { return Ok(Transformed::no(expr)) };
                self.arguments.in_place_of(noted).map(|value| Arc::new(Literal::new(value)) as Arc<dyn PhysicalExpr>)
            };
            Ok(match of_run {
                Some(filled) => Transformed::new(filled, true, TreeNodeRecursion::Jump),
                None => {
                    known = false;
                    Transformed::new(expr, false, TreeNodeRecursion::Stop)
                }
            })
        });
        rewritten.ok().filter(|_| known).map(|rewritten| rewritten.data)
    }
}

/// Whether another run's values may stand where those of this leaf do, which has them in `places` places.
pub(in crate::leaf) fn takes_other_values(plan: &Arc<dyn ExecutionPlan>, places: usize) -> bool {
    values_in_place(plan) == places && skips_by_its_filters(plan)
}

/// Whether the scan under a leaf's filters skips by conditions of theirs and by no others. One that it made of them, or was given besides,
/// may hold a value whose note is lost: the next run would skip rows by the value of this one.
fn skips_by_its_filters(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut filtered = Vec::new();
    conditions_of_filters(plan, &mut filtered);
    let mut all_known = true;
    let walked = bottom_of(plan).apply_expressions(&mut |expr| {
        // Beside what it skips by, a scan has the columns that it gives.
        let is_known = |part: &Arc<dyn PhysicalExpr>| part.is::<Column>() || filtered.contains(&by_names(part));
        all_known &= split_conjunction(expr).into_iter().all(is_known);
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_ok() && all_known
}

fn conditions_of_filters(plan: &Arc<dyn ExecutionPlan>, found: &mut Vec<Arc<dyn PhysicalExpr>>) {
    let filter: Option<&FilterExec> = (plan.as_ref() as &dyn Any).downcast_ref();
    if let Some(filter) = filter {
        found.extend(split_conjunction(filter.predicate()).into_iter().map(by_names));
    }
    for below in plan.children() {
        conditions_of_filters(below, found);
    }
}

/// The expression whatever the places of its columns: a scan counts those of its table, a filter those that it is given.
fn by_names(expr: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    let named = Arc::clone(expr).transform(|part| {
        Ok(match part.downcast_ref::<Column>() {
            Some(column) => Transformed::yes(Arc::new(Column::new(column.name(), 0)) as Arc<dyn PhysicalExpr>),
            None => Transformed::no(part),
        })
    });
    named.map_or_else(|_| Arc::clone(expr), |named| named.data)
}

/// How many values of parameters stand in the filters of a leaf, or of nodes below it, in places where another value of the same type
/// makes the condition that would be planned with it. Of floats none does: what files are pruned by depends on whether a value is NaN
/// or zero.
fn values_in_place(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let filter: Option<&FilterExec> = (plan.as_ref() as &dyn Any).downcast_ref();
    let own = filter.map_or(0, |filter| values(filter.predicate()));
    own + plan.children().into_iter().map(values_in_place).sum::<usize>()
}

fn values(expr: &Arc<dyn PhysicalExpr>) -> usize {
    if let Some(literal) = expr.downcast_ref::<Literal>() {
        let is_plain = |noted: &NotedValue| !noted.data_type().is_floating() && !noted.data_type().is_nested();
        return usize::from(NotedValue::of(literal).as_ref().is_some_and(is_plain));
    }
    // Others make something of a constant when they are made: a set, a pattern, a function's type.
    if expr.is::<BinaryExpr>() || expr.is::<NotExpr>() || expr.is::<CastExpr>() {
        expr.children().into_iter().map(values).sum()
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::ScalarValue;
    use datafusion::common::metadata::FieldMetadata;
    use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
    use datafusion::datasource::source::DataSourceExec;
    use datafusion::execution::object_store::ObjectStoreUrl;
    use datafusion::logical_expr::Operator;
    use datafusion::logical_expr::expr::Placeholder;
    use datafusion::physical_expr::expressions::{InListExpr, lit};
    use datafusion::prelude::Expr;
    use querygate_driver_api::value::Value;

    fn arguments(value: i64) -> Arguments {
        Arguments::new(vec![ScalarValue::Int64(Some(value))], vec![Value::Int64(value)]).unwrap()
    }

    fn noted(value: i64, data_type: DataType) -> Arc<dyn PhysicalExpr> {
        let field = Some(Arc::new(Field::new("", data_type, true)));
        let open = Expr::Placeholder(Placeholder { id: "$1".to_owned(), field });
        let Expr::Literal(value, note) = arguments(value).noted(&open).unwrap() else { panic!("it is no constant") };
        let note: Option<FieldMetadata> = note;
        Arc::new(Literal::new_with_metadata(value, note))
    }

    fn column() -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new("a", 0))
    }

    fn compared(with: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(column(), Operator::Gt, with))
    }

    #[test]
    fn values_and_filters_of_the_run_stand_in_a_condition() {
        let joined: Arc<dyn PhysicalExpr> = Arc::new(DynamicFilterPhysicalExpr::new(vec![column()], lit(true)));
        let of_run = Arc::new(DynamicFilterPhysicalExpr::new(vec![column()], lit(false))) as Arc<dyn PhysicalExpr>;
        let both = |value, filter: &Arc<dyn PhysicalExpr>| -> Arc<dyn PhysicalExpr> {
            Arc::new(BinaryExpr::new(compared(value), Operator::And, Arc::clone(filter)))
        };
        let kept = both(noted(3, DataType::Int64), &joined);
        let run = arguments(7);
        let conditions = RunConditions { arguments: &run, fresh: &|_| Some(Arc::clone(&of_run)) };
        assert_eq!(conditions.of(&kept).unwrap().to_string(), both(lit(7_i64), &of_run).to_string());
        let conditions = RunConditions { arguments: &run, fresh: &|_| None };
        assert!(conditions.of(&kept).is_none(), "a filter that is not known");
        let other = Arguments::new(Vec::new(), Vec::new()).unwrap();
        let conditions = RunConditions { arguments: &other, fresh: &|_| Some(Arc::clone(&of_run)) };
        assert!(conditions.of(&kept).is_none(), "a value that is not known");
        let plain = compared(lit(3_i64));
        assert!(Arc::ptr_eq(&conditions.of(&plain).unwrap(), &plain), "nothing of a run stands in it");
    }

    #[test]
    fn values_count_where_another_one_makes_the_condition_that_is_planned_with_it() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        let list = vec![noted(3, DataType::Int64), lit(4_i64)];
        let listed = InListExpr::try_new(column(), list, false, &schema).unwrap();
        for (condition, expected) in [
            (compared(noted(3, DataType::Int64)), 1),
            (Arc::new(NotExpr::new(compared(noted(3, DataType::Int64)))) as Arc<dyn PhysicalExpr>, 1),
            (compared(noted(3, DataType::Float64)), 0),
            (compared(lit(3_i64)), 0),
            (Arc::new(listed), 0),
        ] {
            assert_eq!(values(&condition), expected, "{condition}");
        }
    }

    /// A leaf's filter over a scan of the second of two columns, which skips by a condition on its table's.
    fn over_scan(filter: Arc<dyn PhysicalExpr>, skips_by: Option<Arc<dyn PhysicalExpr>>) -> Arc<dyn ExecutionPlan> {
        let schema = Schema::new(["b", "a"].map(|name| Field::new(name, DataType::Int64, true)).to_vec());
        let mut source = ParquetSource::new(Arc::new(schema));
        if let Some(condition) = skips_by {
            source = source.with_predicate(condition);
        }
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_projection_indices(Some(vec![1]))
            .unwrap()
            .build();
        let scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        Arc::new(FilterExec::try_new(filter, scan).unwrap())
    }

    #[test]
    fn a_scan_skips_by_conditions_whose_values_are_known() {
        let own = |with: Arc<dyn PhysicalExpr>| -> Arc<dyn PhysicalExpr> {
            Arc::new(BinaryExpr::new(Arc::new(Column::new("a", 1)), Operator::Gt, with))
        };
        let and = |other: Arc<dyn PhysicalExpr>| -> Arc<dyn PhysicalExpr> {
            Arc::new(BinaryExpr::new(own(noted(3, DataType::Int64)), Operator::And, other))
        };
        for (skips_by, expected) in [
            (None, true),
            (Some(own(noted(3, DataType::Int64))), true),
            // The note of a value is lost.
            (Some(own(lit(3_i64))), false),
            // It was given one more, or made another of them.
            (Some(and(own(lit(9_i64)))), false),
            (Some(Arc::new(NotExpr::new(own(noted(3, DataType::Int64)))) as Arc<dyn PhysicalExpr>), false),
        ] {
            let shown = format!("{skips_by:?}");
            let leaf = over_scan(compared(noted(3, DataType::Int64)), skips_by);
            assert_eq!(takes_other_values(&leaf, 1), expected, "{shown}");
            assert!(!takes_other_values(&leaf, 2), "a value stands elsewhere");
        }
    }
}
