//! What is followed of one subject: detectors, and the sums of the running interval. Knows how detectors are fed, not what becomes of
//! what they find.

use super::subject::Subject;
use querygate_models::anomaly::{
    Bulk, BulkReading, Change, Direction, ErrorRate, Extraction, Finding, Level, Metric, NewTemplates, Peers, Reads,
    Refusal, Rule, Watch,
};
use querygate_models::saved::Saved;
use querygate_telemetry_api::RunSums;
use querygate_types::ErrorCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Detector of large reads, statement by statement.
pub(in crate::anomaly) const BULK: &str = "bulk";
/// Detector of rows read in a day, and of slow extraction over a week.
pub(in crate::anomaly) const EXTRACTION: &str = "extraction";
pub(in crate::anomaly) const ERRORS: &str = "errors";
pub(in crate::anomaly) const NEW_TEMPLATES: &str = "new templates";
/// Seconds in which [`EXTRACTION`] counts. [`BULK`] counts in fewer.
pub(in crate::anomaly) const DAY_SECONDS: f64 = 86_400.0;
/// Times that the median of an interval is taken from.
const SAMPLES: usize = 64;
/// Rows read that a changed row counts as, and a deleted one.
const CHANGED_WEIGHT: u64 = 20;
const DELETED_WEIGHT: u64 = 50;
/// Refusals that are followed by themselves, with their codes.
const REFUSALS: [(Refusal, ErrorCode); 2] =
    [(Refusal::TakenKey, ErrorCode::UniqueViolation), (Refusal::MissingRight, ErrorCode::InsufficientPrivilege)];

/// Sums of the running interval.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::anomaly) struct Sums {
    pub(in crate::anomaly) statements: u64,
    pub(in crate::anomaly) failed: u64,
    pub(in crate::anomaly) rows: u64,
    pub(in crate::anomaly) bytes: u64,
    /// Milliseconds of the first so many.
    pub(in crate::anomaly) times: Vec<f64>,
    pub(in crate::anomaly) sqlstates: BTreeMap<&'static str, u64>,
    /// Of [`REFUSALS`].
    refused: [u64; 2],
    /// Objects and templates that the subject touched for the first time.
    pub(in crate::anomaly) first_seen: u32,
    pub(in crate::anomaly) new_templates: u64,
}

impl Sums {
    /// A statement failed.
    pub(in crate::anomaly) fn fail(&mut self, error: ErrorCode) {
        self.failed += 1;
        *self.sqlstates.entry(error.sqlstate()).or_insert(0) += 1;
        let refused = self.refused.iter_mut().zip(REFUSALS);
        refused.filter(|(_, (_, code))| *code == error).for_each(|(count, _)| *count += 1);
    }

    pub(in crate::anomaly) fn time(&mut self, ms: f64) {
        if self.times.len() < SAMPLES {
            self.times.push(ms);
        }
    }

    fn median(&self) -> Option<f64> {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied()
    }
}

/// A detector of levels and what became of its scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Leveled {
    metric: Metric,
    level: Level,
    jump: Watch,
    drift: Watch,
    /// The last interval's value ÷ usual.
    factor: f64,
}

impl Leveled {
    fn new(metric: Metric) -> Self {
        let watch = Watch::new(Rule::GATEWAY);
        Self { metric, level: Level::new(Direction::Up), jump: watch.clone(), drift: watch, factor: 1.0 }
    }
}

/// Detectors of one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::anomaly) struct Stream {
    pub(in crate::anomaly) label: String,
    levels: Vec<Leveled>,
    errors: ErrorRate,
    errors_watch: Watch,
    /// Of [`REFUSALS`], of a principal.
    refusals: Option<[(ErrorRate, Watch); 2]>,
    templates: Option<(NewTemplates, Watch)>,
    extraction: Option<(Extraction, Watch)>,
    pub(in crate::anomaly) bulk: Option<(Bulk, Watch)>,
    /// Rows of the running hour, for extraction.
    hour: (i64, u64, u32),
    /// UTC seconds.
    pub(in crate::anomaly) last: i64,
    #[serde(skip)]
    pub(in crate::anomaly) sums: Sums,
}

/// Something that began or ended.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::anomaly) struct Event {
    /// Which of the subject's detectors: one incident each at a time.
    pub(in crate::anomaly) detector: &'static str,
    pub(in crate::anomaly) change: Change,
    /// With a beginning.
    pub(in crate::anomaly) finding: Option<Finding>,
    pub(in crate::anomaly) peak: f64,
}

