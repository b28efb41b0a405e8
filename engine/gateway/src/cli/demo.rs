//! `querygate demo`: makes the company, or starts private servers, then serves.

use super::args::DemoArgs;
use super::{Ended, load, written};
use crate::config::{Config, FLIGHT_PORT, HTTP_PORT, Learning, POSTGRES_PORT, REST_PORT, is_one_port};
use crate::demo::alerts::Alerts;
use crate::demo::{self, Scale};
use crate::output::Output;
use crate::process::{Signals, Wish};
use crate::serve::{Bound, Companion};
use querygate_query_api::service::Door;
use querygate_types::{Error, ErrorCode, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// How many ports are tried for a door whose usual one is taken, that one included. Usual ports are farther apart.
const PORTS_TRIED: u16 = 10;

pub(super) fn run(args: &DemoArgs, output: &mut Output) -> Result<Ended> {
    if args.backends {
        return backends(args, output);
    }
    let mut serving = None;
    if !args.seed_only {
        let layout = demo::describe(&args.dir)?;
        if args.traffic {
            demo::keep_learning(&layout)?;
        }
        let mut config = configured(&layout.config(), args, output)?;
        if args.writes {
            demo::changes::enable(&mut config, &args.dir);
        }
        // Before the data are made, which takes a while.
        crate::serve::ports_are_free(&config)?;
        serving = Some(config);
    }
    let runtime = tokio::runtime::Runtime::new().map_err(Error::internal)?;
    let seeded = runtime.block_on(demo::seed(&args.dir, Scale::FULL, &mut |line| {
        // Progress is a courtesy.
        let _ = output.note(line);
    }))?;
    if let Some(config) = serving.as_ref().filter(|_| args.writes) {
        runtime.block_on(demo::changes::make_markers(config))?;
    }
    drop(runtime);
    let Some(mut config) = serving else {
        let postgres = Some(args.pg.unwrap_or(loopback(POSTGRES_PORT)));
        let planned = Bound::default()
            .with(Door::Postgres, postgres)
            .with(Door::Http, args.http)
            .with(Door::FlightSql, args.flight)
            .with(Door::Rest, args.rest);
        output.text(&demo::guide_text(&seeded, planned, None)).map_err(written)?;
        return Ok(Ended::Well);
    };
    let (mut alerts, mut alerted) = (None, false);
    let own = seeded.layout.folder.join("learning");
    // A table that says where alerts go, or keeps what is learnt elsewhere, is its author's.
    let is_own = |said: &Learning| said.webhook.is_none() && said.directory == own;
    if args.traffic && config.learning.as_ref().is_none_or(is_own) {
        let receiver = Alerts::open()?;
        config.learning = Some(demo::traffic::learning(&seeded.layout, &receiver)?);
        (alerts, alerted) = (Some(receiver), true);
    }
    let certificate = config.server.tls.as_ref().map(|tls| tls.certificate.clone());
    let database = config.server.database.clone();
    let traffic: Option<Companion> =
        args.traffic.then(|| Box::new(move |gate| demo::traffic::run(gate, database, alerts)) as Companion);
    crate::serve::serve_with(&config, CancellationToken::new(), traffic, |bound| {
        let guide = demo::guide_text(&seeded, bound, certificate.as_deref());
        // A folder that cannot be written to has no guide, and the demo goes on.
        let file = seeded.layout.guide();
        let kept = std::fs::write(&file, &guide).is_ok().then_some(file);
        let screen = || demo::screen_text(&seeded, bound, certificate.is_some(), kept.as_deref());
        let _ = output.text(&if args.guide { guide } else { screen() });
        if args.traffic {
            let _ = output.text(&demo::traffic::guide_text(bound, alerted));
        }
        if args.writes {
            let _ = output.text(demo::changes::GUIDE);
        }
    })?;
    Ok(Ended::Well)
}

/// The demo over private servers, which end with it.
fn backends(args: &DemoArgs, output: &mut Output) -> Result<Ended> {
    let args = &with_ports(args, output)?;
    let running = demo::backends::start(args.writes, &mut |line| {
        let _ = output.note(line);
    })?;
    if args.writes {
        return until_stopped(&running, args, output);
    }
    let config = configured(&running.config(), args, output)?;
    crate::serve::serve(&config, CancellationToken::new(), |bound| {
        let _ = output.text(&demo::backends::guide::text(&running, bound, true));
    })?;
    Ok(Ended::Well)
}

/// Keeps the servers, for a gate of its own that may be killed and started again.
fn until_stopped(running: &demo::backends::Running, args: &DemoArgs, output: &mut Output) -> Result<Ended> {
    let bound = Bound::default().with(Door::Postgres, args.pg).with(Door::Http, args.http);
    let bound = bound.with(Door::FlightSql, args.flight);
    let text = demo::backends::guide::text(running, bound, false) + &demo::backends::stock::text(running, bound);
    output.text(&text).map_err(written)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        while signals.next().await != Wish::Stop {}
        Ok(Ended::Well)
    })
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The addresses of the doors: those that are named, and the usual ones or free ones beside them.
struct Addresses {
    named: Vec<SocketAddr>,
}

