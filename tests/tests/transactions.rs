//! Transactions that change a source, through the real binary and the Postgres door: what a session and others see of them, and what is
//! stored when they end, in whichever way they do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use querygate_tests::server::{Frame, PASSWORD, RawClient, Server, add_user, connect, execute, runtime};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

const STACK: &str = include_str!("transactions/stack.yaml");
const SHOP: &str = "CREATE TABLE orders(id text primary key not null, region text, total numeric);
INSERT INTO orders VALUES ('o1','eu',10), ('o2','us',20), ('o3','eu',30);";
const STORE: &str = "CREATE TABLE parts(id text primary key not null, amount integer);
INSERT INTO parts VALUES ('p1',1), ('p2',2);";

struct Gate {
    folder: TempDir,
    server: Server,
}

impl Gate {
    fn new() -> Self {
        Self::with("60s")
    }

    /// `idle`: how long a transaction may wait for its client.
    fn with(idle: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), STACK).unwrap();
        let config = format!(
            "[server]\ndatabase = \"shop\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n[flight]\naddress = \"127.0.0.1:0\"\n\
             [metadata]\npath = \"metadata\"\n[writes]\nenabled = true\nidle_timeout = \"{idle}\"\n\
             [[sources]]\nname = \"shop\"\nkind = \"sqlite\"\npath = \"shop.sqlite\"\nwrites = true\n\
             [[sources]]\nname = \"store\"\nkind = \"sqlite\"\npath = \"store.sqlite\"\nwrites = true\n\
             [[users]]\nname = \"nora\"\npermission_sets = [\"shop_manager\"]\n\
             [[users]]\nname = \"omar\"\npermission_sets = [\"shop_clerk\"]\nattributes = {{ region = \"eu\" }}\n"
        );
        std::fs::write(at("querygate.toml"), config).unwrap();
        for user in ["nora", "omar"] {
            add_user(folder.path(), user);
        }
        execute(&at("shop.sqlite"), SHOP);
        execute(&at("store.sqlite"), STORE);
        let server = Server::serve(&at("querygate.toml"));
        Self { folder, server }
    }

    fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("shop").password(PASSWORD);
        runtime().block_on(connect(&config))
    }

    fn raw(&self, user: &str) -> RawClient {
        RawClient::login_to(self.server.postgres, user, PASSWORD, "shop")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Totals of the orders that are stored, as SQLite itself says.
    fn totals(&self) -> Vec<String> {
        let options = SqliteConnectOptions::new().filename(self.path("shop.sqlite"));
        runtime().block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            let sql = "SELECT CAST(CAST(total AS integer) AS text) FROM orders ORDER BY id";
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            rows.iter().map(|row| row.get::<String, _>(0)).collect()
        })
    }
}

/// The first cell of each row, or the code of the error.
fn ask(client: &Client, sql: &str) -> Result<Vec<String>, String> {
    let messages = runtime()
        .block_on(client.simple_query(sql))
        .map_err(|error| error.as_db_error().map_or_else(|| error.to_string(), |told| told.code().code().to_owned()))?;
    let cells = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    });
    Ok(cells.collect())
}

/// Totals of the orders that a session sees.
fn seen(client: &Client) -> Vec<String> {
    ask(client, "SELECT total::bigint FROM orders ORDER BY id").unwrap()
}

fn done(client: &Client, sql: &str) {
    ask(client, sql).unwrap_or_else(|code| panic!("{sql}: {code}"));
}

fn code(client: &Client, sql: &str) -> String {
    ask(client, sql).expect_err(sql)
}

#[test]
fn a_session_reads_what_it_wrote_and_others_do_not_before_the_commit() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    done(&nora, "BEGIN");
    done(&nora, "UPDATE orders SET total = total + 1 WHERE id = 'o1'");
    done(&nora, "INSERT INTO orders (id, region, total) VALUES ('o4', 'eu', 40)");
    assert_eq!(seen(&nora), ["11", "20", "30", "40"]);
    assert_eq!(ask(&nora, "SELECT total::int FROM orders WHERE id = 'o4'").unwrap(), ["40"]);
    assert_eq!(
        ask(&nora, "SELECT sum(a.total)::int FROM orders a JOIN orders b ON a.region = b.region AND a.id < b.id")
            .unwrap(),
        ["52"]
    );
    assert_eq!(ask(&nora, "SELECT count(*) FROM orders o, parts p").unwrap(), ["8"]);
    assert_eq!(seen(&omar), ["10", "30"]);
    done(&nora, "UPDATE orders SET total = total * 2 WHERE id IN ('o1', 'o4')");
    done(&nora, "DELETE FROM orders WHERE id = 'o2'");
    assert_eq!(gate.totals(), ["10", "20", "30"]);
    done(&nora, "COMMIT");
    assert_eq!(gate.totals(), ["22", "30", "80"]);
    assert_eq!(seen(&omar), ["22", "30", "80"]);
}

