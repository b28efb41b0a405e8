//! The log as the engine uses it: order, crashes, torn files, bounds.

use super::*;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use futures::FutureExt;
use querygate_driver_api::execution::{BatchStream, ExecuteContext, NativeStatement, Room};
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{
    Applied, Capture, ChangeOp, ChangeSet, CommitError, NativeChange, RowsChanged, SourceTransaction,
};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn options(directory: &Path) -> EventOptions {
    EventOptions::in_directory(directory.to_path_buf())
}

fn open(options: EventOptions) -> Arc<Events> {
    Events::open(options, BTreeMap::new(), Handle::current()).unwrap()
}

/// Opened, with sources that say this of all transactions.
fn begun(options: EventOptions, fate: Option<Fate>) -> Arc<Events> {
    let events = open(options);
    events.begin(Arc::new(move |_, _| async move { Ok(fate) }.boxed()), &[]).unwrap();
    events
}

fn intention(source: &str, n: i64, width: usize, mark: Option<&str>) -> Intention {
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(width)]));
    let values: ArrayRef = Arc::new(Int64Array::from(vec![n]));
    let after = RecordBatch::try_from_iter([("id", ids), ("n", values)]).unwrap();
    let change = RowsChanged {
        object: "thing".into(),
        operation: ChangeOp::Insert,
        key: vec!["id".to_owned()].into(),
        before: None,
        after: Some(after),
    };
    Intention {
        source: source.into(),
        actor: "ada".into(),
        door: "pgwire".into(),
        mark: mark.map(TxMark::new),
        changes: vec![change],
    }
}

/// A transaction of a source that does nothing.
#[derive(Debug)]
struct Idle;

#[async_trait]
impl SourceTransaction for Idle {
    async fn query<'a>(
        &'a mut self,
        _: &Arc<NativeStatement>,
        _: &[Value],
        _: ExecuteContext,
    ) -> Result<querygate_driver_api::write::Rows<'a>> {
        Err(Error::internal("a read"))
    }

    async fn apply(&mut self, _: &NativeChange, _: &ChangeSet, _: &ExecuteContext) -> Result<Applied> {
        Err(Error::internal("a change"))
    }

    async fn load(&mut self, _: &NativeChange, _: BatchStream, _: &ExecuteContext) -> Result<u64> {
        Err(Error::internal("a load"))
    }

    async fn savepoint(&mut self, _: u32) -> Result<()> {
        Ok(())
    }

    async fn rollback_to(&mut self, _: u32) -> Result<()> {
        Ok(())
    }

    async fn release(&mut self, _: u32) -> Result<()> {
        Ok(())
    }

    fn keeps_savepoints(&self) -> bool {
        true
    }

    fn mark(&self) -> Option<TxMark> {
        None
    }

    async fn commit(self: Box<Self>) -> Result<(), CommitError> {
        Ok(())
    }

    async fn rollback(self: Box<Self>) {}
}

async fn intend(events: &Events, intention: Intention) -> Result<Box<dyn Intended>> {
    events.intend(intention, &mut Transaction::new(Box::new(Idle))).await
}

/// What is charged.
#[derive(Debug, Default)]
struct Held(AtomicUsize);