impl Stream {
    pub(in crate::anomaly) fn new(subject: &Subject, label: String) -> Self {
        let metrics: &[Metric] = match subject {
            Subject::Principal(_) => &[Metric::Statements],
            Subject::Template(_) => &[Metric::Latency, Metric::Rows],
            Subject::Source(_) => &[Metric::Latency],
            Subject::Object(_) => &[Metric::Statements],
            Subject::Changes(..) | Subject::Deletes(..) => &[],
        };
        let principal = matches!(subject, Subject::Principal(_));
        let bulk = subject.login().is_some();
        let watch = Watch::new(Rule::GATEWAY);
        Self {
            label,
            levels: metrics.iter().map(|metric| Leveled::new(*metric)).collect(),
            errors: ErrorRate::new(),
            errors_watch: watch.clone(),
            refusals: principal.then(|| [(ErrorRate::new(), watch.clone()), (ErrorRate::new(), watch.clone())]),
            templates: principal.then(|| (NewTemplates::new(), watch)),
            extraction: principal.then(|| (Extraction::new(), Watch::new(Rule::EXTRACTION))),
            bulk: bulk.then(|| (Bulk::new(), Watch::new(Rule::EXTRACTION))),
            hour: (0, 0, 0),
            last: 0,
            sums: Sums::default(),
        }
    }

    /// Whether what was read back holds together.
    pub(in crate::anomaly) fn is_sound(&self) -> bool {
        self.levels.iter().all(|one| one.level.check().is_ok())
            && self.errors.check().is_ok()
            && self.refusals.iter().flatten().all(|(one, _)| one.check().is_ok())
            && self.templates.as_ref().is_none_or(|(one, _)| one.check().is_ok())
            && self.extraction.as_ref().is_none_or(|(one, _)| one.check().is_ok())
            && self.bulk.as_ref().is_none_or(|(one, _)| one.check().is_ok())
    }

    /// What follows each detector's scores, by the detector's name.
    fn watches(&mut self) -> impl Iterator<Item = (&'static str, &mut Watch)> {
        let levels = self
            .levels
            .iter_mut()
            .flat_map(|one| [(jump_of(one.metric), &mut one.jump), (drift_of(one.metric), &mut one.drift)]);
        let templates = self.templates.iter_mut().map(|(_, watch)| (NEW_TEMPLATES, watch));
        let extraction = self.extraction.iter_mut().map(|(_, watch)| (EXTRACTION, watch));
        let bulk = self.bulk.iter_mut().map(|(_, watch)| (BULK, watch));
        let refusals = self.refusals.iter_mut().flatten().zip(REFUSALS);
        let refusals = refusals.map(|((_, watch), (refusal, _))| (refused(refusal), watch));
        let errors = [(ERRORS, &mut self.errors_watch)];
        levels.chain(errors).chain(refusals).chain(templates).chain(extraction).chain(bulk)
    }

