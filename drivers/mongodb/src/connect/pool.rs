//! The client of one deployment: made when first needed, bounded, given up on for a while when nobody answers, and a way to stop what runs.

use crate::connect::options::MongoOptions;
use crate::error::{from_mongo, unreachable};
use mongodb::bson::{Document, doc};
use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;
use mongodb::options::{ReadPreference, SelectionCriteria, SessionOptions};
use mongodb::{Client, ClientSession, Database};
use querygate_driver_api::pool::{Breaker, BreakerState, Place, PoolMeter, PoolStatus};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Wire version of MongoDB 6.0, the first whose pipelines can begin with documents of their own.
const WIRE_VERSION_LEAST: i32 = 17;
/// Longest wait for the server to take a cancel.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// The bounded set of connections to one deployment.
#[derive(Debug)]
pub(crate) struct Pool {
    options: MongoOptions,
    client: OnceCell<Client>,
    permits: Arc<Semaphore>,
    size: usize,
    meter: Arc<PoolMeter>,
    /// Connections of the client that are open.
    open: Arc<AtomicUsize>,
    breaker: Breaker,
    /// The deployment was found to have transactions.
    has_transactions: AtomicBool,
}

/// The right to run one statement.
#[derive(Debug)]
pub(crate) struct Lease {
    client: Client,
    database: String,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
    _place: Place,
}

impl Pool {
    pub(crate) fn new(options: &MongoOptions) -> Arc<Self> {
        Arc::new(Self {
            options: options.clone(),
            client: OnceCell::new(),
            permits: Arc::new(Semaphore::new(options.connections.max(1))),
            size: options.connections.max(1),
            meter: Arc::default(),
            open: Arc::default(),
            breaker: Breaker::new(options.connect_timeout),
            has_transactions: AtomicBool::new(false),
        })
    }

    /// Waits for a free connection, at most until the deadline or the cancel.
    ///
    /// # Errors
    /// 57014, or 08001 when none becomes free in time or the deployment cannot be reached.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        cancel: &CancellationToken,
    ) -> Result<Lease> {
        self.meter.lease(deadline, cancel, self.acquired()).await
    }

    /// Why the source is away, if it is.
    pub(crate) fn away(&self) -> Option<Error> {
        self.breaker.away(Instant::now())
    }

    pub(crate) fn status(&self) -> PoolStatus {
        let available = self.permits.available_permits();
        debug_assert!(available <= self.size, "a permit is given back once");
        let used = self.size.saturating_sub(available);
        let idle = self.open.load(Ordering::Relaxed).saturating_sub(used);
        let breaker = self.breaker.state(Instant::now());
        self.meter.status(self.size, available, idle, breaker).among_all(self.options.budget.is_wanted())
    }

    async fn acquired(self: &Arc<Self>) -> Result<Lease> {
        let permit = tokio::time::timeout(self.options.acquire_timeout, Arc::clone(&self.permits).acquire_owned());
        let permit = match permit.await {
            Ok(permit) => permit.map_err(Error::internal)?,
            Err(_) => {
                return Err(Error::new(ErrorCode::SourceUnavailable, "source is busy")
                    .with_hint("All connections to it are in use; raise its pool_size or try again."));
            }
        };
        let place = self.place().await?;
        self.breaker.admit(Instant::now())?;
        let client = self.client.get_or_try_init(|| self.open()).await;
        let client = client
            .inspect_err(|error| {
                self.meter.opened::<(), ()>(&Err(()));
                self.breaker.failed(Instant::now(), error);
            })?
            .clone();
        let database = self.options.database.clone();
        Ok(Lease { client, database, pool: Arc::clone(self), _permit: permit, _place: place })
    }

    /// Room for one more connection among those of all sources. The client's own pool opens and keeps them, so that the place is
    /// the statement's.
    async fn place(&self) -> Result<Place> {
        // Nobody waits for a place in order to hear that the server is away.
        if self.breaker.state(Instant::now()) == BreakerState::Open {
            self.breaker.admit(Instant::now())?;
        }
        match tokio::time::timeout(self.options.acquire_timeout, self.options.budget.place()).await {
            Ok(place) => place,
            Err(_) => Err(Error::new(ErrorCode::SourceUnavailable, "source is busy")
                .with_hint("Other sources use all connections that there may be; raise limits.source_connections_max or try again.")),
        }
    }

    /// A client that has been answered once, by a server that is new enough.
    async fn open(&self) -> Result<Client> {
        let mut options = self.options.client().await?;
        options.cmap_event_handler = Some(self.watch());
        let client = Client::with_options(options).map_err(|error| from_mongo(&error))?;
        let admin = client.database("admin");
        let hello = admin.run_command(doc! { "hello": 1 });
        let answered = tokio::time::timeout(self.options.connect_timeout, hello).await;
        let hello = answered.unwrap_or_else(|_| Ok(Document::new())).map_err(|error| unopened(&error))?;
        match hello.get_i32("maxWireVersion") {
            Ok(version) if version >= WIRE_VERSION_LEAST => {}
            Ok(_) => return Err(unreachable("source is older than MongoDB 6.0")),
            Err(_) => return Err(unreachable("source does not answer")),
        }
        self.breaker.succeeded();
        Ok(client)
    }

    /// Counts the client's connections.
    fn watch(&self) -> EventHandler<CmapEvent> {
        let (meter, open) = (Arc::clone(&self.meter), Arc::clone(&self.open));
        EventHandler::callback(move |event| match event {
            CmapEvent::ConnectionReady(_) => {
                open.fetch_add(1, Ordering::Relaxed);
                meter.opened::<(), ()>(&Ok(()));
            }
            CmapEvent::ConnectionClosed(_) => {
                let less = |open: usize| Some(open.saturating_sub(1));
                open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).unwrap_or_default();
            }
            _ => {}
        })
    }

    /// Notes how an attempt ended.
    pub(crate) fn note_answer(&self, error: Option<&Error>) {
        match error {
            Some(error) if error.code() == ErrorCode::SourceUnavailable => self.breaker.failed(Instant::now(), error),
            // That it was lost is the statement's own fate; others find it out of reach.
            Some(error) if error.code() == ErrorCode::SourceLost => {
                self.breaker.failed(Instant::now(), &unreachable("source cannot be reached"));
            }
            _ => self.breaker.succeeded(),
        }
    }
}

