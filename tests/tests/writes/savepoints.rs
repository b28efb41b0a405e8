//! What a failed transaction of a server has locked since its last savepoint is free before its client says anything.

use crate::servers::{ask, client_of, introspected};
use crate::source::{Kind, Source, add};
use querygate_tests::server::Server;
use tempfile::TempDir;
use tokio_postgres::Client;

const TABLES: &str = "CREATE TABLE orders (id integer NOT NULL PRIMARY KEY, total integer);
    INSERT INTO orders VALUES (1, 0), (2, 0);";

struct Gate {
    _folder: TempDir,
    _source: Source,
    server: Server,
}

impl Gate {
    fn over(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let source = Source::made(kind, folder.path(), TABLES);
        introspected(folder.path(), &source.address(), "shop");
        let config = format!(
            "[server]\ndatabase = \"shop\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n\
             {}[[users]]\nname = \"omar\"\npermission_sets = [\"shop_reader\"]\n",
            source.entry(true)
        );
        std::fs::write(folder.path().join("querygate.toml"), config).unwrap();
        add(folder.path(), "omar");
        let server = Server::serve(&folder.path().join("querygate.toml"));
        Self { _folder: folder, _source: source, server }
    }

    fn client(&self) -> Client {
        client_of(&self.server, "omar")
    }
}

/// The code of an error.
fn run(client: &Client, sql: &str) -> Result<(), String> {
    ask(client, sql).map(drop).map_err(|(code, _)| code)
}

fn all(client: &Client, texts: &[&str]) {
    texts.iter().for_each(|sql| assert_eq!(run(client, sql), Ok(()), "{sql}"));
}

fn totals(client: &Client) -> Vec<String> {
    let rows = ask(client, "SELECT total FROM orders ORDER BY id").unwrap();
    rows.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

#[test]
fn a_source_that_took_part_after_the_savepoint_is_left() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let gate = Gate::over(kind);
        let (holder, other) = (gate.client(), gate.client());
        all(&other, &["SET statement_timeout = '10s'"]);
        all(&holder, &["BEGIN", "SAVEPOINT s", "UPDATE orders SET total = 7 WHERE id = 1"]);
        assert_eq!(run(&holder, "SELECT 1 / 0"), Err("22012".to_owned()));
        all(&other, &["UPDATE orders SET total = 1 WHERE id = 1"]);
        assert_eq!(run(&holder, "SELECT 1"), Err("25P02".to_owned()));
        all(&holder, &["ROLLBACK TO s", "UPDATE orders SET total = total + 10 WHERE id = 1", "COMMIT"]);
        assert_eq!(totals(&other), ["11", "0"], "{kind:?}");
    }
}

/// MariaDB keeps the locks of rows until the end of the transaction, whatever savepoint it goes back to.
#[test]
fn rows_that_were_locked_after_the_savepoint_are_free() {
    let gate = Gate::over(Kind::Postgres);
    let (holder, other) = (gate.client(), gate.client());
    all(&holder, &["BEGIN", "UPDATE orders SET total = 7 WHERE id = 1", "SAVEPOINT s"]);
    all(&holder, &["UPDATE orders SET total = 8 WHERE id = 2"]);
    // The server itself refuses it, and has undone nothing then.
    assert_eq!(run(&holder, "INSERT INTO orders (id, total) VALUES (2, 0)"), Err("23505".to_owned()));
    all(&other, &["SET statement_timeout = '10s'", "UPDATE orders SET total = 1 WHERE id = 2"]);
    all(&other, &["SET statement_timeout = '300ms'"]);
    assert_eq!(run(&other, "UPDATE orders SET total = 1 WHERE id = 1"), Err("57014".to_owned()));
    all(&holder, &["ROLLBACK TO s", "COMMIT"]);
    assert_eq!(totals(&other), ["7", "1"]);
}
