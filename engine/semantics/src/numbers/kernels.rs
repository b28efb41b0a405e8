//! Arithmetic on whole arrays with Postgres' errors. One pass computes every row and collects a mark without a branch; only
//! a marked batch is looked at row by row. Knows no expression.

use crate::fault::Fault;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, new_null_array};
use arrow::buffer::NullBuffer;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;
use std::sync::Arc;

/// An operation on two numbers of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A number with checked operations: each gives its result and a mark whose highest bit says that the row may be at fault.
pub(crate) trait Checked: Copy {
    type Mark: Copy + Default + std::ops::BitOrAssign;

    fn is_marked(mark: Self::Mark) -> bool;
    fn add(self, other: Self) -> (Self, Self::Mark);
    fn subtract(self, other: Self) -> (Self, Self::Mark);
    fn multiply(self, other: Self) -> (Self, Self::Mark);
    fn divide(self, other: Self) -> (Self, Self::Mark);
    fn remainder(self, other: Self) -> (Self, Self::Mark);
    /// Exactly whether the row is at fault.
    fn fault(op: Op, left: Self, right: Self) -> Option<Fault>;
    /// A result as it is shown and compared: there is one NaN, which has no sign. Results that may be one are marked.
    fn plain(self) -> Self;
}

macro_rules! integer {
    ($native:ty, $name:literal, $add:expr, $subtract:expr) => {
        impl Checked for $native {
            type Mark = $native;

            fn is_marked(mark: $native) -> bool {
                mark.leading_zeros() == 0
            }
            fn add(self, other: $native) -> ($native, $native) {
                let sum = self.wrapping_add(other);
                (sum, $add(self, other, sum))
            }
            fn subtract(self, other: $native) -> ($native, $native) {
                let difference = self.wrapping_sub(other);
                (difference, $subtract(self, other, difference))
            }
            fn multiply(self, other: $native) -> ($native, $native) {
                let (product, over) = self.overflowing_mul(other);
                (product, if over { !0 } else { 0 })
            }
            fn divide(self, other: $native) -> ($native, $native) {
                let (quotient, over) = self.overflowing_div(if other == 0 { 1 } else { other });
                (quotient, if over | (other == 0) { !0 } else { 0 })
            }
            fn remainder(self, other: $native) -> ($native, $native) {
                // The least integer by −1 leaves 0, as in Postgres.
                let rest = self.wrapping_rem(if other == 0 { 1 } else { other });
                (rest, if other == 0 { !0 } else { 0 })
            }
            fn fault(op: Op, left: $native, right: $native) -> Option<Fault> {
                let result = match op {
                    Op::Add => left.checked_add(right),
                    Op::Subtract => left.checked_sub(right),
                    Op::Multiply => left.checked_mul(right),
                    Op::Divide | Op::Remainder if right == 0 => return Some(Fault::DivisionByZero),
                    Op::Divide => left.checked_div(right),
                    Op::Remainder => Some(left.wrapping_rem(right)),
                };
                if result.is_none() { Some(Fault::OutOfRange($name)) } else { None }
            }
            fn plain(self) -> $native {
                self
            }
        }
    };
}

macro_rules! signed {
    ($native:ty, $name:literal) => {
        integer!(
            $native,
            $name,
            |a: $native, b: $native, sum: $native| (a ^ sum) & (b ^ sum),
            |a: $native, b: $native, difference: $native| (a ^ b) & (a ^ difference)
        );
    };
}

macro_rules! unsigned {
    ($native:ty, $name:literal) => {
        integer!(
            $native,
            $name,
            |a: $native, _b: $native, sum: $native| if sum < a { !0 } else { 0 },
            |a: $native, b: $native, _difference: $native| if b > a { !0 } else { 0 }
        );
    };
}

signed!(i8, "smallint");
signed!(i16, "smallint");
signed!(i32, "integer");
signed!(i64, "bigint");
unsigned!(u8, "smallint");
unsigned!(u16, "integer");
unsigned!(u32, "oid");
unsigned!(u64, "bigint");

