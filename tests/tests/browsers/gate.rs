//! A gate with something to see on every page: what was asked, a suggested index, an incident, plans.

use querygate_tests::browser::Browser;
use querygate_tests::server::{Server, Variant, psql};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long what happens in the background may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Statements of one kind before an index is suggested for them.
const RUNS: usize = 15;

/// A gate and its folder.
pub(crate) struct Gate {
    /// Lives as long as the server that reads it.
    _variant: Variant,
    pub(crate) server: Server,
}

/// Rows that psql prints for a user.
pub(crate) fn ask(server: &Server, user: &str, sql: &str) -> Vec<String> {
    let printed = psql(server, user, &["-At", "-c", sql]);
    assert!(printed.success, "{sql}: {}", printed.both());
    printed.out.lines().map(str::to_owned).collect()
}

/// Runs statements over one connection.
fn run(server: &Server, user: &str, statements: &[String]) {
    let arguments: Vec<&str> = statements.iter().flat_map(|statement| ["-c", statement.as_str()]).collect();
    let printed = psql(server, user, &[&["-At"], arguments.as_slice()].concat());
    assert!(printed.success, "{}", printed.both());
}

/// Asks until there is an answer.
fn wait_for(server: &Server, before: &str, sql: &str) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if !before.is_empty() {
            let _ = psql(server, "ada", &["-At", "-c", before]);
        }
        let found = ask(server, "ada", sql);
        if !found.is_empty() {
            return found;
        }
        assert!(Instant::now() < deadline, "{sql}: nothing");
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Gate {
    /// One over a database of its own, with all that its pages can show.
    pub(crate) fn start() -> Self {
        let mut kept = true;
        let mut line = |line: &&str| {
            if line.starts_with('[') {
                kept = !["[learning]", "[rest]", "[events]"].contains(line);
            }
            kept
        };
        let more = "[learning]\ndirectory = \"learnt\"\nsuggest_every = \"0s\"\napply_indexes = true\n\
                    [rest]\nlisten = \"127.0.0.1:0\"\n[events]\n";
        let variant = Variant::new(|config| {
            let own: String = config.lines().filter(&mut line).map(|line| format!("{line}\n")).collect();
            format!("{own}\n{more}")
        });
        for name in ["crm.sqlite-wal", "crm.sqlite-shm"] {
            let linked = variant.file("data").join(name);
            if linked.exists() {
                std::fs::remove_file(linked).unwrap();
            }
        }
        let (database, copy) = (variant.file("data/crm.sqlite"), variant.file("data/crm.copy"));
        std::fs::copy(&database, &copy).unwrap();
        std::fs::rename(&copy, &database).unwrap();
        let server = variant.serve();
        let gate = Self { _variant: variant, server };
        gate.work();
        gate
    }

    /// What people ask, one of them for more than ever.
    fn work(&self) {
        let cases = |n: usize| {
            let (priority, month) = (["low", "high", "urgent"][n % 3], n % 9 + 1);
            format!(
                "SELECT count(*), min(opened_at) FROM cases WHERE priority = '{priority}' AND opened_at >= '2025-0{month}-01'"
            )
        };
        run(&self.server, "iris", &(0..RUNS).map(cases).collect::<Vec<_>>());
        let names = |n: usize| format!("SELECT name FROM accounts WHERE id >= 'a{n}' LIMIT {}", n + 1);
        run(&self.server, "sam", &(0..30).map(names).collect::<Vec<_>>());
        self.join();
        let suggested = "SELECT id FROM querygate.index_suggestions WHERE state = 'suggested' AND kind = 'create'";
        let _ = wait_for(&self.server, "CALL querygate.suggest_indexes()", suggested);
        let known = "SELECT sum(statements) FROM querygate.templates WHERE login = 'sam' AND template LIKE 'select name%' \
                     HAVING sum(statements) >= 30";
        let _ = wait_for(&self.server, "", known);
        run(&self.server, "sam", &["SELECT id FROM contacts LIMIT 6000".to_owned()]);
        let _ = wait_for(&self.server, "", "SELECT 1 FROM querygate.anomalies");
    }

    /// What can be run in several ways.
    fn join(&self) {
        let overdue = |n: usize| {
            let status = ["new", "open", "waiting"][n % 3];
            format!(
                "SELECT c.priority, count(*) AS cases, sum(i.total) AS overdue FROM invoices i JOIN cases c ON c.account_id = i.account_id \
                 WHERE i.status = 'overdue' AND c.status = '{status}' GROUP BY c.priority ORDER BY c.priority"
            )
        };
        run(&self.server, "iris", &(0..RUNS).map(overdue).collect::<Vec<_>>());
    }

    /// A statement of which another plan than the usual one was tried; it is run until there is one.
    pub(crate) fn contested(&self) -> String {
        let tried = "SELECT fingerprint FROM querygate.plans WHERE alternative <> 'default' LIMIT 1";
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(fingerprint) = ask(&self.server, "ada", tried).pop() {
                return fingerprint;
            }
            assert!(Instant::now() < deadline, "no other plan was tried");
            self.join();
        }
    }

    pub(crate) fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.http)
    }

    pub(crate) fn rest(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.rest.unwrap())
    }

    /// Logs somebody in by the form.
    pub(crate) fn log_in(&self, browser: &Browser, user: &str) {
        browser.go(&self.page("/ui/login"));
        send_login(browser, user, &format!("demo-{user}"));
        browser.wait_until("logged in", |browser| browser.url() == self.page("/ui"));
    }
}

/// Fills the form in and sends it.
pub(crate) fn send_login(browser: &Browser, user: &str, password: &str) {
    browser.fill("input[name=user]", user);
    browser.fill("input[name=password]", password);
    browser.click("form.login button");
}

/// The gate that tests share which leave it as it is.
pub(crate) fn shared() -> &'static Gate {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::start);
    &GATE
}
