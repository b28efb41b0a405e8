//! Operators and functions of numbers where an operand is a numeric of any width, as calls of ours; and those functions whose result
//! is one whatever the operands are.

use super::meeting::narrowed_to;
use super::{holds_wide, is_wide};
use crate::functions;
use crate::times::zone::Zone;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast};
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;

/// `+ - * / %` as a call; the operator where no side is wide, or one is a double, which both are then.
pub(super) fn calculated(binary: BinaryExpr, schema: &DFSchema) -> Result<std::result::Result<Expr, BinaryExpr>> {
    let name = match binary.op {
        Operator::Plus => "numeric_plus",
        Operator::Minus => "numeric_minus",
        Operator::Multiply => "numeric_times",
        Operator::Divide => "numeric_over",
        Operator::Modulo => "numeric_modulo",
        _ => return Ok(Err(binary)),
    };
    let (left, right) = (is_wide(&binary.left, schema), is_wide(&binary.right, schema));
    if !left && !right {
        return Ok(Err(binary));
    }
    let other = if left { &binary.right } else { &binary.left };
    let other = if left && right { WIDE_NUMERIC } else { other.get_type(schema).unwrap_or(DataType::Null) };
    if matches!(other, DataType::Float32 | DataType::Float64) {
        let double = |side: Box<Expr>| cast(*side, DataType::Float64);
        let (left, right) = (double(binary.left), double(binary.right));
        return Ok(Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), binary.op, Box::new(right)))));
    }
    if !is_exact(&other) {
        return Ok(Err(binary));
    }
    Ok(match functions::in_zone(name, Zone::UTC) {
        Some(function) => Ok(function.call(vec![*binary.left, *binary.right])),
        None => Err(binary),
    })
}

/// A function of exact numbers as the one for numerics of any width: where an argument is one, and where PostgreSQL's result of
/// numerics is exact to digits that a double does not have.
pub(super) fn called(call: ScalarFunction, schema: &DFSchema) -> Result<std::result::Result<Expr, ScalarFunction>> {
    let (name, of_decimals) = match call.name() {
        "sqrt" => ("numeric_sqrt", true),
        "exp" => ("numeric_exp", true),
        "ln" => ("numeric_ln", true),
        "log" | "log10" => ("numeric_log", true),
        "power" | "pow" => ("numeric_power", true),
        "abs" => ("numeric_abs", false),
        // A quotient that was settled before its operand became wide.
        "numeric_divide" => ("numeric_over", false),
        "gcd" => ("numeric_gcd", true),
        "lcm" => ("numeric_lcm", true),
        "factorial" => {
            return Ok(match functions::in_zone("numeric_factorial", Zone::UTC) {
                Some(function) => Ok(function.call(call.args)),
                None => Err(call),
            });
        }
        _ => return Ok(Err(call)),
    };
    let types: Vec<DataType> =
        call.args.iter().map(|arg| arg.get_type(schema)).collect::<Result<_>>().unwrap_or_default();
    let numeric = types.iter().any(|t| *t == WIDE_NUMERIC || of_decimals && matches!(t, DataType::Decimal128(..)));
    // With a base, there is a logarithm of numerics only.
    let numeric = numeric || (name == "numeric_log" && types.len() == 2);
    let fitting = types.iter().all(|t| is_exact(t) || matches!(t, DataType::Utf8));
    if types.is_empty() || !numeric || !fitting {
        return Ok(Err(call));
    }
    Ok(match functions::in_zone(name, Zone::UTC) {
        Some(function) => Ok(function.call(call.args)),
        None => Err(call),
    })
}

/// Functions of the engine that know doubles only.
const OF_DOUBLES: &[&str] = &[
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "cot", "degrees", "radians",
    "sin", "sinh", "tan", "tanh",
];

/// Functions that are real to the engine where their argument is, and a double to PostgreSQL; so are those above.
const OF_REALS: &[&str] = &["exp", "ln", "log", "log10", "log2", "sqrt"];

/// A function that takes doubles where it is given numerics of any width or reals, which become that.
pub(super) fn of_doubles(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let types: Vec<DataType> =
        call.args.iter().map(|arg| arg.get_type(schema)).collect::<Result<_>>().unwrap_or_default();
    let of_reals = OF_DOUBLES.contains(&call.name()) || OF_REALS.contains(&call.name());
    if of_reals && types.contains(&DataType::Float32) {
        for (arg, _) in call.args.iter_mut().zip(&types).filter(|(_, own)| **own == DataType::Float32) {
            *arg = cast(std::mem::take(arg), DataType::Float64);
        }
        return Ok(Transformed::yes(Expr::ScalarFunction(call)));
    }
    if !types.iter().any(holds_wide) {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    let wanted = if OF_DOUBLES.contains(&call.name()) {
        vec![DataType::Float64; types.len()]
    } else {
        call.func.coerce_types(&types).unwrap_or_default()
    };
    let mut changed = false;
    for ((arg, given), wanted) in call.args.iter_mut().zip(&types).zip(&wanted) {
        if holds_wide(given) && !holds_wide(wanted) && is_double(wanted) {
            *arg = narrowed_to(std::mem::take(arg), wanted, schema)?;
            changed = true;
        }
    }
    Ok(Transformed::new_transformed(Expr::ScalarFunction(call), changed))
}

/// Whether a type is a double or a list of them.
fn is_double(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => *item.data_type() == DataType::Float64,
        other => *other == DataType::Float64,
    }
}

fn is_exact(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(data_type, DataType::Decimal128(..) | DataType::Null)
        || *data_type == WIDE_NUMERIC
}
