//! Servers end between any two steps of a commit of two sources, and are there again when it goes on. What is left is settled by another
//! process, which meets servers that end at its steps, too.

use crate::child::{At, process};
use crate::one_at_a_time;
use crate::processes::{Table, note, print, rounds, undisturbed};
use crate::world::{Places, Store, mariadb, mongodb, postgres};
use querygate_tests::server::runtime;
use std::time::{Duration, Instant};

/// Whose server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// PostgreSQL, which has the first part, or both.
    First,
    /// The other part's server.
    Second,
}

impl Victim {
    /// Ends the server at once, as a crash would, and starts it again on its port, with its data.
    fn dies(self, store: Store) {
        match (self, store) {
            (Self::First, _) => {
                postgres().kill();
                postgres().run();
            }
            (Self::Second, Store::MariaDb) => {
                mariadb().unwrap().kill();
                mariadb().unwrap().resume();
            }
            (Self::Second, Store::MongoDb) => {
                let server = mongodb().unwrap();
                server.kill();
                server.resume();
                runtime().block_on(async {
                    let until = Instant::now() + Duration::from_secs(60);
                    let hello = mongodb::bson::doc! { "hello": 1 };
                    let is_primary = async || {
                        let answer = server.admin("admin").run_command(hello.clone()).await;
                        answer.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false))
                    };
                    while !is_primary().await {
                        assert!(Instant::now() < until, "no member becomes the primary");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                });
            }
            (Self::Second, Store::Postgres | Store::Sqlite | Store::Memory) => {
                unreachable!("it has no server of its own")
            }
        }
    }
}

fn everywhere_or_nowhere(store: Store, victim: Victim) {
    let _turn = one_at_a_time();
    if !store.is_there() {
        return;
    }
    let places = Places::new(store);
    let steps = undisturbed(&places);
    let mut table = Table::new();
    let dies = || victim.dies(store);
    for round in 0..rounds() {
        for step in 1..=steps {
            let id = format!("r{round}s{step}");
            let said = process(&places, &format!("commit {id}"), &At::Wait(step, &dies));
            process(&places, "settle", &At::Wait(1 + (step + round) % 2, &dies));
            let settled = process(&places, "settle", &At::Nothing);
            assert!(settled.ended, "{:?}", settled.lines);
            // A commit that was refused before takes fewer steps than an undisturbed one.
            let name = said.step(step).unwrap_or("(it had ended)").to_owned();
            note(&mut table, &places, (step, name), &id, &said);
        }
    }
    print(&format!("PostgreSQL and {store:?}"), &format!("{victim:?} server ended"), &table);
}

#[test]
fn the_server_of_two_postgres_databases_ends() {
    everywhere_or_nowhere(Store::Postgres, Victim::First);
}

#[test]
fn postgres_ends_beside_sqlite() {
    everywhere_or_nowhere(Store::Sqlite, Victim::First);
}

#[test]
fn postgres_ends_beside_mariadb() {
    everywhere_or_nowhere(Store::MariaDb, Victim::First);
}

#[test]
fn mariadb_ends_beside_postgres() {
    everywhere_or_nowhere(Store::MariaDb, Victim::Second);
}

#[test]
fn postgres_ends_beside_mongodb() {
    everywhere_or_nowhere(Store::MongoDb, Victim::First);
}

#[test]
fn mongodb_ends_beside_postgres() {
    everywhere_or_nowhere(Store::MongoDb, Victim::Second);
}
