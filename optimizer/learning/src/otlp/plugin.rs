//! Sends spans and metrics as a plugin of learning. Spans wait in a bounded queue for a task that sends them; what finds no room, or
//! what the collector does not take, is dropped and counted. Metrics are sums since the start, so the next ones make up for it.

use super::metrics::Sums;
use super::spans::Spans;
use super::transport::{Counted, Outcomes, exporters, resource};
use crate::options::OtlpOptions;
use crate::plugin::Plugin;
use crate::telemetry::{Moment, Store};
use async_trait::async_trait;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::system::{Cell, SystemExtension, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

/// Spans that wait; more are dropped.
const WAITING_MAX: usize = 8_192;
/// Spans of one request.
const SENT_MAX: usize = 512;
/// How often metrics are sent.
const METRICS_EVERY: Duration = Duration::from_secs(15);
/// How long the end waits for the last spans, and again for the last metrics.
const LAST: Duration = Duration::from_secs(2);

/// The plugin.
#[derive(Debug)]
pub(crate) struct Export {
    options: OtlpOptions,
    spans: Spans,
    outcomes: Arc<Outcomes>,
    /// `None`: it has not begun, or has ended.
    sending: Mutex<Option<Sending>>,
}

#[derive(Debug)]
struct Sending {
    queue: Sender<SpanData>,
    task: JoinHandle<()>,
    sums: Sums,
    meters: SdkMeterProvider,
}

impl Export {
    pub(crate) fn new(options: OtlpOptions) -> Self {
        Self { options, spans: Spans::default(), outcomes: Arc::default(), sending: Mutex::default() }
    }

    fn sending(&self) -> MutexGuard<'_, Option<Sending>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what comes until nothing will.
async fn send(exporter: SpanExporter, mut waiting: Receiver<SpanData>, outcomes: Arc<Outcomes>) {
    loop {
        let mut spans = Vec::new();
        if waiting.recv_many(&mut spans, SENT_MAX).await == 0 {
            return;
        }
        outcomes.note(&exporter.export(spans).await);
    }
}

#[async_trait]
impl Plugin for Export {
    fn name(&self) -> &'static str {
        "otlp"
    }

    async fn load(&self, _store: &Store) -> Result<()> {
        let (spans, metrics) = exporters(&self.options, &Handle::current())?;
        let counted = Counted { exporter: metrics, outcomes: Arc::clone(&self.outcomes) };
        let reader = PeriodicReader::builder(counted).with_interval(METRICS_EVERY).build();
        let meters = SdkMeterProvider::builder().with_resource(resource()).with_reader(reader).build();
        let sums = Sums::new(&meters.meter("querygate"));
        let (queue, waiting) = channel(WAITING_MAX);
        let task = tokio::spawn(send(spans, waiting, Arc::clone(&self.outcomes)));
        *self.sending() = Some(Sending { queue, task, sums, meters });
        Ok(())
    }

    async fn follow(&self, records: &[StatementRecord], _now: Moment, _store: &Store) -> Result<()> {
        let sending = self.sending();
        let Some(sending) = &*sending else { return Ok(()) };
        let mut dropped = 0_u64;
        for record in records {
            sending.sums.add(record);
            let spans = self.spans.of(record);
            // All spans of a statement or none.
            match sending.queue.try_reserve_many(spans.len()) {
                Ok(places) => places.zip(spans).for_each(|(place, span)| place.send(span)),
                Err(_) => dropped += spans.len() as u64,
            }
        }
        if dropped > 0 {
            metrics::counter!("querygate_otlp_dropped_total").increment(dropped);
        }
        Ok(())
    }

    async fn tick(&self, _now: Moment, _store: &Store) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        let Some(Sending { queue, task, meters, .. }) = self.sending().take() else { return Ok(()) };
        drop(queue);
        let sent = tokio::time::timeout(LAST, task).await;
        // It waits for requests that run here.
        let metrics = tokio::task::spawn_blocking(move || meters.shutdown_with_timeout(LAST)).await;
        sent.map_err(|_| Error::internal("the last spans were not sent in time"))?.map_err(Error::internal)?;
        metrics.map_err(Error::internal)?.map_err(Error::internal)
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
    use crate::options::OtlpProtocol;
    use crate::testing::{DAY, statement};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_collector_that_is_away_costs_no_more_than_a_bounded_queue() {
        for protocol in [OtlpProtocol::Grpc, OtlpProtocol::Http] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            drop(listener);
            let export = Export::new(OtlpOptions::new(&base, protocol, None).unwrap());
            let store = Store::in_memory().await.unwrap();
            let now = Moment { seconds: DAY, running: Duration::ZERO };
            let many: Vec<StatementRecord> = (0..10_000).map(|n| statement("sam", n, 1, DAY)).collect();
            export.follow(&many, now, &store).await.unwrap();
            export.load(&store).await.unwrap();
            // Nothing is taken from the queue in between: this thread runs both.
            export.follow(&many, now, &store).await.unwrap();
            let room = export.sending().as_ref().map(|sending| sending.queue.capacity());
            assert!(room.is_some_and(|room| room < 4), "{room:?}");
            while !export.outcomes.is_failing() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let closed = tokio::time::timeout(3 * LAST, export.close()).await;
            assert!(closed.is_ok_and(|closed| closed.is_err()), "nothing was sent, and the end did not wait for ever");
            export.follow(&many, now, &store).await.unwrap();
        }
    }

    #[test]
    fn addresses_are_those_of_their_protocol() {
        let new = |base: &str, protocol| OtlpOptions::new(base, protocol, None);
        assert!(new("http://collector:4318/some/path", OtlpProtocol::Http).is_ok());
        assert!(new("https://collector:4317/", OtlpProtocol::Grpc).is_ok());
        assert!(new("http://collector:4317/some/path", OtlpProtocol::Grpc).is_err());
        assert!(new("http://collector:4318/?key=1", OtlpProtocol::Http).is_err());
        assert!(OtlpOptions::new("http://collector", OtlpProtocol::Http, Some("a\nb")).is_err());
    }
}
