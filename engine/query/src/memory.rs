//! A statement's share of memory: its own cap inside the gate's total.

use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Pool of one statement. Counts against the shared pool and its own cap.
#[derive(Debug)]
pub(crate) struct StatementPool {
    total: Arc<dyn MemoryPool>,
    cap: usize,
    used: AtomicUsize,
}

impl StatementPool {
    pub(crate) fn new(total: Arc<dyn MemoryPool>, cap: usize) -> Self {
        Self { total, cap, used: AtomicUsize::new(0) }
    }
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement(used: {}, cap: {})", self.used.load(Ordering::Relaxed), self.cap)
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.total.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.total.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
        self.total.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
        self.total.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let used = self.used.fetch_add(additional, Ordering::Relaxed);
        if used.saturating_add(additional) > self.cap {
            self.used.fetch_sub(additional, Ordering::Relaxed);
            return datafusion::common::resources_err!(
                "a statement asked for {additional} bytes beside {used} of its {} bytes",
                self.cap
            );
        }
        self.total.try_grow(reservation, additional).inspect_err(|_| {
            self.used.fetch_sub(additional, Ordering::Relaxed);
        })
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.cap)
    }
}
