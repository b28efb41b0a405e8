//! `+ - * / %` and unary minus as functions that raise where Postgres raises. Put in place of DataFusion's operators after
//! coercion; keeps their names, types and NULLs. Knows no plan.

use super::decimals;
use super::kernels::{self, Checked, Op};
use crate::bounds::of_no_rows;
use crate::fault::Fault;
use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, Datum};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

/// Operators up to which each gets a call of its own, so that equal parts of expressions are computed once. A longer chain
/// is one call: the optimizer's work on calls grows with more than the square of their nesting.
const NESTED_MAX: usize = 8;

/// Puts checked calls in place of a chain of operators that associate to the left, `None` if nothing in it is to be
/// checked.
pub(crate) fn checked(chain: BinaryExpr, schema: &DFSchema) -> Result<std::result::Result<Expr, BinaryExpr>> {
    let (first, rest) = spine(chain);
    let mut value_type = first.get_type(schema)?;
    let nested = rest.len() <= NESTED_MAX;
    let mut changed = false;
    let mut value = first;
    let mut run: Vec<(Op, Expr)> = Vec::new();
    for (operator, operand) in rest {
        let operand_type = operand.get_type(schema)?;
        let op = op_of(operator).filter(|_| is_checked(&value_type, &operand_type));
        value_type = BinaryTypeCoercer::new(&value_type, &operator, &operand_type).get_result_type()?;
        match op {
            Some(op) => {
                changed = true;
                run.push((op, operand));
                if nested {
                    value = call(value, std::mem::take(&mut run));
                }
            }
            None => {
                value = call(value, std::mem::take(&mut run));
                value = Expr::BinaryExpr(BinaryExpr::new(Box::new(value), operator, Box::new(operand)));
            }
        }
    }
    value = call(value, run);
    Ok(match value {
        Expr::BinaryExpr(same) if !changed => Err(same),
        value => Ok(value),
    })
}

/// The leftmost operand and what is done to it, in order.
fn spine(chain: BinaryExpr) -> (Expr, Vec<(Operator, Expr)>) {
    let mut rest = Vec::new();
    let mut left = Expr::BinaryExpr(chain);
    loop {
        match left {
            Expr::BinaryExpr(BinaryExpr { left: inner, op, right }) if op_of(op).is_some() => {
                rest.push((op, *right));
                left = *inner;
            }
            first => {
                rest.reverse();
                return (first, rest);
            }
        }
    }
}

fn call(first: Expr, run: Vec<(Op, Expr)>) -> Expr {
    if run.is_empty() {
        return first;
    }
    let (ops, operands): (Vec<Op>, Vec<Expr>) = run.into_iter().unzip();
    chain(ops).call(std::iter::once(first).chain(operands).collect())
}

/// The function that applies these operations from left to right.
pub(crate) fn chain(ops: Vec<Op>) -> ScalarUDF {
    let signature = Signature::any(ops.len() + 1, Volatility::Immutable);
    ScalarUDF::new_from_impl(Chain { ops, signature })
}

/// The operations of such a function.
pub(crate) fn ops_of(function: &ScalarUDF) -> Option<&[Op]> {
    let inner: &dyn std::any::Any = function.inner().as_ref();
    inner.downcast_ref::<Chain>().map(|chain| chain.ops.as_slice())
}

pub(crate) const fn op_of(operator: Operator) -> Option<Op> {
    match operator {
        Operator::Plus => Some(Op::Add),
        Operator::Minus => Some(Op::Subtract),
        Operator::Multiply => Some(Op::Multiply),
        Operator::Divide => Some(Op::Divide),
        Operator::Modulo => Some(Op::Remainder),
        _ => None,
    }
}

const fn operator_of(op: Op) -> Operator {
    match op {
        Op::Add => Operator::Plus,
        Op::Subtract => Operator::Minus,
        Op::Multiply => Operator::Multiply,
        Op::Divide => Operator::Divide,
        Op::Remainder => Operator::Modulo,
    }
}

/// Whether operands of these (coerced) types can be at fault in a way that DataFusion misses.
fn is_checked(left: &DataType, right: &DataType) -> bool {
    left == right && is_native(left) || left.is_decimal() && right.is_decimal()
}

/// The checked function for unary minus on this type; `None` leaves the operator as it is (it cannot fail there, and has no NaN, which gets
/// no sign).
pub(crate) fn checked_negation(operand: &DataType) -> Option<Arc<ScalarUDF>> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Negate::new())));
    let is_ours = matches!(
        operand,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64
    );
    is_ours.then(|| Arc::clone(&FUNCTION))
}

fn is_native(data_type: &DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// `a + b - c …` from left to right.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Chain {
    ops: Vec<Op>,
    signature: Signature,
}

impl ScalarUDFImpl for Chain {
    fn name(&self) -> &'static str {
        match self.ops.as_slice() {
            [Op::Add] => "checked_add",
            [Op::Subtract] => "checked_subtract",
            [Op::Multiply] => "checked_multiply",
            [Op::Divide] => "checked_divide",
            [Op::Remainder] => "checked_remainder",
            _ => "checked_arithmetic",
        }
    }

    /// The operators' own, so that columns above keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let Some((first, operands)) = args.split_first() else { return plan_err!("operands are needed") };
        let mut name = first.schema_name().to_string();
        for (op, operand) in self.ops.iter().zip(operands) {
            write!(name, " {} {}", operator_of(*op), operand.schema_name())?;
        }
        Ok(name)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        let Some((first, operands)) = args.split_first() else { return plan_err!("operands are needed") };
        self.ops.iter().zip(operands).try_fold(first.clone(), |value, (op, operand)| {
            BinaryTypeCoercer::new(&value, &operator_of(*op), operand).get_result_type()
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        let mut operands = args.args.into_iter();
        let Some(first) = operands.next() else { return exec_err!("operands are needed") };
        self.ops.iter().zip(operands).try_fold(first, |value, (op, operand)| apply(*op, &value, &operand))
    }
}

