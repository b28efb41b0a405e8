//! What workers gave to one statement, for EXPLAIN ANALYZE. An extension of the engine's configuration; without it nothing is kept.

use crate::part::Leaf;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is said instead of a worker where the gate has read a part that no worker gave.
const GATE: &str = "the gate";

/// Who read which tables of a statement, and what came of it.
#[derive(Debug, Default)]
pub struct PartReads(Mutex<BTreeMap<Arc<str>, TableReads>>);

/// Of one table, by where a worker is reached. Bounded: tables of a statement times workers of a gate.
#[derive(Debug, Default)]
struct TableReads {
    hides: bool,
    workers: BTreeMap<Arc<str>, Figures>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    parts: u64,
    rows: u64,
    bytes: u64,
    /// Of all parts, which run beside each other.
    time: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parts, rows, bytes, time } = self;
        write!(f, "parts={parts} rows={rows} bytes={bytes} time={:.3} ms", time.as_secs_f64() * 1e3)
    }
}

impl PartReads {
    fn tables(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, TableReads>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of a leaf is asked for. `worker`: where; `None`: in the gate.
    pub(super) fn reading(self: &Arc<Self>, leaf: &Leaf, worker: Option<&str>) -> Reading {
        self.begin(leaf.table(), leaf.restricts(), worker)
    }

    fn begin(self: &Arc<Self>, table: &str, hides: bool, worker: Option<&str>) -> Reading {
        let (table, worker) = (table.into(), worker.unwrap_or(GATE).into());
        Reading { reads: Arc::clone(self), table, hides, worker, since: Mutex::new(Instant::now()) }
    }

    /// What a reader may hear. Parts, rows and bytes of each worker tell how rows lie in files, and times how many there are: that is
    /// for operators, and in sum for those from whom no row of the table is hidden.
    #[must_use]
    pub fn lines(&self, for_operator: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (table, of) in self.tables().iter() {
            if for_operator {
                lines.extend(of.workers.iter().map(|(worker, figures)| format!("Worker {worker}: {table}: {figures}")));
            } else if of.hides {
                lines.push(format!("Workers: {table}: figures are for readers without a row policy"));
            } else {
                lines.push(format!("Workers: {table}: {}", of.sum()));
            }
        }
        lines
    }
}

impl TableReads {
    fn sum(&self) -> Figures {
        self.workers.values().fold(Figures::default(), |sum, one| Figures {
            parts: sum.parts + one.parts,
            rows: sum.rows + one.rows,
            bytes: sum.bytes + one.bytes,
            time: sum.time + one.time,
        })
    }
}

/// A part that is read.
#[derive(Debug)]
pub(super) struct Reading {
    reads: Arc<PartReads>,
    table: Arc<str>,
    /// Whether the reader's policy hides rows of the table.
    hides: bool,
    worker: Arc<str>,
    /// Until when its time is counted.
    since: Mutex<Instant>,
}

impl Reading {
    /// Its worker gives it.
    pub(super) fn answered(&self) {
        self.count(|figures| figures.parts += 1);
    }

    pub(super) fn gave(&self, rows: u64, bytes: u64) {
        let now = Instant::now();
        let since = std::mem::replace(&mut *self.since.lock().unwrap_or_else(PoisonError::into_inner), now);
        self.count(|figures| {
            figures.rows += rows;
            figures.bytes += bytes;
            figures.time += now.saturating_duration_since(since);
        });
    }

    fn count(&self, add: impl FnOnce(&mut Figures)) {
        let mut tables = self.reads.tables();
        let of = tables.entry(Arc::clone(&self.table)).or_default();
        of.hides |= self.hides;
        add(of.workers.entry(Arc::clone(&self.worker)).or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads() -> Arc<PartReads> {
        let reads = Arc::new(PartReads::default());
        for (table, hides, worker, rows) in [
            ("open", false, Some("lake-1:7001"), 3),
            ("open", false, Some("lake-1:7001"), 4),
            ("open", false, None, 5),
            ("shut", true, Some("lake-2:7001"), 77),
        ] {
            let reading = reads.begin(table, hides, worker);
            reading.answered();
            reading.gave(rows, rows * 10);
            reading.gave(0, 1);
        }
        reads
    }

    #[test]
    fn operators_hear_who_read_what() {
        let lines = reads().lines(true);
        let begins = |line: usize, text: &str| assert!(lines[line].starts_with(text), "{lines:?}");
        begins(0, "Worker lake-1:7001: open: parts=2 rows=7 bytes=72 time=");
        begins(1, "Worker the gate: open: parts=1 rows=5 bytes=51 time=");
        begins(2, "Worker lake-2:7001: shut: parts=1 rows=77 bytes=771 time=");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn others_hear_no_worker_and_no_figure_of_hidden_rows() {
        let lines = reads().lines(false);
        assert!(lines[0].starts_with("Workers: open: parts=3 rows=12 bytes=123 time="), "{lines:?}");
        assert_eq!(lines[1], "Workers: shut: figures are for readers without a row policy");
        assert!(lines.len() == 2 && !lines.concat().contains("lake"));
    }
}
