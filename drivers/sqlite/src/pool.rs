//! Connections: bounded, opened when first needed, each with a switch that stops its running statement.

use crate::error::{from_sqlx, is_unrecovered};
use crate::listing::Listing;
use querygate_driver_api::driver::SchemaNotice;
use querygate_driver_api::execution::ending::{canceled, timed_out, until};
use querygate_driver_api::pool::{BreakerState, PoolMeter, PoolStatus};
use querygate_types::{Error, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Virtual-machine instructions between two looks at the switch: some tens of microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 2_000;

/// Stops the statement that runs on one connection.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    stop: AtomicBool,
    deadline: Mutex<Option<Instant>>,
}

impl Interrupt {
    pub(crate) fn arm(&self, deadline: Option<Instant>) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
        self.stop.store(false, Ordering::Release);
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    fn goes_on(&self) -> bool {
        if self.stop.load(Ordering::Acquire) {
            return false;
        }
        let deadline = *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        deadline.is_none_or(|deadline| Instant::now() < deadline)
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Reader {
    /// The file that it has open, whatever has its name by now.
    file: Option<FileIdentity>,
    pub(crate) connection: SqliteConnection,
    pub(crate) interrupt: Arc<Interrupt>,
    pub(crate) listing: Option<Listing>,
}

/// Device and inode.
type FileIdentity = (u64, u64);

/// A bounded set of connections to one database: those that read it, or the one that writes it.
#[derive(Debug)]
pub(crate) struct Readers {
    options: SqliteConnectOptions,
    /// How a connection is opened that may write, for a file that only such a one can make whole. `None`: nothing here writes to it.
    recovery: Option<SqliteConnectOptions>,
    idle: Mutex<Vec<Reader>>,
    permits: Arc<Semaphore>,
    size: usize,
    meter: PoolMeter,
    /// Given when another file has the database's name.
    notice: Arc<SchemaNotice>,
}

/// A reader in use. Given back by [`Lease::release`]; dropped without, its connection is closed.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) reader: Reader,
    readers: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Readers {
    pub(crate) fn new(
        options: SqliteConnectOptions,
        recovery: Option<SqliteConnectOptions>,
        size: usize,
        notice: Arc<SchemaNotice>,
    ) -> Arc<Self> {
        let size = size.max(1);
        let (permits, meter) = (Arc::new(Semaphore::new(size)), PoolMeter::default());
        Arc::new(Self { options, recovery, idle: Mutex::new(Vec::new()), permits, size, meter, notice })
    }

    /// The file that has the database's name now.
    fn file(&self) -> Option<FileIdentity> {
        std::fs::metadata(self.options.get_filename()).ok().map(|found| (found.dev(), found.ino()))
    }

    /// An idle connection to the file that is there. Connections to one that was replaced are closed; one that was taken away is still read.
    fn idle(&self) -> Option<Reader> {
        let now = self.file();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let before = idle.len();
        idle.retain(|reader| now.is_none() || reader.file == now);
        if idle.len() < before {
            self.notice.give();
        }
        idle.pop()
    }

    /// A file is tried anew each time: there is nothing to break.
    pub(crate) fn status(&self) -> PoolStatus {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.meter.status(self.size, self.permits.available_permits(), idle, BreakerState::Closed)
    }

    /// Waits for a free reader, at most until the deadline or the cancel.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        cancel: &CancellationToken,
    ) -> Result<Lease> {
        let waiting = self.meter.wait();
        let permits = Arc::clone(&self.permits);
        let permit = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(canceled()),
            permit = permits.acquire_owned() => permit.map_err(Error::internal)?,
            () = until(deadline) => return Err(timed_out()),
        };
        let reader = match self.idle() {
            Some(reader) => reader,
            None => {
                let opened = tokio::select! {
                    biased;
                    opened = self.open() => opened,
                    () = cancel.cancelled() => return Err(canceled()),
                    () = until(deadline) => return Err(timed_out()),
                };
                self.meter.opened(&opened);
                opened?
            }
        };
        waiting.leased();
        reader.interrupt.arm(deadline);
        Ok(Lease { reader, readers: Arc::clone(self), _permit: permit })
    }

    async fn open(&self) -> Result<Reader> {
        let file = self.file();
        let mut connection = self.options.connect().await.map_err(|error| {
            // SQLite does not say which file it cannot open.
            from_sqlx(&error).with_cause(format_args!("{}: {error}", self.options.get_filename().display()))
        })?;
        if let Err(error) = look(&mut connection).await {
            match &self.recovery {
                Some(options) if is_unrecovered(&error) => self.recover(options, &mut connection).await,
                Some(_) | None => Err(error),
            }
            .map_err(|error| from_sqlx(&error))?;
        }
        let interrupt = Arc::new(Interrupt::default());
        let switch = Arc::clone(&interrupt);
        let mut handle = connection.lock_handle().await.map_err(|error| from_sqlx(&error))?;
        handle.set_progress_handler(STEPS_BETWEEN_LOOKS, move || switch.goes_on());
        drop(handle);
        Ok(Reader { file, connection, interrupt, listing: None })
    }

    /// A writer that was killed leaves what it had begun in a journal: the next one takes it back. A reader must not, and reads nothing
    /// before.
    async fn recover(
        &self,
        options: &SqliteConnectOptions,
        reader: &mut SqliteConnection,
    ) -> std::result::Result<(), sqlx::Error> {
        let mut writer = options.connect().await?;
        look(&mut writer).await?;
        writer.close().await?;
        tracing::info!("a change that a killed process had begun was taken back");
        look(reader).await
    }
}

/// Reads the file.
async fn look(connection: &mut SqliteConnection) -> std::result::Result<(), sqlx::Error> {
    sqlx::query("SELECT 1 FROM sqlite_schema LIMIT 1").fetch_optional(connection).await.map(drop)
}

impl Lease {
    /// Gives the reader back. `clean`: its statement has ended by itself; otherwise waits until it has stopped.
    pub(crate) async fn release(mut self, clean: bool) {
        if !clean {
            self.reader.interrupt.stop();
            if self.reader.connection.ping().await.is_err() {
                return;
            }
        }
        self.reader.interrupt.arm(None);
        // One that cannot read is opened anew, which makes the file whole.
        if !clean && look(&mut self.reader.connection).await.is_err() {
            return;
        }
        let mut idle = self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(self.reader);
        debug_assert!(idle.len() <= self.readers.size, "a connection is opened only where none is idle");
    }
}
