//! The audit file: a line of JSON for each finished statement, written by a thread of its own. Decides nothing about
//! statements, and slows down none but those that wait for a line of theirs.

use crate::books::audit_file::{AuditFile, Out};
use crate::books::observe::QueryRecord;
use querygate_types::ErrorCode;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Records waiting for the thread.
const QUEUE_MAX: usize = 65_536;
/// Records that are written together.
const BATCH_MAX: usize = 1_024;
/// Bytes of lines that wait for a file which cannot be written.
const WAITING_MAX: usize = 16 << 20;
/// How soon a file that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long the end of a gate waits for its last records.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be written.
#[derive(Debug)]
enum Entry {
    Record(Arc<QueryRecord>),
    /// A line that is waited for: it hears whether the file has it to stay.
    Line(String, oneshot::Sender<bool>),
}

/// What both ends count.
#[derive(Debug, Default)]
struct Counts {
    /// Handed over, and neither written nor lost.
    waiting: AtomicU64,
    lost: AtomicU64,
}

impl Counts {
    fn lose(&self, records: u64, why: &str) {
        if records == 0 {
            return;
        }
        metrics::counter!("querygate_audit_dropped_total").increment(records);
        let before = self.lost.fetch_add(records, Ordering::Relaxed);
        // Each time the number of digits grows: a full queue must not fill the log.
        if before == 0 || before.ilog10() != (before + records).ilog10() {
            tracing::error!(lost = before + records, why, "records are missing in the audit file");
        }
    }
}

/// The way to the file.
#[derive(Debug)]
pub(crate) struct Audit {
    /// `None` when closed.
    queue: Mutex<Option<SyncSender<Entry>>>,
    /// Ends when the thread does.
    ended: Mutex<Receiver<()>>,
    counts: Arc<Counts>,
}

impl Audit {
    /// Appends to the file, which is made if it is not there.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        Self::start(AuditFile::open(path)?)
    }

    fn start(out: impl Out + Send + 'static) -> std::io::Result<Self> {
        let (queue, records) = sync_channel(QUEUE_MAX);
        let (end, ended) = sync_channel(1);
        let counts = Arc::new(Counts::default());
        let mut lines = Lines { out, bytes: Vec::new(), torn: false, failing: false, counts: Arc::clone(&counts) };
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
            write_all(&mut lines, &records);
            drop(end);
        })?;
        Ok(Self { queue: Mutex::new(Some(queue)), ended: Mutex::new(ended), counts })
    }

    /// Hands a record over. What does not fit, or comes after the end, is counted as lost.
    pub(crate) fn record(&self, record: &Arc<QueryRecord>) {
        self.hand_over(Entry::Record(Arc::clone(record)));
    }

    /// Writes a line, and waits until the file has it to stay. `false`: it is not there, or not yet.
    pub(crate) async fn line(&self, line: String) -> bool {
        let (written, heard) = oneshot::channel();
        self.hand_over(Entry::Line(line, written));
        matches!(tokio::time::timeout(PATIENCE, heard).await, Ok(Ok(true)))
    }

    fn hand_over(&self, entry: Entry) {
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let handed_over = queue.as_ref().is_some_and(|queue| queue.try_send(entry).is_ok());
        if !handed_over {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counts.lose(1, "more came than could be written");
        }
    }

    /// Waits, within a bound, until everything that was handed over is in the file. Nothing is taken afterwards.
    pub(crate) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match ended.recv_timeout(PATIENCE) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => {
                self.counts.lose(self.counts.waiting.swap(0, Ordering::Relaxed), "the file was too slow at the end");
            }
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.close();
    }
}

