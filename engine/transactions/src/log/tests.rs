//! Logs that were cut off anywhere, are another gate's, meet a full disk, and grow.

use super::storage::Unreplaced;
use super::writer::SIZE_MAX;
use super::*;
use std::io;
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::time::Instant;
use tempfile::TempDir;

fn commit(number: u64) -> Entry {
    let parties = [("shop", 0), ("store", 1)].map(|(source, branch)| Party { source: source.into(), branch });
    Entry { number, step: Step::Commit { parties: parties.to_vec(), since_ms: number } }
}

fn end(number: u64) -> Entry {
    Entry { number, step: Step::End }
}

fn opened(folder: &TempDir, gate: &str) -> Result<Found> {
    // The thread of the log before lets the lock go when it has ended.
    for _ in 0..200 {
        match LogPlace::take(folder.path(), gate) {
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
            Ok(place) => return place.open(),
        }
    }
    panic!("the place is not given up");
}

fn log(folder: &TempDir) -> (DecisionLog, Vec<Entry>) {
    match opened(folder, "a").unwrap() {
        Found::Log(log, entries) => (log, entries),
        Found::Nothing(place) => (place.create().unwrap(), Vec::new()),
    }
}

#[tokio::test]
async fn what_is_open_is_found_again() {
    let folder = TempDir::new().unwrap();
    let (first, none) = log(&folder);
    assert!(none.is_empty());
    for number in 1..=3 {
        first.write(commit(number)).await.unwrap();
    }
    first.note(end(2));
    first.write(commit(4)).await.unwrap();
    assert!(LogPlace::take(folder.path(), "a").is_err(), "two processes have one log");
    drop(first);
    let (second, open) = log(&folder);
    assert_eq!(open, [commit(1), commit(3), commit(4)]);
    second.write(end(1)).await.unwrap();
    drop(second);
    assert_eq!(log(&folder).1, [commit(3), commit(4)]);
}

#[tokio::test]
async fn a_log_that_ends_anywhere_holds_the_records_before() {
    let folder = TempDir::new().unwrap();
    let (whole, _) = log(&folder);
    let mut ends = Vec::new();
    let path = folder.path().join(FILE);
    let size = || usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
    ends.push(size());
    for number in 1..=3 {
        whole.write(commit(number)).await.unwrap();
        ends.push(size());
    }
    drop(whole);
    drop(log(&folder));
    let bytes = std::fs::read(&path).unwrap();
    for cut in ends[0]..=bytes.len() {
        for garbage in [&[][..], &[0; 40][..], &[0xff; 9][..]] {
            std::fs::write(&path, [&bytes[..cut], garbage].concat()).unwrap();
            let kept = ends.iter().filter(|end| **end <= cut).count() - 1;
            let (cut_off, open) = log(&folder);
            let expected: Vec<Entry> = (1..=3).take(kept).map(commit).collect();
            assert_eq!(open, expected, "cut at {cut}");
            // What comes next is found behind them.
            cut_off.write(commit(9)).await.unwrap();
            drop(cut_off);
            let open = log(&folder).1;
            assert_eq!((open.len(), open.last()), (kept + 1, Some(&commit(9))), "cut at {cut}");
        }
    }
    for cut in 0..ends[0] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert_eq!(opened(&folder, "a").unwrap_err().code(), ErrorCode::ConfigInvalid, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_log_is_of_one_gate() {
    let folder = TempDir::new().unwrap();
    let (own, _) = log(&folder);
    own.write(commit(1)).await.unwrap();
    drop(own);
    let refused = opened(&folder, "b").unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ConfigInvalid);
    assert!(refused.message().contains("\"a\""), "{refused}");
}

/// A disk in memory with little room.
#[derive(Debug, Default)]
struct Disk {
    bytes: Vec<u8>,
    room: usize,
    syncs: usize,
    /// How often it was to be replaced.
    copies: usize,
    fails_to_cut: bool,
    fails_to_sync: bool,
    fails_to_replace: bool,
}

#[derive(Debug, Clone, Default)]
struct Limited(Arc<Mutex<Disk>>);

impl Storage for Limited {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        let fits = bytes.len().min(disk.room.saturating_sub(disk.bytes.len()));
        disk.bytes.extend(&bytes[..fits]);
        if fits == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.syncs += 1;
        if disk.fails_to_sync { Err(io::Error::other("the disk fails")) } else { Ok(()) }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if disk.fails_to_cut {
            return Err(io::Error::other("the disk fails"));
        }
        disk.bytes.truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn replace(&mut self, bytes: &[u8]) -> std::result::Result<(), Unreplaced> {
        let mut disk = self.0.lock().unwrap();
        disk.copies += 1;
        if disk.fails_to_replace || bytes.len() > disk.room {
            return Err(Unreplaced::Kept(io::ErrorKind::StorageFull.into()));
        }
        disk.bytes = bytes.to_vec();
        Ok(())
    }
}

fn writer(disk: &Limited, room: usize) -> LogWriter<Limited> {
    disk.0.lock().unwrap().room = room;
    LogWriter {
        storage: disk.clone(),
        header: header("a"),
        length: 0,
        open: BTreeMap::new(),
        broken: Arc::default(),
        rotate_at: ROTATE_AT,
        paused_until: None,
        _lock: None,
    }
}

type Answer = oneshot::Receiver<std::result::Result<(), Unwritten>>;

fn appends(entries: impl IntoIterator<Item = Entry>) -> (Vec<Append>, Vec<Answer>) {
    let one = |entry| {
        let (waiter, answer) = oneshot::channel();
        (Append { entry, waiter: Some(waiter) }, answer)
    };
    entries.into_iter().map(one).unzip()
}

fn told(answer: &mut Answer) -> &'static str {
    match answer.try_recv().unwrap() {
        Ok(()) => "written",
        Err(Unwritten::Refused(_)) => "refused",
        Err(Unwritten::Unknown(_)) => "unknown",
    }
}

