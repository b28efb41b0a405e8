//! Results of database servers in several endpoints: every row in exactly one, the same rows as through the Postgres door, and
//! those of PostgreSQL as they were at one moment.

use crate::client::{Failure, Flight, statement, tickets};
use crate::text::cells;
use arrow_flight::{CancelFlightInfoRequest, FlightInfo};
use prost::Message as _;
use querygate_tests::server::{DEMO_USERS, Server, find_after, runtime};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

const PATIENCE: Duration = Duration::from_secs(60);

type Lines = Vec<Vec<Option<String>>>;

/// The demo over private servers.
struct Servers {
    server: Server,
    folder: PathBuf,
    mongodb: bool,
}

fn installed() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let postgres = versions.map(|version| version.path().join("bin/initdb")).any(|program| program.exists());
    let there = postgres && Path::new("/usr/sbin/mariadbd").exists();
    assert!(there || std::env::var_os("CI").is_none(), "PostgreSQL and MariaDB must be installed");
    if !there {
        eprintln!("SKIPPED: servers are absent (apt-get install postgresql mariadb-server)");
    }
    there
}

/// Started once; one test at a time, because results that are divided share the source's connections.
fn servers() -> Option<MutexGuard<'static, Servers>> {
    static SERVERS: LazyLock<Mutex<Servers>> = LazyLock::new(|| {
        let mut server = Server::start(&["demo", "--backends"]);
        let _ = server.wait_for("Ctrl-C stops", 0);
        let guide = server.lines();
        server.postgres = find_after(&guide, "demo-ada@").trim_end_matches("/demo'").parse().unwrap();
        server.flight = find_after(&guide, "grpc://").parse().unwrap();
        server.http = find_after(&guide, "curl http://").trim_end_matches("/readyz,").parse().unwrap();
        let folder = PathBuf::from(find_after(&guide, "metadata is in ").trim_end_matches("/metadata."));
        let mongodb = guide.iter().any(|line| line.contains("MongoDB: a private server"));
        Mutex::new(Servers { server, folder, mongodb })
    });
    installed().then(|| SERVERS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn sorted(mut rows: Lines) -> Lines {
    rows.sort();
    rows
}

async fn at_postgres(client: &Client, sql: &str) -> Lines {
    let messages = client.simple_query(sql).await.unwrap();
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    });
    sorted(rows.collect())
}

async fn cancel(flight: &Flight, info: FlightInfo) {
    let request = CancelFlightInfoRequest { info: Some(info) };
    flight.act("CancelFlightInfo", request.encode_to_vec()).await.unwrap();
}

#[test]
fn ranges_of_each_servers_rows_together_give_each_principal_the_rows_of_the_postgres_door() {
    let Some(servers) = servers() else { return };
    let tables: &[&str] = if servers.mongodb {
        &["customers", "orders", "products", "reviews"]
    } else {
        &["customers", "orders", "products"]
    };
    runtime().block_on(async {
        let (mut compared, mut rows) = (0, 0);
        for user in DEMO_USERS {
            let postgres = servers.server.client(user).await;
            let flight = Flight::login(&servers.server, user).await;
            for table in tables {
                for sql in [
                    format!("SELECT * FROM {table}"),
                    format!("SELECT id, length(id) AS l FROM {table} WHERE id LIKE '%7'"),
                    format!("SELECT id FROM {table} WHERE id = 'none of them'"),
                ] {
                    let info = flight.divided(&sql, "3").await.unwrap();
                    let expected = at_postgres(&postgres, &sql).await;
                    let mut parts = Vec::new();
                    for ticket in tickets(&info) {
                        parts.push(cells(&flight.get(ticket).await.unwrap()));
                    }
                    let filled = parts.iter().filter(|part| !part.is_empty()).count();
                    if expected.len() > 100 {
                        assert_eq!((parts.len(), filled), (3, 3), "{user}: {sql}");
                    }
                    let found = sorted(parts.concat());
                    assert!(found == expected, "{user}, {} endpoints: {sql}", info.endpoint.len());
                    // How many rows there are is not said.
                    assert_eq!(info.total_records, -1);
                    compared += 1;
                    rows += found.len();
                    cancel(&flight, info).await;
                }
            }
        }
        println!("{compared} divided results of {} tables compared, {rows} rows", tables.len());
        assert!(compared == 9 * tables.len() && rows > 20_000, "{compared} {rows}");
    });
}

/// A connection to the private server that may write.
async fn owner(servers: &Servers) -> Client {
    let config = std::fs::read_to_string(servers.folder.join("querygate.toml")).unwrap();
    let entry = config.split("[[sources]]").find(|entry| entry.contains("kind = \"postgres\"")).unwrap();
    let port = entry.lines().find_map(|line| line.strip_prefix("port = ")).unwrap().parse().unwrap();
    let password = std::fs::read_to_string(servers.folder.join("shop/password")).unwrap();
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).user("postgres").password(password.trim()).dbname("shop");
    let (client, connection) = config.connect(NoTls).await.unwrap();
    runtime().spawn(connection);
    client
}

/// Snapshots that are open at the private server, by connections of the gate.
async fn kept(owner: &Client) -> i64 {
    let sql =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'querygate' AND state = 'idle in transaction'";
    owner.query_one(sql, &[]).await.unwrap().get(0)
}

