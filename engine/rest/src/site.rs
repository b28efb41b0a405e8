//! What all routes share: services, sessions, bounds. Knows no route.

use crate::call::{Call, RequestId};
use crate::callers::{Rates, Sessions};
use crate::config::RestConfig;
use crate::presence::Presence;
use crate::refusal::Refusal;
use crate::work::Work;
use axum::extract::State;
use axum::http::StatusCode;
use metrics::{Counter, Histogram};
use querygate_query_api::requests::platform::Platform;
use querygate_query_api::service::{Authenticator, ClientInfo, Door, QueryService};
use querygate_query_api::trace::TraceContext;
use querygate_types::principal::Principal;
use querygate_web::Attempts;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Passwords tried at once: each costs a few milliseconds of a core.
const LOGINS_AT_ONCE: usize = 2;

/// Answers that are kept up to date, asked for again at once; other requests need no turn.
const LIVE_AT_ONCE: usize = 8;

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
    pub(crate) rates: Rates,
    /// Turns of answers that are kept up to date.
    pub(crate) live_turns: Semaphore,
    pub(crate) presence: Arc<Presence>,
    pub(crate) since: Instant,
    pub(crate) counts: Counts,
}

/// Metrics of requests, each looked up once.
#[derive(Default)]
pub(crate) struct Counts {
    answered: OnceLock<Counter>,
    refused: OnceLock<Counter>,
    failed: OnceLock<Counter>,
    seconds: OnceLock<Histogram>,
}

impl Counts {
    pub(crate) fn count(&self, status: StatusCode, took: Duration) {
        let (counter, outcome) = match status.as_u16() / 100 {
            2 | 3 => (&self.answered, "answered"),
            4 => (&self.refused, "refused"),
            _ => (&self.failed, "failed"),
        };
        let counter = counter.get_or_init(|| metrics::counter!("querygate_rest_requests_total", "outcome" => outcome));
        counter.increment(1);
        let seconds = self.seconds.get_or_init(|| metrics::histogram!("querygate_rest_seconds"));
        seconds.record(took.as_secs_f64());
    }
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
            rates: Rates::new(&config),
            config,
            service,
            authenticator,
            platform,
            ready,
            attempts: Attempts::default(),
            logins: Semaphore::new(LOGINS_AT_ONCE),
            live_turns: Semaphore::new(LIVE_AT_ONCE),
            presence: Arc::default(),
            since: Instant::now(),
            counts: Counts::default(),
        }
    }

    /// A session with the engine.
    ///
    /// # Errors
    /// None is to be had.
    pub(crate) async fn open(&self, principal: &Arc<Principal>, call: &Call) -> Result<Work, Refusal> {
        let settings = vec![("application_name".to_owned(), "rest".to_owned())];
        let client = ClientInfo {
            door: Door::Rest,
            database: self.config.database.clone(),
            peer: call.peer.map(|peer| peer.0),
            settings,
        };
        let session = self.service.open(Arc::clone(principal), client).await?;
        session.follow_trace(call.header("traceparent").and_then(TraceContext::parse));
        session.follow_request(call.id.as_ref().map(RequestId::shared));
        Ok(Work::new(session, Arc::clone(&self.platform), Arc::clone(principal)))
    }

    /// Rows that one answer may have.
    pub(crate) fn rows_max(&self) -> u64 {
        self.config.rows_max.unwrap_or(u64::MAX)
    }

    /// Bytes of a body that a route of records reads.
    pub(crate) fn body_max(&self) -> usize {
        self.config.body_max
    }
}
