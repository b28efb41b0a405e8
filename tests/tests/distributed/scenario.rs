//! One scenario over each kind of store: what a session sees, what is stored at a commit, and what is not.

use crate::world::{Store, World, ask, code, done};
use querygate_tests::server::{PASSWORD, Request};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const FIRST: [&str; 2] = ["o1=10", "o2=20"];
const PARTS: [&str; 2] = ["p1=1", "p2=2"];

fn each(check: impl Fn(&World)) {
    for store in Store::ALL {
        if store.is_there() {
            println!("{store:?}");
            let world = World::new(store);
            world.until_ready();
            check(&world);
        }
    }
}

/// Nothing is left of a transaction: no lock, nothing prepared, nothing in the table of what is not settled.
fn leaves_nothing(world: &World) {
    let olga = world.client("olga");
    assert_eq!(ask(&olga, "SELECT count(*) FROM querygate.transactions").unwrap(), ["0"]);
    assert_eq!(world.places.prepared(), 0);
    // Where nobody waits for a lock, the one of a client that has just left is in the way for a moment.
    let until = Instant::now() + Duration::from_secs(10);
    for sql in ["UPDATE orders SET total = total", "UPDATE parts SET amount = amount"] {
        while let Err(code) = ask(&olga, sql) {
            assert!(["40001", "55P03"].contains(&code.as_str()) && Instant::now() < until, "{sql}: {code}");
        }
    }
}

#[test]
fn a_commit_stores_what_was_changed_in_both_sources() {
    each(|world| {
        let (nora, olga) = (world.client("nora"), world.client("olga"));
        done(&nora, "BEGIN");
        done(&nora, "UPDATE orders SET total = total + 1 WHERE id = 'o1'");
        done(&nora, "INSERT INTO parts (id, amount) VALUES ('p3', 3)");
        done(&nora, "UPDATE parts SET amount = amount + 10 WHERE id = 'p1'");
        // The session reads what it wrote, in each source and in both together; others do not.
        assert_eq!(ask(&nora, "SELECT sum(total)::int FROM orders").unwrap(), ["31"]);
        assert_eq!(ask(&nora, "SELECT sum(amount)::int FROM parts").unwrap(), ["16"]);
        assert_eq!(ask(&nora, "SELECT count(*) FROM orders o, parts p WHERE o.total > p.amount").unwrap(), ["5"]);
        assert_eq!(world.places.orders(), FIRST);
        assert_eq!(world.parts(&olga), PARTS);
        done(&nora, "COMMIT");
        assert_eq!(world.places.orders(), ["o1=11", "o2=20"]);
        assert_eq!(world.parts(&olga), ["p1=11", "p2=2", "p3=3"]);
        // And once more, the other way round, with deletes.
        done(&nora, "BEGIN; DELETE FROM parts WHERE id = 'p3'; DELETE FROM orders WHERE id = 'o2'; COMMIT");
        assert_eq!(
            (world.places.orders(), world.parts(&olga)),
            (vec!["o1=11".to_owned()], ["p1=11", "p2=2"].map(str::to_owned).to_vec())
        );
        leaves_nothing(world);
        let audit = std::fs::read_to_string(world.places.folder.path().join("audit.ndjson")).unwrap();
        let lines = |what: &str| audit.lines().filter(|line| line.contains(&format!("\"change\":\"{what}\""))).count();
        assert!(lines("begun") >= 5 && lines("committed") >= 2, "{audit}");
    });
}

#[test]
fn a_rollback_and_a_failed_transaction_store_nothing_anywhere() {
    each(|world| {
        let nora = world.client("nora");
        let both = "UPDATE orders SET total = 1; UPDATE parts SET amount = 5";
        done(&nora, &format!("BEGIN; {both}"));
        done(&nora, "ROLLBACK");
        assert_eq!(
            (world.places.orders(), world.parts(&nora)),
            (FIRST.map(str::to_owned).to_vec(), PARTS.map(str::to_owned).to_vec())
        );
        done(&nora, &format!("BEGIN; {both}"));
        assert_eq!(code(&nora, "INSERT INTO parts (id, amount) VALUES ('p1', 7)"), "23505");
        assert_eq!(code(&nora, "SELECT 1"), "25P02");
        done(&nora, "COMMIT");
        assert_eq!(
            (world.places.orders(), world.parts(&nora)),
            (FIRST.map(str::to_owned).to_vec(), PARTS.map(str::to_owned).to_vec())
        );
        // A client that leaves takes everything along.
        let gone = world.client("nora");
        done(&gone, &format!("BEGIN; {both}"));
        drop(gone);
        leaves_nothing(world);
        assert_eq!(
            (world.places.orders(), world.parts(&nora)),
            (FIRST.map(str::to_owned).to_vec(), PARTS.map(str::to_owned).to_vec())
        );
    });
}

