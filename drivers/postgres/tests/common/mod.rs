//! A PostgreSQL server of the tests' own, on a free port, gone with the test process.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, dead_code, reason = "tests panic, and use parts")]

pub(crate) mod query;

use querygate_driver_api::testkit::dataset::{Limits, Table, tables};
use querygate_driver_api::value::{Value, ValueType};
use querygate_postgres::{PostgresDriver, PostgresOptions};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

pub(crate) const LIMITS: Limits = Limits { timestamp_step: 1, nan: true, infinite: true };
const TLS: &str = "-c ssl=on -c ssl_cert_file=../server.crt -c ssl_key_file=../server.key";
/// Makes an authority, a certificate of it for the name `localhost`, and another authority.
const CERTIFICATES: &str = "set -e; cd \"$F\"; new='openssl req -x509 -newkey rsa:2048 -nodes -days 30'
    $new -keyout ca.key -out ca.crt -subj /CN=ours; $new -keyout other.key -out other.crt -subj /CN=theirs
    openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost
    printf 'subjectAltName=DNS:localhost' >ext; openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -days 30 \
      -CAcreateserial -extfile ext -out server.crt 2>/dev/null; chmod 600 server.key; chmod 644 *.crt";
pub(crate) const PASSWORD: &str = "se'cr\"et\\";

/// A running server. Its shell stops it and removes its folder when the test process ends, however that happens.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
    binaries: PathBuf,
    running: Mutex<Option<(Child, ChildStdin)>>,
    /// Prepared transactions that it keeps at a time.
    prepared_max: u32,
    /// Further arguments.
    settings: &'static str,
}

/// Debian's newest server of version 15 or later.
fn binaries() -> Option<PathBuf> {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = folders.filter(|path| version(path).is_some_and(|version| version >= 15)).max_by_key(version)?;
    Some(newest.join("bin")).filter(|folder| folder.join("initdb").exists())
}

/// The server of this test binary; none where PostgreSQL is not installed, which `CI` does not excuse.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    pub(crate) fn start() -> Option<Self> {
        Self::made("", 20, "")
    }

    /// A server that has on disk what it says is stored.
    pub(crate) fn durable() -> Option<Self> {
        Self::made("", 20, "-c fsync=on -c synchronous_commit=on")
    }

    /// A server with room for so few prepared transactions; usually there is none at all.
    pub(crate) fn keeping(prepared_max: u32) -> Option<Self> {
        Self::made("", prepared_max, "")
    }

    /// A server that speaks TLS too: `ca.crt` and `other.crt` lie in its folder.
    pub(crate) fn with_tls() -> Option<Self> {
        Self::made(CERTIFICATES, 0, "")
    }

    /// `first` runs in the server's folder before anything else.
    fn made(first: &str, prepared_max: u32, settings: &'static str) -> Option<Self> {
        let Some(binaries) = binaries() else {
            assert!(std::env::var_os("CI").is_none(), "PostgreSQL's server is not installed");
            eprintln!("SKIPPED: PostgreSQL's server is absent (apt-get install postgresql-15)");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("qg-pg-").tempdir().unwrap().keep();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o711)).unwrap();
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        let server = Self { port: free_port(), folder, binaries, running: Mutex::new(None), prepared_max, settings };
        let prepared = server.as_server(first).output().unwrap();
        assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
        // The database's own order is a language's, so that every forgotten collation shows.
        let made = server
            .as_server("chown -R postgres \"$F\" 2>/dev/null; cd /; exec $AS \"$B/initdb\" -D \"$F/data\" -U postgres -E UTF8 \
                 --auth=scram-sha-256 --pwfile=\"$F/password\" --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US --no-sync")
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.run();
        Some(server)
    }

    fn as_server(&self, script: &str) -> Command {
        let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let mut command = Command::new("sh");
        let become_it = "setpriv --reuid postgres --regid postgres --clear-groups";
        command.args(["-c", script]).env("B", &self.binaries).env("F", &self.folder);
        command.env("AS", if root { become_it } else { "" }).env("PORT", self.port.to_string());
        command.env("PREPARED", self.prepared_max.to_string()).env("SETTINGS", self.settings);
        command.env("EXTRA", if self.folder.join("server.key").exists() { TLS } else { "" });
        command
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn run(&self) {
        let mut child = self
            .as_server("cd /; $AS \"$B/postgres\" -D \"$F/data\" -p $PORT -k '' -c listen_addresses=127.0.0.1 -c fsync=off \
                 -c max_connections=60 -c max_prepared_transactions=$PREPARED $SETTINGS $EXTRA >\"$F/log\" 2>&1 </dev/null & server=$!; read -r _; kill -QUIT $server; wait $server; \
                 rm -rf \"$F\"")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        *self.running.lock().unwrap() = Some((child, stdin));
        let until = Instant::now() + Duration::from_secs(30);
        let ready = || {
            let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
            file.lines().nth(7).is_some_and(|line| matches!(line.trim(), "ready" | "standby"))
        };
        while !ready() {
            assert!(Instant::now() < until, "{}", std::fs::read_to_string(self.folder.join("log")).unwrap_or_default());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// All of its processes are killed, none of which hears of it.
    pub(crate) fn kill_all(&self) {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let main = file.lines().next().unwrap().to_owned();
        // Stopped, so that it starts no other process meanwhile.
        signal("STOP", &main);
        let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap();
        for pid in children.split_whitespace().chain([main.as_str()]) {
            Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status().unwrap();
        }
        self.until_dead(&main);
        // It says that the server is ready.
        std::fs::remove_file(self.folder.join("data/postmaster.pid")).unwrap();
    }

    /// Its main process dies at once, and with it all others.
    pub(crate) fn kill(&self) {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let pid = file.lines().next().unwrap().to_owned();
        signal("QUIT", &pid);
        self.until_dead(&pid);
    }

    /// Stops it where it stands: connections stay open and nothing answers.
    #[allow(dead_code, reason = "for those who test what waits")]
    pub(crate) fn freeze(&self) {
        self.processes().iter().for_each(|pid| signal("STOP", pid));
    }

    /// Lets it go on.
    #[allow(dead_code, reason = "for those who test what waits")]
    pub(crate) fn thaw(&self) {
        self.processes().iter().for_each(|pid| signal("CONT", pid));
    }

    /// The main process and its children: each connection has one of its own.
    fn processes(&self) -> Vec<String> {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let main = file.lines().next().unwrap().to_owned();
        let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap();
        let children = children.split_whitespace().map(str::to_owned);
        std::iter::once(main.clone()).chain(children).collect()
    }

    /// Waits for the end of the main process, and has its shell not clean up.
    fn until_dead(&self, pid: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        // Dead, though its shell does not look: it has no command line any more.
        let alive = || std::fs::read(Path::new("/proc").join(pid).join("cmdline")).is_ok_and(|line| !line.is_empty());
        while alive() && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        // The shell still waits to clean up: it is told to forget.
        if let Some((mut child, stdin)) = self.running.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
            drop(stdin);
        }
    }

    pub(crate) fn options(&self, database: &str) -> PostgresOptions {
        PostgresOptions {
            port: self.port,
            password: Some(PASSWORD.to_owned()),
            pool_size: 4,
            ..PostgresOptions::new("shop", "127.0.0.1", "postgres", database)
        }
    }

    pub(crate) fn driver(&self, database: &str) -> PostgresDriver {
        PostgresDriver::new(&self.options(database)).unwrap()
    }

    pub(crate) async fn client(&self, database: &str) -> Client {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user("postgres").password(PASSWORD).dbname(database);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        client
    }

    /// A new database, and an administrator's connection to it.
    pub(crate) async fn database(&self, name: &str, options: &str) -> Client {
        let postgres = self.client("postgres").await;
        postgres.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0 {options}")).await.unwrap();
        self.client(name).await
    }
}

pub(crate) fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), pid]).status().unwrap().success());
}

