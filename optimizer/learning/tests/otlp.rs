//! Spans and metrics as a collector gets them: one statement over two sources, over gRPC and over HTTP.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use querygate_learning::{Learning, LearningOptions, OtlpOptions, OtlpProtocol};
use querygate_query_api::service::Door;
use querygate_telemetry_api::fragment::{FragmentRecord, FragmentShape, FragmentTemplate};
use querygate_telemetry_api::trace::{StageTime, StatementTrace, TraceContext};
use querygate_telemetry_api::{ChangedRows, StatementRecord, Telemetry};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Request, Response, Status};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Everything that came, and the `authorization` of each request.
#[derive(Debug, Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    authorizations: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    fn take_traces(&self, request: ExportTraceServiceRequest) {
        let service = request.resource_spans[0].resource.as_ref().unwrap();
        assert!(format!("{service:?}").contains("querygate"), "{service:?}");
        let scopes = request.resource_spans.into_iter().flat_map(|one| one.scope_spans);
        self.spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
    }

    async fn listen_grpc(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)));
        address
    }

    async fn listen_http(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let collector = collector.clone();
                tokio::spawn(async move { while collector.serve(&stream).await {} });
            }
        });
        address
    }

    /// One request of HTTP/1.1. `false`: the connection has ended.
    async fn serve(&self, stream: &TcpStream) -> bool {
        let Some((head, body)) = request(stream).await else { return false };
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        let authorization = head.lines().find_map(|line| line.strip_prefix("authorization: "));
        self.authorizations.lock().unwrap().push(authorization.unwrap_or_default().to_owned());
        if head.starts_with("post /v1/traces ") {
            self.take_traces(ExportTraceServiceRequest::decode(&*body).unwrap());
        } else {
            assert!(head.starts_with("post /v1/metrics "), "{head}");
            self.metrics.lock().unwrap().push(ExportMetricsServiceRequest::decode(&*body).unwrap());
        }
        write(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        true
    }

    async fn spans(&self, count: usize) -> Vec<Span> {
        for _ in 0..1_000 {
            let spans = self.spans.lock().unwrap().clone();
            if spans.len() >= count {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.spans)
    }

    /// Sum of a counter's points in the last request, or count of a histogram's.
    fn counted(&self, name: &str) -> u64 {
        let metrics = self.metrics.lock().unwrap();
        let scopes = metrics.last().unwrap().resource_metrics.iter().flat_map(|one| &one.scope_metrics);
        let mut named = scopes.flat_map(|scope| &scope.metrics).filter(|metric| metric.name == name);
        match named.next().and_then(|metric| metric.data.clone()).unwrap() {
            Data::Sum(sum) => sum.data_points.iter().map(|point| format!("{:?}", point.value)).filter_map(number).sum(),
            Data::Histogram(histogram) => histogram.data_points.iter().map(|point| point.count).sum(),
            other => panic!("{other:?}"),
        }
    }
}

fn number(text: String) -> Option<u64> {
    text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
}

async fn write(stream: &TcpStream, bytes: &[u8]) {
    loop {
        stream.writable().await.unwrap();
        match stream.try_write(bytes) {
            Ok(written) => return assert_eq!(written, bytes.len()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Head in lower case, and body.
async fn request(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut came = Vec::new();
    loop {
        stream.readable().await.unwrap();
        match stream.try_read_buf(&mut came) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return None,
        }
        let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&came[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let body = &came[end + 4..];
        if body.len() >= length.trim().parse::<usize>().unwrap() {
            return Some((head, body.to_vec()));
        }
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        self.authorizations.lock().unwrap().push(authorization.unwrap_or_default().to_owned());
        self.take_traces(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn fragment(source: &str, began: SystemTime, rows: u64) -> FragmentRecord {
    FragmentRecord {
        template: Arc::new(FragmentTemplate {
            source: source.into(),
            kind: "postgres",
            objects: Arc::new(["t".to_owned()]),
            text: "SELECT secret_column FROM t".into(),
            fingerprint: 5,
            passing: Vec::new(),
            shape: FragmentShape::default(),
        }),
        began,
        estimated_rows: None,
        rows,
        bytes: rows * 20,
        acquire: Duration::from_micros(50),
        first_row: Some(Duration::from_micros(700)),
        total: Duration::from_millis(3),
        complete: true,
        narrowed: false,
        nulls: Vec::new(),
        columns: Box::default(),
        reads: None,
        error: None,
    }
}

/// A statement over two sources, sent with the client's span.
fn statement() -> StatementRecord {
    let started = SystemTime::now();
    let stage = |before: u64, took: u64| {
        Some(StageTime { began: started - Duration::from_micros(before), took: Duration::from_micros(took) })
    };
    let trace = StatementTrace { parent: TraceContext::parse(PARENT), parse: stage(900, 100), bind: stage(800, 700) };
    StatementRecord {
        id: 1,
        started,
        login: "sam".into(),
        door: Door::Postgres,
        application: "test".into(),
        template: "select a from t join u on b = ?".into(),
        fingerprint: 7,
        objects: Arc::new(["t".to_owned(), "u".to_owned()]),
        planning: Duration::from_millis(1),
        first_row: Some(Duration::from_millis(4)),
        total: Duration::from_millis(5),
        rows: 12,
        changed: ChangedRows::default(),
        writes: Vec::new(),
        bytes: 400,
        error: None,
        cached: false,
        choice: None,
        fragments: vec![fragment("crm", started, 10), fragment("erp", started, 20)],
        more: None,
        under_way: false,
        trace: Some(Box::new(trace)),
    }
}

/// Tells of the statement, and gives the collector what came of it.
async fn told(collector: &Collector, address: SocketAddr, protocol: OtlpProtocol) {
    let folder = tempfile::tempdir().unwrap();
    let otlp = OtlpOptions::new(&format!("http://{address}"), protocol, Some("Bearer key")).unwrap();
    let options = LearningOptions { otlp: Some(otlp), ..LearningOptions::in_directory(folder.path().to_path_buf()) };
    let learning = Learning::start(options, Vec::new()).unwrap();
    assert!(learning.traces());
    learning.record(statement());
    let spans = collector.spans(7).await;
    check_spans(&spans);
    tokio::task::spawn_blocking(move || learning.close()).await.unwrap();
    assert_eq!((collector.counted("querygate.statements"), collector.counted("querygate.rows")), (1, 12));
    assert_eq!(collector.counted("querygate.fragment.duration"), 2);
    assert!(collector.authorizations.lock().unwrap().iter().all(|value| value.eq_ignore_ascii_case("bearer key")));
}

fn check_spans(spans: &[Span]) {
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["statement", "parse", "bind", "plan", "execute", "fragment crm", "fragment erp"]);
    let parent = TraceContext::parse(PARENT).unwrap();
    assert!(spans.iter().all(|span| span.trace_id == parent.trace_id));
    assert_eq!(spans[0].parent_span_id, parent.span_id);
    let (root, execute) = (&spans[0].span_id, &spans[4].span_id);
    for (span, expected) in spans.iter().zip([None, Some(root), Some(root), Some(root), Some(root), Some(execute)]) {
        assert!(expected.is_none_or(|id| span.parent_span_id == *id), "{span:?}");
        assert!(span.start_time_unix_nano >= spans[0].start_time_unix_nano, "{span:?}");
        assert!(span.end_time_unix_nano <= spans[0].end_time_unix_nano, "{span:?}");
    }
    let whole = format!("{:?}", spans[6]);
    assert!(whole.contains("querygate.source") && whole.contains("erp") && whole.contains("IntValue(20)"), "{whole}");
    assert!(spans.iter().all(|span| !format!("{span:?}").contains("secret_column")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_federated_statement_reaches_a_collector_over_grpc() {
    let collector = Collector::default();
    let address = collector.listen_grpc().await;
    told(&collector, address, OtlpProtocol::Grpc).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_federated_statement_reaches_a_collector_over_http() {
    let collector = Collector::default();
    let address = collector.listen_http().await;
    told(&collector, address, OtlpProtocol::Http).await;
}
