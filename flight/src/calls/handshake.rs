//! Logging in: name and password in, session token out. Known and unknown users cost the same and get the same answer.

use crate::observe;
use crate::shared::Shared;
use crate::transport::Caller;
use arrow_flight::{BasicAuth, HandshakeRequest};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::Message as _;
use querygate_query_api::service::{ClientInfo, Door};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tonic::Streaming;
use tonic::metadata::MetadataMap;

/// Some clients pad, ADBC's does not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// PostgreSQL's bound on `application_name`.
const APPLICATION_BYTES_MAX: usize = 63;

struct Credentials {
    user: String,
    password: String,
}

/// Opens a session for a user who proves the password; gives its token.
pub(crate) async fn login(
    shared: &Shared,
    metadata: &MetadataMap,
    messages: Streaming<HandshakeRequest>,
    connection: Option<Caller>,
) -> Result<String> {
    if shared.shutdown.is_cancelled() {
        return Err(Error::new(ErrorCode::AdminShutdown, "the server is shutting down"));
    }
    let credentials = match from_header(metadata)? {
        Some(credentials) => credentials,
        None => from_payload(shared, messages).await?,
    };
    let principal = authenticate(shared, credentials).await?;
    connection.as_ref().map_or(Ok(()), Caller::is_known)?;
    let peer = connection.map(|connection| connection.peer);
    let settings = application(metadata).map(|name| ("application_name".to_owned(), name)).into_iter().collect();
    let client = ClientInfo { door: Door::FlightSql, database: shared.config.database.clone(), peer, settings };
    let token = shared.sessions.open(shared.service.as_ref(), Arc::clone(&principal), client, &shared.seal).await?;
    tracing::info!(user = principal.login, "Flight session opened");
    Ok(token)
}

fn from_header(metadata: &MetadataMap) -> Result<Option<Credentials>> {
    let Some(header) = metadata.get("authorization") else { return Ok(None) };
    let header = header.to_str().map_err(|_| malformed())?;
    let (scheme, encoded) = header.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Error::new(ErrorCode::InvalidAuthorization, "a handshake needs a user and a password")
            .with_hint("Send \"authorization: Basic …\"."));
    }
    let decoded = BASE64.decode(encoded.trim()).map_err(|_| malformed())?;
    let text = String::from_utf8(decoded).map_err(|_| malformed())?;
    let (user, password) = text.split_once(':').ok_or_else(malformed)?;
    Ok(Some(Credentials { user: user.to_owned(), password: password.to_owned() }))
}

/// Older clients send a message instead of a header.
async fn from_payload(shared: &Shared, mut messages: Streaming<HandshakeRequest>) -> Result<Credentials> {
    let first = tokio::time::timeout(shared.config.startup_timeout, messages.message()).await;
    let Ok(Ok(Some(request))) = first else { return Err(malformed()) };
    let auth = BasicAuth::decode(request.payload).map_err(|_| malformed())?;
    if auth.username.is_empty() {
        return Err(malformed());
    }
    Ok(Credentials { user: auth.username, password: auth.password })
}

fn malformed() -> Error {
    observe::refused("handshake");
    Error::new(ErrorCode::InvalidAuthorization, "the handshake carries no user and password")
        .with_hint("Send \"authorization: Basic …\".")
}

/// The same work for a user that does not exist: the authenticator makes up a verifier that no password fits.
async fn authenticate(shared: &Shared, credentials: Credentials) -> Result<Arc<Principal>> {
    let Credentials { user, password } = credentials;
    let _turn = shared.logins.acquire().await.map_err(Error::internal)?;
    let verifier = shared.auth.scram_verifier(&user);
    let proved = tokio::task::spawn_blocking(move || verifier.proves(&password)).await.map_err(Error::internal)?;
    match (proved, shared.auth.principal(&user)) {
        (true, Some(principal)) => Ok(principal),
        (true | false, _) => {
            observe::refused("password");
            Err(Error::new(ErrorCode::InvalidPassword, format!("password authentication failed for user \"{user}\"")))
        }
    }
}

/// What the client says it is, as far as a setting may hold it.
fn application(metadata: &MetadataMap) -> Option<String> {
    let agent = metadata.get("user-agent")?.to_str().ok()?;
    let printable = agent.chars().filter(|c| (' '..='~').contains(c));
    Some(printable.take(APPLICATION_BYTES_MAX).collect())
}