    /// Detectors whose incident is under way.
    pub(in crate::anomaly) fn open(&mut self) -> Vec<&'static str> {
        self.watches().filter(|(_, watch)| watch.open().is_some()).map(|(detector, _)| detector).collect()
    }

    /// An incident of this detector that nobody knows any more: what still goes on is to be told anew.
    pub(in crate::anomaly) fn begin_anew(&mut self, detector: &str) {
        self.watches().filter(|(name, _)| *name == detector).for_each(|(_, watch)| watch.begin_anew());
    }

    /// How slow it is now, against the usual: for the causes of others.
    pub(in crate::anomaly) fn latency_factor(&self) -> f64 {
        let latency = self.levels.iter().find(|one| one.metric == Metric::Latency);
        latency.map_or(1.0, |one| one.factor)
    }

    /// The same for rows a statement.
    pub(in crate::anomaly) fn rows_factor(&self) -> f64 {
        self.levels.iter().find(|one| one.metric == Metric::Rows).map_or(1.0, |one| one.factor)
    }

    /// A statement of a principal, at once: data that leaves does not wait for the end of an interval.
    pub(in crate::anomaly) fn read(&mut self, time: i64, rows: u64, peers: f64, object: Option<&str>) -> Option<Event> {
        let (bulk, watch) = self.bulk.as_mut()?;
        let reading = bulk.observe(time, rows, peers);
        let change = watch.observe(time, reading.score)?;
        Some(event(BULK, change, taken(&self.label, &reading, object), reading.score))
    }

    /// The same of what has not ended: judged as if it did, and learnt when it does.
    pub(in crate::anomaly) fn foresee(
        &mut self,
        time: i64,
        rows: u64,
        peers: f64,
        object: Option<&str>,
    ) -> Option<Event> {
        let (bulk, watch) = self.bulk.as_mut()?;
        let reading = bulk.clone().observe(time, rows, peers);
        // That it is ordinary so far says nothing.
        let change = (reading.score >= 1.0).then(|| watch.observe(time, reading.score))??;
        Some(event(BULK, change, taken(&self.label, &reading, object), reading.score))
    }

    /// Further statements of a principal like one that was read: each was ordinary, and may end an incident, unless they are too
    /// much together.
    pub(in crate::anomaly) fn learn(
        &mut self,
        time: i64,
        more: &RunSums,
        peers: f64,
        object: Option<&str>,
    ) -> Option<Event> {
        let (bulk, watch) = self.bulk.as_mut()?;
        let reading = bulk.learn(time, (more.runs, more.read, more.read_most), peers);
        if reading.score >= 1.0 {
            let change = watch.observe(time, reading.score)?;
            return Some(event(BULK, change, taken(&self.label, &reading, object), reading.score));
        }
        let enough = u64::from(Rule::EXTRACTION.quiet + Rule::EXTRACTION.cool_down);
        let change = (0..more.runs.min(enough)).find_map(|_| watch.observe(time, 0.0))?;
        Some(Event { detector: BULK, change, finding: None, peak: 0.0 })
    }

    /// A change of rows, or several of a few rows each, at once. `most`: the rows of the largest.
    pub(in crate::anomaly) fn change(
        &mut self,
        time: i64,
        (statements, rows, most): (u64, u64, u64),
        object: &str,
        deletes: bool,
    ) -> Option<Event> {
        let weight = if deletes { DELETED_WEIGHT } else { CHANGED_WEIGHT };
        let (bulk, watch) = self.bulk.as_mut()?;
        let (rows, most) = (rows.saturating_mul(weight), most.saturating_mul(weight));
        // That others change as much is no excuse.
        let reading = match statements {
            1 => bulk.observe(time, rows, 0.0),
            _ => bulk.learn(time, (statements, rows, most), 0.0),
        };
        let change = watch.observe(time, reading.score)?;
        let weight = count(weight);
        let finding = Finding::Changes {
            who: self.label.clone(),
            object: object.to_owned(),
            deletes,
            rows: reading.rows / weight,
            seconds: reading.seconds,
            usual_an_hour: reading.usual_an_hour / weight,
        };
        Some(event(BULK, change, finding, reading.score))
    }

    /// Ends the running interval at `time`. `everywhere`: how many times the usual number of new templates all principals bring.
    pub(in crate::anomaly) fn close(&mut self, time: i64, everywhere: f64, peers: &mut Peers) -> Vec<Event> {
        let sums = std::mem::take(&mut self.sums);
        let mut events = Vec::new();
        for one in &mut self.levels {
            let value = match one.metric {
                Metric::Latency => sums.median(),
                Metric::Rows => per_statement(sums.rows, sums.statements),
                Metric::Bytes => per_statement(sums.bytes / 1_000, sums.statements),
                Metric::Statements => (sums.statements > 0).then(|| count(sums.statements)),
            };
            let Some(reading) = value.and_then(|value| one.level.observe(time, value)) else { continue };
            one.factor = reading.factor;
            let (subject, metric) = (self.label.clone(), one.metric);
            if let Some(change) = one.jump.observe(time, reading.jump) {
                let now = (reading.usual + 1.0) * reading.factor - 1.0;
                let finding = Finding::Jump { subject: subject.clone(), metric, now, usual: reading.usual };
                events.push(event(jump_of(metric), change, finding, reading.jump));
            }
            if let Some(change) = one.drift.observe(time, reading.drift) {
                let finding = Finding::Drift { subject, metric, factor: reading.factor };
                events.push(event(drift_of(metric), change, finding, reading.drift));
            }
        }
        if sums.statements > 0 {
            let reading = self.errors.observe(sums.failed, sums.statements);
            if let Some(change) = self.errors_watch.observe(time, reading.score) {
                let finding = Finding::Errors { subject: self.label.clone(), now: reading.now, usual: reading.usual };
                events.push(event(ERRORS, change, finding, reading.score));
            }
        }
        if sums.statements > 0 {
            for (((rate, watch), (refusal, _)), failed) in
                self.refusals.iter_mut().flatten().zip(REFUSALS).zip(sums.refused)
            {
                let reading = rate.observe(failed, sums.statements);
                let Some(change) = watch.observe(time, reading.score) else { continue };
                let who = self.label.clone();
                let finding = Finding::Refusals { who, refusal, now: reading.now, usual: reading.usual };
                events.push(event(refused(refusal), change, finding, reading.score));
            }
        }
        if let Some((templates, watch)) = &mut self.templates {
            let reading = templates.observe(time, sums.new_templates, everywhere);
            if let Some(change) = watch.observe(time, reading.score) {
                let finding = Finding::NewTemplates { who: self.label.clone(), now: reading.now, usual: reading.usual };
                events.push(event(NEW_TEMPLATES, change, finding, reading.score));
            }
        }
        if let Some((_, watch)) = &mut self.bulk
            && watch.open().is_some_and(|open| time - open.end > 1_800)
            && let Some(change) = quiet(watch, time)
        {
            events.push(Event { detector: BULK, change, finding: None, peak: 0.0 });
        }
        events.extend(self.hour(time, &sums, peers));
        events
    }

    /// Extraction is judged by the hour, with or without traffic.
    fn hour(&mut self, time: i64, sums: &Sums, peers: &mut Peers) -> Option<Event> {
        let (extraction, watch) = self.extraction.as_mut()?;
        let now = time.div_euclid(3_600);
        let (hour, rows, first_seen) = self.hour;
        if now == hour {
            self.hour = (hour, rows.saturating_add(sums.rows), first_seen.saturating_add(sums.first_seen));
            return None;
        }
        self.hour = (now, sums.rows, sums.first_seen);
        if hour == 0 {
            return None;
        }
        let end = (hour + 1).saturating_mul(3_600);
        let reads = Reads { time: end, rows: count(rows), share_of_day: 0.0, share_of_week: 0.0, first_seen };
        let reading = extraction.observe(&reads, peers);
        let change = watch.observe(end, reading.day.max(reading.week))?;
        let who = self.label.clone();
        let finding = if reading.day >= reading.week {
            let usual_an_hour = reading.usual / 24.0;
            Finding::Extraction {
                who,
                object: None,
                rows: reading.rows,
                seconds: DAY_SECONDS,
                usual_an_hour,
                share: None,
            }
        } else {
            Finding::Drip { who, days: 7, rows: reading.rows, usual: reading.usual }
        };
        Some(event(EXTRACTION, change, finding, reading.day.max(reading.week)))
    }
}

