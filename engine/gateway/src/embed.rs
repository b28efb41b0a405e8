//! The gate within another binary: its commands with extensions, and a gate that serves until a token fires. A list of extensions is
//! given to each, so that gates of one process may have different ones.

use crate::cli;
use crate::output::Output;
use querygate_extension::{Extension, Extensions};
use querygate_query_api::service::Door;
use querygate_types::{Error, ErrorCode, Result};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Runs one command, as the binary `querygate` does, with these extensions.
pub fn run_with(extensions: Vec<Extension>, arguments: impl IntoIterator<Item = OsString>, output: Output) -> ExitCode {
    match Extensions::resolve(extensions) {
        Ok(extensions) => cli::run(arguments, &mut output.with_extensions(extensions)),
        Err(error) => {
            let mut output = output;
            // The exit code says it, too.
            let _ = cli::print_error(&mut output, &error);
            ExitCode::FAILURE
        }
    }
}

/// Where the doors of a gate listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub postgres: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
    pub flight: Option<SocketAddr>,
    pub rest: Option<SocketAddr>,
}

/// Serves what a configuration says, on threads of its own, until `stop` fires or the process gets a signal to end. `ready` is called once,
/// when its doors are open.
///
/// # Errors
/// A configuration or metadata that is not usable, a port that is taken, a door that ends by itself.
pub fn serve(
    file: &Path,
    extensions: &Extensions,
    stop: CancellationToken,
    ready: impl FnOnce(Addresses),
) -> Result<()> {
    let (config, report) = crate::config::load_with(file, extensions);
    let config = config.ok_or_else(|| {
        let (mut output, text) = Output::captured("");
        let rendered = report.render(&mut output, crate::output::Stream::Out).map(|()| text.text());
        Error::new(ErrorCode::ConfigInvalid, format!("{} is not usable", file.display()))
            .with_detail(rendered.unwrap_or_default())
    })?;
    crate::serve::serve(&config, stop, |bound| {
        ready(Addresses {
            postgres: bound.of(Door::Postgres),
            http: bound.of(Door::Http),
            flight: bound.of(Door::FlightSql),
            rest: bound.of(Door::Rest),
        });
    })
}
