//! The keys of one issuer as long as the gate runs: fetched with the first token, again at an age and when a token names one that is not
//! among them. What the issuer answers takes the place of what was there; where it does not answer, the last keys hold for a time.

use crate::config::{IssuerConfig, KeySource};
use crate::fetch::Fetcher;
use crate::key_set::KeySet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Mutex as Turn;

/// Between two fetches while there are no keys at all.
const PAUSE_WITHOUT: Duration = Duration::from_secs(2);
/// Into how many parts the age at which keys are fetched is cut while the issuer does not answer.
const TRIES: u32 = 10;

/// The kept keys of an issuer.
pub(crate) struct Keys {
    issuer: String,
    source: KeySource,
    fetcher: Fetcher,
    /// Between two fetches at least.
    pause: Duration,
    age: Duration,
    kept_for: Duration,
    kept: Mutex<Kept>,
    /// One fetches; others wait for what it gets.
    turn: Turn<()>,
}

#[derive(Default)]
struct Kept {
    good: Option<Good>,
    tried: Option<Instant>,
    /// Whether a task fetches at an age.
    is_followed: bool,
}

/// What the issuer answered, and when it last did.
struct Good {
    keys: Arc<KeySet>,
    since: Instant,
}

impl Keys {
    pub(crate) fn new(config: &IssuerConfig, fetcher: Fetcher) -> Self {
        Self {
            issuer: config.issuer.clone(),
            source: config.keys.clone(),
            fetcher,
            pause: config.refetch_pause,
            age: config.keys_age,
            kept_for: config.keys_kept,
            kept: Mutex::default(),
            turn: Turn::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last answer, unless it is too old to hold: then its keys end.
    fn held(&self) -> Option<Arc<KeySet>> {
        let mut kept = self.lock();
        let good = kept.good.as_ref()?;
        if good.since.elapsed() < self.kept_for {
            return Some(Arc::clone(&good.keys));
        }
        good.keys.end();
        kept.good = None;
        let seconds = self.kept_for.as_secs();
        tracing::error!(
            issuer = self.issuer,
            seconds,
            "an issuer answers no longer: its last keys end, and its tokens are refused until it answers"
        );
        None
    }

    /// The keys as they are known. `None`: none are, and there are none to be had now.
    pub(crate) async fn current(self: &Arc<Self>) -> Option<Arc<KeySet>> {
        let keys = match self.held() {
            Some(keys) => keys,
            None => self.newer(None).await?,
        };
        self.follow();
        Some(keys)
    }

    /// The keys after a fetch, where one is due. `than`: keys that were not enough.
    pub(crate) async fn newer(&self, than: Option<&Arc<KeySet>>) -> Option<Arc<KeySet>> {
        let _turn = self.turn.lock().await;
        let known = self.held();
        let changed = match (&known, than) {
            (Some(known), Some(than)) => !Arc::ptr_eq(known, than),
            (Some(_), None) | (None, _) => false,
        };
        // Another one fetched them while this one waited.
        if changed || !self.is_due() {
            return known;
        }
        // Before the answer: a caller that goes away meanwhile has tried too, and no other begins a fetch beside this one.
        self.lock().tried = Some(Instant::now());
        let fetched = self.fetcher.keys(&self.issuer, &self.source).await;
        self.lock().tried = Some(Instant::now());
        match fetched {
            Ok(keys) => Some(self.take(keys)),
            Err(why) => {
                let (issuer, kept) = (&self.issuer, known.is_some());
                tracing::warn!(issuer, why, kept, "keys of an issuer cannot be fetched");
                self.held()
            }
        }
    }

    /// What the issuer answered takes the place of what was there, whatever it holds: it says by what it signs, and by what no more.
    fn take(&self, mut keys: KeySet) -> Arc<KeySet> {
        let mut kept = self.lock();
        let since = Instant::now();
        if let Some(good) = kept.good.as_mut().filter(|good| good.keys.is_like(&keys)) {
            good.since = since;
            return Arc::clone(&good.keys);
        }
        let ended = kept.good.as_ref().map_or(0, |good| keys.replace(&good.keys));
        let issuer = &self.issuer;
        keys.tell_left_out(issuer);
        if keys.count() == 0 {
            tracing::error!(
                issuer,
                ended,
                "an issuer publishes no key that checks signatures: its tokens are refused until it does"
            );
        } else if ended > 0 {
            tracing::info!(issuer, ended, "an issuer withdrew keys: tokens by them end");
        }
        let keys = Arc::new(keys);
        kept.good = Some(Good { keys: Arc::clone(&keys), since });
        keys
    }

    fn is_due(&self) -> bool {
        let kept = self.lock();
        let pause = if kept.good.is_some() { self.pause } else { self.pause.min(PAUSE_WITHOUT) };
        kept.tried.is_none_or(|tried| tried.elapsed() >= pause)
    }

    /// Fetches at an age from now on, whether or not tokens come: sessions that older ones opened end with the keys. One task does it, as
    /// long as the issuer is known and has keys that hold.
    fn follow(self: &Arc<Self>) {
        if std::mem::replace(&mut self.lock().is_followed, true) {
            return;
        }
        let followed = Followed(Arc::downgrade(self));
        tokio::spawn(async move {
            while let Some(wait) = followed.keys().and_then(|keys| keys.next_look()) {
                tokio::time::sleep(wait).await;
                let Some(keys) = followed.keys() else { return };
                keys.newer(None).await;
            }
        });
    }

    /// How long until keys are fetched by their age, or end by it. `None`: there are none.
    fn next_look(&self) -> Option<Duration> {
        self.held()?;
        let kept = self.lock();
        let elapsed = kept.good.as_ref()?.since.elapsed();
        let until_end = self.kept_for.saturating_sub(elapsed);
        let until_old = self.age.saturating_sub(elapsed);
        Some(if until_old.is_zero() {
            (self.age / TRIES).max(self.pause).min(until_end)
        } else {
            until_old.min(until_end)
        })
    }
}

/// The keys that a task follows. A task that is dropped, with its runtime, leaves them to the next one.
struct Followed(Weak<Keys>);

impl Followed {
    fn keys(&self) -> Option<Arc<Keys>> {
        self.0.upgrade()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(keys) = self.keys() {
            keys.lock().is_followed = false;
        }
    }
}
