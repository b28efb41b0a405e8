//! Arithmetic, rounding and formats of numbers, with Postgres' ranges and errors. Know no plan.

pub(super) mod arithmetic;
mod decimals;
pub(super) mod digits;
pub(super) mod kernels;
pub(super) mod mathematics;
pub(super) mod number_format;
pub(super) mod numeric;
pub(super) mod rounding;
pub(super) mod wide;
pub(super) mod zeros;
