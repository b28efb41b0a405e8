//! The driver of a browser: found, started on a free port, asked, ended.

use super::{Theme, request};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Runs the driver until this process' standard input is closed, by which it ends also when the test was killed.
const KEEPER: &str = r#""$0" "$@" 2>&1 & driver=$!; cat >/dev/null; kill "$driver"; wait "$driver" 2>/dev/null"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Chromium,
    Firefox,
}

#[derive(Debug)]
pub(super) struct Driver {
    kind: Kind,
    keeper: Child,
    address: SocketAddr,
    /// Nothing of the machine's own is read or written.
    profile: TempDir,
}

impl Kind {
    /// Names of the browser's program, and of its driver's.
    const fn programs(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Chromium => (&["chromium", "google-chrome"], "chromedriver"),
            Self::Firefox => (&["firefox-esr", "firefox"], "geckodriver"),
        }
    }

    /// What a new session asks for.
    pub(super) fn capabilities(self, theme: Theme, profile: &Path) -> Value {
        let browser = self.programs().0.iter().find_map(|name| found(name));
        let wanted = match self {
            Self::Chromium => {
                let folder = format!("--user-data-dir={}", profile.join("profile").display());
                let mut arguments = vec![folder.as_str()];
                arguments.extend([
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--disable-quic",
                    "--no-first-run",
                    "--no-default-browser-check",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--hide-scrollbars",
                ]);
                json!({
                    "browserName": "chrome",
                    "goog:chromeOptions": {"binary": browser, "args": arguments},
                    "goog:loggingPrefs": {"browser": "ALL"},
                })
            }
            Self::Firefox => json!({
                "browserName": "firefox",
                // It asks before it sends a form again.
                "unhandledPromptBehavior": "accept",
                "moz:firefoxOptions": {"binary": browser, "args": ["-headless"], "prefs": {
                    // 0 is dark and 1 light.
                    "layout.css.prefers-color-scheme.content-override": i32::from(theme == Theme::Light),
                    "network.captive-portal-service.enabled": false,
                    "network.connectivity-service.enabled": false,
                    "network.dns.disablePrefetch": true,
                }},
            }),
        };
        json!({"capabilities": {"alwaysMatch": wanted}})
    }
}

/// Where a program is: in the path, or where `.ci/test` installs what Debian has not.
fn found(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cache = std::env::var_os("QUERYGATE_CACHE").map_or_else(|| home.join(".cache/querygate"), PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([cache.join("geckodriver/bin")]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

impl Driver {
    /// `None` where the browser or its driver is absent, which is printed.
    #[allow(clippy::print_stderr, reason = "what is skipped is told")]
    pub(super) fn start(kind: Kind) -> Option<Self> {
        let (browsers, driver) = kind.programs();
        let (browser, driver) = (browsers.iter().find_map(|name| found(name)), found(driver));
        let (Some(_), Some(driver)) = (&browser, &driver) else {
            eprintln!("SKIPPED: pages in {kind:?}: {} or its driver is absent", browsers.join(" or "));
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut keeper = Command::new("/bin/sh");
        keeper.arg("-c").arg(KEEPER).arg(driver).arg("--port=0");
        if kind == Kind::Firefox {
            keeper.arg("--allow-system-access");
        }
        keeper.env("HOME", profile.path()).env("TMPDIR", profile.path());
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(keeper.stdout.take().unwrap());
        let port = port(&mut output);
        // A driver stops when its output is not read.
        std::thread::spawn(move || std::io::copy(&mut output.by_ref(), &mut std::io::sink()));
        Some(Self { kind, keeper, address: SocketAddr::from(([127, 0, 0, 1], port)), profile })
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn profile(&self) -> &Path {
        self.profile.path()
    }

    /// The value of an answer.
    pub(super) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.attempt(method, path, body).unwrap_or_else(|error| panic!("{:?} {method} {path}: {error}", self.kind))
    }

    /// The value of an answer, where the command may fail.
    pub(super) fn attempt(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let answer = request(method, path, body).send(self.address);
        let value = answer.json()["value"].clone();
        if answer.status == 200 { Ok(value) } else { Err(value.to_string()) }
    }
}

/// The port in the line by which a driver says that it listens: `… on port 41234.`, `Listening on 127.0.0.1:41234`.
fn port(output: &mut impl BufRead) -> u16 {
    let mut said = String::new();
    loop {
        let from = said.len();
        let read = output.read_line(&mut said).unwrap();
        assert!(read > 0, "the driver ended: {said}");
        let line = said[from..].trim_end().trim_end_matches('.');
        if line.contains("successfully on port ") || line.contains("Listening on ") {
            let digits = line.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            return digits.parse().unwrap_or_else(|_| panic!("no port: {line}"));
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
