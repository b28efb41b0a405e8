//! A process with a worker's certificate that answers whatever it likes: what it gives is under the columns that were asked for, or
//! fails the statement.

use super::world::{World, answer, explained, free_port};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use querygate_tests::server::runtime;
use std::sync::Arc;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// Gives this to each part.
struct Liar(Vec<RecordBatch>);

type Answered<T> = Result<Response<T>, Status>;

fn nothing<T>() -> Answered<T> {
    Err(Status::unimplemented(""))
}

#[tonic::async_trait]
impl FlightService for Liar {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;

    async fn do_get(&self, _: Request<Ticket>) -> Answered<Self::DoGetStream> {
        let rows = stream::iter(self.0.clone().into_iter().map(Ok));
        let messages = FlightDataEncoderBuilder::new().build(rows);
        Ok(Response::new(messages.map_err(|error| Status::internal(error.to_string())).boxed()))
    }

    async fn do_action(&self, _: Request<Action>) -> Answered<Self::DoActionStream> {
        let start = arrow_flight::Result { body: vec![7; 16].into() };
        Ok(Response::new(stream::iter([Ok(start)]).boxed()))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answered<Self::HandshakeStream> {
        nothing()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Answered<Self::ListFlightsStream> {
        nothing()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answered<FlightInfo> {
        nothing()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answered<PollInfo> {
        nothing()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answered<SchemaResult> {
        nothing()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Answered<Self::DoPutStream> {
        nothing()
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answered<Self::DoExchangeStream> {
        nothing()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answered<Self::ListActionsStream> {
        nothing()
    }
}

/// Serves a liar with the certificate of the world's workers.
fn lie(world: &World, batches: Vec<RecordBatch>) -> u16 {
    let read = |name: &str| std::fs::read(world.at(name)).unwrap();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(read("worker.pem"), read("worker.key")))
        .client_ca_root(Certificate::from_pem(read("ca.pem")));
    let port = free_port();
    let mut server = Server::builder().tls_config(tls).unwrap();
    let serving = server.add_service(FlightServiceServer::new(Liar(batches)));
    runtime().spawn(serving.serve(([127, 0, 0, 1], port).into()));
    port
}

#[test]
fn states_of_other_columns_are_not_believed() {
    let world = World::new();
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["AIR", "MAIL"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let batch = |columns: Vec<(&str, ArrayRef)>| vec![RecordBatch::try_from_iter(columns).unwrap()];
    let lies = [
        ("one column", batch(vec![("a", Arc::clone(&texts))])),
        ("other types", batch(vec![("a", Arc::clone(&texts)), ("b", Arc::clone(&texts))])),
        ("a count that is NULL", batch(vec![("a", Arc::clone(&texts)), ("b", Arc::clone(&numbers))])),
        ("three columns", batch(vec![("a", Arc::clone(&texts)), ("b", Arc::clone(&numbers)), ("c", texts)])),
    ];
    let sql = "SELECT l_shipmode, count(*) FROM lineitem GROUP BY 1";
    for (what, batches) in lies {
        let port = lie(&world, batches);
        let gate = world.gate(&[port]);
        runtime().block_on(async {
            for user in ["ours", "boss"] {
                let client = gate.client(user).await;
                client.simple_query("SET querygate.workers = on").await.unwrap();
                let plan = explained(&client, sql).await.join("\n");
                assert!(plan.contains("aggregated by workers"), "{plan}");
                let (code, text) = answer(&client, sql).await.unwrap_err();
                assert!(code == "XX000" && !text.contains("worker"), "{what}: {code} {text}");
            }
        });
    }
}
