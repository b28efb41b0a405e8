//! What can be added up to what, with room or with a check. Knows no accumulator.

use crate::fault::Fault;
use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type, MAX_DECIMAL128_FOR_EACH_PRECISION};
use datafusion::common::Result;
use std::fmt::Debug;

/// A type of sums.
pub(super) trait Amount: ArrowPrimitiveType + Debug + Send + Sync {}

impl Amount for Int64Type {}
impl Amount for Decimal128Type {}

/// A type of values whose sums have type `O`.
pub(super) trait Addend<O: Amount>: ArrowPrimitiveType + Debug + Send + Sync {
    fn widen(value: Self::Native) -> O::Native;
    /// Sum, and whether it left the machine's integer.
    fn add(sum: O::Native, value: O::Native) -> (O::Native, bool);
    /// Difference, and whether it left the machine's integer.
    fn subtract(sum: O::Native, value: O::Native) -> (O::Native, bool);
    /// Whether the type described to the client holds the sum.
    fn fits(sum: O::Native) -> bool;
    /// The sum of a dense run of values.
    fn run(values: &[Self::Native]) -> (O::Native, bool) {
        let mut over = false;
        let mut total = O::Native::default();
        for value in values {
            let (sum, of_row) = Self::add(total, Self::widen(*value));
            total = sum;
            over |= of_row;
        }
        (total, over)
    }
    fn out_of_range() -> Fault;
}

impl Addend<Self> for Int64Type {
    fn widen(value: i64) -> i64 {
        value
    }
    fn add(sum: i64, value: i64) -> (i64, bool) {
        sum.overflowing_add(value)
    }
    fn subtract(sum: i64, value: i64) -> (i64, bool) {
        sum.overflowing_sub(value)
    }
    fn fits(_sum: i64) -> bool {
        true
    }
    fn out_of_range() -> Fault {
        Fault::OutOfRange("bigint")
    }
}

impl Addend<Int64Type> for Int32Type {
    fn widen(value: i32) -> i64 {
        i64::from(value)
    }
    fn add(sum: i64, value: i64) -> (i64, bool) {
        sum.overflowing_add(value)
    }
    fn subtract(sum: i64, value: i64) -> (i64, bool) {
        sum.overflowing_sub(value)
    }
    fn fits(_sum: i64) -> bool {
        true
    }
    /// A run is far shorter than the 2³¹ rows that a bigint holds for sure.
    fn run(values: &[i32]) -> (i64, bool) {
        (values.iter().map(|value| i64::from(*value)).fold(0, i64::wrapping_add), false)
    }
    fn out_of_range() -> Fault {
        Fault::OutOfRange("bigint")
    }
}

impl Addend<Decimal128Type> for Int64Type {
    fn widen(value: i64) -> i128 {
        i128::from(value)
    }
    fn add(sum: i128, value: i128) -> (i128, bool) {
        (sum.wrapping_add(value), false)
    }
    fn subtract(sum: i128, value: i128) -> (i128, bool) {
        (sum.wrapping_sub(value), false)
    }
    /// 2⁶³ values of 2⁶³ are less than 38 nines.
    fn fits(_sum: i128) -> bool {
        true
    }
    /// Halves are added apart, each in a register, since wide additions do not vectorize.
    fn run(values: &[i64]) -> (i128, bool) {
        const ROWS: usize = 1 << 20;
        let mut total = 0_i128;
        for part in values.chunks(ROWS) {
            let (mut high, mut low) = (0_i64, 0_i64);
            for value in part {
                high += value >> 32;
                low += value & 0xffff_ffff;
            }
            total += (i128::from(high) << 32) + i128::from(low);
        }
        (total, false)
    }
    fn out_of_range() -> Fault {
        Fault::OutOfRange("numeric")
    }
}

impl Addend<Self> for Decimal128Type {
    fn widen(value: i128) -> i128 {
        value
    }
    fn add(sum: i128, value: i128) -> (i128, bool) {
        sum.overflowing_add(value)
    }
    fn subtract(sum: i128, value: i128) -> (i128, bool) {
        sum.overflowing_sub(value)
    }
    fn fits(sum: i128) -> bool {
        let most = MAX_DECIMAL128_FOR_EACH_PRECISION[usize::from(arrow::datatypes::DECIMAL128_MAX_PRECISION)];
        (-most..=most).contains(&sum)
    }
    fn out_of_range() -> Fault {
        Fault::OutOfRange("numeric")
    }
}

/// The sum of an array's values; `None` if all are NULL.
pub(super) fn total<I: Addend<O>, O: Amount>(array: &PrimitiveArray<I>) -> Result<Option<O::Native>> {
    if array.null_count() == array.len() {
        return Ok(None);
    }
    let (sum, over) = match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => {
            let mut over = false;
            let mut total = O::Native::default();
            for (start, end) in nulls.valid_slices() {
                let (part, in_part) = I::run(&array.values()[start..end]);
                let (sum, in_sum) = I::add(total, part);
                total = sum;
                over |= in_part | in_sum;
            }
            (total, over)
        }
        Some(_) | None => I::run(array.values()),
    };
    if over { Err(I::out_of_range().error()) } else { Ok(Some(sum)) }
}
