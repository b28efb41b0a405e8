//! What a trace says of a statement beyond its record. Knows no collector.

pub use querygate_query_api::trace::TraceContext;
use std::time::{Duration, SystemTime};

/// When a stage of a statement took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageTime {
    pub began: SystemTime,
    pub took: Duration,
}

/// What a trace says of a statement beyond its record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatementTrace {
    /// `None`: the statement begins a trace of its own.
    pub parent: Option<TraceContext>,
    /// `None`: it was parsed for a run before, or long before this one.
    pub parse: Option<StageTime>,
    /// `None`: as of `parse`.
    pub bind: Option<StageTime>,
}
