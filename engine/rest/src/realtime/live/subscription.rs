//! One answer that is kept up to date: first the whole of it, then what changes of it. At most one question of it is under way, and nothing
//! is read before what was found is taken.

use super::kept::{Change, Difference, Found, Kept};
use super::reading::{Reading, object_of};
use crate::call::Call;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::site::Site;
use crate::work::Held;
use futures::stream::{BoxStream, unfold};
use futures::{FutureExt, StreamExt};
use querygate_query_api::holding::Occupation;
use querygate_query_api::requests::tracking::{Stale, StaleStream};
use querygate_types::json::print::quoted;
use querygate_types::principal::Principal;
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How soon an answer is asked for again, at the least.
const PAUSE: Duration = Duration::from_millis(50);
/// How much longer a pause is than the question took, so that a client takes a third of the gate's time at most.
const PAUSE_FACTOR: u32 = 2;
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Keys that are asked for at once; of more, everything is.
const KEYS_MAX: usize = 500;
/// Bytes that one message aims at.
const PIECE_BYTES: usize = 64 << 10;

/// What a client asks to be kept up to date.
#[derive(Debug)]
pub(in crate::realtime) struct Wish {
    /// How the client calls it.
    pub(in crate::realtime) id: String,
    /// A QueryAST with its object.
    pub(in crate::realtime) query: Value,
    /// How often it is asked again, whatever the gate hears of.
    pub(in crate::realtime) every: Option<Duration>,
}

/// An answer that is kept up to date.
pub(in crate::realtime) struct Live {
    site: Arc<Site>,
    id: String,
    reading: Reading,
    stale: StaleStream,
    every: Option<Duration>,
    kept: Kept,
    /// What was kept and what is to be sent, charged to the user.
    held: Held,
    /// Shows that it goes on to those who may end its session.
    _shown: Box<dyn Send + Sync>,
    ready: VecDeque<String>,
    has_begun: bool,
    /// When it may be asked again, and when it is whatever comes.
    not_before: Instant,
    due: Option<Instant>,
}

impl Live {
    /// # Errors
    /// The question cannot be asked, or not be kept up to date.
    pub(in crate::realtime) async fn begin(
        site: &Arc<Site>,
        principal: &Arc<Principal>,
        call: &Call,
        wish: Wish,
    ) -> Result<Self, Refusal> {
        let Wish { id, query, every } = wish;
        let object = object_of(&query)?;
        let reading = Reading::begin(site, principal, call, &object, query).await?;
        let tracking = reading.tracking(every.is_some()).await?;
        // Before the first question: what changes meanwhile is heard of.
        let stale = reading.work().session().track(tracking).await?;
        Ok(Self {
            site: Arc::clone(site),
            id,
            stale,
            every,
            kept: Kept::new(reading.is_ordered()),
            held: reading.work().held(),
            _shown: reading.work().session().occupy(Occupation::LiveAnswer, &object),
            reading,
            ready: VecDeque::new(),
            has_begun: false,
            not_before: Instant::now(),
            due: None,
        })
    }

