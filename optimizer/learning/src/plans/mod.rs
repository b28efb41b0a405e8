//! The plan advisor: keeps a contest of plans for each template, principal and magnitude of rows, answers the engine from memory,
//! and shows its evidence. Knows no plan; measures nothing itself.

mod arm;
mod contest;
mod procedures;
mod rows;
#[cfg(test)]
mod simulation;

use crate::plugin::Plugin;
use crate::telemetry::{Moment, Store};
use async_trait::async_trait;
use contest::{Contest, State};
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::advice::{Advice, Choice, Lost, PlanAdvisor, Question, Variant};
use querygate_types::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Contests that are kept. Beyond, new templates run without advice until old ones have gone.
const CONTESTS_MAX: usize = 4_000;
/// A contest that nobody ran for so long may go, in seconds.
const IDLE: i64 = 3_600;
/// Points of the history of what was saved and spent.
const POINTS_MAX: usize = 1_440;
/// Seconds between two points.
const POINT_EVERY: i64 = 10;
/// Seconds between two writes.
const KEEP_EVERY: i64 = 30;
/// Kinds of the documents.
const KIND: &str = "plans";
const HISTORY: &str = "plan_history";
/// Longest text of a template that is kept here.
const TEXT_MAX: usize = 2_000;

/// What a contest is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    fingerprint: u64,
    login: String,
    band: u8,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    key: Key,
    template: String,
    contest: Contest,
    /// UTC seconds of the last run.
    last: i64,
}

/// What was saved and spent up to a moment, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Point {
    at: i64,
    saved: f64,
    spent: f64,
}

#[derive(Debug, Default)]
struct Book {
    entries: HashMap<Key, Entry>,
    changed: BTreeSet<Key>,
    gone: Vec<Key>,
    history: VecDeque<Point>,
    /// Saved and spent by contests that are gone.
    before: (f64, f64),
    kept_at: i64,
    /// How often a plan was given up elsewhere, less how often it is pinned: what did badly for others is tried last.
    luck: BTreeMap<Variant, i64>,
}

/// The plan advisor of a gate.
#[derive(Debug, Default)]
pub(crate) struct PlanAdvice {
    book: Mutex<Book>,
    /// UTC seconds, as the learning thread last said.
    now: AtomicI64,
}

impl PlanAdvice {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> (i64, u64) {
        let now = self.now.load(Ordering::Relaxed);
        (now, u64::try_from(now).unwrap_or(0))
    }
}

fn key(question: &Question<'_>) -> Key {
    Key { fingerprint: question.fingerprint, login: question.login.to_owned(), band: question.band }
}

impl PlanAdvisor for PlanAdvice {
    fn choose(&self, question: &Question<'_>) -> Advice {
        let (seconds, now) = self.now();
        let book = &mut *self.book();
        let key = key(question);
        if !book.entries.contains_key(&key) && book.entries.len() >= CONTESTS_MAX {
            return Advice::NONE;
        }
        let entry = book.entries.entry(key.clone()).or_insert_with(|| Entry {
            key,
            template: question.template.chars().take(TEXT_MAX).collect(),
            contest: Contest::default(),
            last: seconds,
        });
        entry.last = seconds;
        let mut variants = question.variants.to_vec();
        variants.sort_by_key(|variant| book.luck.get(variant).copied().unwrap_or(0));
        entry.contest.choose(&variants, now)
    }

    fn explain(&self, question: &Question<'_>) -> (Advice, String) {
        let book = self.book();
        let Some(contest) = book.entries.get(&key(question)).map(|entry| &entry.contest) else {
            return (Advice::NONE, "it has not run yet".to_owned());
        };
        rows::explained(contest, question.variants)
    }

    fn lost(&self, question: &Question<'_>, variant: Variant, lost: Lost) {
        let (_, now) = self.now();
        let book = &mut *self.book();
        let key = key(question);
        if let Some(entry) = book.entries.get_mut(&key) {
            entry.contest.lost(variant, lost, now);
            book.changed.insert(key);
        }
    }
}

