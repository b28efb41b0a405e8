//! A client of a gate's Flight door: logs in, describes a statement, fetches its parts side by side. Writes no file and
//! prints nothing.

mod connect;
mod result;
mod server;

pub use connect::{ClientOptions, ClientTls};
pub use result::RemoteResult;

use crate::calls::get::COMPRESSION_HEADER;
use crate::calls::info::ENDPOINTS_HEADER;
use crate::status::error_of;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{
    Action, CancelFlightInfoRequest, FlightDescriptor, FlightEndpoint, RenewFlightEndpointRequest, Ticket,
};
use bytes::Bytes;
use connect::connect;
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use querygate_query_api::outcome::BatchStream;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};

/// A session at a gate.
#[derive(Debug, Clone)]
pub struct FlightClient {
    /// How further connections are made: each stream has its own.
    endpoint: Endpoint,
    channel: Channel,
    /// `Bearer …`.
    token: AsciiMetadataValue,
    received: Arc<AtomicU64>,
}

impl FlightClient {
    /// Connects and logs in.
    ///
    /// # Errors
    /// 08001: nobody listens there; 28P01: wrong password; F0000: options that cannot be used.
    pub async fn connect(options: &ClientOptions) -> Result<Self> {
        let (endpoint, channel, token) = connect(options).await?;
        Ok(Self { endpoint, channel, token, received: Arc::default() })
    }

    fn request<T>(&self, body: T) -> Request<T> {
        let mut request = Request::new(body);
        request.metadata_mut().insert("authorization", self.token.clone());
        request
    }

    fn service(&self, channel: Channel) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX)
    }

    /// Describes a statement, divided into so many parts where it can be. Nothing runs yet.
    ///
    /// # Errors
    /// The gate's own.
    pub async fn describe(&self, sql: &str, parts: usize) -> Result<RemoteResult> {
        let command = CommandStatementQuery { query: sql.to_owned(), transaction_id: None };
        let mut request = self.request(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
        request.metadata_mut().insert(ENDPOINTS_HEADER, parts.to_string().parse().map_err(Error::internal)?);
        let answer = self.service(self.channel.clone()).get_flight_info(request).await;
        RemoteResult::of(answer.map_err(|status| error_of(&status))?.into_inner())
    }

    /// Fetches one part over a connection of its own. `compression` of message bodies: `lz4`, `zstd`, or none.
    ///
    /// # Errors
    /// The gate's own, here or in the stream.
    pub async fn fetch(&self, ticket: &Ticket, compression: Option<&'static str>) -> Result<BatchStream> {
        let channel = self.endpoint.connect().await.map_err(|error| connect::unreachable(&self.endpoint, &error))?;
        let mut request = self.request(ticket.clone());
        if let Some(name) = compression {
            request.metadata_mut().insert(COMPRESSION_HEADER, AsciiMetadataValue::from_static(name));
        }
        let messages = self.service(channel).do_get(request).await.map_err(|status| error_of(&status))?.into_inner();
        let received = Arc::clone(&self.received);
        let messages = messages.map_err(FlightError::from).inspect_ok(move |message| {
            let bytes = message.data_header.len() + message.data_body.len();
            received.fetch_add(bytes as u64, Ordering::Relaxed);
        });
        let batches = FlightRecordBatchStream::new_from_flight_data(messages);
        Ok(batches.map_err(broken).boxed())
    }

    /// Bytes of messages that all streams received so far.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Ends a result's streams at the gate.
    ///
    /// # Errors
    /// The gate's own.
    pub async fn cancel(&self, result: &RemoteResult) -> Result<()> {
        let request = CancelFlightInfoRequest { info: Some(result.info().clone()) };
        self.act("CancelFlightInfo", request.encode_to_vec()).await.map(drop)
    }

    /// Asks the gate to keep one part's ticket for longer; gives the new one.
    ///
    /// # Errors
    /// 28000: it has expired already; the gate's own.
    pub async fn renew(&self, result: &RemoteResult, part: usize) -> Result<RemoteResult> {
        let request = RenewFlightEndpointRequest { endpoint: result.info().endpoint.get(part).cloned() };
        let answers = self.act("RenewFlightEndpoint", request.encode_to_vec()).await?;
        let answer = answers.into_iter().next().and_then(|body| FlightEndpoint::decode(body).ok());
        result.renewed(part, answer.ok_or_else(|| undecodable(&"no endpoint came back"))?)
    }

    /// Ends the session.
    ///
    /// # Errors
    /// The gate's own.
    pub async fn close(self) -> Result<()> {
        self.act("CloseSession", Vec::new()).await.map(drop)
    }

    async fn act(&self, name: &'static str, body: Vec<u8>) -> Result<Vec<Bytes>> {
        let request = self.request(Action::new(name, body));
        let mut service = self.service(self.channel.clone());
        let results = service.do_action(request).await.map_err(|status| error_of(&status))?.into_inner();
        results.map_ok(|result| result.body).try_collect().await.map_err(|status| error_of(&status))
    }
}

/// A stream's end: what the gate said, or what could not be understood.
fn broken(error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) => error_of(&status),
        other => undecodable(&other),
    }
}

fn undecodable(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::ProtocolViolation, "the server's answer is not valid Arrow data").with_cause(error)
}