/// The server sees a connection go a little later than the gate closes it.
async fn until_kept(owner: &Client, expected: i64) {
    let began = Instant::now();
    loop {
        let found = kept(owner).await;
        if found == expected {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{found} snapshots are kept, not {expected}");
    }
}

/// Ids and a number of every order, twice: in ranges of a key, because the table is small; sam's with a policy inside.
#[test]
fn all_endpoints_of_postgresql_see_one_moment() {
    let Some(servers) = servers() else { return };
    let sql = "SELECT id, amount, placed_on FROM orders";
    runtime().block_on(async {
        let owner = owner(&servers).await;
        for user in ["ada", "sam"] {
            let (postgres, flight) =
                (servers.server.client(user).await, Flight::login(&servers.server, user).await);
            let before = at_postgres(&postgres, sql).await;
            let info = flight.divided(sql, "3").await.unwrap();
            assert_eq!(info.endpoint.len(), 3, "{user}");
            until_kept(&owner, 1).await;
            let mut parts = Vec::new();
            for ticket in tickets(&info) {
                // Between any two fetches everything changes: rows go, come, and move from the first range to the last.
                let changes = "BEGIN; UPDATE orders SET amount = amount + 1; DELETE FROM orders WHERE id LIKE '%5';
                    UPDATE orders SET id = 'z' || id WHERE id LIKE '%3' AND id NOT LIKE 'z%';
                    INSERT INTO orders SELECT 'new' || id || random(), customer_id, product_id, region, amount, placed_on
                        FROM orders LIMIT 100; COMMIT";
                owner.batch_execute(changes).await.unwrap();
                parts.push(cells(&flight.get(ticket).await.unwrap()));
            }
            let found = sorted(parts.concat());
            assert!(found == before, "{user}: {} rows of {}", found.len(), before.len());
            assert!(sorted(cells(&flight.query(sql).await.unwrap())) != before, "{user}: nothing changed");
            // The state is kept for who asks again, and not once nobody wants it.
            let again = cells(&flight.get(tickets(&info).swap_remove(0)).await.unwrap());
            assert!(sorted(again) == sorted(parts.swap_remove(0)), "{user}");
            cancel(&flight, info).await;
            until_kept(&owner, 0).await;
        }
    });
}

#[test]
fn a_state_that_the_server_no_longer_keeps_gives_nothing() {
    let Some(servers) = servers() else { return };
    runtime().block_on(async {
        let (owner, ada) = (owner(&servers).await, Flight::login(&servers.server, "ada").await);
        let info = ada.divided("SELECT id FROM customers", "2").await.unwrap();
        assert_eq!(info.endpoint.len(), 2);
        let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE application_name = 'querygate' AND state = 'idle in transaction'";
        assert_eq!(owner.query_one(ended, &[]).await.unwrap().get::<_, i64>(0), 1);
        until_kept(&owner, 0).await;
        for ticket in tickets(&info) {
            let Failure { sqlstate, message, .. } = ada.get(ticket).await.unwrap_err();
            assert!(sqlstate == "0A000" && message.contains("no longer keeps"), "{sqlstate} {message}");
        }
        cancel(&ada, info).await;
        assert!(ada.query("SELECT id FROM customers").await.unwrap().rows() > 0);
    });
}

/// Emptied, a table has no rows even for a moment from before: what is left of a result is refused, not missing.
#[test]
fn a_table_that_is_truncated_between_two_fetches_gives_an_error_instead_of_fewer_rows() {
    let Some(servers) = servers() else { return };
    runtime().block_on(async {
        let owner = owner(&servers).await;
        for user in ["ada", "sam"] {
            let flight = Flight::login(&servers.server, user).await;
            let sql = "SELECT id FROM orders";
            let before = flight.query(sql).await.unwrap().rows();
            let info = flight.divided(sql, "3").await.unwrap();
            assert_eq!(info.endpoint.len(), 3, "{user}");
            let mut left = tickets(&info).into_iter();
            assert!(flight.get(left.next().unwrap()).await.unwrap().rows() > 0, "{user}");
            // The same rows afterwards, in another file.
            let change = "BEGIN; CREATE TEMP TABLE saved ON COMMIT DROP AS SELECT * FROM orders; TRUNCATE orders;
                INSERT INTO orders SELECT * FROM saved; COMMIT";
            owner.batch_execute(change).await.unwrap();
            for ticket in left {
                let Failure { sqlstate, message, .. } = flight.get(ticket).await.unwrap_err();
                assert!(sqlstate == "0A000" && message.contains("no longer keeps"), "{user}: {sqlstate} {message}");
            }
            cancel(&flight, info).await;
            until_kept(&owner, 0).await;
            assert_eq!(flight.query(sql).await.unwrap().rows(), before, "{user}");
        }
    });
}

/// More results at a time than the source has room for: those without are whole.
#[test]
fn what_is_kept_leaves_the_source_room() {
    let Some(servers) = servers() else { return };
    runtime().block_on(async {
        let (owner, ada) = (owner(&servers).await, Flight::login(&servers.server, "ada").await);
        let mut infos = Vec::new();
        for _ in 0..8 {
            infos.push(ada.divided("SELECT id FROM customers", "3").await.unwrap());
        }
        let divided = infos.iter().filter(|info| info.endpoint.len() == 3).count();
        let whole = infos.iter().filter(|info| info.endpoint.len() == 1).count();
        // Of four moments that a pool of eight connections keeps, one user has a quarter.
        assert_eq!((divided, whole), (1, 7));
        until_kept(&owner, i64::try_from(divided).unwrap()).await;
        let rows = ada.info(&statement("SELECT id FROM customers")).await.unwrap();
        let rows = ada.all(&rows).await.unwrap().rows();
        for info in infos {
            assert_eq!(ada.all(&info).await.unwrap().rows(), rows);
            cancel(&ada, info).await;
        }
        until_kept(&owner, 0).await;
    });
}
