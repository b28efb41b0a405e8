//! The type of a CASE. Until its results are coerced it has the type of the first one, to which what is bound above would cast the others:
//! a UNION with whole numbers took the places of `CASE WHEN … THEN 1 ELSE price END`. Here the first result is cast to the type at which
//! numbers meet; a text that is a constant, to the one at which texts do. Where a cast to `numeric` does not have its places yet, the first
//! result becomes such a cast too, so that what is bound above sees that the type is open; with the places it is cast again. Knows no row.

use crate::casts::conversions::is_text;
use crate::keep_names::under_names;
use crate::numbers::wide::{UNSETTLED, widened};
use crate::typing::comparable::beyond_38_digits;
use crate::typing::set_operations::unions::{Casts, common_type, of_any_places};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Case, Expr, ExprSchemable, LogicalPlan, cast};
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;

/// A node whose CASEs have the types of their results; its own schema is as before. The types of VALUES are fixed when they are bound.
pub(crate) fn met(plan: LogicalPlan, casts: Casts) -> Result<Transformed<LogicalPlan>> {
    if matches!(plan, LogicalPlan::Values(_) | LogicalPlan::TableScan(_)) {
        return Ok(Transformed::no(plan));
    }
    let mut any = false;
    plan.apply_expressions(|expr| {
        any |= expr.exists(|part| Ok(matches!(part, Expr::Case(_))))?;
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    under_names(plan, |expr| expr.transform_up(|part| first_cast(part, &schema, casts)))
}

fn results(case: &Case) -> impl Iterator<Item = &Expr> {
    case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr).map(AsRef::as_ref)
}

/// Adds the types of what an expression may give: a CASE whose results have not met shows only the first one's. Whether each has a type:
/// what has none yet gets one from where it stands.
fn gather(expr: &Expr, schema: &DFSchema, types: &mut Vec<DataType>) -> bool {
    match expr {
        Expr::Alias(alias) => gather(&alias.expr, schema, types),
        Expr::Case(case) => results(case).all(|result| gather(result, schema, types)),
        other => other.get_type(schema).is_ok_and(|own| {
            if !types.contains(&own) {
                types.push(own);
            }
            true
        }),
    }
}

/// Whether a result has its places only when a parameter has its value.
fn waits_for_values(case: &Case) -> Result<bool> {
    for result in results(case) {
        if result.exists(|part| Ok(matches!(part, Expr::Placeholder(_))))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn first_cast(expr: Expr, schema: &DFSchema, casts: Casts) -> Result<Transformed<Expr>> {
    let Expr::Case(mut case) = expr else { return Ok(Transformed::no(expr)) };
    let mut types = Vec::new();
    if !results(&case).all(|result| gather(result, schema, &mut types)) {
        return Ok(Transformed::no(Expr::Case(case)));
    }
    let own: Option<Vec<DataType>> = case.when_then_expr.iter().map(|(_, then)| then.get_type(schema).ok()).collect();
    let own = own.unwrap_or_default();
    let Some((first, own)) = own.iter().enumerate().find(|(_, own)| !own.is_null()) else {
        return Ok(Transformed::no(Expr::Case(case)));
    };
    let Some(to) = meeting(&types, own, casts) else { return Ok(Transformed::no(Expr::Case(case))) };
    if casts == Casts::Settled && types.contains(&UNSETTLED) && waits_for_values(&case)? {
        return Ok(Transformed::no(Expr::Case(case)));
    }
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
        own if casts == Casts::Written && to == UNSETTLED => of_any_places(own),
        Expr::Literal(value, note) => match value.cast_to(&to) {
            Ok(value) => Expr::Literal(value, None),
            Err(_) => cast(Expr::Literal(value, note), to),
        },
        own => cast(own, to),
    };
    Ok(Transformed::yes(Expr::Case(case)))
}

/// Where numbers meet, or the engine's types of texts, if it is not at the type of the first. Before casts to numeric have their places, what
/// meets one of them is as open as it. What no decimal of 38 digits holds meets later.
fn meeting(types: &[DataType], own: &DataType, casts: Casts) -> Option<DataType> {
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
    let fits = match (&common, casts) {
        (DataType::Decimal128(..) | DataType::Decimal256(..), Casts::Written) if types.contains(&UNSETTLED) => {
            return (*own != UNSETTLED).then_some(UNSETTLED);
        }
        (DataType::Decimal128(digits, _), Casts::Written) => *digits < DECIMAL128_MAX_PRECISION,
        (DataType::Decimal128(..), Casts::Settled) => {
            let known: Vec<Option<DataType>> = types.iter().filter(|own| !own.is_null()).cloned().map(Some).collect();
            beyond_38_digits(&known).is_none()
        }
        (DataType::Decimal256(..), _) => false,
        _ => true,
    };
    (fits && common != *own).then_some(common)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::expr::Placeholder;
    use datafusion::logical_expr::lit;
    use std::sync::Arc;

    #[test]
    fn numbers_meet_at_the_type_that_holds_all_of_them() {
        let (int, float) = (DataType::Int32, DataType::Float64);
        let decimal = DataType::Decimal128;
        let open = UNSETTLED;
        for (types, written, settled) in [
            (vec![int.clone(), decimal(10, 2)], Some(decimal(12, 2)), Some(decimal(12, 2))),
            (vec![DataType::Null, decimal(12, 1), decimal(10, 2)], Some(decimal(13, 2)), Some(decimal(13, 2))),
            (vec![int.clone(), DataType::Int64], Some(DataType::Int64), Some(DataType::Int64)),
            (vec![decimal(10, 2), float.clone()], Some(float.clone()), Some(float.clone())),
            (vec![decimal(10, 2), WIDE_NUMERIC], Some(WIDE_NUMERIC), Some(WIDE_NUMERIC)),
            (vec![decimal(10, 2), int.clone()], Some(decimal(12, 2)), Some(decimal(12, 2))),
            (vec![float.clone(), decimal(10, 2)], None, None),
            (vec![WIDE_NUMERIC, int.clone()], None, None),
            (vec![WIDE_NUMERIC, float.clone()], None, None),
            (vec![int.clone(), open.clone()], Some(open.clone()), Some(decimal(38, 10))),
            (vec![open.clone(), int.clone()], None, None),
            (vec![decimal(8, 2), open, float.clone()], Some(float.clone()), Some(float)),
            (vec![decimal(8, 2), decimal(38, 30)], None, Some(decimal(38, 30))),
            (vec![decimal(10, 2), decimal(38, 36)], None, None),
            (vec![DataType::Utf8, DataType::Utf8View], Some(DataType::Utf8View), Some(DataType::Utf8View)),
            (vec![int, DataType::Utf8], None, None),
            (vec![DataType::Null], None, None),
        ] {
            let null = DataType::Null;
            let first = types.iter().find(|own| !own.is_null()).unwrap_or(&null);
            assert_eq!(meeting(&types, first, Casts::Written), written, "{types:?}");
            assert_eq!(meeting(&types, first, Casts::Settled), settled, "{types:?}");
        }
    }

    /// A CASE within another one that has not met shows the places of its first result alone.
    #[test]
    fn results_of_a_case_within_another_count() {
        let schema = DFSchema::empty();
        let number = |digits, precision, scale| lit(ScalarValue::Decimal128(Some(digits), precision, scale));
        let choice = |then: Expr, last: Expr| {
            Expr::Case(Case::new(None, vec![(Box::new(lit(true)), Box::new(then))], Some(Box::new(last))))
        };
        let outer = |last: Expr| choice(choice(number(150, 8, 2), last), lit(1_i32));
        let typed = |expr: Expr, casts| {
            let met = expr.transform_up(|part| first_cast(part, &schema, casts)).unwrap();
            (met.data.get_type(&schema).unwrap(), met.transformed)
        };
        let open = || of_any_places(number(125, 3, 3));
        assert_eq!(typed(outer(open()), Casts::Written), (UNSETTLED, true));
        assert_eq!(typed(outer(number(125, 3, 3)), Casts::Settled), (DataType::Decimal128(13, 3), true));
        // What no decimal holds is left to what meets later, within and around.
        assert_eq!(typed(outer(number(1, 38, 38)), Casts::Settled), (DataType::Decimal128(8, 2), false));
        // A parameter has its places with its value.
        let field = Arc::new(Field::new("$1", UNSETTLED, true));
        let parameter = Expr::Placeholder(Placeholder { id: "$1".to_owned(), field: Some(field) });
        assert_eq!(typed(outer(parameter), Casts::Settled), (DataType::Decimal128(8, 2), false));
    }
}
