//! A server process: started on free ports, ended with the test that started it, its output kept line by line.

use super::binary;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, NoTls};

/// How long a start, a reload or a stop may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(180);

/// Starts the server in the background and ends it as soon as nobody holds this process' standard input: also when the
/// test was killed. The server's pid is its first line.
const KEEPER: &str =
    r#""$0" "$@" 2>&1 & server=$!; echo "pid $server"; cat >/dev/null; kill "$server"; wait "$server"; echo "exit $?""#;

/// The runtime of all clients of a test binary.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
    &RUNTIME
}

#[derive(Debug, Default)]
struct Output {
    lines: Mutex<(Vec<String>, bool)>,
    grown: Condvar,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    keeper: Child,
    output: Arc<Output>,
    pub pid: u32,
    pub postgres: SocketAddr,
    pub http: SocketAddr,
    pub flight: SocketAddr,
    /// `None`: the configuration opens no REST door.
    pub rest: Option<SocketAddr>,
}

impl Server {
    /// Runs `querygate ARGUMENTS --pg … --http … --flight …` in the background.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_by(&[], arguments)
    }

    /// The same through a command that runs, in its own place, the one that it is given.
    #[must_use]
    pub fn start_by(wrapper: &[&str], arguments: &[&str]) -> Self {
        let mut all = arguments.to_vec();
        all.extend(["--pg", "127.0.0.1:0", "--http", "127.0.0.1:0", "--flight", "127.0.0.1:0"]);
        if arguments.first() == Some(&"demo") {
            // A configuration says whether this door is open; the demo's always is.
            all.extend(["--rest", "127.0.0.1:0"]);
        }
        Self::run(wrapper, &all, Path::new("."))
    }

    /// Runs `querygate ARGUMENTS` in a folder, at the addresses that they or its configuration name.
    #[must_use]
    pub fn start_in(folder: &Path, arguments: &[&str]) -> Self {
        Self::run(&[], arguments, folder)
    }

    fn run(wrapper: &[&str], arguments: &[&str], folder: &Path) -> Self {
        let mut keeper = Command::new("/bin/sh");
        keeper.arg("-c").arg(KEEPER).args(wrapper).arg(binary()).args(arguments).current_dir(folder);
        keeper.env_remove("QUERYGATE_LOG").env("NO_COLOR", "1");
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = Arc::new(Output::default());
        let (stdout, kept) = (keeper.stdout.take().unwrap(), Arc::clone(&output));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                kept.lines.lock().unwrap().0.push(String::from_utf8_lossy(&line).into_owned());
                kept.grown.notify_all();
            }
            kept.lines.lock().unwrap().1 = true;
            kept.grown.notify_all();
        });
        let unbound = "127.0.0.1:0".parse().unwrap();
        let mut server = Self { keeper, output, pid: 0, postgres: unbound, http: unbound, flight: unbound, rest: None };
        server.pid = server.wait_for("pid ", 0)["pid ".len()..].parse().unwrap();
        server
    }

    /// `querygate serve -c FILE`.
    #[must_use]
    pub fn serve(config: &Path) -> Self {
        Self::serve_by(&[], config)
    }

    /// The same through a command, see [`Server::start_by`].
    #[must_use]
    pub fn serve_by(wrapper: &[&str], config: &Path) -> Self {
        let mut server = Self::start_by(wrapper, &["serve", "-c", config.to_str().unwrap()]);
        let line = server.wait_for("querygate serves ", 0);
        let address = |door: &str| {
            let from = line.find(door).unwrap_or_else(|| panic!("no {door}in {line}")) + door.len();
            line[from..].split(',').next().unwrap().trim().parse().unwrap()
        };
        (server.postgres, server.http) = (address("postgres on "), address("http on "));
        server.flight = address("flight on ");
        server.rest = line.contains("rest on ").then(|| address("rest on "));
        server
    }

    /// Everything printed so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.output.lines.lock().unwrap().0.clone()
    }

    /// The first line from number `from` on that holds `text`, once it is there.
    ///
    /// # Panics
    /// When the server ended or fell silent without it.
    #[must_use]
    pub fn wait_for(&self, text: &str, from: usize) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut guard = self.output.lines.lock().unwrap();
        loop {
            let (lines, ended) = &*guard;
            if let Some(line) = lines.iter().skip(from).find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!ended && !left.is_zero(), "the server did not print {text:?}:\n{}", lines.join("\n"));
            guard = self.output.grown.wait_timeout(guard, left).unwrap().0;
        }
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("/bin/sh").arg("-c").arg(format!("kill -{name} {}", self.pid)).status().unwrap();
        assert!(sent.success());
    }

    /// Resident bytes of the server.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Whether the process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Path::new(&format!("/proc/{}/status", self.pid)).exists()
    }

    /// Asks the server to stop and returns its exit code.
    #[must_use]
    pub fn stop(&mut self) -> i32 {
        drop(self.keeper.stdin.take());
        self.wait_for("exit ", 0)["exit ".len()..].parse().unwrap()
    }

    /// A client logged in as a user of the demo.
    pub async fn client(&self, user: &str) -> Client {
        connect(&self.config(user)).await
    }

    /// How a user of the demo connects.
    #[must_use]
    pub fn config(&self, user: &str) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.postgres.port()).dbname("demo");
        config.user(user).password(format!("demo-{user}"));
        config
    }

    /// Self-checks so far by what they found.
    ///
    /// # Panics
    /// When the metrics cannot be read.
    #[must_use]
    pub fn self_checks(&self) -> BTreeMap<String, u64> {
        let metrics = self.get("/metrics");
        let lines = metrics.lines().filter_map(|line| line.strip_prefix("querygate_self_checks_total{outcome=\""));
        let found = lines.map(|line| line.split_once("\"} ").unwrap());
        found.map(|(outcome, count)| (outcome.to_owned(), count.trim().parse().unwrap())).collect()
    }

    /// Body of `GET path`, with its status line before it.
    #[must_use]
    pub fn get(&self, path: &str) -> String {
        get(self.http, path)
    }
}

/// Body of `GET path` at an address, with its status line before it.
///
/// # Panics
/// When no process answers there.
#[must_use]
pub fn get(address: SocketAddr, path: &str) -> String {
    use std::io::{Read, Write};
    let mut tcp = std::net::TcpStream::connect(address).unwrap();
    write!(tcp, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    answer
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // The keeper reaps the server; a test that failed must not wait for a server that does not stop.
        let deadline = Instant::now() + Duration::from_secs(20);
        while matches!(self.keeper.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        if matches!(self.keeper.try_wait(), Ok(None)) {
            self.signal("KILL");
        }
    }
}

/// Connects, and drives the connection on the shared runtime.
///
/// # Panics
/// When the server refuses.
pub async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    runtime().spawn(connection);
    client
}
