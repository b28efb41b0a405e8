//! Rows found by a key, for many clients at once over a few connections of the source: each with its own rights, values, errors, cancel
//! and time, before and after a reload.

use super::common::Server as Database;
use super::{answer, configured, shop};
use futures::future::join_all;
use querygate_tests::server::{Server, runtime};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, Statement};

const BY_ID: &str = "SELECT id, region, note FROM orders WHERE id = $1";
const DIVIDED: &str = "SELECT 1000 / (id - $2) FROM orders WHERE id = $1";

/// What the policy of `configured` lets each see.
fn sees(user: &str, id: i64) -> bool {
    (id % 3 == 1 || id == 0) == (user == "sven")
}

struct Asking {
    user: &'static str,
    client: Client,
    by_id: Statement,
}

impl Asking {
    /// Looks at one order: the row that its user may see, and no other.
    async fn look(&self, id: i64) -> Result<(), tokio_postgres::Error> {
        let rows = self.client.query(&self.by_id, &[&id]).await?;
        assert_eq!(rows.len(), usize::from(sees(self.user, id)), "{} {id}", self.user);
        for row in rows {
            let region = if self.user == "sven" { "south" } else { "north" };
            assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (id, region));
            let note = match id {
                0 => Some("hidden zero".to_owned()),
                _ => (id % 10 != 0).then(|| format!("note {id}")),
            };
            assert_eq!(row.get::<_, Option<String>>(2), note);
        }
        Ok(())
    }
}

async fn asking(server: &Server, count: usize) -> Vec<Asking> {
    let mut all = Vec::new();
    for number in 0..count {
        let user = if number % 2 == 0 { "nora" } else { "sven" };
        let client = server.client(user).await;
        let by_id = client.prepare(BY_ID).await.unwrap();
        let asking = Asking { user, client, by_id };
        asking.look(3).await.unwrap();
        all.push(asking);
    }
    all
}

/// Connections given to statements of their own, so far.
fn leases(server: &Server) -> u64 {
    let metrics = server.get("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix("querygate_source_leases_total{source=\"shop\"} "));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn look_ups_of_many_clients_share_connections_and_nothing_else() {
    let Some(database) = Database::start() else { return };
    let admin = runtime().block_on(shop(&database));
    let folder = TempDir::new().unwrap();
    configured(folder.path(), &database);
    let file = folder.path().join("querygate.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    // Only the signal reloads.
    let config = config.replace("[metadata]\n", "[metadata]\nwatch_interval = \"0s\"\n");
    std::fs::write(&file, &config).unwrap();
    checked(&Server::serve(&file));

    // The check would run each statement a second time, on connections of its own.
    std::fs::write(&file, config.replace("verify_sample = 1", "verify_sample = 0")).unwrap();
    let server = Server::serve(&file);
    let clients = runtime().block_on(asking(&server, 16));
    let before = leases(&server);
    runtime().block_on(join_all(clients.iter().enumerate().map(|(number, asking)| async move {
        for round in 0..50 {
            asking.look(i64::try_from((round * 16 + number) % 3_000).unwrap()).await.unwrap();
        }
    })));
    let own = leases(&server) - before;
    assert!(own < 400, "{own} of 800 had a connection of their own");
    runtime().block_on(values(&clients));
    runtime().block_on(stopped(&database, &admin, &clients));
    reloaded(folder.path(), &server, &clients);
    runtime().block_on(killed(&database, &clients));
}

/// The same rows as the gate computes itself: the first time planned, then not.
fn checked(server: &Server) {
    for _ in 0..4 {
        for id in [0, 4, 5] {
            for user in ["nora", "sven"] {
                let row = answer(server, user, &format!("SELECT id, note FROM orders WHERE id = {id}"));
                assert_eq!(!row.is_empty(), sees(user, id), "{user} {id}");
            }
        }
    }
    let found = server.self_checks();
    assert!(found["equal"] >= 24 && !found.contains_key("different") && !found.contains_key("failed"), "{found:?}");
}

/// No value, and values that fail, beside others.
async fn values(clients: &[Asking]) {
    let asked = clients.iter().map(|asking| async move {
        assert_eq!(asking.client.query(&asking.by_id, &[&None::<i64>]).await.unwrap().len(), 0);
        let divided = asking.client.prepare(DIVIDED).await.unwrap();
        for round in 0..20_i64 {
            // Of north and of south in turn; what it fails on is the row itself.
            let id = 100 + round;
            let outcome = asking.client.query(&divided, &[&id, &(id - round % 2)]).await;
            match (sees(asking.user, id), round % 2) {
                (false, _) => assert_eq!(outcome.unwrap().len(), 0, "nothing is divided on a hidden row"),
                (true, 0) => assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::DIVISION_BY_ZERO)),
                (true, _) => assert_eq!(outcome.unwrap()[0].get::<_, i64>(0), 1_000),
            }
            asking.look(id).await.unwrap();
        }
    });
    join_all(asked).await;
}

