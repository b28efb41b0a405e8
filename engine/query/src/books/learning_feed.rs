//! What learning gets of a finished statement: its record, or one more run among many. Keeps nothing of it.

use crate::books::observe::{LeafReads, QueryRecord};
use crate::books::untimed_statements::UntimedStatements;
use crate::sql::parse::Parsed;
use querygate_catalog::FragmentRuns;
use querygate_driver_api::write::{ChangeOp, RowsWritten};
use querygate_telemetry_api::advice::Choice;
use querygate_telemetry_api::fragment::{FragmentRecord, FragmentTemplate};
use querygate_telemetry_api::trace::{StatementTrace, TraceContext};
use querygate_telemetry_api::{
    Added, ChangedRows, EndedRun, FirstRow, RanFragments, RepeatedRun, RunAccumulator, StatementRecord, TableWrites,
    Telemetry,
};
use querygate_types::ErrorCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What a session tells of its statements with.
#[derive(Debug, Default)]
pub(crate) struct LearningFeed {
    /// What it runs again and again.
    accumulator: Arc<RunAccumulator>,
    /// What its last statement was measured with, for the next one: a statement of a microsecond should ask for no memory.
    rests: Mutex<Option<Box<Measures>>>,
    /// The client's span, where somebody traces.
    trace: Option<Mutex<Option<TraceContext>>>,
}

/// What is measured of one statement for learning alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measures {
    application: Arc<str>,
    pub(crate) first_row: FirstRow,
    pub(crate) bytes: u64,
    /// Whether its reader came to the end of its rows.
    pub(crate) is_read: bool,
    pub(crate) choice: Option<Choice>,
    runs: Arc<FragmentRuns>,
    /// Whether one fragment is all of the statement.
    is_whole: bool,
    untimed_statements: UntimedStatements,
    /// Its place among them, where its fragment is not timed.
    untimed: Option<usize>,
    writes: Vec<TableWrites>,
    /// `None`: tracing is off.
    trace: Option<Box<StatementTrace>>,
}

/// The measures of a statement that runs, and where they go back to.
#[derive(Debug, Clone)]
pub(crate) struct MeasuredStatement {
    learning_feed: Arc<LearningFeed>,
    pub(crate) measures: Box<Measures>,
}

impl LearningFeed {
    /// `traces`: whether somebody wants to know what traces need.
    pub(crate) fn new(traces: bool) -> Self {
        Self { trace: traces.then(Mutex::default), ..Self::default() }
    }

    /// Whether somebody traces.
    pub(crate) fn traces(&self) -> bool {
        self.trace.is_some()
    }

    /// Statements from now on belong to this span.
    pub(crate) fn follow_trace(&self, parent: Option<TraceContext>) {
        if let Some(trace) = &self.trace {
            *trace.lock().unwrap_or_else(PoisonError::into_inner) = parent;
        }
    }

    fn begun_trace(&self) -> Option<Box<StatementTrace>> {
        let parent = *self.trace.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Box::new(StatementTrace { parent, ..StatementTrace::default() }))
    }

    fn rests(&self) -> MutexGuard<'_, Option<Box<Measures>>> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with a statement.
    pub(crate) fn begin(self: &Arc<Self>, application: &Arc<str>) -> MeasuredStatement {
        let rested = self.rests().take();
        let mut measures = rested.unwrap_or_default();
        if !Arc::ptr_eq(&measures.application, application) {
            measures.application = Arc::clone(application);
            // What comes of another application is not added to the sums of this one.
            measures.untimed_statements.clear();
        }
        (measures.first_row, measures.bytes, measures.choice) = (FirstRow::Missing, 0, None);
        (measures.is_read, measures.is_whole, measures.untimed) = (false, false, None);
        measures.writes.clear();
        measures.trace = self.begun_trace();
        MeasuredStatement { learning_feed: Arc::clone(self), measures }
    }
}

impl MeasuredStatement {
    /// Takes in what is run. `objects`: those that it reads. `began`: by both clocks.
    pub(crate) fn begin_run(&mut self, parsed: &Parsed, objects: &Arc<[String]>, began: (SystemTime, Instant)) {
        let measures = &mut *self.measures;
        measures.untimed = match &mut measures.trace {
            // Its spans say how long each fragment took.
            Some(trace) => {
                parsed.add_to(trace);
                None
            }
            None => measures.untimed_statements.begin(parsed.template().fingerprint, objects),
        };
        if measures.is_timed() {
            measures.begin_fragments(began);
        }
    }
}

/// Tells of a statement. Gives back what its leaves over files read.
pub(crate) fn tell(telemetry: &dyn Telemetry, record: &QueryRecord, told: MeasuredStatement) -> Vec<LeafReads> {
    let MeasuredStatement { learning_feed, mut measures } = told;
    let pressed = telemetry.is_pressed();
    let accumulator = &learning_feed.accumulator;
    let added = pressed && (measures.repeat(record, accumulator) || measures.add_up(telemetry, record, accumulator));
    // What reads files is not added up.
    let reads = if added { Vec::new() } else { measures.tell(telemetry, record) };
    if !pressed {
        measures.untimed_statements.clear();
    }
    *learning_feed.rests() = Some(measures);
    reads
}

