//! Servers that take no changes: one that is a standby, one that is read-only, one that is gone. Other sources go on.

use crate::servers::{ask, client_of, introspected};
use crate::source::{Kind, add};
use crate::{mariadb_server, postgres_server};
use querygate_tests::server::{Server, runtime};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::Client;

const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY, total int); INSERT INTO orders VALUES (1, 0);";
const LOGIN: &str = "reads and writes";
const CHANGE: &str = "UPDATE orders SET total = total + 1";

/// A gate over a server and over a file.
struct Gate {
    _folder: TempDir,
    server: Server,
}

impl Gate {
    fn new(kind: Kind, port: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("login"), LOGIN).unwrap();
        notes(&at("notes.sqlite"));
        let (word, address) = match kind {
            Kind::MariaDb => ("mysql", format!("mysql://reader@127.0.0.1:{port}/orders")),
            Kind::Postgres | Kind::Sqlite => ("postgres", format!("postgres://reader@127.0.0.1:{port}/orders")),
        };
        introspected(folder.path(), &address, "shop");
        introspected(folder.path(), at("notes.sqlite").to_str().unwrap(), "local");
        let login =
            "password = \"file:login\"\nwrites = true\nwrite_user = \"writer\"\nwrite_password = \"file:login\"\n";
        let config = format!(
            "[server]\ndatabase = \"shop\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n\
             [[sources]]\nname = \"shop\"\nkind = \"{word}\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"reader\"\n\
             database = \"orders\"\nconnect_timeout = \"2s\"\n{login}\
             [[sources]]\nname = \"local\"\nkind = \"sqlite\"\npath = \"notes.sqlite\"\nwrites = true\n\
             [[users]]\nname = \"omar\"\npermission_sets = [\"shop_reader\", \"local_reader\"]\n"
        );
        std::fs::write(at("querygate.toml"), config).unwrap();
        add(folder.path(), "omar");
        let server = Server::serve(&at("querygate.toml"));
        Self { _folder: folder, server }
    }

    fn client(&self) -> Client {
        client_of(&self.server, "omar")
    }
}

fn notes(file: &Path) {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    runtime().block_on(async {
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let text = "CREATE TABLE notes (id integer PRIMARY KEY, body text); INSERT INTO notes VALUES (1, 'a')";
        sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

fn postgres() -> postgres_server::Server {
    let server = postgres_server::Server::start().expect("PostgreSQL is installed");
    runtime().block_on(async {
        let client = server.client("postgres").await;
        let users = format!("CREATE USER reader PASSWORD '{LOGIN}'; CREATE USER writer PASSWORD '{LOGIN}'");
        client.batch_execute(&users).await.unwrap();
        client.batch_execute("CREATE DATABASE orders").await.unwrap();
        let rights = "GRANT SELECT ON orders TO reader; GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO writer";
        server.client("orders").await.batch_execute(&format!("{ORDERS}{rights}")).await.unwrap();
    });
    server
}

fn mariadb() -> mariadb_server::Server {
    let server = mariadb_server::Server::start().expect("MariaDB is installed");
    server.sql(&format!(
        "CREATE DATABASE orders; USE orders; {ORDERS}
         CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{LOGIN}'; CREATE USER writer@'127.0.0.1' IDENTIFIED BY '{LOGIN}';
         GRANT SELECT ON orders.* TO reader@'127.0.0.1';
         GRANT SELECT, INSERT, UPDATE, DELETE ON orders.* TO writer@'127.0.0.1';"
    ));
    server
}

/// Changes of another source, and reads of this one where it answers.
fn others_go_on(omar: &Client, answers: bool) {
    ask(omar, "UPDATE notes SET body = body || 'b'").unwrap();
    ask(omar, "INSERT INTO notes (body) VALUES ('c')").unwrap();
    if answers {
        ask(omar, "SELECT total FROM orders").unwrap();
    }
}

/// Until the gate has noticed that the server is back.
fn again(omar: &Client) {
    let until = Instant::now() + Duration::from_secs(60);
    while let Err(refusal) = ask(omar, CHANGE) {
        assert!(Instant::now() < until, "{refusal:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_standby_and_a_read_only_server_take_no_change() {
    let postgres = postgres();
    let gate = Gate::new(Kind::Postgres, postgres.port);
    let omar = gate.client();
    ask(&omar, CHANGE).unwrap();
    postgres.kill();
    std::fs::write(postgres.folder.join("data/standby.signal"), "").unwrap();
    postgres.run();
    let until = Instant::now() + Duration::from_secs(60);
    let code = loop {
        let (code, text) = ask(&omar, CHANGE).unwrap_err();
        if !code.starts_with("08") || Instant::now() > until {
            break (code, text);
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(code.0, "25006", "{}", code.1);
    others_go_on(&omar, true);
    let mariadb = mariadb();
    let gate = Gate::new(Kind::MariaDb, mariadb.port);
    let omar = gate.client();
    ask(&omar, CHANGE).unwrap();
    mariadb.sql("SET GLOBAL read_only = 1;");
    for sql in [CHANGE, "INSERT INTO orders VALUES (2, 2)", "DELETE FROM orders"] {
        let (code, text) = ask(&omar, sql).unwrap_err();
        assert_eq!(code, "25006", "{text}");
    }
    others_go_on(&omar, true);
    mariadb.sql("SET GLOBAL read_only = 0;");
    again(&omar);
}

#[test]
fn a_server_that_is_gone_is_told_and_comes_back() {
    let postgres = postgres();
    let gate = Gate::new(Kind::Postgres, postgres.port);
    let omar = gate.client();
    ask(&omar, CHANGE).unwrap();
    postgres.kill();
    for sql in [CHANGE, "INSERT INTO orders VALUES (2, 2)"] {
        let (code, text) = ask(&omar, sql).unwrap_err();
        assert!(code.starts_with("08"), "{code} {text}");
    }
    others_go_on(&omar, false);
    postgres.run();
    again(&omar);
    let mariadb = mariadb();
    let gate = Gate::new(Kind::MariaDb, mariadb.port);
    let omar = gate.client();
    ask(&omar, CHANGE).unwrap();
    mariadb.kill();
    for sql in [CHANGE, "INSERT INTO orders VALUES (2, 2)"] {
        let (code, text) = ask(&omar, sql).unwrap_err();
        assert!(code.starts_with("08"), "{code} {text}");
    }
    others_go_on(&omar, false);
    mariadb.resume();
    again(&omar);
}
