//! Tests of runs: records, turns, cancels.

use super::*;
use crate::books::observe::Observer;
use crate::run::admission::Admission;
use crate::run::admission::TurnBounds;
use crate::run::memory::Accounts;
use crate::sql::parse::parse;
use querygate_resources::{ShareBounds, SourceShares};

struct Fixture {
    runs: Arc<SessionRuns>,
    activity: Arc<Activity>,
    statement: Arc<Parsed>,
}

/// A session of one user who may run one statement at a time, of at most two rows.
fn fixture() -> Fixture {
    let patience = Duration::from_millis(20);
    let resources = Arc::new(Resources {
        admission: Admission::new(TurnBounds { running: 1, running_per_user: 1, waiting: 1, patience }),
        observer: Arc::new(Observer::new(None, None).unwrap()),
        runtime: tokio::runtime::Handle::current(),
        source_shares: SourceShares::new(ShareBounds::default()),
        rows_max: Some(2),
        memory_per_query: 1 << 20,
    });
    let activity = Arc::<Activity>::default();
    let runner = SessionIdentity { login: "ada".into(), session: 7, door: Door::Shell };
    let account = Accounts::new(1 << 30, 1 << 30).user("ada");
    let statement = parse("SELECT 1").unwrap().remove(0);
    Fixture { runs: SessionRuns::new(resources, runner, Arc::clone(&activity), account), activity, statement }
}

impl Fixture {
    fn begin(&self) -> Run {
        Run::begin(&self.runs, &self.statement, Arc::default(), StartTime::now(), None)
    }

    /// Rows and outcomes of what is recorded.
    fn recorded(&self) -> Vec<(u64, Option<ErrorCode>)> {
        let queries = self.runs.resources.observer.queries();
        queries.iter().map(|query| (query.rows, query.error)).collect()
    }
}

fn rows(rows: u64) -> WireRows {
    WireRows { rows, ..WireRows::default() }
}

#[tokio::test]
async fn nothing_begins_in_a_session_that_an_operator_ended() {
    let f = fixture();
    let (mut before, interrupt) = (f.begin(), f.runs.interrupt(None));
    before.admit().await.unwrap();
    f.runs.end();
    assert!(interrupt.token().is_cancelled());
    drop(before);
    assert_eq!(f.begin().admit().await.unwrap_err().code(), ErrorCode::AdminShutdown);
}

#[tokio::test]
async fn a_session_is_active_while_a_run_of_any_kind_goes_on() {
    let f = fixture();
    assert_eq!((f.activity.state(), f.activity.statements()), ("idle", 0));
    let (mut look_up, constants) = (f.begin(), Run::unrecorded(&f.runs, &f.statement, Instant::now()));
    assert_eq!(f.activity.state(), "active");
    drop(constants);
    assert_eq!((f.activity.state(), f.activity.statements()), ("active", 1));
    look_up.deliver(rows(1)).unwrap();
    assert_eq!((f.activity.state(), f.activity.statements()), ("idle", 1));
}

#[tokio::test]
async fn a_session_is_idle_once_all_rows_are_read_though_they_are_kept_open() {
    let f = fixture();
    let mut rows = f.begin().rows(Box::pin(futures::stream::empty()));
    assert_eq!(f.activity.state(), "active");
    assert!(futures::StreamExt::next(&mut rows).await.is_none());
    assert_eq!((f.activity.state(), f.activity.statements()), ("idle", 1));
    drop(rows);
    assert_eq!((f.activity.state(), f.activity.statements()), ("idle", 1));
}

#[tokio::test]
async fn a_run_is_recorded_once_however_it_ends() {
    let f = fixture();
    f.begin().deliver(rows(2)).unwrap();
    let error = f.begin().deliver(rows(3)).unwrap_err();
    assert_eq!(error.detail(), Some("The limit is 2 rows."));
    let _ = f.begin().fail(Error::new(ErrorCode::UndefinedTable, "x"));
    f.begin().end(Ok(())).unwrap();
    f.begin().withdraw();
    drop(f.begin());
    drop(f.begin().rows(Box::pin(futures::stream::empty())));
    let (many, table) = (Some(ErrorCode::ProgramLimitExceeded), Some(ErrorCode::UndefinedTable));
    assert_eq!(f.recorded(), [(2, None), (3, many), (0, table), (0, None), (0, None)]);
    assert_eq!((f.activity.state(), f.activity.statements()), ("idle", 5));
}

#[tokio::test]
async fn rows_that_are_left_after_a_cancel_are_of_a_cancelled_run() {
    let f = fixture();
    for cancels in [false, true] {
        let run = f.begin();
        let _interrupt = run.interrupt(None);
        let rows = run.rows(Box::pin(futures::stream::pending()));
        if cancels {
            f.runs.cancel_last();
        }
        drop(rows);
    }
    assert_eq!(f.recorded(), [(0, None), (0, Some(ErrorCode::QueryCanceled))]);
}

#[tokio::test]
async fn the_turn_comes_back_with_the_end_of_the_run() {
    let f = fixture();
    let mut first = f.begin();
    first.admit().await.unwrap();
    first.admit().await.unwrap();
    let mut second = f.begin();
    assert_eq!(second.admit().await.unwrap_err().code(), ErrorCode::TooManyQueries);
    first.end(Ok(())).unwrap();
    second.admit().await.unwrap();
}

#[tokio::test]
async fn a_cancel_ends_the_run_that_began_last_and_none_after_it() {
    let f = fixture();
    f.runs.cancel_last();
    let look_up = f.runs.look_up_interrupt(None);
    assert!(!look_up.is_cancelled(), "a cancel of nothing does not count");
    let again = f.runs.look_up_interrupt(None);
    f.runs.cancel_last();
    assert!(look_up.is_cancelled() && again.is_cancelled(), "look-ups end together");
    let long = f.begin().interrupt(None);
    let next = f.runs.look_up_interrupt(None);
    assert!(!long.token().is_cancelled() && !next.is_cancelled());
    f.runs.cancel_last();
    assert!(!long.token().is_cancelled() && next.is_cancelled(), "a look-up began last");
    let last = f.begin().interrupt(None);
    let others = f.runs.look_up_interrupt(None);
    let newest = f.begin().interrupt(None);
    f.runs.cancel_last();
    assert!(
        !last.token().is_cancelled() && !others.is_cancelled() && newest.token().is_cancelled(),
        "what began last ends"
    );
}
