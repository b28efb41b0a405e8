//! Connections: bounded, opened when first needed, looked at before they are used again, and a way to stop what runs on one.

use crate::connect::options::MysqlOptions;
use crate::connect::session::{Flavor, Session};
use querygate_driver_api::pool::{Breaker, BreakerState, Budget, Place, PoolMeter, PoolStatus, Resting};
use querygate_types::{Error, ErrorCode, Result};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, Executor};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// An idle connection is asked whether it lives when it has rested for so long.
const REST_TRUSTED: Duration = Duration::from_millis(500);
/// Longest wait for a connection to be ended, behind others.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for an answer of a connection that rested, or for a KILL.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The bounded set of connections to one server.
#[derive(Debug)]
pub(crate) struct Pool {
    connect: MySqlConnectOptions,
    connect_timeout: Duration,
    acquire_timeout: Duration,
    idle: Mutex<Vec<Session>>,
    permits: Arc<Semaphore>,
    size: usize,
    budget: Budget,
    meter: PoolMeter,
    breaker: Breaker,
    /// Carries KILL, so that a cancel never waits for what it is to stop.
    control: tokio::sync::Mutex<Option<Session>>,
    flavor: Mutex<Option<Flavor>>,
}

/// A connection in use. Given back by [`Lease::release`]; dropped without, it is closed.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) session: Session,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(options: &MysqlOptions) -> Arc<Self> {
        let pool = Arc::new(Self {
            budget: options.budget.clone(),
            connect: options.connect(),
            connect_timeout: options.connect_timeout,
            acquire_timeout: options.acquire_timeout,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(options.connections.max(1))),
            size: options.connections.max(1),
            meter: PoolMeter::default(),
            breaker: Breaker::new(options.connect_timeout),
            control: tokio::sync::Mutex::default(),
            flavor: Mutex::default(),
        });
        let resting: Weak<Self> = Arc::downgrade(&pool);
        pool.budget.add(resting);
        pool
    }

    /// Whose server it is, once it has answered.
    pub(crate) fn flavor(&self) -> Option<Flavor> {
        *self.flavor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a connection, at most until the deadline or the cancel.
    ///
    /// # Errors
    /// 57014, or 08001 when none becomes free in time or the server cannot be reached.
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

    /// The source answered over a connection, which may have been there before.
    pub(crate) fn answered(&self) {
        self.breaker.answered(Instant::now());
    }

    pub(crate) fn status(&self) -> PoolStatus {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        let breaker = self.breaker.state(Instant::now());
        let available = self.permits.available_permits();
        self.meter.status(self.size, available, idle, breaker).among_all(self.budget.is_wanted())
    }

    async fn acquired(self: &Arc<Self>) -> Result<Lease> {
        let permit = tokio::time::timeout(self.acquire_timeout, Arc::clone(&self.permits).acquire_owned());
        let permit = match permit.await {
            Ok(permit) => permit.map_err(Error::internal)?,
            Err(_) => {
                return Err(Error::new(ErrorCode::SourceUnavailable, "source is busy")
                    .with_hint("All connections to it are in use; raise its pool_size or try again."));
            }
        };
        loop {
            let resting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut session) = resting else { break };
            if session.last_used.elapsed() < REST_TRUSTED || session.answers(ANSWER_TIMEOUT).await {
                return Ok(Lease { session, pool: Arc::clone(self), _permit: permit });
            }
        }
        Ok(Lease { session: self.open().await?, pool: Arc::clone(self), _permit: permit })
    }

    pub(crate) async fn open(&self) -> Result<Session> {
        let place = self.place().await?;
        self.breaker.admit(Instant::now())?;
        let mut opened = Session::open(&self.connect, self.connect_timeout).await;
        self.meter.opened(&opened);
        match &mut opened {
            Ok(session) => {
                session.place = Some(place);
                self.breaker.succeeded();
                *self.flavor.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.flavor);
            }
            Err(error) => self.breaker.failed(Instant::now(), error),
        }
        opened
    }

    /// Room for one more connection among those of all sources.
    async fn place(&self) -> Result<Place> {
        // Nobody waits for a place in order to hear that the server is away.
        if self.breaker.state(Instant::now()) == BreakerState::Open {
            self.breaker.admit(Instant::now())?;
        }
        match tokio::time::timeout(self.acquire_timeout, self.budget.place()).await {
            Ok(place) => place,
            Err(_) => Err(Error::new(ErrorCode::SourceUnavailable, "source is busy")
                .with_hint("Other sources use all connections that there may be; raise limits.source_connections_max or try again.")),
        }
    }

    /// Stops what runs on a connection. Best effort: who waits for the end of it must not wait for ever.
    pub(crate) async fn kill(&self, id: u64) {
        if tokio::time::timeout(ANSWER_TIMEOUT, self.killed(format!("KILL QUERY {id}"))).await.is_err() {
            tracing::warn!("a source did not take a cancel in time");
        }
    }

    /// Ends a connection at its server too. A cancel may have come before its statement began, or not have come at all
    /// while others waited for theirs, and a server that only computes does not notice that nobody listens.
    pub(crate) async fn end(&self, id: u64) {
        if tokio::time::timeout(END_TIMEOUT, self.killed(format!("KILL {id}"))).await.is_err() {
            tracing::warn!("a source did not end a connection in time");
        }
    }

    async fn killed(&self, command: String) {
        let mut control = self.control.lock().await;
        // Taken out, so that a connection on which this was given up is not used again.
        let mut known = control.take();
        if let Some(session) = &mut known
            && !session.answers(ANSWER_TIMEOUT).await
        {
            known = None;
        }
        let mut session = match known {
            Some(session) => session,
            None => match Session::open(&self.connect, self.connect_timeout).await {
                Ok(session) => session,
                Err(error) => {
                    tracing::warn!(%error, "a source cannot be told of a cancel");
                    return;
                }
            },
        };
        // The statement may have ended meanwhile: then there is nothing to kill.
        let killed = session.connection.execute(AssertSqlSafe(command)).await;
        if let Err(error) = &killed {
            tracing::debug!(%error, "a cancel was not needed");
        }
        *control = Some(session);
    }
}

impl Resting for Pool {
    fn longest(&self) -> Option<Instant> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).first().map(|session| session.last_used)
    }

    fn close_longest(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !idle.is_empty() {
            idle.remove(0);
        }
    }
}

impl Lease {
    pub(crate) fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.pool)
    }

    /// Gives the connection back. `clean`: everything of its statement has been read.
    pub(crate) fn release(mut self, clean: bool) {
        if clean && !self.pool.budget.is_wanted() {
            self.session.last_used = Instant::now();
            debug_assert!(self.session.place.is_some(), "a connection that rests counts among those of all sources");
            let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(self.session);
            debug_assert!(idle.len() <= self.pool.size, "a connection is opened only where none is idle");
        }
    }
}
