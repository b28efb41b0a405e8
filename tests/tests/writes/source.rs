//! A source of one kind with tables of its own, that one login reads and, of a server, another one changes.

use crate::{mariadb_server, postgres_server};
use querygate_tests::server::{binary, runtime};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_postgres::SimpleQueryMessage;

pub(crate) const PASSWORD: &str = "a password of theirs";
/// Of the logins at servers.
const LOGIN: &str = "writes and reads";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    MariaDb,
}

/// Tables in a file, or in a database of a server's.
pub(crate) struct Source {
    pub(crate) kind: Kind,
    file: PathBuf,
    pub(crate) database: String,
}

pub(crate) fn postgres() -> &'static postgres_server::Server {
    postgres_server::server().expect("PostgreSQL is installed")
}

pub(crate) fn mariadb() -> &'static mariadb_server::Server {
    static SERVER: OnceLock<Option<mariadb_server::Server>> = OnceLock::new();
    let server = SERVER.get_or_init(mariadb_server::Server::start);
    server.as_ref().expect("MariaDB is installed")
}

impl Source {
    /// Makes the tables, which are declared as in SQLite.
    pub(crate) fn new(kind: Kind, folder: &Path, tables: &str) -> Self {
        Self::made(kind, folder, &declared(kind, tables))
    }

    /// Makes the tables, which are declared as in the source itself.
    pub(crate) fn made(kind: Kind, folder: &Path, tables: &str) -> Self {
        static DATABASES: AtomicU64 = AtomicU64::new(0);
        let database = format!("gate_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let source = Self { kind, file: folder.join("shop.sqlite"), database };
        std::fs::write(folder.join("login"), LOGIN).unwrap();
        source.create();
        source.run(tables);
        source.grant();
        source
    }

    fn create(&self) {
        let database = &self.database;
        match self.kind {
            Kind::Sqlite => {}
            Kind::Postgres => runtime().block_on(async {
                let client = postgres().client("postgres").await;
                let users = format!(
                    "DO $$ BEGIN CREATE USER reader PASSWORD '{LOGIN}'; CREATE USER writer PASSWORD '{LOGIN}';
                     EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
                );
                client.batch_execute(&users).await.unwrap();
                client.batch_execute(&format!("CREATE DATABASE {database} TEMPLATE template0")).await.unwrap();
            }),
            Kind::MariaDb => {
                mariadb().sql(&format!(
                    "CREATE USER IF NOT EXISTS 'reader'@'127.0.0.1' IDENTIFIED BY '{LOGIN}';
                     CREATE USER IF NOT EXISTS 'writer'@'127.0.0.1' IDENTIFIED BY '{LOGIN}'; CREATE DATABASE {database};"
                ));
            }
        }
    }

    fn grant(&self) {
        let database = &self.database;
        match self.kind {
            Kind::Sqlite => {}
            Kind::Postgres => self.run(
                "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
                 GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer;
                 GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO writer",
            ),
            Kind::MariaDb => self.run(&format!(
                "GRANT SELECT, SHOW VIEW ON {database}.* TO 'reader'@'127.0.0.1';
                 GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO 'writer'@'127.0.0.1';"
            )),
        }
    }

    /// Its `[[sources]]` entry. `writes`: whether it may be changed.
    pub(crate) fn entry(&self, writes: bool) -> String {
        let database = &self.database;
        let writer = "write_user = \"writer\"\nwrite_password = \"file:login\"\n";
        let login = format!("user = \"reader\"\npassword = \"file:login\"\nwrites = {writes}\n{writer}");
        match self.kind {
            Kind::Sqlite => format!(
                "[[sources]]\nname = \"shop\"\nkind = \"sqlite\"\npath = \"{}\"\nwrites = {writes}\n",
                self.file.display()
            ),
            Kind::Postgres => format!(
                "[[sources]]\nname = \"shop\"\nkind = \"postgres\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"{database}\"\n{login}",
                postgres().port
            ),
            Kind::MariaDb => format!(
                "[[sources]]\nname = \"shop\"\nkind = \"mysql\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"{database}\"\n{login}",
                mariadb().port
            ),
        }
    }

    /// Where a server is, as `querygate introspect` takes it.
    pub(crate) fn address(&self) -> String {
        match self.kind {
            Kind::Sqlite => self.file.display().to_string(),
            Kind::Postgres => format!("postgres://reader@127.0.0.1:{}/{}", postgres().port, self.database),
            Kind::MariaDb => format!("mysql://reader@127.0.0.1:{}/{}", mariadb().port, self.database),
        }
    }

    /// Runs statements as an administrator.
    pub(crate) fn run(&self, sql: &str) {
        match self.kind {
            Kind::Sqlite => self.file(sql, |_| ()),
            Kind::Postgres => {
                runtime().block_on(async {
                    postgres().client(&self.database).await.batch_execute(sql).await.unwrap();
                });
            }
            Kind::MariaDb => {
                mariadb().sql(&format!("USE {};\n{sql}", self.database));
            }
        }
    }

    /// The first column of a query's rows, as the source itself says them; NULL as an empty text.
    pub(crate) fn stored(&self, sql: &str) -> Vec<String> {
        match self.kind {
            Kind::Sqlite => {
                let mut found = Vec::new();
                self.file(sql, |row| found.push(row.get::<Option<String>, _>(0).unwrap_or_default()));
                found
            }
            Kind::Postgres => runtime().block_on(async {
                let messages = postgres().client(&self.database).await.simple_query(sql).await.unwrap();
                let first = messages.into_iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
                    _ => None,
                });
                first.collect()
            }),
            Kind::MariaDb => {
                let printed = mariadb().sql(&format!("USE {};\n{sql};", self.database));
                printed.lines().map(|line| if line == "NULL" { String::new() } else { line.to_owned() }).collect()
            }
        }
    }

    fn file(&self, sql: &str, mut row: impl FnMut(&sqlx::sqlite::SqliteRow)) {
        let options = SqliteConnectOptions::new().filename(&self.file).create_if_missing(true);
        runtime().block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap();
            rows.iter().for_each(&mut row);
            connection.close().await.unwrap();
        });
    }

    /// An expression for a decimal as its shortest text.
    pub(crate) fn shortest(&self, decimal: &str) -> String {
        match self.kind {
            Kind::Sqlite => decimal.to_owned(),
            Kind::Postgres => format!("trim_scale({decimal})"),
            Kind::MariaDb => format!("TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {decimal}))"),
        }
    }
}

/// Tables in a kind's own types. SQLite's texts hold everything.
pub(crate) fn declared(kind: Kind, tables: &str) -> String {
    let dates = tables.replace("_on text", "_on date");
    match kind {
        Kind::Sqlite => tables.to_owned(),
        Kind::Postgres => dates.replace(" numeric", " numeric(14,4)"),
        Kind::MariaDb => dates
            .replace(" numeric", " decimal(14,4)")
            .replace(" text", " varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"),
    }
}

/// Gives a user of a gate's configuration a password.
pub(crate) fn add(folder: &Path, user: &str) {
    let mut command = Command::new(binary());
    command.args(["user", "add", user, "--write"]).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
