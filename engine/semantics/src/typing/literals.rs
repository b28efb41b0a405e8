//! The types of whole-number literals as Postgres reads them: integer where they fit, else bigint. Knows no value of a
//! parameter: it works on bound plans, before parameters are filled in.

mod branches;
mod outer;

pub(crate) use branches::met as branches_met;
pub(crate) use outer::renewed as renewed_outer_columns;

use crate::keep_names::under_names;
use crate::typing::set_operations::unions::{self, Casts};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, Union};

/// The plan with its literals typed, and what chooses among them; output names stay.
pub(crate) fn typed(plan: LogicalPlan) -> Result<LogicalPlan> {
    outer::renewed(plan.transform_up_with_subqueries(node)?.data)
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    // Limits are bigint. The types of VALUES are fixed when they are bound.
    if matches!(plan, LogicalPlan::Limit(_) | LogicalPlan::Values(_) | LogicalPlan::TableScan(_)) {
        return Ok(Transformed::no(plan));
    }
    if let LogicalPlan::Union(union) = plan {
        let renewed = retyped(union)?;
        let met = unions::written(renewed.data)?;
        return Ok(Transformed::new_transformed(LogicalPlan::Union(met.data), renewed.transformed || met.transformed));
    }
    let typed = under_names(plan, |expr| expr.transform_down(literal))?
        .transform_data(|plan| branches::met(plan, Casts::Written))?;
    typed.map_data(LogicalPlan::recompute_schema)
}

fn literal(expr: Expr) -> Result<Transformed<Expr>> {
    Ok(match expr {
        // Arithmetic of constants with a point is exact, as Postgres' numeric is.
        Expr::BinaryExpr(binary)
            if is_exact_arithmetic(binary.op)
                && is_constant(&binary.left)
                && is_constant(&binary.right)
                && (has_point(&binary.left) || has_point(&binary.right)) =>
        {
            let exact = Expr::BinaryExpr(binary).transform_up(|e| {
                Ok(match decimal(&e) {
                    Some(decimal) => Transformed::yes(Expr::Literal(decimal, None)),
                    None => Transformed::no(e),
                })
            })?;
            Transformed::new(exact.data, exact.transformed, TreeNodeRecursion::Jump)
        }
        Expr::Literal(ScalarValue::Int64(Some(value)), None) => match i32::try_from(value) {
            Ok(narrow) => Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(narrow)), None)),
            Err(_) => Transformed::no(Expr::Literal(ScalarValue::Int64(Some(value)), None)),
        },
        Expr::AggregateFunction(mut call) if call.func.name() == "count" => {
            let changed = in_count(&mut call.params.args, &mut call.params.filter)?;
            Transformed::new(Expr::AggregateFunction(call), changed, TreeNodeRecursion::Jump)
        }
        Expr::WindowFunction(mut call) if call.fun.name() == "count" => {
            let changed = in_count(&mut call.params.args, &mut call.params.filter)?;
            Transformed::new(Expr::WindowFunction(call), changed, TreeNodeRecursion::Jump)
        }
        other => Transformed::no(other),
    })
}

/// Literals in what is counted and for which rows, but for what is a literal itself: `count(*)` is known by it.
fn in_count(args: &mut [Expr], filter: &mut Option<Box<Expr>>) -> Result<bool> {
    let mut changed = false;
    let counted = args.iter_mut().filter(|arg| !matches!(arg, Expr::Literal(..)));
    for part in counted.chain(filter.as_deref_mut()) {
        let typed = std::mem::take(part).transform_down(literal)?;
        changed |= typed.transformed;
        *part = typed.data;
    }
    Ok(changed)
}

const fn is_exact_arithmetic(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
}

/// A number, or `+ - *` of numbers.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(_)) | ScalarValue::Int64(Some(_)), _) => true,
        Expr::Negative(inner) => is_constant(inner),
        Expr::BinaryExpr(binary) => {
            is_exact_arithmetic(binary.op) && is_constant(&binary.left) && is_constant(&binary.right)
        }
        _ => false,
    }
}

fn has_point(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Float64(_), _) => true,
        Expr::Negative(inner) => has_point(inner),
        Expr::BinaryExpr(binary) => has_point(&binary.left) || has_point(&binary.right),
        _ => false,
    }
}

/// The shortest decimal of a double that was written with a point, if it is short.
fn decimal(expr: &Expr) -> Option<ScalarValue> {
    let Expr::Literal(ScalarValue::Float64(Some(value)), _) = expr else { return None };
    let text = value.to_string();
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() > 15 || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let scaled: i128 = format!("{}{whole}{fraction}", if *value < 0.0 { "-" } else { "" }).parse().ok()?;
    let scale = i8::try_from(fraction.len()).ok()?;
    let precision = u8::try_from((whole.len() + fraction.len()).max(1)).ok()?;
    Some(ScalarValue::Decimal128(Some(scaled), precision, scale))
}

/// A union of what its inputs have become.
fn retyped(union: Union) -> Result<Transformed<Union>> {
    let types =
        |schema: &DFSchema| -> Vec<DataType> { schema.fields().iter().map(|f| f.data_type().clone()).collect() };
    let fresh = Union::try_new_with_loose_types(union.inputs.clone())?;
    Ok(if types(&fresh.schema) == types(&union.schema) { Transformed::no(union) } else { Transformed::yes(fresh) })
}
