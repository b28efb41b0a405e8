//! A statement of a user who may run one at a time has that turn for all that it does.

use crate::servers::{client_of, introspected};
use crate::source::{Kind, Source, add};
use bytes::Bytes;
use futures::SinkExt as _;
use querygate_tests::server::{Server, runtime};
use std::pin::pin;
use tempfile::TempDir;

const TABLES: &str = "CREATE TABLE boxes (id integer NOT NULL PRIMARY KEY);
    CREATE TABLE parts (id integer NOT NULL PRIMARY KEY, box integer REFERENCES boxes(id));
    INSERT INTO boxes VALUES (1), (2);";

/// References of what is copied are looked up while the statement has its turn.
#[test]
fn a_copy_looks_up_references_within_its_turn() {
    let folder = TempDir::new().unwrap();
    let source = Source::made(Kind::Sqlite, folder.path(), TABLES);
    introspected(folder.path(), &source.address(), "shop");
    let config = format!(
        "[server]\ndatabase = \"shop\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n\
         [limits]\nqueries_per_user_max = 1\n{}[[users]]\nname = \"omar\"\npermission_sets = [\"shop_reader\"]\n",
        source.entry(true)
    );
    std::fs::write(folder.path().join("querygate.toml"), config).unwrap();
    add(folder.path(), "omar");
    let server = Server::serve(&folder.path().join("querygate.toml"));
    let omar = client_of(&server, "omar");
    let copied = async |rows: &'static str| {
        let code = |error: tokio_postgres::Error| error.code().map(|code| code.code().to_owned());
        let sink = omar.copy_in::<_, Bytes>("COPY parts FROM STDIN").await.map_err(code)?;
        let mut sink = pin!(sink);
        sink.send(Bytes::from_static(rows.as_bytes())).await.map_err(code)?;
        sink.finish().await.map_err(code)
    };
    runtime().block_on(async {
        assert_eq!(copied("1\t1\n2\t2\n3\t1\n").await, Ok(3));
        assert_eq!(copied("4\t1\n5\t9\n").await, Err(Some("23503".to_owned())));
        assert_eq!(copied("6\t\\N\n").await, Ok(1));
    });
    assert_eq!(source.stored("SELECT CAST(id AS text) FROM parts ORDER BY id"), ["1", "2", "3", "6"]);
}
