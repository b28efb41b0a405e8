//! A MongoDB server of the tests' own, on a free port, gone with the test process. Knows no driver of ours.
#![allow(clippy::print_stderr, reason = "says loudly when a server is missing")]

use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, Credential, ServerAddress};
use mongodb::{Client, Database};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The user that sources log in with: it may read, and nothing else.
pub(crate) const USER: &str = "gate";
/// Its password, with characters that addresses would trip over.
pub(crate) const PASSWORD: &str = "p@ss:/'w\"ord\\%41";
/// The user that changes documents.
pub(crate) const WRITER: &str = "writer";
const ADMINISTRATOR: &str = "root";

/// Runs the server until the test process ends or says `keep`; then the data stays.
const KEEPER: &str = "LD_LIBRARY_PATH=\"$L\" \"$M\" --dbpath \"$F/data\" --port \"$P\" --bind_ip 127.0.0.1 --auth --nounixsocket \
    --wiredTigerCacheSizeGB 0.25 --setParameter diagnosticDataCollectionEnabled=false --logpath \"$F/log\" $X >/dev/null 2>&1 & \
    p=$!; echo $p >\"$F/pid\"; read x; kill -CONT $p; kill -9 $p; wait $p; [ -n \"$x\" ] || rm -rf \"$F\"";

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
    binaries: PathBuf,
    settings: String,
    running: Mutex<Option<(Child, ChildStdin)>>,
}

/// Where `.ci/test` puts the server: `mongod`, and the libraries that it needs in `lib`.
fn binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("QUERYGATE_MONGODB") {
        return folder.into();
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/querygate");
    std::env::var_os("QUERYGATE_CACHE").map_or_else(home, PathBuf::from).join("mongodb-8.2.0")
}

impl Server {
    /// A server with an account for sources. `None` where it is not installed, which `.ci/test` says aloud; a failure where
    /// `QUERYGATE_MONGODB` names one.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(|_| String::new()).await
    }

    /// A replica set of one member, which has transactions.
    pub(crate) async fn start_replicated() -> Option<Self> {
        Self::start_as(true, |folder| {
            // Members know each other by it.
            let key = folder.join("key");
            std::fs::write(&key, "a key of the tests of at least so many characters").unwrap();
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
            format!("--replSet rs0 --oplogSize 200 --keyFile {}", key.display())
        })
        .await
    }

    /// The same with settings, which may need files in the server's folder.
    pub(crate) async fn start_with(settings: impl FnOnce(&Path) -> String) -> Option<Self> {
        Self::start_as(false, settings).await
    }

    async fn start_as(replicated: bool, settings: impl FnOnce(&Path) -> String) -> Option<Self> {
        let binaries = binaries();
        let server = binaries.join("mongod");
        let runs = Command::new(&server).env("LD_LIBRARY_PATH", binaries.join("lib")).arg("--version").output();
        if !runs.is_ok_and(|output| output.status.success()) {
            assert!(std::env::var_os("QUERYGATE_MONGODB").is_none(), "QUERYGATE_MONGODB names no server");
            eprintln!("SKIPPED: {} is absent (.ci/test installs it)", server.display());
            return None;
        }
        let folder = tempfile::Builder::new().prefix("qg-mongo-").tempdir().unwrap().keep();
        std::fs::create_dir(folder.join("data")).unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let settings = settings(&folder);
        let server = Self { port, folder, binaries, settings, running: Mutex::default() };
        server.resume();
        // Until there is a user, who comes from this machine may make the first one.
        let first = Client::with_options(server.address(None)).unwrap();
        let user = |name: &str, role: &str| {
            doc! { "createUser": name, "pwd": PASSWORD, "roles": [{ "role": role, "db": "admin" }] }
        };
        server.until_ready(&first).await;
        if replicated {
            let member = doc! { "_id": 0, "host": format!("127.0.0.1:{port}") };
            let set = doc! { "_id": "rs0", "members": [member] };
            first.database("admin").run_command(doc! { "replSetInitiate": set }).await.unwrap();
            server.until_primary(&first).await;
        }
        first.database("admin").run_command(user(ADMINISTRATOR, "root")).await.unwrap();
        server.admin("admin").run_command(user(USER, "readAnyDatabase")).await.unwrap();
        server.admin("admin").run_command(user(WRITER, "readWriteAnyDatabase")).await.unwrap();
        Some(server)
    }

    fn address(&self, user: Option<&str>) -> ClientOptions {
        let credential = user.map(|user| {
            let credential = Credential::builder().username(user.to_owned()).password(PASSWORD.to_owned());
            credential.source("admin".to_owned()).build()
        });
        let mut options = ClientOptions::default();
        options.hosts = vec![ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: Some(self.port) }];
        options.credential = credential;
        options.direct_connection = Some(true);
        options.server_selection_timeout = Some(Duration::from_secs(30));
        options
    }

    /// A database as the administrator sees it.
    pub(crate) fn admin(&self, database: &str) -> Database {
        Client::with_options(self.address(Some(ADMINISTRATOR))).unwrap().database(database)
    }

    async fn until_ready(&self, client: &Client) {
        let began = Instant::now();
        while client.database("admin").run_command(doc! { "ping": 1 }).await.is_err() {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(60), "MongoDB does not start: {}", log());
        }
    }

    /// Waits until the only member of a replica set takes changes.
    pub(crate) async fn until_primary(&self, client: &Client) {
        let began = Instant::now();
        let hello = async || client.database("admin").run_command(doc! { "hello": 1 }).await;
        while !hello().await.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false)) {
            assert!(began.elapsed() < Duration::from_secs(60), "no member becomes the primary");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts it again on its port, with its data.
    pub(crate) fn resume(&self) {
        let mut child = Command::new("sh")
            .args(["-c", KEEPER])
            .env("L", self.binaries.join("lib"))
            .env("M", self.binaries.join("mongod"))
            .env("F", &self.folder)
            .env("P", self.port.to_string())
            .env("X", &self.settings)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        *self.running.lock().unwrap() = Some((child, stdin));
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&self) {
        let (mut child, mut stdin) = self.running.lock().unwrap().take().unwrap();
        stdin.write_all(b"keep\n").unwrap();
        child.wait().unwrap();
    }

    /// Stops it where it stands (`-STOP`), or lets it go on (`-CONT`).
    pub(crate) fn signal(&self, signal: &str) {
        let id = std::fs::read_to_string(self.folder.join("pid")).unwrap();
        assert!(Command::new("kill").args([signal, id.trim()]).status().unwrap().success());
        let began = Instant::now();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap();
        while signal == "-STOP" && !state().contains(") T ") {
            assert!(began.elapsed() < Duration::from_secs(10), "the server does not stop: {}", state());
        }
    }

    /// Operations of sources that run on the server.
    pub(crate) async fn running(&self) -> Vec<Document> {
        let command = doc! { "currentOp": 1, "active": true, "effectiveUsers.user": USER, "ns": { "$not": { "$regex": "^admin" } } };
        let found = self.admin("admin").run_command(command).await.unwrap();
        let found = found.get_array("inprog").unwrap();
        found.iter().filter_map(|operation| operation.as_document().cloned()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((mut child, stdin)) = self.running.lock().unwrap().take() {
            drop(stdin);
            drop(child.wait());
        }
    }
}
