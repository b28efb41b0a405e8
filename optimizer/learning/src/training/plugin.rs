//! Models as a plugin of learning: runs collected by source, training beside the thread under a share of the processor, models kept
//! with a checksum and shown.

use super::cardinality;
use super::latency;
use super::ran::Runs;
use super::source::{Card, Kept, NEW_LEAST, RUNS_MAX, Source};
use crate::plugin::Plugin;
use crate::telemetry::{Moment, Store, time_of};
use async_trait::async_trait;
use querygate_models::cardinality::Corrector;
use querygate_models::latency::Ladder;
use querygate_models::saved::{self, Saved};
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::system::{Cell, CellKind, SystemExtension, SystemRelation};
use querygate_types::Result;
use querygate_types::principal::Principal;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Sources that have models.
const SOURCES_MAX: usize = 64;
/// Time between two trainings, and its least multiple of what the last one took: half a hundredth of one processor. What a source's first
/// runs teach is trained in milliseconds, so that only sources with many runs wait longer.
const PAUSE: Duration = Duration::from_secs(30);
const PAUSE_FACTOR: u32 = 200;
/// Runs of one fragment that are learnt from in one batch: more of the same tell models nothing, and cost.
const FOLLOWED_PER_BATCH: usize = 50;

const KIND: &str = "model";
const CARD: &str = "model-card";
const ASIDE: &str = "model-aside";

const COLUMNS: &[(&str, CellKind)] = &[
    ("model", CellKind::Text),
    ("source", CellKind::Text),
    ("version", CellKind::Integer),
    ("state", CellKind::Text),
    ("detail", CellKind::Text),
    ("runs", CellKind::Integer),
    ("judged_on", CellKind::Integer),
    ("q50", CellKind::Float),
    ("q95", CellKind::Float),
    ("q99", CellKind::Float),
    ("mape", CellKind::Float),
    ("without_q95", CellKind::Float),
    ("trained", CellKind::Time),
    ("training_ms", CellKind::Float),
];
const RELATION: SystemRelation = SystemRelation { name: "models", columns: COLUMNS };

/// What training a source gave.
struct Trained {
    source: String,
    latency: Option<latency::Challenge>,
    cardinality: Option<cardinality::Challenge>,
    took: Duration,
}

/// For the store: ids and bytes.
type Documents = Vec<(String, Vec<u8>)>;

/// The plugin.
#[derive(Debug, Default)]
pub(crate) struct Models {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    runs: Runs,
    sources: BTreeMap<String, Source>,
    training: Option<Training>,
    free_at: Duration,
}

struct Training(JoinHandle<Trained>);

impl std::fmt::Debug for Training {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Training")
    }
}

impl Models {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to train the source with most new runs, if one is due.
    fn train(&self, now: Moment) {
        let state = &mut *self.state();
        if state.training.is_some() || now.running < state.free_at {
            return;
        }
        let due = state.sources.iter_mut().filter(|(_, source)| source.new >= NEW_LEAST);
        let Some((name, source)) = due.max_by_key(|(_, source)| source.new) else { return };
        source.new = 0;
        let (name, runs) = (name.clone(), source.runs.iter().cloned().collect::<Vec<_>>());
        let (adopted, corrector) = (source.adopted.clone(), source.corrector.clone());
        let seed = now.running.as_secs();
        state.training = Some(Training(tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let latency = latency::challenge(&runs, adopted.as_ref(), seed);
            let cardinality = cardinality::challenge(&runs, corrector.as_ref(), seed);
            Trained { source: name, latency, cardinality, took: began.elapsed() }
        })));
    }

    /// Takes what training gave; documents to write.
    async fn trained(&self, now: Moment) -> (Documents, Documents) {
        let finished = {
            let mut state = self.state();
            let done = state.training.as_ref().is_some_and(|training| training.0.is_finished());
            if done { state.training.take() } else { None }
        };
        let Some(Training(task)) = finished else { return Default::default() };
        let trained = task.await;
        let mut state = self.state();
        let trained = match trained {
            Ok(trained) => trained,
            Err(error) => {
                tracing::warn!(%error, "training ended without a model");
                state.free_at = now.running + PAUSE;
                return Default::default();
            }
        };
        state.free_at = now.running + PAUSE.max(trained.took * PAUSE_FACTOR);
        let Some(source) = state.sources.get_mut(&trained.source) else { return Default::default() };
        let mut changed = false;
        if let Some(found) = trained.latency {
            changed |= source.take_latency(found, now.seconds, trained.took);
        }
        if let Some(found) = trained.cardinality {
            changed |= source.take_cardinality(found, now.seconds, trained.took);
        }
        if !changed {
            return Default::default();
        }
        (source.documents(&trained.source), source.cards(&trained.source))
    }
}

