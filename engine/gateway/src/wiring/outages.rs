//! Says once in the log that a source cannot be reached, and once that it answers again, however many statements fail meanwhile.

use querygate_query::Engine;
use querygate_types::Error;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// How often is looked. No source is asked for it.
const EVERY: Duration = Duration::from_millis(500);

/// Looks again and again, for as long as the engine lives.
pub(super) fn keep(engine: &Arc<Engine>, runtime: &Handle) {
    let engine = Arc::downgrade(engine);
    runtime.spawn(async move {
        let mut outages = Outages::default();
        loop {
            sleep(EVERY).await;
            let Some(deployment) = engine.upgrade().map(|engine| engine.deployment()) else { return };
            for source in &deployment.sources {
                let away = source.driver.as_ref().and_then(|driver| driver.away());
                if let Some(turn) = outages.turn(&source.name, away, Instant::now()) {
                    turn.tell(&source.name);
                }
            }
        }
    });
}

/// Sources that are away, and since when.
#[derive(Debug, Default)]
struct Outages {
    since: BTreeMap<String, Instant>,
}

/// What became of a source.
#[derive(Debug)]
enum Turn {
    Gone(Error),
    /// After this time.
    Back(Duration),
}

impl Outages {
    /// What became of a source since it was looked at last. `None`: nothing.
    fn turn(&mut self, source: &str, away: Option<Error>, now: Instant) -> Option<Turn> {
        match away {
            Some(_) if self.since.contains_key(source) => None,
            Some(error) => {
                self.since.insert(source.to_owned(), now);
                Some(Turn::Gone(error))
            }
            None => self.since.remove(source).map(|since| Turn::Back(now.saturating_duration_since(since))),
        }
    }
}

impl Turn {
    fn tell(&self, source: &str) {
        match self {
            Self::Gone(error) => tracing::warn!(source, %error, cause = error.cause(), "a source cannot be reached"),
            Self::Back(away) => tracing::info!(source, ?away, "a source answers again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_types::ErrorCode;

    #[test]
    fn an_outage_begins_once_and_ends_once() {
        let mut outages = Outages::default();
        let start = Instant::now();
        let away = || Some(Error::new(ErrorCode::SourceUnavailable, "down"));
        assert!(outages.turn("shop", None, start).is_none());
        assert!(matches!(outages.turn("shop", away(), start), Some(Turn::Gone(_))));
        assert!(outages.turn("shop", away(), start).is_none());
        assert!(matches!(outages.turn("crm", away(), start), Some(Turn::Gone(_))), "each for itself");
        let end = start + Duration::from_secs(3);
        assert!(matches!(outages.turn("shop", None, end), Some(Turn::Back(away)) if away == Duration::from_secs(3)));
        assert!(outages.turn("shop", None, end).is_none());
        assert!(matches!(outages.turn("shop", away(), end), Some(Turn::Gone(_))), "another one");
    }
}
