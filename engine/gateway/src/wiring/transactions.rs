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

const RELATION: &str = "transactions";
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

/// Whether sources can take part, one line for each that cannot, or not as others do.
pub(super) async fn findings(config: &Config, sources: &Sources) -> Vec<String> {
    if config.transactions.is_none() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut last = Vec::new();
    for (source, driver) in sources.drivers() {
        let Some(writer) = driver.writer() else { continue };
        match writer.capabilities().prepare {
            Prepare::Prepared => {}
            Prepare::Marker => last.push(format!("`{source}`")),
            Prepare::No => {
                findings.push(format!("source `{source}` cannot be changed together with others in one transaction"));
                continue;
            }
        }
        match writer.distributed_obstacles().await {
            Ok(obstacles) => {
                let told = |why| format!("source `{source}` cannot be changed together with others: {why}");
                findings.extend(obstacles.into_iter().map(told));
            }
            Err(error) => {
                findings
                    .push(format!("source `{source}` was not asked whether it can be changed with others: {error}"));
            }
        }
    }
    if last.len() > 1 {
        findings.push(format!("a transaction changes one of {} at most: they cannot prepare", last.join(", ")));
    }
    findings
}

/// `querygate.transactions` and `querygate.resolve`, for operators.
#[derive(Debug)]
struct Transactions(Arc<Coordinator>);

#[async_trait]
impl SystemExtension for Transactions {
    fn relations(&self) -> Vec<SystemRelation> {
        let columns = &[
            ("gid", CellKind::Text),
            ("state", CellKind::Text),
            ("participants", CellKind::Text),
            ("since", CellKind::Time),
            ("last_error", CellKind::Text),
        ];
        vec![SystemRelation { name: RELATION, columns }]
    }

    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        if relation != RELATION {
            return Err(Error::internal(format_args!("no relation {relation}")));
        }
        // Sources are named to operators only.
        if !reader.operator {
            return Ok(Vec::new());
        }
        let row = |one: Unsettled| {
            vec![
                Cell::Text(one.gid),
                Cell::text(one.state),
                Cell::Text(one.participants.join(", ")),
                Cell::optional(one.since, Cell::Time),
                Cell::optional(one.error, Cell::Text),
            ]
        };
        Ok(self.0.unsettled().into_iter().map(row).collect())
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
