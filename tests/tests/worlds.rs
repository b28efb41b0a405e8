//! Worlds made at random, as messy as data is: folders of files, SQLite, PostgreSQL, MariaDB and MongoDB databases with odd names, types and
//! values, empties, drift between files, broken views, missing rights. `querygate init` always ends with a gate that serves all that is sound,
//! as it was made, and lists the rest with a reason.
//!
//! `QUERYGATE_WORLDS=300` makes as many folders and SQLite databases, and a fifth as many of each server's. `QUERYGATE_SEED` makes others.
//! `QUERYGATE_WORLDS_OF=sqlite,postgres` makes those of these kinds. `QUERYGATE_WORLD=sqlite:17` makes one alone, prints what `init` says and keeps its folder.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "tests panic and report"
    )
)]

#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb_server;
#[path = "../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mongodb_server;
#[path = "own_types/mysql_types.rs"]
#[allow(dead_code, reason = "shared with the tests of every type")]
mod mysql_types;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;
#[path = "own_types/printed.rs"]
#[allow(dead_code, reason = "shared with the tests of every type")]
mod printed;
#[path = "own_types/values.rs"]
#[allow(dead_code, reason = "shared with the tests of every type")]
mod values;
#[path = "worlds/mod.rs"]
mod worlds;

use querygate_tests::harness::Rng;
use querygate_tests::server::runtime;
use std::collections::BTreeMap;
use std::sync::Mutex;
use worlds::cell::Cell;
use worlds::gate::{Outcome, tried};
use worlds::world::{Fate, World};

const WORLDS_VARIABLE: &str = "QUERYGATE_WORLDS";
/// Worlds of files and of SQLite in the quick run; of each server's there are fewer.
const WORLDS: u64 = 7;
const KINDS: [&str; 5] = ["folder", "sqlite", "postgres", "mariadb", "mongodb"];

const ALL_COLUMNS: &str = "a table none of whose columns can be read as declared is not tried with texts";

/// What is known to be otherwise: a kind of world, a part of what is said of it, and the reason.
const KNOWN: &[(&str, &str, &str)] = &[
    ("folder", "_hidden", "what begins with an underscore is taken for hidden, and is not listed"),
    ("folder", "made Json(\"-1E-400\"), got Some(\"-0\")", "a number too small for a double is zero"),
    ("folder", "(no field type holds its values)", "lists of numbers in Parquet"),
    ("folder", "(relation ", "a file of such columns alone, whose reason says otherwise"),
    ("sqlite", "9007199254740993", "NUMERIC without places is a double, which has not all digits of whole numbers"),
    ("sqlite", "9.007199254740992e+15", "the same, in another row"),
    ("sqlite", "made Double(0.30000000000000004)", "a double among texts has the fifteen digits that SQLite prints"),
    ("sqlite", "made Double(1.2345678901234567e19)", "the same"),
    ("sqlite", "is not served: left out: ", ALL_COLUMNS),
    ("postgres", "is not served: left out: ", ALL_COLUMNS),
    ("mariadb", "is not served: left out: ", ALL_COLUMNS),
    ("mongodb", "is not served: left out: ", ALL_COLUMNS),
    ("mongodb", "init fails: ", "a view or a field that cannot be described ends introspection"),
    ("postgres", "(no right)", "tables that the login may not read are not listed"),
    ("mongodb", "made Null, got Some(\"[]\")", "a field of a document is looked for in an array, where it is none"),
    ("mongodb", ".x: count is ", "the same, counted"),
    ("mongodb", ".: the column is gone without a word", "a field without a name is passed over in silence"),
];

/// Servers and shells that are here.
struct Servers {
    sqlite: bool,
    postgres: Option<&'static postgres_server::Server>,
    mariadb: Option<mariadb_server::Server>,
    mongodb: Option<mongodb_server::Server>,
}

impl Servers {
    /// Those that make some of the worlds.
    fn start(worlds: &[(&str, u64)]) -> Self {
        let makes = |kind: &str| worlds.iter().any(|(other, _)| *other == kind);
        let postgres = if makes("postgres") { postgres_server::server() } else { None };
        postgres.iter().for_each(|server| runtime().block_on(worlds::postgres::prepare(server)));
        Self {
            sqlite: makes("sqlite") && worlds::sqlite::is_there(),
            postgres,
            mariadb: if makes("mariadb") { mariadb_server::Server::start() } else { None },
            mongodb: if makes("mongodb") { runtime().block_on(mongodb_server::Server::start()) } else { None },
        }
    }

    /// `None` where what makes such worlds is not here.
    fn world(&self, kind: &str, seed: u64, number: u64) -> Option<World> {
        let place = KINDS.iter().position(|known| *known == kind).unwrap();
        let mut rng = Rng::part(seed.wrapping_add(u64::try_from(place).unwrap() * 1_000_003), number);
        match kind {
            "folder" => Some(worlds::files::world(&mut rng)),
            "sqlite" => self.sqlite.then(|| worlds::sqlite::world(&mut rng)),
            "postgres" => {
                self.postgres.map(|server| runtime().block_on(worlds::postgres::world(server, &mut rng, number)))
            }
            "mariadb" => self.mariadb.as_ref().map(|server| worlds::mariadb::world(server, &mut rng, number)),
            _ => {
                let server = self.mongodb.as_ref()?;
                Some(runtime().block_on(worlds::mongodb::world(server, &mut rng, number)))
            }
        }
    }
}

