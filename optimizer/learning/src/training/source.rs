//! One source's runs and models: what a run teaches, when a model is taken, when it is retired. Trains nothing itself.

use super::cardinality;
use super::latency::{self, Errors};
use super::ran::Ran;
use querygate_models::cardinality::Corrector;
use querygate_models::latency::Ladder;
use querygate_models::saved;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Runs of a source that are trained on: the latest.
pub(super) const RUNS_MAX: usize = 5_000;
/// New runs before training is worth it.
pub(super) const NEW_LEAST: usize = 200;
/// Runs that the recent error is the mean of, and how much larger than promised it may become.
const RECENT: f64 = 200.0;
const DRIFTED: f64 = 2.0;
const SLACK: f64 = 0.3;

/// What is shown of a model.
#[derive(Debug, Clone, Default)]
pub(super) struct Card {
    pub(super) version: u64,
    pub(super) state: Option<&'static str>,
    pub(super) detail: String,
    pub(super) runs: usize,
    pub(super) judged_on: usize,
    pub(super) q: Option<[f64; 3]>,
    pub(super) mape: Option<f64>,
    /// What the source's estimate alone, or the model before, reaches.
    pub(super) without: Option<f64>,
    pub(super) trained: Option<i64>,
    pub(super) took: Duration,
}

/// What is kept of a card with its model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    version: u64,
    judged_on: u64,
    q: Option<[f64; 3]>,
    mape: Option<f64>,
    without: Option<f64>,
    trained: Option<i64>,
}

impl Card {
    fn kept(&self) -> Kept {
        let Self { version, q, mape, without, trained, .. } = *self;
        Kept { version, judged_on: self.judged_on as u64, q, mape, without, trained }
    }

    /// The card of a model of an earlier process.
    pub(super) fn loaded(&mut self, kept: Option<&Kept>) {
        self.state = Some("loaded");
        if let Some(Kept { version, judged_on, q, mape, without, trained }) = kept.copied() {
            self.judged_on = usize::try_from(judged_on).unwrap_or(usize::MAX);
            (self.version, self.q, self.mape, self.without, self.trained) = (version, q, mape, without, trained);
        }
    }
}

/// A source's runs and models.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) runs: VecDeque<Ran>,
    pub(super) new: usize,
    pub(super) ladder: Ladder,
    /// The ladder as it was adopted, for judging its successor.
    pub(super) adopted: Option<Ladder>,
    pub(super) promised: Option<f64>,
    pub(super) recent: f64,
    pub(super) corrector: Option<Corrector>,
    pub(super) latency: Card,
    pub(super) cardinality: Card,
}

impl Source {
    pub(super) fn add(&mut self, run: Ran) {
        let known = run.latency();
        if let Some(promised) = self.promised {
            let miss = (known.seconds.max(1e-5) / self.ladder.predict(&known.fragment, known.at).p50).ln().abs();
            self.recent += (miss.min(10.0) - self.recent) / RECENT;
            if self.recent > DRIFTED * promised + SLACK {
                self.retire();
            }
        }
        self.ladder.observe(&known);
        self.runs.push_back(run);
        if self.runs.len() > RUNS_MAX {
            self.runs.pop_front();
        }
        self.new += 1;
    }

    /// The source is not what it was: the law of the latest runs answers until there is a new model.
    pub(super) fn retire(&mut self) {
        let mut fresh = Ladder::default();
        let latest = self.runs.len().saturating_sub(NEW_LEAST);
        self.runs.iter().skip(latest).for_each(|run| fresh.observe(&run.latency()));
        (self.ladder, self.adopted, self.promised) = (fresh, None, None);
        self.latency.state = Some("retired");
        self.latency.detail = "its errors became larger than promised".to_owned();
    }

    pub(super) fn take_latency(&mut self, found: latency::Challenge, seconds: i64, took: Duration) -> bool {
        let Errors { q, mape, mean, runs } = found.errors;
        let card = &mut self.latency;
        (card.runs, card.took) = (self.runs.len(), took);
        let Some(mut ladder) = found.ladder else {
            card.detail = format!("the last successor was no better (q95 {:.2})", q[1]);
            return false;
        };
        *card = Card {
            version: card.version + 1,
            state: Some("active"),
            judged_on: runs,
            q: Some(q),
            mape: Some(mape),
            without: found.champion.map(|old| old.q[1]),
            trained: Some(seconds),
            detail: String::new(),
            ..card.clone()
        };
        self.adopted = Some(ladder.clone());
        // What ran while it was trained.
        let missed = self.runs.len().saturating_sub(self.new);
        self.runs.iter().skip(missed).for_each(|run| ladder.observe(&run.latency()));
        self.ladder = ladder;
        (self.promised, self.recent) = (Some(mean), mean);
        true
    }

    pub(super) fn take_cardinality(&mut self, found: cardinality::Challenge, seconds: i64, took: Duration) -> bool {
        let card = &mut self.cardinality;
        (card.runs, card.took, card.judged_on) = (self.runs.len(), took, found.runs);
        let Some(corrector) = found.corrector else {
            card.state = Some(if self.corrector.is_some() { "active" } else { "not better" });
            card.detail = format!("the last successor was no better (q95 {:.2})", found.judgement.corrected[1]);
            return false;
        };
        (card.version, card.state, card.detail) = (card.version + 1, Some("active"), String::new());
        (card.q, card.without) = (Some(found.judgement.corrected), Some(found.judgement.source[1]));
        card.trained = Some(seconds);
        self.corrector = Some(corrector);
        true
    }

    /// Models as bytes with a checksum, for the store.
    pub(super) fn documents(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let ladder = saved::save(&self.ladder).ok().map(|bytes| (format!("latency/{name}"), bytes));
        let corrector = self.corrector.as_ref().and_then(|one| saved::save(one).ok());
        ladder.into_iter().chain(corrector.map(|bytes| (format!("cardinality/{name}"), bytes))).collect()
    }

    /// The cards of the models, under the same ids.
    pub(super) fn cards(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let cards = [("latency", &self.latency), ("cardinality", &self.cardinality)];
        let one =
            |(model, card): (&str, &Card)| Some((format!("{model}/{name}"), postcard::to_allocvec(&card.kept()).ok()?));
        cards.into_iter().filter_map(one).collect()
    }
}
