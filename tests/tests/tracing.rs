//! Traces as a collector gets them: the spans of statements over several sources, in the trace that the client names.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use querygate_query_api::trace::TraceContext;
use querygate_tests::server::{Variant, psql, runtime};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};

const AT_POSTGRES: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const AT_FLIGHT: &str = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01";
const UNRECORDED: &str = "00-2af7651916cd43dd8448eb211c80319c-d7ad6b7169203331-00";

/// SQLite and Parquet.
const FEDERATED: &str = "SELECT a.region_id, count(*) FROM accounts a JOIN events e ON e.account_id = a.id \
    WHERE e.kind = 'secret-literal' OR a.id = 'acc_00001' GROUP BY a.region_id";

#[derive(Debug, Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|one| one.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)));
        address
    }

    /// The spans of a client's trace, once the statement's own is there.
    async fn trace(&self, parent: &str) -> Vec<Span> {
        let parent = TraceContext::parse(parent).unwrap();
        for _ in 0..1_000 {
            let spans = self.0.lock().unwrap().clone();
            let of_trace: Vec<Span> = spans.into_iter().filter(|span| span.trace_id == parent.trace_id).collect();
            if of_trace.iter().any(|span| span.name == "execute") {
                assert_eq!(of_trace[0].parent_span_id, parent.span_id);
                return of_trace;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no trace: {:?}", self.0)
    }
}

fn names(spans: &[Span]) -> Vec<&str> {
    let mut names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_federated_statement_is_part_of_its_clients_trace_through_both_doors() {
    let collector = Collector::default();
    let runtime = runtime();
    let address = runtime.block_on(collector.listen());
    let variant = Variant::new(|config| {
        // The demo may bring a table of its own.
        let mut kept = true;
        let config: Vec<&str> = config
            .lines()
            .filter(|line| {
                kept = if line.starts_with('[') { *line != "[learning]" } else { kept };
                kept
            })
            .collect();
        let config = config.join("\n");
        format!("{config}\n[learning]\ndirectory = \"learnt\"\notlp = \"http://{address}\"\notlp_protocol = \"grpc\"\n")
    });
    let server = variant.serve();
    let unrecorded = psql(&server, "sam", &["-c", &format!("{FEDERATED} /*traceparent='{UNRECORDED}'*/")]);
    assert!(unrecorded.success, "{}", unrecorded.both());
    let printed = psql(&server, "sam", &["-c", &format!("{FEDERATED} /*traceparent='{AT_POSTGRES}'*/")]);
    assert!(printed.success, "{}", printed.both());
    let spans = runtime.block_on(collector.trace(AT_POSTGRES));
    let all = ["bind", "execute", "fragment crm", "fragment lake", "parse", "plan", "statement"];
    assert_eq!(names(&spans), all);
    let texts = format!("{spans:?}");
    assert!(!texts.contains("secret-literal") && texts.contains("db.query.text"), "{texts}");

    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://{}", server.flight)).unwrap().connect().await.unwrap();
        let mut client = FlightSqlServiceClient::new(channel);
        client.handshake("sam", "demo-sam").await.unwrap();
        client.set_header("traceparent", AT_FLIGHT);
        let info = client.execute(FEDERATED.to_owned(), None).await.unwrap();
        for endpoint in info.endpoint {
            let batches = client.do_get(endpoint.ticket.unwrap()).await.unwrap();
            let _: Vec<_> = batches.try_collect().await.unwrap();
        }
        let spans = collector.trace(AT_FLIGHT).await;
        assert!(names(&spans).starts_with(&["bind", "execute", "fragment crm", "fragment lake"]), "{spans:?}");
        let unrecorded = TraceContext::parse(UNRECORDED).unwrap();
        let seen = collector.0.lock().unwrap().iter().any(|span| span.trace_id == unrecorded.trace_id);
        assert!(!seen, "its client records nothing");
    });
}
