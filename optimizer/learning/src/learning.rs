//! The whole of learning: takes records, and hands them in batches to the store and the plugins, on a thread of its own. Knows no
//! plugin's business.

use crate::anomaly::Anomalies;
use crate::learning_state::LearningState;
use crate::options::LearningOptions;
use crate::otlp::Export;
use crate::plans::PlanAdvice;
use crate::plugin::Plugin;
use crate::telemetry::{Counts, Store, queue};
use crate::templates::Templates;
use crate::thread::LearningThread;
use crate::training::Models;
use async_trait::async_trait;
use querygate_telemetry_api::advice::PlanAdvisor;
use querygate_telemetry_api::system::{Cell, CellKind, SystemExtension, SystemRelation};
use querygate_telemetry_api::{RunAccumulator, StatementRecord, Telemetry};
use querygate_types::principal::Principal;
use querygate_types::{Error, Result};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver as Ended, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long the end of a gate waits for its last records.
const PATIENCE: Duration = Duration::from_secs(5);

/// Learning, running. Dropping it ends the thread after a last batch.
#[derive(Debug)]
pub struct Learning {
    shared: Arc<LearningState>,
    plugins: Vec<Arc<dyn Plugin>>,
    plans: Arc<PlanAdvice>,
    traces: bool,
    stop: CancellationToken,
    ended: Mutex<Ended<()>>,
}

impl Learning {
    /// Starts the thread. Plugins follow in this order, after the sums of templates, the anomalies, the models and the plans.
    ///
    /// # Errors
    /// Internal: no thread.
    pub fn start(options: LearningOptions, plugins: Vec<Arc<dyn Plugin>>) -> Result<Arc<Self>> {
        let counts = Arc::new(Counts::default());
        let (queue, receiver) = queue(options.queue_max, Arc::clone(&counts));
        let shared = Arc::new(LearningState {
            queue,
            counts,
            store: OnceLock::new(),
            errors: AtomicU64::new(0),
            started: Instant::now(),
        });
        let templates: Arc<dyn Plugin> = Arc::new(Templates::default());
        let anomalies: Arc<dyn Plugin> = Arc::new(Anomalies::new(options.clone()));
        let models: Arc<dyn Plugin> = Arc::new(Models::default());
        let plans = PlanAdvice::new();
        let advice: Arc<dyn Plugin> = Arc::<PlanAdvice>::clone(&plans);
        let traces = options.otlp.is_some();
        let export = options.otlp.clone().map(|otlp| Arc::new(Export::new(otlp)) as Arc<dyn Plugin>);
        let plugins: Vec<Arc<dyn Plugin>> =
            [templates, anomalies, models, advice].into_iter().chain(plugins).chain(export).collect();
        let stop = CancellationToken::new();
        let (end, ended) = sync_channel(1);
        let mut thread = LearningThread::new(Arc::clone(&shared), plugins.clone(), options, receiver, stop.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
        std::thread::Builder::new()
            .name("learning".to_owned())
            .spawn(move || {
                runtime.block_on(thread.run());
                // From here on the queue takes nothing, also where there never was a store.
                drop(thread);
                runtime.shutdown_timeout(Duration::from_secs(1));
                drop(end);
            })
            .map_err(Error::internal)?;
        Ok(Arc::new(Self { shared, plugins, plans, traces, stop, ended: Mutex::new(ended) }))
    }

    /// Who chooses among valid plans.
    #[must_use]
    pub fn advisor(&self) -> Arc<dyn PlanAdvisor> {
        Arc::<PlanAdvice>::clone(&self.plans)
    }

    /// What schema `querygate` shows of it.
    #[must_use]
    pub fn extensions(self: &Arc<Self>) -> Vec<Arc<dyn SystemExtension>> {
        let plugins = self.plugins.iter().map(|plugin| Arc::clone(plugin) as Arc<dyn SystemExtension>);
        std::iter::once(Arc::clone(self) as Arc<dyn SystemExtension>).chain(plugins).collect()
    }

    /// Waits, within a bound, until everything that was handed over is in the file.
    pub fn close(&self) {
        self.stop.cancel();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match ended.recv_timeout(PATIENCE) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => tracing::warn!("the last telemetry was not written in time"),
        }
    }
}

impl Drop for Learning {
    fn drop(&mut self) {
        self.close();
    }
}

impl Telemetry for Learning {
    fn record(&self, record: StatementRecord) {
        self.shared.queue.offer(record);
    }

    fn is_pressed(&self) -> bool {
        self.shared.queue.gathering.is_pressed()
    }

    fn collect(&self, runs: &Arc<RunAccumulator>) -> bool {
        self.shared.queue.gathering.begin(runs)
    }

    fn traces(&self) -> bool {
        self.traces
    }
}

const TELEMETRY: &[(&str, CellKind)] = &[
    ("state", CellKind::Text),
    ("detail", CellKind::Text),
    ("running_seconds", CellKind::Integer),
    ("taken", CellKind::Integer),
    ("waiting", CellKind::Integer),
    ("dropped", CellKind::Integer),
    ("written", CellKind::Integer),
    ("thinned", CellKind::Integer),
    ("failed_batches", CellKind::Integer),
    ("errors", CellKind::Integer),
    ("file_bytes", CellKind::Integer),
    ("summed", CellKind::Integer),
];
const RELATION: SystemRelation = SystemRelation { name: "telemetry", columns: TELEMETRY };

#[async_trait]
impl SystemExtension for Learning {
    fn relations(&self) -> Vec<SystemRelation> {
        vec![RELATION]
    }

    /// How learning is, for operators: numbers of all statements are nobody else's business.
    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        RELATION.rows_for_operators(relation, reader, || vec![self.telemetry()])
    }
}

impl Learning {
    /// The row of `querygate.telemetry`.
    fn telemetry(&self) -> Vec<Cell> {
        let (shared, counts) = (&self.shared, &self.shared.counts);
        let store = shared.store.get();
        let trouble = store.and_then(Store::trouble);
        let state = match (store, &trouble) {
            (None, _) => "starting",
            (Some(_), None) => "running",
            (Some(_), Some(_)) => "troubled",
        };
        let count = |counter| Cell::count(Counts::of(counter));
        vec![
            Cell::text(state),
            Cell::optional(trouble, Cell::Text),
            Cell::count(shared.started.elapsed().as_secs()),
            count(&counts.taken),
            Cell::count(shared.queue.waiting() as u64),
            count(&counts.dropped),
            count(&counts.written),
            count(&counts.thinned),
            count(&counts.failed),
            count(&shared.errors),
            Cell::count(store.map_or(0, Store::size)),
            count(&counts.summed),
        ]
    }
}
