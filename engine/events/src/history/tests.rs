//! The store by itself: what is kept of a change, once each, of which records, within its bounds.

use super::projection::keep_tracked;
use super::*;
use crate::options::EventOptions;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

fn batch(rows: &[(&str, &str, i64)]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
    let titles: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2)));
    RecordBatch::try_from_iter([("id", ids), ("title", titles), ("n", numbers)]).unwrap()
}

fn change(operation: ChangeOp, before: &[(&str, &str, i64)], after: &[(&str, &str, i64)]) -> RowsChanged {
    let side = |rows: &[(&str, &str, i64)]| (!rows.is_empty()).then(|| batch(rows));
    let key = vec!["id".to_owned()].into();
    RowsChanged { object: "thing".into(), operation, key, before: side(before), after: side(after) }
}

fn committed(sequence: u64, changes: Vec<RowsChanged>) -> Arc<Committed> {
    let (source, actor, door) = ("shop".into(), "ada".into(), "pgwire".into());
    let rows = crate::log::Rows { source, actor, door, changes };
    let id = crate::log::Id::new(sequence, [0; 8]);
    Arc::new(Committed::new(id, sequence, crate::log::Fated::Committed, rows))
}

fn options(folder: &std::path::Path) -> HistoryOptions {
    HistoryOptions::in_directory(folder.join("history"))
}

async fn opened(folder: &std::path::Path, options: HistoryOptions) -> Arc<History> {
    let events = EventOptions::in_directory(folder.join("events"));
    let events = Events::open(events, BTreeMap::new(), Handle::current()).unwrap();
    let history = History::open(options, events).await.unwrap();
    history.track(Tracked::from([("thing".to_owned(), BTreeSet::from(["title".to_owned()]))]));
    history
}

/// A page of which everything may be held.
async fn page(
    history: &History,
    object: &str,
    keys: Option<&[String]>,
    behind: Option<(&str, i64)>,
    count: usize,
) -> HistoryPage {
    history.page(object, keys, behind, count, &|_| Ok(())).await.unwrap()
}

