//! Transactions that are not settled, in memory: what is decided of each, and which sources do not know it yet.

use super::lock;
use crate::log::{Entry, Party, Step};
use querygate_driver_api::write::Fate;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest pause between two attempts to settle.
const PAUSE_MAX: Duration = Duration::from_secs(60);
const PAUSE_FIRST: Duration = Duration::from_millis(250);

/// What is known of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Its session prepares and decides it.
    Deciding,
    /// This party's commit was the decision, and its answer is missing.
    Asking(Party),
    /// It is decided.
    Settling(Fate),
    /// The record of its commit may be on disk, or not: the next start reads it.
    InDoubt,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) state: State,
    /// Sources that have not done yet what is decided.
    pub(super) parties: Vec<Party>,
    pub(super) since: SystemTime,
    pub(super) error: Option<String>,
    /// The log holds a record of it that has no end.
    pub(super) is_logged: bool,
    /// Whose marker is to be removed after everything is settled.
    pub(super) marker: Option<Party>,
    tries: u32,
    next: Instant,
    is_busy: bool,
}

/// All of them, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<BTreeMap<u64, Page>>);

impl Page {
    fn new(state: State, parties: Vec<Party>, since: SystemTime, is_logged: bool) -> Self {
        let next = Instant::now();
        Self { state, parties, since, error: None, is_logged, marker: None, tries: 0, next, is_busy: false }
    }

    fn is_due(&self, now: Instant) -> bool {
        let waits = match self.state {
            State::Asking(_) | State::Settling(_) => true,
            State::Deciding | State::InDoubt => false,
        };
        waits && !self.is_busy && self.next <= now
    }
}

impl Book {
    /// What a log said at the start.
    pub(super) fn of(entries: Vec<Entry>) -> Self {
        let page = |entry: Entry| {
            let since = |ms| UNIX_EPOCH + Duration::from_millis(ms);
            let page = match entry.step {
                Step::Ask { last, parties, since_ms } => Page {
                    marker: Some(last.clone()),
                    ..Page::new(State::Asking(last), parties, since(since_ms), true)
                },
                Step::Commit { parties, since_ms } => {
                    Page::new(State::Settling(Fate::Committed), parties, since(since_ms), true)
                }
                Step::Abort { parties, since_ms } => {
                    Page::new(State::Settling(Fate::RolledBack), parties, since(since_ms), true)
                }
                Step::End => return None,
            };
            Some((entry.number, page))
        };
        Self(Mutex::new(entries.into_iter().filter_map(page).collect()))
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    pub(super) fn has(&self, number: u64) -> bool {
        lock(&self.0).contains_key(&number)
    }

    pub(super) fn page(&self, number: u64) -> Option<Page> {
        lock(&self.0).get(&number).cloned()
    }

    pub(super) fn pages(&self) -> Vec<(u64, Page)> {
        lock(&self.0).iter().map(|(number, page)| (*number, page.clone())).collect()
    }

    /// A transaction that its session is about to decide.
    pub(super) fn begin(&self, number: u64, parties: Vec<Party>) {
        lock(&self.0).insert(number, Page::new(State::Deciding, parties, SystemTime::now(), false));
    }

    pub(super) fn change(&self, number: u64, change: impl FnOnce(&mut Page)) {
        if let Some(page) = lock(&self.0).get_mut(&number) {
            change(page);
        }
    }

    /// It is decided. `parties`: those that are left to do it, for the background from `after` on.
    pub(super) fn decide(&self, number: u64, fate: Fate, parties: Vec<Party>, after: Duration) {
        self.change(number, |page| {
            page.state = State::Settling(fate);
            page.parties = parties;
            page.next = Instant::now() + after;
        });
    }

    /// A party has done what is decided. Whether it was the last one.
    pub(super) fn settled(&self, number: u64, party: &Party) -> bool {
        let mut pages = lock(&self.0);
        let Some(page) = pages.get_mut(&number) else { return false };
        page.parties.retain(|known| known != party);
        page.parties.is_empty()
    }

    /// It is over.
    pub(super) fn end(&self, number: u64) -> Option<Page> {
        lock(&self.0).remove(&number)
    }

    /// Those that are to be settled now, each given to one caller until it [`rest`](Self::rest)s.
    pub(super) fn take_due(&self, most: usize) -> Vec<u64> {
        let now = Instant::now();
        let mut pages = lock(&self.0);
        let due = pages.iter_mut().filter(|(_, page)| page.is_due(now)).take(most);
        due.map(|(number, page)| {
            page.is_busy = true;
            *number
        })
        .collect()
    }

    /// Takes one whatever its pause. `false`: it is gone, or somebody has it.
    pub(super) fn take(&self, number: u64) -> bool {
        lock(&self.0).get_mut(&number).is_some_and(|page| !std::mem::replace(&mut page.is_busy, true))
    }

    /// It is tried as soon as somebody can.
    pub(super) fn hurry(&self, number: u64) {
        self.change(number, |page| page.next = Instant::now());
    }

    /// It is tried again after a pause, each longer than the one before.
    pub(super) fn rest(&self, number: u64) {
        self.change(number, |page| {
            page.is_busy = false;
            page.next = Instant::now() + PAUSE_FIRST.saturating_mul(1 << page.tries.min(16)).min(PAUSE_MAX);
            page.tries = page.tries.saturating_add(1);
        });
    }

    /// How many are older than this.
    pub(super) fn older_than(&self, age: Duration) -> Vec<u64> {
        let now = SystemTime::now();
        let is_old = |page: &Page| now.duration_since(page.since).unwrap_or_default() > age;
        lock(&self.0).iter().filter(|(_, page)| is_old(page)).map(|(number, _)| *number).collect()
    }
}
