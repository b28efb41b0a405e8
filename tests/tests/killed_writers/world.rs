//! A gate over one source of its own with two tables and counters, both of which can be killed and started again.

use crate::{mariadb_server, mongodb_server, postgres_server};
use mongodb::bson::{Document, doc};
use querygate_tests::server::{PASSWORD, Server, add_user, connect, execute, runtime};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::{Config, SimpleQueryMessage};

/// Of the logins at servers.
const LOGIN: &str = "writes and reads";
const DATABASE: &str = "shop";
const TABLES: &str = "CREATE TABLE orders(id TEXT primary key not null, batch TEXT, amount double precision);
CREATE TABLE order_lines(id TEXT primary key not null, batch TEXT);
CREATE TABLE counters(id TEXT primary key not null, n double precision);";
/// What may pass until servers have given up what a killed gate had begun.
const REST_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    MariaDb,
    MongoDb,
}

enum Source {
    File,
    Postgres(postgres_server::Server),
    MariaDb(mariadb_server::Server),
    MongoDb(mongodb_server::Server),
}

pub(crate) struct World {
    folder: TempDir,
    source: Source,
    gate: Server,
}

/// Rows by batch, and counters by writer.
pub(crate) struct Stored {
    pub(crate) orders: BTreeMap<String, usize>,
    pub(crate) lines: BTreeMap<String, usize>,
    pub(crate) counters: BTreeMap<usize, usize>,
}

impl Source {
    /// `None`: it is not installed, which has been said.
    fn start(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Sqlite => Self::File,
            Kind::Postgres => Self::Postgres(postgres_server::Server::durable()?),
            Kind::MariaDb => {
                let durable = ["--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=fsync"];
                Self::MariaDb(mariadb_server::Server::start_with(|_| durable.map(str::to_owned).into())?)
            }
            Kind::MongoDb => Self::MongoDb(runtime().block_on(mongodb_server::Server::start_replicated())?),
        })
    }

    fn fill(&self, folder: &TempDir, writers: usize) {
        let counters: Vec<String> = (0..writers).map(|writer| format!("('w{writer}', 0)")).collect();
        let sql = format!("{TABLES} INSERT INTO counters VALUES {};", counters.join(", "));
        match self {
            Self::File => execute(&file(folder), &sql),
            Self::Postgres(server) => runtime().block_on(async {
                let admin = server.database(DATABASE, "").await;
                let logins = format!(
                    "CREATE USER reader PASSWORD '{LOGIN}'; CREATE USER writer PASSWORD '{LOGIN}'; {sql}
                     GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
                     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer"
                );
                admin.batch_execute(&logins).await.unwrap();
            }),
            Self::MariaDb(server) => {
                server.sql(&format!(
                    "CREATE USER 'reader'@'127.0.0.1' IDENTIFIED BY '{LOGIN}'; CREATE USER 'writer'@'127.0.0.1' IDENTIFIED BY '{LOGIN}';
                     CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin; USE {DATABASE}; {}
                     GRANT SELECT, SHOW VIEW ON {DATABASE}.* TO 'reader'@'127.0.0.1';
                     GRANT SELECT, INSERT, UPDATE, DELETE ON {DATABASE}.* TO 'writer'@'127.0.0.1';",
                    sql.replace("TEXT", "varchar(50)")
                ));
            }
            Self::MongoDb(server) => runtime().block_on(async {
                // What nobody ends any more is the server's until its time is over, which is a minute.
                let short = doc! { "setParameter": 1, "transactionLifetimeLimitSeconds": 5 };
                server.admin("admin").run_command(short).await.unwrap();
                let shop = server.admin(DATABASE);
                for (table, key) in [("orders", "an order"), ("order_lines", "a line")] {
                    // A collection without documents has no fields.
                    let first = match table {
                        "orders" => doc! { "_id": key, "batch": "first", "amount": 1.0 },
                        _ => doc! { "_id": key, "batch": "first" },
                    };
                    shop.collection::<Document>(table).insert_one(first).await.unwrap();
                }
                let counters = (0..writers).map(|writer| doc! { "_id": format!("w{writer}"), "n": 0.0 });
                shop.collection::<Document>("counters").insert_many(counters).await.unwrap();
            }),
        }
    }

    /// Its `[[sources]]` entry.
    fn entry(&self, folder: &TempDir) -> String {
        let login = "user = \"reader\"\npassword = \"file:login\"\nwrites = true\nwrite_user = \"writer\"\nwrite_password = \"file:login\"\nconnect_timeout = \"2s\"\n";
        let of_server = |kind: &str, port: u16| {
            format!("kind = \"{kind}\"\nhost = \"127.0.0.1\"\nport = {port}\ndatabase = \"{DATABASE}\"\n{login}")
        };
        let keys = match self {
            Self::File => "kind = \"sqlite\"\npath = \"shop.sqlite\"\nwrites = true\n".to_owned(),
            Self::Postgres(server) => of_server("postgres", server.port),
            Self::MariaDb(server) => of_server("mysql", server.port),
            Self::MongoDb(server) => {
                std::fs::write(folder.path().join("mongo"), mongodb_server::PASSWORD).unwrap();
                format!(
                    "kind = \"mongodb\"\nurl = \"mongodb://{}@127.0.0.1:{}/{DATABASE}?authSource=admin&directConnection=true\"\n\
                     database = \"{DATABASE}\"\npassword = \"file:mongo\"\nwrites = true\nwrite_user = \"{}\"\nwrite_password = \"file:mongo\"\n",
                    mongodb_server::USER,
                    server.port,
                    mongodb_server::WRITER
                )
            }
        };
        format!("[[sources]]\nname = \"shop\"\n{keys}")
    }

    const fn driver(&self) -> &'static str {
        match self {
            Self::File => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::MariaDb(_) => "mysql",
            Self::MongoDb(_) => "mongodb",
        }
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("shop.sqlite")
}