/// Until the queue is closed and empty.
fn write_all<W: Out>(lines: &mut Lines<W>, records: &Receiver<Entry>) {
    loop {
        let first = if lines.bytes.is_empty() {
            records.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            records.recv_timeout(RETRY)
        };
        let first = match first {
            Ok(record) => Some(record),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut awaited = Vec::new();
        for entry in first.into_iter().chain(records.try_iter()).take(BATCH_MAX) {
            match entry {
                Entry::Record(record) => {
                    lines.add(&line(&record));
                }
                Entry::Line(line, written) => awaited.push((lines.add(&line), written)),
            }
        }
        let mut kept = lines.write();
        if kept && !awaited.is_empty() {
            kept = lines.sync();
        }
        for (is_added, written) in awaited {
            // The statement may have stopped waiting.
            written.send(is_added && kept).unwrap_or_default();
        }
    }
    lines.write();
    lines.give_up();
}

/// Lines on their way into the file. What could not be written stays at the front, so that no line is torn.
struct Lines<W> {
    out: W,
    bytes: Vec<u8>,
    /// Whether the first of them is in the middle of a line.
    torn: bool,
    failing: bool,
    counts: Arc<Counts>,
}

impl<W: Out> Lines<W> {
    /// Whether there is room for the line.
    fn add(&mut self, line: &str) -> bool {
        if self.bytes.len() + line.len() > WAITING_MAX {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counts.lose(1, "the file cannot be written");
            return false;
        }
        self.bytes.extend_from_slice(line.as_bytes());
        true
    }

    fn sync(&mut self) -> bool {
        let synced = self.out.sync();
        if let Err(error) = &synced {
            metrics::counter!("querygate_audit_errors_total").increment(1);
            tracing::error!(%error, "the audit file may not outlast a loss of power");
        }
        synced.is_ok()
    }

    /// Tries to write everything that waits. Whether nothing is left.
    fn write(&mut self) -> bool {
        if !self.torn {
            self.out.renew();
        }
        let mut done = 0;
        let mut failure: Option<std::io::Error> = None;
        while let Some(rest) = self.bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match self.out.write(rest) {
                Ok(0) => failure = Some(ErrorKind::WriteZero.into()),
                Ok(some) => done += some,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => failure = Some(error),
            }
            if failure.is_some() {
                break;
            }
        }
        let failure = failure.or_else(|| self.out.flush().err());
        self.torn = done.checked_sub(1).map_or(self.torn, |last| self.bytes.get(last) != Some(&b'\n'));
        let written = ends(self.bytes.drain(..done));
        self.counts.waiting.fetch_sub(written, Ordering::Relaxed);
        let is_written = failure.is_none();
        match failure {
            Some(error) => {
                metrics::counter!("querygate_audit_errors_total").increment(1);
                if !self.failing {
                    tracing::error!(%error, "the audit file cannot be written; it is tried again every second");
                }
                self.failing = true;
            }
            None if self.failing => {
                tracing::warn!("the audit file is written again");
                self.failing = false;
            }
            None => {}
        }
        is_written
    }

    /// Counts what is still not written as lost.
    fn give_up(&mut self) {
        let left = ends(self.bytes.drain(..));
        self.counts.waiting.fetch_sub(left, Ordering::Relaxed);
        self.counts.lose(left, "the file could not be written");
    }
}

/// Lines that end in these bytes.
fn ends(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.filter(|byte| *byte == b'\n').count() as u64
}

