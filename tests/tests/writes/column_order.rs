//! Tables whose key is not their first column: every door shows and takes their columns in the source's order, as introspection wrote it.

use crate::client::Flight;
use crate::servers::{ask, checked, client_of, introspected};
use crate::source::{Kind, PASSWORD, Source, add};
use arrow::array::AsArray as _;
use arrow::datatypes::Schema;
use arrow_flight::IpcMessage;
use arrow_flight::sql::CommandGetTables;
use bytes::Bytes;
use futures::SinkExt as _;
use querygate_tests::server::{Server, runtime};
use serde_json::Value;
use std::path::Path;
use std::pin::pin;
use tempfile::TempDir;
use tokio_postgres::Client;

/// Numbers alone, so that no type tells columns apart.
const TABLES: &str =
    "CREATE TABLE parts (box integer NOT NULL, id integer NOT NULL PRIMARY KEY, shelf integer, weight integer);
    CREATE TABLE spares (box integer NOT NULL, id integer NOT NULL PRIMARY KEY, shelf integer, weight integer);
    INSERT INTO parts VALUES (10, 1, 100, 1000); INSERT INTO spares VALUES (20, 2, 200, 2000);";

const NAMES: [&str; 4] = ["box", "id", "shelf", "weight"];

fn prepared(kind: Kind) -> (TempDir, Source) {
    let folder = TempDir::new().unwrap();
    let source = Source::made(kind, folder.path(), TABLES);
    introspected(folder.path(), &source.address(), "shop");
    let config = format!(
        "[server]\ndatabase = \"shop\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n{}\
         [[users]]\nname = \"omar\"\npermission_sets = [\"shop_reader\"]\n",
        source.entry(true)
    );
    std::fs::write(folder.path().join("querygate.toml"), config).unwrap();
    add(folder.path(), "omar");
    (folder, source)
}

fn row(first: i64) -> Vec<Option<String>> {
    [first * 10, first, first * 100, first * 1_000].map(|number| Some(number.to_string())).to_vec()
}

fn names(client: &Client, sql: &str) -> Vec<String> {
    ask(client, sql).unwrap().into_iter().map(|row| row[0].clone().unwrap()).collect()
}

async fn copied(client: &Client, text: &'static str) {
    let sink = client.copy_in::<_, Bytes>("COPY parts FROM STDIN").await.unwrap();
    let mut sink = pin!(sink);
    sink.send(Bytes::from_static(text.as_bytes())).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 1);
}

/// The columns of a table as Flight SQL lists them.
async fn listed(server: &Server) -> Vec<String> {
    let token = crate::client::handshake(server.flight, &crate::client::basic("omar", PASSWORD, false)).await.unwrap();
    let flight = Flight { channel: crate::client::channel(server.flight).await, token };
    let command = CommandGetTables {
        table_name_filter_pattern: Some("parts".to_owned()),
        include_schema: true,
        ..CommandGetTables::default()
    };
    let found = flight.run(&command).await.unwrap();
    let schema = Bytes::copy_from_slice(found.batches[0].column(4).as_binary::<i32>().value(0));
    let schema: Schema = IpcMessage(schema).try_into().unwrap();
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

fn order_is_the_sources(kind: Kind) {
    let (folder, source) = prepared(kind);
    let server = Server::serve(&folder.path().join("querygate.toml"));
    let omar = client_of(&server, "omar");
    assert_eq!(ask(&omar, "SELECT * FROM parts").unwrap(), [row(1)], "{kind:?}");
    assert_eq!(ask(&omar, "INSERT INTO parts VALUES (30, 3, 300, 3000) RETURNING *").unwrap(), [row(3)], "{kind:?}");
    ask(&omar, "INSERT INTO parts SELECT * FROM spares").unwrap();
    runtime().block_on(copied(&omar, "40\t4\t400\t4000\n"));
    let all = "SELECT * FROM parts UNION SELECT 50, 5, 500, 5000 UNION ALL SELECT * FROM spares ORDER BY 2, 1";
    assert_eq!(ask(&omar, all).unwrap(), [row(1), row(2), row(2), row(3), row(4), row(5)], "{kind:?}");
    let text = |name: &str| match kind {
        Kind::MariaDb => format!("cast({name} AS char)"),
        Kind::Sqlite | Kind::Postgres => format!("cast({name} AS text)"),
    };
    for (name, factor) in [("box", 10), ("id", 1), ("shelf", 100), ("weight", 1_000)] {
        let stored = source.stored(&format!("SELECT {} FROM parts ORDER BY id", text(name)));
        assert_eq!(stored, (1..=4).map(|at| (at * factor).to_string()).collect::<Vec<_>>(), "{kind:?}: {name}");
    }
    let attributes =
        "SELECT attname FROM pg_attribute WHERE attrelid = 'parts'::regclass AND attnum > 0 ORDER BY attnum";
    let columns =
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'parts' ORDER BY ordinal_position";
    assert_eq!(names(&omar, attributes), NAMES, "{kind:?}");
    assert_eq!(names(&omar, columns), NAMES, "{kind:?}");
    assert_eq!(runtime().block_on(listed(&server)), NAMES, "{kind:?}");
    let found = checked(folder.path(), &[]);
    assert!(!found.contains("another order"), "{kind:?}\n{found}");
}

#[test]
fn columns_stand_as_in_sqlite() {
    order_is_the_sources(Kind::Sqlite);
}

#[test]
fn columns_stand_as_in_postgres() {
    order_is_the_sources(Kind::Postgres);
}

#[test]
fn columns_stand_as_in_mariadb() {
    order_is_the_sources(Kind::MariaDb);
}

/// Puts a table's key first in metadata, as a person may write it.
fn with_key_first(file: &Path) {
    let mut stack: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    for object in stack["packages"][0]["manifest"]["objects"].as_array_mut().unwrap() {
        if object["name"] == "shop_parts" {
            let fields = object["fields"].as_object_mut().unwrap();
            let key = fields.shift_remove("id").unwrap();
            fields.shift_insert(0, "id".to_owned(), key);
        }
    }
    std::fs::write(file, stack.to_string()).unwrap();
}

/// Metadata that says another order than the source has is served as it says, and the check says so.
#[test]
fn a_check_tells_of_another_order() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let (folder, _source) = prepared(kind);
        with_key_first(&folder.path().join("metadata/shop.json"));
        let found = checked(folder.path(), &[]);
        let own = "`shop_parts`: its columns stand in another order than in the source (id before box)";
        assert!(found.contains(own), "{kind:?}\n{found}");
        assert!(!found.contains("`shop_spares`: its columns"), "{kind:?}\n{found}");
    }
}