macro_rules! float {
    ($native:ty, $bits:ty, $exponent:literal, $unit:literal) => {
        impl Checked for $native {
            type Mark = $bits;

            fn is_marked(mark: $bits) -> bool {
                mark.leading_zeros() == 0
            }
            fn add(self, other: $native) -> ($native, $bits) {
                let sum = self + other;
                (sum, (sum.to_bits() & $exponent) + $unit)
            }
            fn subtract(self, other: $native) -> ($native, $bits) {
                let difference = self - other;
                (difference, (difference.to_bits() & $exponent) + $unit)
            }
            fn multiply(self, other: $native) -> ($native, $bits) {
                let product = self * other;
                let exponent = product.to_bits() & $exponent;
                // The highest exponent is infinity or NaN, the lowest a zero or nearly one.
                (product, (exponent + $unit) | exponent.wrapping_sub($unit))
            }
            fn divide(self, other: $native) -> ($native, $bits) {
                let quotient = self / other;
                let exponent = quotient.to_bits() & $exponent;
                (quotient, (exponent + $unit) | exponent.wrapping_sub($unit))
            }
            fn remainder(self, other: $native) -> ($native, $bits) {
                let rest = self % other;
                (rest, if (other == 0.0) | rest.is_nan() { !0 } else { 0 })
            }
            fn plain(self) -> $native {
                if self.is_nan() { <$native>::NAN } else { self }
            }
            fn fault(op: Op, left: $native, right: $native) -> Option<Fault> {
                let infinite = |result: $native| {
                    let over = result.is_infinite() && !left.is_infinite() && !right.is_infinite();
                    if over { Some(Fault::Overflow) } else { None }
                };
                match op {
                    Op::Add => infinite(left + right),
                    Op::Subtract => infinite(left - right),
                    Op::Multiply if left * right == 0.0 && left != 0.0 && right != 0.0 => Some(Fault::Underflow),
                    Op::Multiply => infinite(left * right),
                    Op::Divide | Op::Remainder if right == 0.0 && !left.is_nan() => Some(Fault::DivisionByZero),
                    Op::Divide if left / right == 0.0 && left != 0.0 && !right.is_infinite() => Some(Fault::Underflow),
                    Op::Divide => infinite(left / right),
                    Op::Remainder => None,
                }
            }
        }
    };
}

float!(f32, u32, 0x7f80_0000, 0x0080_0000);
float!(f64, u64, 0x7ff0_0000_0000_0000, 0x0010_0000_0000_0000);

/// One side: an array, or one value for all rows.
enum Side<T: ArrowPrimitiveType> {
    Rows(PrimitiveArray<T>),
    One(Option<T::Native>),
}

impl<T: ArrowPrimitiveType> Side<T> {
    fn new(value: &ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Array(array) => Self::Rows(array.as_primitive::<T>().clone()),
            ColumnarValue::Scalar(scalar) => {
                let one = scalar.to_array()?;
                let one = one.as_primitive::<T>();
                Self::One(if one.is_null(0) { None } else { Some(one.value(0)) })
            }
        })
    }
}

/// Applies an operation to two sides of one type.
///
/// # Errors
/// 22003 and 22012 for the first row at fault that is not NULL.
pub(crate) fn binary<T>(op: Op, left: &ColumnarValue, right: &ColumnarValue) -> Result<ColumnarValue>
where
    T: ArrowPrimitiveType,
    T::Native: Checked,
{
    let sides = (Side::<T>::new(left)?, Side::<T>::new(right)?);
    match op {
        Op::Add => apply::<T>(op, &sides, <T::Native as Checked>::add),
        Op::Subtract => apply::<T>(op, &sides, <T::Native as Checked>::subtract),
        Op::Multiply => apply::<T>(op, &sides, <T::Native as Checked>::multiply),
        Op::Divide => apply::<T>(op, &sides, <T::Native as Checked>::divide),
        Op::Remainder => apply::<T>(op, &sides, <T::Native as Checked>::remainder),
    }
}