fn line(record: &QueryRecord) -> String {
    let at = chrono::DateTime::<chrono::Utc>::from(record.started).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let mut line = serde_json::json!({
        "at": at,
        "query": record.id,
        "session": record.session,
        "login": &*record.login,
        "door": record.door.name(),
        "template": &*record.template.text,
        "fingerprint": format!("{:016x}", record.template.fingerprint),
        "objects": record.objects.as_ref(),
        "rows": record.rows,
        "changed": record.changed,
        "ms": record.total.as_secs_f64() * 1e3,
        "outcome": record.error.map_or("ok", ErrorCode::sqlstate),
    });
    if let (Some(line), Some(request)) = (line.as_object_mut(), record.request.as_deref()) {
        line.insert("request".to_owned(), request.into());
    }
    if let (Some(line), Some(within)) = (line.as_object_mut(), &record.within) {
        within.mark(line);
    }
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::template::template;
    use querygate_query_api::service::Door;
    use std::io::Write;
    use std::time::SystemTime;

    fn record(id: u64) -> Arc<QueryRecord> {
        Arc::new(QueryRecord {
            id,
            started: SystemTime::UNIX_EPOCH,
            login: "ada".into(),
            session: 1,
            door: Door::Shell,
            within: None,
            request: None,
            template: Arc::new(template("select 1")),
            objects: Arc::default(),
            planning: Duration::ZERO,
            total: Duration::ZERO,
            rows: 0,
            changed: 0,
            deletes: false,
            error: None,
            cached: false,
            fragments: Arc::default(),
            reads: Vec::new(),
            told: None,
        })
    }

    /// Takes as many bytes as the front of `plan` says, and fails at a zero; afterwards all.
    #[derive(Clone, Default)]
    struct File {
        bytes: Arc<Mutex<Vec<u8>>>,
        plan: Arc<Mutex<Vec<usize>>>,
        broken: bool,
        /// What was written may be gone after a loss of power.
        unsafe_disk: bool,
    }

    impl Write for File {
        fn write(&mut self, given: &[u8]) -> std::io::Result<usize> {
            let mut plan = self.plan.lock().unwrap();
            let most = if plan.is_empty() { given.len() } else { plan.remove(0) };
            if self.broken || most == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            let taken = &given[..most.min(given.len())];
            self.bytes.lock().unwrap().extend_from_slice(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Out for File {
        fn sync(&mut self) -> std::io::Result<()> {
            if self.unsafe_disk { Err(ErrorKind::Other.into()) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn a_line_that_is_waited_for_is_there_or_is_said_not_to_be() {
        let file = File::default();
        let audit = Audit::start(file.clone()).unwrap();
        audit.record(&record(1));
        assert!(audit.line("{\"query\": 2}\n".to_owned()).await);
        assert_eq!(file.ids(), [1, 2]);
        audit.close();
        assert!(!audit.line("{\"query\": 3}\n".to_owned()).await);
        for file in [File { broken: true, ..File::default() }, File { unsafe_disk: true, ..File::default() }] {
            let audit = Audit::start(file).unwrap();
            assert!(!audit.line("{\"query\": 2}\n".to_owned()).await);
        }
    }

    impl File {
        fn ids(&self) -> Vec<u64> {
            let text = String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap();
            let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["query"].as_u64().unwrap();
            text.lines().map(line).collect()
        }
    }

    #[test]
    fn closing_writes_the_last_records_and_counts_later_ones() {
        let file = File::default();
        let audit = Audit::start(file.clone()).unwrap();
        (0..5_000).for_each(|id| audit.record(&record(id)));
        audit.close();
        assert_eq!(file.ids(), (0..5_000).collect::<Vec<_>>());
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        assert_eq!((count(&audit.counts.waiting), count(&audit.counts.lost)), (0, 0));
        audit.record(&record(5_000));
        assert_eq!((count(&audit.counts.waiting), count(&audit.counts.lost)), (0, 1));
    }

    #[test]
    fn what_a_full_disk_refused_is_written_later_without_a_torn_line() {
        let file = File { plan: Arc::new(Mutex::new(vec![7, 0, 3, 0])), ..File::default() };
        let audit = Audit::start(file.clone()).unwrap();
        (0..10).for_each(|id| audit.record(&record(id)));
        audit.close();
        // The plan may have outlasted the end; what was written is whole lines but for the last.
        let lost = audit.counts.lost.load(Ordering::Relaxed);
        let text = String::from_utf8(file.bytes.lock().unwrap().clone()).unwrap();
        let whole = text.matches('\n').count() as u64;
        assert_eq!(whole + lost, 10, "{text}");
        let mut lines =
            Lines { out: file.clone(), bytes: Vec::new(), torn: false, failing: false, counts: Arc::default() };
        file.bytes.lock().unwrap().clear();
        *file.plan.lock().unwrap() = vec![7, 0, 3, 0];
        (0..3).for_each(|id| assert!(lines.add(&line(&record(id)))));
        let written: Vec<bool> = (0..3).map(|_| lines.write()).collect();
        assert_eq!(written, [false, false, true]);
        assert_eq!(file.ids(), [0, 1, 2]);
    }

    #[test]
    fn a_file_that_stays_broken_loses_a_counted_number() {
        let audit = Audit::start(File { broken: true, ..File::default() }).unwrap();
        (0..20).for_each(|id| audit.record(&record(id)));
        audit.close();
        assert_eq!(audit.counts.lost.load(Ordering::Relaxed), 20);
        assert_eq!(audit.counts.waiting.load(Ordering::Relaxed), 0);
    }
}
