//! A PostgreSQL, a MariaDB and a MongoDB with a table each, a file beside them, and a gate's configuration over all. Asks the
//! gate nothing.

use super::mariadb::{PASSWORD as MARIADB_PASSWORD, Server as MariaDb, USER as MARIADB_USER};
use super::mongo::{PASSWORD as MONGO_PASSWORD, Server as MongoDb, USER as MONGO_USER};
use super::postgres::{PASSWORD as POSTGRES_PASSWORD, Server as Postgres};
use mongodb::bson::{Document, doc};
use mongodb::options::WriteConcern;
use querygate_tests::server::{binary, runtime};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Postgres,
    MariaDb,
    MongoDb,
}

impl Backend {
    pub(crate) const ALL: [Self; 3] = [Self::Postgres, Self::MariaDb, Self::MongoDb];

    /// The source's name.
    pub(crate) const fn source(self) -> &'static str {
        match self {
            Self::Postgres => "pg",
            Self::MariaDb => "maria",
            Self::MongoDb => "mongo",
        }
    }
}

/// A table of a source.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// `None`: a file.
    pub(crate) backend: Option<Backend>,
    /// A statement that needs it, and what it answers.
    pub(crate) count: &'static str,
    pub(crate) answer: &'static str,
}

/// Each has a thousand rows, with numbers from 1 to 1,000.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "items",
        backend: Some(Backend::Postgres),
        count: "SELECT count(*) || ' ' || sum(n) FROM items",
        answer: "1000 500500",
    },
    Table {
        name: "goods",
        backend: Some(Backend::MariaDb),
        count: "SELECT count(*) || ' ' || sum(n) FROM goods",
        answer: "1000 500500",
    },
    Table {
        name: "things",
        backend: Some(Backend::MongoDb),
        count: "SELECT count(*) || ' ' || sum(n) FROM things",
        answer: "1000 500500",
    },
    Table { name: "notes", backend: None, count: "SELECT count(*) || ' ' || sum(n) FROM notes", answer: "1000 500500" },
];

/// Tables in PostgreSQL whose policies for changes differ.
pub(crate) const CHANGING: [&str; 3] = ["refusing", "widening", "hiding"];

/// The servers, and the folder of the gate.
pub(crate) struct Servers {
    postgres: Postgres,
    mariadb: MariaDb,
    mongodb: MongoDb,
    folder: TempDir,
}

impl Servers {
    /// All of them, or none where one is not installed.
    pub(crate) fn start() -> Option<Self> {
        let (postgres, mariadb) = (Postgres::start()?, MariaDb::start()?);
        let mongodb = runtime().block_on(MongoDb::start())?;
        let servers = Self { postgres, mariadb, mongodb, folder: TempDir::new().unwrap() };
        servers.fill();
        servers.configure();
        Some(servers)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("querygate.toml")
    }

    fn fill(&self) {
        runtime().block_on(async {
            let admin = self.postgres.database("shop", "").await;
            let sql = "CREATE TABLE items (id int PRIMARY KEY, n int, label text DEFAULT 'x'); \
                       INSERT INTO items (id, n) SELECT g, g FROM generate_series(1, 1000) g; ANALYZE";
            admin.batch_execute(sql).await.unwrap();
            for table in CHANGING {
                let sql = format!("CREATE TABLE {table} (id int PRIMARY KEY, n int, label text DEFAULT 'x'); INSERT INTO {table} (id, n) VALUES (1, 1), (2, 2), (3, 3)");
                admin.batch_execute(&sql).await.unwrap();
            }
            let rows = (1..=1_000_i32).map(|number| doc! { "_id": number, "n": number });
            self.mongodb.admin("shop").collection::<Document>("things").insert_many(rows).await.unwrap();
        });
        self.mariadb.sql(
            "CREATE DATABASE shop; USE shop; CREATE TABLE goods (id INT PRIMARY KEY, n INT, label VARCHAR(9) DEFAULT 'x');
             INSERT INTO goods (id, n) SELECT seq, seq FROM seq_1_to_1000; ANALYZE TABLE goods;",
        );
        std::fs::create_dir(self.folder.path().join("files")).unwrap();
        let lines: String = (1..=1_000).map(|number| format!("{number},{number}\n")).collect();
        std::fs::write(self.folder.path().join("files/notes.csv"), format!("id,n\n{lines}")).unwrap();
    }

