//! What may be known of how many rows there are: of a table for the optimizer, of a leaf for rules over finished plans. Tells of
//! hidden rows no more than a magnitude.

mod expected;
mod size;

pub use expected::ExpectedRows;
pub(crate) use size::governed;