#[test]
fn a_rollback_leaves_nothing_and_a_failed_transaction_commits_nothing() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    for end in ["ROLLBACK", "COMMIT"] {
        done(&nora, "BEGIN");
        done(&nora, "UPDATE orders SET total = 1");
        if end == "COMMIT" {
            assert_eq!(code(&nora, "INSERT INTO orders (id) VALUES ('o1')"), "23505");
            assert_eq!(code(&nora, "SELECT 1"), "25P02");
            assert_eq!(code(&nora, "UPDATE orders SET total = 2"), "25P02");
        }
        done(&nora, end);
        assert_eq!(gate.totals(), ["10", "20", "30"], "{end}");
        assert_eq!(seen(&nora), ["10", "20", "30"], "{end}");
    }
    // The writer's place is free again.
    done(&nora, "UPDATE orders SET total = 5 WHERE id = 'o1'");
    assert_eq!(gate.totals(), ["5", "20", "30"]);
}

#[test]
fn savepoints_undo_what_came_after_them() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    done(&nora, "BEGIN; SAVEPOINT before");
    done(&nora, "UPDATE orders SET total = 1 WHERE id = 'o1'; SAVEPOINT a");
    done(&nora, "UPDATE orders SET total = 2 WHERE id = 'o2'; SAVEPOINT a");
    done(&nora, "UPDATE orders SET total = 3 WHERE id = 'o3'");
    assert_eq!(code(&nora, "INSERT INTO orders (id) VALUES ('o1')"), "23505");
    done(&nora, "ROLLBACK TO a");
    assert_eq!(seen(&nora), ["1", "2", "30"]);
    done(&nora, "RELEASE a; ROLLBACK TO a");
    assert_eq!(seen(&nora), ["1", "20", "30"]);
    done(&nora, "ROLLBACK TO before");
    assert_eq!(seen(&nora), ["10", "20", "30"]);
    assert_eq!(code(&nora, "RELEASE a"), "3B001");
    done(&nora, "ROLLBACK TO before; UPDATE orders SET total = 7 WHERE id = 'o3'; COMMIT");
    assert_eq!(gate.totals(), ["10", "20", "7"]);
}

#[test]
fn statements_of_one_text_hold_together() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    assert_eq!(code(&nora, "UPDATE orders SET total = 1; SELECT 1 / 0"), "22012");
    assert_eq!(code(&nora, "UPDATE orders SET total = 1; INSERT INTO orders (id) VALUES ('o1')"), "23505");
    assert_eq!(gate.totals(), ["10", "20", "30"]);
    let read = ask(&nora, "UPDATE orders SET total = 1 WHERE id = 'o1'; SELECT total::int FROM orders WHERE id = 'o1'");
    assert_eq!(read.unwrap(), ["1"]);
    assert_eq!(gate.totals(), ["1", "20", "30"]);
    // What was committed by a word stays, whatever fails after it.
    let text = "BEGIN; UPDATE orders SET total = 2 WHERE id = 'o2'; COMMIT; UPDATE orders SET total = 3; SELECT 1 / 0";
    assert_eq!(code(&nora, text), "22012");
    assert_eq!(gate.totals(), ["1", "2", "30"]);
    // A transaction that was begun in a text goes on after it.
    done(&nora, "UPDATE orders SET total = 8 WHERE id = 'o1'; BEGIN; UPDATE orders SET total = 9 WHERE id = 'o2'");
    assert_eq!(gate.totals(), ["1", "2", "30"]);
    done(&nora, "ROLLBACK");
    assert_eq!(gate.totals(), ["1", "2", "30"]);
}

/// Parse, Bind and Execute of a statement without parameters, as the unnamed ones.
fn pipe(client: &mut RawClient, sql: &str) {
    let mut parse = vec![0];
    parse.extend(sql.bytes().chain([0, 0, 0]));
    client.send(b'P', &parse);
    client.send(b'B', &[0, 0, 0, 0, 0, 0, 0, 0]);
    client.send(b'E', &[0, 0, 0, 0, 0]);
}

fn sync(client: &mut RawClient) -> Vec<Frame> {
    client.send(b'S', &[]);
    client.read_until(b'Z')
}

