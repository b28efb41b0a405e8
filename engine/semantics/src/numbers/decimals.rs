//! Sums, differences and products of decimals of which each fits into 64 bits. No result exceeds 2^126, which is less than 10^38: neither the
//! machine's integer nor the 38 digits of a decimal can overflow, and no row needs a check of its own. Arrow's kernels, which check
//! each, do the others.

use super::kernels::Op;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, new_empty_array};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DataType, Decimal128Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;
use std::sync::Arc;

/// Digits by which values may be moved to the scale of others: 2^63 · 10^18, twice, is less than 10^38.
const SHIFT_MAX: i8 = 18;

/// The result for two columns, or for a column and one value. `None`: they are of other types, or one of their values is too long.
pub(super) fn compute_short(op: Op, left: &ColumnarValue, right: &ColumnarValue) -> Result<Option<ArrayRef>> {
    let (Some(l), Some(r)) = (Operand::of(left), Operand::of(right)) else { return Ok(None) };
    let (empty_left, empty_right) = (new_empty_array(&left.data_type()), new_empty_array(&right.data_type()));
    let returned = match op {
        Op::Add | Op::Subtract => numeric::add(&empty_left, &empty_right)?,
        Op::Multiply => numeric::mul(&empty_left, &empty_right)?,
        Op::Divide | Op::Remainder => return Ok(None),
    };
    let &DataType::Decimal128(_, scale) = returned.data_type() else { return Ok(None) };
    let powers = if op == Op::Multiply { Some((1, 1)) } else { power(scale, l.scale()).zip(power(scale, r.scale())) };
    let Some((l_power, r_power)) = powers else { return Ok(None) };
    let values = match (op, (l_power, r_power) == (1, 1)) {
        (Op::Add, true) => evaluate(&l, &r, i128::wrapping_add),
        (Op::Add, false) => evaluate(&l, &r, |a, b| (a * l_power).wrapping_add(b * r_power)),
        (Op::Subtract, true) => evaluate(&l, &r, i128::wrapping_sub),
        (Op::Subtract, false) => evaluate(&l, &r, |a, b| (a * l_power).wrapping_sub(b * r_power)),
        (Op::Multiply, _) => evaluate(&l, &r, i128::wrapping_mul),
        (Op::Divide | Op::Remainder, _) => None,
    };
    let Some(values) = values else { return Ok(None) };
    let nulls = NullBuffer::union(l.nulls(), r.nulls());
    let result = Decimal128Array::try_new(values.into(), nulls)?.with_data_type(returned.data_type().clone());
    Ok(Some(Arc::new(result)))
}

/// The factor that brings values from one scale to a larger one. `None`: the scales differ by more than [`SHIFT_MAX`] digits.
fn power(to: i8, from: i8) -> Option<i128> {
    let digits = to.checked_sub(from).filter(|digits| (0..=SHIFT_MAX).contains(digits))?;
    Some(10_i128.pow(u32::try_from(digits).ok()?))
}

enum Operand<'a> {
    Column(&'a Decimal128Array),
    Value(i128, i8),
}

impl<'a> Operand<'a> {
    fn of(value: &'a ColumnarValue) -> Option<Self> {
        match value {
            ColumnarValue::Array(array) => array.as_primitive_opt::<Decimal128Type>().map(Self::Column),
            ColumnarValue::Scalar(ScalarValue::Decimal128(Some(value), _, scale)) => Some(Self::Value(*value, *scale)),
            ColumnarValue::Scalar(_) => None,
        }
    }

    fn scale(&self) -> i8 {
        match self {
            Self::Column(column) => column.scale(),
            Self::Value(_, scale) => *scale,
        }
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::Column(column) => column.nulls(),
            Self::Value(..) => None,
        }
    }
}