impl Measures {
    /// Takes in what was written to tables of a source.
    pub(crate) fn wrote(&mut self, source: &str, written: &[RowsWritten]) {
        let writes = written.iter().map(|one| {
            let rows = |op| if one.op == op { one.rows } else { 0 };
            let (inserted, deleted, updated) = (rows(ChangeOp::Insert), rows(ChangeOp::Delete), rows(ChangeOp::Update));
            let columns = one.columns.iter().filter(|_| updated > 0);
            TableWrites {
                source: source.to_owned(),
                path: one.table.parts().iter().map(|part| part.as_str().to_owned()).collect(),
                inserted,
                deleted,
                updated,
                columns: columns.map(|column| (column.as_str().to_owned(), updated)).collect(),
            }
        });
        TableWrites::join(&mut self.writes, &writes.collect::<Vec<_>>());
    }

    /// Whether its fragments are timed.
    pub(crate) fn is_timed(&self) -> bool {
        self.untimed.is_none()
    }

    /// Begins to measure fragments, of which nothing has run yet.
    fn begin_fragments(&mut self, began: (SystemTime, Instant)) {
        // Whatever still runs of the last statement keeps its own.
        if Arc::get_mut(&mut self.runs).is_none() {
            self.runs = Arc::default();
        }
        if let Some(runs) = Arc::get_mut(&mut self.runs) {
            runs.begin(began);
        }
    }

    /// Where fragments of a plan are measured, in each run.
    pub(crate) fn fragments(&mut self, began: (SystemTime, Instant)) -> &Arc<FragmentRuns> {
        self.is_whole = false;
        if self.untimed.take().is_some() {
            self.begin_fragments(began);
        }
        &self.runs
    }

    /// Where the fragment is measured that is all of the statement; `None`: in this run it is not.
    pub(crate) fn whole_fragment(&mut self) -> Option<&Arc<FragmentRuns>> {
        self.is_whole = true;
        self.is_timed().then_some(&self.runs)
    }

    /// Whether the statement was added to the sums that are made of it. For most of what comes by the thousand this is all that is done.
    fn repeat(&self, record: &QueryRecord, accumulator: &RunAccumulator) -> bool {
        let Some(place) = self.untimed else { return false };
        let special = record.error.is_some() || self.choice.is_some() || !self.is_read;
        if special || record.changed > 0 || !self.writes.is_empty() {
            return false;
        }
        let QueryRecord { started, planning, total, rows, cached, .. } = *record;
        let run = RepeatedRun { started, planning, total, rows, bytes: self.bytes, cached };
        self.untimed_statements.fragment(place).is_some_and(|known| accumulator.repeat(known.number, &run))
    }

    /// Whether the statement was added up with others.
    fn add_up(&mut self, telemetry: &dyn Telemetry, record: &QueryRecord, accumulator: &Arc<RunAccumulator>) -> bool {
        let Self {
            application,
            first_row,
            bytes,
            is_read,
            choice,
            runs,
            is_whole: _,
            untimed_statements,
            untimed,
            writes,
            trace,
        } = self;
        // A client that asks for its span gets one for each of its statements.
        let followed = trace.as_ref().is_some_and(|trace| trace.parent.is_some_and(|parent| parent.sampled));
        let known = untimed.and_then(|place| untimed_statements.fragment(place));
        let fragments = match known {
            Some(known) => RanFragments::Untimed(&known.template),
            None => match runs.single() {
                Some(fragments) => RanFragments::Measured(fragments),
                None => return false,
            },
        };
        let left = known.is_some() && !*is_read;
        let run = EndedRun {
            fingerprint: record.template.fingerprint,
            application,
            objects: &record.objects,
            started: record.started,
            planning: record.planning,
            total: record.total,
            rows: record.rows,
            changed: record.changed,
            writes,
            bytes: *bytes,
            cached: record.cached,
            special: record.error.is_some() || choice.is_some() || followed || left,
            fragments,
        };
        // Nothing was chosen for what is added up.
        let rest: Rest<'_> = (&*application, first_row.of(record.total), *bytes, None);
        let whole = || {
            let fragments = match fragments {
                RanFragments::Measured(fragments) => fragments.to_vec(),
                RanFragments::Untimed(template) => {
                    let estimated_rows = known.and_then(|known| known.estimated_rows);
                    vec![untimed_fragment(template, estimated_rows, record, &rest)]
                }
            };
            let whole = statement(record, rest, fragments);
            StatementRecord { trace: trace.clone(), writes: writes.clone(), ..whole }
        };
        let added = accumulator.add(&run, |runs| telemetry.collect(runs), whole);
        self.note(added, record);
        added != Added::Singly
    }