#[test]
fn a_source_that_does_not_prepare_undoes_all() {
    each(|world| {
        let nora = world.client("nora");
        done(&nora, "BEGIN; UPDATE parts SET amount = 5");
        // The database looks at this reference when the transaction is prepared.
        done(&nora, "INSERT INTO links (id, order_id) VALUES ('l1', 'no such order')");
        assert_eq!(code(&nora, "COMMIT"), "23503");
        assert_eq!(ask(&nora, "SELECT count(*) FROM links").unwrap(), ["0"]);
        assert_eq!(world.parts(&nora), PARTS);
        leaves_nothing(world);
    });
}

#[test]
fn savepoints_are_of_all_sources() {
    each(|world| {
        if world.places.store == Store::MongoDb {
            // It has none.
            return;
        }
        let nora = world.client("nora");
        done(&nora, "BEGIN; SAVEPOINT before");
        done(&nora, "UPDATE orders SET total = 11 WHERE id = 'o1'; SAVEPOINT a");
        // This source takes part from here on, and has both savepoints.
        done(&nora, "UPDATE parts SET amount = 21 WHERE id = 'p1'; SAVEPOINT b");
        done(&nora, "UPDATE orders SET total = 12 WHERE id = 'o1'; UPDATE parts SET amount = 22 WHERE id = 'p1'");
        assert_eq!(code(&nora, "INSERT INTO parts (id, amount) VALUES ('p1', 7)"), "23505");
        done(&nora, "ROLLBACK TO b");
        let seen = |client| {
            let sql =
                "SELECT total::int FROM orders WHERE id = 'o1' UNION ALL SELECT amount::int FROM parts WHERE id = 'p1'";
            let mut seen = ask(client, sql).unwrap();
            seen.sort();
            seen
        };
        assert_eq!(seen(&nora), ["11", "21"]);
        done(&nora, "ROLLBACK TO a");
        assert_eq!(seen(&nora), ["1", "11"]);
        done(&nora, "UPDATE parts SET amount = 31 WHERE id = 'p1'; RELEASE a; ROLLBACK TO before");
        assert_eq!(seen(&nora), ["1", "10"]);
        done(
            &nora,
            "UPDATE orders SET total = 13 WHERE id = 'o1'; UPDATE parts SET amount = 41 WHERE id = 'p1'; COMMIT",
        );
        assert_eq!(world.places.orders(), ["o1=13", "o2=20"]);
        assert_eq!(world.parts(&nora), ["p1=41", "p2=2"]);
        leaves_nothing(world);
    });
}

/// A source that a failed block has left takes part anew, as a part of its own.
#[test]
fn a_source_that_a_failure_let_go_takes_part_anew() {
    each(|world| {
        if matches!(world.places.store, Store::MongoDb | Store::Memory) {
            // It has no savepoints, or has no lock that others wait for, and stays.
            return;
        }
        let (nora, other) = (world.client("nora"), world.client("nora"));
        done(&other, "SET statement_timeout = '20s'");
        done(&nora, "BEGIN; UPDATE orders SET total = 11 WHERE id = 'o1'; SAVEPOINT a");
        done(&nora, "UPDATE parts SET amount = 21 WHERE id = 'p1'");
        assert_eq!(code(&nora, "SELECT 1 / 0"), "22012");
        done(&other, "UPDATE parts SET amount = 31 WHERE id = 'p1'");
        done(&nora, "ROLLBACK TO a; UPDATE parts SET amount = amount + 1 WHERE id = 'p1'; COMMIT");
        assert_eq!(world.places.orders(), ["o1=11", "o2=20"]);
        assert_eq!(world.parts(&nora), ["p1=32", "p2=2"]);
        leaves_nothing(world);
    });
}