/// The results of all rows. `None`: a value does not fit into 64 bits, or there is no column. `compute` must not overflow for values
/// that do.
fn evaluate(left: &Operand<'_>, right: &Operand<'_>, compute: impl Fn(i128, i128) -> i128) -> Option<Vec<i128>> {
    // Bits that differ from those of the value cut to 64 bits, of all rows: a branch for each row would cost more than the row.
    let mut lost = 0;
    let mut cut = |value: i128| {
        let short = i128::from(value as i64);
        lost |= short ^ value;
        short
    };
    let values: Vec<i128> = match (left, right) {
        (Operand::Column(left), Operand::Column(right)) if left.len() == right.len() => {
            left.values().iter().zip(right.values()).map(|(a, b)| compute(cut(*a), cut(*b))).collect()
        }
        (Operand::Column(left), Operand::Value(right, _)) => {
            let right = cut(*right);
            left.values().iter().map(|a| compute(cut(*a), right)).collect()
        }
        (Operand::Value(left, _), Operand::Column(right)) => {
            let left = cut(*left);
            right.values().iter().map(|b| compute(left, cut(*b))).collect()
        }
        (Operand::Column(_), Operand::Column(_)) | (Operand::Value(..), Operand::Value(..)) => return None,
    };
    (lost == 0).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(values: &[Option<i128>], precision: u8, scale: i8) -> ColumnarValue {
        let array: Decimal128Array = values.iter().copied().collect();
        ColumnarValue::Array(Arc::new(array.with_data_type(DataType::Decimal128(precision, scale))))
    }

    fn by_arrow(op: Op, left: &ColumnarValue, right: &ColumnarValue) -> ArrayRef {
        let datum = |value: &ColumnarValue| -> Box<dyn arrow::array::Datum> {
            match value {
                ColumnarValue::Array(array) => Box::new(Arc::clone(array)),
                ColumnarValue::Scalar(scalar) => Box::new(scalar.to_scalar().unwrap()),
            }
        };
        let (left, right) = (datum(left), datum(right));
        match op {
            Op::Add => numeric::add(left.as_ref(), right.as_ref()),
            Op::Subtract => numeric::sub(left.as_ref(), right.as_ref()),
            _ => numeric::mul(left.as_ref(), right.as_ref()),
        }
        .unwrap()
    }

    #[test]
    fn long_values_and_other_operations_are_left_to_arrow() {
        let (short_ones, long) = (column(&[Some(1), Some(2)], 20, 2), column(&[Some(1), Some(1 << 64)], 30, 2));
        assert!(compute_short(Op::Add, &short_ones, &long).unwrap().is_none());
        assert!(compute_short(Op::Multiply, &long, &short_ones).unwrap().is_none());
        assert!(compute_short(Op::Divide, &short_ones, &short_ones).unwrap().is_none());
        assert!(compute_short(Op::Remainder, &short_ones, &short_ones).unwrap().is_none());
        assert!(compute_short(Op::Add, &short_ones, &column(&[Some(1), Some(2)], 38, 30)).unwrap().is_none());
        assert!(
            compute_short(Op::Add, &short_ones, &ColumnarValue::Scalar(ScalarValue::Decimal128(None, 5, 2)))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn the_longest_short_values_do_not_overflow() {
        let ends = [Some(i128::from(i64::MIN)), Some(i128::from(i64::MAX)), Some(-1), None];
        let (a, b) = (column(&ends, 19, 0), column(&[ends[1], ends[0], ends[0], ends[0]], 19, 0));
        let (fine, coarse) = (column(&ends, 37, 18), column(&ends, 19, 0));
        for op in [Op::Add, Op::Subtract, Op::Multiply] {
            assert_eq!(&compute_short(op, &a, &b).unwrap().unwrap(), &by_arrow(op, &a, &b));
        }
        for op in [Op::Add, Op::Subtract] {
            assert_eq!(&compute_short(op, &fine, &coarse).unwrap().unwrap(), &by_arrow(op, &fine, &coarse));
        }
    }

    proptest! {
        #[test]
        fn results_are_those_of_arrow(
            rows in prop::collection::vec((prop::option::weighted(0.9, -1_000_000_i64..1_000_000), prop::option::weighted(0.9, any::<i64>())), 0..40),
            scales in (0_i8..6, 0_i8..6),
            scalar in 0..3,
        ) {
            let (left, right): (Vec<_>, Vec<_>) = rows.into_iter().map(|(a, b)| (a.map(i128::from), b.map(i128::from))).unzip();
            let value = |values: &[Option<i128>], scale: i8, is_one: bool| match values.first() {
                Some(Some(first)) if is_one => ColumnarValue::Scalar(ScalarValue::Decimal128(Some(*first), 12, scale)),
                _ => column(values, 12, scale),
            };
            let (left, right) = (value(&left, scales.0, scalar == 1), value(&right, scales.1, scalar == 2));
            for op in [Op::Add, Op::Subtract, Op::Multiply] {
                prop_assert_eq!(&compute_short(op, &left, &right).unwrap().unwrap(), &by_arrow(op, &left, &right));
            }
        }
    }
}
