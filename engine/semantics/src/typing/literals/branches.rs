//! The type of a CASE. Until its results are coerced it has the type of the first one, to which what is bound above would cast the others:
//! a UNION with whole numbers took the places of `CASE WHEN … THEN 1 ELSE price END`. Here the first result is cast to the type at which
//! numbers meet; a text that is a constant, to the one at which texts do. Knows no row.

use crate::casts::conversions::is_text;
use crate::keep_names::under_names;
use crate::numbers::wide::widened;
use crate::typing::unions::common_type;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, cast};
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;

/// A node whose CASEs have the types of their results.
pub(super) fn met(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut any = false;
    plan.apply_expressions(|expr| {
        any |= expr.exists(|part| Ok(matches!(part, Expr::Case(_))))?;
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    under_names(plan, |expr| expr.transform_up(|part| first_cast(part, &schema)))
}

fn first_cast(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Case(mut case) = expr else { return Ok(Transformed::no(expr)) };
    let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
    // What has no type yet gets one from where it stands.
    let types: Option<Vec<DataType>> = results.map(|result| result.get_type(schema).ok()).collect();
    let types = types.unwrap_or_default();
    let first = types.iter().position(|own| !own.is_null());
    let (Some(first), Some(to)) = (first, meeting(&types)) else { return Ok(Transformed::no(Expr::Case(case))) };
    let Some((_, then)) = case.when_then_expr.get_mut(first) else { return Ok(Transformed::no(Expr::Case(case))) };
    let then = then.as_mut();
    let is_wide = to == WIDE_NUMERIC;
    let known = match &*then {
        Expr::Literal(..) => true,
        Expr::Column(_) => !is_text(&to),
        _ => !is_wide && !is_text(&to),
    };
    if !known {
        return Ok(Transformed::no(Expr::Case(case)));
    }
    *then = match std::mem::take(then) {
        own if is_wide => widened(own, schema)?,
        Expr::Literal(value, note) => match value.cast_to(&to) {
            Ok(value) => Expr::Literal(value, None),
            Err(_) => cast(Expr::Literal(value, note), to),
        },
        own => cast(own, to),
    };
    Ok(Transformed::yes(Expr::Case(case)))
}

/// Where numbers meet, or the engine's types of texts, if it is not at the type of the first. What needs all digits of a decimal meets later.
fn meeting(types: &[DataType]) -> Option<DataType> {
    let mut known = types.iter().filter(|own| !own.is_null());
    let first = known.next()?;
    let wide = types.contains(&WIDE_NUMERIC);
    let is_number = |own: &DataType| own.is_null() || own.is_numeric() || *own == WIDE_NUMERIC;
    if !types.iter().all(is_number) && !types.iter().all(|own| own.is_null() || is_text(own)) {
        return None;
    }
    let common = if wide {
        (!types.iter().any(DataType::is_floating)).then_some(WIDE_NUMERIC)?
    } else {
        known.try_fold(first.clone(), |met, own| common_type(&met, own))?
    };
    let fits = match common {
        DataType::Decimal128(digits, _) => digits < DECIMAL128_MAX_PRECISION,
        DataType::Decimal256(..) => false,
        _ => true,
    };
    (fits && common != *first).then_some(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_meet_at_the_type_that_holds_all_of_them() {
        let (int, float) = (DataType::Int32, DataType::Float64);
        let decimal = DataType::Decimal128;
        for (types, expected) in [
            (vec![int.clone(), decimal(10, 2)], Some(decimal(12, 2))),
            (vec![DataType::Null, decimal(12, 1), decimal(10, 2)], Some(decimal(13, 2))),
            (vec![int.clone(), DataType::Int64], Some(DataType::Int64)),
            (vec![decimal(10, 2), float.clone()], Some(float.clone())),
            (vec![decimal(10, 2), WIDE_NUMERIC], Some(WIDE_NUMERIC)),
            (vec![decimal(10, 2), int.clone()], Some(decimal(12, 2))),
            (vec![float.clone(), decimal(10, 2)], None),
            (vec![WIDE_NUMERIC, int.clone()], None),
            (vec![WIDE_NUMERIC, float], None),
            (vec![int.clone(), decimal(38, 10)], None),
            (vec![DataType::Utf8, DataType::Utf8View], Some(DataType::Utf8View)),
            (vec![int, DataType::Utf8], None),
            (vec![DataType::Null], None),
        ] {
            assert_eq!(meeting(&types), expected, "{types:?}");
        }
    }
}
