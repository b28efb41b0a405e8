//! What the engine and learning say to each other: records of statements, advice on plans, system relations. Knows no plan,
//! no source and no model.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

pub mod advice;
pub mod fragment;
mod record;
mod run_accumulator;
mod run_sums;
pub mod system;
mod table_writes;
mod telemetry;
mod times;
pub mod trace;

pub use record::{ChangedRows, StatementRecord};
pub use run_accumulator::{Added, RunAccumulator};
pub use run_sums::{CHANGED_MAX, EndedRun, FragmentSums, ROWS_MAX, RanFragments, RepeatedRun, RunSums, read_rows};
pub use table_writes::TableWrites;
pub use telemetry::Telemetry;
pub use times::{FirstRow, Times};
