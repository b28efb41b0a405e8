//! Tables in memory that can be changed: versions of rows, transactions that see one moment, and a driver over them. Knows no policy.
//!
//! - [`store`]: tables, who holds which row, what is seen of it;
//! - [`changing`]: what one transaction does to rows, and how it is undone; [`prepared`]: those that wait for their end;
//! - [`language`]: the statements that are read, as JSON;
//! - [`reading`]: which rows a statement gives;
//! - [`cells`]: values as columns, and as keys.

mod capabilities;
mod cells;
mod driver;
mod evaluation;
mod language;
mod open_transaction;
mod prepared_transactions;
mod reading;
mod store;
mod transaction;

pub use driver::{ChangingMemory, MemoryColumn, MemoryTableSpec};
