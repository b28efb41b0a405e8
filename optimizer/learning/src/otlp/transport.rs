//! The exporters of spans and metrics over the protocol that the collector speaks, and what became of their requests.

use crate::options::{OtlpOptions, OtlpProtocol};
use async_trait::async_trait;
use bytes::Bytes;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response};
use opentelemetry_http::HttpError;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::SpanExporter as _;
use querygate_outbound::{HttpClient, TIMEOUT};
use querygate_types::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// What spans and metrics are of. What the environment says of it (`OTEL_RESOURCE_ATTRIBUTES`) is added.
pub(super) fn resource() -> Resource {
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Resource::builder().with_service_name("querygate").with_attribute(version).build()
}

/// The exporters. Their connections live on this runtime, whoever waits for them.
///
/// # Errors
/// Internal: an address that is none, which was checked before.
pub(super) fn exporters(options: &OtlpOptions, runtime: &Handle) -> Result<(SpanExporter, MetricExporter)> {
    let _on = runtime.enter();
    let exporters = match options.protocol {
        OtlpProtocol::Grpc => over_grpc(options),
        OtlpProtocol::Http => over_http(options, runtime)?,
    };
    let (mut spans, metrics) = exporters.map_err(Error::internal)?;
    spans.set_resource(&resource());
    Ok((spans, metrics))
}

type Built = std::result::Result<(SpanExporter, MetricExporter), ExporterBuildError>;

fn over_grpc(options: &OtlpOptions) -> Built {
    let (mut spans, mut metrics) = (SpanExporter::builder().with_tonic(), MetricExporter::builder().with_tonic());
    if options.base.scheme_str() == Some("https") {
        let tls = ClientTlsConfig::new().with_enabled_roots();
        (spans, metrics) = (spans.with_tls_config(tls.clone()), metrics.with_tls_config(tls));
    }
    if let Some(authorization) = &options.authorization {
        let headers = MetadataMap::from_headers([(AUTHORIZATION, authorization.clone())].into_iter().collect());
        (spans, metrics) = (spans.with_metadata(headers.clone()), metrics.with_metadata(headers));
    }
    let base = options.base.to_string();
    let spans = spans.with_endpoint(base.as_str()).with_timeout(TIMEOUT).build()?;
    let metrics = metrics.with_endpoint(base).with_timeout(TIMEOUT).with_temporality(Temporality::Cumulative);
    Ok((spans, metrics.build()?))
}

fn over_http(options: &OtlpOptions, runtime: &Handle) -> Result<Built> {
    let client = OnRuntime { client: HttpClient::new().map_err(Error::internal)?, runtime: runtime.clone() };
    let authorization = options.authorization.as_ref().and_then(|value| value.to_str().ok());
    let headers: HashMap<String, String> =
        authorization.iter().map(|value| ("authorization".to_owned(), (*value).to_owned())).collect();
    let base = options.base.to_string();
    let base = base.trim_end_matches('/');
    let spans = SpanExporter::builder()
        .with_http()
        .with_http_client(client.clone())
        .with_headers(headers.clone())
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_endpoint(format!("{base}/v1/traces"))
        .with_timeout(TIMEOUT)
        .build();
    let metrics = MetricExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_headers(headers)
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_endpoint(format!("{base}/v1/metrics"))
        .with_timeout(TIMEOUT)
        .with_temporality(Temporality::Cumulative)
        .build();
    Ok(spans.and_then(|spans| Ok((spans, metrics?))))
}

/// Sends on the runtime: who asks may be a thread without one.
#[derive(Debug, Clone)]
struct OnRuntime {
    client: HttpClient,
    runtime: Handle,
}

#[async_trait]
impl opentelemetry_http::HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { client.send(request).await }).await?;
        Ok(sent?)
    }
}

/// What became of requests: counted, and said once, not each time.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    failing: AtomicBool,
}

impl Outcomes {
    pub(super) fn note(&self, outcome: &OTelSdkResult) {
        match outcome {
            Ok(()) => self.failing.store(false, Ordering::Relaxed),
            Err(why) => {
                metrics::counter!("querygate_otlp_failed_total").increment(1);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%why, "the collector does not take spans or metrics; they are dropped");
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

/// An exporter of metrics whose requests are counted.
pub(super) struct Counted {
    pub(super) exporter: MetricExporter,
    pub(super) outcomes: Arc<Outcomes>,
}

impl PushMetricExporter for Counted {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let outcome = self.exporter.export(metrics).await;
        self.outcomes.note(&outcome);
        outcome
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
