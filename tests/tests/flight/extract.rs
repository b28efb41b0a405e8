//! `querygate extract` as a person runs it, against a running gate.

use crate::client::{Flight, Table};
use crate::proxy::{Fate, Proxy};
use crate::python::CERTIFICATES;
use crate::text::cells;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use querygate_tests::server::{Variant, binary, demo, runtime};
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn command(address: SocketAddr, user: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["extract", "-u", user]).args(arguments).stdin(Stdio::null());
    command.env("QUERYGATE_SERVER", format!("grpc://{address}")).env("QUERYGATE_PASSWORD", format!("demo-{user}"));
    command
}

fn extract(user: &str, to: &Path, arguments: &[&str]) -> Output {
    let to = ["--to", to.to_str().unwrap()];
    command(demo().server.flight, user, &[&to, arguments].concat()).output().unwrap()
}

fn good(user: &str, to: &Path, arguments: &[&str]) -> String {
    let output = extract(user, to, arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]), "{told}");
    told
}

fn table(schema: SchemaRef, batches: Vec<RecordBatch>) -> Table {
    Table { schema, batches }
}

fn read_parquet(path: &Path) -> Table {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    table(schema, reader.build().unwrap().map(Result::unwrap).collect())
}

fn read_arrow(path: &Path) -> Table {
    let reader = arrow::ipc::reader::FileReader::try_new(File::open(path).unwrap(), None).unwrap();
    table(reader.schema(), reader.map(Result::unwrap).collect())
}

fn sorted(table: &Table) -> Vec<Vec<Option<String>>> {
    let mut rows = cells(table);
    rows.sort();
    rows
}

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn each_user_extracts_their_own_rows_in_their_exact_types() {
    let folder = TempDir::new().unwrap();
    for user in ["ada", "sam", "iris"] {
        for sql in ["SELECT * FROM invoices", "SELECT * FROM accounts", "SELECT * FROM regions ORDER BY id"] {
            let expected =
                runtime().block_on(async { Flight::login(&demo().server, user).await.query(sql).await.unwrap() });
            let (parquet, arrow) = (folder.path().join("out.parquet"), folder.path().join("out.arrow"));
            let told = good(user, &parquet, &["--force", "--streams", "3", sql]);
            assert!(told.contains(" rows over ") && told.contains("MB/s"), "{told}");
            good(user, &arrow, &["--force", "--streams", "3", "--compression", "lz4", "--quiet", sql]);
            for read in [read_parquet(&parquet), read_arrow(&arrow)] {
                let types = |table: &Table| {
                    let fields = table.schema.fields().iter();
                    fields.map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>()
                };
                assert_eq!(types(&read), types(&expected), "{user}: {sql}");
                assert!(sorted(&read) == sorted(&expected), "{user}: {sql}");
            }
        }
    }
    let mut left = names(folder.path());
    left.sort();
    assert_eq!(left, ["out.arrow", "out.parquet"]);
}

#[test]
fn streams_run_side_by_side_and_lose_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("events.parquet");
    let told =
        good("ada", &file, &["--streams", "4", "--compression", "zstd", "SELECT id, kind, duration_ms FROM events"]);
    let postgres = runtime().block_on(async {
        let client = demo().server.client("ada").await;
        let row = client.query_one("SELECT count(*), count(DISTINCT id) FROM events", &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    });
    assert!(told.contains("over 4 streams"), "{told}");
    let read = read_parquet(&file);
    let ids: std::collections::HashSet<Option<String>> = cells(&read).into_iter().map(|row| row[0].clone()).collect();
    assert_eq!((read.rows(), ids.len()), (usize::try_from(postgres.0).unwrap(), usize::try_from(postgres.1).unwrap()));
}

