//! How many digits the values of an expression can have: often fewer than its type, which a chain of products soon fills up. Never
//! fewer than there are.

use super::arithmetic::ops_of;
use super::kernels::Op;
use crate::casts::conversions::target_of;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Schema};
use datafusion::common::{Result, ScalarValue};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{CaseExpr, CastExpr, Literal};
use datafusion::physical_plan::PhysicalExpr;
use std::sync::Arc;

/// How deep an expression is looked into.
const DEPTH_MAX: usize = 32;

/// The largest distance of a value from zero, in units of the last place; and the places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Most(u128, i8);

/// The type of an expression's values, a decimal with no more digits than they can have.
///
/// # Errors
/// The expression has no type over this schema.
pub fn tight_type(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<DataType> {
    let own = expr.data_type(schema)?;
    let DataType::Decimal128(digits, places) = own else { return Ok(own) };
    let found = most(expr, schema, 0)?.and_then(|most| scaled(most, places));
    let digits_of = |value: u128| value.checked_ilog10().map_or(1, |log| log.saturating_add(1));
    let needed = found.map_or(digits, |most| u8::try_from(digits_of(most.0)).unwrap_or(digits));
    Ok(DataType::Decimal128(digits.min(needed), places))
}

fn most(expr: &Arc<dyn PhysicalExpr>, schema: &Schema, depth: usize) -> Result<Option<Most>> {
    let of_type = type_most(&expr.data_type(schema)?);
    if depth > DEPTH_MAX {
        return Ok(of_type);
    }
    let below = |expr: &Arc<dyn PhysicalExpr>| most(expr, schema, depth + 1);
    let found = if let Some(literal) = expr.downcast_ref::<Literal>() {
        literal_most(literal.value())
    } else if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        below(cast.expr())?
    } else if let Some(case) = expr.downcast_ref::<CaseExpr>() {
        let then = case.when_then_expr().iter().map(|(_, then)| then).chain(case.else_expr());
        let all = then.map(below).collect::<Result<Option<Vec<_>>>>()?;
        all.and_then(|all| largest(&all))
    } else if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() {
        match (ops_of(call.fun()), call.args()) {
            (Some([op]), [left, right]) => match (below(left)?, below(right)?) {
                (Some(left), Some(right)) => combined(*op, left, right),
                _ => None,
            },
            (None, [value]) if target_of(call.fun()).is_some() => below(value)?,
            _ => None,
        }
    } else {
        None
    };
    // Both hold; the one in the type's own places is the one to compare by.
    Ok(match (found, of_type) {
        (Some(found), Some(of_type)) => {
            let found = scaled(found, of_type.1).unwrap_or(of_type);
            Some(if found.0 < of_type.0 { found } else { of_type })
        }
        (None, of_type) => of_type,
        (Some(_), None) => None,
    })
}

fn type_most(of: &DataType) -> Option<Most> {
    Some(match of {
        DataType::Decimal128(digits, places) => {
            Most(10_u128.checked_pow(u32::from(*digits))?.saturating_sub(1), *places)
        }
        DataType::Int8 => Most(1 << 7, 0),
        DataType::Int16 => Most(1 << 15, 0),
        DataType::Int32 => Most(1 << 31, 0),
        DataType::Int64 => Most(1 << 63, 0),
        _ => return None,
    })
}

fn literal_most(value: &ScalarValue) -> Option<Most> {
    Some(match value {
        ScalarValue::Decimal128(value, _, places) => Most(value.map_or(0, i128::unsigned_abs), *places),
        ScalarValue::Int8(value) => Most(value.map_or(0, i8::unsigned_abs).into(), 0),
        ScalarValue::Int16(value) => Most(value.map_or(0, i16::unsigned_abs).into(), 0),
        ScalarValue::Int32(value) => Most(value.map_or(0, i32::unsigned_abs).into(), 0),
        ScalarValue::Int64(value) => Most(value.map_or(0, i64::unsigned_abs).into(), 0),
        _ => return None,
    })
}

/// The bound at a number of places. `None`: it has more digits than any decimal.
fn scaled(Most(value, from): Most, to: i8) -> Option<Most> {
    let step = 10_u128.checked_pow(u32::from(to.abs_diff(from)))?;
    let value = if to >= from { value.checked_mul(step)? } else { (value / step).saturating_add(1) };
    Some(Most(value, to))
}

fn largest(all: &[Most]) -> Option<Most> {
    let places = all.iter().map(|most| most.1).max()?;
    let values = all.iter().map(|most| scaled(*most, places)).collect::<Option<Vec<_>>>()?;
    values.into_iter().max_by_key(|most| most.0)
}

fn combined(op: Op, left: Most, right: Most) -> Option<Most> {
    match op {
        Op::Multiply => {
            let places =
                left.1.checked_add(right.1).filter(|places| places.unsigned_abs() <= DECIMAL128_MAX_PRECISION)?;
            Some(Most(left.0.checked_mul(right.0)?, places))
        }
        Op::Add | Op::Subtract => {
            let places = left.1.max(right.1);
            let (left, right) = (scaled(left, places)?, scaled(right, places)?);
            Some(Most(left.0.checked_add(right.0)?, places))
        }
        Op::Divide | Op::Remainder => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::arithmetic::chain;
    use arrow::datatypes::Field;
    use datafusion::config::ConfigOptions;
    use datafusion::physical_expr::expressions::Column;

    fn call(
        op: Op,
        left: Arc<dyn PhysicalExpr>,
        right: Arc<dyn PhysicalExpr>,
        digits: u8,
        places: i8,
    ) -> Arc<dyn PhysicalExpr> {
        let gives = Arc::new(Field::new("", DataType::Decimal128(digits, places), true));
        let config = Arc::new(ConfigOptions::default());
        Arc::new(ScalarFunctionExpr::new("op", Arc::new(chain(vec![op])), vec![left, right], gives, config))
    }

    #[test]
    fn products_and_sums_have_the_digits_of_their_parts() {
        let schema = Schema::new(vec![
            Field::new("price", DataType::Decimal128(15, 2), true),
            Field::new("discount", DataType::Decimal128(15, 2), true),
        ]);
        let column = |name: &str, place| Arc::new(Column::new(name, place)) as Arc<dyn PhysicalExpr>;
        let one = Arc::new(Literal::new(ScalarValue::Decimal128(Some(1), 20, 0))) as Arc<dyn PhysicalExpr>;
        let rest = call(Op::Subtract, one, column("discount", 1), 23, 2);
        assert_eq!(tight_type(&rest, &schema).unwrap(), DataType::Decimal128(16, 2));
        let paid = call(Op::Multiply, column("price", 0), rest, 38, 4);
        assert_eq!(tight_type(&paid, &schema).unwrap(), DataType::Decimal128(31, 4));
        let more = call(Op::Multiply, paid, column("price", 0), 38, 6);
        assert_eq!(tight_type(&more, &schema).unwrap(), DataType::Decimal128(38, 6), "as many as the type has");
        let ratio = call(Op::Divide, column("price", 0), column("discount", 1), 38, 16);
        assert_eq!(tight_type(&ratio, &schema).unwrap(), DataType::Decimal128(38, 16));
        assert_eq!(tight_type(&column("price", 0), &schema).unwrap(), DataType::Decimal128(15, 2));
    }
}
