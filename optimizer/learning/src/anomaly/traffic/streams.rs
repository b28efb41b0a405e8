//! All streams: which statement belongs to which, when an interval ends, what may be forgotten. Bounded.

use super::running_statements::RunningStatements;
use super::stream::{ERRORS, Event, Stream, count};
use super::subject::Subject;
use super::subject_cache::{CachedSubjects, shortened};
use querygate_models::anomaly::{Finding, Peers};
use querygate_telemetry_api::{RunSums, StatementRecord, read_rows};
use querygate_types::ErrorCode;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Seconds of an interval.
pub(in crate::anomaly) const INTERVAL: i64 = 300;
/// Streams: some 10 KB each.
const STREAMS_MAX: usize = 3_000;
/// Of them those of templates.
const TEMPLATES_MAX: usize = STREAMS_MAX / 2;
/// Related subjects that are remembered of one subject and interval.
const RELATED_MAX: usize = 32;
/// Templates that are remembered of one principal, and as many objects.
const KNOWN_MAX: usize = 5_000;
/// Templates of principals whose subjects are kept until the interval ends.
const SUBJECT_CACHE_MAX: usize = 1_024;
/// A stream without traffic for so long gives its place away.
const IDLE: i64 = 3 * 86_400;
/// The same for a template while all places of templates are taken.
const IDLE_CROWDED: i64 = 6 * 3_600;
/// Large reads that are compared with those of peers.
pub(in crate::anomaly) const LARGE: u64 = 200;

/// What a statement did, beyond its own streams.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::anomaly) struct Happened {
    pub(in crate::anomaly) subject: Subject,
    pub(in crate::anomaly) event: Event,
    /// Related subjects, the subject itself included.
    pub(in crate::anomaly) keys: Vec<u64>,
    pub(in crate::anomaly) login: Option<String>,
    pub(in crate::anomaly) causes: Vec<String>,
}

/// Everything that is followed.
#[derive(Debug, Default)]
pub(in crate::anomaly) struct Streams {
    pub(in crate::anomaly) all: HashMap<Subject, Stream>,
    pub(in crate::anomaly) peers: Peers,
    /// Hashes of what each principal touched before: templates and objects.
    pub(in crate::anomaly) known: HashMap<String, HashSet<u64>>,
    /// What the store still has of subjects that are not followed any more. What finds no place here goes at the next start.
    pub(in crate::anomaly) gone: HashSet<Subject>,
    /// Subjects that were seen together lately.
    related: HashMap<Subject, BTreeSet<u64>>,
    /// Streams of templates among all, and when those without traffic last gave way to others.
    templates: usize,
    made_room: i64,
    /// Subjects of statements of this interval, which are related already.
    subject_cache: HashMap<(u64, Arc<str>), Arc<CachedSubjects>>,
    /// Plans of templates, as the advisor chose them last, and since when there is another one.
    plans: HashMap<u64, (String, Option<i64>)>,
    interval: i64,
    pub(in crate::anomaly) running: RunningStatements,
    /// What the principals read in one ordinary statement, largest first, as of a second.
    readers: (i64, Vec<(f64, String)>),
}

impl Streams {
    /// Takes a statement in; tells what cannot wait for the end of the interval.
    pub(in crate::anomaly) fn add(&mut self, record: &StatementRecord, time: i64) -> Option<Happened> {
        self.running.ended(record);
        let cached = self.cached_subjects(record);
        let (new_template, first_seen) = self.first_seen(record, &cached);
        let read = read_rows(record.rows, record.bytes);
        let more = record.more.as_deref();
        let of_more = |of: fn(&RunSums) -> u64| more.map_or(0, of);
        for subject in &cached.subjects {
            let Some(stream) = self.stream(subject, record, time) else { continue };
            stream.last = time;
            let sums = &mut stream.sums;
            sums.statements += record.runs();
            let (rows, more_rows) = match subject {
                Subject::Principal(_) => (read, of_more(|more| more.read)),
                Subject::Template(_)
                | Subject::Source(_)
                | Subject::Object(_)
                | Subject::Changes(..)
                | Subject::Deletes(..) => (record.rows, of_more(|more| more.rows)),
            };
            sums.rows = sums.rows.saturating_add(rows).saturating_add(more_rows);
            sums.bytes = sums.bytes.saturating_add(record.bytes).saturating_add(of_more(|more| more.bytes));
            match record.error {
                None => {}
                // What the client brought about is no fault of what it reads.
                Some(error) if is_clients(error) && !matches!(subject, Subject::Principal(_)) => {}
                Some(error) => sums.fail(error),
            }
            match subject {
                Subject::Source(name) => {
                    for fragment in record.fragments.iter().filter(|f| *f.template.source == **name && f.complete) {
                        sums.time(fragment.total.as_secs_f64() * 1e3);
                    }
                }
                Subject::Template(_) if record.error.is_none() => sums.time(record.total.as_secs_f64() * 1e3),
                Subject::Template(_) | Subject::Object(_) | Subject::Changes(..) | Subject::Deletes(..) => {}
                Subject::Principal(_) => {
                    sums.first_seen = sums.first_seen.saturating_add(first_seen);
                    sums.new_templates += u64::from(new_template);
                }
            }
        }
        self.plan(record, time);
        let peers = self.peers_read(&record.login, time);
        let object = record.objects.first().map(String::as_str);
        let principal = cached.subjects.first()?;
        let stream = self.all.get_mut(principal)?;
        let event = stream.read(time, read, peers, object);
        let learnt = more.and_then(|more| stream.learn(time, more, peers, object));
        let event = event.or(learnt)?;
        let login = Some(record.login.to_string());
        let told = format!("counted by size: the last statement gave {} rows of {} bytes", record.rows, record.bytes);
        let causes = if read > record.rows { vec![told] } else { Vec::new() };
        Some(Happened { subject: principal.clone(), event, keys: cached.keys.clone(), login, causes })
    }

