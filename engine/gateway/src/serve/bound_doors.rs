//! The doors of a gate: bound to their ports, served until the gate stops, and closed in order.

use super::reloads::{heal, on_request, watch};
use super::{Bound, cannot_bind, rest_address};
use crate::config::Config;
use crate::gate::{Gate, ReadinessProbe, Runtimes};
use crate::process::{Room, Signals, Wish};
use crate::tls::Loaded;
use crate::{process, tls};
use querygate_arrivals::Strangers;
use querygate_flight::{FlightConfig, FlightDoor};
use querygate_http::{HttpConfig, HttpDoor, Pages, Probes, Readiness};
use querygate_pgwire_frontend::{DoorConfig, PostgresDoor, TlsSettings};
use querygate_rest::{RestConfig, RestDoor};
use querygate_types::{Error, Result};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) struct Doors {
    postgres: Option<PostgresDoor>,
    http: Option<HttpDoor>,
    flight: Option<FlightDoor>,
    rest: Option<RestDoor>,
    pub(super) bound: Bound,
    /// Fires when the doors of clients begin to close.
    draining: CancellationToken,
}

impl Doors {
    pub(super) async fn bind(
        config: &Config,
        gate: &Gate,
        room: Room,
        metrics: metrics_exporter_prometheus::PrometheusHandle,
    ) -> Result<Self> {
        let draining = CancellationToken::new();
        // One bound for all doors.
        let strangers = Strangers::default();
        let gate = &Gate { readiness: until(&draining, &gate.readiness), ..gate.clone() };
        let postgres = match config.server.postgres {
            None => None,
            Some(address) => {
                let files = config.server.tls.as_ref();
                let tls = files.map(|files| tls::load(files, None)).transpose()?.map(TlsSettings::from);
                let settings = DoorConfig {
                    tls,
                    require_tls: config.server.require_tls,
                    connection_max: room.connections,
                    arrival_max: room.arrivals,
                    strangers: strangers.clone(),
                    authentication_timeout: config.server.authentication_timeout,
                    drain_timeout: config.server.drain_timeout,
                    ..DoorConfig::new(address)
                };
                let door = PostgresDoor::bind(settings, Arc::clone(&gate.service), Arc::clone(&gate.authenticator));
                let door = door.await.map_err(|e| cannot_bind("postgres", address, &e))?;
                if files.is_some() {
                    let renew = door.renewal();
                    let renew = move |loaded: Loaded| renew(&loaded.into());
                    let _ = gate.certificates.postgres.set(Box::new(renew));
                }
                Some(door)
            }
        };
        let http = match config.server.http {
            None => None,
            Some(address) => {
                let door = HttpDoor::bind(HttpConfig::new(address), probes(gate, metrics)).await;
                let door = door.map_err(|e| cannot_bind("http", address, &e))?.among(strangers.clone());
                Some(with_pages(door, config, gate, address))
            }
        };
        let flight = flight_door(config, gate, room, &strangers).await?;
        let rest = rest_door(config, gate, room, &strangers).await?;
        let bound = Bound {
            postgres: postgres.as_ref().map(PostgresDoor::local_addr).transpose().map_err(Error::internal)?,
            http: http.as_ref().map(HttpDoor::local_addr).transpose().map_err(Error::internal)?,
            flight: flight.as_ref().map(FlightDoor::local_addr).transpose().map_err(Error::internal)?,
            rest: rest.as_ref().map(RestDoor::local_addr).transpose().map_err(Error::internal)?,
        };
        Ok(Self { postgres, http, flight, rest, bound, draining })
    }

    pub(super) async fn run(
        self,
        config: &Config,
        gate: &Gate,
        runtimes: &Runtimes,
        (mut signals, stop): (Signals, CancellationToken),
    ) -> Result<()> {
        // Health and metrics answer while the other doors drain, so they stop after them.
        let (doors_stop, http_stop) = (self.draining, CancellationToken::new());
        let mut doors = Serving([
            ("postgres", self.postgres.map(|door| tokio::spawn(door.serve(doors_stop.clone())))),
            ("flight", self.flight.map(|door| tokio::spawn(door.serve(doors_stop.clone())))),
            ("rest", self.rest.map(|door| tokio::spawn(door.serve(doors_stop.clone().cancelled_owned())))),
            ("http", self.http.map(|door| tokio::spawn(door.serve(http_stop.clone().cancelled_owned())))),
        ]);
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
        doors_stop.cancel();
        tracing::info!(drain_timeout = ?config.server.drain_timeout, "draining");
        for task in [watch, heal, requests] {
            task.abort();
        }
        let [postgres, flight, rest, http] = doors.0.map(|(_, task)| task);
        for task in [postgres, flight, rest].into_iter().flatten() {
            task.await.map_err(Error::internal)?;
        }
        http_stop.cancel();
        if let Some(task) = http {
            task.await.map_err(Error::internal)?;
        }
        tracing::info!("stopped");
        ended
    }
}