impl Room for Held {
    fn grow(&self, bytes: usize) -> Result<()> {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn shrink(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn what_a_savepoint_takes_back_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let events = begun(options(folder.path()), None);
    let mut transaction = Transaction::new(Box::new(Idle));
    let change = |n| intention("shop", n, 1, None).changes.remove(0);
    transaction.changed(change(1)).unwrap();
    assert!(transaction.take_changed().is_none(), "nobody follows");
    let journal = Arc::clone(&events) as Arc<dyn ChangeJournal>;
    let held = Arc::new(Held::default());
    let room = Arc::clone(&held) as Arc<dyn Room>;
    transaction.capture(Capture { journal, actor: "ada".into(), door: "pgwire".into(), bytes_max: 100_000, room });
    assert!(transaction.captures("thing"));
    transaction.changed(change(1)).unwrap();
    let one = held.0.load(Ordering::Relaxed);
    assert!(one > 0, "they are charged");
    transaction.savepoint(7).await.unwrap();
    transaction.changed(change(2)).unwrap();
    assert_eq!(held.0.load(Ordering::Relaxed), 2 * one);
    transaction.rollback_to(7).await.unwrap();
    assert_eq!(held.0.load(Ordering::Relaxed), one);
    transaction.changed(change(3)).unwrap();
    let (_, kept) = transaction.take_changed().unwrap();
    assert_eq!(kept.len(), 2);
    let error = (0..10_000).find_map(|n| transaction.changed(change(n)).err()).unwrap();
    assert_eq!(error.code(), ErrorCode::ProgramLimitExceeded);
}

async fn commit(events: &Events, n: i64) {
    intend(events, intention("shop", n, 1, None)).await.unwrap().settle(Some(Fate::Committed));
}

#[tokio::test]
async fn what_waits_for_more_of_its_kind_is_there_when_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let events = begun(options(folder.path()), None);
    let mut after = 0;
    for n in 0..50 {
        // Its source knows what became of it.
        let mark = Some("m");
        intend(&events, intention("shop", n, 1, mark)).await.unwrap().settle(Some(Fate::Committed));
        if n % 3 == 0 {
            let last = events.flush().await;
            assert!(last > after, "what was settled before is published");
            after = last;
        }
    }
    assert_eq!(read(&events, 0, 50).await.0, (0..50).collect::<Vec<_>>());
}

fn numbers(found: &[Arc<Committed>]) -> Vec<i64> {
    let number = |one: &Arc<Committed>| {
        let after = one.changes[0].after.as_ref().unwrap();
        after.column(1).as_any().downcast_ref::<Int64Array>().unwrap().value(0)
    };
    found.iter().map(number).collect()
}

/// This number of numbers that came after a sequence, and the sequences.
async fn read(events: &Events, after: u64, count: usize) -> (Vec<i64>, Vec<u64>) {
    let mut cursor = events.cursor(Some(after)).unwrap();
    let (mut found, mut sequences) = (Vec::new(), Vec::new());
    while found.len() < count {
        let some = tokio::time::timeout(Duration::from_secs(10), events.next(&mut cursor)).await.unwrap().unwrap();
        sequences.extend(some.iter().map(|one| one.sequence));
        found.extend(numbers(&some));
    }
    assert!(sequences.is_sorted());
    (found, sequences)
}

async fn nothing_comes(events: &Events, after: u64) -> bool {
    let mut cursor = events.cursor(Some(after)).unwrap();
    tokio::time::timeout(Duration::from_millis(200), events.next(&mut cursor)).await.is_err()
}

#[tokio::test]
async fn what_is_committed_is_told_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let events = begun(options(folder.path()), None);
    commit(&events, 1).await;
    intend(&events, intention("shop", 2, 1, None)).await.unwrap().settle(Some(Fate::RolledBack));
    commit(&events, 3).await;
    let (found, sequences) = read(&events, 0, 2).await;
    assert_eq!(found, [1, 3]);
    assert!(nothing_comes(&events, sequences[1]).await);
    // From the middle, and in another process.
    assert_eq!(read(&events, sequences[0], 1).await.0, [3]);
    drop(events);
    let events = begun(options(folder.path()), None);
    assert_eq!(read(&events, 0, 2).await, (vec![1, 3], sequences.clone()));
    commit(&events, 4).await;
    let (found, again) = read(&events, sequences[1], 1).await;
    assert!(found == [4] && again[0] > sequences[1]);
}

#[tokio::test]
async fn a_source_is_told_of_in_the_order_of_its_commits_and_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let events = begun(options(folder.path()), None);
    let first = intend(&events, intention("shop", 1, 1, None)).await.unwrap();
    let second = intend(&events, intention("shop", 2, 1, None)).await.unwrap();
    second.settle(Some(Fate::Committed));
    let other = intend(&events, intention("other", 7, 1, None)).await.unwrap();
    other.settle(Some(Fate::Committed));
    let (found, sequences) = read(&events, 0, 1).await;
    assert_eq!(found, [7]);
    assert!(nothing_comes(&events, sequences[0]).await);
    first.settle(Some(Fate::Committed));
    assert_eq!(read(&events, sequences[0], 2).await.0, [1, 2]);
}