#[test]
fn a_pipeline_holds_together_up_to_its_sync() {
    let gate = Gate::new();
    let mut raw = gate.raw("nora");
    pipe(&mut raw, "UPDATE orders SET total = 1 WHERE id = 'o1'");
    pipe(&mut raw, "INSERT INTO orders (id) VALUES ('o2')");
    pipe(&mut raw, "UPDATE orders SET total = 3 WHERE id = 'o3'");
    let frames = sync(&mut raw);
    let codes: Vec<_> = frames.iter().filter(|frame| frame.tag == b'E').filter_map(|frame| frame.field(b'C')).collect();
    assert_eq!(codes, ["23505"]);
    assert_eq!(frames.iter().filter(|frame| frame.tag == b'C').count(), 1);
    assert_eq!(frames.last().unwrap().body, b"I");
    assert_eq!(gate.totals(), ["10", "20", "30"]);
    pipe(&mut raw, "UPDATE orders SET total = 1 WHERE id = 'o1'");
    pipe(&mut raw, "UPDATE orders SET total = total + 5");
    pipe(&mut raw, "SELECT total::text FROM orders WHERE id = 'o1'");
    let frames = sync(&mut raw);
    assert!(frames.iter().all(|frame| frame.tag != b'E'), "{frames:?}");
    assert_eq!(gate.totals(), ["6", "25", "35"]);
    let row = frames.iter().find(|frame| frame.tag == b'D').unwrap();
    assert!(String::from_utf8_lossy(&row.body).contains('6'), "{row:?}");
}

#[test]
fn a_client_that_leaves_takes_its_changes_along() {
    let gate = Gate::new();
    for ends in ["leaves", "is silent"] {
        let mut raw = gate.raw("nora");
        if ends == "is silent" {
            raw.query("SET idle_in_transaction_session_timeout = '200ms'");
            raw.read_until(b'Z');
        }
        raw.query("BEGIN");
        raw.read_until(b'Z');
        raw.query("UPDATE orders SET total = 1");
        let frames = raw.read_until(b'Z');
        assert_eq!(frames.last().unwrap().body, b"T", "{frames:?}");
        if ends == "leaves" {
            drop(raw);
        } else {
            let told = raw.read().unwrap();
            assert_eq!(told.field(b'C').as_deref(), Some("25P03"));
        }
        // The file takes one writer at a time: the next one has its turn when the other is gone.
        let nora = gate.client("nora");
        done(&nora, "UPDATE orders SET region = region");
        assert_eq!(gate.totals(), ["10", "20", "30"], "{ends}");
    }
}

#[test]
fn what_a_transaction_may_not() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    done(&nora, "BEGIN READ ONLY");
    assert_eq!(code(&nora, "UPDATE orders SET total = 1"), "25006");
    done(&nora, "ROLLBACK; BEGIN; UPDATE orders SET total = 1");
    assert_eq!(code(&nora, "UPDATE parts SET amount = 1"), "0A000");
    done(&nora, "COMMIT");
    assert_eq!(gate.totals(), ["10", "20", "30"]);
    // Rows that a session does not see are no targets, in a transaction as outside of one.
    done(&omar, "BEGIN; UPDATE orders SET total = 0; COMMIT");
    assert_eq!(gate.totals(), ["0", "20", "0"]);
    done(&omar, "BEGIN");
    assert_eq!(code(&omar, "UPDATE orders SET region = 'us'"), "42501");
    done(&omar, "ROLLBACK");
}

#[test]
fn levels_give_one_moment_from_the_first_read_on() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    done(&nora, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_eq!(seen(&nora), ["10", "20", "30"]);
    done(&nora, "UPDATE orders SET total = 1 WHERE id = 'o1'");
    done(&nora, "DECLARE c CURSOR FOR SELECT total::int FROM orders ORDER BY id");
    done(&nora, "UPDATE orders SET total = 2 WHERE id = 'o2'");
    assert_eq!(ask(&nora, "FETCH ALL FROM c").unwrap(), ["1", "20", "30"]);
    done(&nora, "COMMIT");
    assert_eq!(gate.totals(), ["1", "2", "30"]);
}

