//! A gate of its own over one SQLite file that it may change, with clients of it and a look at what is stored.

use super::{Server, binary, connect, runtime};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Of every user.
pub const PASSWORD: &str = "a password of theirs";

/// A running gate, its file and its users.
#[derive(Debug)]
pub struct Shop {
    folder: TempDir,
    server: Server,
}

impl Shop {
    /// `users`: names, and what the configuration says of each beside its name. `rows`: SQL that makes the file.
    #[must_use]
    pub fn new(stack: &str, users: &[(&str, &str)], rows: &str) -> Self {
        Self::over(("17.7", stack), "shop", users, |file| execute(file, rows))
    }

    /// A stack whose organizations are walled off from each other.
    #[must_use]
    pub fn isolated(stack: &str, users: &[(&str, &str)], rows: &str) -> Self {
        Self::made(("posture = \"isolated\"", stack), "default", users, |file| execute(file, rows))
    }

    /// A stack with the release whose rules are followed. `source`: what the metadata calls the file, which `make` makes.
    #[must_use]
    pub fn over(
        (protocol, stack): (&str, &str),
        source: &str,
        users: &[(&str, &str)],
        make: impl FnOnce(&Path),
    ) -> Self {
        Self::made((&format!("protocol = \"{protocol}\""), stack), source, users, make)
    }

    fn made((metadata, stack): (&str, &str), source: &str, users: &[(&str, &str)], make: impl FnOnce(&Path)) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        let stack_file =
            if stack.trim_start().starts_with('{') { "metadata/stack.json" } else { "metadata/stack.yaml" };
        std::fs::write(at(stack_file), stack).unwrap();
        let mut config = format!(
            "[server]\ndatabase = \"shop\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             [flight]\naddress = \"127.0.0.1:0\"\n[rest]\nlisten = \"127.0.0.1:0\"\n[metadata]\npath = \"metadata\"\n{metadata}\n[writes]\nenabled = true\n\
             [[sources]]\nname = \"{source}\"\nkind = \"sqlite\"\npath = \"shop.sqlite\"\nwrites = true\n",
        );
        for (name, rights) in users {
            config.push_str(&format!("[[users]]\nname = \"{name}\"\n{rights}\n"));
        }
        std::fs::write(at("querygate.toml"), config).unwrap();
        for (name, _) in users {
            add_user(folder.path(), name);
        }
        make(&at("shop.sqlite"));
        let server = Server::serve(&at("querygate.toml"));
        Self { folder, server }
    }

    /// A session of a user.
    #[must_use]
    pub fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("shop").password(PASSWORD);
        runtime().block_on(connect(&config))
    }

    /// Where Flight SQL is served.
    #[must_use]
    pub fn flight(&self) -> SocketAddr {
        self.server.flight
    }

    /// Where health is asked for.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.server.http
    }

    /// Where ObjectStack's interface is served.
    ///
    /// # Panics
    /// Never: the configuration opens that door.
    #[must_use]
    pub fn rest(&self) -> SocketAddr {
        self.server.rest.unwrap()
    }

    /// Where its configuration, metadata and database are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The database.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("shop.sqlite")
    }

    /// Changes the file beside the gate.
    pub fn execute(&self, sql: &str) {
        execute(&self.file(), sql);
    }

    /// The first column of what is stored, as SQLite itself says it.
    #[must_use]
    pub fn stored(&self, sql: &str) -> Vec<String> {
        let options = SqliteConnectOptions::new().filename(self.file());
        runtime().block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_else(|| "NULL".to_owned())).collect()
        })
    }
}

/// Gives a user of a configuration the password.
pub fn add_user(folder: &Path, user: &str) {
    add_user_with(folder, user, PASSWORD);
}

/// Gives a user of a configuration a password.
pub fn add_user_with(folder: &Path, user: &str, password: &str) {
    let mut command = Command::new(binary());
    command.args(["user", "add", user, "--write"]).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Runs SQL in a SQLite file, which is made if there is none.
pub fn execute(file: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    runtime().block_on(async {
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// The number of changed rows, or code and text of the error.
///
/// # Errors
/// What the gate refuses a statement with.
pub fn change(client: &Client, sql: &str) -> Result<u64, (String, String)> {
    match runtime().block_on(client.simple_query(sql)) {
        Ok(messages) => {
            let count = messages.iter().find_map(|message| match message {
                SimpleQueryMessage::CommandComplete(count) => Some(*count),
                _ => None,
            });
            Ok(count.unwrap())
        }
        Err(error) => {
            let told = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
            Err((told.code().code().to_owned(), told.message().to_owned()))
        }
    }
}

/// SHA-256 of a text in hexadecimal digits.
#[must_use]
pub fn sha256_hex(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