fn titles(tracked: &[&str]) -> BTreeSet<String> {
    tracked.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_is_kept_is_the_key_and_what_is_tracked_and_other_than_before() {
    let columns = |change: &RowsChanged| {
        let schema = change.after.as_ref().or(change.before.as_ref()).unwrap().schema();
        schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    let update = change(ChangeOp::Update, &[("a", "x", 1), ("b", "y", 1)], &[("a", "x", 2), ("b", "z", 2)]);
    assert_eq!(columns(&keep_tracked(&update, &titles(&["title"])).unwrap()[0]), ["id", "title"]);
    assert_eq!(columns(&keep_tracked(&update, &titles(&["title", "n"])).unwrap()[0]), ["id", "title", "n"]);
    assert!(keep_tracked(&update, &titles(&["id"])).unwrap().is_empty(), "no tracked field was changed");
    let insert = change(ChangeOp::Insert, &[], &[("a", "x", 1)]);
    assert_eq!(columns(&keep_tracked(&insert, &titles(&[])).unwrap()[0]), ["id"], "that it was made is kept");
    let without_key = RowsChanged { key: Vec::new().into(), ..insert };
    assert!(keep_tracked(&without_key, &titles(&["title"])).unwrap().is_empty());
}

#[test]
fn rows_of_a_large_change_are_kept_in_parts() {
    let ids: Vec<String> = (0..1_000).map(|n| format!("k{n}")).collect();
    let rows: Vec<_> = ids.iter().map(|id| (id.as_str(), "x", 1)).collect();
    let parts = keep_tracked(&change(ChangeOp::Insert, &[], &rows), &titles(&["title"])).unwrap();
    let counts: Vec<usize> = parts.iter().map(|part| part.after.as_ref().unwrap().num_rows()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 1_000);
    assert!(counts.iter().all(|count| (1..=256).contains(count)), "{counts:?}");
}

#[tokio::test]
async fn a_transaction_is_kept_once_and_what_was_removed_is_another_record() {
    let folder = tempfile::tempdir().unwrap();
    let history = opened(folder.path(), options(folder.path())).await;
    let keys = |page: HistoryPage| -> Vec<(String, u64)> {
        page.entries.into_iter().map(|entry| (entry.key, entry.sequence)).collect()
    };
    let first = committed(1, vec![change(ChangeOp::Insert, &[], &[("b", "x", 1), ("a", "x", 1)])]);
    let second = committed(2, vec![change(ChangeOp::Update, &[("a", "x", 1)], &[("a", "y", 1)])]);
    history.take(&[Arc::clone(&first), Arc::clone(&second)]).await.unwrap();
    // Given again, as after a kill.
    history.take(&[second]).await.unwrap();
    let all = || async { keys(page(&history, "thing", None, None, 10).await) };
    let own = |key: &str, at| (key.to_owned(), at);
    assert_eq!(all().await, [own("a", 1), own("a", 2), own("b", 1)]);
    // Page by page, and by key.
    let first = page(&history, "thing", None, None, 1).await;
    assert_eq!((first.entries.len(), first.entries[0].key.as_str()), (1, "a"));
    let (key, number) = first.behind.unwrap();
    let behind = page(&history, "thing", None, Some((&key, number)), 10).await;
    assert!(behind.behind.is_none());
    assert_eq!(keys(behind), [own("a", 2), own("b", 1)]);
    let some = ["b".to_owned(), "'; DROP TABLE record; --".to_owned()];
    assert_eq!(keys(page(&history, "thing", Some(&some), None, 10).await), [own("b", 1)]);
    assert_eq!(keys(page(&history, "other", None, None, 10).await), []);

    history.take(&[committed(3, vec![change(ChangeOp::Delete, &[("a", "y", 1)], &[])])]).await.unwrap();
    assert_eq!(all().await, [own("b", 1)]);
    history.take(&[committed(4, vec![change(ChangeOp::Insert, &[], &[("a", "z", 1)])])]).await.unwrap();
    assert_eq!(all().await, [own("a", 4), own("b", 1)]);
    assert_eq!(history.store.position().await.unwrap(), 4);
}

#[tokio::test]
async fn the_oldest_is_forgotten_by_size_and_age() {
    let folder = tempfile::tempdir().unwrap();
    let bounded = HistoryOptions { size_max: 1 << 20, ..options(folder.path()) };
    let history = opened(folder.path(), bounded).await;
    let now = crate::log::now();
    let long = "x".repeat(4_000);
    for n in 0..1_000 {
        let key = format!("k{n:04}");
        let one = committed(now + n, vec![change(ChangeOp::Insert, &[], &[(&key, &long, 1)])]);
        history.take(&[one]).await.unwrap();
    }
    history.store.forget().await.unwrap();
    let left = page(&history, "thing", None, None, 10_000).await.entries;
    assert!((20..600).contains(&left.len()), "{}", left.len());
    assert_eq!(left.last().unwrap().key, "k0999", "the newest stay");
    let file = std::fs::metadata(folder.path().join("history/history.db")).unwrap();
    assert!(file.len() <= 2 << 20, "{}", file.len());

    let old = committed(1, vec![change(ChangeOp::Insert, &[], &[("old", "x", 1)])]);
    history.take(&[old]).await.unwrap();
    history.store.forget().await.unwrap();
    assert!(page(&history, "thing", Some(&["old".to_owned()]), None, 10).await.entries.is_empty());
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes_which_its_reader_gives_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let history = opened(folder.path(), options(folder.path())).await;
    let long = "x".repeat(store::PAGE_BYTES * 2 / 5);
    for n in 0..5 {
        let key = format!("k{n}");
        let change = change(ChangeOp::Insert, &[], &[(&key, &long, 1), (&format!("{key} beside"), "y", 1)]);
        history.take(&[committed(n + 1, vec![change])]).await.unwrap();
    }
    let (mut pages, mut seen, mut behind) = (0, Vec::new(), None::<(String, i64)>);
    loop {
        pages += 1;
        let given = std::sync::atomic::AtomicUsize::new(0);
        let room = |bytes: usize| -> Result<()> {
            given.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        };
        let from = behind.as_ref().map(|(key, number)| (key.as_str(), *number));
        let page = history.page("thing", None, from, 64, &room).await.unwrap();
        let given = given.into_inner();
        assert!(given > long.len() && given <= 4 * store::PAGE_BYTES, "{given}");
        seen.extend(page.entries.into_iter().map(|entry| entry.key));
        behind = page.behind;
        if behind.is_none() {
            break;
        }
    }
    let all: Vec<String> = (0..5).flat_map(|n| [format!("k{n}"), format!("k{n} beside")]).collect();
    assert_eq!((pages, seen), (3, all), "two long ones are within the bound, three are not");
    // Who may not hold it is not given it, and too many records are no page that is cut.
    let refused = |_: usize| -> Result<()> { Err(Error::new(ErrorCode::OutOfMemory, "no room")) };
    let error = history.page("thing", None, None, 64, &refused).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::OutOfMemory);
    let many: Vec<String> = (0..=HISTORY_KEYS_MAX).map(|n| format!("k{n}")).collect();
    let none = |_: usize| -> Result<()> { Ok(()) };
    assert!(history.page("thing", Some(&many), None, 64, &none).await.is_err());
    assert_eq!(history.page("thing", Some(&many[1..]), None, 1, &none).await.unwrap().entries[0].key, "k1");
}

#[tokio::test]
async fn another_file_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    std::fs::create_dir_all(&options.directory).unwrap();
    let file = options.directory.join("history.db");
    std::fs::write(&file, "no database").unwrap();
    let events = EventOptions::in_directory(folder.path().join("events"));
    let events = Events::open(events, BTreeMap::new(), Handle::current()).unwrap();
    let refused = History::open(options, events).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ConfigInvalid);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "no database");
}