    /// Introspects every source into metadata that lets `ada` read everything.
    fn configure(&self) {
        let folder = self.folder.path();
        let (pg, maria, mongo) = (self.postgres.port, self.mariadb.port, self.mongodb.port);
        let mongo = format!("mongodb://{MONGO_USER}@127.0.0.1:{mongo}/shop?authSource=admin&directConnection=true");
        let sources = [
            (
                "pg",
                format!("postgres://postgres@127.0.0.1:{pg}/shop"),
                POSTGRES_PASSWORD,
                format!(
                    "kind = \"postgres\"\nhost = \"127.0.0.1\"\nport = {pg}\nuser = \"postgres\"\ndatabase = \"shop\"\n\
                     schema_change_of = {{ pg_widening = \"widen\", pg_hiding = \"hide\" }}"
                ),
            ),
            (
                "maria",
                format!("mysql://{MARIADB_USER}@127.0.0.1:{maria}/shop"),
                MARIADB_PASSWORD,
                format!(
                    "kind = \"mysql\"\nhost = \"127.0.0.1\"\nport = {maria}\nuser = \"{MARIADB_USER}\"\ndatabase = \"shop\""
                ),
            ),
            (
                "mongo",
                mongo.clone(),
                MONGO_PASSWORD,
                format!("kind = \"mongodb\"\nurl = \"{mongo}\"\ndatabase = \"shop\""),
            ),
            ("files", folder.join("files").display().to_string(), "", "kind = \"files\"\npath = \"files\"".to_owned()),
        ];
        let mut config = "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n".to_owned();
        let mut sets = Vec::new();
        for (name, address, password, keys) in sources {
            let secret = folder.join(format!("{name}.password"));
            std::fs::write(&secret, password).unwrap();
            introspect(folder, name, &address, (!password.is_empty()).then_some(&secret));
            write!(config, "[[sources]]\nname = \"{name}\"\n{keys}\n").unwrap();
            if !password.is_empty() {
                write!(config, "password = \"file:{name}.password\"\npool_size = 4\nconnect_timeout = \"2s\"\n")
                    .unwrap();
            }
            sets.push(format!("\"{name}_reader\""));
        }
        let verifier = postgres_protocol::password::scram_sha_256(b"demo-ada");
        let sets = sets.join(", ");
        write!(
            config,
            "[[users]]\nname = \"ada\"\nverifier = \"{verifier}\"\nuser_id = \"ada\"\npermission_sets = [{sets}]\noperator = true\n"
        )
        .unwrap();
        std::fs::write(self.config(), config).unwrap();
    }

    pub(crate) fn kill(&self, backend: Backend) {
        match backend {
            Backend::Postgres => self.postgres.kill(),
            Backend::MariaDb => self.mariadb.kill(),
            Backend::MongoDb => self.mongodb.kill(),
        }
    }

    pub(crate) fn resume(&self, backend: Backend) {
        match backend {
            Backend::Postgres => self.postgres.run(),
            Backend::MariaDb => self.mariadb.resume(),
            Backend::MongoDb => self.mongodb.resume(),
        }
    }

    /// The server stops where it stands: connections stay open and nothing answers.
    pub(crate) async fn freeze(&self, backend: Backend) {
        match backend {
            Backend::Postgres => self.postgres.freeze(),
            Backend::MariaDb => self.mariadb.freeze(),
            Backend::MongoDb => self.mongodb.signal("-STOP"),
        }
    }

    pub(crate) async fn thaw(&self, backend: Backend) {
        match backend {
            Backend::Postgres => self.postgres.thaw(),
            Backend::MariaDb => self.mariadb.thaw(),
            Backend::MongoDb => self.mongodb.signal("-CONT"),
        }
    }

    /// The number is no longer there; where documents have no columns, one holds something else.
    pub(crate) async fn change(&self, backend: Backend) {
        match backend {
            Backend::Postgres => self.postgres_sql("ALTER TABLE items RENAME n TO secret").await,
            Backend::MariaDb => drop(self.mariadb.sql("ALTER TABLE shop.goods RENAME COLUMN n TO secret")),
            Backend::MongoDb => self.mongodb_set(doc! { "n": "secret" }).await,
        }
    }

    pub(crate) async fn change_back(&self, backend: Backend) {
        match backend {
            Backend::Postgres => self.postgres_sql("ALTER TABLE items RENAME secret TO n").await,
            Backend::MariaDb => drop(self.mariadb.sql("ALTER TABLE shop.goods RENAME COLUMN secret TO n")),
            Backend::MongoDb => self.mongodb_set(doc! { "n": 1_i32 }).await,
        }
    }

    /// Another type for the numbers of the tables whose policies differ.
    pub(crate) async fn retype(&self, of: &str) {
        for table in CHANGING {
            self.postgres_sql(&format!("ALTER TABLE {table} ALTER n TYPE {of}")).await;
        }
    }

    async fn postgres_sql(&self, sql: &str) {
        self.postgres.client("shop").await.batch_execute(sql).await.unwrap();
    }

    async fn mongodb_set(&self, fields: Document) {
        let things = self.mongodb.admin("shop").collection::<Document>("things");
        // A server that is killed within a tenth of a second forgets what is not in its journal.
        let mut journaled = WriteConcern::default();
        journaled.journal = Some(true);
        let change = things.update_one(doc! { "_id": 1 }, doc! { "$set": fields }).write_concern(journaled);
        let outcome = change.await.unwrap();
        assert_eq!(outcome.matched_count, 1);
    }
}

fn introspect(folder: &Path, namespace: &str, address: &str, password: Option<&PathBuf>) {
    let mut command = Command::new(binary());
    command.args(["introspect", address, "--namespace", namespace, "-o", "metadata"]).current_dir(folder);
    if let Some(password) = password {
        command.arg("--password").arg(format!("file:{}", password.display()));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
