//! The thread that writes the log. It gives each committed transaction its sequence, and readers hear of it when it is on disk.

use super::entry::{Committed, Entry, Fated, Id, Rows, intent_head};
use super::segments::{Place, RECORD_MAX, Segment, create, open, remove};
use super::shared_log::SharedLog;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// Commands that are carried out together, and put on disk at once.
const BATCH_MAX: usize = 1_024;
/// How long an outcome may wait for others, or for an intent, so that all of them are put on disk at once.
const GATHERED_FOR: Duration = Duration::from_millis(10);
/// How soon what could not be written is tried again, and how often old files are looked for.
const RETRY: Duration = Duration::from_secs(1);
/// How long the end of a gate waits for the last records.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of a transaction, to be written and published.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: Id,
    pub(crate) intent: Intent,
    pub(crate) fated: Fated,
    /// What is published; `None`: it is read from the files.
    pub(crate) rows: Option<Rows>,
    /// Whether no source and no outbox has it: then a crash before it is written leaves what became of it unknown.
    pub(crate) is_here_alone: bool,
    /// Hears when it is on disk.
    pub(crate) heard: Option<oneshot::Sender<()>>,
}

/// Where it is written what a transaction changed.
#[derive(Debug)]
pub(crate) enum Intent {
    Written(Place),
    /// It was kept elsewhere, and is written together with its outcome.
    Kept(Vec<u8>),
}

/// What the thread is to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Writes down a transaction. Hears where; `None`: it is not there.
    Intend { id: Id, body: Vec<u8>, heard: oneshot::Sender<Option<Place>> },
    /// Writes down what became of it.
    Settle(Settled),
    /// Hears when what came before was tried.
    Flush(oneshot::Sender<()>),
}

/// The way to the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` when closed.
    commands: Mutex<Option<Sender<Command>>>,
    ended: Mutex<Receiver<()>>,
}

/// Bounds of the files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileBounds {
    pub(crate) segment_bytes: u64,
    pub(crate) size_max: u64,
    pub(crate) retention: Duration,
}

impl Writer {
    /// Begins to write behind what is there.
    ///
    /// # Errors
    /// No file can be made.
    pub(crate) fn start(
        shared: Arc<SharedLog>,
        bounds: FileBounds,
        left: impl Iterator<Item = Place>,
    ) -> io::Result<Self> {
        let pending = left.map(|place| (place.segment, place.offset)).collect();
        let mut files = Files { shared, bounds, active: None, pending, last_given: 0, failing: false };
        files.last_given = files.shared.last();
        files.begin()?;
        let (commands, received) = channel();
        let (end, ended) = channel::<()>();
        std::thread::Builder::new().name("events".to_owned()).spawn(move || {
            run(&mut files, &received);
            drop(end);
        })?;
        Ok(Self { commands: Mutex::new(Some(commands)), ended: Mutex::new(ended) })
    }

    /// Whether the thread takes it.
    pub(crate) fn send(&self, command: Command) -> bool {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.as_ref().is_some_and(|commands| commands.send(command).is_ok())
    }

    /// Writes down a transaction, to stay. `None`: it is not there.
    pub(crate) async fn intend(&self, id: Id, body: Vec<u8>) -> Option<Place> {
        let (heard, place) = oneshot::channel();
        if !self.send(Command::Intend { id, body, heard }) {
            return None;
        }
        place.await.ok().flatten()
    }

    /// Waits until what was sent before was written, or could not be.
    pub(crate) async fn flush(&self) {
        let (heard, written) = oneshot::channel();
        if self.send(Command::Flush(heard)) {
            written.await.unwrap_or_default();
        }
    }