    /// The messages for the client, as they are taken, up to the one that ends them. A caller that stops waiting for the next one loses none.
    pub(in crate::realtime) fn messages(self) -> BoxStream<'static, Result<String, Refusal>> {
        let messages = unfold(Some(self), |live| async move {
            let mut live = live?;
            let message = live.next().await;
            let goes_on = message.is_ok();
            Some((message, goes_on.then_some(live)))
        });
        messages.boxed()
    }

    async fn next(&mut self) -> Result<String, Refusal> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                if self.ready.is_empty() {
                    self.held.set(self.kept.bytes())?;
                }
                return Ok(message);
            }
            let stale = if self.has_begun { self.wait().await? } else { Stale::All };
            self.ask(stale).await?;
        }
    }

    /// What is to be asked again, after the pause.
    async fn wait(&mut self) -> Result<Stale, Refusal> {
        let due = self.due;
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let mut stale = tokio::select! {
            stale = self.stale.next() => match stale {
                Some(stale) => stale?,
                None => return Err(Refusal::new(Code::ServiceUnavailable, "The gate sends no more events.")),
            },
            () = timer => Stale::All,
            // It is refused when it is asked again.
            () = self.reading.work().session().ended() => Stale::All,
        };
        tokio::time::sleep_until(self.not_before).await;
        // What came meanwhile is asked with it.
        while let Some(Some(more)) = self.stale.next().now_or_never() {
            stale = both(stale, more?);
        }
        Ok(stale)
    }

    async fn ask(&mut self, stale: Stale) -> Result<(), Refusal> {
        let permit = self.site.live_turns.acquire().await;
        let begun = Instant::now();
        let keys = match stale {
            Stale::Keys(keys) if self.reading.takes_keys() => Some(keys),
            Stale::Keys(_) | Stale::All => None,
        };
        let found = self.reading.read(keys.as_deref(), &self.kept).await?;
        drop(permit);
        let printed: usize = found.iter().map(Found::bytes).sum();
        self.held.set(self.kept.bytes().saturating_add(printed.saturating_mul(2)))?;
        let difference = match &keys {
            Some(keys) => self.kept.merge(keys, found),
            None => self.kept.replace(found),
        };
        self.tell(difference);
        self.has_begun = true;
        let pause = begun.elapsed().saturating_mul(PAUSE_FACTOR).clamp(PAUSE, PAUSE_MAX);
        self.not_before = Instant::now() + pause;
        if keys.is_none() {
            self.due = self.every.map(|every| Instant::now() + every);
        }
        let waiting: usize = self.ready.iter().map(String::len).sum();
        self.held.set(self.kept.bytes().saturating_add(waiting))?;
        Ok(())
    }

    /// Messages for what is different.
    fn tell(&mut self, difference: Difference) {
        let Difference { changes, order } = difference;
        if self.has_begun && changes.is_empty() && order.is_none() {
            return;
        }
        let (kind, list) = if self.has_begun { ("delta", "changes") } else { ("result", "records") };
        let head = |out: &mut String| {
            out.push_str("{\"type\":\"");
            out.push_str(kind);
            out.push_str("\",\"id\":");
            quoted(&self.id, out);
            out.push_str(",\"");
            out.push_str(list);
            out.push_str("\":[");
        };
        let mut out = String::new();
        head(&mut out);
        let mut is_first = true;
        for change in &changes {
            if out.len() >= PIECE_BYTES {
                out.push_str("],\"last\":false}");
                self.ready.push_back(std::mem::take(&mut out));
                head(&mut out);
                is_first = true;
            }
            if !is_first {
                out.push(',');
            }
            is_first = false;
            print(change, self.has_begun, &mut out);
        }
        out.push(']');
        if let Some(order) = order.filter(|_| self.has_begun) {
            out.push_str(",\"order\":[");
            for (at, key) in order.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quoted(key, &mut out);
            }
            out.push(']');
        }
        out.push_str(",\"last\":true}");
        self.ready.push_back(out);
    }
}

/// A change, or a record of the first answer.
fn print(change: &Change, has_begun: bool, out: &mut String) {
    match change {
        Change::Add { key, record } if !has_begun => {
            out.push_str("{\"key\":");
            quoted(key, out);
            out.push_str(",\"record\":");
            out.push_str(record);
            out.push('}');
        }
        Change::Add { .. } | Change::Replace { .. } | Change::Remove { .. } => change.print(out),
    }
}

fn both(one: Stale, other: Stale) -> Stale {
    match (one, other) {
        (Stale::Keys(one), Stale::Keys(other)) => {
            let keys: BTreeSet<String> = one.into_iter().chain(other).collect();
            if keys.len() > KEYS_MAX { Stale::All } else { Stale::Keys(keys.into_iter().collect()) }
        }
        (Stale::All, _) | (_, Stale::All) => Stale::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_together_is_asked_together() {
        let keys = |from: usize, to: usize| Stale::Keys((from..to).map(|n| n.to_string()).collect());
        assert_eq!(both(keys(0, 2), keys(1, 3)), keys(0, 3));
        assert_eq!(both(keys(0, 2), Stale::All), Stale::All);
        assert_eq!(both(keys(100, 500), keys(500, 700)), Stale::All);
    }
}
