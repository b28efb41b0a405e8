//! Compares dates with days: a date that is cast to a timestamp for its comparison with a constant is compared as a date.
//! Changes no answer; a condition without a cast can go to a source, to an index and to Parquet's statistics.
//!
//! `day < date '1994-01-01' + interval '1 year'` is such a comparison: PostgreSQL's sum of a date and an interval is a
//! timestamp.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

const DAY_MICROS: i64 = 86_400_000_000;

/// The rule. Belongs after the simplification of constants and before conditions are pushed down.
#[derive(Debug, Clone, Copy, Default)]
pub struct DateBounds;

impl OptimizerRule for DateBounds {
    fn name(&self) -> &'static str {
        "date_bounds"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(mut filter) => {
                let rewritten = in_days(filter.predicate, filter.input.schema())?;
                filter.predicate = rewritten.data;
                Ok(Transformed::new_transformed(LogicalPlan::Filter(filter), rewritten.transformed))
            }
            LogicalPlan::Join(mut join) => {
                let Some(condition) = join.filter.take() else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
                let both = join.left.schema().join(join.right.schema())?;
                let rewritten = in_days(condition, &both)?;
                join.filter = Some(rewritten.data);
                Ok(Transformed::new_transformed(LogicalPlan::Join(join), rewritten.transformed))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// The condition with dates compared as dates.
pub(crate) fn in_days(condition: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    condition.transform_up(|expr| {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expr else { return Ok(Transformed::no(expr)) };
        let compared = match (date(left, schema), micros(right), date(right, schema), micros(left)) {
            (Some(column), Some(at), _, _) => by_day(column, *op, at),
            (_, _, Some(column), Some(at)) => op.swap().and_then(|op| by_day(column, op, at)),
            _ => None,
        };
        Ok(compared.map_or_else(|| Transformed::no(expr), Transformed::yes))
    })
}

/// The date under a cast to a timestamp without a time zone.
fn date<'a>(expr: &'a Expr, schema: &DFSchema) -> Option<&'a Column> {
    let Expr::Cast(cast) = expr else { return None };
    let Expr::Column(column) = cast.expr.as_ref() else { return None };
    let is_timestamp = matches!(cast.field.data_type(), DataType::Timestamp(TimeUnit::Microsecond, None));
    let field = schema.field_from_column(column).ok()?;
    (is_timestamp && *field.data_type() == DataType::Date32).then_some(column)
}

fn micros(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(at), None), _) => Some(*at),
        _ => None,
    }
}

/// `column op at`, where the column's timestamps are midnights.
fn by_day(column: &Column, op: Operator, at: i64) -> Option<Expr> {
    let midnight = at.rem_euclid(DAY_MICROS) == 0;
    let op = match op {
        Operator::Lt if !midnight => Operator::LtEq,
        Operator::GtEq if !midnight => Operator::Gt,
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => op,
        Operator::Eq | Operator::NotEq if midnight => op,
        _ => return None,
    };
    let day = i32::try_from(at.div_euclid(DAY_MICROS)).ok()?;
    let day = lit(ScalarValue::Date32(Some(day)));
    Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(Expr::Column(column.clone())), op, Box::new(day))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{cast, col};

    fn rewritten(op: Operator, at: i64) -> String {
        let schema = Schema::new(vec![Field::new("day", DataType::Date32, true)]);
        let schema = DFSchema::try_from(schema).unwrap();
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        let at = lit(ScalarValue::TimestampMicrosecond(Some(at), None));
        let expr = Expr::BinaryExpr(BinaryExpr::new(Box::new(cast(col("day"), timestamp)), op, Box::new(at)));
        in_days(expr, &schema).unwrap().data.to_string()
    }

    #[test]
    fn a_date_is_compared_with_the_day_of_a_timestamp() {
        let (one, noon, before) = (DAY_MICROS, DAY_MICROS + DAY_MICROS / 2, -1);
        for (op, at, expected) in [
            (Operator::Lt, one, "day < Date32(\"1970-01-02\")"),
            (Operator::Lt, noon, "day <= Date32(\"1970-01-02\")"),
            (Operator::LtEq, one, "day <= Date32(\"1970-01-02\")"),
            (Operator::LtEq, noon, "day <= Date32(\"1970-01-02\")"),
            (Operator::Gt, one, "day > Date32(\"1970-01-02\")"),
            (Operator::Gt, noon, "day > Date32(\"1970-01-02\")"),
            (Operator::GtEq, one, "day >= Date32(\"1970-01-02\")"),
            (Operator::GtEq, noon, "day > Date32(\"1970-01-02\")"),
            (Operator::Eq, one, "day = Date32(\"1970-01-02\")"),
            (Operator::GtEq, before, "day > Date32(\"1969-12-31\")"),
            (Operator::Lt, before, "day <= Date32(\"1969-12-31\")"),
        ] {
            assert_eq!(rewritten(op, at), expected, "{op} {at}");
        }
        for (op, at) in [(Operator::Eq, noon), (Operator::IsDistinctFrom, one), (Operator::Plus, one)] {
            assert!(rewritten(op, at).contains("CAST"), "{op} {at}");
        }
    }
}
