//! `querygate demo`: makes the company, or starts private servers, then serves.

use super::args::DemoArgs;
use super::{Ended, load, written};
use crate::config::{Config, FLIGHT_PORT, HTTP_PORT, Learning, POSTGRES_PORT, REST_PORT};
use crate::demo::alerts::Alerts;
use crate::demo::{self, Scale};
use crate::output::Output;
use crate::process::{Signals, Wish};
use crate::serve::{Bound, Companion};
use querygate_query_api::service::Door;
use querygate_types::{Error, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio_util::sync::CancellationToken;

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
    let doors = [
        ("postgres", args.pg, POSTGRES_PORT),
        ("http", args.http, HTTP_PORT),
        ("flight", args.flight, FLIGHT_PORT),
        ("rest", args.rest, REST_PORT),
    ];
    for (door, address, port) in doors {
        crate::serve::is_free(door, address.unwrap_or(loopback(port)))?;
    }
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
    let at = |address: Option<SocketAddr>, port| Some(address.unwrap_or(loopback(port)));
    let (postgres, http) = (at(args.pg, POSTGRES_PORT), at(args.http, HTTP_PORT));
    let bound = Bound::default().with(Door::Postgres, postgres).with(Door::Http, http);
    let bound = bound.with(Door::FlightSql, at(args.flight, FLIGHT_PORT));
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

/// The demo's configuration with the addresses of the command line, or the usual ones.
fn configured(file: &Path, args: &DemoArgs, output: &mut Output) -> Result<Config> {
    let mut config = load(file, output)?;
    config.server.postgres = args.pg.or(config.server.postgres).or(Some(loopback(POSTGRES_PORT)));
    config.server.http = args.http.or(config.server.http).or(Some(loopback(HTTP_PORT)));
    config.flight.address = args.flight.or(config.flight.address).or(Some(loopback(FLIGHT_PORT)));
    let rest = config.rest.get_or_insert_default();
    rest.address = args.rest.or(rest.address).or(Some(loopback(REST_PORT)));
    if std::env::var_os("QUERYGATE_LOG").is_none() {
        // The guide is what a person should read.
        "warn".clone_into(&mut config.log.filter);
    }
    crate::logging::start(&config.log);
    Ok(config)
}
