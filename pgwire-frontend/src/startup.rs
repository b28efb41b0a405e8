//! From accept to ReadyForQuery: encryption, protocol negotiation, SCRAM, opening the session. Allocates only small
//! buffers until the client has proved who it is.

pub(crate) mod auth;
pub(crate) mod packet;
mod token;

use crate::cancel::{Registration, SecretBytes};
use crate::door_state::{ALPN, DoorState, Tls};
use crate::observe;
use crate::random;
use crate::report::Report;
use crate::startup::auth::{Exchange, Refused, SCRAM_SHA_256, SCRAM_SHA_256_PLUS};
use crate::startup::packet::{FirstPacket, LONG_KEYS_MINOR, NEWEST_MINOR, Startup, first_packet};
use crate::transport::Transport;
use crate::wire::{FrameLimits, Message, Phase, Reader, Short, Writer, next_message};
use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use querygate_arrivals::{Arrival, Purse};
use querygate_query_api::service::{ClientInfo, Door, Session};
use querygate_query_api::tokens::{Admitted, Candidate, TOKEN_USER};
use querygate_types::{Error, ErrorCode, limits};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// A session that is ready for its first query.
pub(crate) struct Opened {
    pub(crate) transport: Transport,
    pub(crate) session: Arc<dyn Session>,
    pub(crate) registration: Registration,
    pub(crate) place: OwnedSemaphorePermit,
}

/// Who may come in, and what is still to be sent to its client.
struct Admission {
    out: Vec<u8>,
    admitted: Admitted,
}

/// Largest authentication message: twice the largest token, so that one that is too long is refused as such. PostgreSQL takes 65,535 bytes.
const AUTHENTICATION_BYTES_MAX: usize = 32 * 1024;
/// What a connection takes from its first byte on: its startup, its span, its buffers.
const CONNECTION_BYTES: usize = 16 * 1024;
/// What TLS takes beside, with the longest handshake message.
const TLS_BYTES: usize = 96 * 1024;
/// What an authentication message takes that comes at once, and one that comes in pieces.
const ANSWER_BYTES: usize = 2 * 1024;
const LONG_ANSWER_BYTES: usize = 3 * AUTHENTICATION_BYTES_MAX;
/// What a startup packet takes for each of its bytes, where all its settings are as short as they can be.
const STARTUP_COPIES: usize = 24;
/// Random bytes of the server's nonce, as in PostgreSQL.
const NONCE_BYTES: usize = 18;
/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// How long a refused client may take to leave.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

const AUTHENTICATION_OK: i32 = 0;
const AUTHENTICATION_SASL: i32 = 10;
const AUTHENTICATION_SASL_CONTINUE: i32 = 11;
const AUTHENTICATION_SASL_FINAL: i32 = 12;

/// Why startup ended without a session.
enum Ended {
    /// Nothing to say: the client left, or asked for a cancel only.
    Quietly,
    Refused(Report),
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Quietly
    }
}

impl From<Report> for Ended {
    fn from(report: Report) -> Self {
        Self::Refused(report)
    }
}

/// Brings one connection to its session. `None`: it has been answered and closed.
pub(crate) async fn open(shared: &DoorState, tcp: TcpStream, peer: SocketAddr, arrival: Arrival) -> Option<Opened> {
    let purse = arrival.purse();
    let mut waiting = Waiting::new(arrival, shared.config.authentication_timeout);
    let tls = shared.tls.now();
    let (mut transport, startup) = tokio::select! {
        // Nothing can be said to who is not yet known to speak this protocol.
        over = waiting.over() => {
            observe::refused(over.reason());
            return None;
        }
        encrypted = encrypted(shared, tls.as_deref(), tcp, &purse) => encrypted?,
    };
    let proven = tokio::select! {
        over = waiting.over() => {
            observe::refused(over.reason());
            Err(over.report().into())
        }
        proven = prove((shared, tls.as_deref()), (&mut transport, &purse), &startup, peer) => proven,
    };
    let placed = proven.and_then(|admission| Ok((admission, place(shared)?)));
    let ended = match placed {
        Ok((admission, place)) => {
            drop(waiting);
            match establish(shared, &mut transport, startup, peer, admission).await {
                Ok((session, registration)) => {
                    return Some(Opened { transport, session, registration, place });
                }
                Err(ended) => {
                    end(shared, &mut transport, ended).await;
                    return None;
                }
            }
        }
        Err(ended) => ended,
    };
    tokio::select! {
        // What can be written at once is, whoever has to go.
        biased;
        () = end(shared, &mut transport, ended) => {}
        _ = waiting.over() => {}
    }
    None
}

/// A connection that has not logged in: it has a time to do so, and gives way to others.
struct Waiting {
    arrival: Arrival,
    until: Instant,
}

