//! Criterion over the CPU time of this process, all threads: on a machine that others use too, wall time measures them.

use criterion::Criterion;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use rustix::time::{ClockId, clock_gettime};

/// CPU time, in nanoseconds.
pub(crate) struct CpuTime(WallTime);

/// A harness over [`CpuTime`].
pub(crate) fn criterion() -> Criterion<CpuTime> {
    Criterion::default().with_measurement(CpuTime(WallTime)).configure_from_args()
}

fn now() -> i128 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

impl Measurement for CpuTime {
    type Intermediate = i128;
    type Value = i128;

    fn start(&self) -> i128 {
        now()
    }

    fn end(&self, start: i128) -> i128 {
        now() - start
    }

    fn add(&self, one: &i128, other: &i128) -> i128 {
        one + other
    }

    fn zero(&self) -> i128 {
        0
    }

    #[allow(clippy::cast_precision_loss, reason = "a bench lasts less than 2^53 ns")]
    fn to_f64(&self, value: &i128) -> f64 {
        *value as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.0.formatter()
    }
}
