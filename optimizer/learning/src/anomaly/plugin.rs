//! Anomalies as a plugin of learning: streams fed, incidents kept and shown, alerts posted.

use super::incidents::book::Book;
use super::incidents::incident::{Incident, Sent, severity};
use super::incidents::listeners::{CHANNEL, Listeners};
use super::incidents::outbox::{Outbox, Outcome};
use super::incidents::rows::{COLUMNS, row};
use super::traffic::qualities::Qualities;
use super::traffic::schemas::Schemas;
use super::traffic::stream::Stream;
use super::traffic::streams::{Happened, Streams};
use super::traffic::subject::Subject;
use crate::options::LearningOptions;
use crate::plugin::Plugin;
use crate::telemetry::{Moment, Store, seconds_of};
use async_trait::async_trait;
use futures::stream::BoxStream;
use querygate_models::anomaly::Peers;
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::system::{Cell, CellKind, SystemExtension, SystemProcedure, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex as AsyncMutex;

const RELATION: SystemRelation = SystemRelation { name: "anomalies", columns: COLUMNS };

const INCIDENTS: &str = "incident";
const STREAMS: &str = "stream";
const PEERS: &str = "peers";
const KNOWN: &str = "known";
const MUTED: &str = "muted";
/// Streams that are written per second: all of them within some minutes, without a burst, and none twice in so short a time.
const WRITTEN: usize = 20;
const WRITTEN_AGAIN: Duration = Duration::from_secs(30);
/// Longest that a subject can be muted.
const HOURS_MAX: i64 = 24 * 365;

const PROCEDURES: &[SystemProcedure] = &[
    SystemProcedure { name: "acknowledge", arguments: &[("id", CellKind::Integer)], optional: 0 },
    SystemProcedure {
        name: "mute",
        arguments: &[("subject", CellKind::Text), ("hours", CellKind::Integer)],
        optional: 1,
    },
    SystemProcedure { name: "unmute", arguments: &[("subject", CellKind::Text)], optional: 0 },
];

/// The plugin.
#[derive(Debug)]
pub(crate) struct Anomalies {
    options: LearningOptions,
    streams: Mutex<Streams>,
    book: Mutex<Book>,
    /// Mutes changed since they were written.
    muted: Mutex<bool>,
    outbox: AsyncMutex<Outbox>,
    listeners: Listeners,
    schemas: Mutex<Schemas>,
    qualities: Mutex<Qualities>,
    /// Streams that are still to be written in this round, and when the next one may begin.
    unwritten: Mutex<(VecDeque<Subject>, Duration)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Anomalies {
    pub(crate) fn new(options: LearningOptions) -> Self {
        Self {
            options,
            streams: Mutex::default(),
            book: Mutex::default(),
            muted: Mutex::default(),
            outbox: AsyncMutex::default(),
            listeners: Listeners::default(),
            schemas: Mutex::default(),
            qualities: Mutex::default(),
            unwritten: Mutex::default(),
        }
    }

    async fn happened(&self, happened: Vec<Happened>, now: Moment, store: &Store) -> Result<()> {
        let receiver = self.options.webhook.is_some();
        let (told, quiet): (Vec<Incident>, Vec<Incident>) = {
            let mut book = locked(&self.book);
            let one = |happened| book.note(happened, now.seconds, receiver, self.options.alerts_per_day);
            (happened.into_iter().filter_map(one).collect(), std::mem::take(&mut book.kept_quiet))
        };
        // The incident is on disk before its alert: after a crash it may be sent twice, and is never lost.
        let mut outcome = self.write(now, store).await;
        quiet.iter().for_each(|incident| self.listeners.tell(incident, false));
        for incident in told {
            tracing::warn!(incident = incident.id, what = incident.finding.text(), "unusual traffic");
            metrics::counter!("querygate_anomalies_total", "severity" => severity(incident.severity)).increment(1);
            self.listeners.tell(&incident, true);
            if incident.sent == Sent::Waiting {
                // A disk that takes nothing must not keep an alert from its receiver, nor one alert the next.
                outcome = outcome.and(self.post(&incident, now, store).await);
            }
        }
        outcome
    }

    async fn post(&self, incident: &Incident, now: Moment, store: &Store) -> Result<()> {
        let body = serde_json::to_vec(&incident.body()).map_err(Error::internal)?;
        self.outbox.lock().await.post(incident.id, body, now, store).await
    }

    /// Takes up what was kept, as it was kept.
    pub(crate) async fn read(&self, store: &Store) -> Result<()> {
        let incidents = store.kept::<Incident>(INCIDENTS).await?;
        let muted = store.kept(MUTED).await?.into_iter().next();
        let mut book = locked(&self.book);
        book.load(incidents.into_iter().map(|(_, incident)| incident));
        book.muted = muted.map(|(_, muted)| muted).unwrap_or_default();
        Ok(())
    }

    /// Posts alerts that were found and never got as far as the outbox.
    async fn post_missing(&self, store: &Store) -> Result<()> {
        if self.options.webhook.is_none() {
            return Ok(());
        }
        let waiting: Vec<Incident> = {
            let book = locked(&self.book);
            book.incidents.values().filter(|incident| incident.sent == Sent::Waiting).cloned().collect()
        };
        let now = Moment { seconds: seconds_of(SystemTime::now()), running: Duration::ZERO };
        let mut outcome = Ok(());
        for incident in waiting {
            if !self.outbox.lock().await.has(incident.id) {
                outcome = outcome.and(self.post(&incident, now, store).await);
            }
        }
        outcome
    }

    /// Writes the incidents that changed.
    async fn write(&self, now: Moment, store: &Store) -> Result<()> {
        let (changed, gone, muted) = {
            let mut book = locked(&self.book);
            let changed: Vec<Incident> = book.changed.iter().filter_map(|id| book.incidents.get(id)).cloned().collect();
            book.changed.clear();
            let gone = std::mem::take(&mut book.gone);
            let muted = std::mem::take(&mut *locked(&self.muted)).then(|| book.muted.clone());
            (changed, gone, muted)
        };
        let bytes = |incident: &Incident| Some((incident.id.to_string(), postcard::to_allocvec(incident).ok()?));
        let documents: Vec<(String, Vec<u8>)> = changed.iter().filter_map(bytes).collect();
        let written = async {
            store.put(INCIDENTS, &documents, now.seconds).await?;
            if !gone.is_empty() {
                store.remove(INCIDENTS, &gone.iter().map(u64::to_string).collect::<Vec<_>>()).await?;
            }
            match &muted {
                Some(muted) => store.keep(MUTED, "all", muted, now.seconds).await,
                None => Ok(()),
            }
        };
        let written = written.await;
        if written.is_err() {
            let mut book = locked(&self.book);
            book.changed.extend(changed.iter().map(|incident| incident.id));
            book.gone.extend(gone);
            *locked(&self.muted) |= muted.is_some();
        }
        written
    }

    /// Writes some streams of the running round.
    async fn write_streams(&self, now: Moment, store: &Store) -> Result<()> {
        let (gone, documents, known, peers) = {
            let mut streams = locked(&self.streams);
            let gone = std::mem::take(&mut streams.gone);
            let (unwritten, next) = &mut *locked(&self.unwritten);
            let begins = unwritten.is_empty() && now.running >= *next;
            if begins {
                *next = now.running + WRITTEN_AGAIN;
                unwritten.extend(streams.all.keys().cloned());
            }
            let mut documents = Vec::new();
            let mut known = Vec::new();
            for _ in 0..WRITTEN {
                let Some(subject) = unwritten.pop_front() else { break };
                let Some(stream) = streams.all.get(&subject) else { continue };
                if let Ok(bytes) = postcard::to_allocvec(&(&subject, stream)) {
                    documents.push((subject.to_string(), bytes));
                }
                if let Subject::Principal(login) = &subject
                    && let Some(Ok(bytes)) = streams.known.get(login).map(postcard::to_allocvec)
                {
                    known.push((login.clone(), bytes));
                }
            }
            (gone, documents, known, begins.then(|| streams.peers.clone()))
        };
        if let Err(error) = forget(&gone, store).await {
            locked(&self.streams).put_back(gone);
            return Err(error);
        }
        store.put(STREAMS, &documents, now.seconds).await?;
        store.put(KNOWN, &known, now.seconds).await?;
        if let Some(peers) = peers {
            store.keep(PEERS, "all", &peers, now.seconds).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Plugin for Anomalies {
    fn name(&self) -> &'static str {
        "anomalies"
    }

    async fn load(&self, store: &Store) -> Result<()> {
        self.read(store).await?;
        let streams = store.kept::<(Subject, Stream)>(STREAMS).await?;
        let known = store.kept::<HashSet<u64>>(KNOWN).await?;
        let peers = store.kept::<Peers>(PEERS).await?.into_iter().next();
        self.outbox.lock().await.load(store).await?;
        {
            let mut all = locked(&self.streams);
            all.load(streams.into_iter().map(|(_, one)| one).collect(), known);
            all.peers = peers.map(|(_, peers)| peers).filter(Peers::is_sound).unwrap_or_default();
            for unknown in locked(&self.book).take_up(all.open()) {
                all.begin_anew(&unknown);
            }
        }
        self.post_missing(store).await
    }

    async fn follow(&self, records: &[StatementRecord], now: Moment, store: &Store) -> Result<()> {
        let happened: Vec<Happened> = {
            let (mut streams, mut qualities) = (locked(&self.streams), locked(&self.qualities));
            let one = |record| {
                let read = streams.add(record, now.seconds);
                let changed = streams.add_changes(record, now.seconds);
                read.into_iter().chain(changed).chain(qualities.add(record, now.seconds))
            };
            records.iter().flat_map(one).collect()
        };
        self.happened(happened, now, store).await
    }

    async fn hear(&self, going: &[StatementRecord], now: Moment, _store: &Store) -> Result<()> {
        let mut streams = locked(&self.streams);
        going.iter().for_each(|record| streams.running.note(record, now.seconds));
        Ok(())
    }

    async fn tick(&self, now: Moment, store: &Store) -> Result<()> {
        let mut happened = {
            let mut streams = locked(&self.streams);
            let mut happened = streams.close(now.seconds);
            happened.extend(streams.look_at_going(now.seconds));
            happened
        };
        happened.extend(locked(&self.qualities).close(now.seconds));
        if let Some(watch) = &self.options.schemas {
            happened.extend(locked(&self.schemas).look(watch));
        }
        let mut outcome = self.happened(happened, now, store).await;
        if let Some(webhook) = &self.options.webhook {
            let (done, worked) = self.outbox.lock().await.work(webhook, now, store).await;
            for (id, outcome) in done {
                let sent = match outcome {
                    Outcome::Delivered => Sent::At(now.seconds),
                    Outcome::GivenUp => Sent::GivenUp,
                };
                locked(&self.book).sent(id, sent);
            }
            outcome = outcome.and(worked).and(self.write(now, store).await);
        }
        outcome.and(self.write_streams(now, store).await)
    }
}

#[async_trait]
impl SystemExtension for Anomalies {
    fn relations(&self) -> Vec<SystemRelation> {
        vec![RELATION]
    }

    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        RELATION.check_name(relation)?;
        let own = |incident: &&Incident| {
            reader.operator || incident.login.as_deref().is_some_and(|login| reader.may_see_work_of(login))
        };
        Ok(locked(&self.book).incidents.values().filter(own).map(|incident| row(incident, reader.operator)).collect())
    }

    fn procedures(&self) -> Vec<SystemProcedure> {
        PROCEDURES.to_vec()
    }

    fn channels(&self) -> &'static [&'static str] {
        &[CHANNEL]
    }

    fn subscribe(&self, channel: &str, listener: &Principal) -> Option<BoxStream<'static, String>> {
        (channel == CHANNEL).then(|| self.listeners.subscribe(listener))
    }

    async fn call(&self, procedure: &str, arguments: &[Cell], caller: &Principal) -> Result<String> {
        let seconds = seconds_of(SystemTime::now());
        let mut book = locked(&self.book);
        match (procedure, arguments) {
            ("acknowledge", [Cell::Integer(id)]) => {
                let known = u64::try_from(*id).is_ok_and(|id| book.acknowledge(id, &caller.login, seconds));
                let missing = || Error::new(ErrorCode::UndefinedObject, "there is no such incident");
                if known { Ok(format!("incident {id} is acknowledged")) } else { Err(missing()) }
            }
            ("mute", [Cell::Text(subject), rest @ ..]) => {
                let hours = match rest {
                    [Cell::Integer(hours)] if (1..=HOURS_MAX).contains(hours) => *hours,
                    [] | [Cell::Null] => 24,
                    _ => return Err(Error::new(ErrorCode::InvalidParameterValue, "hours must be from 1 to 8760")),
                };
                let subject = checked_subject(subject)?;
                if !book.mute(subject, seconds.saturating_add(hours * 3_600), seconds) {
                    return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many subjects are muted"));
                }
                *locked(&self.muted) = true;
                Ok(format!("{subject} is muted for {hours} hours"))
            }
            ("unmute", [Cell::Text(subject)]) => {
                if book.muted.remove(subject.trim()).is_none() {
                    return Err(Error::new(ErrorCode::UndefinedObject, "the subject is not muted"));
                }
                *locked(&self.muted) = true;
                Ok(format!("{} is not muted any more", subject.trim()))
            }
            _ => Err(Error::new(ErrorCode::InvalidParameterValue, "an argument must not be null")),
        }
    }
}

/// Removes from the store what nobody follows any more.
async fn forget(gone: &HashSet<Subject>, store: &Store) -> Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    store.remove(STREAMS, &gone.iter().map(Subject::to_string).collect::<Vec<_>>()).await?;
    let login = |subject: &Subject| if let Subject::Principal(login) = subject { Some(login.clone()) } else { None };
    store.remove(KNOWN, &gone.iter().filter_map(login).collect::<Vec<_>>()).await
}

/// As the column `subject` shows it.
fn checked_subject(subject: &str) -> Result<&str> {
    let subject = subject.trim();
    let kinds = ["principal ", "template ", "source ", "object ", "changes ", "deletes "];
    if subject.len() <= 300 && kinds.iter().any(|kind| subject.len() > kind.len() && subject.starts_with(kind)) {
        return Ok(subject);
    }
    Err(Error::new(ErrorCode::InvalidParameterValue, "this is no subject")
        .with_hint("Give it as querygate.anomalies shows it, such as 'principal ada' or 'source crm'."))
}
