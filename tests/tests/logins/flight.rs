//! Flight over TLS with any `authorization`, with and without a handshake.

use crate::world::Seen;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, HandshakeRequest};
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use querygate_tests::server::runtime;
use std::net::SocketAddr;
use std::path::Path;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

fn refused(status: &Status) -> (String, String) {
    (format!("{:?}", status.code()), status.message().to_owned())
}

async fn channel(address: SocketAddr, authority: &Path) -> Channel {
    let authority = Certificate::from_pem(std::fs::read(authority).unwrap());
    let tls = ClientTlsConfig::new().ca_certificate(authority).domain_name("localhost");
    Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap().connect().await.unwrap()
}

fn with<T>(body: T, header: &str) -> Request<T> {
    let mut request = Request::new(body);
    request.metadata_mut().insert("authorization", header.parse().unwrap());
    request
}

/// How many orders somebody sees whose calls carry this header, without a handshake.
pub(crate) fn orders(address: SocketAddr, authority: &Path, header: &str) -> Seen {
    runtime().block_on(async {
        let mut client = FlightServiceClient::new(channel(address, authority).await);
        ask(&mut client, header).await.map_err(|status| refused(&status))
    })
}

/// How many orders are seen after a handshake with this header, whose token the call carries then.
pub(crate) fn orders_by_handshake(address: SocketAddr, authority: &Path, header: &str) -> Seen {
    runtime().block_on(async {
        let mut client = FlightServiceClient::new(channel(address, authority).await);
        let hello = with(stream::iter([HandshakeRequest::default()]), header);
        let answer = client.handshake(hello).await.map_err(|status| refused(&status))?;
        let token = answer.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
        ask(&mut client, &token).await.map_err(|status| refused(&status))
    })
}

async fn ask(client: &mut FlightServiceClient<Channel>, header: &str) -> Result<String, Status> {
    let command = CommandStatementQuery { query: "SELECT count(*) FROM orders".to_owned(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let info = client.get_flight_info(with(descriptor, header)).await?.into_inner();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let messages = client.do_get(with(ticket, header)).await?.into_inner().map_err(FlightError::from);
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages.boxed());
    let batch = batches.try_next().await.unwrap().unwrap();
    Ok(batch.column(0).as_primitive::<Int64Type>().value(0).to_string())
}
