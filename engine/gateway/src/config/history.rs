//! `[history]`: where old and new values of tracked fields are kept, for how long. Opens nothing.

use super::syntax::diagnostic::Diagnostic;
use super::syntax::secret::Environment;
use super::syntax::table::{Sink, Table};
use super::{Config, Events};
use querygate_events::HistoryOptions;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// Reads `[history]`; without it no history is kept.
pub(super) fn resolve(table: Option<Table<'_>>, environment: &Environment) -> Option<HistoryOptions> {
    let table = table?;
    let directory = table.text("path").map_or_else(|| "history".to_owned(), |path| path.value);
    let mut options = HistoryOptions::in_directory(Config::resolve_path(environment.folder(), &directory));
    if let Some(retention) = table.duration("retention") {
        if retention.value < Duration::from_secs(60) {
            table.error(retention.span, "`retention` must be at least a minute");
        } else {
            options.retention = retention.value;
        }
    }
    if let Some(size) = table.bytes("size_max") {
        if size.value < MIB {
            table.error(size.span, "`size_max` must be at least 1MB");
        } else {
            options.size_max = size.value;
        }
    }
    table.finish();
    Some(options)
}

/// History is taken from the log of events, of changes.
pub(super) fn check(sink: &Sink, history: Option<&HistoryOptions>, events: Option<&Events>, writes: bool) {
    if history.is_none() {
        return;
    }
    if events.is_none() {
        let message = "[history] is there, and no [events]: history is taken from their log";
        let help = "add [events]; with `objects = []` nobody follows changes";
        sink.push(Diagnostic::error(None, message).help(help));
    }
    if !writes {
        let message = "[history] is there, and no change is taken";
        sink.push(Diagnostic::warning(None, message).help("set `enabled = true` in [writes]"));
    }
}