fn stack(driver: &str) -> String {
    let key = if driver == "mongodb" { ", columnMap: { _id: id }" } else { "" };
    let object = |name: &str, fields: &str| {
        format!(
            "  - {{ name: shop_{name}, label: T, datasource: shop, external: {{ remoteName: {name}, writable: true{key} }}, \
             sharingModel: public_read_write, access: {{ default: private }}, systemFields: false, \
             fields: {{ id: {{ type: text, required: true }}, {fields} }} }}\n"
        )
    };
    format!(
        "manifest: {{ id: com.example.shop, namespace: shop, version: 1.0.0, type: app, name: Shop, engines: {{ protocol: \"^17\" }} }}\n\
         datasources:\n  - {{ name: shop, driver: {driver}, config: {{}}, schemaMode: external, external: {{ allowWrites: true }} }}\n\
         objects:\n{}{}{}permissions:\n  - name: shop_manager\n    label: Everything\n    objects:\n      \
         \"*\": {{ allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }}\n",
        object("orders", "batch: { type: text }, amount: { type: number }"),
        object("order_lines", "batch: { type: text }"),
        object("counters", "n: { type: number }"),
    )
}

impl World {
    pub(crate) fn new(kind: Kind, writers: usize) -> Option<Self> {
        let (folder, source) = (TempDir::new().unwrap(), Source::start(kind)?);
        let at = |name: &str| folder.path().join(name);
        source.fill(&folder, writers);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("login"), LOGIN).unwrap();
        std::fs::write(at("metadata/stack.yaml"), stack(source.driver())).unwrap();
        let config = format!(
            "[server]\ndatabase = \"shop\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\nidle_timeout = \"10s\"\n\
             {}[[users]]\nname = \"nora\"\npermission_sets = [\"shop_manager\"]\n",
            source.entry(&folder)
        );
        std::fs::write(at("querygate.toml"), config).unwrap();
        add_user(folder.path(), "nora");
        let gate = Server::serve(&at("querygate.toml"));
        Some(Self { folder, source, gate })
    }

    /// How a writer connects.
    pub(crate) fn config(&self) -> Config {
        let mut config = self.gate.config("nora");
        config.dbname("shop").password(PASSWORD).connect_timeout(Duration::from_secs(5));
        config
    }

    /// What the gate printed.
    pub(crate) fn lines(&self) -> String {
        self.gate.lines().join("\n")
    }

    pub(crate) fn kill_gate(&mut self) {
        self.gate.signal("KILL");
        let _ = self.gate.stop();
        self.gate = Server::serve(&self.folder.path().join("querygate.toml"));
    }

    pub(crate) fn kill_server(&self) {
        match &self.source {
            Source::File => panic!("a file has no server"),
            Source::Postgres(server) => server.kill_all(),
            Source::MariaDb(server) => server.kill(),
            Source::MongoDb(server) => server.kill(),
        }
    }

    pub(crate) fn resume_server(&self) {
        match &self.source {
            Source::File => panic!("a file has no server"),
            Source::Postgres(server) => server.run(),
            Source::MariaDb(server) => server.resume(),
            Source::MongoDb(server) => {
                server.resume();
                let short = doc! { "setParameter": 1, "transactionLifetimeLimitSeconds": 5 };
                runtime().block_on(async { server.admin("admin").run_command(short).await.unwrap() });
            }
        }
    }

    /// Waits until nothing is open in the source any more, and every row can be changed.
    pub(crate) fn until_at_rest(&self, writers: usize) {
        let end = Instant::now() + REST_WITHIN;
        loop {
            let open = self.open();
            if open.is_empty() {
                break;
            }
            assert!(Instant::now() < end, "still open in the source: {open:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        runtime().block_on(async {
            let client = connect(&self.config()).await;
            for writer in 0..writers {
                let touched = client.execute(&format!("UPDATE counters SET n = n WHERE id = 'w{writer}'"), &[]).await;
                assert_eq!(touched.map_err(|error| format!("{:?}", error.as_db_error())), Ok(1), "writer {writer}");
            }
        });
    }

    /// Transactions that the source has open or keeps prepared.
    fn open(&self) -> Vec<String> {
        match &self.source {
            Source::File => Vec::new(),
            Source::Postgres(_) => self.cells(
                "SELECT gid FROM pg_prepared_xacts UNION ALL
                 SELECT state || ' ' || query FROM pg_stat_activity WHERE usename = 'writer' AND state LIKE '%transaction%'",
            ),
            Source::MariaDb(_) => {
                let mut open = self.cells("SELECT trx_query FROM information_schema.innodb_trx");
                open.extend(self.cells("XA RECOVER"));
                open
            }
            Source::MongoDb(server) => runtime().block_on(async {
                let command = doc! { "currentOp": 1, "transaction": { "$exists": true } };
                let found = server.admin("admin").run_command(command).await.unwrap();
                found.get_array("inprog").unwrap().iter().map(ToString::to_string).collect()
            }),
        }
    }

    /// What is stored, as the source itself says.
    pub(crate) fn stored(&self) -> Stored {
        let batches = |table: &str| {
            let mut found = BTreeMap::new();
            for batch in self.column(table, "batch").into_iter().filter(|batch| batch != "first") {
                *found.entry(batch).or_default() += 1;
            }
            found
        };
        let names = self.column("counters", "id").into_iter().map(|name| name[1..].parse().unwrap());
        let counts = self.column("counters", "n").into_iter().map(|n| n.split('.').next().unwrap().parse().unwrap());
        Stored { orders: batches("orders"), lines: batches("order_lines"), counters: names.zip(counts).collect() }
    }

    /// The values of a column, in the order of keys.
    fn column(&self, table: &str, column: &str) -> Vec<String> {
        match &self.source {
            Source::File | Source::Postgres(_) | Source::MariaDb(_) => {
                self.cells(&format!("SELECT concat({column}, '') FROM {table} ORDER BY id"))
            }
            Source::MongoDb(server) => runtime().block_on(async {
                let mut cursor = server
                    .admin(DATABASE)
                    .collection::<Document>(table)
                    .find(doc! {})
                    .sort(doc! { "_id": 1 })
                    .await
                    .unwrap();
                let column = if column == "id" { "_id" } else { column };
                let mut found = Vec::new();
                while cursor.advance().await.unwrap() {
                    let row = cursor.deserialize_current().unwrap();
                    let cell = row.get_str(column).map(str::to_owned);
                    found.push(cell.unwrap_or_else(|_| row.get_f64(column).unwrap().to_string()));
                }
                found
            }),
        }
    }

    /// The first cell of each row.
    fn cells(&self, sql: &str) -> Vec<String> {
        match &self.source {
            Source::File => {
                let options = SqliteConnectOptions::new().filename(file(&self.folder));
                runtime().block_on(async {
                    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap();
                    connection.close().await.unwrap();
                    rows.iter().map(|row| row.get::<String, _>(0)).collect()
                })
            }
            Source::Postgres(server) => runtime().block_on(async {
                let messages = server.client(DATABASE).await.simple_query(sql).await.unwrap();
                let first = messages.into_iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
                    _ => None,
                });
                first.collect()
            }),
            Source::MariaDb(server) => {
                server.sql(&format!("USE {DATABASE}; {sql};")).lines().map(str::to_owned).collect()
            }
            Source::MongoDb(_) => panic!("no SQL there"),
        }
    }
}
