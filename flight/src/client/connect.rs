//! Connecting and logging in. A password goes over a network only encrypted.

use super::server::Server;
use crate::status::error_of;
use arrow_flight::HandshakeRequest;
use arrow_flight::flight_service_client::FlightServiceClient;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::stream;
use querygate_types::{Error, ErrorCode, Result};
use std::time::Duration;
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent server is asked after so long whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// What proves the server, and what proves this client to it.
#[derive(Clone, Default)]
pub struct ClientTls {
    /// PEM of the authorities to trust, instead of the system's.
    pub authorities: Option<Vec<u8>>,
    /// PEM of a certificate and its key, for servers that want one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientTls(…)")
    }
}

/// Where to connect, and as whom.
#[derive(Clone)]
pub struct ClientOptions {
    /// `grpc://HOST:PORT`, or `grpc+tls://HOST:PORT`.
    pub server: String,
    pub user: String,
    pub password: String,
    pub tls: ClientTls,
    /// Send the password without TLS to another machine.
    pub allow_plaintext: bool,
    /// What the gate's sessions show as the application.
    pub application: String,
}

impl std::fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientOptions").field("server", &self.server).field("user", &self.user).finish_non_exhaustive()
    }
}

/// How to connect again, a connection, and the token of a session.
pub(super) async fn connect(options: &ClientOptions) -> Result<(Endpoint, Channel, AsciiMetadataValue)> {
    let server = Server::read(&options.server)?;
    if !server.is_private() && !options.allow_plaintext {
        return Err(Error::new(
            ErrorCode::InvalidAuthorization,
            format!("{} would get the password without encryption", options.server),
        )
        .with_hint("Use grpc+tls://, or say --allow-plaintext where nobody can listen."));
    }
    let endpoint = endpoint(&server, options)?;
    let channel = endpoint.connect().await.map_err(|error| unreachable(&endpoint, &error))?;
    let token = login(channel.clone(), options).await?;
    Ok((endpoint, channel, token))
}

fn endpoint(server: &Server, options: &ClientOptions) -> Result<Endpoint> {
    let unusable = |what: &str, error: &dyn std::fmt::Display| {
        Error::new(ErrorCode::ConfigInvalid, format!("{what} cannot be used")).with_cause(error)
    };
    let endpoint = Endpoint::from_shared(server.uri())
        .and_then(|endpoint| endpoint.user_agent(options.application.clone()))
        .map_err(|error| unusable("the server's address", &error))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_while_idle(true);
    if !server.tls {
        return Ok(endpoint);
    }
    let mut tls = match &options.tls.authorities {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((certificate, key)) = &options.tls.identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    endpoint.tls_config(tls).map_err(|error| unusable("the TLS settings", &source_of(&error)))
}

/// A server that does not answer, or not as one should.
pub(super) fn unreachable(endpoint: &Endpoint, error: &tonic::transport::Error) -> Error {
    Error::new(ErrorCode::SourceUnavailable, format!("cannot connect to {}", address_of(endpoint)))
        .with_detail(source_of(error))
        .with_hint("Is the gate running, with a [flight] port, and is TLS on where grpc+tls:// says so?")
}

/// Where an endpoint is, as people write it: [`Server::uri`] the other way round.
fn address_of(endpoint: &Endpoint) -> String {
    let uri = endpoint.uri();
    let scheme = if uri.scheme_str() == Some("https") { "grpc+tls" } else { "grpc" };
    let place = uri.authority().map(ToString::to_string).unwrap_or_default();
    format!("{scheme}://{place}")
}

/// The innermost cause says what happened; those around it that something did.
fn source_of(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

async fn login(channel: Channel, options: &ClientOptions) -> Result<AsciiMetadataValue> {
    let proof = BASE64.encode(format!("{}:{}", options.user, options.password));
    let mut request = Request::new(stream::iter([HandshakeRequest::default()]));
    let mut header: AsciiMetadataValue = format!("Basic {proof}").parse().map_err(Error::internal)?;
    header.set_sensitive(true);
    request.metadata_mut().insert("authorization", header);
    let answer = FlightServiceClient::new(channel).handshake(request).await.map_err(|status| error_of(&status))?;
    answer.metadata().get("authorization").cloned().ok_or_else(|| {
        Error::new(ErrorCode::ProtocolViolation, "the server's handshake carries no token")
            .with_hint("Is it a Flight SQL server?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_said_as_it_was_written() {
        for written in ["grpc://127.0.0.1:8815", "grpc+tls://db.example:8815", "grpc://[::1]:1"] {
            let endpoint = Endpoint::from_shared(Server::read(written).unwrap().uri()).unwrap();
            assert_eq!(address_of(&endpoint), written);
        }
    }
}
