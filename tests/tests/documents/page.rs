//! A page of the documents, followed from its first listing to its last in a folder of its own, as its reader would.

use super::listing::{Piece, changed, pieces, shows};
use querygate_tests::server::{FLIGHT_PACKAGES, Server, Variant, binary, blessing, flight_python};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a reader may take until the gate has learnt from what was asked before.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the Python of the pages' programs is; `None` where it cannot be had, which must not be so in CI.
static PYTHON: LazyLock<Option<&Path>> = LazyLock::new(|| {
    let python = flight_python()?;
    // It looks for fonts when it draws for the first time, and says so where that takes long.
    let fonts = Command::new(python).args(["-c", "import matplotlib.pyplot"]).output().unwrap();
    assert!(fonts.status.success(), "{}", String::from_utf8_lossy(&fonts.stderr));
    python.parent()
});

/// A reader's folder, and what runs there.
pub(crate) struct Page {
    pub(super) folder: TempDir,
    /// The demo's folder, once the page starts a demo.
    pub(super) demo: Option<Variant>,
    pub(super) gate: Option<Server>,
    /// Addresses as pages name them, and as they are here.
    pub(super) places: Vec<(String, String)>,
    /// Variables that the page exports, and those that stand for what its reader has.
    variables: Vec<(String, String)>,
    /// The last one that a command printed: `…` stands for it in commands.
    password: String,
    differences: String,
    answers: usize,
}