    /// Waits, within a bound, until all is written. Nothing is taken afterwards.
    pub(crate) fn close(&self) {
        drop(self.commands.lock().unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(PATIENCE) {
            tracing::error!("the event log was too slow at the end; what is missing is settled at the next start");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(files: &mut Files, received: &Receiver<Command>) {
    // What became of transactions and could not be written yet.
    let mut waiting: Vec<Settled> = Vec::new();
    let (mut looked, mut written) = (Instant::now(), None::<Instant>);
    // The first one after a silence is written at once.
    let left =
        |written: Option<Instant>| written.map_or(Duration::ZERO, |at| GATHERED_FOR.saturating_sub(at.elapsed()));
    loop {
        let patience = if waiting.is_empty() || files.failing { RETRY } else { left(written) };
        let first = match received.recv_timeout(patience) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let (mut intents, mut flushed) = (Vec::new(), Vec::new());
        for command in first.into_iter().chain(received.try_iter()).take(BATCH_MAX) {
            match command {
                Command::Intend { id, body, heard } => intents.push((id, body, heard)),
                Command::Settle(settled) => waiting.push(settled),
                Command::Flush(heard) => flushed.push(heard),
            }
        }
        let is_awaited = !intents.is_empty() || !flushed.is_empty();
        if is_awaited || waiting.iter().any(|settled| settled.is_here_alone) || left(written).is_zero() {
            files.write(&mut waiting, intents);
            written = Some(Instant::now());
        }
        flushed.into_iter().for_each(|heard| heard.send(()).unwrap_or_default());
        if looked.elapsed() >= RETRY {
            looked = Instant::now();
            files.forget();
        }
    }
    files.write(&mut waiting, Vec::new());
}

type AwaitedIntent = (Id, Vec<u8>, oneshot::Sender<Option<Place>>);

/// The file that is written, and its bytes that are on disk.
#[derive(Debug)]
struct Active {
    number: u64,
    file: File,
    bytes: u64,
}

#[derive(Debug)]
struct Files {
    shared: Arc<SharedLog>,
    bounds: FileBounds,
    active: Option<Active>,
    /// Where transactions stand whose outcome is not written.
    pending: BTreeSet<(u64, u64)>,
    last_given: u64,
    failing: bool,
}

impl Files {
    /// Begins the next file.
    fn begin(&mut self) -> io::Result<()> {
        let (before, number) = {
            let state = self.shared.state();
            (self.last_given, state.segments.last().map_or(1, |last| last.number + 1))
        };
        let file = match create(&self.shared.directory, number) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // One that could not be finished when it was begun.
                remove(&self.shared.directory, number)?;
                create(&self.shared.directory, number)?
            }
            made => made?,
        };
        let mut active = Active { number, file, bytes: 0 };
        active.append(&framed(&[&Entry::Began { before }.bytes()])?)?;
        let segment = Segment { number, bytes: active.bytes, last_sequence: before, last_of_rows: 0 };
        self.shared.state().segments.push(segment);
        self.active = Some(active);
        Ok(())
    }

    /// Writes what came, as far as it can be written, and tells those who wait for it.
    fn write(&mut self, waiting: &mut Vec<Settled>, intents: Vec<AwaitedIntent>) {
        if waiting.is_empty() && intents.is_empty() {
            return;
        }
        let written = self.try_write(waiting, &intents);
        self.shared.given();
        match written {
            Ok(places) => {
                self.recovered();
                for ((_, _, heard), place) in intents.into_iter().zip(places) {
                    self.pending.insert((place.segment, place.offset));
                    if heard.send(Some(place)).is_err() {
                        tracing::debug!("a transaction that was written down is not waited for");
                    }
                }
            }
            Err(error) => {
                self.failed(&error);
                for (_, _, heard) in intents {
                    heard.send(None).unwrap_or_default();
                }
            }
        }
    }

    fn try_write(&mut self, waiting: &mut Vec<Settled>, intents: &[AwaitedIntent]) -> io::Result<Vec<Place>> {
        if self.active.as_ref().is_none_or(|active| active.bytes >= self.bounds.segment_bytes) {
            self.active = None;
            self.begin()?;
        }
        if !intents.is_empty() && self.size() > self.bounds.size_max.saturating_mul(2) {
            return Err(io::Error::other("the log is full of transactions whose outcome is not known"));
        }
        let (segment, start) = match &self.active {
            Some(active) => (active.number, active.bytes),
            None => return Err(io::Error::other("no file is open")),
        };
        let mut last = self.last_given;
        let mut bytes = Vec::new();
        let mut told = Vec::with_capacity(waiting.len());
        for settled in waiting.iter() {
            let sequence = match settled.fated {
                Fated::RolledBack => 0,
                Fated::Committed | Fated::Uncertain => {
                    last = self.shared.give(last, now());
                    last
                }
            };
            let intent = match &settled.intent {
                Intent::Written(place) => *place,
                Intent::Kept(body) => {
                    let place = Place { segment, offset: start + bytes.len() as u64 };
                    bytes.append(&mut framed(&[&intent_head(settled.id), body])?);
                    place
                }
            };
            told.push((sequence, intent));
            let entry = Entry::Outcome { id: settled.id, fated: settled.fated, sequence, intent };
            bytes.append(&mut framed(&[&entry.bytes()])?);
        }
        let active = self.active.as_mut().ok_or_else(|| io::Error::other("no file is open"))?;
        let mut places = Vec::with_capacity(intents.len());
        for (id, body, _) in intents {
            places.push(Place { segment, offset: start + bytes.len() as u64 });
            bytes.append(&mut framed(&[&intent_head(*id), body])?);
        }
        if let Err(error) = active.append(&bytes) {
            if active.cut_off().is_err() {
                // Its end is not known: nothing more is written there.
                self.active = None;
            }
            return Err(error);
        }
        self.last_given = last;
        let length = active.bytes;
        self.told(segment, length, waiting, &told);
        Ok(places)
    }

    /// Tells readers what is on disk.
    fn told(&mut self, segment: u64, length: u64, waiting: &mut Vec<Settled>, told: &[(u64, Place)]) {
        {
            let mut state = self.shared.state();
            let last = told.iter().map(|(sequence, _)| *sequence).max().unwrap_or_default();
            if let Some(own) = state.segments.iter_mut().find(|own| own.number == segment) {
                own.bytes = length;
                own.last_sequence = own.last_sequence.max(last);
            }
            for (sequence, intent) in told {
                if let Some(own) = state.segments.iter_mut().find(|own| own.number == intent.segment) {
                    own.last_of_rows = own.last_of_rows.max(*sequence);
                }
            }
        }
        for (settled, (sequence, intent)) in waiting.drain(..).zip(told) {
            self.pending.remove(&(intent.segment, intent.offset));
            if let Some(heard) = settled.heard {
                heard.send(()).unwrap_or_default();
            }
            match settled.fated {
                Fated::RolledBack => {}
                Fated::Committed | Fated::Uncertain => {
                    metrics::counter!("querygate_events_total").increment(1);
                    let committed = settled.rows.map(|rows| Committed::new(settled.id, *sequence, settled.fated, rows));
                    self.shared.publish(*sequence, committed);
                }
            }
        }
    }

    fn size(&self) -> u64 {
        self.shared.state().segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Removes files that are too old, or too many.
    fn forget(&mut self) {
        loop {
            let (oldest, size) = {
                let state = self.shared.state();
                let [oldest, _, ..] = state.segments.as_slice() else { return };
                (*oldest, state.segments.iter().map(|segment| segment.bytes).sum::<u64>())
            };
            let age = open(&self.shared.directory, oldest.number).and_then(|file| file.metadata()?.modified());
            let is_old = age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > self.bounds.retention));
            let holds_pending = self.pending.range((oldest.number, 0)..=(oldest.number, u64::MAX)).next().is_some();
            if holds_pending || !(is_old || size > self.bounds.size_max) {
                return;
            }
            {
                let mut state = self.shared.state();
                state.floor = state.floor.max(oldest.last_sequence).max(oldest.last_of_rows);
                state.segments.retain(|segment| segment.number != oldest.number);
            }
            if let Err(error) = remove(&self.shared.directory, oldest.number) {
                tracing::error!(%error, "an old file of the event log cannot be removed");
                return;
            }
        }
    }

    fn failed(&mut self, error: &io::Error) {
        metrics::counter!("querygate_events_errors_total").increment(1);
        if !self.failing {
            tracing::error!(%error, "the event log cannot be written");
        }
        self.failing = true;
    }

    fn recovered(&mut self) {
        if self.failing {
            tracing::warn!("the event log is written again");
        }
        self.failing = false;
    }
}

/// The record as it stands in the file.
fn framed(parts: &[&[u8]]) -> io::Result<Vec<u8>> {
    querygate_frame_log::framed(parts, RECORD_MAX).ok_or_else(|| io::Error::other("a record is too long"))
}

impl Active {
    /// Puts bytes on disk. Where that fails, the file may have some of them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Takes back what was not put on disk whole.
    fn cut_off(&mut self) -> io::Result<()> {
        self.file.set_len(self.bytes)?;
        self.file.sync_data()
    }
}

/// Microseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
