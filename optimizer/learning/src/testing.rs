//! Records of statements that never ran, for tests.

use querygate_query_api::service::Door;
use querygate_telemetry_api::fragment::{FragmentRecord, FragmentShape, FragmentTemplate, TableShape};
use querygate_telemetry_api::{Added, ChangedRows, EndedRun, RunAccumulator, StatementRecord, Telemetry};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Some day, UTC seconds.
pub(crate) const DAY: i64 = 1_780_000_000;

pub(crate) fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

/// A statement of a template (by number) that took 2 ms, over table `t` of source `crm`.
pub(crate) fn statement(login: &str, template: u64, rows: u64, seconds: i64) -> StatementRecord {
    StatementRecord {
        id: seconds.unsigned_abs() * 1_000 + template,
        started: at(seconds),
        login: login.into(),
        door: Door::Postgres,
        application: "test".into(),
        template: format!("select {template} from t where a = ?").into(),
        fingerprint: template,
        objects: Arc::new(["t".to_owned()]),
        planning: Duration::from_micros(300),
        first_row: Some(Duration::from_millis(1)),
        total: Duration::from_millis(2),
        rows,
        changed: ChangedRows::default(),
        writes: Vec::new(),
        bytes: rows * 20,
        error: None,
        cached: false,
        choice: None,
        fragments: vec![fragment(template, rows)],
        more: None,
        under_way: false,
        trace: None,
    }
}

fn fragment(template: u64, rows: u64) -> FragmentRecord {
    let table = TableShape { path: vec!["main".to_owned(), "t".to_owned()], ..TableShape::default() };
    FragmentRecord {
        template: Arc::new(FragmentTemplate {
            source: "crm".into(),
            kind: "sqlite",
            objects: Arc::new(["t".to_owned()]),
            text: format!("SELECT {template} FROM t WHERE a = ?1").into(),
            fingerprint: template + 1_000_000,
            passing: Vec::new(),
            shape: FragmentShape { tables: vec![table], ..FragmentShape::default() },
        }),
        began: UNIX_EPOCH,
        estimated_rows: Some(rows / 2),
        rows,
        bytes: rows * 20,
        acquire: Duration::from_micros(50),
        first_row: None,
        total: Duration::from_millis(1),
        complete: true,
        narrowed: false,
        nulls: Vec::new(),
        columns: Box::default(),
        reads: None,
        error: None,
    }
}

/// Tells of a run of a session, as a gate does.
pub(crate) fn tell(telemetry: &dyn Telemetry, session: &Arc<RunAccumulator>, record: &StatementRecord) {
    let add = || session.add(&EndedRun::of(record), |runs| telemetry.collect(runs), || record.clone());
    if !telemetry.is_pressed() || add() == Added::Singly {
        telemetry.record(record.clone());
    }
}

/// Takes what is told.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    is_pressed: bool,
    records: Mutex<Vec<StatementRecord>>,
}

impl Listener {
    /// One that has sessions add up what they can.
    pub(crate) fn pressed() -> Self {
        Self { is_pressed: true, ..Self::default() }
    }

    pub(crate) fn take(&self) -> Vec<StatementRecord> {
        std::mem::take(&mut *self.records.lock().unwrap())
    }
}

impl Telemetry for Listener {
    fn record(&self, record: StatementRecord) {
        self.records.lock().unwrap().push(record);
    }

    fn is_pressed(&self) -> bool {
        self.is_pressed
    }

    fn collect(&self, _runs: &Arc<RunAccumulator>) -> bool {
        true
    }
}

/// What one session tells of these runs: each by itself, or added up but for the first so many.
pub(crate) fn repeated(runs: &[StatementRecord], singly: Option<u32>) -> Vec<StatementRecord> {
    let session = Arc::new(RunAccumulator::default());
    let listener = Listener { is_pressed: singly.is_some(), ..Listener::default() };
    session.take(&mut Vec::new(), singly.unwrap_or(0));
    runs.iter().for_each(|run| tell(&listener, &session, run));
    let mut records = listener.take();
    session.take(&mut records, 0);
    records
}