    /// What the statement is about. Related once in an interval: a statement that comes again adds nothing.
    pub(in crate::anomaly) fn cached_subjects(&mut self, record: &StatementRecord) -> Arc<CachedSubjects> {
        let key = (record.fingerprint, Arc::clone(&record.login));
        if let Some(known) = self.subject_cache.get(&key).filter(|cached| cached.is_of(record)) {
            return Arc::clone(known);
        }
        if self.subject_cache.len() >= SUBJECT_CACHE_MAX {
            self.subject_cache.clear();
        }
        let cached = Arc::new(CachedSubjects::of(record));
        for subject in &cached.subjects {
            self.relate(subject, &cached.keys);
        }
        self.subject_cache.insert(key, Arc::clone(&cached));
        cached
    }

    /// Whether the template is new to the principal, and how many things are.
    fn first_seen(&mut self, record: &StatementRecord, cached: &CachedSubjects) -> (bool, u32) {
        if record.error.is_some() {
            return (false, 0);
        }
        if !self.known.contains_key(&*record.login) {
            if self.known.len() >= STREAMS_MAX {
                return (false, 0);
            }
            self.known.insert(record.login.to_string(), HashSet::new());
        }
        let Some(known) = self.known.get_mut(&*record.login) else { return (false, 0) };
        let new_template = known.len() < KNOWN_MAX && known.insert(record.fingerprint);
        // Templates that anybody can make up by the thousand take no place from objects.
        let objects = cached.objects().iter().filter(|key| known.len() < 2 * KNOWN_MAX && known.insert(**key)).count();
        let objects = u32::try_from(objects).unwrap_or(u32::MAX);
        (new_template, objects.saturating_add(u32::from(new_template)))
    }

    fn relate(&mut self, subject: &Subject, keys: &[u64]) {
        if self.related.len() >= STREAMS_MAX && !self.related.contains_key(subject) {
            return;
        }
        let related = self.related.entry(subject.clone()).or_default();
        for key in keys {
            if related.len() >= RELATED_MAX {
                return;
            }
            related.insert(*key);
        }
    }

    /// Takes up what was kept: what ran last, as far as there is room. The rest is to go from the store too.
    pub(in crate::anomaly) fn load(&mut self, mut streams: Vec<(Subject, Stream)>, known: Vec<(String, HashSet<u64>)>) {
        streams.sort_by_key(|(subject, stream)| (Reverse(stream.last), subject.clone()));
        for (subject, stream) in streams {
            if self.all.len() < STREAMS_MAX && stream.is_sound() {
                self.templates += usize::from(subject.is_template());
                self.all.insert(subject, stream);
            } else {
                self.gone.insert(subject);
            }
        }
        for (login, known) in known {
            let subject = Subject::Principal(login.clone());
            if self.all.contains_key(&subject) {
                self.known.insert(login, known);
            } else {
                self.gone.insert(subject);
            }
        }
    }

    /// Detectors of which an incident is under way.
    pub(in crate::anomaly) fn open(&mut self) -> Vec<(Subject, &'static str)> {
        let of = |(subject, stream): (&Subject, &mut Stream)| {
            stream.open().into_iter().map(|detector| (subject.clone(), detector)).collect::<Vec<_>>()
        };
        self.all.iter_mut().flat_map(of).collect()
    }

