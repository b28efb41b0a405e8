//! A process that commits a transaction of two sources ends at each step of it, another one that settles what is left ends at one of its
//! own, and a third one goes to the end. Then both sources have the transaction, or neither, and nothing is prepared.

use crate::child::{At, Said, process};
use crate::one_at_a_time;
use crate::world::{Places, Store};
use std::collections::BTreeMap;

/// How often each step is tried.
pub(crate) fn rounds() -> u32 {
    std::env::var("QUERYGATE_CRASHES").map_or(1, |rounds| rounds.parse().unwrap())
}

/// Steps of a recovery, of which one that ends takes another one in each run.
const RECOVERY_STEPS: u32 = 6;

/// What is there of a transaction.
#[derive(Debug, Default)]
pub(crate) struct Found {
    tried: u32,
    stored: u32,
    undone: u32,
}

/// What became of transactions, by the step at which something happened.
pub(crate) type Table = BTreeMap<(u32, String), Found>;

fn everywhere_or_nowhere(store: Store) {
    let _turn = one_at_a_time();
    if !store.is_there() {
        return;
    }
    let places = Places::new(store);
    let steps = undisturbed(&places);
    let mut table = Table::new();
    for round in 0..rounds() {
        for step in 1..=steps {
            let id = format!("r{round}s{step}");
            let said = process(&places, &format!("commit {id}"), &At::End(step));
            // The one that settles ends, too, sooner or later.
            process(&places, "settle", &At::End(1 + (step + round) % RECOVERY_STEPS));
            let settled = process(&places, "settle", &At::Nothing);
            assert!(settled.ended, "{:?}", settled.lines);
            note(&mut table, &places, (step, said.last_step()), &id, &said);
        }
    }
    print(&format!("PostgreSQL and {store:?}"), "process ended", &table);
}

/// A commit that nothing disturbs: how many steps it takes.
pub(crate) fn undisturbed(places: &Places) -> u32 {
    let said = process(places, "commit all", &At::Nothing);
    assert!(said.ended && said.has("told"), "{:?}", said.lines);
    assert_eq!(holds(places, "all"), [true, true]);
    assert!(said.steps() >= 9, "{:?}", said.lines);
    said.steps()
}

/// Looks at both sources, which must have a transaction or not have it.
pub(crate) fn note(table: &mut Table, places: &Places, (step, name): (u32, String), id: &str, said: &Said) {
    let (both, store) = (holds(places, id), places.store);
    assert_eq!(both[0], both[1], "{store:?}: {name}: {both:?}\n{:?}", said.lines);
    assert_eq!(places.prepared(), 0, "{store:?}: {name}");
    assert!(both[0] || !said.has("told"), "{store:?}: {name}: it was told and is gone\n{:?}", said.lines);
    // Only of an outcome that is not known may the client hear something else than what came of it.
    let refused = said.lines.iter().any(|line| line.starts_with("refused ") && line != "refused 08007");
    assert!(!both[0] || !refused, "{store:?}: {name}: it was refused and is stored\n{:?}", said.lines);
    let found = table.entry((step, name)).or_default();
    found.tried += 1;
    if both[0] { found.stored += 1 } else { found.undone += 1 }
}

pub(crate) fn print(what: &str, happened: &str, table: &Table) {
    println!("{:<24}{:<44}{:>6}{:>8}{:>8}", what, happened, "tried", "stored", "undone");
    for ((step, name), Found { tried, stored, undone }) in table {
        println!("{step:<24}{name:<44}{tried:>6}{stored:>8}{undone:>8}");
    }
    let total = table.values().map(|found| found.tried).sum::<u32>();
    println!("{:<24}{:<44}{total:>6}", "", "runs");
    // A decision is made somewhere among the steps.
    assert!(table.values().any(|found| found.stored > 0) && table.values().any(|found| found.undone > 0));
}

/// Whether each source has the row.
pub(crate) fn holds(places: &Places, id: &str) -> [bool; 2] {
    let row = format!("{id}=7");
    [places.orders().contains(&row), places.parts().unwrap().contains(&row)]
}

#[test]
fn two_postgres_databases() {
    everywhere_or_nowhere(Store::Postgres);
}

#[test]
fn postgres_and_sqlite() {
    everywhere_or_nowhere(Store::Sqlite);
}

#[test]
fn postgres_and_mariadb() {
    everywhere_or_nowhere(Store::MariaDb);
}

#[test]
fn postgres_and_mongodb() {
    everywhere_or_nowhere(Store::MongoDb);
}