impl Book {
    fn follow(&mut self, record: &StatementRecord, choice: &Choice, now: u64) {
        let Some(variant) = Variant::from_name(&choice.alternative) else { return };
        // A failed run says nothing of how long it would have taken.
        if record.error.is_some() {
            return;
        }
        let key = Key { fingerprint: record.fingerprint, login: record.login.to_string(), band: choice.band };
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.contest.ran(variant, choice.stage, record.total.as_secs_f64(), now);
            self.changed.insert(key);
        }
    }

    /// Saved and spent in all, in seconds.
    fn sums(&self) -> (f64, f64) {
        let rivals = self.entries.values().flat_map(|entry| &entry.contest.rivals);
        rivals.fold(self.before, |(saved, spent), rival| (saved + rival.saved, spent + rival.spent))
    }

    fn point(&mut self, now: i64) {
        if self.history.back().is_some_and(|last| now.saturating_sub(last.at) < POINT_EVERY && now >= last.at) {
            return;
        }
        let (saved, spent) = self.sums();
        if self.history.len() >= POINTS_MAX {
            // Every second one goes, so that the whole time stays in view.
            let mut keep = false;
            self.history.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.history.push_back(Point { at: now, saved, spent });
    }

    fn look_around(&mut self) {
        self.luck.clear();
        for rival in self.entries.values().flat_map(|entry| &entry.contest.rivals) {
            let Some(variant) = rival.variant() else { continue };
            *self.luck.entry(variant).or_insert(0) += match rival.state {
                State::Pinned => -2,
                State::Suspended { .. } => 1,
                State::Candidate | State::Trial => 0,
            };
        }
    }

    /// Makes room: contests that nobody runs any more go, the oldest first. What a person decided stays.
    fn evict(&mut self, now: i64) {
        if self.entries.len() < CONTESTS_MAX {
            return;
        }
        let idle = |entry: &&Entry| {
            let decided = entry.contest.fixed.is_some() || entry.contest.off;
            !decided && (now.saturating_sub(entry.last) >= IDLE || entry.contest.rivals.is_empty())
        };
        let mut old: Vec<(i64, Key)> =
            self.entries.values().filter(idle).map(|entry| (entry.last, entry.key.clone())).collect();
        old.sort();
        for (_, key) in old.into_iter().take(CONTESTS_MAX / 10) {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &Key) -> bool {
        let Some(entry) = self.entries.remove(key) else { return false };
        for rival in &entry.contest.rivals {
            self.before.0 += rival.saved;
            self.before.1 += rival.spent;
        }
        self.changed.remove(key);
        self.gone.push(key.clone());
        true
    }
}

fn id(key: &Key) -> String {
    format!("{:016x}/{}/{}", key.fingerprint, key.band, key.login)
}

#[async_trait]
impl Plugin for PlanAdvice {
    fn name(&self) -> &'static str {
        "plans"
    }

    async fn load(&self, store: &Store) -> Result<()> {
        let entries: Vec<(String, Entry)> = store.kept(KIND).await?;
        let history: Vec<(String, (Vec<Point>, (f64, f64)))> = store.kept(HISTORY).await?;
        let book = &mut *self.book();
        for (_, entry) in entries.into_iter().take(CONTESTS_MAX) {
            if entry.contest.is_sound() {
                book.entries.insert(entry.key.clone(), entry);
            }
        }
        if let Some((_, (points, before))) = history.into_iter().next() {
            book.history.extend(points.into_iter().take(POINTS_MAX));
            book.before = before;
        }
        Ok(())
    }

    async fn follow(&self, records: &[StatementRecord], now: Moment, _store: &Store) -> Result<()> {
        self.now.store(now.seconds, Ordering::Relaxed);
        let seconds = u64::try_from(now.seconds).unwrap_or(0);
        let book = &mut *self.book();
        for record in records {
            if let Some(choice) = &record.choice {
                book.follow(record, choice, seconds);
            }
        }
        Ok(())
    }

    async fn tick(&self, now: Moment, store: &Store) -> Result<()> {
        self.now.store(now.seconds, Ordering::Relaxed);
        let (changed, gone, before, history) = {
            let book = &mut *self.book();
            book.evict(now.seconds);
            if book.entries.is_empty() && book.gone.is_empty() {
                return Ok(());
            }
            book.look_around();
            book.point(now.seconds);
            if now.seconds.saturating_sub(book.kept_at) < KEEP_EVERY && now.seconds >= book.kept_at {
                return Ok(());
            }
            let before = std::mem::replace(&mut book.kept_at, now.seconds);
            let changed = std::mem::take(&mut book.changed);
            let changed: Vec<Entry> = changed.iter().filter_map(|key| book.entries.get(key).cloned()).collect();
            let points: Vec<Point> = book.history.iter().copied().collect();
            (changed, std::mem::take(&mut book.gone), before, (points, book.before))
        };
        let bodies = changed.iter().filter_map(|entry| Some((id(&entry.key), postcard::to_allocvec(entry).ok()?)));
        let bodies: Vec<(String, Vec<u8>)> = bodies.collect();
        let written = async {
            // First: one that went may have begun anew since.
            store.remove(KIND, &gone.iter().map(id).collect::<Vec<_>>()).await?;
            store.put(KIND, &bodies, now.seconds).await?;
            store.keep(HISTORY, "all", &history, now.seconds).await
        };
        let written = written.await;
        if written.is_err() {
            let book = &mut *self.book();
            book.changed.extend(changed.into_iter().map(|entry| entry.key));
            book.gone.extend(gone);
            book.kept_at = before;
        }
        written
    }
}