#[tokio::test]
async fn what_was_on_its_way_at_a_crash_is_settled_by_its_source_or_uncertain() {
    for (fate, mark, expected) in [
        (Some(Fate::Committed), Some("m"), Some(false)),
        (Some(Fate::RolledBack), Some("m"), None),
        (None, None, Some(true)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        {
            let events = open(options(folder.path()));
            // As of a process that is killed: nothing is said of its end.
            std::mem::forget(intend(&events, intention("shop", 5, 1, mark)).await.unwrap());
            events.close();
            std::fs::copy(folder.path().join("0000000000000001.events"), folder.path().join("kept")).unwrap();
        }
        let again = tempfile::tempdir().unwrap();
        std::fs::rename(folder.path().join("kept"), again.path().join("0000000000000001.events")).unwrap();
        let events = begun(options(again.path()), fate);
        match expected {
            None => assert!(nothing_comes(&events, 0).await),
            Some(uncertain) => {
                let mut cursor = events.cursor(Some(0)).unwrap();
                let found = events.next(&mut cursor).await.unwrap();
                assert_eq!((numbers(&found), found[0].uncertain), (vec![5], uncertain));
            }
        }
        // Settled once and for all.
        drop(events);
        let events = begun(options(again.path()), Some(Fate::Committed));
        assert_eq!(nothing_comes(&events, 0).await, expected.is_none());
    }
}

#[tokio::test]
async fn a_torn_end_is_cut_off() {
    for torn in [&[][..], &[9], &[200, 0, 0, 0, 1, 2, 3, 4, 5, 6], &[0; 40]] {
        let folder = tempfile::tempdir().unwrap();
        let events = begun(options(folder.path()), None);
        commit(&events, 1).await;
        let (_, sequences) = read(&events, 0, 1).await;
        drop(events);
        let file = folder.path().join("0000000000000001.events");
        std::fs::File::options().append(true).open(&file).unwrap().write_all(torn).unwrap();
        let events = begun(options(folder.path()), None);
        commit(&events, 2).await;
        let (found, after) = read(&events, 0, 2).await;
        assert_eq!((found, after[0]), (vec![1, 2], sequences[0]), "{torn:?}");
    }
}

#[tokio::test]
async fn old_events_are_read_from_files_and_forgotten_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let small = EventOptions { size_max: 1 << 20, memory_max: 4 << 10, ..options(folder.path()) };
    let events = begun(small.clone(), None);
    for n in 0..40 {
        intend(&events, intention("shop", n, 8_000, None)).await.unwrap().settle(Some(Fate::Committed));
    }
    let (found, sequences) = read(&events, 0, 40).await;
    assert_eq!(found, (0..40).collect::<Vec<_>>());
    assert_eq!(read(&events, sequences[20], 19).await.0, (21..40).collect::<Vec<_>>());
    for n in 40..200 {
        intend(&events, intention("shop", n, 8_000, None)).await.unwrap().settle(Some(Fate::Committed));
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let error = loop {
        match events.cursor(Some(sequences[0])) {
            Err(error) => break error,
            Ok(_) => assert!(std::time::Instant::now() < deadline, "nothing is forgotten"),
        }
        commit(&events, 1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(
        (error.code(), error.message()),
        (ErrorCode::ObjectNotInPrerequisiteState, "the sequence is no longer kept")
    );
    // One file after the other is forgotten.
    let bytes = || -> u64 {
        let files = std::fs::read_dir(folder.path()).unwrap();
        files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
    };
    while bytes() > (1 << 20) + (128 << 10) {
        assert!(std::time::Instant::now() < deadline, "{}", bytes());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Another process forgets no less.
    drop(events);
    let events = begun(small, None);
    assert!(events.cursor(Some(sequences[0])).is_err() && events.cursor(Some(0)).is_err());
    assert!(events.cursor(None).is_ok());
}

#[tokio::test]
async fn sequences_that_were_never_given_out_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let events = begun(options(folder.path()), None);
    assert_eq!(events.cursor(Some(u64::MAX)).unwrap_err().code(), ErrorCode::InvalidParameterValue);
    assert!(events.cursor(Some(1)).is_ok() && nothing_comes(&events, 1).await);
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_committed_unless_it_need_not_be() {
    for required in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let events = begun(EventOptions { required, ..options(folder.path()) }, None);
        events.close();
        let intended = intend(&events, intention("shop", 1, 1, None)).await;
        match (required, intended) {
            (true, Err(error)) => assert_eq!(error.code(), ErrorCode::DiskFull),
            (false, Ok(intended)) => intended.settle(Some(Fate::Committed)),
            (_, other) => panic!("{required} {other:?}"),
        }
    }
}

#[tokio::test]
async fn two_processes_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _events = open(options(folder.path()));
    assert_eq!(
        Events::open(options(folder.path()), BTreeMap::new(), Handle::current()).unwrap_err().code(),
        ErrorCode::ConfigInvalid
    );
}
