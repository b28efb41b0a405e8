//! What SQL sources share: printing a fragment in a dialect, and what is said of values that cannot be read. Knows no connection and no
//! value: statements hold only numbered parameters.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod affixes;
mod bindings;
mod block;
pub mod cell_faults;
mod dialect;
mod exact;
mod json;
mod named;
mod narrowed;
mod pattern;
mod printer;
mod repeated;
mod scalar;
mod usage;

pub use dialect::{Argument, Dialect, RenderedArgs};
pub use exact::{comparable, exact_if, is_sum};
pub use json::{parse_texts, write_texts};
pub use pattern::{Segment, parse_like, prefix_end};
pub use printer::print;
pub use usage::{at_most_one_row, computed_columns};