    /// What nobody knows an incident of begins anew.
    pub(in crate::anomaly) fn begin_anew(&mut self, (subject, detector): &(Subject, &'static str)) {
        if let Some(stream) = self.all.get_mut(subject) {
            stream.begin_anew(detector);
        }
    }

    /// What could not be removed from the store is to be removed later, unless it came back.
    pub(in crate::anomaly) fn put_back(&mut self, gone: HashSet<Subject>) {
        self.gone.extend(gone.into_iter().filter(|subject| !self.all.contains_key(subject)));
    }

    /// Whether one more subject may be followed. A flood of new templates finds no place in the end; what is followed and has
    /// traffic stays. Looked for at most once in an interval, since it walks through everything.
    fn has_room(&mut self, subject: &Subject, time: i64) -> bool {
        let fits =
            |all: usize, templates: usize| all < STREAMS_MAX && (!subject.is_template() || templates < TEMPLATES_MAX);
        if !fits(self.all.len(), self.templates) && !(0..INTERVAL).contains(&(time - self.made_room)) {
            self.made_room = time;
            self.evict(time);
        }
        fits(self.all.len(), self.templates)
    }

    /// Lets go of streams without traffic, and of what was known of their principals. Templates that come once and never again
    /// go sooner where they take the places of others.
    fn evict(&mut self, time: i64) {
        let crowded = self.templates >= TEMPLATES_MAX;
        let Self { all, known, gone, templates, .. } = self;
        all.retain(|subject, stream| {
            let idle = if crowded && subject.is_template() { IDLE_CROWDED } else { IDLE };
            let stays = time - stream.last < idle;
            if !stays {
                *templates -= usize::from(subject.is_template());
                if let Subject::Principal(login) = subject {
                    known.remove(login);
                }
                if gone.len() < STREAMS_MAX {
                    gone.insert(subject.clone());
                }
            }
            stays
        });
    }

    pub(in crate::anomaly) fn stream(
        &mut self,
        subject: &Subject,
        record: &StatementRecord,
        time: i64,
    ) -> Option<&mut Stream> {
        if !self.all.contains_key(subject) {
            if !self.has_room(subject, time) {
                return None;
            }
            let label = match subject {
                Subject::Principal(name)
                | Subject::Object(name)
                | Subject::Changes(name, _)
                | Subject::Deletes(name, _) => name.clone(),
                Subject::Source(name) => format!("source {name}"),
                Subject::Template(_) => shortened(&record.template),
            };
            self.gone.remove(subject);
            self.templates += usize::from(subject.is_template());
            self.all.insert(subject.clone(), Stream::new(subject, label));
        }
        self.all.get_mut(subject)
    }

    /// Rows of the largest ordinary read of the second largest reader among the others.
    pub(in crate::anomaly) fn peers_read(&mut self, login: &str, time: i64) -> f64 {
        if self.readers.0 != time {
            let known = |(subject, stream): (&Subject, &Stream)| match (subject, &stream.bulk) {
                (Subject::Principal(name), Some((bulk, _))) if bulk.is_known() => Some((bulk.largest(), name.clone())),
                _ => None,
            };
            let mut readers: Vec<(f64, String)> = self.all.iter().filter_map(known).collect();
            readers.sort_by(|a, b| b.0.total_cmp(&a.0));
            // The second largest of the others is among the first three.
            readers.truncate(3);
            self.readers = (time, readers);
        }
        self.readers.1.iter().filter(|(_, name)| name != login).nth(1).map_or(0.0, |(rows, _)| *rows)
    }

    fn plan(&mut self, record: &StatementRecord, time: i64) {
        let Some(choice) = &record.choice else { return };
        if self.plans.len() >= STREAMS_MAX && !self.plans.contains_key(&record.fingerprint) {
            return;
        }
        let alternative = choice.alternative.to_string();
        let plan = self.plans.entry(record.fingerprint).or_insert_with(|| (alternative.clone(), None));
        if plan.0 != alternative {
            *plan = (alternative, Some(time));
        }
    }

    /// Ends the running interval when its time has come.
    pub(in crate::anomaly) fn close(&mut self, time: i64) -> Vec<Happened> {
        let interval = time.div_euclid(INTERVAL);
        if self.interval == 0 || interval < self.interval {
            // The first look, or a clock that went back.
            self.interval = interval;
        }
        if interval == self.interval {
            return Vec::new();
        }
        self.interval = interval;
        let end = interval * INTERVAL;
        let everywhere = self.everywhere();
        let mut happened = Vec::new();
        let mut subjects: Vec<Subject> = self.all.keys().cloned().collect();
        // Sources first: they are causes of others.
        subjects.sort_by_key(|subject| (!matches!(subject, Subject::Source(_)), subject.clone()));
        for subject in subjects {
            let Some(stream) = self.all.get_mut(&subject) else { continue };
            let sqlstates = stream.sums.sqlstates.clone();
            for event in stream.close(end, everywhere, &mut self.peers) {
                let keys = self.related.get(&subject).map(|keys| keys.iter().copied().collect()).unwrap_or_default();
                let causes = self.causes(&subject, &event, &sqlstates, end);
                let login = subject.login().map(str::to_owned);
                happened.push(Happened { subject: subject.clone(), event, keys, login, causes });
            }
        }
        self.related.clear();
        self.subject_cache.clear();
        // The gravest first: its alert may stand for the others, theirs not for it.
        happened.sort_by_key(|one| Reverse(one.event.finding.as_ref().map(Finding::severity)));
        happened
    }

    /// How many times as many new templates as usual everybody brings: after a release all do.
    fn everywhere(&self) -> f64 {
        let new =
            self.all.iter().filter(|(s, _)| matches!(s, Subject::Principal(_))).map(|(_, s)| s.sums.new_templates);
        let bringing = new.filter(|new| *new > 0).count();
        let principals = self.known.len().max(1);
        if bringing * 2 > principals && principals > 3 { 10.0 } else { 1.0 + count(bringing as u64).sqrt() / 10.0 }
    }

    fn causes(
        &self,
        subject: &Subject,
        event: &Event,
        sqlstates: &std::collections::BTreeMap<&'static str, u64>,
        time: i64,
    ) -> Vec<String> {
        let mut causes = Vec::new();
        if event.detector == ERRORS
            && let Some((state, n)) = sqlstates.iter().max_by_key(|(_, n)| **n)
        {
            causes.push(format!("most fail with {state} ({n} in the last interval)"));
        }
        let Subject::Template(fingerprint) = subject else { return causes };
        if event.detector.starts_with("latency") {
            let related = self.related.get(subject);
            for (other, stream) in &self.all {
                let slow = matches!(other, Subject::Source(_)) && stream.latency_factor() >= 1.5;
                if slow && related.is_some_and(|related| related.contains(&other.key())) {
                    causes.push(format!("{other} takes {:.1} times its usual time", stream.latency_factor()));
                }
            }
            let rows = self.all.get(subject).map_or(1.0, Stream::rows_factor);
            if rows >= 1.5 {
                causes.push(format!("it returns {rows:.1} times its usual rows"));
            }
            if let Some((alternative, Some(since))) = self.plans.get(fingerprint)
                && time - since <= 3_600
            {
                causes.push(format!("its plan changed to {alternative} within the hour"));
            }
        }
        causes
    }
}

/// Errors of whoever wrote the statement. Limits of time are the client's as well: a source that is slow shows in its times, and
/// anybody may set a limit of a millisecond.
fn is_clients(error: ErrorCode) -> bool {
    let class = error.sqlstate().get(..2).unwrap_or_default();
    matches!(class, "42" | "22" | "0A" | "25" | "26" | "34" | "3D" | "3F" | "54")
        || matches!(error, ErrorCode::QueryCanceled | ErrorCode::StatementTimeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, statement};

    #[test]
    fn what_is_evicted_or_finds_no_place_goes_from_the_store_too() {
        let mut streams = Streams::default();
        let stream = |subject: Subject, last| {
            let mut stream = Stream::new(&subject, String::new());
            stream.last = last;
            (subject, stream)
        };
        let idle = Subject::Principal("idle".to_owned());
        let kept = (0..3_007_i64).map(|n| stream(Subject::Template(n.unsigned_abs()), DAY + n));
        let all: Vec<_> = kept.chain([stream(idle.clone(), DAY - IDLE)]).collect();
        streams.load(all, vec![("idle".to_owned(), HashSet::new()), ("stranger".to_owned(), HashSet::new())]);
        assert_eq!((streams.all.len(), streams.known.len()), (STREAMS_MAX, 0));
        // The seven that ran first, and both principals.
        assert_eq!(streams.gone.len(), 9);
        assert!(streams.gone.contains(&Subject::Template(6)) && !streams.gone.contains(&Subject::Template(7)));
        // Everything is idle by then and gives way; what is followed again must not be removed.
        let gone = std::mem::take(&mut streams.gone);
        streams.add(&statement("idle", 1, 10, DAY + 2 * IDLE), DAY + 2 * IDLE);
        assert!(streams.all.len() < 10 && streams.known.contains_key("idle"), "{}", streams.all.len());
        assert_eq!(streams.gone.len(), STREAMS_MAX);
        streams.put_back(gone);
        assert!(!streams.gone.contains(&idle) && streams.gone.contains(&Subject::Template(6)));
    }

    /// Templates that come once take no place for long from those that come again, whatever else is followed.
    #[test]
    fn a_flood_of_templates_neither_displaces_what_runs_nor_keeps_new_ones_away_for_long() {
        let mut streams = Streams::default();
        let followed = |streams: &Streams, template| streams.all.contains_key(&Subject::Template(template));
        let templates = |streams: &Streams| streams.all.keys().filter(|subject| subject.is_template()).count();
        for user in 0..1_000 {
            streams.add(&statement(&format!("u{user}"), 1, 1, DAY), DAY);
        }
        for hour in 0..12_i64 {
            let time = DAY + hour * 3_600;
            for n in 0..300 {
                streams.add(&statement("eve", 1_000 + hour.unsigned_abs() * 300 + n, 1, time), time);
            }
            streams.add(&statement("sam", 1, 1, time), time);
        }
        assert_eq!((templates(&streams), streams.templates), (TEMPLATES_MAX, TEMPLATES_MAX));
        assert!(followed(&streams, 1));
        let later = DAY + 18 * 3_600;
        streams.add(&statement("sam", 1, 1, later - 60), later - 60);
        streams.add(&statement("sam", 2, 1, later), later);
        assert!(followed(&streams, 1) && followed(&streams, 2) && !followed(&streams, 1_000));
        assert_eq!(templates(&streams), streams.templates);
    }

    /// What a statement is about is kept for the interval, and found anew where it changes.
    #[test]
    fn a_statement_that_comes_again_is_related_once_and_to_what_it_asks_now() {
        let mut streams = Streams::default();
        let related = |streams: &Streams, subject: &Subject| {
            streams.related.get(&Subject::Template(1)).is_some_and(|keys| keys.contains(&subject.key()))
        };
        let (crm, erp) = (Subject::Source("crm".to_owned()), Subject::Source("erp".to_owned()));
        let record = statement("ann", 1, 10, DAY);
        (0..3).for_each(|_| drop(streams.add(&record, DAY)));
        assert_eq!((streams.subject_cache.len(), related(&streams, &crm), related(&streams, &erp)), (1, true, false));
        assert_eq!(streams.all.get(&crm).map(|stream| stream.sums.statements), Some(3));
        let mut other = record.clone();
        let mut template = querygate_telemetry_api::fragment::FragmentTemplate::clone(&record.fragments[0].template);
        template.source = "erp".into();
        other.fragments[0].template = Arc::new(template);
        streams.add(&other, DAY);
        assert!(related(&streams, &crm) && related(&streams, &erp));
        assert_eq!(streams.all.get(&crm).map(|stream| stream.sums.statements), Some(3));
        assert_eq!(streams.all.get(&erp).map(|stream| stream.sums.statements), Some(1));
        streams.close(DAY);
        streams.close(DAY + INTERVAL);
        assert!(streams.subject_cache.is_empty() && streams.related.is_empty());
        streams.add(&record, DAY + INTERVAL);
        assert!(related(&streams, &crm) && !related(&streams, &erp));
        (0..5_000).for_each(|n| drop(streams.add(&statement("eve", n, 1, DAY + INTERVAL), DAY + INTERVAL)));
        assert!(streams.subject_cache.len() <= SUBJECT_CACHE_MAX);
    }

    #[test]
    fn made_up_templates_do_not_hide_what_objects_somebody_reads_for_the_first_time() {
        let mut streams = Streams::default();
        for n in 0..KNOWN_MAX as u64 + 10 {
            streams.add(&statement("eve", n, 1, DAY), DAY);
        }
        let first = |all: &Streams| all.all[&Subject::Principal("eve".to_owned())].sums.first_seen;
        let before = first(&streams);
        let mut record = statement("eve", 1_000_000, 1, DAY);
        record.objects = Arc::new(["salaries".to_owned()]);
        streams.add(&record, DAY);
        assert_eq!(first(&streams), before + 1);
    }

    #[test]
    fn what_is_related_is_bounded() {
        let mut streams = Streams::default();
        let mut record = statement("ann", 1, 10, DAY);
        record.objects = std::sync::Arc::new(std::array::from_fn::<String, 50, _>(|n| format!("t{n}")));
        streams.add(&record, DAY);
        assert_eq!(streams.related.values().map(BTreeSet::len).max(), Some(RELATED_MAX));
    }
}