impl Addresses {
    /// Beside those of the command line.
    fn beside(args: &DemoArgs) -> Self {
        Self { named: [args.pg, args.http, args.flight, args.rest].into_iter().flatten().collect() }
    }

    fn is_open(&self, door: Door, address: SocketAddr) -> Result<()> {
        if self.named.iter().any(|named| is_one_port(*named, address)) {
            let said = format!("{address} is the address of another door than {}", door.name());
            return Err(Error::new(ErrorCode::ConfigInvalid, said));
        }
        crate::serve::is_free(door.name(), address)
    }

    /// The usual address of a door, or where that is taken the next free port, which is said.
    ///
    /// # Errors
    /// All of the [`PORTS_TRIED`] are taken.
    fn usual(&self, door: Door, port: u16, output: &mut Output) -> Result<SocketAddr> {
        let taken = match self.is_open(door, loopback(port)) {
            Ok(()) => return Ok(loopback(port)),
            Err(error) => error,
        };
        let mut others = (1..PORTS_TRIED).map(|step| loopback(port + step));
        let free = others.find(|address| self.is_open(door, *address).is_ok()).ok_or(taken)?;
        let said = format!("port {port} is taken; {} is served on port {}", door.name(), free.port());
        output.note(&said).map_err(written)?;
        Ok(free)
    }

    /// Where a door is opened: as the command line says, as the configuration says, or as is usual. A usual address that the configuration
    /// names is one that gives way, as one that it does not name.
    fn placed(
        &self,
        named: Option<SocketAddr>,
        configured: Option<SocketAddr>,
        (door, port): (Door, u16),
        output: &mut Output,
    ) -> Result<Option<SocketAddr>> {
        match named.or(configured.filter(|address| *address != loopback(port))) {
            Some(address) => Ok(Some(address)),
            None => self.usual(door, port, output).map(Some),
        }
    }
}

/// The arguments with the usual address of each door that they do not name.
fn with_ports(args: &DemoArgs, output: &mut Output) -> Result<DemoArgs> {
    let (mut args, addresses) = (args.clone(), Addresses::beside(args));
    for (door, address, port) in [
        (Door::Postgres, &mut args.pg, POSTGRES_PORT),
        (Door::Http, &mut args.http, HTTP_PORT),
        (Door::FlightSql, &mut args.flight, FLIGHT_PORT),
        (Door::Rest, &mut args.rest, REST_PORT),
    ] {
        match *address {
            Some(named) => crate::serve::is_free(door.name(), named)?,
            None => *address = Some(addresses.usual(door, port, output)?),
        }
    }
    Ok(args)
}

/// The demo's configuration with the addresses of the command line, or the usual ones.
fn configured(file: &Path, args: &DemoArgs, output: &mut Output) -> Result<Config> {
    let mut config = load(file, output)?;
    let addresses = Addresses::beside(args);
    config.server.postgres =
        addresses.placed(args.pg, config.server.postgres, (Door::Postgres, POSTGRES_PORT), output)?;
    config.server.http = addresses.placed(args.http, config.server.http, (Door::Http, HTTP_PORT), output)?;
    config.flight.address =
        addresses.placed(args.flight, config.flight.address, (Door::FlightSql, FLIGHT_PORT), output)?;
    let rest = config.rest.get_or_insert_default();
    rest.address = addresses.placed(args.rest, rest.address, (Door::Rest, REST_PORT), output)?;
    if std::env::var_os("QUERYGATE_LOG").is_none() {
        // The guide is what a person should read.
        "warn".clone_into(&mut config.log.filter);
    }
    crate::logging::start(&config.log);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_that_is_taken_gives_way_to_the_next_one_and_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let (mut output, captured) = Output::captured("");
        // The next one is that of another door.
        let addresses = Addresses { named: vec![loopback(port + 1)] };
        let chosen = addresses.usual(Door::Postgres, port, &mut output).unwrap();
        assert!(chosen.port() > port + 1 && chosen.port() < port + PORTS_TRIED, "{chosen}");
        let said = format!("port {port} is taken; postgres is served on port {}\n", chosen.port());
        assert_eq!(captured.text(), said);
        // One that a person chose stays, whatever listens there: the doors say so themselves.
        let named = taken.local_addr().ok();
        let placed = addresses.placed(named, None, (Door::Postgres, port), &mut output).unwrap();
        assert_eq!(placed, named);
    }
}
