//! The keys of one issuer as long as the gate runs: fetched when they are asked for, again when a token names one that is not among
//! them or when they are old, and kept where the issuer does not answer.

use crate::config::KeySource;
use crate::fetch::Fetcher;
use crate::key_set::KeySet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex as Turn;

/// Between two fetches while there are no keys at all.
const PAUSE_WITHOUT: Duration = Duration::from_secs(2);
/// Age at which keys are fetched again, so that one that the issuer withdrew ends.
const AGE_MAX: Duration = Duration::from_secs(600);

/// The kept keys of an issuer.
pub(crate) struct Keys {
    issuer: String,
    source: KeySource,
    fetcher: Fetcher,
    /// Between two fetches at least.
    pause: Duration,
    kept: Mutex<Kept>,
    /// One fetches; others wait for what it gets.
    turn: Turn<()>,
}

#[derive(Default)]
struct Kept {
    good: Option<(Arc<KeySet>, Instant)>,
    tried: Option<Instant>,
}

impl Keys {
    pub(crate) fn new(issuer: String, source: KeySource, fetcher: Fetcher, pause: Duration) -> Self {
        Self { issuer, source, fetcher, pause, kept: Mutex::default(), turn: Turn::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys as they are known. `None`: none ever were, and there are none to be had now.
    pub(crate) async fn current(self: &Arc<Self>) -> Option<Arc<KeySet>> {
        let good = self.lock().good.clone();
        let Some((keys, since)) = good else { return self.newer(None).await };
        if since.elapsed() >= AGE_MAX && self.is_due() {
            // No token waits for it: the known keys hold meanwhile.
            let own = Arc::clone(self);
            tokio::spawn(async move { own.newer(None).await });
        }
        Some(keys)
    }

    /// The keys after a fetch, where one is due. `than`: keys that were not enough.
    pub(crate) async fn newer(&self, than: Option<&Arc<KeySet>>) -> Option<Arc<KeySet>> {
        let _turn = self.turn.lock().await;
        let known = self.lock().good.as_ref().map(|(keys, _)| Arc::clone(keys));
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
        let now = Instant::now();
        let mut kept = self.lock();
        kept.tried = Some(now);
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                kept.good = Some((Arc::clone(&keys), now));
                Some(keys)
            }
            Err(why) => {
                tracing::warn!(
                    issuer = self.issuer,
                    why,
                    kept = known.is_some(),
                    "keys of an issuer cannot be fetched"
                );
                known
            }
        }
    }

    fn is_due(&self) -> bool {
        let kept = self.lock();
        let pause = if kept.good.is_some() { self.pause } else { self.pause.min(PAUSE_WITHOUT) };
        kept.tried.is_none_or(|tried| tried.elapsed() >= pause)
    }
}