/// Why a connection that has not logged in must go.
#[derive(Debug, Clone, Copy)]
enum Over {
    GivesWay,
    Late,
}

impl Waiting {
    fn new(arrival: Arrival, patience: Duration) -> Self {
        Self { arrival, until: Instant::now() + patience }
    }

    async fn over(&mut self) -> Over {
        tokio::select! {
            () = self.arrival.gives_way() => Over::GivesWay,
            () = tokio::time::sleep_until(self.until) => Over::Late,
        }
    }
}

impl Over {
    const fn reason(self) -> &'static str {
        match self {
            Self::GivesWay => "gives_way",
            Self::Late => "authentication_timeout",
        }
    }

    fn report(self) -> Report {
        match self {
            Self::GivesWay => {
                too_many().with_detail("Too many connections are waiting to log in; this was the oldest.")
            }
            Self::Late => Report::fatal(ErrorCode::QueryCanceled, "canceling authentication due to timeout"),
        }
    }
}

fn too_many() -> Report {
    Report::fatal(ErrorCode::TooManyConnections, "sorry, too many clients already")
}

/// A place for a session.
fn place(shared: &DoorState) -> Result<OwnedSemaphorePermit, Ended> {
    Arc::clone(&shared.places).try_acquire_owned().map_err(|_| no_place())
}

fn no_place() -> Ended {
    observe::refused("connection_max");
    too_many().into()
}

async fn end(shared: &DoorState, transport: &mut Transport, ended: Ended) {
    if let Ended::Refused(report) = ended {
        observe::error(report.sqlstate());
        tracing::info!(sqlstate = report.sqlstate(), "connection refused");
        let mut out = Vec::new();
        report.into_fatal().write(&mut out);
        if transport.write_all(&out, shared.config.write_timeout).await.is_ok() {
            transport.close(CLOSE_PATIENCE).await;
        }
    }
}