/// A table that is locked: cancel and time end who asks for it, and nobody else.
async fn stopped(database: &Database, admin: &Client, clients: &[Asking]) {
    let holder = database.client("shop").await;
    holder.batch_execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (one, two, other) = (&clients[0], &clients[1], &clients[2]);
    one.client.batch_execute("SET statement_timeout = '300ms'").await.unwrap();
    let customers = other.client.prepare("SELECT name FROM customers WHERE id = $1").await.unwrap();
    let token = two.client.cancel_token();
    let canceled = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        token.cancel_query(NoTls).await.unwrap();
    };
    let beside = async {
        for _ in 0..20 {
            assert_eq!(other.client.query(&customers, &[&"c1"]).await.unwrap().len(), 1);
        }
    };
    let asked = Instant::now();
    let (timed_out, cancel, (), ()) = tokio::join!(one.look(3), two.look(4), canceled, beside);
    for error in [timed_out.unwrap_err(), cancel.unwrap_err()] {
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error}");
    }
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    let active = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'querygate' AND state = 'active'";
    let until = Instant::now() + Duration::from_secs(20);
    while admin.query_one(active, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(Instant::now() < until, "the source still works on what was ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    holder.batch_execute("ROLLBACK").await.unwrap();
    one.client.batch_execute("RESET statement_timeout").await.unwrap();
    for asking in clients {
        asking.look(5).await.unwrap();
    }
}

/// Other rights after a reload, for statements that were prepared before.
fn reloaded(folder: &std::path::Path, server: &Server, clients: &[Asking]) {
    let file = folder.join("metadata/shop.json");
    let before = std::fs::read_to_string(&file).unwrap();
    let after = before.replace("region == current_user.region", "region == 'south'");
    assert_ne!(before, after);
    let load = |text: &str| {
        let from = server.lines().len();
        std::fs::write(&file, text).unwrap();
        server.signal("HUP");
        let _ = server.wait_for("metadata reloaded", from);
    };
    load(&after);
    runtime().block_on(async {
        let asked = clients.iter().map(|asking| async move {
            for _ in 0..3 {
                for (id, rows) in [(4_i64, 1), (5, 0)] {
                    assert_eq!(
                        asking.client.query(&asking.by_id, &[&id]).await.unwrap().len(),
                        rows,
                        "{}",
                        asking.user
                    );
                }
            }
        });
        join_all(asked).await;
    });
    load(&before);
    runtime().block_on(async {
        for asking in clients {
            for id in [4, 5] {
                asking.look(id).await.unwrap();
            }
        }
    });
}

/// The source dies in the middle: who asks hears so in time, and later of rows again.
async fn killed(database: &Database, clients: &[Asking]) {
    let until = Instant::now() + Duration::from_secs(20);
    let asked = clients.iter().map(|asking| async move {
        while let Ok(()) = asking.look(5).await {
            assert!(Instant::now() < until, "nothing fails without its source");
        }
        let error = asking.look(5).await.unwrap_err();
        let code = error.code().unwrap_or_else(|| panic!("{error}")).code();
        assert!(code.starts_with("08"), "{error}");
    });
    let kill = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        database.kill();
    };
    tokio::join!(join_all(asked), kill);
    database.run();
    let until = Instant::now() + Duration::from_secs(30);
    for asking in clients {
        while let Err(error) = asking.look(5).await {
            assert!(Instant::now() < until, "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
