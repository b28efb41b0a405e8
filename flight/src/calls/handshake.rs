//! Logging in: name and password in, session token out. Known and unknown users cost the same and get the same answer.

use crate::door_state::DoorState;
use crate::observe;
use crate::sessions::registry::Shown;
use crate::sessions::session::FlightSession;
use crate::transport::Caller;
use arrow_flight::{BasicAuth, HandshakeRequest};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::Message as _;
use querygate_query_api::service::{ClientInfo, Door};
use querygate_query_api::tokens::{Admitted, Candidate, TOKEN_USER, Tokens};
use querygate_types::{Error, ErrorCode, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use tonic::Streaming;
use tonic::metadata::{MetadataMap, MetadataValue};

/// Some clients pad, ADBC's does not.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// PostgreSQL's bound on `application_name`.
const APPLICATION_BYTES_MAX: usize = 63;

enum Credentials {
    Password { user: String, password: String },
    Token(String),
}

impl Credentials {
    fn new(user: &str, password: &str) -> Self {
        if user == TOKEN_USER {
            return Self::Token(password.to_owned());
        }
        Self::Password { user: user.to_owned(), password: password.to_owned() }
    }
}

/// Opens a session for a user who proves the password; gives its token.
pub(crate) async fn login(
    shared: &DoorState,
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
    let _judging = connection.as_ref().map(Caller::judging);
    let peer = connection.as_ref().map(|connection| connection.peer);
    let admitted = match (credentials, shared.auth.tokens()) {
        (Credentials::Token(token), Some(tokens)) => proven(tokens, &token, peer).await?,
        (Credentials::Token(_), None) => return Err(no_tokens()),
        (Credentials::Password { user, password }, _) => authenticate(shared, user, password).await?,
    };
    connection.as_ref().map_or(Ok(()), Caller::is_known)?;
    let agent = metadata.get("user-agent").map(MetadataValue::as_encoded_bytes);
    let client = client(shared, application(agent), peer);
    let session = shared.sessions.open(shared.service.as_ref(), admitted, client).await?;
    tracing::info!(user = session.principal.login, "Flight session opened");
    Ok(shared.sessions.token(&session, &shared.seal))
}

fn client(shared: &DoorState, application: Option<String>, peer: Option<SocketAddr>) -> ClientInfo {
    let settings = application.map(|name| ("application_name".to_owned(), name)).into_iter().collect();
    ClientInfo { door: Door::FlightSql, database: shared.config.database.clone(), peer, settings }
}

/// The session of an API key or an issuer's token that calls show without a handshake. All that show the same one share it.
pub(crate) async fn by_token(
    shared: &DoorState,
    token: &str,
    application: Option<String>,
    peer: Option<SocketAddr>,
) -> Result<Option<Arc<FlightSession>>> {
    let Some(tokens) = shared.auth.tokens().filter(|tokens| tokens.has_form(token)) else { return Ok(None) };
    let shown = Shown::of(token);
    if let Some(session) = shared.sessions.of_token(&shown) {
        return Ok(Some(session));
    }
    let admitted = proven(tokens, token, peer).await?;
    // One at a time, so that the first calls of a client do not open a session each.
    let _turn = shared.first_calls.lock().await;
    if let Some(session) = shared.sessions.of_token(&shown) {
        return Ok(Some(session));
    }
    let client = client(shared, application, peer);
    let session = shared.sessions.open(shared.service.as_ref(), admitted, client).await?;
    shared.sessions.show(shown, &session);
    tracing::info!(user = session.principal.login, "Flight session opened");
    Ok(Some(session))
}

async fn proven(tokens: &dyn Tokens, token: &str, peer: Option<SocketAddr>) -> Result<Admitted> {
    let proven = tokens.prove(token, peer).await.map_err(|refusal| {
        observe::refused("token");
        Error::from(refusal)
    })?;
    Ok(proven.into())
}

fn from_header(metadata: &MetadataMap) -> Result<Option<Credentials>> {
    let Some(header) = metadata.get("authorization") else { return Ok(None) };
    let header = header.to_str().map_err(|_| malformed())?;
    let (scheme, encoded) = header.split_once(' ').ok_or_else(malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Credentials::Token(encoded.trim().to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Error::new(ErrorCode::InvalidAuthorization, "a handshake needs a user and a password")
            .with_hint("Send \"authorization: Basic …\"."));
    }
    let decoded = BASE64.decode(encoded.trim()).map_err(|_| malformed())?;
    let text = String::from_utf8(decoded).map_err(|_| malformed())?;
    let (user, password) = text.split_once(':').ok_or_else(malformed)?;
    Ok(Some(Credentials::new(user, password)))
}

/// Older clients send a message instead of a header.
async fn from_payload(shared: &DoorState, mut messages: Streaming<HandshakeRequest>) -> Result<Credentials> {
    let first = tokio::time::timeout(shared.config.startup_timeout, messages.message()).await;
    let Ok(Ok(Some(request))) = first else { return Err(malformed()) };
    let auth = BasicAuth::decode(request.payload).map_err(|_| malformed())?;
    if auth.username.is_empty() {
        return Err(malformed());
    }
    Ok(Credentials::new(&auth.username, &auth.password))
}

fn no_tokens() -> Error {
    observe::refused("token");
    Error::new(ErrorCode::InvalidAuthorization, "a handshake needs a user and a password")
        .with_hint("Send \"authorization: Basic …\"; this gate takes no API keys and no issuers' tokens.")
}

fn malformed() -> Error {
    observe::refused("handshake");
    Error::new(ErrorCode::InvalidAuthorization, "the handshake carries no user and password")
        .with_hint("Send \"authorization: Basic …\".")
}

/// The same work for a user that does not exist: the authenticator makes up a verifier that no password fits.
async fn authenticate(shared: &DoorState, user: String, password: String) -> Result<Admitted> {
    let _turn = shared.logins.acquire().await.map_err(Error::internal)?;
    let Candidate { verifier, admitted } = shared.auth.candidate(&user);
    let proved = tokio::task::spawn_blocking(move || verifier.proves(&password)).await.map_err(Error::internal)?;
    match (proved, admitted) {
        (true, Some(admitted)) => Ok(admitted),
        (true | false, _) => {
            observe::refused("password");
            Err(Error::new(ErrorCode::InvalidPassword, format!("password authentication failed for user \"{user}\"")))
        }
    }
}

/// What the client says it is, as far as a setting may hold it.
pub(crate) fn application(agent: Option<&[u8]>) -> Option<String> {
    let printable = std::str::from_utf8(agent?).ok()?.chars().filter(|c| (' '..='~').contains(c));
    Some(printable.take(APPLICATION_BYTES_MAX).collect())
}
