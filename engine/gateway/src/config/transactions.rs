//! `[transactions]`: where decisions about transactions of several sources are written, and by which id sources know this gate. Opens
//! nothing.

use super::Config;
use super::syntax::diagnostic::Diagnostic;
use super::syntax::secret::Environment;
use super::syntax::table::{Sink, Table};
use querygate_driver_api::write::GateId;
use std::path::PathBuf;

/// `[transactions]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transactions {
    /// Folder of the log of decisions.
    pub(crate) log: PathBuf,
    /// What sources know the gate's prepared transactions by.
    pub(crate) gate: GateId,
}

/// Reads `[transactions]`; without it a transaction changes one source.
pub(super) fn resolve(table: Option<Table<'_>>, environment: &Environment) -> Option<Transactions> {
    let table = table?;
    let log = table.text("log").map_or_else(|| "transactions".to_owned(), |path| path.value);
    let gate = table.required("gate").and_then(|given| match given.value.parse::<GateId>() {
        Ok(gate) => Some(gate),
        Err(_) => {
            let wrong = Diagnostic::error(Some(given.span), "`gate` must be 16 hexadecimal digits in lower case");
            table.push(wrong.help("draw them at random for each gate, and keep them: `openssl rand -hex 8`"));
            None
        }
    });
    table.finish();
    gate.map(|gate| Transactions { log: Config::resolve_path(environment.folder(), &log), gate })
}

/// Without changes there are no transactions.
pub(super) fn warn(sink: &Sink, transactions: Option<&Transactions>, writes: bool) {
    if transactions.is_some() && !writes {
        let message = "[transactions] is there, and no change is taken";
        sink.push(Diagnostic::warning(None, message).help("set `enabled = true` in [writes]"));
    }
}