#[async_trait]
impl Plugin for Models {
    fn name(&self) -> &'static str {
        "models"
    }

    async fn load(&self, store: &Store) -> Result<()> {
        let rows = store.fragments(i64::try_from(RUNS_MAX).unwrap_or(i64::MAX)).await?;
        let kept = store.all(KIND).await?;
        let cards: BTreeMap<String, Kept> = store.kept(CARD).await?.into_iter().collect();
        let mut aside = Vec::new();
        {
            let state = &mut *self.state();
            // The latest come first.
            for row in rows.iter().rev() {
                let run = state.runs.of_row(row);
                state.sources.entry(row.source.clone()).or_default().add(run);
            }
            for (id, bytes) in kept {
                let Some((model, source)) = id.split_once('/') else { continue };
                let source = state.sources.entry(source.to_owned()).or_default();
                let failure = match model {
                    "latency" => restore::<Ladder>(&bytes, |ladder| {
                        source.adopted = Some(ladder.clone());
                        source.ladder = ladder;
                        source.latency.loaded(cards.get(&id));
                    }),
                    "cardinality" => restore::<Corrector>(&bytes, |corrector| {
                        source.corrector = Some(corrector);
                        source.cardinality.loaded(cards.get(&id));
                    }),
                    _ => Some("a model of an unknown kind".to_owned()),
                };
                if let Some(why) = failure {
                    tracing::error!(model = id, why, "a saved model was set aside");
                    source.latency.detail = format!("set aside: {why}");
                    aside.push((id, bytes));
                }
            }
        }
        let ids: Vec<String> = aside.iter().map(|(id, _)| id.clone()).collect();
        store.put(ASIDE, &aside, 0).await?;
        store.remove(KIND, &ids).await
    }

    async fn follow(&self, records: &[StatementRecord], now: Moment, _store: &Store) -> Result<()> {
        let state = &mut *self.state();
        let mut followed: HashMap<u64, usize> = HashMap::new();
        for fragment in records.iter().flat_map(|record| &record.fragments) {
            let same = followed.entry(fragment.template.fingerprint).or_default();
            *same += 1;
            if *same > FOLLOWED_PER_BATCH {
                continue;
            }
            let Some(run) = state.runs.of_record(fragment, now.seconds) else { continue };
            let name = &*fragment.template.source;
            if !state.sources.contains_key(name) {
                if state.sources.len() >= SOURCES_MAX {
                    continue;
                }
                state.sources.insert(name.to_owned(), Source::default());
            }
            if let Some(source) = state.sources.get_mut(name) {
                source.add(run);
            }
        }
        Ok(())
    }

    async fn tick(&self, now: Moment, store: &Store) -> Result<()> {
        let (documents, cards) = self.trained(now).await;
        store.put(KIND, &documents, now.seconds).await?;
        store.put(CARD, &cards, now.seconds).await?;
        self.train(now);
        Ok(())
    }
}

