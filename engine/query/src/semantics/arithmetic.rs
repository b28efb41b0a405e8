//! `+ - * / %` and unary minus as functions that raise where Postgres raises. Put in place of DataFusion's operators after
//! coercion; keeps their names, types and NULLs. Knows no plan.

use super::fault::Fault;
use super::kernels::{self, Op};
use arrow::array::{AsArray, Datum};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::{Arc, LazyLock};

/// The checked function for an operator on operands of these (coerced) types; `None` leaves the operator as it is.
pub(super) fn checked_binary(operator: Operator, left: &DataType, right: &DataType) -> Option<Arc<ScalarUDF>> {
    static FUNCTIONS: LazyLock<Vec<(Operator, Arc<ScalarUDF>)>> = LazyLock::new(|| {
        [Operator::Plus, Operator::Minus, Operator::Multiply, Operator::Divide, Operator::Modulo]
            .into_iter()
            .filter_map(|operator| Some((operator, Arc::new(ScalarUDF::new_from_impl(Binary::new(operator)?)))))
            .collect()
    });
    let numbers = left == right && is_native(left) || left.is_decimal() && right.is_decimal();
    if !numbers {
        return None;
    }
    FUNCTIONS.iter().find(|(known, _)| *known == operator).map(|(_, function)| Arc::clone(function))
}

/// The checked function for unary minus on this type; `None` leaves the operator as it is (it cannot fail there).
pub(super) fn checked_negation(operand: &DataType) -> Option<Arc<ScalarUDF>> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Negate::new())));
    let fails = matches!(operand, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64);
    fails.then(|| Arc::clone(&FUNCTION))
}

fn is_native(data_type: &DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Float32 | DataType::Float64)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Binary {
    op: Op,
    operator: Operator,
    signature: Signature,
}

impl Binary {
    fn new(operator: Operator) -> Option<Self> {
        let op = match operator {
            Operator::Plus => Op::Add,
            Operator::Minus => Op::Subtract,
            Operator::Multiply => Op::Multiply,
            Operator::Divide => Op::Divide,
            Operator::Modulo => Op::Remainder,
            _ => return None,
        };
        Some(Self { op, operator, signature: Signature::any(2, Volatility::Immutable) })
    }
}

impl ScalarUDFImpl for Binary {
    fn name(&self) -> &str {
        match self.op {
            Op::Add => "checked_add",
            Op::Subtract => "checked_subtract",
            Op::Multiply => "checked_multiply",
            Op::Divide => "checked_divide",
            Op::Remainder => "checked_remainder",
        }
    }

    /// The operator's own, so that columns above keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [left, right] = args else { return plan_err!("two operands are needed") };
        Ok(format!("{} {} {}", left.schema_name(), self.operator, right.schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        let [left, right] = args else { return plan_err!("two operands are needed") };
        BinaryTypeCoercer::new(left, &self.operator, right).get_result_type()
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
        let [left, right] = args.args.as_slice() else { return exec_err!("two operands are needed") };
        match (left.data_type(), right.data_type()) {
            (DataType::Int8, DataType::Int8) => kernels::binary::<Int8Type>(self.op, left, right),
            (DataType::Int16, DataType::Int16) => kernels::binary::<Int16Type>(self.op, left, right),
            (DataType::Int32, DataType::Int32) => kernels::binary::<Int32Type>(self.op, left, right),
            (DataType::Int64, DataType::Int64) => kernels::binary::<Int64Type>(self.op, left, right),
            (DataType::UInt8, DataType::UInt8) => kernels::binary::<UInt8Type>(self.op, left, right),
            (DataType::UInt16, DataType::UInt16) => kernels::binary::<UInt16Type>(self.op, left, right),
            (DataType::UInt32, DataType::UInt32) => kernels::binary::<UInt32Type>(self.op, left, right),
            (DataType::UInt64, DataType::UInt64) => kernels::binary::<UInt64Type>(self.op, left, right),
            (DataType::Float32, DataType::Float32) => kernels::binary::<Float32Type>(self.op, left, right),
            (DataType::Float64, DataType::Float64) => kernels::binary::<Float64Type>(self.op, left, right),
            (l, r) if l.is_decimal() && r.is_decimal() => decimal(self.op, left, right),
            (l, r) => exec_err!("arithmetic on {l} and {r} was not planned"),
        }
    }
}

/// Arrow's kernels check decimals by themselves, but only at the width of the machine's integer.
fn decimal(op: Op, left: &ColumnarValue, right: &ColumnarValue) -> Result<ColumnarValue> {
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
        let [operand] = args.args.as_slice() else { return exec_err!("one operand is needed") };
        let zero = ColumnarValue::Scalar(ScalarValue::new_zero(&operand.data_type())?);
        match operand.data_type() {
            DataType::Int8 => kernels::binary::<Int8Type>(Op::Subtract, &zero, operand),
            DataType::Int16 => kernels::binary::<Int16Type>(Op::Subtract, &zero, operand),
            DataType::Int32 => kernels::binary::<Int32Type>(Op::Subtract, &zero, operand),
            DataType::Int64 => kernels::binary::<Int64Type>(Op::Subtract, &zero, operand),
            other => exec_err!("negation of {other} was not planned"),
        }
    }
}
