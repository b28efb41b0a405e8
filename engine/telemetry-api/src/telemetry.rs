//! Where records of finished statements go. Does not know what is made of them.

use crate::record::StatementRecord;
use crate::run_accumulator::RunAccumulator;
use std::sync::Arc;

/// Takes the records of finished statements.
pub trait Telemetry: Send + Sync + std::fmt::Debug {
    /// Hands a record over. Called where statements end, so it never waits: what does not fit is counted and lost.
    fn record(&self, record: StatementRecord);

    /// Whether so much comes that sessions should add up what they run again and again.
    fn is_pressed(&self) -> bool;

    /// Begins to collect what a session adds up, until the session has dropped it. `false`: it is not collected.
    fn collect(&self, runs: &Arc<RunAccumulator>) -> bool;

    /// Whether records should say what traces need. The answer never changes.
    fn traces(&self) -> bool {
        false
    }
}