/// The suite's tables, each column declared as `declare` says.
pub(crate) async fn load(client: &Client, declare: impl Fn(&str, ValueType) -> String) {
    for table in tables(LIMITS) {
        let columns = table.columns.iter().map(|(name, value_type)| {
            let key = if *name == "id" { " PRIMARY KEY" } else { "" };
            format!("\"{name}\" {}{key}", declare(name, *value_type))
        });
        let columns: Vec<String> = columns.collect();
        client.batch_execute(&format!("CREATE TABLE \"{}\" ({})", table.name, columns.join(", "))).await.unwrap();
        copy(client, &table).await;
    }
    client.batch_execute("CREATE INDEX ON nasty (words); CREATE INDEX ON nasty (instant); ANALYZE").await.unwrap();
}

/// The plainest declaration of a type.
pub(crate) fn plain(_name: &str, value_type: ValueType) -> String {
    match value_type {
        ValueType::Decimal128 { precision, scale } => return format!("numeric({precision},{scale})"),
        ValueType::Boolean => "boolean",
        ValueType::Int16 => "smallint",
        ValueType::Int32 => "integer",
        ValueType::Int64 => "bigint",
        ValueType::Float32 => "real",
        ValueType::Float64 => "double precision",
        ValueType::Text => "text",
        ValueType::Binary => "bytea",
        ValueType::Date => "date",
        ValueType::Time => "time",
        ValueType::Timestamp { utc: false } => "timestamp",
        ValueType::Timestamp { utc: true } => "timestamptz",
        ValueType::TextList => "text[]",
        ValueType::List(_) => unreachable!("no table of the tests has one"),
    }
    .to_owned()
}

async fn copy(client: &Client, table: &Table) {
    copy_rows(client, &format!("\"{}\"", table.name), &table.rows).await;
}

/// Loads rows into a table, whose name is as SQL writes it.
pub(crate) async fn copy_rows(client: &Client, table: &str, rows: &[Vec<Value>]) {
    use futures::SinkExt;
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        writeln!(text, "{}", cells.join("\t")).unwrap();
    }
    client.batch_execute("SET TimeZone = 'UTC'").await.unwrap();
    let sink = client.copy_in::<_, bytes::Bytes>(&format!("COPY {table} FROM STDIN")).await.unwrap();
    let mut sink = std::pin::pin!(sink);
    sink.send(bytes::Bytes::from(text)).await.unwrap();
    sink.finish().await.unwrap();
}

/// A value in COPY's text format.
fn cell(value: &Value) -> String {
    let escaped =
        |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    match value {
        Value::Null(_) => "\\N".to_owned(),
        Value::Text(text) => escaped(text),
        Value::Binary(bytes) => bytes.iter().fold("\\\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
        Value::TextList(items) => {
            let item = |item: &Option<std::sync::Arc<str>>| match item {
                None => "NULL".to_owned(),
                Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            };
            escaped(&format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(",")))
        }
        other => {
            let array = other.to_array().unwrap();
            arrow::util::display::array_value_to_string(&array, 0).unwrap()
        }
    }
}

/// Stops the shell of a server that is no longer wanted.
impl Drop for Server {
    fn drop(&mut self) {
        if let Some((mut child, mut stdin)) = self.running.lock().unwrap().take() {
            drop(stdin.write_all(b"\n"));
            drop(stdin);
            drop(child.wait());
        }
    }
}
