//! A gate over orders and what belongs to them, in a source of one kind, with three users of different rights.

use crate::source::{Kind, PASSWORD, Source, add, declared};
use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};
use querygate_tests::server::{Server, connect, runtime};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

const STACK: &str = include_str!("stack.yaml");
const COLUMNS: &str = include_str!("stack.querygate.json");

const TABLES: &str =
    "CREATE TABLE orders(id text primary key not null, customer text, region text, total numeric, code text unique,
    placed_on text);
CREATE TABLE items(id text primary key not null, order_id text, paid boolean, weight {double}, due {moment}, note text);
CREATE TABLE crates(id text primary key not null, jars {double});
CREATE TABLE jars(id text primary key not null, number text unique, crate text);
CREATE TABLE kinds(id text primary key not null, flag boolean, small smallint, big bigint, single {single},
    double_of {double}, price numeric, day_on text, clock {time}, moment {moment}, local {local}, key_of {uuid},
    facts {json}, short_of varchar(12));
INSERT INTO orders VALUES ('o1','ann','eu',10.5,'c1','2026-01-01'), ('o2','bob','us',0,'c2','2026-01-02'),
    ('o3','cy','eu',7,'c3','2026-01-03');
INSERT INTO crates VALUES ('k1', 0), ('k2', 0);";

/// The types of each kind of source that its tables are declared with: SQLite, PostgreSQL, MariaDB.
const TYPES: [(&str, [&str; 3]); 7] = [
    ("{double}", ["double", "double precision", "double"]),
    ("{single}", ["real", "real", "float"]),
    ("{time}", ["text", "time", "time(6)"]),
    ("{moment}", ["text", "timestamptz", "datetime(3)"]),
    ("{local}", ["text", "timestamp", "datetime(6)"]),
    // MariaDB gives a uuid back in another form than it is stored in, so that it takes none.
    ("{uuid}", ["text", "uuid", "varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"]),
    ("{json}", ["text", "jsonb", "json"]),
];

/// SQLSTATE, text and place of an error.
pub(crate) type Told = (String, String, Option<String>);

pub(crate) struct Shop {
    folder: TempDir,
    server: Server,
    source: Source,
}

impl Shop {
    pub(crate) fn new(kind: Kind, writes: bool) -> Self {
        let column = match kind {
            Kind::Sqlite => 0,
            Kind::Postgres => 1,
            Kind::MariaDb => 2,
        };
        let tables = TYPES.iter().fold(TABLES.to_owned(), |tables, (word, types)| tables.replace(word, types[column]));
        Self::over(kind, writes, &declared(kind, &tables), [STACK, COLUMNS])
    }

    /// Over other tables, which are declared as in the source, and metadata: the stack, and the types of its columns.
    pub(crate) fn over(kind: Kind, writes: bool, tables: &str, metadata: [&str; 2]) -> Self {
        let folder = TempDir::new().unwrap();
        let source = Source::made(kind, folder.path(), tables);
        let [stack, columns] = metadata;
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), stack).unwrap();
        std::fs::write(at("metadata/stack.querygate.json"), columns).unwrap();
        let config = format!(
            "[server]\ndatabase = \"shop\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n[flight]\naddress = \"127.0.0.1:0\"\n\
             [metadata]\npath = \"metadata\"\n[log]\naudit = \"audit.ndjson\"\n[writes]\nenabled = {writes}\n{}\
             [[users]]\nname = \"nora\"\npermission_sets = [\"shop_manager\"]\n\
             [[users]]\nname = \"omar\"\npermission_sets = [\"shop_clerk\"]\nattributes = {{ region = \"eu\" }}\n\
             [[users]]\nname = \"rita\"\npermission_sets = [\"shop_reader\"]\n",
            source.entry(writes)
        );
        std::fs::write(at("querygate.toml"), config).unwrap();
        for user in ["nora", "omar", "rita"] {
            add(folder.path(), user);
        }
        let server = Server::serve(&at("querygate.toml"));
        Self { folder, server, source }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.postgres
    }

    pub(crate) fn flight(&self) -> SocketAddr {
        self.server.flight
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("shop").password(PASSWORD);
        runtime().block_on(connect(&config))
    }

    /// Runs statements in the source itself, as an administrator.
    pub(crate) fn administer(&self, sql: &str) {
        self.source.run(sql);
    }

    /// The first column of what is stored, as the source itself says it.
    pub(crate) fn stored(&self, sql: &str) -> Vec<String> {
        self.source.stored(sql)
    }

    pub(crate) fn orders(&self) -> Vec<String> {
        let total = self.source.shortest("total");
        let cells = ["customer", "region", &total, "code", "placed_on"];
        let shown = cells.map(|cell| match self.source.kind {
            Kind::Postgres => format!("coalesce(({cell})::text, '')"),
            Kind::Sqlite | Kind::MariaDb => format!("coalesce({cell}, '')"),
        });
        self.stored(&format!("SELECT concat_ws('|', id, {}) FROM orders ORDER BY id", shown.join(", ")))
    }

    pub(crate) fn count(&self, table: &str) -> usize {
        self.stored(&format!("SELECT id FROM {table}")).len()
    }
}

pub(crate) fn told(error: &tokio_postgres::Error) -> Told {
    let told = error.as_db_error().unwrap_or_else(|| panic!("{error}"));
    (told.code().code().to_owned(), told.message().to_owned(), told.where_().map(str::to_owned))
}

/// Sends data in pieces of so many bytes.
pub(crate) fn copy_by(client: &Client, sql: &str, data: &[u8], piece: usize) -> Result<u64, Told> {
    runtime().block_on(async {
        let sink = client.copy_in::<_, Bytes>(sql).await.map_err(|error| told(&error))?;
        let mut sink = pin!(sink);
        for piece in data.chunks(piece) {
            // What is wrong is said at the end.
            if sink.send(Bytes::copy_from_slice(piece)).await.is_err() {
                break;
            }
        }
        sink.finish().await.map_err(|error| told(&error))
    })
}

pub(crate) fn copy(client: &Client, sql: &str, data: &str) -> Result<u64, Told> {
    copy_by(client, sql, data.as_bytes(), 8_192)
}

/// What a COPY TO STDOUT gives.
pub(crate) fn copied_out(client: &Client, sql: &str) -> Vec<u8> {
    runtime().block_on(async {
        let rows = client.copy_out(sql).await.unwrap();
        rows.try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
        .unwrap()
    })
}

pub(crate) fn run(client: &Client, sql: &str) -> Result<(), Told> {
    runtime().block_on(client.simple_query(sql)).map(drop).map_err(|error| told(&error))
}

pub(crate) fn code(client: &Client, sql: &str) -> String {
    run(client, sql).unwrap_err().0
}

pub(crate) fn one(client: &Client, sql: &str) -> String {
    let messages = runtime().block_on(client.simple_query(sql)).unwrap();
    let cell = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    cell.unwrap()
}