#[test]
fn a_cancelled_change_undoes_the_transaction() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    done(&nora, "BEGIN; UPDATE orders SET total = 1 WHERE id = 'o1'");
    done(&nora, "SET statement_timeout = '100ms'");
    let began = Instant::now();
    let sql = "UPDATE orders SET total = (SELECT count(*) FROM generate_series(1, 100000000) g WHERE g % 7 = total)";
    let told = code(&nora, sql);
    assert!(told == "57014" && began.elapsed() < Duration::from_secs(20), "{told} after {:?}", began.elapsed());
    assert_eq!(code(&nora, "SELECT 1"), "25P02");
    done(&nora, "ROLLBACK");
    assert_eq!(gate.totals(), ["10", "20", "30"]);
}

#[test]
fn rows_are_locked_for_who_may_update_them() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    done(&nora, "BEGIN");
    let sql = "SELECT total::int, o.region FROM orders o WHERE total > 10 ORDER BY total DESC FOR UPDATE";
    assert_eq!(ask(&nora, sql).unwrap(), ["30", "20"]);
    // The file has one writer: another waits for it, and is told so when it has waited too long.
    done(&omar, "BEGIN; SET LOCAL statement_timeout = '300ms'");
    assert_eq!(code(&omar, "SELECT id FROM orders FOR SHARE"), "57014");
    done(&omar, "ROLLBACK");
    done(&nora, "UPDATE orders SET total = 31 WHERE id = 'o3'; COMMIT");
    assert_eq!(gate.totals(), ["10", "20", "31"]);
    done(&omar, "BEGIN");
    assert_eq!(ask(&omar, "SELECT id FROM orders ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED").unwrap(), ["o1"]);
    assert_eq!(ask(&omar, "SELECT id FROM orders ORDER BY id DESC FOR SHARE NOWAIT").unwrap(), ["o3", "o1"]);
    assert_eq!(ask(&omar, "SELECT id FROM orders WHERE id = 'o2' FOR UPDATE").unwrap(), Vec::<String>::new());
    done(&omar, "COMMIT");
    assert_eq!(ask(&nora, "SELECT id FROM orders WHERE total > 30 FOR UPDATE").unwrap(), ["o3"]);
    for (sql, expected) in [
        ("SELECT count(*) FROM orders FOR UPDATE", "0A000"),
        ("SELECT DISTINCT region FROM orders FOR UPDATE", "0A000"),
        ("SELECT o.id FROM orders o JOIN parts p ON true FOR UPDATE", "0A000"),
        ("SELECT id FROM (SELECT id FROM orders) o FOR UPDATE", "0A000"),
        ("SELECT id FROM orders UNION SELECT id FROM parts FOR UPDATE", "0A000"),
        ("SELECT id FROM (SELECT id FROM orders FOR UPDATE) o", "0A000"),
        ("SELECT id FROM nothing FOR UPDATE", "42P01"),
        ("BEGIN READ ONLY; SELECT id FROM orders FOR UPDATE", "25006"),
        ("ROLLBACK; BEGIN; SELECT amount FROM parts FOR UPDATE; UPDATE orders SET total = 1", "0A000"),
    ] {
        assert_eq!(code(&nora, sql), expected, "{sql}");
    }
}

#[test]
fn a_pipeline_without_its_end_does_not_keep_the_writers_place() {
    let gate = Gate::with("300ms");
    let mut raw = gate.raw("nora");
    pipe(&mut raw, "UPDATE orders SET total = 1");
    raw.send(b'H', &[]);
    assert!(raw.read_until(b'C').iter().any(|frame| frame.tag == b'C'));
    done(&gate.client("omar"), "UPDATE orders SET total = total + 1");
    assert_eq!(gate.totals(), ["11", "20", "31"]);
    let frames = sync(&mut raw);
    let told = frames.iter().find(|frame| frame.tag == b'E').and_then(|frame| frame.field(b'C'));
    assert_eq!(told.as_deref(), Some("25P03"), "{frames:?}");
    raw.query("UPDATE orders SET total = 5 WHERE id = 'o2'");
    assert!(raw.read_until(b'Z').iter().all(|frame| frame.tag != b'E'));
    assert_eq!(gate.totals(), ["11", "5", "31"]);
}

#[test]
fn writers_of_one_row_all_succeed() {
    let gate = Gate::new();
    let clients: Vec<Client> = (0..4).map(|_| gate.client("nora")).collect();
    runtime().block_on(async {
        let work = clients.iter().map(|client| async move {
            for _ in 0..10 {
                client.simple_query("UPDATE orders SET total = total + 1 WHERE id = 'o1'").await.unwrap();
            }
        });
        futures::future::join_all(work).await;
    });
    assert_eq!(gate.totals(), ["50", "20", "30"]);
}