/// Hands a saved model on; `Some`: why not.
fn restore<M: Saved>(bytes: &[u8], take: impl FnOnce(M)) -> Option<String> {
    match saved::load(bytes) {
        Ok(model) => {
            take(model);
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

#[async_trait]
impl SystemExtension for Models {
    fn relations(&self) -> Vec<SystemRelation> {
        vec![RELATION]
    }

    /// For operators: sources are named to nobody else.
    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        let of = |(name, source): (&String, &Source)| {
            [("latency", &source.latency), ("cardinality", &source.cardinality)]
                .map(|(model, card)| row(model, name, card, source.runs.len()))
        };
        RELATION.rows_for_operators(relation, reader, || self.state().sources.iter().flat_map(of).collect())
    }
}

fn row(model: &str, source: &str, card: &Card, runs: usize) -> Vec<Cell> {
    let float = |value: Option<f64>| Cell::optional(value.filter(|v| v.is_finite()), Cell::Float);
    let q = |at: usize| float(card.q.map(|q| q[at]));
    vec![
        Cell::text(model),
        Cell::text(source),
        Cell::count(card.version),
        Cell::text(card.state.unwrap_or("collecting")),
        Cell::text(&card.detail),
        Cell::count(runs as u64),
        Cell::count(card.judged_on as u64),
        q(0),
        q(1),
        q(2),
        float(card.mape),
        float(card.without),
        Cell::optional(card.trained, |at| Cell::Time(time_of(at))),
        Cell::Float(card.took.as_secs_f64() * 1e3),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, statement};
    use querygate_models::saved::LoadError;
    use serde::{Deserialize, Serialize};

    /// The state and version of a source's model of latencies.
    fn card(models: &Models) -> (Cell, Cell) {
        let operator = Principal::builder("root").operator(true).build();
        let rows = models.rows("models", &operator).unwrap();
        assert!(models.rows("models", &Principal::builder("sam").build()).unwrap().is_empty());
        (rows[0][3].clone(), rows[0][2].clone())
    }

    fn moment(running: u64) -> Moment {
        Moment { seconds: DAY, running: Duration::from_secs(running) }
    }

    #[tokio::test]
    async fn a_model_is_trained_kept_and_set_aside_when_damaged() {
        let (store, models) = (Store::in_memory().await.unwrap(), Models::default());
        let records: Vec<StatementRecord> = (0..400).map(|n| statement("sam", n % 9, 1 + n % 50, DAY)).collect();
        models.follow(&records, moment(1), &store).await.unwrap();
        assert_eq!(card(&models), (Cell::text("collecting"), Cell::Integer(0)));
        models.tick(moment(2), &store).await.unwrap();
        while card(&models).1 == Cell::Integer(0) {
            tokio::task::yield_now().await;
            models.tick(moment(3), &store).await.unwrap();
        }
        assert_eq!(card(&models), (Cell::text("active"), Cell::Integer(1)));
        let again = Models::default();
        again.load(&store).await.unwrap();
        assert_eq!(card(&again), (Cell::text("loaded"), Cell::Integer(1)));

        let kept = store.all(KIND).await.unwrap();
        let (id, bytes) = kept.into_iter().find(|(id, _)| id == "latency/crm").unwrap();
        let mut flipped = bytes.clone();
        flipped[40] ^= 1;
        let torn = bytes[..bytes.len() / 2].to_vec();
        for damaged in [flipped, torn, Vec::new(), saved::save(&Later).unwrap()] {
            store.put(KIND, &[(id.clone(), damaged.clone())], DAY).await.unwrap();
            let third = Models::default();
            third.load(&store).await.unwrap();
            assert_eq!(card(&third), (Cell::text("collecting"), Cell::Integer(0)));
            assert_eq!(store.all(ASIDE).await.unwrap(), [(id.clone(), damaged)]);
            assert!(store.all(KIND).await.unwrap().iter().all(|(kept, _)| *kept != id));
        }
    }

    /// A model of a later program.
    #[derive(Serialize, Deserialize)]
    struct Later;

    impl Saved for Later {
        const KIND: &'static str = Ladder::KIND;
        const VERSION: u16 = Ladder::VERSION + 1;

        fn check(&self) -> std::result::Result<(), LoadError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_source_that_changed_retires_its_model() {
        let (store, models) = (Store::in_memory().await.unwrap(), Models::default());
        let records: Vec<StatementRecord> = (0..400).map(|n| statement("sam", n % 9, 1 + n % 50, DAY)).collect();
        models.follow(&records, moment(1), &store).await.unwrap();
        while card(&models).1 == Cell::Integer(0) {
            models.tick(moment(2), &store).await.unwrap();
            tokio::task::yield_now().await;
        }
        let slow = |n: u64| {
            let mut record = statement("sam", n % 9, 1 + n % 50, DAY);
            // Longer each time: what was seen last says nothing of the next.
            record.fragments[0].total *= 1 << (n / 20).min(20);
            record
        };
        let records: Vec<StatementRecord> = (0..400).map(slow).collect();
        models.follow(&records, moment(3), &store).await.unwrap();
        assert_eq!(card(&models).0, Cell::text("retired"));
    }
}