#[test]
fn csv_and_standard_input_work_too() {
    use std::io::Write as _;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("regions.csv");
    let mut child = command(demo().server.flight, "ada", &["--to", file.to_str().unwrap(), "--null", "NULL", "-q"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let query = b"SELECT 'a,b' AS t, NULL::int AS n, '' AS e, 1.50::numeric(10,2) AS d";
    child.stdin.take().unwrap().write_all(query).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "t,n,e,d\n\"a,b\",NULL,,1.50\n");
    good("ada", &folder.path().join("none.csv"), &["SELECT id FROM regions WHERE false"]);
    assert_eq!(std::fs::read_to_string(folder.path().join("none.csv")).unwrap(), "id\n");
}

/// Exit code, and a text that standard error holds; no file is left.
fn check(user: &str, name: &str, arguments: &[&str], code: i32, text: &str) {
    let folder = TempDir::new().unwrap();
    let output = extract(user, &folder.path().join(name), arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    assert!(told.contains(text), "{arguments:?}: {told}");
    assert_eq!(names(folder.path()), Vec::<String>::new(), "{arguments:?}");
}

#[test]
fn failures_say_why_and_leave_no_file() {
    check("ada", "a.parquet", &["SELECT nothing FROM accounts"], 1, "nothing");
    check("iris", "a.parquet", &["SELECT * FROM opportunities"], 1, "error");
    check(
        "ada",
        "a.parquet",
        &["SELECT 1 / (g - 90000) FROM generate_series(1, 100000) AS t(g)"],
        1,
        "division by zero",
    );
    check("ada", "a.txt", &["SELECT 1"], 1, "what format");
    check("ada", "a.csv", &["SELECT ARRAY[1, 2] AS l"], 1, "CSV cannot hold this result");
    check("ada", "a.parquet", &["SET TimeZone = 'UTC'"], 1, "gives no rows");
    check("ada", "a.parquet", &["--streams", "0", "SELECT 1"], 2, "--streams");
    check("ada", "a.parquet", &["--password", "demo-ada", "SELECT 1"], 1, "env:NAME");
    check("ada", "a.parquet", &["--server", "grpc://127.0.0.1:1", "SELECT 1"], 1, "cannot connect");
    check("ada", "a.parquet", &["--server", "grpc://gate.example:1", "SELECT 1"], 1, "without encryption");
    check("ada", "a.parquet", &["--server", "http://127.0.0.1:1", "SELECT 1"], 1, "grpc://HOST:PORT");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("kept.csv");
    std::fs::write(&file, "mine").unwrap();
    let output = extract("ada", &file, &["SELECT 1 AS one"]);
    assert_eq!((output.status.code(), std::fs::read_to_string(&file).unwrap().as_str()), (Some(1), "mine"));
    good("ada", &file, &["--force", "SELECT 1 AS one"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n1\n");
    let wrong = command(demo().server.flight, "ada", &["--to", file.to_str().unwrap(), "--force", "SELECT 1"])
        .env("QUERYGATE_PASSWORD", "wrong")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("password authentication failed"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n1\n");
}

#[test]
fn an_interrupted_extraction_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("endless.parquet");
    let endless = "SELECT a.*, b.id AS other FROM events a, accounts b";
    let child = command(demo().server.flight, "ada", &["--to", file.to_str().unwrap(), endless])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Its temporary file says that it is at work.
    while names(folder.path()).is_empty() {
        std::thread::yield_now();
    }
    let signalled = Command::new("/bin/sh").arg("-c").arg(format!("kill -INT {}", child.id())).status().unwrap();
    assert!(signalled.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

/// All rows of the largest table, each once.
fn check_events(told: &str, read: &Table) {
    let ids: std::collections::HashSet<Option<String>> = cells(read).into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(ids.len(), read.rows(), "{told}");
    check_count(ids.len());
}

fn check_count(rows: usize) {
    let expected: i64 = runtime().block_on(async {
        demo().server.client("ada").await.query_one("SELECT count(*) FROM events", &[]).await.unwrap().get(0)
    });
    assert_eq!(i64::try_from(rows).unwrap(), expected);
}

/// Whole parts in a folder that may not be there yet.
fn whole(parts: &Path) -> usize {
    let entries = std::fs::read_dir(parts).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "part")).count()
}

fn until_whole(parts: &Path, expected: usize) {
    let began = Instant::now();
    while whole(parts) < expected {
        assert!(began.elapsed() < Duration::from_secs(180), "{} parts are whole", whole(parts));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_part_whose_connection_breaks_off_is_fetched_anew() {
    let proxy = Proxy::before(demo().server.flight);
    let folder = TempDir::new().unwrap();
    for (name, streams) in [("one.parquet", "1"), ("three.arrow", "3")] {
        // The first connection is the session's; the next three break off in the middle of their rows.
        proxy.next(&[Fate::Good, Fate::CutAfter(300_000), Fate::CutAfter(700_000), Fate::CutAfter(100_000)]);
        let file = folder.path().join(name);
        let arguments = ["--to", file.to_str().unwrap(), "--streams", streams, "SELECT id, kind FROM events"];
        let output = command(proxy.address, "ada", &arguments).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), proxy.left()), (Some(0), 0), "{told}");
        check_events(&told, &if name.ends_with("arrow") { read_arrow(&file) } else { read_parquet(&file) });
    }
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn a_killed_extraction_goes_on_from_its_whole_parts() {
    let proxy = Proxy::before(demo().server.flight);
    let folder = TempDir::new().unwrap();
    let (file, parts) = (folder.path().join("events.parquet"), folder.path().join("events.parquet.parts"));
    let arguments =
        ["--resume", "--to", file.to_str().unwrap(), "--streams", "4", "SELECT id, kind, duration_ms FROM events"];
    // The session's, and one of the parts', which stands still in the middle.
    proxy.next(&[Fate::Good, Fate::Good, Fate::StallAfter(200_000)]);
    let mut child = command(proxy.address, "ada", &arguments).stderr(Stdio::null()).spawn().unwrap();
    until_whole(&parts, 3);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((names(folder.path()), whole(&parts)), (vec!["events.parquet.parts".to_owned()], 3));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&parts).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "tickets are nobody else's business");

    // Another extraction does not take them, and another user cannot.
    let other = ["--resume", "--to", file.to_str().unwrap(), "SELECT id FROM regions"];
    for (user, arguments) in [("ada", &other[..]), ("sam", &arguments[..])] {
        let output = command(proxy.address, user, arguments).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && told.contains("another extraction"), "{user}: {told}");
    }
    let output = command(proxy.address, "ada", &arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("going on: 3 of 4 parts are there"), "{told}");
    check_events(&told, &read_parquet(&file));
    assert_eq!(names(folder.path()), ["events.parquet"]);
}

#[test]
fn an_interrupted_extraction_says_what_it_keeps_and_another_gate_does_not_take_its_tickets() {
    let variant = Variant::new(|config| config);
    let later = variant.serve();
    let proxy = Proxy::before(demo().server.flight);
    let folder = TempDir::new().unwrap();
    let (file, parts) = (folder.path().join("events.csv"), folder.path().join("events.csv.parts"));
    let arguments = ["--resume", "--to", file.to_str().unwrap(), "--streams", "2", "SELECT id, kind FROM events"];
    proxy.next(&[Fate::Good, Fate::StallAfter(100_000)]);
    let child = command(proxy.address, "ada", &arguments).stderr(Stdio::piped()).spawn().unwrap();
    until_whole(&parts, 1);
    let signalled = Command::new("/bin/sh").arg("-c").arg(format!("kill -INT {}", child.id())).status().unwrap();
    assert!(signalled.success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(130) && told.contains("1 of 2 parts are kept in"), "{told}");
    // The gate began anew, and has another key.
    proxy.toward(later.flight);
    let output = command(proxy.address, "ada", &arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(0) && told.contains("has expired"), "{told}");
    let text = std::fs::read_to_string(&file).unwrap();
    let rows = text.lines().skip(1).collect::<std::collections::HashSet<_>>().len();
    assert_eq!((text.lines().next(), rows + 1), (Some("id,kind"), text.lines().count()));
    check_count(rows);
    assert_eq!(names(folder.path()), ["events.csv"]);
}

#[test]
fn the_connection_is_encrypted_and_mutual_where_the_gate_wants_it() {
    let variant = Variant::new(|config| {
        let tls = "[server]\ntls_certificate = \"server.pem\"\ntls_key = \"server.key\"\n";
        config.replace("[server]\n", tls) + "\n[flight]\nclient_ca = \"ca.pem\"\n"
    });
    let made = Command::new("/bin/sh").arg("-c").arg(CERTIFICATES).current_dir(variant.folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = variant.serve();
    let path = |name: &str| variant.file(name).to_str().unwrap().to_owned();
    let (file, url) = (path("out.csv"), format!("grpc+tls://localhost:{}", server.flight.port()));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["extract", "--server", &url, "-u", "ada", "--to", &file, "--force", "SELECT 1 AS one"]);
        let output = command.args(arguments).env("QUERYGATE_PASSWORD", "demo-ada").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (ca, certificate, key) = (path("ca.pem"), path("client.pem"), path("client.key"));
    let (code, told) = run(&["--tls-ca", &ca, "--tls-certificate", &certificate, "--tls-key", &key]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n1\n");
    for (arguments, text) in
        [(vec!["--tls-certificate", &certificate, "--tls-key", &key], "cannot"), (vec!["--tls-ca", &ca], "connect")]
    {
        let (code, told) = run(&arguments);
        assert!(code == Some(1) && told.contains(text), "{arguments:?}: {told}");
    }
    assert_eq!(run(&["--tls-certificate", &certificate]).0, Some(2));
}
