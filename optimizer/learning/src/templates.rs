//! What the statements of a template add up to, per principal: counts, rows, errors, quantiles of latency. Kept incrementally and
//! bounded; knows no single statement.

use crate::plugin::Plugin;
use crate::telemetry::{Moment, Store, seconds_of, time_of};
use async_trait::async_trait;
use querygate_models::sketch::DdSketch;
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::system::{Cell, CellKind, SystemExtension, SystemRelation};
use querygate_types::Result;
use querygate_types::principal::Principal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Templates of principals that are kept; beyond, those that were seen least go first.
const KEPT_MAX: usize = 5_000;
/// Longest text that is kept here.
const TEXT_MAX: usize = 2_000;
/// Relative error of the quantiles.
const ERROR: f64 = 0.02;
/// Kind of the documents.
const KIND: &str = "template";

const COLUMNS: &[(&str, CellKind)] = &[
    ("fingerprint", CellKind::Text),
    ("template", CellKind::Text),
    ("login", CellKind::Text),
    ("principals", CellKind::Integer),
    ("objects", CellKind::Text),
    ("statements", CellKind::Integer),
    ("errors", CellKind::Integer),
    ("rows", CellKind::Integer),
    ("bytes", CellKind::Integer),
    ("total_ms", CellKind::Float),
    ("mean_ms", CellKind::Float),
    ("p50_ms", CellKind::Float),
    ("p95_ms", CellKind::Float),
    ("p99_ms", CellKind::Float),
    ("planning_ms", CellKind::Float),
    ("cached", CellKind::Integer),
    ("first_seen", CellKind::Time),
    ("last_seen", CellKind::Time),
];
const RELATION: SystemRelation = SystemRelation { name: "templates", columns: COLUMNS };

/// Sums of one template, of one principal or of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sums {
    text: String,
    objects: String,
    statements: u64,
    errors: u64,
    rows: u64,
    bytes: u64,
    total_us: u64,
    planning_us: u64,
    cached: u64,
    /// Milliseconds.
    latency: DdSketch,
    /// UTC seconds.
    first: i64,
    last: i64,
}

impl Sums {
    fn new(record: &StatementRecord) -> Self {
        let seconds = seconds_of(record.started);
        Self {
            text: record.template.chars().take(TEXT_MAX).collect(),
            objects: record.objects.join(", "),
            statements: 0,
            errors: 0,
            rows: 0,
            bytes: 0,
            total_us: 0,
            planning_us: 0,
            cached: 0,
            latency: DdSketch::new(ERROR),
            first: seconds,
            last: seconds,
        }
    }

    fn add(&mut self, record: &StatementRecord) {
        let seconds = seconds_of(record.started);
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.statements += 1;
        self.errors += u64::from(record.error.is_some());
        self.rows = self.rows.saturating_add(record.rows);
        self.bytes = self.bytes.saturating_add(record.bytes);
        self.total_us = self.total_us.saturating_add(micros(record.total));
        self.planning_us = self.planning_us.saturating_add(micros(record.planning));
        self.cached += u64::from(record.cached);
        self.latency.add(record.total.as_secs_f64() * 1e3);
        self.first = self.first.min(seconds);
        self.last = self.last.max(seconds_of(record.last()));
        let Some(more) = &record.more else { return };
        self.statements += more.runs;
        self.rows = self.rows.saturating_add(more.rows);
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.total_us = self.total_us.saturating_add(micros(more.total.sum()));
        self.planning_us = self.planning_us.saturating_add(micros(more.planning.sum()));
        self.cached += more.cached;
        more.total.each().for_each(|(time, runs)| self.latency.add_times(time.as_secs_f64() * 1e3, runs));
    }

    fn merge(&mut self, other: &Self) {
        self.statements += other.statements;
        self.errors += other.errors;
        self.rows = self.rows.saturating_add(other.rows);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.total_us = self.total_us.saturating_add(other.total_us);
        self.planning_us = self.planning_us.saturating_add(other.planning_us);
        self.cached += other.cached;
        // All sketches have the same error.
        let _ = self.latency.merge(&other.latency);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

type Key = (u64, Arc<str>);

#[derive(Debug, Default)]
struct State {
    sums: HashMap<Key, Sums>,
    changed: BTreeSet<Key>,
    gone: Vec<Key>,
}

/// The plugin that keeps them.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    state: Mutex<State>,
}

impl Templates {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets an eighth: what was seen least, then longest ago. A flood of templates that never come again drives out no
    /// template that does.
    fn forget(&mut self) {
        let mut order: Vec<(u64, i64, &Key)> =
            self.sums.iter().map(|(key, sums)| (sums.statements.min(3), sums.last, key)).collect();
        order.sort_unstable();
        let gone: Vec<Key> = order.into_iter().take(KEPT_MAX / 8).map(|(_, _, key)| key.clone()).collect();
        for key in gone {
            self.sums.remove(&key);
            self.changed.remove(&key);
            self.gone.push(key);
        }
    }
}

fn id((fingerprint, login): &Key) -> String {
    format!("{fingerprint:016x}{login}")
}

fn key(id: &str) -> Option<Key> {
    let (fingerprint, login) = id.split_at_checked(16)?;
    Some((u64::from_str_radix(fingerprint, 16).ok()?, login.into()))
}

#[async_trait]
impl Plugin for Templates {
    fn name(&self) -> &'static str {
        "templates"
    }

