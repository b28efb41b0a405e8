//! A gate in this process over a SQLite file and a source of an extension.

use querygate::{Addresses, Output, run_with};
use querygate_extension::{Extension, Extensions};
use querygate_types::Error;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

pub(crate) const PASSWORD: &str = "a long enough password";
const STACK: &str = include_str!("stack.yaml");
const ROWS: &str = "CREATE TABLE payments(id TEXT PRIMARY KEY NOT NULL, iban TEXT, amount REAL, currency TEXT);
    CREATE TABLE journal(id TEXT PRIMARY KEY NOT NULL, payment TEXT, payer TEXT);";
const CONFIG: &str = r#"
[server]
database = "pay"
postgres = "127.0.0.1:0"
http = "off"
[rest]
listen = "127.0.0.1:0"
[metadata]
path = "metadata"
[writes]
enabled = true
[[sources]]
name = "bank"
kind = "sqlite"
path = "bank.sqlite"
writes = true
[[sources]]
name = "lists"
kind = "native:table"
options = { currencies = "EUR Euro, USD Dollar" }
[[users]]
name = "paula"
email = "paula@pay.example"
permission_sets = ["pay_clerk"]
[[users]]
name = "root"
operator = true
"#;

pub(crate) struct Gate {
    folder: TempDir,
    runtime: Runtime,
    stop: CancellationToken,
    serving: Option<(JoinHandle<Result<(), Error>>, Addresses)>,
}

/// Runs a command of a binary with these extensions: what it says, and whether it ends well.
pub(crate) fn command(extensions: Vec<Extension>, arguments: &[&str]) -> (String, bool) {
    command_with(extensions, arguments, "")
}

fn command_with(extensions: Vec<Extension>, arguments: &[&str], input: &str) -> (String, bool) {
    let (output, captured) = Output::captured(input);
    let arguments = std::iter::once("querygate").chain(arguments.iter().copied()).map(Into::into);
    let ended = run_with(extensions, arguments, output);
    (captured.text(), format!("{ended:?}") == format!("{:?}", ExitCode::SUCCESS))
}

impl Gate {
    /// Its files alone.
    pub(crate) fn written() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), STACK).unwrap();
        std::fs::write(at("querygate.toml"), CONFIG).unwrap();
        let runtime = Runtime::new().unwrap();
        let gate = Self { folder, runtime, stop: CancellationToken::new(), serving: None };
        gate.execute_stored(ROWS);
        gate
    }

    /// One that serves.
    pub(crate) fn serve(extensions: Vec<Extension>) -> Self {
        let mut gate = Self::written();
        for user in ["paula", "root"] {
            let file = gate.file();
            let input = format!("{PASSWORD}\n");
            let known = vec![super::payments::extension()];
            let (told, is_well) = command_with(known, &["user", "add", user, "--write", "--config", &file], &input);
            assert!(is_well, "{told}");
        }
        let extensions = Extensions::resolve(extensions).unwrap();
        let (file, stop) = (gate.file(), gate.stop.clone());
        let (send, receive) = mpsc::channel();
        let serving = std::thread::spawn(move || {
            querygate::serve(file.as_ref(), &extensions, stop, |addresses| send.send(addresses).unwrap())
        });
        match receive.recv_timeout(Duration::from_secs(60)) {
            Ok(addresses) => gate.serving = Some((serving, addresses)),
            Err(_) => panic!("{:?}", serving.join()),
        }
        gate
    }

    /// Whether one begins to serve.
    pub(crate) fn try_serve(&self, extensions: Vec<Extension>) -> Result<(), Error> {
        let stop = self.stop.clone();
        querygate::serve(self.file().as_ref(), &Extensions::resolve(extensions)?, stop.clone(), move |_| stop.cancel())
    }

    pub(crate) fn file(&self) -> String {
        self.folder.path().join("querygate.toml").display().to_string()
    }

    pub(crate) fn replace(&self, name: &str, old: &str, new: &str) {
        let path = self.folder.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{old}");
        std::fs::write(path, text.replace(old, new)).unwrap();
    }

    fn addresses(&self) -> &Addresses {
        &self.serving.as_ref().unwrap().1
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        let mut config = tokio_postgres::Config::new();
        let port = self.addresses().postgres.unwrap().port();
        config.host("127.0.0.1").port(port).user(user).password(PASSWORD).dbname("pay");
        self.runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        })
    }

    pub(crate) fn change(&self, client: &Client, sql: &str) {
        self.runtime.block_on(client.batch_execute(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// A prepared change with values: the number of rows, or code and message.
    pub(crate) fn execute(
        &self,
        client: &Client,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, (String, String)> {
        self.runtime.block_on(client.execute(sql, values)).map_err(|error| told(&error))
    }

    /// Changes what is stored, beside the gate.
    pub(crate) fn execute_stored(&self, sql: &str) {
        let options =
            SqliteConnectOptions::new().filename(self.folder.path().join("bank.sqlite")).create_if_missing(true);
        self.runtime.block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// The first column of what is stored, which is text.
    pub(crate) fn stored(&self, sql: &str) -> Vec<String> {
        let options = SqliteConnectOptions::new().filename(self.folder.path().join("bank.sqlite"));
        self.runtime.block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_else(|| "NULL".to_owned())).collect()
        })
    }

    pub(crate) fn token(&self, user: &str) -> String {
        let body = json!({"email": format!("{user}@pay.example"), "password": PASSWORD});
        let (status, answer) = self.request("POST", "/api/v1/auth/sign-in/email", "", &body);
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn send(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.request(method, &format!("/api/v1/data/{path}"), token, body)
    }

    fn request(&self, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let mut tcp = TcpStream::connect(self.addresses().rest.unwrap()).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let authorization = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        write!(
            tcp,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
             {authorization}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, text) = answer.split_once("\r\n\r\n").unwrap();
        // Perhaps in chunks.
        let (from, to) = (text.find('{').unwrap_or(0), text.rfind('}').map_or(0, |end| end + 1));
        (status, serde_json::from_str(text.get(from..to).unwrap_or("null")).unwrap_or_else(|_| panic!("{answer}")))
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some((serving, _)) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// Rows as texts, their columns with a blank between.
pub(crate) fn rows(client: &Client, sql: &str) -> Vec<String> {
    asked(client, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

/// Code and message of what refuses a statement.
pub(crate) fn refused(client: &Client, sql: &str) -> (String, String) {
    match asked(client, sql) {
        Err(told) => told,
        Ok(rows) => panic!("{sql}: {rows:?}"),
    }
}

fn asked(client: &Client, sql: &str) -> Result<Vec<String>, (String, String)> {
    // The connection is driven by its gate's runtime.
    let messages = Runtime::new().unwrap().block_on(client.simple_query(sql)).map_err(|error| told(&error))?;
    let of = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            let values: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect();
            Some(values.join(" "))
        }
        _ => None,
    };
    Ok(messages.iter().filter_map(of).collect())
}

fn told(error: &tokio_postgres::Error) -> (String, String) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    let detail = error.detail().unwrap_or_default();
    let text = if detail.is_empty() { error.message().to_owned() } else { format!("{} {detail}", error.message()) };
    (error.code().code().to_owned(), text)
}
