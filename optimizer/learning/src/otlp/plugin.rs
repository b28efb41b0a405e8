//! Sends spans and metrics as a plugin of learning: one request at a time, beside everything else. What a collector does not take is
//! dropped and counted; metrics are sums since the start, so the next ones make up for it.

use super::encode::{spans, traces};
use super::metrics::Sums;
use crate::options::OtlpOptions;
use crate::plugin::Plugin;
use crate::post::post;
use crate::telemetry::{Moment, Store};
use async_trait::async_trait;
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::system::{Cell, SystemExtension, SystemRelation};
use querygate_types::{Error, Principal, Result};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;

/// Spans that wait; more are dropped.
const WAITING_MAX: usize = 8_192;
/// Spans of one request.
const SENT_MAX: usize = 1_024;
/// How often metrics are sent.
const METRICS_EVERY: Duration = Duration::from_secs(15);

/// The plugin.
#[derive(Debug)]
pub(crate) struct Export {
    options: OtlpOptions,
    state: Mutex<State>,
    /// Tells this process' traces from those of others.
    salt: u64,
    started: SystemTime,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Value>,
    sums: Sums,
    traces: u64,
    metrics_at: Duration,
    under_way: Option<JoinHandle<std::result::Result<(), String>>>,
    /// Whether the last request failed: said once, not every second.
    failing: bool,
}

impl Export {
    /// # Errors
    /// Internal: the system gives no random number.
    pub(crate) fn new(options: OtlpOptions) -> Result<Self> {
        let mut bytes = [0; 8];
        SystemRandom::new().fill(&mut bytes).map_err(|_| Error::internal("no random number"))?;
        let salt = u64::from_be_bytes(bytes);
        Ok(Self { options, state: Mutex::default(), salt, started: SystemTime::now() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request, if there is something to say.
    fn due(&self, now: Moment) -> Option<(hyper::Uri, Value)> {
        let mut state = self.state();
        if now.running >= state.metrics_at {
            state.metrics_at = now.running + METRICS_EVERY;
            return Some((self.options.metrics.clone(), state.sums.body(self.started, now.wall())));
        }
        let some = state.waiting.len().min(SENT_MAX);
        let sent: Vec<Value> = state.waiting.drain(..some).collect();
        (!sent.is_empty()).then(|| (self.options.traces.clone(), traces(&sent)))
    }

    fn ended(&self, outcome: std::result::Result<(), String>) {
        let mut state = self.state();
        match outcome {
            Ok(()) => state.failing = false,
            Err(why) => {
                metrics::counter!("querygate_otlp_failed_total").increment(1);
                if !std::mem::replace(&mut state.failing, true) {
                    tracing::warn!(why, "the collector does not take spans and metrics; they are dropped");
                }
            }
        }
    }
}

#[async_trait]
impl Plugin for Export {
    fn name(&self) -> &'static str {
        "otlp"
    }

    async fn load(&self, _store: &Store) -> Result<()> {
        Ok(())
    }

    async fn follow(&self, records: &[StatementRecord], _now: Moment, _store: &Store) -> Result<()> {
        let mut state = self.state();
        let mut dropped = 0_u64;
        for record in records {
            state.sums.add(record);
            state.traces += 1;
            if state.waiting.len() >= WAITING_MAX {
                dropped += 1;
                continue;
            }
            let trace = state.traces;
            state.waiting.extend(spans(record, trace, self.salt));
        }
        if dropped > 0 {
            metrics::counter!("querygate_otlp_dropped_total").increment(dropped);
        }
        Ok(())
    }

    async fn tick(&self, now: Moment, _store: &Store) -> Result<()> {
        let under_way = self.state().under_way.take();
        if let Some(task) = under_way {
            if !task.is_finished() {
                self.state().under_way = Some(task);
                return Ok(());
            }
            let outcome = task.await.unwrap_or_else(|_| Err("the request did not finish".to_owned()));
            self.ended(outcome);
        }
        if let Some((address, body)) = self.due(now) {
            let body = serde_json::to_vec(&body).map_err(Error::internal)?;
            let headers: Vec<_> =
                self.options.authorization.iter().map(|value| ("authorization", value.clone())).collect();
            self.state().under_way = Some(tokio::spawn(async move { post(&address, &headers, body).await }));
        }
        Ok(())
    }
}

impl SystemExtension for Export {
    fn relations(&self) -> Vec<SystemRelation> {
        Vec::new()
    }

    fn rows(&self, relation: &str, _reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        Err(Error::internal(format_args!("no relation {relation}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, statement};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn at(seconds: u64) -> Moment {
        Moment { seconds: DAY, running: Duration::from_secs(seconds) }
    }

    /// Takes one request: its first line, its headers and its body.
    async fn take(listener: &TcpListener) -> (String, Value) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut came = Vec::new();
        loop {
            assert!(stream.read_buf(&mut came).await.unwrap() > 0);
            let text = String::from_utf8_lossy(&came).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            if let Ok(body) = serde_json::from_str(body) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
                return (head.to_lowercase(), body);
            }
        }
    }

    async fn settled(export: &Export) {
        while export.state().under_way.as_ref().is_some_and(|task| !task.is_finished()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn spans_and_metrics_reach_the_collector_in_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let export = Export::new(OtlpOptions::new(&base, Some("Bearer key")).unwrap()).unwrap();
        let store = Store::in_memory().await.unwrap();
        export.follow(&[statement("sam", 1, 10, DAY), statement("ann", 2, 10, DAY)], at(0), &store).await.unwrap();
        export.tick(at(0), &store).await.unwrap();
        let (head, metrics) = take(&listener).await;
        assert!(head.starts_with("post /v1/metrics http/1.1") && head.contains("authorization: bearer key"), "{head}");
        assert_eq!(metrics["resourceMetrics"][0]["resource"]["attributes"][0]["value"]["stringValue"], "querygate");
        settled(&export).await;
        export.tick(at(1), &store).await.unwrap();
        let (head, traces) = take(&listener).await;
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        let spans = traces["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        assert_eq!(spans.len(), 6, "two statements of a plan and a fragment each");
        settled(&export).await;
        export.tick(at(2), &store).await.unwrap();
        assert!(export.state().under_way.is_none(), "nothing new");
        assert!(!export.state().failing);
    }

    #[tokio::test]
    async fn a_collector_that_is_away_costs_no_more_than_a_bounded_queue() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let export = Export::new(OtlpOptions::new(&base, None).unwrap()).unwrap();
        let store = Store::in_memory().await.unwrap();
        let many: Vec<StatementRecord> = (0..10_000).map(|n| statement("sam", n, 1, DAY)).collect();
        export.follow(&many, at(0), &store).await.unwrap();
        let waiting = export.state().waiting.len();
        assert!((WAITING_MAX..WAITING_MAX + 8).contains(&waiting), "{waiting}");
        for second in 0..3 {
            export.tick(at(second), &store).await.unwrap();
            settled(&export).await;
        }
        export.tick(at(3), &store).await.unwrap();
        assert!(export.state().failing && export.state().waiting.len() < waiting);
    }
}
