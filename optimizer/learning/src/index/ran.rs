//! What ran at the sources, a sum for each template of a fragment: how often, how long, for which statements. Bounded.

use querygate_models::sketch::DdSketch;
use querygate_query_api::telemetry::{FragmentRecord, FragmentShape, StatementRecord};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// Templates of fragments that are kept.
const KEPT_MAX: usize = 2_000;
/// Statements that are remembered with a fragment.
const TEMPLATES_MAX: usize = 3;
/// Longest native text that is kept: a longer one is a list of keys, and is left out.
const NATIVE_MAX: usize = 64 * 1024;
/// Relative error of the quantiles.
const ERROR: f64 = 0.02;

/// Sums of one fragment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ran {
    pub(crate) source: String,
    /// In the source's language, with its parameters open.
    pub(crate) text: String,
    pub(crate) shape: FragmentShape,
    /// Fingerprints of statements that it ran for.
    pub(crate) templates: Vec<u64>,
    pub(crate) runs: u64,
    pub(crate) rows: u64,
    /// Microseconds at the source, waiting for a connection left out.
    pub(crate) micros: u64,
    /// Milliseconds of complete runs since the source's indexes changed last.
    pub(crate) latency: DdSketch,
    /// UTC seconds.
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Ran {
    fn new(fragment: &FragmentRecord, seconds: i64) -> Self {
        let template = &fragment.template;
        Self {
            source: template.source.to_string(),
            text: template.text.to_string(),
            shape: template.shape.clone(),
            templates: Vec::new(),
            runs: 0,
            rows: 0,
            micros: 0,
            latency: DdSketch::new(ERROR),
            first: seconds,
            last: seconds,
        }
    }

    fn add(&mut self, statement: &StatementRecord, fragment: &FragmentRecord, seconds: i64) {
        let worked = fragment.total.saturating_sub(fragment.acquire);
        self.runs += 1;
        self.rows = self.rows.saturating_add(fragment.rows);
        self.micros = self.micros.saturating_add(u64::try_from(worked.as_micros()).unwrap_or(u64::MAX));
        if fragment.complete && fragment.error.is_none() {
            self.latency.add(worked.as_secs_f64() * 1e3);
        }
        if self.templates.len() < TEMPLATES_MAX && !self.templates.contains(&statement.fingerprint) {
            self.templates.push(statement.fingerprint);
        }
        self.first = self.first.min(seconds);
        self.last = self.last.max(seconds);
    }

    /// Median of complete runs since the indexes changed, with their number.
    pub(crate) fn median(&self) -> Option<(u64, f64)> {
        self.latency.quantile(0.5).map(|median| (self.latency.count(), median))
    }

    /// Begins to measure anew.
    pub(crate) fn restart(&mut self) {
        self.latency = DdSketch::new(ERROR);
    }
}

/// All of them, by fingerprint.
#[derive(Debug, Default)]
pub(crate) struct AllRan {
    pub(crate) all: HashMap<u64, Ran>,
    /// Not yet in the store.
    pub(crate) changed: BTreeSet<u64>,
    pub(crate) gone: Vec<u64>,
}

impl AllRan {
    pub(crate) fn follow(&mut self, record: &StatementRecord, seconds: i64) {
        for fragment in &record.fragments {
            // Keys of a join make another statement of it each time; what it costs is the join's business.
            if fragment.narrowed || fragment.template.text.len() > NATIVE_MAX {
                continue;
            }
            let key = fragment.template.fingerprint;
            let ran = self.all.entry(key).or_insert_with(|| Ran::new(fragment, seconds));
            ran.add(record, fragment, seconds);
            self.changed.insert(key);
        }
        if self.all.len() > KEPT_MAX {
            self.forget();
        }
    }

    /// Forgets an eighth: what took least time. A flood of templates that never come again drives out none that does.
    fn forget(&mut self) {
        let mut order: Vec<(u64, i64, u64)> = self.all.iter().map(|(key, ran)| (ran.micros, ran.last, *key)).collect();
        order.sort_unstable();
        for (_, _, key) in order.into_iter().take(KEPT_MAX / 8) {
            self.all.remove(&key);
            self.changed.remove(&key);
            self.gone.push(key);
        }
    }
}