/// Whatever goes wrong before the first answer, the source cannot be reached.
fn unopened(error: &mongodb::error::Error) -> Error {
    let mapped = from_mongo(error);
    match mapped.code() {
        ErrorCode::SourceUnavailable => mapped,
        _ => unreachable("source cannot be reached").with_cause(error),
    }
}

impl Lease {
    pub(crate) fn database(&self) -> Database {
        self.client.database(&self.database)
    }

    /// A session of its own, by which the server finds what runs in it.
    ///
    /// # Errors
    /// 08001 if the deployment cannot be reached.
    pub(crate) async fn session(&self) -> Result<ClientSession> {
        let options = SessionOptions::builder().causal_consistency(false).build();
        self.client.start_session().with_options(options).await.map_err(|error| from_mongo(&error))
    }

    /// Runs a command of ours.
    ///
    /// # Errors
    /// What the deployment says.
    pub(crate) async fn command(&self, command: Document) -> Result<Document> {
        let outcome = self.database().run_command(command).await.map_err(|error| from_mongo(&error));
        self.pool.note_answer(outcome.as_ref().err());
        outcome
    }

    /// Runs a command of ours on the server that takes changes, and says what it says.
    pub(crate) async fn change(&self, command: Document) -> mongodb::error::Result<Document> {
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        let outcome = self.database().run_command(command).selection_criteria(primary).await;
        let refusal = outcome.as_ref().err().map(from_mongo);
        self.pool.note_answer(refusal.as_ref());
        outcome
    }

    /// What the server that takes changes says of itself.
    ///
    /// # Errors
    /// 08001 if the deployment cannot be reached.
    pub(crate) async fn hello(&self) -> Result<Document> {
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        let admin = self.client.database("admin");
        let hello = admin.run_command(doc! { "hello": 1 }).selection_criteria(primary).await;
        let hello = hello.map_err(|error| from_mongo(&error));
        self.pool.note_answer(hello.as_ref().err());
        hello
    }

    /// Whether the deployment is a replica set or sharded. Asked until it is.
    ///
    /// # Errors
    /// As [`hello`](Self::hello).
    pub(crate) async fn has_transactions(&self) -> Result<bool> {
        if self.pool.has_transactions.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let hello = self.hello().await?;
        let found = hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|kind| kind == "isdbgrid");
        self.pool.has_transactions.store(found, Ordering::Relaxed);
        Ok(found)
    }

    /// Notes how a statement ended.
    pub(crate) fn note_answer(&self, error: Option<&Error>) {
        self.pool.note_answer(error);
    }

    /// Stops everything that runs in the session with this id, and its transaction. Best effort: who waits for the end of it must not wait for ever, and a
    /// server also stops what nobody listens to any more.
    pub(crate) async fn kill(&self, session: &Document) {
        let command = doc! { "killSessions": [session.clone()] };
        let admin = self.client.database("admin");
        match tokio::time::timeout(CANCEL_TIMEOUT, admin.run_command(command)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a source did not take a cancel"),
            Err(_) => tracing::warn!("a source did not take a cancel in time"),
        }
    }
}
