//! `querygate demo`: makes the company, then serves it.

use super::args::DemoArgs;
use super::{Ended, load, written};
use crate::config::{FLIGHT_PORT, HTTP_PORT, POSTGRES_PORT};
use crate::demo::{self, Scale};
use crate::output::Output;
use crate::serve::Bound;
use querygate_types::{Error, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio_util::sync::CancellationToken;

pub(super) fn run(args: &DemoArgs, output: &mut Output) -> Result<Ended> {
    let runtime = tokio::runtime::Runtime::new().map_err(Error::internal)?;
    let seeded = runtime.block_on(demo::seed(&args.dir, Scale::FULL, &mut |line| {
        // Progress is a courtesy.
        let _ = output.note(line);
    }))?;
    drop(runtime);
    let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    if args.seed_only {
        let planned =
            Bound { postgres: Some(args.pg.unwrap_or(loopback(POSTGRES_PORT))), http: args.http, flight: args.flight };
        output.text(&demo::guide_text(&seeded, planned)).map_err(written)?;
        return Ok(Ended::Well);
    }
    let mut config = load(&seeded.layout.config(), output)?;
    config.server.postgres = args.pg.or(config.server.postgres).or(Some(loopback(POSTGRES_PORT)));
    config.server.http = args.http.or(config.server.http).or(Some(loopback(HTTP_PORT)));
    config.flight.address = args.flight.or(config.flight.address).or(Some(loopback(FLIGHT_PORT)));
    if std::env::var_os("QUERYGATE_LOG").is_none() {
        // The guide is what a person should read.
        "warn".clone_into(&mut config.log.filter);
    }
    crate::logging::start(&config.log);
    crate::serve::serve(&config, CancellationToken::new(), |bound| {
        let _ = output.text(&demo::guide_text(&seeded, bound));
    })?;
    Ok(Ended::Well)
}
