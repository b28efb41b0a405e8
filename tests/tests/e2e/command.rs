//! The command line as a process: exit codes, and what it says about real applications.

use querygate_tests::server::{RawClient, Server, Variant, binary, psql, shared_folder};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Exit code, standard output, standard error.
fn run_apart(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(binary()).args(arguments).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let (exit, out, err) = run_apart(arguments);
    (exit, out + &err)
}

/// The folder of applications, where there is one.
fn applications() -> Option<PathBuf> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let shared = std::env::var_os("QUERYGATE_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let folder = shared.join("data/objectstack");
    folder.is_dir().then_some(folder)
}

#[test]
fn the_four_applications_check_without_an_error() {
    let Some(folder) = applications() else {
        assert!(std::env::var_os("QUERYGATE_SHARED").is_none(), "QUERYGATE_SHARED has no data/objectstack");
        eprintln!("SKIPPED: applications of the shared data folder absent");
        return;
    };
    for (name, objects) in
        [("hotcrm", "65 objects, 1643 fields"), ("app-crm", ""), ("app-showcase", ""), ("app-todo", "")]
    {
        let file = folder.join(format!("{name}.json"));
        let (exit, text) = run(&["check", file.to_str().unwrap()]);
        let verdict = text.lines().last().unwrap_or_default();
        assert!(exit == Some(0) && verdict.contains("is good: 0 errors") && text.contains(objects), "{name}: {text}");
    }
}

#[test]
fn the_demo_checks_and_a_misspelt_key_is_named() {
    let folder = shared_folder();
    let (exit, text) = run(&["check", folder.join("querygate.toml").to_str().unwrap()]);
    assert!(exit == Some(0) && text.contains("0 errors"), "{text}");
    let named =
        Command::new(binary()).arg("check").env("QUERYGATE_CONFIG", folder.join("querygate.toml")).output().unwrap();
    assert!(named.status.success(), "the file that the environment names: {named:?}");
    let variant = Variant::new(|config| config.replace("statement_timeout", "statement_timeuot"));
    let (exit, text) = run(&["check", variant.file("querygate.toml").to_str().unwrap()]);
    assert_eq!(exit, Some(1), "{text}");
    for part in ["querygate.toml:", "statement_timeuot", "statement_timeout"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_local_shell_takes_the_same_governed_path() {
    let config = shared_folder().join("querygate.toml");
    let sql = |user, query| run_apart(&["sql", "-c", config.to_str().unwrap(), "-u", user, "--csv", query]);
    let (exit, ada, _) = sql("ada", "SELECT count(*) AS n FROM accounts");
    assert_eq!((exit, ada.as_str()), (Some(0), "n\n20000\n"));
    let (exit, _, iris) = sql("iris", "SELECT count(*) AS n FROM employees");
    assert!(exit == Some(1) && iris.contains("42P01"), "{iris}");
}

#[test]
fn health_readiness_and_metrics_answer_and_a_stop_is_orderly() {
    let variant = Variant::new(|config| config);
    let mut server: Server = variant.serve();
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200"));
    let asked = psql(&server, "sam", &["-At", "-c", "SELECT count(*) FROM accounts"]);
    assert!(asked.success, "{}", asked.err);
    let metrics = server.get("/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("querygate_"), "{metrics}");
    assert!(server.get("/nothing").starts_with("HTTP/1.1 404"));
    assert_eq!(server.stop(), 0, "{}", server.lines().join("\n"));
    assert!(!server.is_alive());
}

#[test]
fn a_gate_that_waits_for_its_clients_to_end_is_not_ready() {
    let variant = Variant::new(|config| config);
    let mut server: Server = variant.serve();
    let mut client = RawClient::login(server.postgres, "ada");
    client.query("BEGIN");
    client.read_until(b'Z');
    server.signal("TERM");
    let _ = server.wait_for("draining", 0);
    let ready = server.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("\"stopping\""), "{ready}");
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    client.query("COMMIT");
    client.read_until(b'Z');
    assert_eq!(server.stop(), 0, "{}", server.lines().join("\n"));
}

#[test]
fn the_demo_says_that_its_port_is_taken_before_it_makes_anything() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("d");
    let others = ["--http", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--rest", "127.0.0.1:0"];
    let arguments = [&["demo", "--dir", dir.to_str().unwrap(), "--pg", &address][..], &others].concat();
    let (code, _, said) = run_apart(&arguments);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {address} for the postgres door")), "{said}");
    assert!(!dir.join("data/crm.sqlite").exists(), "data were made first: {said}");
}