fn apply<T>(
    op: Op,
    sides: &(Side<T>, Side<T>),
    f: impl Fn(T::Native, T::Native) -> (T::Native, <T::Native as Checked>::Mark),
) -> Result<ColumnarValue>
where
    T: ArrowPrimitiveType,
    T::Native: Checked,
{
    let array: ArrayRef = match sides {
        (Side::Rows(left), Side::Rows(right)) => {
            let nulls = NullBuffer::union(left.nulls(), right.nulls());
            let rows = || left.values().iter().copied().zip(right.values().iter().copied());
            rows_of::<T, _>(op, rows, nulls, f)?
        }
        (Side::Rows(left), Side::One(Some(right))) => {
            let rows = || left.values().iter().map(|value| (*value, *right));
            rows_of::<T, _>(op, rows, left.nulls().cloned(), f)?
        }
        (Side::One(Some(left)), Side::Rows(right)) => {
            let rows = || right.values().iter().map(|value| (*left, *value));
            rows_of::<T, _>(op, rows, right.nulls().cloned(), f)?
        }
        (Side::Rows(rows), Side::One(None)) | (Side::One(None), Side::Rows(rows)) => {
            new_null_array(&T::DATA_TYPE, rows.len())
        }
        (Side::One(left), Side::One(right)) => {
            let result = match (left, right) {
                (Some(left), Some(right)) => match T::Native::fault(op, *left, *right) {
                    Some(fault) => return Err(fault.error()),
                    None => Some(f(*left, *right).0.plain()),
                },
                (None, _) | (_, None) => None,
            };
            return Ok(ColumnarValue::Scalar(ScalarValue::new_primitive::<T>(result, &T::DATA_TYPE)?));
        }
    };
    Ok(ColumnarValue::Array(array))
}

fn rows_of<T, I>(
    op: Op,
    rows: impl Fn() -> I,
    nulls: Option<NullBuffer>,
    f: impl Fn(T::Native, T::Native) -> (T::Native, <T::Native as Checked>::Mark),
) -> Result<ArrayRef>
where
    T: ArrowPrimitiveType,
    T::Native: Checked,
    I: Iterator<Item = (T::Native, T::Native)>,
{
    let mut mark = <T::Native as Checked>::Mark::default();
    let mut values: Vec<T::Native> = rows()
        .map(|(left, right)| {
            let (value, of_row) = f(left, right);
            mark |= of_row;
            value
        })
        .collect();
    if T::Native::is_marked(mark) {
        // What lies under a NULL is no value.
        let is_value = |row: usize| nulls.as_ref().is_none_or(|n| n.is_valid(row));
        let fault = rows()
            .enumerate()
            .filter(|(row, _)| is_value(*row))
            .find_map(|(_, (left, right))| T::Native::fault(op, left, right));
        if let Some(fault) = fault {
            return Err(fault.error());
        }
        values.iter_mut().for_each(|value| *value = value.plain());
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Float64Array;
    use arrow::datatypes::Float64Type;

    #[test]
    fn nan_has_no_sign() {
        let endless = f64::INFINITY;
        let negative = f64::NAN.copysign(-1.0);
        for (op, left, right) in [
            (Op::Add, endless, -endless),
            (Op::Add, negative, 1.0),
            (Op::Subtract, endless, endless),
            (Op::Multiply, endless, 0.0),
            (Op::Divide, endless, endless),
            (Op::Remainder, endless, 1.0),
        ] {
            let one = |value: f64| ColumnarValue::Scalar(ScalarValue::Float64(Some(value)));
            let rows = |value: f64| ColumnarValue::Array(Arc::new(Float64Array::from(vec![2.0, value])));
            for (left, right) in [(one(left), one(right)), (rows(left), rows(right)), (rows(left), one(right))] {
                let array = binary::<Float64Type>(op, &left, &right).unwrap().into_array(1).unwrap();
                let result = array.as_primitive::<Float64Type>().value(array.len() - 1);
                assert_eq!(result.to_bits(), f64::NAN.to_bits(), "{op:?} {left:?} {right:?}");
            }
        }
    }
}