fn apply(op: Op, left: &ColumnarValue, right: &ColumnarValue) -> Result<ColumnarValue> {
    match (left.data_type(), right.data_type()) {
        (DataType::Int8, DataType::Int8) => kernels::binary::<Int8Type>(op, left, right),
        (DataType::Int16, DataType::Int16) => kernels::binary::<Int16Type>(op, left, right),
        (DataType::Int32, DataType::Int32) => kernels::binary::<Int32Type>(op, left, right),
        (DataType::Int64, DataType::Int64) => kernels::binary::<Int64Type>(op, left, right),
        (DataType::UInt8, DataType::UInt8) => kernels::binary::<UInt8Type>(op, left, right),
        (DataType::UInt16, DataType::UInt16) => kernels::binary::<UInt16Type>(op, left, right),
        (DataType::UInt32, DataType::UInt32) => kernels::binary::<UInt32Type>(op, left, right),
        (DataType::UInt64, DataType::UInt64) => kernels::binary::<UInt64Type>(op, left, right),
        (DataType::Float32, DataType::Float32) => kernels::binary::<Float32Type>(op, left, right),
        (DataType::Float64, DataType::Float64) => kernels::binary::<Float64Type>(op, left, right),
        (l, r) if l.is_decimal() && r.is_decimal() => decimal(op, left, right),
        (l, r) => exec_err!("arithmetic on {l} and {r} was not planned"),
    }
}

/// Arrow's kernels check decimals by themselves, but only at the width of the machine's integer.
fn decimal(op: Op, left: &ColumnarValue, right: &ColumnarValue) -> Result<ColumnarValue> {
    if let Some(array) = decimals::compute_short(op, left, right)? {
        return Ok(ColumnarValue::Array(array));
    }
    let (l, r) = (datum(left)?, datum(right)?);
    let result = match op {
        Op::Add => numeric::add(l.as_ref(), r.as_ref()),
        Op::Subtract => numeric::sub(l.as_ref(), r.as_ref()),
        Op::Multiply => numeric::mul(l.as_ref(), r.as_ref()),
        Op::Divide => numeric::div(l.as_ref(), r.as_ref()),
        Op::Remainder => numeric::rem(l.as_ref(), r.as_ref()),
    };
    let array = result.map_err(|error| match error {
        ArrowError::DivideByZero => Fault::DivisionByZero.error(),
        ArrowError::ArithmeticOverflow(_) => Fault::OutOfRange("numeric").error(),
        other => other.into(),
    })?;
    if let DataType::Decimal128(DECIMAL128_MAX_PRECISION, _) = array.data_type() {
        let digits = array.as_primitive::<Decimal128Type>();
        if digits.validate_decimal_precision(DECIMAL128_MAX_PRECISION).is_err() {
            return Err(Fault::OutOfRange("numeric").error());
        }
    }
    match (left, right) {
        (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)) => {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
        }
        (ColumnarValue::Array(_), _) | (_, ColumnarValue::Array(_)) => Ok(ColumnarValue::Array(array)),
    }
}

fn datum(value: &ColumnarValue) -> Result<Box<dyn Datum>> {
    Ok(match value {
        ColumnarValue::Array(array) => Box::new(Arc::clone(array)),
        ColumnarValue::Scalar(scalar) => Box::new(scalar.to_scalar()?),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Negate {
    signature: Signature,
}

impl Negate {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Negate {
    fn name(&self) -> &'static str {
        "checked_negate"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [operand] = args else { return plan_err!("one operand is needed") };
        Ok(format!("(- {})", operand.schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        let [operand] = args else { return plan_err!("one operand is needed") };
        Ok(operand.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [operand] = args.arg_fields else { return plan_err!("one operand is needed") };
        Ok(Arc::new(Field::new(self.name(), operand.data_type().clone(), operand.is_nullable())))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        let [operand] = args.args.as_slice() else { return exec_err!("one operand is needed") };
        let zero = ColumnarValue::Scalar(ScalarValue::new_zero(&operand.data_type())?);
        match operand.data_type() {
            // A zero less a zero would have no sign.
            DataType::Float32 => negated::<Float32Type>(operand, |value| (-value).plain()),
            DataType::Float64 => negated::<Float64Type>(operand, |value| (-value).plain()),
            DataType::Int8 => kernels::binary::<Int8Type>(Op::Subtract, &zero, operand),
            DataType::Int16 => kernels::binary::<Int16Type>(Op::Subtract, &zero, operand),
            DataType::Int32 => kernels::binary::<Int32Type>(Op::Subtract, &zero, operand),
            DataType::Int64 => kernels::binary::<Int64Type>(Op::Subtract, &zero, operand),
            other => exec_err!("negation of {other} was not planned"),
        }
    }
}

fn negated<T: ArrowPrimitiveType>(
    operand: &ColumnarValue,
    negate: impl Fn(T::Native) -> T::Native,
) -> Result<ColumnarValue> {
    Ok(match operand {
        ColumnarValue::Array(values) => {
            ColumnarValue::Array(Arc::new(values.as_primitive::<T>().unary::<_, T>(negate)))
        }
        ColumnarValue::Scalar(value) => {
            let value = value.to_array()?;
            let negative: ArrayRef = Arc::new(value.as_primitive::<T>().unary::<_, T>(negate));
            ColumnarValue::Scalar(ScalarValue::try_from_array(&negative, 0)?)
        }
    })
}
