//! `querygate extract` as a person runs it, against a running gate.

use crate::client::{Flight, Table};
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
