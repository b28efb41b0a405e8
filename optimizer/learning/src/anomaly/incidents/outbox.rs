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
pub(in crate::anomaly) enum Outcome {
    Delivered,
    GivenUp,
}

/// The alerts that wait, oldest first, and the one on its way.
#[derive(Debug, Default)]
pub(in crate::anomaly) struct Outbox {
    letters: BTreeMap<u64, Letter>,
    under_way: Option<(u64, JoinHandle<std::result::Result<(), String>>)>,
    /// Alerts that went for want of room, still to be told of.
    dropped: Vec<u64>,
}

impl Outbox {
    pub(in crate::anomaly) async fn load(&mut self, store: &Store) -> Result<()> {
        let kept = store.kept::<Letter>(KIND).await?;
        self.letters = kept.into_iter().filter_map(|(id, letter)| Some((id.parse().ok()?, letter))).collect();
        Ok(())
    }

    pub(in crate::anomaly) fn has(&self, id: u64) -> bool {
        self.letters.contains_key(&id)
    }

    /// Takes an alert in, on disk before anything is sent. Where the disk takes nothing, it waits in memory.
    pub(in crate::anomaly) async fn post(&mut self, id: u64, body: Vec<u8>, now: Moment, store: &Store) -> Result<()> {
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
    pub(in crate::anomaly) async fn work(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::DAY;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn at(seconds: i64) -> Moment {
        Moment { seconds, running: std::time::Duration::ZERO }
    }

    fn webhook(port: u16) -> WebhookOptions {
        WebhookOptions::new(&format!("http://127.0.0.1:{port}/"), b"0123456789abcdef").unwrap()
    }

    /// A port where nobody listens.
    async fn silent() -> WebhookOptions {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        webhook(listener.local_addr().unwrap().port())
    }

    /// Works until the delivery that is under way has ended.
    async fn worked(
        outbox: &mut Outbox,
        webhook: &WebhookOptions,
        now: Moment,
        store: &Store,
    ) -> (Vec<(u64, Outcome)>, Result<()>) {
        let begun = outbox.work(webhook, now, store).await;
        assert!(begun.0.is_empty() && begun.1.is_ok(), "{begun:?}");
        while outbox.under_way.as_ref().is_some_and(|(_, task)| !task.is_finished()) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        outbox.work(webhook, now, store).await
    }

    #[tokio::test]
    async fn an_alert_that_nobody_takes_waits_longer_each_time_and_is_given_up_after_days() {
        let (store, webhook, mut outbox) = (Store::in_memory().await.unwrap(), silent().await, Outbox::default());
        outbox.post(7, b"{}".to_vec(), at(DAY), &store).await.unwrap();
        let mut pauses = Vec::new();
        let mut now = DAY;
        for _ in 0..14 {
            let (done, kept) = worked(&mut outbox, &webhook, at(now), &store).await;
            assert!(done.is_empty() && kept.is_ok(), "{done:?} {kept:?}");
            pauses.push(outbox.letters[&7].next - now);
            now = outbox.letters[&7].next;
        }
        assert_eq!(pauses[..5], [1, 2, 4, 8, 16]);
        assert_eq!(pauses[13], PAUSE_MAX);
        // The tries are kept: a restart begins where the last process ended.
        let mut again = Outbox::default();
        again.load(&store).await.unwrap();
        assert_eq!(again.letters, outbox.letters);
        let (done, kept) = worked(&mut again, &webhook, at(DAY + GIVE_UP), &store).await;
        assert!(kept.is_ok() && done == [(7, Outcome::GivenUp)], "{done:?} {kept:?}");
        assert!(!again.has(7) && store.all(KIND).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_disk_that_takes_nothing_keeps_no_alert_from_its_receiver() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let webhook = webhook(listener.local_addr().unwrap().port());
        let (store, mut outbox) = (Store::in_memory().await.unwrap(), Outbox::default());
        store.pragma("PRAGMA query_only = ON").await;
        assert!(outbox.post(7, b"{}".to_vec(), at(DAY), &store).await.is_err());
        assert_eq!(store.trouble().as_deref(), Some("the file cannot be written"));
        let taken = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut came = Vec::new();
            while !came.ends_with(b"{}") {
                assert!(stream.read_buf(&mut came).await.unwrap() > 0);
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
        });
        let (done, kept) = worked(&mut outbox, &webhook, at(DAY), &store).await;
        taken.await.unwrap();
        assert_eq!(done, [(7, Outcome::Delivered)]);
        assert!(kept.is_err() && !outbox.has(7), "sent, and said that the disk did not take note: {kept:?}");
    }

    #[tokio::test]
    async fn the_oldest_gives_way_and_a_clock_that_went_back_holds_nothing_up() {
        let (store, webhook, mut outbox) = (Store::in_memory().await.unwrap(), silent().await, Outbox::default());
        for id in 0..=WAITING_MAX as u64 {
            outbox.post(id, b"{}".to_vec(), at(DAY), &store).await.unwrap();
        }
        assert_eq!(store.all(KIND).await.unwrap().len(), WAITING_MAX);
        let (done, _) = outbox.work(&webhook, at(DAY), &store).await;
        assert_eq!(done, [(0, Outcome::GivenUp)], "told of, not lost in silence");
        while outbox.under_way.as_ref().is_some_and(|(_, task)| !task.is_finished()) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // A year back: everything is due, nothing is given up.
        let (done, kept) = outbox.work(&webhook, at(DAY - 365 * 86_400), &store).await;
        assert!(done.is_empty() && kept.is_ok() && outbox.under_way.is_some());
    }
}
