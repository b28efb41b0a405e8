//! Mathematical functions with Postgres' domains, ranges and rounding, around DataFusion's own. Knows no plan.

use crate::bounds::of_no_rows;
use crate::fault::Fault;
use arrow::array::{Array, AsArray, Float64Array};
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::Result;
use datafusion::functions::math;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// The functions to register in place of DataFusion's of the same names.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        (math::sqrt(), Rule::NotNegative),
        (math::ln(), Rule::Logarithm),
        (math::log(), Rule::Logarithm),
        (math::log2(), Rule::Logarithm),
        (math::log10(), Rule::Logarithm),
        (math::power(), Rule::Power),
        (math::exp(), Rule::Range),
        (math::sinh(), Rule::Range),
        (math::cosh(), Rule::Range),
        (math::asin(), Rule::Sine),
        (math::acos(), Rule::Sine),
        (math::atanh(), Rule::Sine),
        (math::acosh(), Rule::FromOne),
        (math::sin(), Rule::Finite),
        (math::cos(), Rule::Finite),
        (math::tan(), Rule::Finite),
        (math::cot(), Rule::Finite),
    ]
    .into_iter()
    .map(|(inner, rule)| Arc::new(ScalarUDF::new_from_impl(Guarded { inner, rule })))
    .collect()
}

/// What Postgres does otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Rule {
    NotNegative,
    Logarithm,
    Power,
    /// Results that become infinite or vanish are errors.
    Range,
    Sine,
    /// Of numbers from 1 on.
    FromOne,
    /// An infinity is no angle.
    Finite,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Guarded {
    inner: Arc<ScalarUDF>,
    rule: Rule,
}

impl ScalarUDFImpl for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(args)
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.inner.return_type(args)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        let given = args.args.iter().map(doubles).collect::<Result<Vec<_>>>()?;
        for row in 0..given.iter().map(Float64Array::len).max().unwrap_or(0) {
            if let Some(fault) = self.refused(&given, row) {
                return Err(fault.error());
            }
        }
        let result = self.inner.invoke_with_args(args)?;
        if matches!(self.rule, Rule::Power | Rule::Range) {
            self.check(&given, &result)?;
        }
        Ok(result)
    }
}

impl Guarded {
    /// What is wrong with a row's arguments; NULL is right.
    fn refused(&self, args: &[Float64Array], row: usize) -> Option<Fault> {
        const COMPLEX: &str = "a negative number raised to a non-integer power yields a complex result";
        match self.rule {
            Rule::NotNegative if value(args, 0, row)? < 0.0 => {
                Some(Fault::Power("cannot take square root of a negative number"))
            }
            Rule::Logarithm => args.iter().enumerate().find_map(|(i, _)| match value(args, i, row)? {
                0.0 => Some(Fault::Logarithm("cannot take logarithm of zero")),
                v if v < 0.0 => Some(Fault::Logarithm("cannot take logarithm of a negative number")),
                // The base of the two-argument form comes first.
                1.0 if args.len() == 2 && i == 0 => Some(Fault::DivisionByZero),
                _ => None,
            }),
            Rule::Power => match (value(args, 0, row)?, value(args, 1, row)?) {
                (0.0, exponent) if exponent < 0.0 => Some(Fault::Power("zero raised to a negative power is undefined")),
                (base, exponent) if base < 0.0 && exponent.is_finite() && exponent.fract() != 0.0 => {
                    Some(Fault::Power(COMPLEX))
                }
                _ => None,
            },
            Rule::Sine if value(args, 0, row)?.abs() > 1.0 => Some(Fault::OutOfRange("input is")),
            Rule::FromOne if value(args, 0, row)? < 1.0 => Some(Fault::OutOfRange("input is")),
            Rule::Finite if value(args, 0, row)?.is_infinite() => Some(Fault::OutOfRange("input is")),
            Rule::NotNegative | Rule::Sine | Rule::FromOne | Rule::Finite | Rule::Range => None,
        }
    }

    fn check(&self, args: &[Float64Array], result: &ColumnarValue) -> Result<()> {
        let results = [doubles(result)?];
        for row in 0..results[0].len() {
            let Some(value_here) = value(&results, 0, row) else { continue };
            let finite = args.iter().enumerate().all(|(i, _)| value(args, i, row).is_none_or(f64::is_finite));
            if !finite {
                continue;
            }
            if value_here.is_infinite() {
                return Err(Fault::Overflow.error());
            }
            let base_is_zero = self.rule == Rule::Power && value(args, 0, row) == Some(0.0);
            let may_be_zero = base_is_zero || self.inner.name() == "sinh" && value(args, 0, row) == Some(0.0);
            if value_here == 0.0 && !may_be_zero {
                return Err(Fault::Underflow.error());
            }
        }
        Ok(())
    }
}

/// Row of an argument; a constant has one row for all.
fn value(args: &[Float64Array], index: usize, row: usize) -> Option<f64> {
    let array = args.get(index)?;
    let row = if array.len() == 1 { 0 } else { row };
    (row < array.len() && array.is_valid(row)).then(|| array.value(row))
}

fn doubles(value: &ColumnarValue) -> Result<Float64Array> {
    let array = match value {
        ColumnarValue::Array(array) => Arc::clone(array),
        ColumnarValue::Scalar(scalar) => scalar.to_array()?,
    };
    Ok(arrow::compute::cast(&array, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}
