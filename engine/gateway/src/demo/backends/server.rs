//! A private server: its account, port, folder and end. Knows no kind of server.

use querygate_types::{Error, ErrorCode, Result};
use ring::rand::{SecureRandom, SystemRandom};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs a server until its own standard input ends, however the process that holds the other end comes to that: an orderly
/// stop, a crash, a kill. Then the server (at once, where it knows SIGQUIT) and its files go.
const KEEPER: &str = r#"
log=$1 folder=$2; shift 2
"$@" </dev/null >"$log" 2>&1 & server=$!
read -r _
kill -QUIT "$server"; kill -TERM "$server"; wait "$server"
rm -rf "$folder"/* 2>/dev/null
"#;

/// Longest wait for a server to be ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for a server to be gone.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Bytes of a server's log that an error shows.
const LOG_SHOWN: usize = 2_000;

/// Whom a server runs as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account(Option<(u32, u32)>);

impl Account {
    /// Whoever runs the demo.
    pub(super) fn ours() -> Self {
        Self(None)
    }

    /// The system account of a server's package, because servers refuse to be root; whoever is not root stays who it is.
    pub(super) fn of(name: &str) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let ids = known.lines().find_map(|line| {
            let mut parts = line.split(':');
            if parts.next() != Some(name) {
                return None;
            }
            Some((parts.nth(1)?.parse().ok()?, parts.next()?.parse().ok()?))
        });
        ids.map(|ids| Self(Some(ids))).ok_or_else(|| {
            Error::new(
                ErrorCode::SourceUnavailable,
                format!("there is no system account \"{name}\" to run a server as"),
            )
            .with_hint("Its package makes one; or run the demo as another user than root.")
        })
    }

    /// Gives a file or folder to the account, closed to others.
    pub(super) fn own(self, path: &Path) -> Result<()> {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(|e| super::disk(&e))?;
        match self.0 {
            Some((user, group)) => chown(path, Some(user), Some(group)).map_err(|e| super::disk(&e)),
            None => Ok(()),
        }
    }

    /// A program of the server, run by the account. Ctrl-C in a terminal is for the gate, which stops its servers itself.
    pub(super) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").process_group(0);
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command
    }
}

/// A running server. Dropped, it is stopped and its files are removed.
#[derive(Debug)]
pub(super) struct Server {
    keeper: Child,
    stdin: Option<ChildStdin>,
}

impl Server {
    /// Starts `program` and waits until `ready` says so. `folder` belongs to the account; the log is kept in it.
    pub(super) fn start(
        account: Account,
        folder: &Path,
        program: &Path,
        arguments: &[String],
        ready: impl Fn() -> bool,
    ) -> Result<Self> {
        let log = folder.join("log");
        let mut command = account.command("/bin/sh");
        command.args(["-c", KEEPER, "querygate-demo"]).arg(&log).arg(folder).arg(program).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut keeper = command.spawn().map_err(|e| failed(program, &e.to_string()))?;
        let stdin = keeper.stdin.take();
        let server = Self { keeper, stdin };
        let began = Instant::now();
        while !ready() {
            if began.elapsed() > START_TIMEOUT {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(failed(program, &format!("it was not ready in time: {}", end_of(&said))));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let began = Instant::now();
        while matches!(self.keeper.try_wait(), Ok(None)) && began.elapsed() < STOP_TIMEOUT {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Runs a program to its end with `input`.
///
/// # Errors
/// What it said, when it fails.
pub(super) fn run(mut command: Command, input: &[u8]) -> Result<Output> {
    let program = PathBuf::from(command.get_program());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| failed(&program, &e.to_string()))?;
    let stdin = child.stdin.take();
    let (written, output) = std::thread::scope(|scope| {
        // Beside the reading: a program that says much while it reads would otherwise wait for us, and we for it.
        let writer = scope.spawn(|| stdin.map_or(Ok(()), |mut stdin| stdin.write_all(input)));
        let output = child.wait_with_output();
        (writer.join(), output)
    });
    let output = output.map_err(|e| failed(&program, &e.to_string()))?;
    if !output.status.success() {
        return Err(failed(&program, &end_of(&String::from_utf8_lossy(&output.stderr))));
    }
    match written {
        Ok(Ok(())) => Ok(output),
        Ok(Err(error)) => Err(failed(&program, &error.to_string())),
        Err(_) => Err(Error::internal("a writer panicked")),
    }
}

fn failed(program: &Path, detail: &str) -> Error {
    Error::new(ErrorCode::SourceUnavailable, format!("{} failed", program.display())).with_detail(detail.trim())
}

fn end_of(text: &str) -> String {
    let from = text.len().saturating_sub(LOG_SHOWN);
    (from..=text.len()).find_map(|at| text.get(at..)).unwrap_or_default().to_owned()
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|e| {
        Error::new(ErrorCode::SourceUnavailable, "there is no free port on 127.0.0.1").with_detail(e.to_string())
    })
}

/// A password of hexadecimal digits: it needs no quoting anywhere.
pub(super) fn password() -> Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::internal("no randomness"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file that only its owner reads.
pub(super) fn write_secret(path: &Path, secret: &str) -> Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(secret.as_bytes())).map_err(|e| super::disk(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_and_its_files_go_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = "echo $$ >\"$0\"; exec sleep 600".to_owned();
        let arguments = ["-c".to_owned(), script, pid.display().to_string()];
        let read = || std::fs::read_to_string(&pid).unwrap_or_default().trim().to_owned();
        let started =
            Server::start(Account(None), folder.path(), Path::new("/bin/sh"), &arguments, || !read().is_empty());
        let process = PathBuf::from("/proc").join(read());
        assert!(process.exists());
        drop(started.unwrap());
        assert!(!process.exists() && !pid.exists());
    }

    #[test]
    fn what_a_program_says_when_it_fails_is_told() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "cat >/dev/null; echo no such role >&2; exit 3"]);
        let error = run(command, b"input").unwrap_err();
        assert_eq!(error.detail(), Some("no such role"));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "cat"]);
        assert_eq!(run(command, "ä".repeat(100_000).as_bytes()).unwrap().stdout.len(), 200_000);
    }
}
