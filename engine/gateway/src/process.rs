//! What a server asks of its operating system: file limit, signals, metrics recorder. Knows no query.

mod help;

pub(crate) use help::begin_at_zero;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use querygate_types::{Error, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Descriptors that are not client connections: sources, spill files, log.
const DESCRIPTORS_RESERVED: u64 = 256;

/// Connections of one door that have not logged in: as many as sessions, within these bounds.
const ARRIVALS: RangeInclusive<usize> = 64..=1_000;

/// How many clients a door takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// That have logged in.
    pub(crate) connections: usize,
    /// That have not.
    pub(crate) arrivals: usize,
}

impl Room {
    fn of(connections: usize) -> Self {
        Self { connections, arrivals: connections.clamp(*ARRIVALS.start(), *ARRIVALS.end()) }
    }

    fn descriptors(self) -> usize {
        self.connections.saturating_add(self.arrivals)
    }

    /// What of it fits into so many descriptors, one of each at least.
    fn within(self, descriptors: usize) -> Self {
        if self.descriptors() <= descriptors {
            return self;
        }
        let arrivals = self.arrivals.min(descriptors / 2).max(1);
        Self { connections: descriptors.saturating_sub(arrivals).clamp(1, self.connections.max(1)), arrivals }
    }
}

/// Descriptors that `connections` of each of this number of doors need, and as many that log in.
pub(crate) fn descriptors_wanted(connections: usize, doors: usize) -> u64 {
    let of_doors = (Room::of(connections).descriptors() as u64).saturating_mul(doors.max(1) as u64);
    of_doors.saturating_add(DESCRIPTORS_RESERVED)
}

/// Connections of each door that fit into this number of descriptors.
pub(crate) fn connections_within(descriptors: u64, connections: usize, doors: usize) -> usize {
    fitting(descriptors, Room::of(connections), doors).connections
}

/// The hard limit of open files; `None`: there is none.
pub(crate) fn file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the soft limit of open files to what `connections` of each of so many doors need, and as many that log in, or as far as the
/// hard limit lets. Returns how many of a door's then fit; it refuses further ones with 53300, instead of failing to accept in silence.
pub(crate) fn raise_file_limit(connections: usize, doors: usize) -> Room {
    let (room, doors, wanted) = (Room::of(connections), doors.max(1), descriptors_wanted(connections, doors));
    let limit = getrlimit(Resource::Nofile);
    let have = limit.current.unwrap_or(u64::MAX);
    if have >= wanted {
        return room;
    }
    let target = limit.maximum.map_or(wanted, |hard| hard.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum: limit.maximum });
    let now = if raised.is_ok() { target } else { have };
    let fit = fitting(now, room, doors);
    if fit.connections < connections {
        tracing::warn!(
            connection_max = connections,
            doors,
            fit = fit.connections,
            open_files = now,
            "the open-file limit is too low for connection_max"
        );
    }
    fit
}

/// What of each door's room fits into so many descriptors.
fn fitting(descriptors: u64, room: Room, doors: usize) -> Room {
    let all = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX);
    room.within(all / doors.max(1))
}

/// Starts collecting metrics; the handle renders them. In a process that collects already, the handle renders nothing.
pub(crate) fn start_metrics() -> PrometheusHandle {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::debug!("metrics were started before");
    }
    help::describe();
    handle
}

/// How often values of histograms that nothing has rendered yet are summed up.
const UPKEEP: Duration = Duration::from_secs(5);

/// Keeps what was recorded and is not asked for from growing: without it, a gate that is not scraped keeps each time of each statement.
pub(crate) async fn keep_up(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics.run_upkeep();
    }
}

/// Sets the metrics of this process that every scrape wants, under the names that all programs give them.
pub(crate) fn measure() {
    metrics::gauge!("querygate_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kilobytes) = resident(&status) {
        metrics::gauge!("process_resident_memory_bytes").set(kilobytes.saturating_mul(1_024) as f64);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(open.count() as f64);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        metrics::gauge!("process_max_fds").set(most as f64);
    }
}

/// Kilobytes of memory that a process has, out of its `/proc/PID/status`.
fn resident(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// SIGTERM, SIGINT: drain and end.
    Stop,
    /// SIGHUP: load the metadata anew.
    Reload,
}

/// The signals a server listens to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Must run inside a tokio runtime.
    pub(crate) fn listen() -> Result<Self> {
        let open = |kind| signal(kind).map_err(Error::internal);
        Ok(Self {
            terminate: open(SignalKind::terminate())?,
            interrupt: open(SignalKind::interrupt())?,
            hangup: open(SignalKind::hangup())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_share_the_descriptors() {
        for (descriptors, connections, doors, expected) in [
            (2_256, 1_000, 1, (1_000, 1_000)),
            (1_256, 1_000, 1, (500, 500)),
            (1_256, 1_000, 2, (250, 250)),
            (1_256, 800, 1, (500, 500)),
            (10_256, 20_000, 1, (9_000, 1_000)),
            (100, 1_000, 2, (1, 1)),
            (u64::MAX, 10, 2, (10, 64)),
            (306, 10, 1, (10, 25)),
            (1_256, 10, 0, (10, 64)),
        ] {
            let fit = fitting(descriptors, Room::of(connections), doors);
            assert_eq!((fit.connections, fit.arrivals), expected, "{descriptors} {connections} {doors}");
        }
    }
}