#[test]
fn a_source_that_is_only_read_needs_no_decision() {
    for level in ["READ COMMITTED", "REPEATABLE READ"] {
        let world = World::new(Store::Postgres);
        let nora = world.client("nora");
        done(&nora, &format!("BEGIN ISOLATION LEVEL {level}"));
        done(&nora, "SELECT * FROM orders; SELECT * FROM notes");
        done(&nora, "UPDATE parts SET amount = 9 WHERE id = 'p1'");
        done(&nora, "COMMIT");
        assert_eq!(world.parts(&nora), ["p1=9", "p2=2"]);
        done(&nora, &format!("BEGIN ISOLATION LEVEL {level}"));
        done(
            &nora,
            "SELECT * FROM orders; INSERT INTO notes (id, text) VALUES ('n1', 'x'); UPDATE parts SET amount = 8 WHERE id = 'p1'",
        );
        assert_eq!(ask(&nora, "SELECT text FROM notes").unwrap(), ["x"]);
        done(&nora, "COMMIT");
        assert_eq!(world.parts(&nora), ["p1=8", "p2=2"]);
        assert_eq!(world.places.ask("desk", "SELECT text FROM notes"), ["x"]);
        leaves_nothing(&world);
    }
}

#[test]
fn three_sources_commit_together() {
    each(|world| {
        let nora = world.client("nora");
        done(
            &nora,
            "BEGIN; UPDATE orders SET total = 1; INSERT INTO notes (id, text) VALUES ('n', 'x'); UPDATE parts SET amount = 1",
        );
        done(&nora, "COMMIT");
        assert_eq!(world.places.orders(), ["o1=1", "o2=1"]);
        assert_eq!(world.places.ask("desk", "SELECT text FROM notes"), ["x"]);
        assert_eq!(world.parts(&nora), ["p1=1", "p2=1"]);
        leaves_nothing(world);
    });
}

/// What holds together without a BEGIN is stored in all sources or in none.
#[test]
fn a_text_of_several_statements_is_of_all_sources() {
    each(|world| {
        let nora = world.client("nora");
        done(&nora, "UPDATE orders SET total = 1; UPDATE parts SET amount = 5");
        assert_eq!(world.places.orders(), ["o1=1", "o2=1"]);
        assert_eq!(world.parts(&nora), ["p1=5", "p2=5"]);
        let fails =
            "UPDATE orders SET total = 2; UPDATE parts SET amount = 6; INSERT INTO parts (id, amount) VALUES ('p1', 7)";
        assert_eq!(code(&nora, fails), "23505");
        assert_eq!(world.places.orders(), ["o1=1", "o2=1"]);
        assert_eq!(world.parts(&nora), ["p1=5", "p2=5"]);
        leaves_nothing(world);
    });
}

#[test]
fn a_batch_over_rest_is_of_all_sources() {
    each(|world| {
        let rest = world.server.rest.unwrap();
        let login = json!({"email": "nora@shop.example", "password": PASSWORD});
        let token = Request::new("POST", "/api/v1/auth/sign-in/email").json(&login).send(rest).json();
        let token = format!("Bearer {}", token["token"].as_str().unwrap());
        let batch = |part: &str| -> Value {
            let operations = json!([
                {"object": "shop_orders", "action": "create", "data": {"id": format!("o{part}"), "total": 3}},
                {"object": "shop_parts", "action": "create", "data": {"id": part, "amount": 4}},
            ]);
            let request =
                Request::new("POST", "/api/v1/batch").json(&json!({"operations": operations, "atomic": true}));
            let answer = request.header("authorization", &token).send(rest);
            json!([answer.status, answer.json()])
        };
        let nora = world.client("nora");
        let made = batch("p3");
        assert_eq!(made[0], 200, "{made}");
        assert_eq!(world.places.orders(), ["o1=10", "o2=20", "op3=3"]);
        assert_eq!(world.parts(&nora), ["p1=1", "p2=2", "p3=4"]);
        // The second one is there: the first is not stored.
        let refused = batch("p1");
        assert_ne!(refused[0], 200, "{refused}");
        assert_eq!(world.places.orders(), ["o1=10", "o2=20", "op3=3"]);
        assert_eq!(world.parts(&nora), ["p1=1", "p2=2", "p3=4"]);
        leaves_nothing(world);
    });
}
