//! A Flight client that shows every message. Knows no policy.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, ActionEndTransactionRequest, Any, CommandStatementQuery, ProstMessageExt,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, Ticket};
use base64::Engine as _;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use querygate_tests::server::Server;
use std::net::SocketAddr;
use std::sync::Arc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

/// What a failed call tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) grpc: Code,
    pub(crate) sqlstate: String,
    pub(crate) message: String,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let sqlstate = status.metadata().get("querygate-sqlstate").and_then(|value| value.to_str().ok());
        Self {
            grpc: status.code(),
            sqlstate: sqlstate.unwrap_or_default().to_owned(),
            message: status.message().to_owned(),
        }
    }
}

impl From<FlightError> for Failure {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => (*status).into(),
            other => panic!("not a status: {other}"),
        }
    }
}

/// A fetched result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
}

impl Table {
    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

pub(crate) async fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

pub(crate) fn service(channel: Channel) -> FlightServiceClient<Channel> {
    FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX)
}

/// `authorization: Basic …`, padded or not.
pub(crate) fn basic(user: &str, password: &str, padded: bool) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {}", if padded { &text } else { text.trim_end_matches('=') })
}

/// Logs in with this header; gives the token of the answering header.
pub(crate) async fn handshake(address: SocketAddr, header: &str) -> Result<String, Failure> {
    let mut request = Request::new(stream::iter([HandshakeRequest::default()]));
    request.metadata_mut().insert("authorization", header.parse().unwrap());
    let mut answer = service(channel(address).await).handshake(request).await?;
    let header = answer.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    let payload = answer.get_mut().message().await?.unwrap().payload;
    let token = header.strip_prefix("Bearer ").unwrap().to_owned();
    assert_eq!(payload, token.as_bytes());
    Ok(token)
}

/// A session of one user.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    pub(crate) channel: Channel,
    pub(crate) token: String,
}

impl Flight {
    /// Logs in as a user of the demo.
    pub(crate) async fn login(server: &Server, user: &str) -> Self {
        let token = handshake(server.flight, &basic(user, &format!("demo-{user}"), false)).await.unwrap();
        Self { channel: channel(server.flight).await, token }
    }

    pub(crate) fn service(&self) -> FlightServiceClient<Channel> {
        service(self.channel.clone())
    }

    pub(crate) fn request<T>(&self, body: T) -> Request<T> {
        let mut request = Request::new(body);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        request
    }

    /// GetFlightInfo of a command.
    pub(crate) async fn info(&self, command: &impl ProstMessageExt) -> Result<FlightInfo, Failure> {
        self.info_of(packed(command)).await
    }

    pub(crate) async fn info_of(&self, command: Bytes) -> Result<FlightInfo, Failure> {
        let request = self.request(FlightDescriptor::new_cmd(command));
        Ok(self.service().get_flight_info(request).await?.into_inner())
    }

    /// The messages of a ticket.
    pub(crate) async fn messages(&self, ticket: Ticket) -> Result<Streaming<FlightData>, Failure> {
        Ok(self.service().do_get(self.request(ticket)).await?.into_inner())
    }

    /// DoGet, to the end.
    pub(crate) async fn get(&self, ticket: Ticket) -> Result<Table, Failure> {
        let messages = self.messages(ticket).await?.map_err(FlightError::from);
        let mut decoded = FlightRecordBatchStream::new_from_flight_data(messages.boxed());
        let mut batches = Vec::new();
        while let Some(batch) = decoded.try_next().await? {
            batches.push(batch);
        }
        Ok(Table { schema: Arc::clone(decoded.schema().unwrap()), batches })
    }

    /// Describes a command and fetches it; what comes is what was promised.
    pub(crate) async fn run(&self, command: &impl ProstMessageExt) -> Result<Table, Failure> {
        let info = self.info(command).await?;
        if info.endpoint.is_empty() {
            // It gave no rows and has run already.
            let schema = Arc::new(info.try_decode_schema().unwrap());
            return Ok(Table { schema, batches: Vec::new() });
        }
        let table = self.all(&info).await?;
        assert_eq!(*table.schema, info.try_decode_schema().unwrap());
        assert!(table.batches.iter().all(|batch| batch.schema() == table.schema));
        Ok(table)
    }