#[test]
fn who_only_reads_keeps_nobody_from_writing() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    done(&omar, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    assert_eq!(seen(&omar), ["10", "30"]);
    done(&nora, "UPDATE orders SET total = 7 WHERE id = 'o1'");
    done(&omar, "COMMIT");
    assert_eq!(gate.totals(), ["7", "20", "30"]);
}

/// What a holdable cursor has not read when its transaction ends is kept in memory, within a bound: beyond it the COMMIT is refused, in
/// words, and stores nothing.
#[test]
fn rows_that_a_holdable_cursor_keeps_have_a_bound() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    let before = gate.totals();
    let declare = |rows: u32| {
        done(&nora, "BEGIN; UPDATE orders SET total = 7 WHERE id = 'o1'");
        let wide = format!("SELECT repeat('x', 1000) FROM orders, generate_series(1, {rows}) AS t(n) WHERE id = 'o1'");
        done(&nora, &format!("DECLARE c CURSOR WITH HOLD FOR {wide}"));
    };
    declare(100_000);
    let refused = runtime().block_on(nora.simple_query("COMMIT")).unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "53200", "{refused:?}");
    assert!(refused.detail().is_some_and(|detail| detail.contains("cursors keep")), "{refused:?}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("before COMMIT")), "{refused:?}");
    assert_eq!(gate.totals(), before);
    assert_eq!(code(&nora, "FETCH 1 FROM c"), "34000");
    // What was read before is not kept, and the session goes on.
    declare(100_000);
    assert_eq!(ask(&nora, "FETCH 90000 FROM c").unwrap().len(), 90_000);
    done(&nora, "COMMIT");
    assert_eq!(ask(&nora, "FETCH ALL FROM c").unwrap().len(), 10_000);
    assert_eq!(gate.totals()[0], "7");
}

/// As PostgreSQL: a holdable cursor belongs to its transaction until that is committed, and keeps the rows that it stood for.
#[test]
fn cursors_live_as_long_as_what_they_were_declared_in() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    let declare =
        |name: &str| done(&nora, &format!("DECLARE {name} CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id"));
    let all = |name: &str| ask(&nora, &format!("FETCH ALL FROM {name}"));

    done(&nora, "BEGIN");
    declare("a");
    done(&nora, "ROLLBACK");
    assert_eq!(code(&nora, "FETCH 1 FROM a"), "34000");

    declare("before");
    done(&nora, "BEGIN; INSERT INTO orders (id, region, total) VALUES ('o4', 'eu', 40)");
    declare("kept");
    done(
        &nora,
        "DECLARE unread CURSOR WITH HOLD FOR SELECT n FROM orders, generate_series(1, 30000) AS t(n) WHERE id = 'o4'",
    );
    done(&nora, "DECLARE passing CURSOR FOR SELECT id FROM orders");
    assert_eq!(ask(&nora, "FETCH 2 FROM kept").unwrap(), ["o1", "o2"]);
    done(&nora, "SAVEPOINT s");
    declare("later");
    done(&nora, "ROLLBACK TO s");
    assert_eq!(code(&nora, "FETCH 1 FROM later"), "34000");
    done(&nora, "ROLLBACK TO s; COMMIT");
    assert_eq!(code(&nora, "FETCH 1 FROM passing"), "34000");
    done(&nora, "DELETE FROM orders WHERE id = 'o4'");
    assert_eq!(all("kept").unwrap(), ["o3", "o4"]);
    assert_eq!(all("before").unwrap(), ["o1", "o2", "o3"]);
    assert_eq!(all("unread").unwrap().len(), 30_000);

    // A text of several statements is a block, which its ROLLBACK undoes.
    let block = "INSERT INTO orders (id) VALUES ('o5'); DECLARE b CURSOR WITH HOLD FOR SELECT id FROM orders; ROLLBACK";
    done(&nora, block);
    assert_eq!(code(&nora, "FETCH 1 FROM b"), "34000");
    let block =
        "INSERT INTO orders (id) VALUES ('o5'); DECLARE b CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id;
        COMMIT; SELECT 1/0";
    assert_eq!(code(&nora, block), "22012");
    done(&nora, "DELETE FROM orders WHERE id = 'o5'");
    assert_eq!(all("b").unwrap(), ["o1", "o2", "o3", "o5"]);

    declare("through");
    assert_eq!(code(&nora, "BEGIN; SELECT 1/0"), "22012");
    done(&nora, "COMMIT");
    assert_eq!(all("through").unwrap(), ["o1", "o2", "o3"]);
    assert_eq!(code(&nora, "BEGIN; ROLLBACK TO nothing"), "3B001");
}