    async fn load(&self, store: &Store) -> Result<()> {
        let kept = store.kept::<Sums>(KIND).await?;
        let sound = kept.into_iter().filter(|(_, sums)| querygate_models::saved::Saved::check(&sums.latency).is_ok());
        self.state().sums = sound.filter_map(|(id, sums)| Some((key(&id)?, sums))).take(KEPT_MAX).collect();
        Ok(())
    }

    async fn follow(&self, records: &[StatementRecord], now: Moment, store: &Store) -> Result<()> {
        let (changed, gone) = {
            let state = &mut *self.state();
            for record in records {
                let key = (record.fingerprint, Arc::clone(&record.login));
                state.sums.entry(key.clone()).or_insert_with(|| Sums::new(record)).add(record);
                state.changed.insert(key);
                if state.sums.len() > KEPT_MAX {
                    state.forget();
                }
            }
            let bytes = |key: &Key| state.sums.get(key).and_then(|sums| postcard::to_allocvec(sums).ok());
            let changed: Vec<(String, Vec<u8>)> =
                state.changed.iter().filter_map(|key| Some((id(key), bytes(key)?))).collect();
            let gone: Vec<String> = state.gone.iter().map(id).collect();
            (changed, gone)
        };
        store.remove(KIND, &gone).await?;
        store.put(KIND, &changed, now.seconds).await?;
        // Only what was written is forgotten as changed: this thread alone changes it.
        let mut state = self.state();
        state.changed.clear();
        state.gone.clear();
        Ok(())
    }

    async fn tick(&self, _now: Moment, _store: &Store) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl SystemExtension for Templates {
    fn relations(&self) -> Vec<SystemRelation> {
        vec![RELATION]
    }

    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        RELATION.check_name(relation)?;
        let state = self.state();
        if !reader.operator {
            let own = state.sums.iter().filter(|((_, login), _)| reader.may_see_work_of(login));
            return Ok(own.map(|((fingerprint, login), sums)| row(*fingerprint, Some(&**login), 1, sums)).collect());
        }
        let mut all: BTreeMap<u64, (u64, &str, Sums)> = BTreeMap::new();
        for ((fingerprint, login), sums) in &state.sums {
            let whole = all
                .entry(*fingerprint)
                .or_insert_with(|| (0, &**login, Sums { latency: DdSketch::new(ERROR), ..sums.clone() }));
            if whole.0 == 0 {
                whole.2 = sums.clone();
            } else {
                whole.2.merge(sums);
            }
            whole.0 += 1;
        }
        let row = |(fingerprint, (principals, login, sums)): (u64, (u64, &str, Sums))| {
            row(fingerprint, (principals == 1).then_some(login), principals, &sums)
        };
        Ok(all.into_iter().map(row).collect())
    }
}

fn row(fingerprint: u64, login: Option<&str>, principals: u64, sums: &Sums) -> Vec<Cell> {
    let quantile = |level| Cell::optional(sums.latency.quantile(level), Cell::Float);
    let millis = |micros: u64| std::time::Duration::from_micros(micros).as_secs_f64() * 1e3;
    let mean = |micros: u64| {
        Cell::Float(std::time::Duration::from_micros(micros / sums.statements.max(1)).as_secs_f64() * 1e3)
    };
    vec![
        Cell::Text(format!("{fingerprint:016x}")),
        Cell::text(&sums.text),
        Cell::optional(login, Cell::text),
        Cell::count(principals),
        Cell::text(&sums.objects),
        Cell::count(sums.statements),
        Cell::count(sums.errors),
        Cell::count(sums.rows),
        Cell::count(sums.bytes),
        Cell::Float(millis(sums.total_us)),
        mean(sums.total_us),
        quantile(0.5),
        quantile(0.95),
        quantile(0.99),
        mean(sums.planning_us),
        Cell::count(sums.cached),
        Cell::Time(time_of(sums.first)),
        Cell::Time(time_of(sums.last)),
    ]
}