/// What became of the worlds of one kind.
#[derive(Default)]
struct Tally {
    worlds: usize,
    known: usize,
    sum: Outcome,
}

impl Tally {
    fn add(&mut self, kind: &str, number: u64, outcome: Outcome) {
        self.worlds += 1;
        self.sum.made += outcome.made;
        self.sum.served += outcome.served;
        self.sum.cells += outcome.cells;
        for (reason, count) in outcome.left_out {
            *self.sum.left_out.entry(reason).or_default() += count;
        }
        for wrong in outcome.wrong {
            if KNOWN.iter().any(|(of, part, _)| *of == kind && wrong.contains(part)) {
                self.known += 1;
            } else {
                self.sum.wrong.push(format!("{kind}:{number} {wrong}"));
            }
        }
    }
}

/// All worlds of a run: kind and number.
fn wanted() -> Vec<(&'static str, u64)> {
    if let Ok(one) = std::env::var("QUERYGATE_WORLD") {
        let (kind, number) = one.split_once(':').expect("QUERYGATE_WORLD is a kind and a number");
        let kind = KINDS.iter().find(|known| **known == kind).expect("QUERYGATE_WORLD names a kind");
        return vec![(kind, number.parse().unwrap())];
    }
    let count = std::env::var(WORLDS_VARIABLE).map_or(WORLDS, |text| text.parse().expect("a number of worlds"));
    let of_servers = if count == WORLDS { 4 } else { count.div_ceil(5) };
    let only = std::env::var("QUERYGATE_WORLDS_OF").ok();
    let all = KINDS.iter().enumerate().filter(|(_, kind)| only.as_ref().is_none_or(|only| only.contains(**kind)));
    all.flat_map(|(place, kind)| (0..if place < 2 { count } else { of_servers }).map(move |number| (*kind, number)))
        .collect()
}

#[test]
fn worlds_made_at_random_are_served_as_they_were_made() {
    let seed = values::seed("worlds");
    let wanted = wanted();
    let servers = Servers::start(&wanted);
    let left = Mutex::new(wanted.into_iter());
    let tallies: Mutex<BTreeMap<&str, Tally>> = Mutex::default();
    let is_one = std::env::var_os("QUERYGATE_WORLD").is_some();
    let work = || {
        loop {
            let Some((kind, number)) = left.lock().unwrap().next() else { break };
            let Some(world) = servers.world(kind, seed, number) else { continue };
            let outcome = tried(&world);
            if is_one {
                println!("{:#?}\n{}\n{}", world.made, outcome.said, world.folder.keep().display());
            }
            tallies.lock().unwrap().entry(kind).or_default().add(kind, number, outcome);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let tallies = tallies.into_inner().unwrap();
    println!("{}", table(&tallies));
    let wrong: Vec<&String> = tallies.values().flat_map(|tally| &tally.sum.wrong).collect();
    assert!(wrong.is_empty(), "{} are wrong:\n{wrong:#?}", wrong.len());
}

fn table(tallies: &BTreeMap<&str, Tally>) -> String {
    let mut lines = vec![
        "| kind | worlds | tables made | served | cells | left out by reason | known | wrong |".to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for kind in KINDS {
        let Some(tally) = tallies.get(kind) else {
            lines.push(format!("| {kind} | 0 | SKIPPED | | | | | |"));
            continue;
        };
        let Outcome { made, served, left_out, wrong, cells, .. } = &tally.sum;
        let left_out: Vec<String> = left_out.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let (worlds, known, wrong, left_out) = (tally.worlds, tally.known, wrong.len(), left_out.join(", "));
        lines.push(format!("| {kind} | {worlds} | {made} | {served} | {cells} | {left_out} | {known} | {wrong} |"));
    }
    lines.join("\n")
}

#[test]
fn what_is_not_as_it_was_made_is_seen() {
    // A folder whose first table has some rows.
    let has_rows = |seed: &u64| worlds::files::world(&mut Rng::new(*seed)).made[0].rows.len() > 2;
    let seed = (1..).find(has_rows).unwrap();
    let world = || worlds::files::world(&mut Rng::new(seed));
    assert_eq!(tried(&world()).wrong, Vec::<String>::new());
    type Change = fn(&mut World);
    let changes: [(&str, Change); 5] = [
        ("made Text", |world| world.made[0].rows[0][0] = Cell::text("another value")),
        ("a row was not made", |world| drop(world.made[0].rows.pop())),
        ("is not there", |world| {
            let row = world.made[0].rows[0].clone();
            world.made[0].rows.push(row);
        }),
        ("the column is gone", |world| world.made[0].columns[1].name = "another".to_owned()),
        ("should be left out", |world| world.made[0].fate = Fate::LeftOut("for a test")),
    ];
    for (says, change) in changes {
        let mut changed = world();
        change(&mut changed);
        let wrong = tried(&changed).wrong;
        assert!(wrong.iter().any(|wrong| wrong.contains(says)), "{says}: {wrong:#?}");
    }
}
