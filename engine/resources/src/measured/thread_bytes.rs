//! What the allocator counts.

use tikv_jemalloc_ctl::thread::{ThreadLocal, allocatedp, deallocatedp};
use tikv_jemalloc_ctl::{epoch, stats};

/// The counts of one thread, in bytes since it began.
#[derive(Clone, Copy)]
struct Counters {
    allocated: ThreadLocal<u64>,
    freed: ThreadLocal<u64>,
}

thread_local! {
    static COUNTERS: Option<Counters> =
        allocatedp::read().and_then(|allocated| Ok(Counters { allocated, freed: deallocatedp::read()? })).ok();
}

/// Bytes that this thread has allocated, less those that it has freed. Below zero for a thread that frees what others allocate. 0 while
/// the thread ends.
pub(super) fn net_bytes() -> i64 {
    let net = |counters: Counters| counters.allocated.get().wrapping_sub(counters.freed.get()).cast_signed();
    COUNTERS.try_with(|counters| counters.map_or(0, net)).unwrap_or(0)
}

/// Bytes that the process has allocated and not freed. Takes some tens of microseconds. `None`: the allocator does not say.
#[must_use]
pub fn live_bytes() -> Option<u64> {
    epoch::advance().ok()?;
    stats::allocated::read().ok().filter(|bytes| *bytes > 0).map(|bytes| bytes as u64)
}
