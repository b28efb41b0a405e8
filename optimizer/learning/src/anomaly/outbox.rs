//! Alerts on their way: kept in the store until the receiver has them or days have passed. Knows no incident but its number.

use super::delivery;
use crate::options::WebhookOptions;
use crate::telemetry::{Moment, Store};
use querygate_types::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::task::JoinHandle;

const KIND: &str = "outbox";
/// Alerts that wait; the oldest goes when one more comes.
const WAITING_MAX: usize = 1_000;
/// Seconds after which an alert is no news any more.
const GIVE_UP: i64 = 3 * 86_400;
/// Longest pause between two tries, in seconds.
const PAUSE_MAX: i64 = 3_600;

/// An alert and its tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Letter {
    body: Vec<u8>,
    created: i64,
    tries: u32,
    next: i64,
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Delivered,
    GivenUp,
}

/// The alerts that wait, oldest first, and the one on its way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    letters: BTreeMap<u64, Letter>,
    under_way: Option<(u64, JoinHandle<std::result::Result<(), String>>)>,
    /// Alerts that went for want of room, still to be told of.
    dropped: Vec<u64>,
}

impl Outbox {
    pub(super) async fn load(&mut self, store: &Store) -> Result<()> {
        let kept = store.kept::<Letter>(KIND).await?;
        self.letters = kept.into_iter().filter_map(|(id, letter)| Some((id.parse().ok()?, letter))).collect();
        Ok(())
    }

    pub(super) fn has(&self, id: u64) -> bool {
        self.letters.contains_key(&id)
    }

    /// Takes an alert in, on disk before anything is sent. Where the disk takes nothing, it waits in memory.
    pub(super) async fn post(&mut self, id: u64, body: Vec<u8>, now: Moment, store: &Store) -> Result<()> {
        let letter = Letter { body, created: now.seconds, tries: 0, next: now.seconds };
        self.letters.insert(id, letter.clone());
        let mut gone = Vec::new();
        while self.letters.len() > WAITING_MAX {
            let Some((oldest, _)) = self.letters.pop_first() else { break };
            self.dropped.push(oldest);
            gone.push(oldest.to_string());
        }
        store.keep(KIND, &id.to_string(), &letter, now.seconds).await?;
        if gone.is_empty() { Ok(()) } else { store.remove(KIND, &gone).await }
    }

    /// Sends what is due, one at a time and beside the caller; tells what became of those before.
    pub(super) async fn work(
        &mut self,
        webhook: &WebhookOptions,
        now: Moment,
        store: &Store,
    ) -> (Vec<(u64, Outcome)>, Result<()>) {
        let mut done: Vec<(u64, Outcome)> =
            std::mem::take(&mut self.dropped).into_iter().map(|id| (id, Outcome::GivenUp)).collect();
        let mut worked = Ok(());
        if let Some((id, task)) = self.under_way.take() {
            if !task.is_finished() {
                self.under_way = Some((id, task));
                return (done, worked);
            }
            let sent = task.await.unwrap_or_else(|_| Err("the delivery did not finish".to_owned()));
            let (outcome, written) = self.sent(id, sent, now, store).await;
            done.extend(outcome.map(|outcome| (id, outcome)));
            worked = written;
        }
        // A clock that went back must not hold alerts up: nothing is due later than the longest pause from now.
        let due = |letter: &Letter| letter.next <= now.seconds || letter.next > now.seconds + PAUSE_MAX;
        if let Some((id, letter)) = self.letters.iter().find(|(_, letter)| due(letter)) {
            let (id, body, webhook) = (*id, letter.body.clone(), webhook.clone());
            let task = tokio::spawn(async move { delivery::send(&webhook, id, now.seconds, body).await });
            self.under_way = Some((id, task));
        }
        (done, worked)
    }

    async fn sent(
        &mut self,
        id: u64,
        sent: std::result::Result<(), String>,
        now: Moment,
        store: &Store,
    ) -> (Option<Outcome>, Result<()>) {
        let Some(letter) = self.letters.get_mut(&id) else { return (None, Ok(())) };
        letter.tries = letter.tries.saturating_add(1);
        let outcome = match sent {
            Ok(()) => Outcome::Delivered,
            Err(why) if now.seconds.saturating_sub(letter.created) >= GIVE_UP => {
                tracing::error!(alert = id, why, tries = letter.tries, "an alert could not be delivered for days");
                Outcome::GivenUp
            }
            Err(why) => {
                tracing::warn!(alert = id, why, tries = letter.tries, "an alert was not delivered; it is tried again");
                letter.next = now.seconds.saturating_add(pause(letter.tries));
                return (None, store.keep(KIND, &id.to_string(), letter, now.seconds).await);
            }
        };
        self.letters.remove(&id);
        (Some(outcome), store.remove(KIND, &[id.to_string()]).await)
    }
}

/// Seconds before the next try: 1, 2, 4 … an hour.
fn pause(tries: u32) -> i64 {
    1_i64.checked_shl(tries.saturating_sub(1).min(12)).unwrap_or(PAUSE_MAX).min(PAUSE_MAX)
}
