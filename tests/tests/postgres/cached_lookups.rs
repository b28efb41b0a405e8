//! Look-ups that are asked for in one go and run without being prepared for again: each answer is the one that the same messages get
//! one by one, and whatever changes in between is seen by the next run.

use super::common::Server as Database;
use super::{configured, shop};
use querygate_tests::server::{Frame, RawClient, Server, runtime};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, Statement};

const NOTE: &str = "SELECT note FROM orders WHERE id = $1";

/// A value of Bind, and its format.
type Given<'a> = (Option<&'a [u8]>, u8);

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], length.as_slice(), body].concat()
}

fn bind(statement: &str, values: &[Given<'_>], forms: &[u8]) -> Vec<u8> {
    let count = |count: usize| u16::try_from(count).unwrap().to_be_bytes();
    let mut body = [b"\0", statement.as_bytes(), b"\0"].concat();
    body.extend(count(values.len()));
    values.iter().for_each(|(_, format)| body.extend([0, *format]));
    body.extend(count(values.len()));
    for (value, _) in values {
        body.extend(value.map_or(-1, |value| i32::try_from(value.len()).unwrap()).to_be_bytes());
        body.extend(value.unwrap_or_default());
    }
    body.extend(count(forms.len()));
    forms.iter().for_each(|form| body.extend([0, *form]));
    message(b'B', &body)
}

/// The whole request in one write.
fn in_one_go(client: &mut RawClient, bind: &[u8]) -> Vec<Frame> {
    let request = [bind, &message(b'D', b"P\0"), &message(b'E', &[0; 5]), &message(b'S', b"")].concat();
    client.tcp.write_all(&request).unwrap();
    client.read_until(b'Z')
}

/// The same messages with one between them that asks for nothing.
fn one_by_one(client: &mut RawClient, bind: &[u8]) -> Vec<Frame> {
    let flush = message(b'H', b"");
    let request = [bind, &message(b'D', b"P\0"), &flush, &message(b'E', &[0; 5]), &flush, &message(b'S', b"")].concat();
    client.tcp.write_all(&request).unwrap();
    client.read_until(b'Z')
}

fn prepared(client: &mut RawClient, name: &str, sql: &str) {
    client.send(b'P', format!("{name}\0{sql}\0\0\0").as_bytes());
    client.send(b'S', b"");
    let said = client.read_until(b'Z');
    assert_eq!(said[0].tag, b'1', "{said:?}");
}

fn queried(client: &mut RawClient, sql: &str) {
    client.query(sql);
    let said = client.read_until(b'Z');
    assert!(said.iter().all(|frame| frame.tag != b'E'), "{sql}: {said:?}");
}

/// Requests that were answered as a whole, so far.
fn at_once(server: &Server) -> u64 {
    let metrics = server.get("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix("querygate_pgwire_at_once_total "));
    line.map_or(0, |count| count.trim().parse().unwrap())
}

/// Asks until requests of this statement are answered as a whole: its first runs are planned, described, and leave what they found.
fn cached(client: &mut RawClient, server: &Server, bind: &[u8]) -> Vec<Frame> {
    for _ in 0..500 {
        let before = at_once(server);
        let said = in_one_go(client, bind);
        if at_once(server) > before {
            return said;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no request is answered as a whole");
}

fn rows(said: &[Frame]) -> usize {
    said.iter().filter(|frame| frame.tag == b'D').count()
}

fn code(said: &[Frame]) -> String {
    let error = said.iter().find(|frame| frame.tag == b'E').unwrap_or_else(|| panic!("{said:?}"));
    let text = String::from_utf8_lossy(&error.body).into_owned();
    text.split('\0').find_map(|field| field.strip_prefix('C')).unwrap().to_owned()
}

fn served(folder: &Path, database: &Database) -> Server {
    configured(folder, database);
    let file = folder.join("querygate.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    // Only the signal reloads, and nothing is checked: a check compares columns.
    let config = config.replace("[metadata]\n", "[metadata]\nwatch_interval = \"0s\"\n");
    std::fs::write(&file, config.replace("verify_sample = 1", "verify_sample = 0")).unwrap();
    Server::serve(&file)
}

#[test]
fn look_ups_in_one_go_are_answered_as_they_are_one_by_one() {
    let Some(database) = Database::start() else { return };
    drop(runtime().block_on(shop(&database)));
    let folder = TempDir::new().unwrap();
    let server = served(folder.path(), &database);
    let mut client = RawClient::login(server.postgres, "nora");
    client.tcp.set_nodelay(true).unwrap();
    prepared(&mut client, "n", "SELECT id, note FROM orders WHERE id = $1");
    prepared(&mut client, "c", "SELECT name, region FROM customers WHERE id = $1");
    for (name, value) in [("n", b"3".as_slice()), ("c", b"c1")] {
        assert_eq!(rows(&cached(&mut client, &server, &bind(name, &[(Some(value), 0)], &[]))), 1);
    }
    let cases: [(&str, Given<'_>, &[u8]); 17] = [
        ("n", (Some(b"5"), 0), &[0]),
        ("n", (Some(b"5.0"), 0), &[0, 0]),
        ("n", (Some(b" 5 "), 0), &[]),
        // Hidden, absent, and beyond the column's type.
        ("n", (Some(b"4"), 0), &[]),
        ("n", (Some(b"-77"), 0), &[]),
        ("n", (Some(b"99999999999999999999999999"), 0), &[]),
        ("n", (Some(b"5.5"), 0), &[]),
        ("n", (Some(b"five"), 0), &[]),
        ("n", (Some(b"NaN"), 0), &[]),
        ("n", (None, 0), &[]),
        // The digits 5 to the base of ten thousand, and such that are cut short.
        ("n", (Some(b"\0\x01\0\0\0\0\0\0\0\x05"), 1), &[]),
        ("n", (Some(b"\0\x01\0\0\0\0\0\0\0"), 1), &[]),
        ("n", (Some(b"5"), 0), &[1]),
        ("n", (Some(b"5"), 0), &[0, 1]),
        ("c", (Some(b"c3"), 1), &[1]),
        ("c", (Some(b"c\xff"), 0), &[]),
        ("c", (Some(b"' OR true --"), 0), &[0, 0, 0]),
    ];
    let mut whole = 0;
    for (name, value, forms) in cases {
        let bind = bind(name, &[value], forms);
        let expected = one_by_one(&mut client, &bind);
        for _ in 0..2 {
            let before = at_once(&server);
            assert_eq!(in_one_go(&mut client, &bind), expected, "{name} {value:?} {forms:?}");
            whole += at_once(&server) - before;
        }
    }
    assert!(whole >= 12, "only {whole} were answered as a whole");
    // More values than there are parameters, and a statement that is not there.
    for bind in [bind("n", &[(Some(b"5"), 0), (Some(b"5"), 0)], &[]), bind("none", &[(Some(b"5"), 0)], &[])] {
        let expected = one_by_one(&mut client, &bind);
        assert_eq!(in_one_go(&mut client, &bind), expected);
        assert_eq!(expected[0].tag, b'E');
    }
    several_keys(&mut client, &server);
    many_in_one_write(&mut client);
    transactions_and_settings(&mut client, &server);
}

/// A few keys are found at once.
fn several_keys(client: &mut RawClient, server: &Server) {
    prepared(client, "k", "SELECT name, region FROM customers WHERE id IN ($1, $2, $3) ORDER BY id");
    let keys = |keys: [Option<&'static str>; 3]| {
        let values = keys.map(|key| (key.map(str::as_bytes), 0));
        bind("k", &values, &[])
    };
    let both = cached(client, server, &keys([Some("c1"), Some("c3"), Some("c1")]));
    assert_eq!(rows(&both), 2, "{both:?}");
    let cases = [
        [Some("c3"), Some("c1"), Some("none")],
        [Some("c1"), Some("c1"), Some("c1")],
        [Some("none"), Some(""), Some("' OR true --")],
        [None, Some("c1"), None],
        [None, None, None],
    ];
    for case in cases {
        let bind = keys(case);
        let expected = one_by_one(client, &bind);
        for _ in 0..2 {
            assert_eq!(in_one_go(client, &bind), expected, "{case:?}");
        }
    }
}

/// Requests that are sent without waiting are answered in their order.
fn many_in_one_write(client: &mut RawClient) {
    let one = |id: usize| {
        let id = id.to_string();
        let bind = bind("n", &[(Some(id.as_bytes()), 0)], &[]);
        [bind, message(b'E', &[0; 5]), message(b'S', b"")].concat()
    };
    let ids: Vec<usize> = (1..300).filter(|id| id % 3 != 1).collect();
    let requests: Vec<u8> = ids.iter().flat_map(|id| one(*id)).collect();
    client.tcp.write_all(&requests).unwrap();
    for id in ids {
        let said = client.read_until(b'Z');
        let id = id.to_string();
        let row = said.iter().find(|frame| frame.tag == b'D').unwrap_or_else(|| panic!("{id}: {said:?}"));
        assert_eq!(&row.body[6..6 + id.len()], id.as_bytes());
    }
}

/// Inside of a transaction, and with other settings, nothing is taken for granted.
fn transactions_and_settings(client: &mut RawClient, server: &Server) {
    let one = bind("n", &[(Some(b"5"), 0)], &[]);
    let usual = cached(client, server, &one);
    queried(client, "BEGIN");
    let before = at_once(server);
    let said = in_one_go(client, &one);
    assert_eq!((said.last().unwrap().body.as_slice(), at_once(server)), (b"T".as_slice(), before));
    assert_eq!(said[..said.len() - 1], usual[..usual.len() - 1]);
    client.query("SELECT 1 / 0");
    client.read_until(b'Z');
    let said = in_one_go(client, &one);
    assert_eq!((code(&said).as_str(), said.last().unwrap().body.as_slice()), ("25P02", b"E".as_slice()));
    queried(client, "ROLLBACK");
    assert_eq!(cached(client, server, &one), usual);
    // A portal that is left open keeps its place.
    client.send(b'B', &one[5..]);
    let request = [message(b'E', b"\0\0\0\0\x01"), one.clone(), message(b'E', &[0; 5]), message(b'S', b"")].concat();
    client.tcp.write_all(&request).unwrap();
    assert_eq!(rows(&client.read_until(b'Z')), 2);
    queried(client, "SET TimeZone = 'Asia/Tokyo'");
    assert_eq!(cached(client, server, &one), usual);
    queried(client, "DEALLOCATE n");
    assert_eq!(code(&in_one_go(client, &one)), "26000");
}

struct Asking {
    client: Client,
    note: Statement,
}

impl Asking {
    async fn of(server: &Server, user: &str) -> Self {
        let client = server.client(user).await;
        let note = client.prepare(NOTE).await.unwrap();
        Self { client, note }
    }

    async fn notes(&self, id: i64) -> Result<Vec<Option<String>>, tokio_postgres::Error> {
        let rows = self.client.query(&self.note, &[&id]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Asks until such requests are answered as a whole.
    async fn cached(&self, server: &Server, id: i64) {
        for _ in 0..500 {
            let before = at_once(server);
            self.notes(id).await.unwrap();
            if at_once(server) > before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no request is answered as a whole");
    }
}

#[test]
fn what_changes_between_look_ups_is_seen_by_the_next() {
    let Some(database) = Database::start() else { return };
    let admin = runtime().block_on(shop(&database));
    let folder = TempDir::new().unwrap();
    let server = served(folder.path(), &database);
    let asking = runtime().block_on(async {
        let asking = Asking::of(&server, "nora").await;
        asking.cached(&server, 3).await;
        asking
    });
    runtime().block_on(stopped(&database, &admin, &server, &asking));
    reloaded(folder.path(), &server, &asking);
    runtime().block_on(killed(&database, &server, &asking));
}

/// Cancel and time reach a look-up that waits for its source, and only that one.
async fn stopped(database: &Database, admin: &Client, server: &Server, asking: &Asking) {
    let beside = Asking::of(server, "nora").await;
    beside.cached(server, 3).await;
    let holder = database.client("shop").await;
    holder.batch_execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await.unwrap();
    asking.client.batch_execute("SET statement_timeout = '300ms'").await.unwrap();
    let token = beside.client.cancel_token();
    let watcher = server.client("nora").await;
    let states = "SELECT count(*) FROM querygate.sessions WHERE state = 'active'";
    assert_eq!(watcher.query_one(states, &[]).await.unwrap().get::<_, i64>(0), 1, "itself");
    let canceled = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let active: i64 = watcher.query_one(states, &[]).await.unwrap().get(0);
        token.cancel_query(NoTls).await.unwrap();
        active
    };
    let began = Instant::now();
    let (timed_out, cancel, active) = tokio::join!(asking.notes(3), beside.notes(3), canceled);
    assert_eq!(active, 3, "look-ups that wait for their source are active");
    for (error, words) in [(timed_out.unwrap_err(), "timeout"), (cancel.unwrap_err(), "user request")] {
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error}");
        assert!(error.as_db_error().unwrap().message().contains(words), "{error}");
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let timed_out = server.get("/metrics");
    assert!(timed_out.contains("outcome=\"57014\"} 2"), "{timed_out}");
    holder.batch_execute("ROLLBACK").await.unwrap();
    // A cancel of nothing hits nothing.
    token.cancel_query(NoTls).await.unwrap();
    for one in [asking, &beside] {
        assert_eq!(one.notes(3).await.unwrap(), [Some("note 3".to_owned())]);
    }
    asking.client.batch_execute("RESET statement_timeout").await.unwrap();
    let active = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'querygate' AND state = 'active'";
    let until = Instant::now() + Duration::from_secs(20);
    while admin.query_one(active, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(Instant::now() < until, "the source still works on what was ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Another policy, then no right at all, then the first again, for a statement that was prepared before all of them.
fn reloaded(folder: &Path, server: &Server, asking: &Asking) {
    let file = folder.join("metadata/shop.json");
    let before = std::fs::read_to_string(&file).unwrap();
    let load = |text: &str| {
        let from = server.lines().len();
        std::fs::write(&file, text).unwrap();
        server.signal("HUP");
        let _ = server.wait_for("metadata reloaded", from);
    };
    let seen = |id: i64| runtime().block_on(asking.notes(id));
    runtime().block_on(asking.cached(server, 3));
    let south = before.replace("region == current_user.region", "region == 'south'");
    assert_ne!(before, south);
    load(&south);
    for _ in 0..3 {
        assert_eq!(seen(3).unwrap(), [None::<String>; 0]);
        assert_eq!(seen(4).unwrap(), [Some("note 4".to_owned())]);
    }
    runtime().block_on(asking.cached(server, 4));
    let mut none: serde_json::Value = serde_json::from_str(&before).unwrap();
    none["packages"][0]["manifest"]["permissions"][0]["objects"]["shop_orders"]["allowRead"] = false.into();
    assert_ne!(before, none.to_string());
    load(&none.to_string());
    for _ in 0..3 {
        let error = seen(4).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE), "{error}");
    }
    load(&before);
    assert_eq!(seen(4).unwrap(), [None::<String>; 0]);
    assert_eq!(seen(3).unwrap(), [Some("note 3".to_owned())]);
    runtime().block_on(asking.cached(server, 3));
}

/// The source dies while it is asked and comes back.
async fn killed(database: &Database, server: &Server, asking: &Asking) {
    let until = Instant::now() + Duration::from_secs(20);
    let asked = async {
        while asking.notes(3).await.is_ok() {
            assert!(Instant::now() < until, "nothing fails without its source");
        }
        let error = asking.notes(3).await.unwrap_err();
        let code = error.code().unwrap_or_else(|| panic!("{error}")).code();
        assert!(code.starts_with("08"), "{error}");
    };
    let kill = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        database.kill();
    };
    tokio::join!(asked, kill);
    database.run();
    let until = Instant::now() + Duration::from_secs(30);
    while let Err(error) = asking.notes(3).await {
        assert!(Instant::now() < until, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    asking.cached(server, 3).await;
}
