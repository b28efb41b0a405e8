//! What is refused, and when: before the second source is written.

use crate::world::{LOGIN, Store, World, ask, code, done, postgres};
use querygate_tests::server::{binary, connect, execute, runtime};
use std::process::Command;

#[test]
fn without_a_log_a_transaction_changes_one_source() {
    let world = World::with(Store::Postgres, "");
    let nora = world.client("nora");
    done(&nora, "BEGIN; UPDATE orders SET total = 1");
    assert_eq!(code(&nora, "UPDATE parts SET amount = 1"), "0A000");
    done(&nora, "COMMIT");
    assert_eq!(world.places.orders(), ["o1=10", "o2=20"]);
    assert_eq!(code(&nora, "SELECT * FROM querygate.transactions"), "42P01");
}

#[test]
fn a_server_that_prepares_nothing_is_refused_before_it_is_written() {
    let world = World::new(Store::Sqlite);
    let nora = world.client("nora");
    // The operator's table is not there.
    execute(&world.places.file(), "ALTER TABLE querygate_commits RENAME TO gone");
    done(&nora, "BEGIN; UPDATE orders SET total = 1");
    assert_eq!(code(&nora, "UPDATE parts SET amount = 1"), "0A000");
    done(&nora, "ROLLBACK");
    let config = world.places.folder.path().join("querygate.toml");
    let checked = Command::new(binary()).args(["check", config.to_str().unwrap()]).output().unwrap();
    let told = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && told.contains("source `store` is not changed together with others"), "{told}");
    assert!(!told.contains("source `shop` is not"), "{told}");
}

#[test]
fn operators_alone_see_and_resolve() {
    let world = World::new(Store::Postgres);
    let (nora, olga) = (world.client("nora"), world.client("olga"));
    assert_eq!(ask(&nora, "SELECT count(*) FROM querygate.transactions").unwrap(), ["0"]);
    assert_eq!(code(&nora, "CALL querygate.resolve('qg-1', 'commit')"), "42501");
    assert_eq!(code(&olga, "CALL querygate.resolve('qg-1', 'commit')"), "42704");
    assert_eq!(code(&olga, "CALL querygate.resolve('qg-1', 'maybe')"), "22023");
    assert_eq!(code(&olga, "CALL querygate.resolve('qg-1')"), "42883");
}

#[test]
fn a_log_that_is_missing_is_not_made_up_for() {
    let mut world = World::new(Store::Postgres);
    let nora = world.client("nora");
    done(&nora, "BEGIN; UPDATE orders SET total = 1; UPDATE parts SET amount = 1; COMMIT");
    drop(nora);
    assert_eq!(world.server.stop(), 0);
    std::fs::remove_dir_all(world.places.folder.path().join("transactions")).unwrap();
    let gid = format!("qg-00000000000000{:02x}-7", world.places.number % 256);
    let mut writer = tokio_postgres::Config::new();
    writer.host("127.0.0.1").port(postgres().port).user("writer").password(LOGIN).dbname(world.places.named("shop"));
    let prepare = format!("BEGIN; UPDATE orders SET total = 77 WHERE id = 'o1'; PREPARE TRANSACTION '{gid}-0'");
    runtime().block_on(async { connect(&writer).await.batch_execute(&prepare).await.unwrap() });
    world.restart();
    let (nora, olga) = (world.client("nora"), world.client("olga"));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let found = || ask(&olga, "SELECT gid || ' ' || state || ' ' || participants FROM querygate.transactions").unwrap();
    while found().is_empty() {
        assert!(std::time::Instant::now() < until);
    }
    assert_eq!(found(), [format!("{gid} without a log shop")]);
    done(&nora, "BEGIN; UPDATE parts SET amount = 2");
    assert_eq!(code(&nora, "INSERT INTO notes (id, text) VALUES ('n', 'x')"), "55000");
    done(&nora, "ROLLBACK");
    // One source is changed as ever.
    done(&nora, "UPDATE parts SET amount = 3");
    assert_eq!(world.places.prepared(), 1);
}