impl Page {
    /// A reader of a page that starts its own gate.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".tools")).unwrap();
        std::os::unix::fs::symlink(binary(), folder.path().join(".tools/querygate")).unwrap();
        let named = ["127.0.0.1:5433", "127.0.0.1:8080", "127.0.0.1:8815", "127.0.0.1:8090"];
        let places = named.map(str::to_owned).into_iter().zip(super::serving::free_addresses()).collect();
        Self {
            folder,
            demo: None,
            gate: None,
            places,
            variables: Vec::new(),
            password: String::new(),
            differences: String::new(),
            answers: 0,
        }
    }

    /// A reader of sessions over a gate that runs.
    pub(crate) fn over(postgres: SocketAddr) -> Self {
        let mut page = Self::new();
        page.places[0].1 = postgres.to_string();
        page
    }

    /// Sets a variable that the page exports, or that its reader has.
    pub(crate) fn has(&mut self, variable: &str, value: &str) {
        self.variables.push((variable.to_owned(), value.to_owned()));
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A text with the addresses that are here in place of those that pages name.
    pub(super) fn placed(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (named, here)| text.replace(named, here))
    }

    fn named(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (named, here)| text.replace(here, named))
    }

    /// Follows a text. The text as it should be: each answer that differs is the one that was given.
    pub(crate) fn run(&mut self, text: &str) -> String {
        let mut made = Vec::new();
        for piece in pieces(text) {
            made.push(match piece {
                Piece::Prose(prose) => prose.to_owned(),
                Piece::Listing { kind, text } => format!("{kind}\n{}", self.listing(kind, text)),
            });
        }
        made.join("\n```")
    }

    fn listing(&mut self, kind: &str, text: &str) -> String {
        match kind.split_whitespace().collect::<Vec<_>>()[..] {
            [] => return self.commands(text),
            // Shown, and not for its reader to type.
            ["text"] => {}
            ["diff", name] => {
                let file = self.file(name);
                let before = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
                std::fs::write(file, changed(&before, &self.placed(text))).unwrap();
            }
            [_, name] => {
                let file = self.file(name);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, self.placed(text) + "\n").unwrap();
            }
            _ => panic!("what to do with a listing of {kind:?}?"),
        }
        text.to_owned()
    }

    /// Commands behind `$`, each with what it prints.
    fn commands(&mut self, text: &str) -> String {
        assert!(text.starts_with("$ "), "a listing without a kind begins with a command:\n{text}");
        let mut made = String::new();
        for (command, answer) in super::listing::asked(text, "$ ") {
            let _ = writeln!(made, "$ {command}");
            let first = answer.lines().next().unwrap_or_default();
            let prompt = first.split_once("=> ").map(|(database, _)| database);
            made += &match prompt.filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_')) {
                Some(database) => self.session(&command, database, &answer),
                None => self.command(&command, &answer),
            };
        }
        made.trim_end_matches('\n').to_owned()
    }

    fn command(&mut self, command: &str, answer: &str) -> String {
        if let Some((name, value)) = command.strip_prefix("export ").and_then(|set| set.split_once('=')) {
            self.has(name, value);
            return answer.to_owned();
        }
        if let Some(packages) = command.strip_prefix("pip install ") {
            let missing: Vec<&str> = packages.split(' ').filter(|package| !FLIGHT_PACKAGES.contains(package)).collect();
            assert!(missing.is_empty(), "the pages' Python has no {missing:?}");
            return answer.to_owned();
        }
        if command.contains("python3 ") && PYTHON.is_none() {
            return answer.to_owned();
        }
        if command.starts_with("querygate demo") || command.starts_with("querygate serve") {
            let printed = self.serve(command);
            return self.compared(command, answer, &printed);
        }
        self.compared_with_patience(command, answer, |page| page.shell(command, ""))
    }

    /// Statements behind a prompt, each with its answer. A statement of several lines has a prompt of its own before each further one.
    fn session(&mut self, command: &str, database: &str, lines: &str) -> String {
        let (first, further) = (format!("{database}=> "), format!("{database}-> "));
        let mut made = String::new();
        for (begin, rest) in super::listing::asked(lines, &first) {
            let more: Vec<&str> = rest.lines().take_while(|line| line.starts_with(&further)).collect();
            let answer: String = rest.split_inclusive('\n').skip(more.len()).collect();
            let statement = more.iter().fold(begin.clone(), |sql, line| sql + "\n" + &line[further.len()..]);
            let _ = writeln!(made, "{first}{begin}");
            more.iter().for_each(|line| made += &format!("{line}\n"));
            made += &self.compared_with_patience(&statement, &answer, |page| {
                page.shell_with(&format!("{command} -c \"$STATEMENT\""), "", &[("STATEMENT", &statement)])
            });
        }
        made
    }

    /// What looks at the gate's own tables, or files that it writes, is asked again for some seconds: a reader is slower than this test.
    fn compared_with_patience(&mut self, asked: &str, answer: &str, ask: impl Fn(&Self) -> String) -> String {
        let began = Instant::now();
        let looks = ["FROM querygate.", "querygate advise", "tail ", "CALL querygate.suggest"];
        let patient = looks.iter().any(|look| asked.contains(look));
        loop {
            let printed = ask(self);
            if !patient || began.elapsed() > PATIENCE || shows(answer, &self.named(&printed)) {
                self.keep_password(asked, &printed);
                return self.compared(asked, answer, &printed);
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn keep_password(&mut self, asked: &str, printed: &str) {
        if asked.starts_with("querygate init") || asked.starts_with("querygate user") {
            let words: Vec<&str> = printed.split_whitespace().collect();
            let found = words.windows(2).find(|pair| pair[0].trim_end_matches(':') == "password");
            if let Some(pair) = found {
                pair[1].clone_into(&mut self.password);
            }
        }
    }

    /// The answer as it should be, and a note where it is another one.
    fn compared(&mut self, asked: &str, answer: &str, printed: &str) -> String {
        self.answers += 1;
        let printed = self.named(printed);
        if shows(answer, &printed) {
            return answer.to_owned();
        }
        let lines: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
        let printed = lines.join("\n");
        let _ = writeln!(self.differences, "{asked}\n--- should answer\n{answer}\n--- and answered\n{printed}\n");
        let blank = &answer[answer.trim_end().len()..];
        format!("{}{}", printed.trim_start_matches('\n'), if blank.is_empty() { "\n" } else { blank })
    }

    /// Runs a line of a page in its folder, and gives what it printed.
    pub(crate) fn shell(&self, line: &str, input: &str) -> String {
        self.shell_with(line, input, &[])
    }

    fn shell_with(&self, line: &str, input: &str, variables: &[(&str, &str)]) -> String {
        let line = self.placed(line).replace('…', &self.password);
        let mut path = vec![self.file(".tools")];
        path.extend(PYTHON.map(Path::to_path_buf));
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 2>&1\n{line}")]).current_dir(self.folder.path());
        for name in ["QUERYGATE_CONFIG", "QUERYGATE_USER", "QUERYGATE_LOG", "QUERYGATE_PASSWORD"] {
            command.env_remove(name);
        }
        for name in ["PGTZ", "PGOPTIONS", "PGDATESTYLE", "PGAPPNAME", "PGSERVICE", "PSQL_PAGER", "PAGER", "PGPASSWORD"]
        {
            command.env_remove(name);
        }
        command.env("PATH", std::env::join_paths(path).unwrap()).env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8");
        command.env("PSQLRC", "/dev/null").env("PGCLIENTENCODING", "UTF8").env("PGGSSENCMODE", "disable");
        // The address that the command takes where none is named.
        command.env("QUERYGATE_SERVER", format!("grpc://{}", self.places[2].1));
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).envs(variables.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // A command that asks for nothing may be gone before it is given anything.
        let _given = child.stdin.take().unwrap().write_all(input.as_bytes());
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    /// How many answers were compared.
    ///
    /// # Panics
    /// When one was another than its page says, and pages are not to be written anew.
    pub(crate) fn end(self) -> usize {
        assert!(self.differences.is_empty() || blessing(), "BLESS=1 accepts what is answered\n{}", self.differences);
        self.answers
    }
}
