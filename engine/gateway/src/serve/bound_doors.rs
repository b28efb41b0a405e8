//! The doors of a gate: bound to their ports, served until the gate stops, and closed in order.

use super::Bound;
use super::door_kinds::{DOORS, DoorContext, OpenDoor};
use super::reloads::{heal, on_request, watch};
use crate::config::Config;
use crate::gate::{Gate, ReadinessProbe, Runtimes};
use crate::process::{Room, Signals, Wish};
use metrics_exporter_prometheus::PrometheusHandle;
use querygate_arrivals::Strangers;
use querygate_http::Readiness;
use querygate_types::{Error, Result};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) struct Doors {
    open: [Option<OpenDoor>; DOORS.len()],
    pub(super) bound: Bound,
    /// Fires when the doors of clients begin to close.
    draining: CancellationToken,
}

impl Doors {
    pub(super) async fn bind(config: &Config, gate: &Gate, room: Room, metrics: PrometheusHandle) -> Result<Self> {
        let draining = CancellationToken::new();
        let gate = &Gate { readiness: until(&draining, &gate.readiness), ..gate.clone() };
        let context = DoorContext { config, gate, room, strangers: Strangers::default(), metrics };
        let mut open = DOORS.map(|_| None);
        for (kind, door) in DOORS.iter().zip(&mut open) {
            if let Some(address) = (kind.address)(config) {
                *door = Some((kind.bind)(&context, address).await?);
            }
        }
        let addresses = open.iter().map(|door| door.as_ref().map(|door| door.address));
        let bound = DOORS.iter().zip(addresses).fold(Bound::default(), |bound, (kind, at)| bound.with(kind.door, at));
        Ok(Self { open, bound, draining })
    }

    pub(super) async fn run(
        self,
        config: &Config,
        gate: &Gate,
        runtimes: &Runtimes,
        (mut signals, stop): (Signals, CancellationToken),
    ) -> Result<()> {
        // Health and metrics answer while the other doors drain, so they stop after them.
        let (first, last) = (self.draining, CancellationToken::new());
        let stops = DOORS.map(|kind| if kind.closes_last { last.clone() } else { first.clone() });
        let mut opened = self.open.into_iter().zip(stops);
        let mut doors = Serving(DOORS.map(|kind| {
            let (door, stop) = opened.next().unzip();
            let serve = door.flatten().zip(stop).map(|(door, stop)| tokio::spawn((door.serve)(stop)));
            (kind.name(), serve)
        }));
        let watch = tokio::spawn(watch(Arc::clone(&gate.watched), Arc::clone(&gate.reload), runtimes.clone()));
        let asked = Arc::new(Notify::new());
        let requests = tokio::spawn(on_request(Arc::clone(&asked), Arc::clone(&gate.reload), runtimes.clone()));
        let heal = tokio::spawn(heal(Arc::clone(&gate.returned), Arc::clone(&gate.reload), runtimes.clone()));
        let ended = loop {
            let wish = tokio::select! {
                wish = signals.next() => wish,
                () = stop.cancelled() => Wish::Stop,
                ended = doors.ended() => break Err(ended),
            };
            match wish {
                Wish::Stop => break Ok(()),
                Wish::Reload => asked.notify_one(),
            }
        };
        first.cancel();
        tracing::info!(drain_timeout = ?config.server.drain_timeout, "draining");
        for task in [watch, heal, requests] {
            task.abort();
        }
        for closes_last in [false, true] {
            if closes_last {
                last.cancel();
            }
            for (kind, (_, task)) in DOORS.iter().zip(&mut doors.0) {
                if let Some(task) = task.take_if(|_| kind.closes_last == closes_last) {
                    task.await.map_err(Error::internal)?;
                }
            }
        }
        tracing::info!("stopped");
        ended
    }
}

/// Doors that serve, by name.
struct Serving<const N: usize>([(&'static str, Option<JoinHandle<()>>); N]);

impl<const N: usize> Serving<N> {
    /// Waits for a door that ends though it was not asked to. A process without one of its doors must not call itself ready:
    /// the one who watches over it starts it anew.
    async fn ended(&mut self) -> Error {
        poll_fn(|context| {
            for (name, door) in &mut self.0 {
                if let Some(task) = door
                    && let Poll::Ready(ended) = Pin::new(task).poll(context)
                {
                    *door = None;
                    tracing::error!(door = name, "a door ended by itself");
                    return Poll::Ready(match ended {
                        Ok(()) => Error::internal(format_args!("the {name} door ended by itself")),
                        Err(error) => Error::internal(error),
                    });
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// What is ready until doors begin to close: from then on, the one who sends clients is to send them elsewhere.
fn until(draining: &CancellationToken, readiness: &ReadinessProbe) -> ReadinessProbe {
    let (draining, readiness) = (draining.clone(), Arc::clone(readiness));
    Arc::new(move || Readiness { stopping: draining.is_cancelled(), ..readiness() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_ready_is_not_while_doors_close() {
        let draining = CancellationToken::new();
        let always: ReadinessProbe = Arc::new(|| Readiness { metadata_version: Some(1), ..Readiness::default() });
        let readiness = until(&draining, &always);
        assert!(readiness().is_ready());
        draining.cancel();
        assert!(!readiness().is_ready() && readiness().metadata_version == Some(1));
    }

    #[tokio::test]
    async fn a_door_that_ends_by_itself_is_told_once() {
        let mut doors = Serving([
            ("postgres", Some(tokio::spawn(std::future::pending()))),
            ("flight", Some(tokio::spawn(async {}))),
            ("http", None),
        ]);
        let ended = doors.ended().await;
        assert!(format!("{:?}", ended.cause()).contains("the flight door ended by itself"), "{:?}", ended.cause());
        let again = tokio::time::timeout(Duration::from_millis(20), doors.ended()).await;
        assert!(again.is_err() && doors.0[1].1.is_none());
    }
}
