//! Connections to one source: bounded, opened when first needed, handed out in the order of asking.

use crate::connect::connection::{Connection, Connector};
use crate::connect::options::PostgresOptions;
use crate::connect::shared_connection::{Held, SharedConnection};
use crate::connect::shared_pool::SharedPool;
use crate::error::unavailable;
use querygate_driver_api::execution::ending::{canceled, timed_out, until};
use querygate_driver_api::pool::{Breaker, BreakerState, Budget, Place, PoolMeter, PoolStatus, Resting};
use querygate_types::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// How long an idle connection has to answer whether it lives.
const ANSWER: Duration = Duration::from_millis(500);

/// The bounded set of connections.
#[derive(Debug)]
pub(crate) struct Pool {
    connector: Connector,
    breaker: Breaker,
    /// The one used last is at the end, and used next.
    idle: Mutex<Vec<Connection>>,
    shared: SharedPool,
    permits: Arc<Semaphore>,
    size: usize,
    budget: Budget,
    meter: PoolMeter,
    acquire_timeout: Duration,
    check_after: Duration,
    lifetime: Duration,
}

/// A connection in use. Dropped, its connection is closed; [`Lease::give_back`] keeps it.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Connection,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(options: &PostgresOptions) -> Result<Arc<Self>> {
        let connector = Connector::new(options)?;
        let shareable = if connector.can_link() { options.pool_size } else { 0 };
        let pool = Arc::new(Self {
            shared: SharedPool::of(shareable),
            budget: options.budget.clone(),
            breaker: Breaker::new(connector.timeout()),
            connector,
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(options.pool_size.max(1))),
            size: options.pool_size.max(1),
            meter: PoolMeter::default(),
            acquire_timeout: options.acquire_timeout,
            check_after: options.check_after,
            lifetime: options.lifetime,
        });
        let resting: Weak<Self> = Arc::downgrade(&pool);
        pool.budget.add(resting);
        Ok(pool)
    }

    pub(crate) fn source(&self) -> &str {
        self.connector.source()
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Waits for a connection, at most until the deadline, the cancel, or the pool's own limit.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        cancel: &CancellationToken,
    ) -> Result<Lease> {
        if self.permits.available_permits() == 0 {
            // Nobody waits for one that rests.
            self.shared.close_longest();
        }
        let waiting = self.meter.wait();
        let turn = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(canceled()),
            permit = turn => permit.map_err(Error::internal)?,
            () = until(deadline) => return Err(timed_out()),
            () = tokio::time::sleep(self.acquire_timeout) => {
                return Err(unavailable(self.source(), "has no free connection")
                    .with_hint("Try again later, or raise the source's pool_size."));
            }
        };
        let connection = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(canceled()),
            () = until(deadline) => return Err(timed_out()),
            connection = self.connection() => connection?,
        };
        waiting.leased();
        Ok(Lease { connection, pool: Arc::clone(self), _permit: permit })
    }

    /// A connection that nobody waits for, if more than half are free: who reads much leaves the others room.
    pub(crate) async fn spare(self: &Arc<Self>) -> Option<Lease> {
        if !self.is_mostly_free() {
            return None;
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let waiting = self.meter.wait();
        let connection = self.connection().await.ok()?;
        waiting.leased();
        Some(Lease { connection, pool: Arc::clone(self), _permit: permit })
    }

    fn is_mostly_free(&self) -> bool {
        (self.permits.available_permits() + self.shared.resting()) * 2 > self.size && !self.budget.is_spent()
    }

    /// The connections that look-ups share.
    pub(crate) fn shared(&self) -> &SharedPool {
        &self.shared
    }

    /// One more of them, if more than half of all connections are free and one that was opened before lives. A failure is none
    /// that the breaker should know of: whoever needs a connection of its own tries itself.
    pub(crate) async fn open_shared(self: &Arc<Self>) -> Option<SharedConnection> {
        let is_there = self.idle.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|c| !c.client.is_closed());
        if !is_there || !self.is_mostly_free() {
            return None;
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let place = self.place().await.ok()?;
        let link = self.connector.link().await;
        self.meter.opened(&link);
        let link =
            link.inspect_err(|error| tracing::debug!(%error, cause = error.cause(), "no shared connection")).ok()?;
        Some(SharedConnection::start(link, self, self.lifetime, Held { _place: place, _permit: permit }))
    }

    /// Connections that one result may use at a time and leave others room.
    pub(crate) fn share(&self) -> usize {
        self.size / 2
    }

    /// Why the source is away, if it is.
    pub(crate) fn away(&self) -> Option<Error> {
        self.breaker.away(Instant::now())
    }

    /// The source answered over a connection, which may have been there before.
    pub(crate) fn answered(&self) {
        self.breaker.answered(Instant::now());
    }

    pub(crate) fn status(&self) -> PoolStatus {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        let breaker = self.breaker.state(Instant::now());
        let resting = self.shared.resting();
        let available = self.permits.available_permits() + resting;
        self.meter.status(self.size, available, idle + resting, breaker).among_all(self.budget.is_wanted())
    }

    async fn connection(&self) -> Result<Connection> {
        while let Some(connection) = self.next_idle() {
            if connection.client.is_closed() || connection.opened.elapsed() > self.lifetime {
                continue;
            }
            if connection.idle_since.elapsed() < self.check_after {
                return Ok(connection);
            }
            if let Ok(Ok(())) = tokio::time::timeout(ANSWER, connection.client.check_connection()).await {
                return Ok(connection);
            }
        }
        let place = self.place().await?;
        self.breaker.admit(Instant::now())?;
        let mut opened = self.connector.open().await;
        if let Ok(connection) = &mut opened {
            connection.place = Some(place);
        }
        self.meter.opened(&opened);
        match opened {
            Ok(connection) => {
                self.breaker.succeeded();
                Ok(connection)
            }
            Err(error) => {
                self.breaker.failed(Instant::now(), &error);
                Err(error)
            }
        }
    }

    /// Room for one more connection among those of all sources.
    async fn place(&self) -> Result<Place> {
        // Nobody waits for a place in order to hear that the server is away.
        if self.breaker.state(Instant::now()) == BreakerState::Open {
            self.breaker.admit(Instant::now())?;
        }
        match tokio::time::timeout(self.acquire_timeout, self.budget.place()).await {
            Ok(place) => place,
            Err(_) => Err(unavailable(self.source(), "has no free connection").with_hint(
                "Other sources use all that there may be: try again later, or raise limits.source_connections_max.",
            )),
        }
    }

    fn next_idle(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

impl Resting for Pool {
    fn longest(&self) -> Option<Instant> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).first().map(|c| c.idle_since);
        idle.into_iter().chain(self.shared.longest()).min()
    }

    fn close_longest(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.is_empty() {
            return self.shared.close_longest();
        }
        idle.remove(0);
    }
}

impl Lease {
    /// Another connection in the place of one that was lost.
    pub(crate) async fn renew(&mut self) -> Result<()> {
        self.connection.place = None;
        self.connection = self.pool.connection().await?;
        Ok(())
    }

    /// Keeps the connection for the next. Nothing runs on it any more.
    pub(crate) fn give_back(self) {
        let Self { mut connection, pool, _permit } = self;
        connection.idle_since = Instant::now();
        if !connection.client.is_closed() && !pool.budget.is_wanted() {
            let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(connection);
            debug_assert!(idle.len() <= pool.size, "a connection is opened only where none is idle");
        }
    }
}
