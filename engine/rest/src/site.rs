//! What all routes share: services, sessions, bounds. Knows no route.

use crate::call::Call;
use crate::data::Work;
use crate::door::RestConfig;
use crate::identity::Identity;
use crate::refusal::Refusal;
use crate::sessions::Sessions;
use axum::extract::State;
use querygate_query_api::platform::Platform;
use querygate_query_api::service::{Authenticator, ClientInfo, Door, QueryService};
use querygate_query_api::trace::TraceContext;
use querygate_web::Attempts;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// Passwords tried at once: each costs a few milliseconds of a core.
const LOGINS_AT_ONCE: usize = 2;

/// What routes share.
pub(crate) struct Site {
    pub(crate) config: RestConfig,
    service: Arc<dyn QueryService>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) platform: Arc<dyn Platform>,
    pub(crate) ready: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(crate) sessions: Sessions,
    pub(crate) attempts: Attempts,
    pub(crate) logins: Semaphore,
    pub(crate) since: Instant,
}

pub(crate) type Shared = State<Arc<Site>>;

impl Site {
    pub(crate) fn new(
        config: RestConfig,
        service: Arc<dyn QueryService>,
        authenticator: Arc<dyn Authenticator>,
        platform: Arc<dyn Platform>,
        ready: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Self {
        Self {
            sessions: Sessions::new(config.session_lifetime),
            config,
            service,
            authenticator,
            platform,
            ready,
            attempts: Attempts::default(),
            logins: Semaphore::new(LOGINS_AT_ONCE),
            since: Instant::now(),
        }
    }

    /// A session with the engine for who sent a request.
    ///
    /// # Errors
    /// Nobody is known by it, or no session is to be had.
    pub(crate) async fn work(&self, call: &Call) -> Result<Work, Refusal> {
        let identity = self.identify(call)?;
        self.work_of(&identity, call).await
    }

    /// # Errors
    /// No session is to be had.
    pub(crate) async fn work_of(&self, identity: &Identity, call: &Call) -> Result<Work, Refusal> {
        let settings = vec![("application_name".to_owned(), "rest".to_owned())];
        let client = ClientInfo {
            door: Door::Rest,
            database: self.config.database.clone(),
            peer: call.peer.map(|peer| peer.0),
            settings,
        };
        let session = self.service.open(Arc::clone(&identity.principal), client).await?;
        session.follow_trace(call.header("traceparent").and_then(TraceContext::parse));
        Ok(Work::new(session))
    }
}