#[test]
fn a_full_disk_keeps_no_half_and_says_so() {
    let disk = Limited::default();
    let mut log = writer(&disk, 120);
    let (mut kept, mut refused) = (Vec::new(), 0);
    for number in 1..=4 {
        let (batch, mut answers) = appends([commit(number)]);
        log.write(batch);
        match told(&mut answers[0]) {
            "written" => kept.push(commit(number)),
            other => {
                assert_eq!(other, "refused");
                refused += 1;
            }
        }
    }
    assert!(!kept.is_empty() && refused > 0, "{kept:?}");
    let bytes = disk.0.lock().unwrap().bytes.clone();
    let (mut at, mut found) = (0, Vec::new());
    while let Some((entry, length)) = decode(&bytes[at..]).unwrap() {
        found.push(entry);
        at += length;
    }
    assert_eq!((found, at), (kept, bytes.len()));
    // Room again: it goes on.
    disk.0.lock().unwrap().room = 10_000;
    let (batch, mut answers) = appends([commit(9)]);
    log.write(batch);
    assert_eq!(told(&mut answers[0]), "written");
}

#[test]
fn a_disk_of_which_nothing_is_known_ends_all() {
    let disk = Limited::default();
    let mut log = writer(&disk, 10_000);
    {
        let mut disk = disk.0.lock().unwrap();
        (disk.fails_to_sync, disk.fails_to_cut) = (true, true);
    }
    let (batch, mut answers) = appends([commit(1), commit(2)]);
    log.write(batch);
    assert_eq!([told(&mut answers[0]), told(&mut answers[1])], ["unknown"; 2]);
    {
        let mut disk = disk.0.lock().unwrap();
        (disk.fails_to_sync, disk.fails_to_cut) = (false, false);
    }
    let (batch, mut answers) = appends([commit(3)]);
    log.write(batch);
    assert_eq!(told(&mut answers[0]), "refused");
    assert!(log.broken.load(Ordering::Acquire));
}

#[test]
fn those_who_wait_share_a_sync_and_nobody_waits_for_an_end() {
    let disk = Limited::default();
    let log = writer(&disk, 10_000);
    let (sender, receiver): (_, Receiver<Append>) = sync_channel(64);
    let (batch, mut answers) = appends((1..=20).map(commit));
    for append in batch {
        sender.send(append).unwrap();
    }
    sender.send(Append { entry: end(1), waiter: None }).unwrap();
    drop(sender);
    log.run(&receiver);
    assert!(answers.iter_mut().all(|answer| told(answer) == "written"));
    // One for all of them, one at the end.
    assert_eq!(disk.0.lock().unwrap().syncs, 2);
    let mut log = writer(&disk, 10_000);
    log.write(vec![Append { entry: end(2), waiter: None }]);
    assert_eq!(disk.0.lock().unwrap().syncs, 2);
}

#[test]
fn a_log_that_grew_holds_what_is_open() {
    let disk = Limited::default();
    let mut log = writer(&disk, 10_000);
    log.rotate_at = 2_000;
    log.write(appends([commit(0)]).0);
    for number in 1..500 {
        log.write(appends([commit(number)]).0);
        log.write(vec![Append { entry: end(number), waiter: None }]);
    }
    let bytes = disk.0.lock().unwrap().bytes.clone();
    assert!(bytes.len() < 2_200 && log.length == bytes.len() as u64, "{}", bytes.len());
    let (gate, at) = read_header(&bytes).unwrap();
    assert_eq!(gate, "a");
    assert_eq!(decode(&bytes[at..]).unwrap().unwrap().0, commit(0));
    // Where the copy has no room, the log goes on in the old file, and does not try with each record.
    disk.0.lock().unwrap().fails_to_replace = true;
    log.rotate_at = 0;
    for number in 501..540 {
        log.write(appends([commit(number)]).0);
        log.write(vec![Append { entry: end(number), waiter: None }]);
    }
    let (batch, mut answers) = appends([commit(7)]);
    log.write(batch);
    assert_eq!(told(&mut answers[0]), "written");
    assert!(log.rotate_at > 0 && disk.0.lock().unwrap().bytes.len() > bytes.len());
}

#[test]
fn a_full_log_leaves_behind_what_has_ended() {
    let disk = Limited::default();
    let mut log = writer(&disk, 10_000);
    log.write(appends([commit(1), commit(2)]).0);
    // As after rotations that failed for long.
    disk.0.lock().unwrap().fails_to_replace = true;
    (log.length, log.rotate_at) = (SIZE_MAX + 1, 4 * SIZE_MAX);
    for _ in 0..50 {
        let (batch, mut answers) = appends([commit(3)]);
        log.write(batch);
        assert_eq!(told(&mut answers[0]), "refused");
    }
    log.write(vec![Append { entry: end(1), waiter: None }]);
    assert_eq!(disk.0.lock().unwrap().copies, 1, "it is not copied again with each batch");
    disk.0.lock().unwrap().fails_to_replace = false;
    // As after the pause.
    log.paused_until = Some(Instant::now());
    let (batch, mut answers) = appends([commit(4)]);
    log.write(batch);
    assert_eq!(told(&mut answers[0]), "written");
    let bytes = disk.0.lock().unwrap().bytes.clone();
    let (_, mut at) = read_header(&bytes).unwrap();
    let mut found = Vec::new();
    while let Some((entry, length)) = decode(&bytes[at..]).unwrap() {
        found.push(entry);
        at += length;
    }
    assert_eq!((found, log.length), (vec![commit(2), commit(4)], bytes.len() as u64));
}
