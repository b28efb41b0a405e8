//! The decision log of one gate: what was decided for transactions across sources, on disk before anybody hears of it. What is not in
//! it was not decided, and is rolled back.

mod record;
mod storage;
mod writer;

pub(crate) use record::{Entry, Party, Step};
pub(crate) use writer::Unwritten;

use querygate_types::{Error, ErrorCode, Result};
use record::{decode, header, read_header};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use storage::{LogFile, Storage};
use tokio::sync::oneshot;
use writer::{Append, LogWriter, ROTATE_AT};

const FILE: &str = "decisions.log";
const LOCK: &str = "lock";
/// Records that wait for the thread, at most.
const WAITING_MAX: usize = 4_096;

/// The place of a gate's log, which no other process has.
#[derive(Debug)]
pub(crate) struct LogPlace {
    path: PathBuf,
    gate: String,
    /// Held for as long as the process lives.
    lock: File,
}

/// What is in a log's place.
#[derive(Debug)]
pub(crate) enum Found {
    Log(DecisionLog, Vec<Entry>),
    /// No log: the first start, or it was lost.
    Nothing(LogPlace),
}

/// Takes records.
#[derive(Debug)]
pub(crate) struct DecisionLog {
    appends: SyncSender<Append>,
    broken: Arc<AtomicBool>,
}

impl LogPlace {
    /// # Errors
    /// F0000: the folder cannot be used, or another process uses it.
    pub(crate) fn take(folder: &Path, gate: &str) -> Result<Self> {
        let unusable = |error: std::io::Error| {
            config("the folder of the transactions' log cannot be used").with_detail(error.to_string())
        };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let lock = folder.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock).map_err(unusable)?;
        if lock.try_lock().is_err() {
            return Err(config("another process uses the folder of the transactions' log")
                .with_hint("Each gate has a log of its own, and a gate id of its own."));
        }
        Ok(Self { path: folder.join(FILE), gate: gate.to_owned(), lock })
    }

    /// Reads what is there. A record that was not written as a whole, and all that is behind it, was never acted on: it is cut off.
    ///
    /// # Errors
    /// F0000: it is another gate's, or no log.
    pub(crate) fn open(self) -> Result<Found> {
        let unusable =
            |error: std::io::Error| config("the transactions' log cannot be read").with_detail(error.to_string());
        let Some((mut file, bytes)) = LogFile::open(&self.path).map_err(unusable)? else {
            return Ok(Found::Nothing(self));
        };
        let (gate, mut at) = read_header(&bytes).ok_or_else(|| {
            config("the transactions' log is damaged").with_hint(
                "What was decided is not known: look for prepared transactions in the sources before it is moved away.",
            )
        })?;
        if gate != self.gate {
            let text = format!("the transactions' log is of the gate \"{gate}\", not of \"{}\"", self.gate);
            return Err(config(&text));
        }
        let (mut open, mut entries) = (BTreeMap::new(), BTreeMap::new());
        while let Some((entry, length)) = decode(bytes.get(at..).unwrap_or_default())? {
            let record = bytes.get(at..at + length).unwrap_or_default().to_vec();
            at += length;
            if entry.step == Step::End {
                open.remove(&entry.number);
                entries.remove(&entry.number);
            } else {
                open.insert(entry.number, record);
                entries.insert(entry.number, entry);
            }
        }
        let torn = bytes.len() - at;
        if torn > 0 {
            tracing::warn!(
                bytes = torn,
                "the end of the transactions' log was not written as a whole, and is left out"
            );
        }
        // Also where nothing is torn: the next record begins there.
        file.truncate(at as u64).map_err(unusable)?;
        let log = DecisionLog::start(file, &self.gate, at as u64, open, Some(self.lock))?;
        Ok(Found::Log(log, entries.into_values().collect()))
    }

    /// Begins a log where there was none.
    ///
    /// # Errors
    /// 53100: the disk takes none.
    pub(crate) fn create(&self) -> Result<DecisionLog> {
        let bytes = header(&self.gate);
        let refused = |error: std::io::Error| {
            Error::new(ErrorCode::DiskFull, "the transactions' log cannot be made").with_cause(error)
        };
        let file = LogFile::create(&self.path, &bytes).map_err(refused)?;
        let lock = self.lock.try_clone().map_err(refused)?;
        DecisionLog::start(file, &self.gate, bytes.len() as u64, BTreeMap::new(), Some(lock))
    }
}

impl DecisionLog {
    fn start<S: Storage>(
        storage: S,
        gate: &str,
        length: u64,
        open: BTreeMap<u64, Vec<u8>>,
        lock: Option<File>,
    ) -> Result<Self> {
        let (appends, receiver) = sync_channel(WAITING_MAX);
        let broken = Arc::<AtomicBool>::default();
        let writer = LogWriter {
            storage,
            header: header(gate),
            length,
            open,
            broken: Arc::clone(&broken),
            rotate_at: ROTATE_AT,
            paused_until: None,
            _lock: lock,
        };
        let thread = std::thread::Builder::new().name("decisions".to_owned());
        thread.spawn(move || writer.run(&receiver)).map_err(Error::internal)?;
        Ok(Self { appends, broken })
    }

    /// Whether nothing can be decided before a restart.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Returns when the record is on disk.
    pub(crate) async fn write(&self, entry: Entry) -> std::result::Result<(), Unwritten> {
        let (waiter, written) = oneshot::channel();
        match self.appends.try_send(Append { entry, waiter: Some(waiter) }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Unwritten::Refused("too many records wait".to_owned())),
            Err(TrySendError::Disconnected(_)) => return Err(Unwritten::Refused("its thread has ended".to_owned())),
        }
        written.await.unwrap_or_else(|_| Err(Unwritten::Unknown("its thread has ended".to_owned())))
    }

    /// Writes a record at some time. Lost, it is found out again.
    pub(crate) fn note(&self, entry: Entry) {
        let _ = self.appends.try_send(Append { entry, waiter: None });
    }
}

fn config(text: &str) -> Error {
    Error::new(ErrorCode::ConfigInvalid, text)
}

#[cfg(test)]
mod tests;