impl From<Loaded> for TlsSettings {
    fn from(Loaded { config, certificate }: Loaded) -> Self {
        Self { config, certificate }
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

fn probes(gate: &Gate, metrics: metrics_exporter_prometheus::PrometheusHandle) -> Probes {
    let measure = Arc::clone(&gate.measure);
    let render = move || {
        measure();
        process::measure();
        metrics.render()
    };
    Probes { readiness: Arc::clone(&gate.readiness), metrics: Arc::new(render) }
}

/// Passwords of the pages go in the clear: unless the configuration says otherwise, only within this machine.
fn with_pages(door: HttpDoor, config: &Config, gate: &Gate, address: SocketAddr) -> HttpDoor {
    let (door, within) = (door.behind(config.server.proxies.clone()), address.ip().is_loopback());
    if !config.server.pages.unwrap_or(within) {
        return door;
    }
    if !within {
        tracing::warn!(%address, "the pages ask for passwords without TLS: put a proxy with TLS in front of them");
    }
    door.with_pages(Pages {
        service: Arc::clone(&gate.service),
        authenticator: Arc::clone(&gate.authenticator),
        database: config.server.database.clone(),
    })
}

async fn flight_door(config: &Config, gate: &Gate, room: Room, strangers: &Strangers) -> Result<Option<FlightDoor>> {
    let Some(address) = config.flight.address else { return Ok(None) };
    let client_ca = config.flight.client_ca.as_deref();
    let loaded = config.server.tls.as_ref().map(|files| tls::load(files, client_ca)).transpose()?;
    let settings = FlightConfig {
        tls: loaded.map(|loaded| loaded.config),
        connection_max: room.connections,
        arrival_max: room.arrivals,
        strangers: strangers.clone(),
        authentication_timeout: config.server.authentication_timeout,
        stream_max: config.flight.stream_max,
        endpoint_max: config.flight.endpoint_max,
        session_idle: config.flight.session_idle,
        token_lifetime: config.flight.token_lifetime,
        ticket_lifetime: config.flight.ticket_lifetime,
        drain_timeout: config.server.drain_timeout,
        ..FlightConfig::new(address, &config.server.database)
    };
    let door = FlightDoor::bind(settings, Arc::clone(&gate.service), Arc::clone(&gate.authenticator));
    let door = door.await.map_err(|e| cannot_bind("flight", address, &e))?;
    if config.server.tls.is_some() {
        let renew = door.renewal();
        let _ = gate.certificates.flight.set(Box::new(move |loaded: Loaded| renew(&loaded.config)));
    }
    Ok(Some(door))
}

async fn rest_door(config: &Config, gate: &Gate, room: Room, strangers: &Strangers) -> Result<Option<RestDoor>> {
    let (Some(rest), Some(address)) = (&config.rest, rest_address(config)) else { return Ok(None) };
    let mut settings = RestConfig {
        body_max: rest.body_max,
        rows_max: config.limits.rows_max,
        session_lifetime: rest.session_lifetime,
        extensions: rest.extensions,
        events: config.events.is_some(),
        strict_text_operators: rest.strict_text_operators,
        proxies: config.server.proxies.clone(),
        requests_per_address: rest.requests_per_address,
        requests_per_user: rest.requests_per_user,
        requests_per_key: rest.requests_per_key,
        drain_timeout: config.server.drain_timeout,
        strangers: strangers.clone(),
        ..RestConfig::new(address, &config.server.database)
    };
    // Each follower keeps a connection. Requests of a gate for few sessions keep the places that they had.
    settings.connection_max = settings.connection_max.max(room.connections);
    let readiness = Arc::clone(&gate.readiness);
    let ready = Arc::new(move || readiness().is_ready());
    let (service, authenticator) = (Arc::clone(&gate.service), Arc::clone(&gate.authenticator));
    let door = RestDoor::bind(settings, service, authenticator, Arc::clone(&gate.platform), ready);
    door.await.map(Some).map_err(|e| cannot_bind("rest", address, &e))
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
