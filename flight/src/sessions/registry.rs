//! The sessions of a door: found by token, bounded by the engine, ended when idle. Knows no password.

use crate::sessions::session::{FlightSession, SessionLimits};
use crate::tickets::seal::{Id, Purpose, Seal, later_ms, now_ms, random_id};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use prost::Message;
use querygate_query_api::service::{ClientInfo, QueryService};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
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

/// Open sessions.
pub(crate) struct Sessions {
    open: Mutex<HashMap<Id, Arc<FlightSession>>>,
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
        Self { open: Mutex::default(), limits, idle, token_lifetime, kill }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Arc<FlightSession>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session and gives its token.
    pub(crate) async fn open(
        &self,
        service: &dyn QueryService,
        principal: Arc<Principal>,
        client: ClientInfo,
        seal: &Seal,
    ) -> Result<String> {
        let id = random_id()?;
        let main = service.open(Arc::clone(&principal), client.clone()).await?;
        let login = principal.login.clone();
        let session = FlightSession::new(id, principal, client, main, self.limits, self.kill.child_token());
        self.lock().insert(id, Arc::new(session));
        let body = TokenBody { session: id.to_vec(), login, expires_ms: later_ms(self.token_lifetime) };
        Ok(BASE64.encode(seal.close(Purpose::Token, &body.encode_to_vec())))
    }

    /// The session of a token. One answer for a forged, an expired and an ended one.
    pub(crate) fn find(&self, token: &str, seal: &Seal) -> Result<Arc<FlightSession>> {
        let session = self.read(token, seal).ok_or_else(|| {
            Error::new(ErrorCode::InvalidAuthorization, "the session token is not valid or its session has ended")
                .with_hint("Connect again.")
        })?;
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
        if let Some(session) = closed {
            session.close().await;
        }
    }

    /// Ends sessions that nobody used for long. One that a call or a stream holds is not idle.
    pub(crate) async fn sweep(&self) {
        let limit = u64::try_from(self.idle.as_millis()).unwrap_or(u64::MAX);
        let idle: Vec<Id> = {
            let open = self.lock();
            let idle = open.values().filter(|s| Arc::strong_count(s) == 1 && s.idle_ms() >= limit);
            idle.map(|session| session.id).collect()
        };
        for id in idle {
            tracing::info!("an idle Flight session ended");
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
