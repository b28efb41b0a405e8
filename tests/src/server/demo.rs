//! The demo, seeded once per build of the binary and served once per test binary; and servers over the same data with
//! another configuration.

use super::{Server, binary};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::UNIX_EPOCH;
use tempfile::TempDir;

/// Logins of the demo; passwords are `demo-` and the login.
pub const DEMO_USERS: [&str; 3] = ["ada", "sam", "iris"];

/// A printed statement and what it answers to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub sql: String,
    /// (user, lines).
    pub answers: Vec<(String, Vec<String>)>,
}

/// The demo as served.
#[derive(Debug)]
pub struct Demo {
    pub server: Server,
    pub guide: Vec<String>,
    pub questions: Vec<Question>,
}

/// The demo of this test binary.
pub fn demo() -> &'static Demo {
    static DEMO: LazyLock<Demo> = LazyLock::new(|| {
        let folder = shared_folder();
        let mut server = Server::start(&["demo", "--guide", "--dir", folder.to_str().unwrap()]);
        let _ = server.wait_for("Ctrl-C stops.", 0);
        let guide = server.lines();
        server.postgres = find_after(&guide, "demo-ada@").trim_end_matches("/demo'").parse().unwrap();
        server.flight = find_after(&guide, "grpc://").trim_end_matches("\",").parse().unwrap();
        server.http = find_after(&guide, "curl http://").trim_end_matches("/readyz,").parse().unwrap();
        let rest = find_after(&guide, "ObjectStack's REST interface: http://");
        server.rest = rest.trim_end_matches("/api/v1").parse().ok();
        let questions = questions(&guide);
        Demo { server, guide, questions }
    });
    &DEMO
}

/// What stands in the guide right after a text, up to the next blank.
///
/// # Panics
/// When the text is not there.
#[must_use]
pub fn find_after(lines: &[String], text: &str) -> String {
    let line = lines.iter().find(|line| line.contains(text)).unwrap();
    let from = line.find(text).unwrap() + text.len();
    line[from..].split_whitespace().next().unwrap().to_owned()
}

/// Reads the printed guide as a person would: a title, a statement, then a line or several for each user.
///
/// # Panics
/// When it is not made like that.
#[must_use]
pub fn questions(guide: &[String]) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    let mut lines = guide.iter().skip_while(|line| !line.starts_with("-- "));
    while let Some(line) = lines.next().filter(|line| !line.starts_with("Also: ")) {
        if line.starts_with("-- ") {
            questions.push(Question { sql: String::new(), answers: Vec::new() });
            continue;
        }
        let question = questions.last_mut().unwrap();
        if !question.sql.trim_end().ends_with(';') {
            question.sql.push_str(line);
            question.sql.push('\n');
        } else if let (Some(name), Some(rest)) = (line.get(3..8), line.get(9..)) {
            if !name.trim().is_empty() {
                question.answers.push((name.trim().to_owned(), Vec::new()));
            }
            question.answers.last_mut().unwrap().1.push(rest.to_owned());
        }
    }
    questions
}

/// The seeded folder: made when this build of the binary has none yet. Tests read it and never write into it.
///
/// # Panics
/// When seeding fails.
#[must_use]
pub fn shared_folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let binary = binary();
        let meta = std::fs::metadata(&binary).unwrap();
        let built = meta.modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
        let parent = binary.parent().unwrap().join("querygate-test-demo");
        std::fs::create_dir_all(&parent).unwrap();
        // Programs run side by side: one of them makes it. The lock ends with the file.
        let making = std::fs::File::create(parent.with_extension("lock")).unwrap();
        making.lock().unwrap();
        for old in std::fs::read_dir(&parent).unwrap().map(Result::unwrap) {
            if old.file_name().to_str() != Some(&built) {
                std::fs::remove_dir_all(old.path()).unwrap();
            }
        }
        let folder = parent.join(built);
        let seeded = Command::new(binary)
            .args(["demo", "--seed-only", "--dir", folder.to_str().unwrap()])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(seeded.status.success(), "{}", String::from_utf8_lossy(&seeded.stderr));
        folder
    });
    &FOLDER
}

/// The demo's data under a configuration, and metadata, that a test may change.
#[derive(Debug)]
pub struct Variant {
    pub folder: TempDir,
}

impl Variant {
    /// Copies the data, the metadata and the configuration, and lets `edit` change the latter. A link would be a change of the files that other
    /// gates serve.
    #[must_use]
    pub fn new(edit: impl FnOnce(String) -> String) -> Self {
        let from = shared_folder();
        let folder = TempDir::new_in(from.parent().unwrap().parent().unwrap()).unwrap();
        for part in ["metadata", "data"] {
            copy(&from.join(part), &folder.path().join(part));
        }
        let config = std::fs::read_to_string(from.join("querygate.toml")).unwrap();
        std::fs::write(folder.path().join("querygate.toml"), edit(config)).unwrap();
        Self { folder }
    }

    /// One with a CRM database of its own, served as `querygate demo --writes` does.
    ///
    /// # Panics
    /// When the copy cannot be made.
    #[must_use]
    pub fn writable() -> (Self, Server) {
        let variant = Self::new(|config| config);
        for name in ["crm.sqlite-wal", "crm.sqlite-shm"] {
            let beside = variant.file("data").join(name);
            if beside.exists() {
                std::fs::remove_file(beside).unwrap();
            }
        }
        let server = variant.serve_writable();
        (variant, server)
    }

    /// Serves it as `querygate demo --writes` does. Its CRM database must be its own.
    #[must_use]
    pub fn serve_writable(&self) -> Server {
        let mut server = Server::start(&["demo", "--guide", "--writes", "--dir", self.folder.path().to_str().unwrap()]);
        let _ = server.wait_for("Ctrl-C stops.", 0);
        let guide = server.lines();
        server.postgres = find_after(&guide, "demo-ada@").trim_end_matches("/demo'").parse().unwrap();
        server
    }

    /// A file of it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Serves it.
    #[must_use]
    pub fn serve(&self) -> Server {
        Server::serve(&self.file("querygate.toml"))
    }

    /// Serves it through a command, see [`Server::start_by`].
    #[must_use]
    pub fn serve_by(&self, wrapper: &[&str]) -> Server {
        Server::serve_by(wrapper, &self.file("querygate.toml"))
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