/// Ends an incident of a series that is only observed when something happens.
fn quiet(watch: &mut Watch, time: i64) -> Option<Change> {
    (0..Rule::EXTRACTION.quiet).find_map(|_| watch.observe(time, 0.0))
}

fn taken(who: &str, reading: &BulkReading, object: Option<&str>) -> Finding {
    Finding::Extraction {
        who: who.to_owned(),
        object: object.map(str::to_owned),
        rows: reading.rows,
        seconds: reading.seconds,
        usual_an_hour: reading.usual_an_hour,
        share: None,
    }
}

fn event(detector: &'static str, change: Change, finding: Finding, peak: f64) -> Event {
    let finding = matches!(change, Change::Opened { .. }).then_some(finding);
    Event { detector, change, finding, peak }
}

pub(in crate::anomaly) const fn jump_of(metric: Metric) -> &'static str {
    match metric {
        Metric::Latency => "latency",
        Metric::Rows => "rows",
        Metric::Bytes => "bytes",
        Metric::Statements => "statements",
    }
}

pub(in crate::anomaly) const fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::TakenKey => "taken keys",
        Refusal::MissingRight => "missing rights",
    }
}

pub(in crate::anomaly) const fn drift_of(metric: Metric) -> &'static str {
    match metric {
        Metric::Latency => "latency drift",
        Metric::Rows => "rows drift",
        Metric::Bytes => "bytes drift",
        Metric::Statements => "statements drift",
    }
}

fn per_statement(sum: u64, statements: u64) -> Option<f64> {
    (statements > 0).then(|| count(sum) / count(statements))
}

#[allow(clippy::cast_precision_loss, reason = "counts of an interval are far below 2^53")]
pub(in crate::anomaly) fn count(value: u64) -> f64 {
    value as f64
}
