//! The sessions of a door: found by token, bounded by the engine, ended when idle. Knows no password.

use crate::sessions::session::{FlightSession, SessionLimits};
use crate::tickets::seal::{Id, Purpose, Seal, later_ms, now_ms, random_id};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use prost::Message;
use querygate_query_api::service::{ClientInfo, QueryService};
use querygate_query_api::tokens::{Admitted, no_longer_holds};
use querygate_types::{Error, ErrorCode, Result};
use ring::digest;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a session token says, behind the seal.
#[derive(Clone, PartialEq, Message)]
struct TokenBody {
    #[prost(bytes = "vec", tag = "1")]
    session: Vec<u8>,
    #[prost(string, tag = "2")]
    login: String,
    /// Milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    expires_ms: u64,
}

/// A token that calls show without a handshake, as its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Shown([u8; digest::SHA256_OUTPUT_LEN]);

impl Shown {
    pub(crate) fn of(token: &str) -> Self {
        let mut hash = [0; digest::SHA256_OUTPUT_LEN];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }
}

/// Open sessions.
pub(crate) struct Sessions {
    open: Mutex<HashMap<Id, Arc<FlightSession>>>,
    /// Sessions of tokens that are shown without a handshake.
    shown: Mutex<HashMap<Shown, Id>>,
    limits: SessionLimits,
    idle: Duration,
    token_lifetime: Duration,
    /// Ends every session's streams.
    kill: CancellationToken,
}

impl Sessions {
    pub(crate) fn new(
        limits: SessionLimits,
        idle: Duration,
        token_lifetime: Duration,
        kill: CancellationToken,
    ) -> Self {
        Self { open: Mutex::default(), shown: Mutex::default(), limits, idle, token_lifetime, kill }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Arc<FlightSession>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session.
    pub(crate) async fn open(
        &self,
        service: &dyn QueryService,
        admitted: Admitted,
        client: ClientInfo,
    ) -> Result<Arc<FlightSession>> {
        let id = random_id()?;
        let main = service.open(Arc::clone(&admitted.principal), client.clone()).await?;
        let session = FlightSession::new(id, admitted, client, main, self.limits, self.kill.child_token());
        let session = Arc::new(session);
        self.lock().insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// The token of a session.
    pub(crate) fn token(&self, session: &FlightSession, seal: &Seal) -> String {
        let (id, login) = (session.id.to_vec(), session.principal.login.clone());
        let body = TokenBody { session: id, login, expires_ms: later_ms(self.token_lifetime) };
        BASE64.encode(seal.close(Purpose::Token, &body.encode_to_vec()))
    }

    fn shown(&self) -> MutexGuard<'_, HashMap<Shown, Id>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that calls with this token have, while it holds.
    pub(crate) fn of_token(&self, shown: &Shown) -> Option<Arc<FlightSession>> {
        let id = self.shown().get(shown).copied()?;
        let session = self.lock().get(&id).cloned().filter(|session| session.holds())?;
        session.touch();
        Some(session)
    }

    /// Calls with this token have this session from now on.
    pub(crate) fn show(&self, shown: Shown, session: &FlightSession) {
        self.shown().insert(shown, session.id);
    }

    /// The session of a token. One answer for a forged, an expired and an ended one.
    pub(crate) fn find(&self, token: &str, seal: &Seal) -> Result<Arc<FlightSession>> {
        let session = self.read(token, seal).ok_or_else(|| {
            Error::new(ErrorCode::InvalidAuthorization, "the session token is not valid or its session has ended")
                .with_hint("Connect again.")
        })?;
        if !session.holds() {
            return Err(no_longer_holds());
        }
        session.touch();
        Ok(session)
    }

    fn read(&self, token: &str, seal: &Seal) -> Option<Arc<FlightSession>> {
        let sealed = BASE64.decode(token.trim_end_matches('=')).ok()?;
        let body = TokenBody::decode(seal.open(Purpose::Token, &sealed)?).ok()?;
        if now_ms() >= body.expires_ms {
            return None;
        }
        let found = self.lock().get(&Id::try_from(body.session).ok()?).cloned()?;
        (found.principal.login == body.login).then_some(found)
    }

    /// Ends one session.
    pub(crate) async fn close(&self, id: Id) {
        let closed = self.lock().remove(&id);
        self.shown().retain(|_, other| *other != id);
        if let Some(session) = closed {
            session.close().await;
        }
    }

    /// Ends sessions that were idle for long. One that a call or a stream holds is not idle.
    pub(crate) async fn sweep(&self) {
        let limit = u64::try_from(self.idle.as_millis()).unwrap_or(u64::MAX);
        self.end("a Flight session ended: it was idle", |s| Arc::strong_count(s) == 1 && s.idle_ms() >= limit).await;
    }

    /// Ends sessions of which what opened them no longer holds, with their calls and streams.
    pub(crate) async fn look(&self) {
        self.end("a Flight session ended: what it was opened with no longer holds", |s| !s.holds()).await;
    }

    async fn end(&self, why: &str, is_over: impl Fn(&Arc<FlightSession>) -> bool) {
        let over: Vec<Id> = self.lock().values().filter(|s| is_over(s)).map(|session| session.id).collect();
        for id in over {
            tracing::info!("{why}");
            self.close(id).await;
        }
    }

    /// Ends all.
    pub(crate) async fn close_all(&self) {
        let all: Vec<_> = self.lock().drain().map(|(_, session)| session).collect();
        for session in all {
            session.close().await;
        }
    }
}
