//! A MariaDB of its own for a test: a fresh data directory, a free port, gone when dropped. Knows no driver.
#![allow(clippy::print_stderr, reason = "says loudly when a server is missing")]

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The user that sources log in with.
pub(crate) const USER: &str = "gate";
/// Its password, with characters that connection strings would trip over.
pub(crate) const PASSWORD: &str = "p@ss:/'w\"ord\\";

const SERVER: &str = "/usr/sbin/mariadbd";

/// Runs the server until the test process ends or says `keep`; then the data stays.
const KEEPER: &str = "\"$@\" </dev/null >/dev/null 2>&1 & p=$!; echo $p >\"$F/process\"; read x; kill -9 $p; wait $p; \
    [ -n \"$x\" ] || rm -rf \"$F\"";

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    folder: PathBuf,
    pub(crate) port: u16,
    running: Mutex<Option<(Child, ChildStdin)>>,
    /// Further arguments of the server.
    settings: Vec<String>,
}

impl Server {
    /// A server with an account for sources. `None`, and a loud line, where MariaDB is not installed; in CI that is a
    /// failure.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(|_| Vec::new())
    }

    /// The same with settings, which may need files in the server's folder.
    pub(crate) fn start_with(settings: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        if !Path::new(SERVER).exists() {
            assert!(std::env::var_os("CI").is_none(), "{SERVER} is absent, and CI must have it");
            eprintln!("SKIPPED: {SERVER} is absent (install mariadb-server)");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("qg-maria-").tempdir().unwrap().keep();
        copy(&template(), &folder.join("data"));
        std::fs::create_dir(folder.join("tmp")).unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let settings = settings(&folder);
        let server = Self { folder, port, running: Mutex::default(), settings };
        server.resume();
        server.sql(&format!(
            "CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{}'; GRANT SELECT, SHOW VIEW ON *.* TO '{USER}'@'127.0.0.1';",
            PASSWORD.replace('\\', "\\\\").replace('\'', "''")
        ));
        Some(server)
    }

    /// Starts it again on its port, with its data.
    pub(crate) fn resume(&self) {
        let folder = &self.folder;
        let mut child = Command::new("sh")
            .args(["-c", KEEPER, "keeper", SERVER])
            .args(arguments(&folder.join("data")))
            .arg(format!("--tmpdir={}", folder.join("tmp").display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(format!("--log-error={}", folder.join("err").display()))
            .arg(format!("--port={}", self.port))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=60"])
            .args([
                "--innodb-buffer-pool-size=64M",
                "--innodb-flush-log-at-trx-commit=2",
                "--innodb-flush-method=nosync",
            ])
            .args(&self.settings)
            .env("F", folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        *self.running.lock().unwrap() = Some((child, stdin));
        let began = Instant::now();
        // Each attempt is a process, which is pause enough.
        while !self.client().args(["-e", "SELECT 1"]).output().unwrap().status.success() {
            let log = || std::fs::read_to_string(self.folder.join("err")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(60), "MariaDB does not start: {}", log());
        }
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&self) {
        let (mut child, mut stdin) = self.running.lock().unwrap().take().unwrap();
        stdin.write_all(b"keep\n").unwrap();
        child.wait().unwrap();
    }

    /// Stops it where it stands: connections stay open and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = std::fs::read_to_string(self.folder.join("process")).unwrap();
        assert!(Command::new("kill").args([signal, id.trim()]).status().unwrap().success());
        let began = Instant::now();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap();
        while signal == "-STOP" && !state().contains(") T ") {
            assert!(began.elapsed() < Duration::from_secs(10), "the server does not stop: {}", state());
        }
    }

    /// Runs statements as the administrator and gives the rows, cells apart by tabs.
    pub(crate) fn sql(&self, text: &str) -> String {
        let mut client = self.client();
        client.args(["--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4"]);
        let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether the server takes a statement.
    pub(crate) fn takes(&self, text: &str) -> bool {
        self.client().args(["-e", text]).output().unwrap().status.success()
    }

    /// Where an administrator connects, as root without password.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("s")
    }

    fn client(&self) -> Command {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-uroot"]).arg(format!("--socket={}", self.socket().display()));
        client
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

/// Arguments of the server and of the program that makes its data directory.
fn arguments(data: &Path) -> Vec<String> {
    let settings = ["--innodb-log-file-size=8M", "--innodb-data-file-path=ibdata1:12M:autoextend"];
    // A server refuses to run as root unless it is told to.
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let user = root.then_some("--user=root");
    let first = ["--no-defaults".to_owned(), format!("--datadir={}", data.display())];
    first.into_iter().chain(settings.into_iter().chain(user).map(str::to_owned)).collect()
}

/// An initialized data directory, made once per build folder: making one takes seconds, copying it does not.
fn template() -> PathBuf {
    let folder = &build_folder();
    let version = Command::new(SERVER).arg("--version").output().unwrap().stdout;
    let version: String =
        String::from_utf8_lossy(&version).chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
    let done = folder.join(format!("mariadb-template-{version}"));
    if !done.exists() {
        let making = TempDir::new_in(folder).unwrap();
        let data = making.path().join("data");
        let output = Command::new("mariadb-install-db")
            .args(arguments(&data))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Another test may have been faster.
        if std::fs::rename(&data, &done).is_err() {
            assert!(done.exists());
        }
    }
    done
}

/// Cargo's folder for files of tests, found from the test's own program.
fn build_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folder = program.ancestors().nth(3).unwrap().join("tmp");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").args(["-r", "--reflink=auto"]).arg(from).arg(to).status().unwrap();
    assert!(status.success());
}