    /// Decides on the next runs of the statement: where it is added up, they need not be timed.
    fn note(&mut self, added: Added, record: &QueryRecord) {
        match (added, self.untimed) {
            (Added::Singly | Added::BeforeSingle, None) => {}
            (Added::Singly | Added::BeforeSingle, Some(place)) => self.untimed_statements.time_next(place),
            (Added::Summed(number), Some(place)) => self.untimed_statements.add_to(place, number),
            (Added::Summed(number), None) => {
                let counted = (record.rows, self.bytes);
                if self.is_whole
                    && self.trace.is_none()
                    && let Some([fragment]) = self.runs.single()
                    && (fragment.rows, fragment.bytes) == counted
                {
                    self.untimed_statements.keep((record.template.fingerprint, number), &record.objects, fragment);
                }
            }
        }
    }

    fn tell(&self, telemetry: &dyn Telemetry, record: &QueryRecord) -> Vec<LeafReads> {
        let rest = self.told(record.total);
        let fragments = match self.untimed.and_then(|place| self.untimed_statements.fragment(place)) {
            // Its source was asked, unless the run ended before.
            Some(known) if record.cached => {
                vec![untimed_fragment(&known.template, known.estimated_rows, record, &rest)]
            }
            Some(_) => Vec::new(),
            None => {
                let (fragment, others) = self.runs.take();
                fragment.into_iter().chain(others).collect()
            }
        };
        let told = statement(record, rest, fragments);
        let statement = StatementRecord { trace: self.trace.clone(), writes: self.writes.clone(), ..told };
        let reads = reads(&statement);
        telemetry.record(statement);
        reads
    }

    fn told(&self, total: Duration) -> Rest<'_> {
        (&self.application, self.first_row.of(total), self.bytes, self.choice.clone())
    }
}

/// Tells what a statement that goes on has done so far.
pub(crate) fn tell_so_far(telemetry: &dyn Telemetry, record: &QueryRecord, told: &MeasuredStatement, total: Duration) {
    let so_far = statement(record, told.measures.told(total), Vec::new());
    telemetry.record(StatementRecord { under_way: true, total, ..so_far });
}

fn reads(statement: &StatementRecord) -> Vec<LeafReads> {
    let of_files = statement.fragments.iter().filter_map(|fragment| {
        let (source, table) = (Arc::clone(&fragment.template.source), fragment.template.objects.first()?.clone());
        Some(LeafReads { source, table, rows: fragment.rows, files: fragment.reads?, total: fragment.total })
    });
    of_files.collect()
}

/// A run that was not timed of a fragment that is all of its statement. What the statement took behind its planning is no time of the
/// source, which may have been waited for: it is not complete, so that nothing learns of it.
fn untimed_fragment(
    template: &Arc<FragmentTemplate>,
    estimated_rows: Option<u64>,
    record: &QueryRecord,
    (_, first_row, bytes, _): &Rest<'_>,
) -> FragmentRecord {
    FragmentRecord {
        template: Arc::clone(template),
        began: record.started.checked_add(record.planning).unwrap_or(record.started),
        estimated_rows,
        rows: record.rows,
        bytes: *bytes,
        acquire: Duration::ZERO,
        first_row: first_row.map(|time| time.saturating_sub(record.planning)),
        total: record.total.saturating_sub(record.planning),
        complete: false,
        narrowed: false,
        // It counts none: what passes a whole table is never added up.
        nulls: Vec::new(),
        columns: Box::default(),
        reads: None,
        error: record.error.filter(|code| is_of_source(*code)),
    }
}

/// Whether a statement that one source runs failed by the source's fault.
fn is_of_source(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::SourceUnavailable | ErrorCode::SourceLost | ErrorCode::SourceSchemaChanged | ErrorCode::SourceError
    )
}

/// Application, time of the first row, bytes and choice.
type Rest<'a> = (&'a Arc<str>, Option<Duration>, u64, Option<Choice>);

fn statement(
    record: &QueryRecord,
    (application, first_row, bytes, choice): Rest<'_>,
    fragments: Vec<FragmentRecord>,
) -> StatementRecord {
    StatementRecord {
        id: record.id,
        started: record.started,
        login: Arc::clone(&record.login),
        door: record.door,
        application: Arc::clone(application),
        template: Arc::clone(&record.template.text),
        fingerprint: record.template.fingerprint,
        objects: Arc::clone(&record.objects),
        planning: record.planning,
        first_row,
        total: record.total,
        rows: record.rows,
        changed: ChangedRows { rows: record.changed, deletes: record.deletes },
        writes: Vec::new(),
        bytes,
        error: record.error,
        cached: record.cached,
        choice,
        fragments,
        more: None,
        under_way: false,
        trace: None,
    }
}

#[cfg(test)]
mod tests;
