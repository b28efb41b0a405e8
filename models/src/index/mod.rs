//! Search for indexes under a budget. Knows candidate costs through a trait, no source.

mod advice;
mod candidates;
mod change;
mod exchange;
mod existing;
mod oracle;
mod search;
mod shape;
mod size;
#[cfg(test)]
mod tests;

pub use advice::{Advice, Rejected, Suggestion, WhyNot, advise};
pub use change::{Change, rate};
pub use existing::{DAYS_LEAST, Existing, Needless, needless};
pub use oracle::{Answer, CostOracle, Price};
pub use search::{SearchError, Settings};
pub use shape::{Access, Column, Index, Predicate, Statement, Table, Workload};
pub use size::{size, writes};
