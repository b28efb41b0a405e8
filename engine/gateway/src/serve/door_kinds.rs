//! The doors that a gate may have: one row of a table for each. Another door is a crate of its own and a row here.

use super::{cannot_bind, rest_address};
use crate::config::Config;
use crate::gate::Gate;
use crate::process::Room;
use crate::tls::Loaded;
use crate::{process, tls};
use futures::FutureExt;
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use querygate_arrivals::Strangers;
use querygate_flight::{FlightConfig, FlightDoor};
use querygate_http::{HttpConfig, HttpDoor, Pages, Probes};
use querygate_pgwire_frontend::{DoorConfig, PostgresDoor, TlsSettings};
use querygate_query_api::service::Door;
use querygate_rest::{RestConfig, RestDoor};
use querygate_types::{Error, Result};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One kind of door.
pub(crate) struct DoorKind {
    pub(crate) door: Door,
    /// Where the configuration opens it; `None`: nowhere.
    pub(crate) address: fn(&Config) -> Option<SocketAddr>,
    /// Whether each of its clients keeps a connection.
    pub(crate) keeps_connections: bool,
    /// Whether it answers while the others drain.
    pub(super) closes_last: bool,
    pub(super) bind: for<'a> fn(&'a DoorContext<'a>, SocketAddr) -> BoxFuture<'a, Result<OpenDoor>>,
}

/// What doors are opened with.
pub(super) struct DoorContext<'a> {
    pub(super) config: &'a Config,
    pub(super) gate: &'a Gate,
    pub(super) room: Room,
    /// One bound on all who have not logged in, by whichever door.
    pub(super) strangers: Strangers,
    pub(super) metrics: PrometheusHandle,
}

/// Serves until the token fires.
type Serve = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// A door that is bound to its port.
pub(super) struct OpenDoor {
    pub(super) address: SocketAddr,
    pub(super) serve: Serve,
}

/// All of them, in the order of what lists them.
pub(crate) const DOORS: [DoorKind; 4] = [
    DoorKind {
        door: Door::Postgres,
        address: |config| config.server.postgres,
        keeps_connections: true,
        closes_last: false,
        bind: |context, address| postgres(context, address).boxed(),
    },
    DoorKind {
        door: Door::Http,
        address: |config| config.server.http,
        keeps_connections: false,
        closes_last: true,
        bind: |context, address| http(context, address).boxed(),
    },
    DoorKind {
        door: Door::FlightSql,
        address: |config| config.flight.address,
        keeps_connections: true,
        closes_last: false,
        bind: |context, address| flight(context, address).boxed(),
    },
    DoorKind {
        door: Door::Rest,
        address: rest_address,
        keeps_connections: true,
        closes_last: false,
        bind: |context, address| rest(context, address).boxed(),
    },
];

impl DoorKind {
    pub(crate) const fn name(&self) -> &'static str {
        self.door.name()
    }
}

fn open_door(address: io::Result<SocketAddr>, serve: Serve) -> Result<OpenDoor> {
    Ok(OpenDoor { address: address.map_err(Error::internal)?, serve })
}

async fn postgres(
    DoorContext { config, gate, room, strangers, .. }: &DoorContext<'_>,
    address: SocketAddr,
) -> Result<OpenDoor> {
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
    let door = PostgresDoor::bind(settings, Arc::clone(&gate.service), Arc::clone(&gate.authenticator)).await;
    let door = door.map_err(|e| cannot_bind("postgres", address, &e))?;
    if files.is_some() {
        let renew = door.renewal();
        let renew = move |loaded: Loaded| renew(&loaded.into());
        let _ = gate.certificates.postgres.set(Box::new(renew));
    }
    open_door(door.local_addr(), Box::new(|stop| door.serve(stop).boxed()))
}

impl From<Loaded> for TlsSettings {
    fn from(Loaded { config, certificate }: Loaded) -> Self {
        Self { config, certificate }
    }
}

async fn http(
    DoorContext { config, gate, strangers, metrics, .. }: &DoorContext<'_>,
    address: SocketAddr,
) -> Result<OpenDoor> {
    let door = HttpDoor::bind(HttpConfig::new(address), probes(gate, metrics.clone())).await;
    let door = door.map_err(|e| cannot_bind("http", address, &e))?.among(strangers.clone());
    let door = with_pages(door, config, gate, address);
    open_door(door.local_addr(), Box::new(|stop| door.serve(stop.cancelled_owned()).boxed()))
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

async fn flight(
    DoorContext { config, gate, room, strangers, .. }: &DoorContext<'_>,
    address: SocketAddr,
) -> Result<OpenDoor> {
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
    open_door(door.local_addr(), Box::new(|stop| door.serve(stop).boxed()))
}

async fn rest(
    DoorContext { config, gate, room, strangers, .. }: &DoorContext<'_>,
    address: SocketAddr,
) -> Result<OpenDoor> {
    let Some(rest) = &config.rest else { return Err(Error::internal("a door without a configuration")) };
    let mut settings = RestConfig {
        body_max: rest.body_max,
        rows_max: config.limits.rows_max,
        session_lifetime: rest.session_lifetime,
        extensions: rest.extensions,
        events: config.events.is_some(),
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
    let door = RestDoor::bind(settings, service, authenticator, Arc::clone(&gate.platform), ready).await;
    let door = door.map_err(|e| cannot_bind("rest", address, &e))?;
    open_door(door.local_addr(), Box::new(|stop| door.serve(stop.cancelled_owned()).boxed()))
}
