//! What a worker counts of its parts. Names no table and no value: whoever reads metrics has not logged in.

use metrics::{counter, gauge, histogram};
use std::time::Instant;

/// How a part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All its rows were given.
    Done,
    /// It gave an error.
    Failed,
    /// Nobody waits for it any more.
    Left,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Left => "left",
        }
    }
}

/// A part that runs. Counted when it is dropped, also where its task is ended from outside.
#[derive(Debug)]
pub(super) struct PartRun {
    began: Instant,
    pub(super) outcome: Outcome,
}

impl PartRun {
    pub(super) fn begin() -> Self {
        gauge!("querygate_parts_running").increment(1.0);
        Self { began: Instant::now(), outcome: Outcome::Left }
    }
}

impl Drop for PartRun {
    fn drop(&mut self) {
        gauge!("querygate_parts_running").decrement(1.0);
        counter!("querygate_parts_total", "outcome" => self.outcome.name()).increment(1);
        histogram!("querygate_part_seconds").record(self.began.elapsed().as_secs_f64());
    }
}

/// A part that was not run: its seal, or no room for it.
pub(super) fn refused() {
    counter!("querygate_parts_total", "outcome" => "refused").increment(1);
}

pub(super) fn gave_rows(rows: usize) {
    counter!("querygate_part_rows_total").increment(rows as u64);
}

pub(super) fn gave_bytes(bytes: usize) {
    counter!("querygate_part_bytes_total").increment(bytes as u64);
}
