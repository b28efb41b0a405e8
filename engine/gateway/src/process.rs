//! What a server asks of its operating system: file limit, signals, metrics recorder. Knows no query.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use querygate_types::{Error, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Descriptors that are not client connections: sources, spill files, log.
const DESCRIPTORS_RESERVED: u64 = 256;

/// Raises the soft limit of open files to what `connections` of each of so many doors need, or as far as the hard limit lets.
/// Returns how many connections of a door then fit; it refuses further ones with 53300, instead of failing to accept in silence.
pub(crate) fn raise_file_limit(connections: usize, doors: usize) -> usize {
    let doors = doors.max(1);
    let wanted = (connections as u64).saturating_mul(doors as u64).saturating_add(DESCRIPTORS_RESERVED);
    let limit = getrlimit(Resource::Nofile);
    let have = limit.current.unwrap_or(u64::MAX);
    if have >= wanted {
        return connections;
    }
    let target = limit.maximum.map_or(wanted, |hard| hard.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum: limit.maximum });
    let now = if raised.is_ok() { target } else { have };
    let fit = fitting(now, connections, doors);
    if fit < connections {
        tracing::warn!(
            connection_max = connections,
            doors,
            fit,
            open_files = now,
            "the open-file limit is too low for connection_max"
        );
    }
    fit
}

/// Connections of each door that fit into so many descriptors, one at least.
fn fitting(descriptors: u64, connections: usize, doors: usize) -> usize {
    let room = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX);
    (room / doors.max(1)).clamp(1, connections.max(1))
}

/// Starts collecting metrics; the handle renders them. In a process that collects already, the handle renders nothing.
pub(crate) fn start_metrics() -> PrometheusHandle {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::debug!("metrics were started before");
    }
    handle
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
            (1_256, 1_000, 1, 1_000),
            (1_256, 1_000, 2, 500),
            (100, 1_000, 2, 1),
            (u64::MAX, 10, 2, 10),
            (1_256, 0, 0, 1),
        ] {
            assert_eq!(fitting(descriptors, connections, doors), expected, "{descriptors} {connections} {doors}");
        }
    }
}