/// Answers encryption requests until a startup packet comes.
async fn encrypted(
    shared: &DoorState,
    tls: Option<&Tls>,
    tcp: TcpStream,
    purse: &Purse,
) -> Option<(Transport, Startup)> {
    let mut first = [0; 1];
    if tcp.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    purse.charge(CONNECTION_BYTES).await;
    let mut transport = Transport::Plain(tcp);
    if first == [TLS_HANDSHAKE] {
        transport = accept_tls(tls?, transport, Alpn::Required, purse).await?;
    }
    let (mut ssl_answered, mut gss_answered) = (false, false);
    loop {
        let answer = match read_first_packet(&mut transport, purse).await {
            Ok(FirstPacket::Startup(startup)) if shared.config.require_tls && !transport.is_tls() => {
                drop(startup);
                Err(Report::fatal(ErrorCode::InvalidAuthorization, "this server accepts encrypted connections only")
                    .into())
            }
            Ok(FirstPacket::Startup(startup)) => return Some((transport, startup)),
            Ok(FirstPacket::Cancel(request)) => {
                observe::canceled();
                shared.keys.cancel(request.process_id, &request.secret);
                Err(Ended::Quietly)
            }
            Ok(FirstPacket::Ssl) if !ssl_answered && !transport.is_tls() => {
                ssl_answered = true;
                answer_ssl(shared, tls, &mut transport).await
            }
            Ok(FirstPacket::Gss) if !gss_answered && !transport.is_tls() => {
                gss_answered = true;
                transport.write_all(b"N", shared.config.write_timeout).await.map(|()| None).map_err(Ended::from)
            }
            Ok(FirstPacket::Ssl | FirstPacket::Gss) => {
                Err(Report::fatal(ErrorCode::ProtocolViolation, "encryption was requested twice").into())
            }
            Err(ended) => Err(ended),
        };
        match answer {
            Ok(None) => {}
            Ok(Some(tls)) => transport = accept_tls(tls, transport, Alpn::Optional, purse).await?,
            Err(ended) => {
                end(shared, &mut transport, ended).await;
                return None;
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Alpn {
    Required,
    Optional,
}

async fn accept_tls(tls: &Tls, transport: Transport, alpn: Alpn, purse: &Purse) -> Option<Transport> {
    let Transport::Plain(tcp) = transport else { return None };
    tcp.readable().await.ok()?;
    purse.charge(TLS_BYTES).await;
    match tls.acceptor.accept(tcp).await {
        // Direct TLS without ALPN could be another protocol's client sent here by somebody else.
        Ok(stream) if alpn == Alpn::Required && stream.get_ref().1.alpn_protocol() != Some(ALPN) => None,
        Ok(stream) => Some(Transport::Tls(Box::new(stream))),
        Err(error) => {
            observe::refused("tls");
            tracing::info!(%error, "TLS handshake failed");
            None
        }
    }
}

/// Says S or N. Bytes that came before the answer were written by somebody who did not wait for encryption.
async fn answer_ssl<'a>(
    shared: &DoorState,
    tls: Option<&'a Tls>,
    transport: &mut Transport,
) -> Result<Option<&'a Tls>, Ended> {
    let Some(tls) = tls else {
        transport.write_all(b"N", shared.config.write_timeout).await?;
        return Ok(None);
    };
    if let Transport::Plain(tcp) = transport
        && matches!(tcp.try_read(&mut [0; 1]), Ok(count) if count > 0)
    {
        return Err(Report::fatal(ErrorCode::ProtocolViolation, "received unencrypted data after SSL request").into());
    }
    transport.write_all(b"S", shared.config.write_timeout).await?;
    Ok(Some(tls))
}

async fn read_first_packet(transport: &mut Transport, purse: &Purse) -> Result<FirstPacket, Ended> {
    let mut length = [0; 4];
    transport.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if !(8..=limits::STARTUP_BYTES_MAX).contains(&length) {
        return Err(Report::fatal(ErrorCode::ProtocolViolation, "invalid length of startup packet").into());
    }
    purse.charge(STARTUP_COPIES * length).await;
    let mut body = vec![0; length - 4];
    transport.read_exact(&mut body).await?;
    Ok(first_packet(&Bytes::from(body))?)
}

/// Negotiates and authenticates; gives what is still to be sent.
async fn prove(
    (shared, tls): (&DoorState, Option<&Tls>),
    (transport, purse): (&mut Transport, &Purse),
    startup: &Startup,
    peer: SocketAddr,
) -> Result<Admission, Ended> {
    // Told before it is asked for a password, as PostgreSQL does.
    if shared.places.available_permits() == 0 {
        return Err(no_place());
    }
    let mut out = Vec::new();
    if startup.minor > NEWEST_MINOR || !startup.unknown_options.is_empty() {
        let mark = out.open(b'v');
        out.u32((3 << 16) | u32::from(startup.minor.min(NEWEST_MINOR)));
        out.u32(u32::try_from(startup.unknown_options.len()).unwrap_or(u32::MAX));
        for option in &startup.unknown_options {
            out.cstr(option);
        }
        out.close(mark);
    }
    let handshake = Handshake { shared, tls, transport, purse, held: 0, out, input: BytesMut::new() };
    match shared.auth.tokens() {
        Some(tokens) if startup.user == TOKEN_USER => handshake.token(tokens, peer).await,
        Some(_) | None => handshake.scram(&startup.user).await,
    }
}

/// Opens the session of a user who proved the password, and says so.
async fn establish(
    shared: &DoorState,
    transport: &mut Transport,
    startup: Startup,
    peer: SocketAddr,
    Admission { mut out, admitted: Admitted { principal, standing } }: Admission,
) -> Result<(Arc<dyn Session>, Registration), Ended> {
    tracing::Span::current().record("user", principal.login.as_str());
    if !shared.auth.has_database(&startup.database) {
        return Err(Report::fatal(
            ErrorCode::UndefinedDatabase,
            format!("database \"{}\" does not exist", startup.database),
        )
        .into());
    }
    let client =
        ClientInfo { door: Door::Postgres, database: startup.database, peer: Some(peer), settings: startup.settings };
    let session = shared.service.open(principal, client).await.map_err(|error| Report::from(error).into_fatal())?;
    if transport.is_tls() {
        session.connected_by_tls();
    }
    let kill = shared.kill.child_token();
    let secret_bytes = if startup.minor >= LONG_KEYS_MINOR { SecretBytes::ThirtyTwo } else { SecretBytes::Four };
    let Some(registration) = shared.keys.register(Arc::clone(&session), (standing, kill), secret_bytes) else {
        session.close().await;
        return Err(Report::from(Error::internal("no randomness for a cancel key")).into());
    };
    out.authentication(AUTHENTICATION_OK, &[]);
    for (name, value) in session.reported_settings() {
        out.parameter_status(&name, &value);
    }
    let mark = out.open(b'K');
    out.u32(registration.process_id);
    out.extend_from_slice(&registration.secret);
    out.close(mark);
    let mark = out.open(b'Z');
    out.byte(b'I');
    out.close(mark);
    if let Err(error) = transport.write_all(&out, shared.config.write_timeout).await {
        session.close().await;
        return Err(error.into());
    }
    tracing::info!("session opened");
    Ok((session, registration))
}

struct Handshake<'a> {
    shared: &'a DoorState,
    /// What its connection may be encrypted with.
    tls: Option<&'a Tls>,
    transport: &'a mut Transport,
    purse: &'a Purse,
    /// Charged for the client's messages.
    held: usize,
    out: Vec<u8>,
    input: BytesMut,
}

impl Handshake<'_> {
    /// Runs the exchange; says who proved the password. The same work is done for a user that does not exist.
    async fn scram(mut self, user: &str) -> Result<Admission, Ended> {
        let channel = if self.transport.is_tls() { self.tls.and_then(|tls| tls.channel_binding.clone()) } else { None };
        let mut mechanisms = String::new();
        if channel.is_some() {
            mechanisms.push_str(SCRAM_SHA_256_PLUS);
            mechanisms.push('\0');
        }
        mechanisms.push_str(SCRAM_SHA_256);
        mechanisms.push_str("\0\0");
        self.out.authentication(AUTHENTICATION_SASL, mechanisms.as_bytes());
        let body = self.response().await?;
        let (mechanism, client_first) =
            initial_response(&body).map_err(|Short| malformed("The message is too short."))?;
        let plus = match mechanism {
            name if name == SCRAM_SHA_256.as_bytes() => false,
            name if name == SCRAM_SHA_256_PLUS.as_bytes() && channel.is_some() => true,
            _ => {
                return Err(Report::fatal(
                    ErrorCode::ProtocolViolation,
                    "client selected an invalid SASL authentication mechanism",
                )
                .into());
            }
        };
        let refused = |refused| Ended::from(refusal(refused, user));
        let nonce = random::bytes::<NONCE_BYTES>().ok_or_else(|| Report::from(Error::internal("no randomness")))?;
        let nonce = base64::engine::general_purpose::STANDARD.encode(nonce);
        let Candidate { verifier, admitted } = self.shared.auth.candidate(user);
        let exchange = Exchange::new(verifier, channel, plus);
        let (challenged, server_first) = exchange.challenge(text(client_first)?, &nonce).map_err(refused)?;
        self.out.authentication(AUTHENTICATION_SASL_CONTINUE, server_first.as_bytes());
        let body = self.response().await?;
        let server_final = challenged.finish(text(&body)?).map_err(refused)?;
        self.out.authentication(AUTHENTICATION_SASL_FINAL, server_final.as_bytes());
        let admitted = admitted.ok_or_else(|| password_failed(user))?;
        Ok(Admission { out: self.out, admitted })
    }

    /// Sends what is pending and waits for the client's next authentication message.
    async fn response(&mut self) -> Result<Bytes, Ended> {
        self.transport.write_all(&self.out, self.shared.config.write_timeout).await?;
        self.out.clear();
        let limits = FrameLimits::new(AUTHENTICATION_BYTES_MAX);
        loop {
            match next_message(&mut self.input, Phase::Authentication, limits).map_err(Report::from)? {
                Some(Ok(Message::Authentication(body))) => return Ok(body),
                Some(_) => return Err(Ended::Quietly),
                None => {}
            }
            let held = if self.input.is_empty() { ANSWER_BYTES } else { LONG_ANSWER_BYTES };
            if held > self.held {
                self.purse.charge(held - self.held).await;
                self.held = held;
            }
            if self.transport.read(&mut self.input).await? == 0 {
                return Err(Ended::Quietly);
            }
        }
    }
}

