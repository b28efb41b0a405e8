//! Servers and gates that end at a bad moment, through the real binary.

use crate::world::{Store, World, ask, done};
use querygate_tests::server::runtime;
use std::time::{Duration, Instant};

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(40);
    while !is_so() {
        assert!(Instant::now() < until, "not so: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_gate_that_is_killed_while_it_commits_leaves_all_or_nothing() {
    for store in [Store::Postgres, Store::Sqlite, Store::MariaDb, Store::MongoDb] {
        if store.is_there() {
            killed(store);
        }
    }
}

fn killed(store: Store) {
    let mut world = World::new(store);
    let mut kept = 0;
    for round in 0..5_u64 {
        world.until_ready();
        let nora = world.client("nora");
        let change = format!("BEGIN; UPDATE orders SET total = {round}; UPDATE parts SET amount = {round}");
        // What a killed gate had locked is free when its source has noticed.
        eventually("both sources are changed", || {
            let changed = ask(&nora, &change).is_ok();
            if !changed {
                done(&nora, "ROLLBACK");
            }
            changed
        });
        let commit = runtime().spawn(async move { nora.simple_query("COMMIT").await.map(drop) });
        std::thread::sleep(Duration::from_millis(round * 3));
        world.server.signal("KILL");
        let told = runtime().block_on(commit).unwrap();
        world.restart();
        let olga = world.client("olga");
        eventually("everything is settled", || {
            world.places.prepared() == 0 && ask(&olga, "SELECT count(*) FROM querygate.transactions").unwrap() == ["0"]
        });
        let orders = world.places.orders();
        let parts = world.places.parts().unwrap();
        let stored = orders == [format!("o1={round}"), format!("o2={round}")];
        let is_whole = stored == (parts == [format!("p1={round}"), format!("p2={round}")]);
        assert!(is_whole, "{store:?}: {orders:?} {parts:?}");
        assert!(stored || told.is_err(), "{store:?}: a commit that was told is stored");
        kept += u32::from(stored);
    }
    println!("{store:?}: {kept} of 5 transactions were committed before the kill");
}

/// An idle transaction is ended in all of its sources.
#[test]
fn a_silent_client_loses_all_parts() {
    let world = World::new(Store::Postgres);
    let nora = world.client("nora");
    done(&nora, "BEGIN; UPDATE orders SET total = 1; UPDATE parts SET amount = 1");
    let locks = "SELECT 1 FROM pg_stat_activity WHERE usename = 'writer' AND state = 'idle in transaction'
        AND datname IN ('SHOP', 'STORE')";
    let locks = locks.replace("SHOP", &world.places.named("shop")).replace("STORE", &world.places.named("store"));
    assert_eq!(world.places.ask("shop", &locks).len(), 2);
    eventually("both are ended", || world.places.ask("shop", &locks).is_empty());
    assert_eq!(world.places.orders(), ["o1=10", "o2=20"]);
    assert_eq!(world.places.parts().unwrap(), ["p1=1", "p2=2"]);
}