    /// What all endpoints of a flight give, in their order.
    pub(crate) async fn all(&self, info: &FlightInfo) -> Result<Table, Failure> {
        let mut whole: Option<Table> = None;
        for ticket in tickets(info) {
            let part = self.get(ticket).await?;
            match &mut whole {
                None => whole = Some(part),
                Some(whole) => {
                    assert_eq!(whole.schema, part.schema);
                    whole.batches.extend(part.batches);
                }
            }
        }
        Ok(whole.unwrap())
    }

    /// GetFlightInfo of a statement, with so many endpoints asked for.
    pub(crate) async fn divided(&self, sql: &str, endpoints: &str) -> Result<FlightInfo, Failure> {
        let mut request = self.request(FlightDescriptor::new_cmd(packed(&statement(sql))));
        request.metadata_mut().insert("querygate-endpoints", endpoints.parse().unwrap());
        Ok(self.service().get_flight_info(request).await?.into_inner())
    }

    /// Runs a statement.
    pub(crate) async fn query(&self, sql: &str) -> Result<Table, Failure> {
        self.run(&statement(sql)).await
    }

    /// Runs a statement in a transaction.
    pub(crate) async fn query_in(&self, transaction: &Bytes, sql: &str) -> Result<Table, Failure> {
        self.run(&CommandStatementQuery { query: sql.to_owned(), transaction_id: Some(transaction.clone()) }).await
    }

    /// DoAction with any body; the bodies of its results.
    pub(crate) async fn act(&self, name: &str, body: impl Into<Bytes>) -> Result<Vec<Bytes>, Failure> {
        let results = self.service().do_action(self.request(Action::new(name, body))).await?.into_inner();
        let results: Vec<_> = results.try_collect().await?;
        Ok(results.into_iter().map(|result| result.body).collect())
    }

    pub(crate) async fn prepare(&self, sql: &str) -> Result<ActionCreatePreparedStatementResult, Failure> {
        let request = ActionCreatePreparedStatementRequest { query: sql.to_owned(), transaction_id: None };
        let results = self.act("CreatePreparedStatement", packed(&request)).await?;
        Ok(unpacked(&results[0]))
    }

    pub(crate) async fn begin(&self) -> Result<Bytes, Failure> {
        let results = self.act("BeginTransaction", packed(&ActionBeginTransactionRequest {})).await?;
        Ok(unpacked::<ActionBeginTransactionResult>(&results[0]).transaction_id)
    }

    pub(crate) async fn end(&self, transaction: &Bytes, action: i32) -> Result<(), Failure> {
        let request = ActionEndTransactionRequest { transaction_id: transaction.clone(), action };
        self.act("EndTransaction", packed(&request)).await.map(drop)
    }

    /// DoPut of messages as they are; the one answer.
    pub(crate) async fn put(&self, messages: Vec<FlightData>) -> Result<Bytes, Failure> {
        let mut results = self.service().do_put(self.request(stream::iter(messages))).await?.into_inner();
        Ok(results.message().await?.unwrap().app_metadata)
    }
}

pub(crate) fn statement(sql: &str) -> CommandStatementQuery {
    CommandStatementQuery { query: sql.to_owned(), transaction_id: None }
}

pub(crate) fn packed(message: &impl ProstMessageExt) -> Bytes {
    message.as_any().encode_to_vec().into()
}

pub(crate) fn unpacked<M: ProstMessageExt>(body: &Bytes) -> M {
    Any::decode(body.clone()).unwrap().unpack().unwrap().unwrap()
}

/// The tickets of a flight.
pub(crate) fn tickets(info: &FlightInfo) -> Vec<Ticket> {
    info.endpoint.iter().map(|endpoint| endpoint.ticket.clone().unwrap()).collect()
}

/// The one ticket of a flight.
pub(crate) fn ticket(info: &FlightInfo) -> Ticket {
    assert_eq!(info.endpoint.len(), 1);
    info.endpoint[0].ticket.clone().unwrap()
}