fn initial_response(body: &Bytes) -> Result<(&[u8], &[u8]), Short> {
    let mut reader = Reader::new(body);
    let mechanism = reader.cstr()?;
    let length = usize::try_from(reader.i32()?).map_err(|_| Short)?;
    if length != reader.remaining() {
        return Err(Short);
    }
    Ok((mechanism, reader.rest()))
}

fn text(bytes: &[u8]) -> Result<&str, Ended> {
    std::str::from_utf8(bytes).map_err(|_| malformed("The message is not UTF-8.").into())
}

fn malformed(detail: &str) -> Report {
    Report::fatal(ErrorCode::ProtocolViolation, "malformed SCRAM message").with_detail(detail)
}

fn password_failed(user: &str) -> Report {
    Report::fatal(ErrorCode::InvalidPassword, format!("password authentication failed for user \"{user}\""))
}

fn refusal(refused: Refused, user: &str) -> Report {
    match refused {
        Refused::Malformed(detail) => malformed(detail),
        Refused::WrongProof => password_failed(user),
        Refused::ChannelBinding => Report::fatal(ErrorCode::InvalidAuthorization, "SCRAM channel binding check failed"),
        Refused::Downgrade => Report::fatal(ErrorCode::InvalidAuthorization, "SCRAM channel binding negotiation error")
            .with_detail(
                "The client supports SCRAM channel binding but thinks the server does not. However, this server does \
                 support channel binding.",
            ),
        Refused::AuthorizationIdentity => {
            Report::fatal(ErrorCode::FeatureNotSupported, "client uses authorization identity, but it is not supported")
        }
    }
}
