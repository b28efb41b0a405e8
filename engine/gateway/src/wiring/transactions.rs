//! Transactions of several sources: who decides them, and what operators see and decide of them in schema `querygate`.

use super::sources::Sources;
use crate::config::Config;
use async_trait::async_trait;
use querygate_driver_api::write::{Fate, Prepare};
use querygate_query::EngineOptions;
use querygate_telemetry_api::system::{Cell, CellKind, SystemExtension, SystemProcedure, SystemRelation};
use querygate_transactions::{Coordinator, Unsettled};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio::runtime::Handle;

const RELATION: SystemRelation = SystemRelation {
    name: "transactions",
    columns: &[
        ("gid", CellKind::Text),
        ("state", CellKind::Text),
        ("participants", CellKind::Text),
        ("since", CellKind::Time),
        ("last_error", CellKind::Text),
    ],
};
const RESOLVE: &str = "resolve";

/// Takes over the log, where the configuration has one, and begins to settle what is open in it.
pub(super) fn start(config: &Config, sources: &Sources, runtime: &Handle) -> Result<Option<Arc<Coordinator>>> {
    let Some(settings) = config.transactions.as_ref().filter(|_| config.writes) else { return Ok(None) };
    let coordinator = Coordinator::open(&settings.log, settings.gate, runtime.clone())?;
    coordinator.serve(sources.drivers());
    Ok(Some(coordinator))
}

/// Lets the engine change several sources in one transaction.
pub(super) fn attach(mut options: EngineOptions, coordinator: Option<Arc<Coordinator>>) -> EngineOptions {
    if let Some(coordinator) = coordinator {
        options.extensions.push(Arc::new(Transactions(Arc::clone(&coordinator))));
        options.coordinator = Some(coordinator);
    }
    options
}

/// What does not fit together: sources for transactions of several, and a log of decisions.
pub(super) fn findings(config: &Config, sources: &Sources) -> Vec<String> {
    let (mut parts, mut last) = (0, Vec::new());
    for (source, driver) in sources.drivers() {
        match driver.writer().map_or(Prepare::No, |writer| writer.capabilities().prepare) {
            Prepare::Prepared => parts += 1,
            Prepare::Marker => last.push(format!("`{source}`")),
            Prepare::No => {}
        }
    }
    let mut findings = Vec::new();
    if config.transactions.is_some() && (parts == 0 || parts + last.len() < 2) {
        findings.push("[transactions] is there, and no two sources with `distributed = true` fit together".to_owned());
    }
    if config.transactions.is_some() && last.len() > 1 {
        findings.push(format!("a transaction changes one of {} at most: they cannot prepare", last.join(", ")));
    }
    let asked = config.sources.iter().find(|source| source.is_distributed());
    if let Some(source) = asked.filter(|_| config.transactions.is_none()) {
        findings.push(format!("source `{}` says `distributed = true`, and there is no [transactions]", source.name));
    }
    findings
}

/// `querygate.transactions` and `querygate.resolve`, for operators.
#[derive(Debug)]
struct Transactions(Arc<Coordinator>);

#[async_trait]
impl SystemExtension for Transactions {
    fn relations(&self) -> Vec<SystemRelation> {
        vec![RELATION]
    }

    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        let row = |one: Unsettled| {
            vec![
                Cell::Text(one.gid),
                Cell::text(one.state),
                Cell::Text(one.participants.join(", ")),
                Cell::optional(one.since, Cell::Time),
                Cell::optional(one.error, Cell::Text),
            ]
        };
        // Sources are named to operators only.
        RELATION.rows_for_operators(relation, reader, || self.0.unsettled().into_iter().map(row).collect())
    }

    fn procedures(&self) -> Vec<SystemProcedure> {
        let arguments = &[("gid", CellKind::Text), ("decision", CellKind::Text)];
        vec![SystemProcedure { name: RESOLVE, arguments, optional: 0 }]
    }

    async fn call(&self, procedure: &str, arguments: &[Cell], _caller: &Principal) -> Result<String> {
        if procedure != RESOLVE {
            return Err(Error::internal(format_args!("no procedure {procedure}")));
        }
        let [Cell::Text(gid), Cell::Text(decision)] = arguments else {
            return Err(Error::new(ErrorCode::NullValueNotAllowed, "a transaction and a decision are wanted"));
        };
        let fate = match decision.as_str() {
            "commit" => Fate::Committed,
            "abort" => Fate::RolledBack,
            _ => {
                let text = "the decision must be 'commit' or 'abort'";
                return Err(Error::new(ErrorCode::InvalidParameterValue, text));
            }
        };
        self.0.resolve(gid, fate).await
    }
}
