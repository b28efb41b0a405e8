//! Log lines on standard error, for people or machines. Knows no event by name.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Overrides `[log] filter`.
const FILTER_VARIABLE: &str = "QUERYGATE_LOG";

/// Starts logging. A second call in one process (a test with two gates) keeps the first.
pub(crate) fn start(log: &Log) {
    let text = std::env::var(FILTER_VARIABLE).unwrap_or_else(|_| log.filter.clone());
    let (filter, wrong) = match text.parse::<EnvFilter>() {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "{FILTER_VARIABLE} is no log filter: info and above is logged");
    }
}
