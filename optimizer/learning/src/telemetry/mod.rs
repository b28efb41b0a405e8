//! Records of statements: the queue they come through and the file they are kept in. Judges nothing.

mod gather;
mod history;
mod moment;
mod open;
mod queue;
mod rows;
mod store;
#[cfg(test)]
mod store_tests;

pub(crate) use history::FragmentRow;
pub use moment::Moment;
pub(crate) use moment::{seconds_of, time_of};
pub(crate) use queue::{Counts, Queue, Receiver, queue};
pub use store::Store;
