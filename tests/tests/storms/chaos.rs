//! Sources of one gate that fail in turn, while clients read and write all of them: nothing that was acknowledged is lost, nothing is
//! stored or read by half, who needs another source feels nothing, and the gate's memory is at rest afterwards what it was before.
//! `QUERYGATE_CHAOS`: for how many seconds; once for each fault where it is not set. `QUERYGATE_CHAOS_TABLE`: a file for what it comes to.

use crate::chaos_load::Readers;
use crate::kills::{Load, examine};
use crate::place::{Place, Store, address, configure};
use crate::{mariadb_server, mongodb_server, postgres_server};
use querygate_tests::server::{Server, runtime};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a fault lasts.
const FAULT: Duration = Duration::from_secs(3);
/// How long nothing fails after it.
const CALM: Duration = Duration::from_secs(4);
/// Until everybody is answered again.
const PATIENCE: Duration = Duration::from_secs(60);
/// Until what was freed is the system's again.
const REST: Duration = Duration::from_secs(12);
const WRITERS: usize = 2;
const PAUSE: Duration = Duration::from_millis(100);
/// Memory that a process at rest may have gained: kept plans, telemetry, and what the allocator cannot give back.
const GROWTH_MAX: u64 = 64 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed,
    Frozen,
    /// Somebody else writes a file, and does not end.
    Locked,
}

impl Place {
    const fn faults(&self) -> &'static [Fault] {
        match self.store {
            Store::Sqlite => &[Fault::Locked],
            Store::Postgres(_) | Store::MariaDb(_) | Store::MongoDb(_) => &[Fault::Killed, Fault::Frozen],
        }
    }

    /// Fails for a while.
    fn fail(&self, fault: Fault) {
        match (&self.store, fault) {
            (Store::Sqlite, _) => runtime().block_on(async {
                let options = SqliteConnectOptions::new().filename(self.file()).busy_timeout(Duration::from_secs(30));
                let mut other: SqliteConnection = options.connect().await.unwrap();
                sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
                tokio::time::sleep(FAULT).await;
                sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
                other.close().await.unwrap();
            }),
            (Store::Postgres(server), Fault::Frozen) => between(|| server.freeze(), || server.thaw()),
            (Store::Postgres(server), _) => between(|| server.kill(), || server.run()),
            (Store::MariaDb(server), Fault::Frozen) => between(|| server.freeze(), || server.thaw()),
            (Store::MariaDb(server), _) => between(|| server.kill(), || server.resume()),
            (Store::MongoDb(server), Fault::Frozen) => between(|| server.signal("-STOP"), || server.signal("-CONT")),
            (Store::MongoDb(server), _) => between(
                || server.kill(),
                || {
                    server.resume();
                    runtime().block_on(async { server.until_primary(server.admin("admin").client()).await });
                },
            ),
        }
    }
}

fn between(begin: impl Fn(), end: impl Fn()) {
    begin();
    std::thread::sleep(FAULT);
    end();
}

/// Bytes that statements hold and that caches set aside, as the gate says.
fn reserved(gate: &Server) -> u64 {
    let metrics = gate.get("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix("querygate_memory_reserved_bytes ")).unwrap();
    line.split('.').next().unwrap().parse().unwrap()
}

/// A gate's memory where nobody asks: resident bytes, and what it says that is held.
fn at_rest(gate: &Server) -> (u64, u64) {
    std::thread::sleep(REST);
    (gate.resident_bytes(), reserved(gate))
}

fn writers(places: &[&Place], gate: &Server, round: usize) -> Vec<Load> {
    let one = |place: &&Place| Load::of(WRITERS, place, &address(gate), round, PAUSE);
    places.iter().map(one).collect()
}

/// Ends the writers, and adds what they were told.
fn end(writers: Vec<Load>, acknowledged: &mut [BTreeSet<String>]) {
    for (load, all) in writers.into_iter().zip(acknowledged) {
        all.extend(load.stop());
    }
}

#[test]
fn sources_that_fail_in_turn_lose_nothing() {
    let seconds = std::env::var("QUERYGATE_CHAOS").ok().map(|text| text.parse::<u64>().unwrap());
    let Some(mongodb) = runtime().block_on(mongodb_server::Server::start_replicated()) else { return };
    let stores = [
        ("lite", Store::Sqlite),
        ("pg", Store::Postgres(postgres_server::Server::start().expect("PostgreSQL is installed"))),
        ("maria", Store::MariaDb(mariadb_server::Server::start().expect("MariaDB is installed"))),
        ("mongo", Store::MongoDb(mongodb)),
    ];
    let places = stores.map(|(name, store)| Place::named(name, store));
    let places = places.each_ref();
    let folder = TempDir::new().unwrap();
    configure(folder.path(), &places);
    let gate = Server::serve(&folder.path().join("querygate.toml"));
    let mut acknowledged = places.map(|_| BTreeSet::new());

    // As much as a fault's time without one, so that what is kept for good is there.
    let (load, readers) = (writers(&places, &gate, 1), Readers::start(&gate, &places));
    std::thread::sleep(CALM * 2);
    readers.stop();
    end(load, &mut acknowledged);
    let before = at_rest(&gate);

    let (load, readers) = (writers(&places, &gate, 2), Readers::start(&gate, &places));
    let began = Instant::now();
    let mut table =
        "seconds\tsource\tfault\tback after ms\tanswered\trefused\tlongest beside ms\tresident MB\treserved MB\n"
            .to_owned();
    loop {
        for (at, place) in places.iter().enumerate() {
            for fault in place.faults() {
                std::thread::sleep(CALM);
                readers.fails(Some(at));
                place.fail(*fault);
                let back = readers.until_well(at, PATIENCE);
                readers.fails(None);
                gate.signal("HUP");
                let counts = readers.take();
                let line = format!(
                    "{}\t{}\t{fault:?}\t{}\t{}\t{:?}\t{}\t{}\t{}",
                    began.elapsed().as_secs(),
                    place.name,
                    back.as_millis(),
                    counts.answered,
                    counts.refused,
                    counts.longest_beside,
                    gate.resident_bytes() >> 20,
                    reserved(&gate) >> 20
                );
                println!("{line}");
                writeln!(table, "{line}").unwrap();
                if let Some(file) = std::env::var_os("QUERYGATE_CHAOS_TABLE") {
                    std::fs::write(file, &table).unwrap();
                }
                assert!(counts.faults.is_empty(), "{:#?}", counts.faults);
            }
        }
        if seconds.is_none_or(|seconds| began.elapsed() >= Duration::from_secs(seconds)) {
            break;
        }
    }
    readers.stop();
    let refused: usize = load.iter().map(|load| load.told.refused.load(Ordering::Relaxed)).sum();
    end(load, &mut acknowledged);
    let after = at_rest(&gate);
    let mb = |bytes: u64| bytes >> 20;
    println!(
        "at rest before: {} MB resident, {} MB held; after: {} MB, {} MB; {refused} changes refused",
        mb(before.0),
        mb(before.1),
        mb(after.0),
        mb(after.1)
    );
    for (place, acknowledged) in places.iter().zip(&acknowledged) {
        place.settle();
        let unknown = examine(place, acknowledged);
        println!("{}: {} transfers acknowledged, {unknown} more stored", place.name, acknowledged.len());
        assert!(!acknowledged.is_empty(), "{}", place.name);
    }
    assert!(after.0 <= before.0 + GROWTH_MAX, "{before:?} {after:?}");
    assert!(after.1.abs_diff(before.1) <= before.1 / 20 + (1 << 20), "{before:?} {after:?}");
}
