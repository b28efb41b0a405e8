//! Bounds and places of an engine, with their defaults.

use arrow::array::RecordBatch;
use querygate_catalog::deployment::Deployment;
use querygate_catalog::leaf::FilesOf;
use querygate_events::{Events, History};
use querygate_metadata::model::Object;
use querygate_query_api::requests::question::AnswerColumn;
use querygate_resources::{BlockLimits, ShareBounds};
use querygate_telemetry_api::Telemetry;
use querygate_telemetry_api::advice::PlanAdvisor;
use querygate_telemetry_api::system::{Holder, SystemExtension};
use querygate_transactions::Coordinator;
use querygate_types::Result;
use querygate_workers::gate::WorkerPool;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where changes are kept, and how rows are printed for those who follow them.
#[derive(Debug, Clone)]
pub struct EventFeed {
    pub log: Arc<Events>,
    /// Prints rows as objects of JSON, with commas between.
    pub print: fn(&Arc<[AnswerColumn]>, &RecordBatch, &mut String) -> Result<()>,
}

/// The workers of a gate, and which tables they can read.
#[derive(Clone)]
pub struct EngineWorkers {
    pub pool: Arc<WorkerPool>,
    pub files: FilesOf,
}

impl std::fmt::Debug for EngineWorkers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineWorkers").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// Bounds and places of a gate. Sizes in bytes.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Memory that all statements together may hold.
    pub memory_total: usize,
    /// Memory that one statement may hold.
    pub memory_per_query: usize,
    /// Memory that all of one user may hold: statements, cursors, what is prepared, what waits to be read.
    pub memory_per_user: usize,
    /// Where statements spill; `None`: the system's temporary folder.
    pub spill_dir: Option<PathBuf>,
    /// Temporary files of all statements together.
    pub spill_max: u64,
    /// Statements that run at the same time.
    pub queries_max: usize,
    /// Those of one user.
    pub queries_per_user_max: usize,
    /// Statements that wait for their turn; more are refused.
    pub queries_waiting_max: usize,
    /// Rows of one result; `None`: any number.
    pub rows_max: Option<u64>,
    /// How long a statement waits for its turn.
    pub queue_timeout: Duration,
    pub sessions_max: usize,
    /// Those of one user.
    pub sessions_per_user_max: usize,
    /// What results may hold of the sources' connections.
    pub source_shares: ShareBounds,
    /// Start value of `statement_timeout`; `None`: no limit.
    pub statement_timeout: Option<Duration>,
    /// Append-only audit file.
    pub audit: Option<PathBuf>,
    /// Degree of parallelism of one statement.
    pub target_partitions: usize,
    /// Start value of `querygate.verify_sample`: the share of pushed reads, from 0 to 1, that are also computed here and
    /// compared.
    pub verify_sample: f64,
    /// Where records of finished statements go.
    pub telemetry: Option<Arc<dyn Telemetry>>,
    /// Further relations and procedures of schema `querygate`.
    pub extensions: Vec<Arc<dyn SystemExtension>>,
    /// Who tells what users hold beside their sessions.
    pub holders: Vec<Arc<dyn Holder>>,
    /// Who chooses among valid plans.
    pub advisor: Option<Arc<dyn PlanAdvisor>>,
    /// Whether INSERT, UPDATE and DELETE are taken at all; each source says so for itself, too.
    pub writes: bool,
    /// How long a transaction may take part in a source that it changes.
    pub block_limits: BlockLimits,
    /// Who commits transactions that change several sources; `None`: each changes one.
    pub coordinator: Option<Arc<Coordinator>>,
    /// Where changes are kept for those who follow them; `None`: nowhere.
    pub events: Option<EventFeed>,
    /// Where old and new values of tracked fields are kept; `None`: nowhere.
    pub history: Option<Arc<History>>,
    /// Who reads leaves over files in other processes; `None`: the gate alone.
    pub workers: Option<EngineWorkers>,
}

impl EngineOptions {
    /// Says of which fields history is kept.
    pub(super) fn track(&self, deployment: &Deployment) {
        let Some(history) = &self.history else { return };
        let fields = |object: &Object| {
            let names: BTreeSet<String> = object.tracked_fields().map(|field| field.name.clone()).collect();
            (!names.is_empty()).then(|| (object.name.clone(), names))
        };
        history.track(deployment.snapshot.objects.values().filter_map(|object| fields(object)).collect());
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            memory_total: 4 << 30,
            memory_per_query: 1 << 30,
            memory_per_user: 2 << 30,
            spill_dir: None,
            spill_max: 32 << 30,
            queries_max: 64,
            queries_per_user_max: 32,
            queries_waiting_max: 1_000,
            rows_max: None,
            queue_timeout: Duration::from_secs(30),
            sessions_max: 1_000,
            sessions_per_user_max: 500,
            source_shares: ShareBounds::default(),
            statement_timeout: None,
            audit: None,
            target_partitions: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            verify_sample: 0.0,
            telemetry: None,
            extensions: Vec::new(),
            holders: Vec::new(),
            advisor: None,
            writes: false,
            block_limits: BlockLimits::default(),
            coordinator: None,
            events: None,
            history: None,
            workers: None,
        }
    }
}
