//! Flight clients from Python as their users have them: ADBC and pyarrow, installed into an environment of their own.

use querygate_tests::server::{PASSWORD, Server, Shop, Variant, demo, flight_python};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

/// Prints where the driver's shared library is.
pub(crate) const ADBC_DRIVER: &str = "import adbc_driver_flightsql; print(adbc_driver_flightsql._driver_path())";

/// Runs a script with the port and the printed guide's addresses; it must succeed. Each script is a process of its own,
/// because a driver that fell over stays down.
fn script(text: &str, arguments: &[&str]) -> Option<String> {
    let Some(python) = flight_python() else {
        assert!(std::env::var_os("CI").is_none(), "python3 with venv and pip must be there in CI");
        eprintln!("SKIPPED: Python clients of Flight absent");
        return None;
    };
    script_at(python, demo().server.flight, text, arguments)
}

pub(crate) fn script_at(python: &Path, address: SocketAddr, text: &str, arguments: &[&str]) -> Option<String> {
    let port = address.port().to_string();
    let Output { status, stdout, stderr } =
        Command::new(python).arg("-c").arg(text).arg(port).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned());
    assert!(status.success(), "{out}\n{err}");
    Some(out)
}

const CONNECT: &str = r#"
import sys
import adbc_driver_flightsql.dbapi as flight
from adbc_driver_manager import DatabaseOptions
PORT = sys.argv[1]
def connect(user, **more):
    login = {DatabaseOptions.USERNAME.value: user, DatabaseOptions.PASSWORD.value: "demo-" + user}
    return flight.connect(f"grpc://127.0.0.1:{PORT}", db_kwargs=login, **more)
"#;

fn adbc(text: &str) {
    script(&format!("{CONNECT}\n{text}"), &[]);
}

#[test]
fn adbc_queries_by_default_and_with_autocommit() {
    adbc(
        r#"
counts = {}
for autocommit in [False, True]:
    for user in ["ada", "sam", "iris"]:
        with connect(user, autocommit=autocommit) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) AS n, current_user AS who FROM accounts")
            n, who = cursor.fetchone()
            assert who == user, who
            counts.setdefault(user, set()).add(n)
            cursor.execute("SELECT id, name, industry, created_at FROM accounts ORDER BY id")
            table = cursor.fetch_arrow_table()
            assert table.num_rows == n, (table.num_rows, n)
            assert [f.name for f in table.schema] == ["id", "name", "industry", "created_at"]
            connection.commit() if not autocommit else None
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]
            cursor.execute("SET TimeZone = 'Europe/Berlin'")
            cursor.execute("SHOW TimeZone")
            assert cursor.fetchone() == ("Europe/Berlin",)
            connection.rollback() if not autocommit else None
assert counts["ada"] == {20000} and len(counts["sam"]) == 1 and counts["sam"] != counts["ada"], counts
"#,
    );
}

#[test]
fn adbc_binds_parameters() {
    adbc(
        r#"
import datetime, decimal
with connect("ada") as connection, connection.cursor() as cursor:
    cursor.execute("SELECT count(*) FROM accounts WHERE industry = $1", ["retail"])
    (retail,) = cursor.fetchone()
    cursor.execute("SELECT count(*) FROM accounts WHERE industry = 'retail'")
    assert cursor.fetchone() == (retail,) and retail > 0
    cursor.execute("SELECT $1::bigint + 1, $2::text, $3::date, $4::float8, $5::bool", [41, "x", datetime.date(2024, 2, 29), 1.5, True])
    assert cursor.fetchone() == (42, "x", datetime.date(2024, 2, 29), 1.5, True)
    cursor.execute("SELECT $1::bigint IS NULL", [None])
    assert cursor.fetchone() == (True,)
    cursor.adbc_prepare("SELECT $1::bigint * 2")
    for n in range(3):
        cursor.execute("SELECT $1::bigint * 2", [n])
        assert cursor.fetchone() == (2 * n,)
"#,
    );
}

#[test]
fn adbc_describes_what_its_user_sees() {
    adbc(
        r#"
seen = {}
for user in ["ada", "iris"]:
    with connect(user) as connection:
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "Querygate", info
        assert set(connection.adbc_get_table_types()) == {"TABLE", "VIEW", "SYSTEM TABLE", "SYSTEM VIEW"}
        for depth in ["catalogs", "db_schemas", "tables", "all"]:
            objects = connection.adbc_get_objects(depth=depth, db_schema_filter="public").read_all().to_pylist()
            assert [o["catalog_name"] for o in objects] == ["demo"], objects
        tables = objects[0]["catalog_db_schemas"][0]["db_schema_tables"]
        seen[user] = {t["table_name"]: [c["column_name"] for c in t["table_columns"]] for t in tables}
        schema = connection.adbc_get_table_schema("accounts", db_schema_filter="public")
        assert [f.name for f in schema] == seen[user]["accounts"]
        with connection.cursor() as cursor:
            assert cursor.adbc_execute_schema("SELECT * FROM accounts").equals(schema)
            partitions, described = cursor.adbc_execute_partitions("SELECT * FROM accounts")
            assert described.equals(schema) and len(partitions) == 1
            cursor.adbc_read_partition(partitions[0])
            assert cursor.fetch_arrow_table().schema.equals(schema)
assert len(seen["ada"]) > 20 and seen["ada"] != seen["iris"], {u: len(t) for u, t in seen.items()}
"#,
    );
}

#[test]
fn partitions_are_read_by_other_connections_of_the_same_user() {
    adbc(
        r#"
with connect("sam", autocommit=True) as one, connect("sam", autocommit=True) as other, connect("iris", autocommit=True) as stranger:
    with one.cursor() as cursor, other.cursor() as reader, stranger.cursor() as spy:
        cursor.execute("SELECT count(*) FROM accounts")
        rows = cursor.fetchone()[0]
        partitions, _ = cursor.adbc_execute_partitions("SELECT * FROM accounts")
        read = 0
        for partition in partitions:
            reader.adbc_read_partition(partition)
            read += reader.fetch_arrow_table().num_rows
        assert read == rows, (read, rows)
        try:
            spy.adbc_read_partition(partitions[0])
            assert False, spy.fetch_arrow_table()
        except flight.Error as error:
            assert "(SQLSTATE 28000)" in str(error), error
"#,
    );
}

#[test]
fn adbc_shows_errors_and_goes_on() {
    adbc(
        r#"
with connect("sam") as connection, connection.cursor() as cursor:
    for sql, error, sqlstate in [
        ("SELECT nothing FROM accounts", flight.ProgrammingError, "42703"),
        ("SELECT * FROM nowhere", flight.ProgrammingError, "42P01"),
        ("SELEC 1", flight.ProgrammingError, "42601"),
        ("DELETE FROM accounts", flight.NotSupportedError, "0A000"),
        ("SELECT 1/0", flight.Error, "22012"),
    ]:
        try:
            cursor.execute(sql)
            cursor.fetchall()
            raise SystemExit(f"{sql} passed")
        except flight.Error as caught:
            assert isinstance(caught, error), (sql, type(caught))
            assert f"(SQLSTATE {sqlstate})" in str(caught), (sql, str(caught))
        connection.rollback()
    cursor.execute("SELECT 1")
    assert cursor.fetchone() == (1,)
try:
    flight.connect(f"grpc://127.0.0.1:{PORT}", db_kwargs={DatabaseOptions.USERNAME.value: "sam", DatabaseOptions.PASSWORD.value: "x"})
    raise SystemExit("a wrong password passed")
except flight.Error as caught:
    assert "password authentication failed" in str(caught), str(caught)
"#,
    );
}

#[test]
fn pandas_and_polars_read_through_adbc() {
    adbc(
        r#"
import pandas, polars
with connect("iris") as connection:
    frame = pandas.read_sql("SELECT id, name, industry FROM accounts ORDER BY id", connection)
    other = polars.read_database("SELECT id, name, industry FROM accounts ORDER BY id", connection)
    assert list(frame.columns) == other.columns and len(frame) == len(other) > 0
    assert frame["name"].tolist() == other["name"].to_list()
"#,
    );
}

/// DuckDB takes the stream as it comes, and joins two of them; what it counts is what the gate counts.
#[test]
fn duckdb_reads_results() {
    adbc(
        r#"
import duckdb
for user in ["ada", "sam", "iris"]:
    with connect(user, autocommit=True) as connection, connection.cursor() as cursor, connection.cursor() as other:
        cursor.execute("SELECT industry, count(*) AS n, max(id) AS s FROM accounts GROUP BY industry ORDER BY industry")
        expected = cursor.fetchall()
        cursor.execute("SELECT id, industry FROM accounts")
        accounts = cursor.fetch_record_batch()
        counted = duckdb.sql("SELECT industry, count(*) AS n, max(id) AS s FROM accounts GROUP BY industry ORDER BY industry NULLS LAST").fetchall()
        assert counted == expected, (user, counted, expected)
        cursor.execute("SELECT id, region_id FROM accounts")
        accounts = cursor.fetch_arrow_table()
        other.execute("SELECT id, name FROM regions")
        regions = other.fetch_arrow_table()
        joined = duckdb.sql("SELECT r.name, count(*) FROM accounts a JOIN regions r ON r.id = a.region_id GROUP BY 1 ORDER BY 1").fetchall()
        cursor.execute("SELECT r.name, count(*) FROM accounts a JOIN regions r ON r.id = a.region_id GROUP BY 1 ORDER BY 1")
        assert joined == cursor.fetchall() and len(joined) > 0, (user, joined)
"#,
    );
}

#[test]
fn pyarrow_flight_logs_in_and_fetches() {
    script(
        r#"
import sys
from pyarrow import flight
client = flight.FlightClient(f"grpc://127.0.0.1:{sys.argv[1]}")
options = flight.FlightCallOptions(headers=[client.authenticate_basic_token("sam", "demo-sam")])
def varint(n):
    out = b""
    while True:
        n, low = n >> 7, n & 0x7F
        out += bytes([low | (0x80 if n else 0)])
        if not n:
            return out
def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data
sql = field(1, b"SELECT id, name FROM accounts ORDER BY id")
command = field(1, b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery") + field(2, sql)
info = client.get_flight_info(flight.FlightDescriptor.for_command(command), options)
reader = client.do_get(info.endpoints[0].ticket, options)
table = reader.read_all()
assert table.schema.names == ["id", "name"] and table.num_rows > 0
assert info.schema.equals(table.schema, check_metadata=True)
assert len(list(client.list_actions(options))) == 10
try:
    client.get_flight_info(flight.FlightDescriptor.for_command(command))
    raise SystemExit("no token passed")
except flight.FlightUnauthenticatedError:
    pass
"#,
        &[],
    );
}

/// The lines of Python in a guide.
fn snippet(guide: &[String]) -> Vec<&str> {
    let from = guide.iter().position(|line| line.starts_with("From Python")).expect("the guide has a snippet");
    guide[from + 1..].iter().map_while(|line| line.strip_prefix("  ")).collect()
}

/// The lines that the demo prints work as they stand.
#[test]
fn the_printed_snippet_works() {
    let lines = snippet(&demo().guide);
    assert_eq!(lines.len(), 9, "{lines:#?}");
    if let Some(out) = script(&lines.join("\n"), &[]) {
        for user in ["ada", "sam", "iris"] {
            assert!(out.contains(&format!("{user} ")), "{out}");
        }
    }
}

/// And with TLS, where the demo's configuration has a certificate.
#[test]
fn the_printed_snippet_works_with_tls() {
    let variant = Variant::new(|config| {
        config.replace("[server]\n", "[server]\ntls_certificate = \"server.pem\"\ntls_key = \"server.key\"\n")
    });
    let folder = variant.folder.path();
    let made = Command::new("/bin/sh").arg("-c").arg(CERTIFICATES).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = Server::start(&["demo", "--guide", "--dir", folder.to_str().unwrap()]);
    let _ = server.wait_for("Ctrl-C stops.", 0);
    let guide = server.lines();
    let lines = snippet(&guide);
    assert!(lines.len() == 10 && lines.iter().any(|line| line.contains("grpc+tls://")), "{lines:#?}");
    if let Some(out) = script(&lines.join("\n"), &[]) {
        for user in ["ada", "sam", "iris"] {
            assert!(out.contains(&format!("{user} ")), "{out}");
        }
    }
}

/// Certificates of an authority, a server on the loopback address and a client, made by the openssl command.
pub(crate) const CERTIFICATES: &str = r#"
set -e
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
for name in server client; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$name.key" -out "$name.csr"
  printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n' > "$name.ext"
  openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile "$name.ext" -out "$name.pem"
done
"#;

/// With `client_ca`, TLS is mutual: who shows no certificate is not even asked for a password.
#[test]
fn tls_is_mutual_when_an_authority_for_clients_is_named() {
    let variant = Variant::new(|config| {
        let tls = "[server]\ntls_certificate = \"server.pem\"\ntls_key = \"server.key\"\n";
        config.replace("[server]\n", tls) + "\n[flight]\nclient_ca = \"ca.pem\"\n"
    });
    let folder = variant.folder.path();
    let made = Command::new("/bin/sh").arg("-c").arg(CERTIFICATES).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let Some(python) = flight_python() else {
        eprintln!("SKIPPED: Python clients of Flight absent");
        return;
    };
    let server = variant.serve();
    let text = r#"
import sys
from pyarrow import flight
folder = sys.argv[2]
read = lambda name: open(f"{folder}/{name}", "rb").read()
def login(password, **client):
    with flight.FlightClient(f"grpc+tls://127.0.0.1:{sys.argv[1]}", tls_root_certs=read("ca.pem"), **client) as connected:
        return connected.authenticate_basic_token("sam", password)
certificate = dict(cert_chain=read("client.pem"), private_key=read("client.key"))
assert login("demo-sam", **certificate)[1].startswith(b"Bearer ")
try:
    login("wrong", **certificate)
    raise SystemExit("got in")
except flight.FlightUnauthenticatedError:
    pass
"#;
    script_at(python, server.flight, text, &[folder.to_str().unwrap()]);
    assert_refused(python, server.flight, "grpc+tls", folder);
    assert_refused(python, server.flight, "grpc", folder);
}

/// A client without a certificate of its own is refused while it connects. It is a process of its own and may end by a
/// signal: the client's library has been seen to free its memory twice when a server ends the handshake by an alert.
fn assert_refused(python: &Path, address: SocketAddr, scheme: &str, folder: &Path) {
    let text = r#"
import sys
from pyarrow import flight
port, scheme, folder = sys.argv[1:]
options = dict(tls_root_certs=open(f"{folder}/ca.pem", "rb").read()) if scheme == "grpc+tls" else {}
print("connects", flush=True)
try:
    flight.FlightClient(f"{scheme}://127.0.0.1:{port}", **options).authenticate_basic_token("sam", "demo-sam")
    print("got in", flush=True)
except (flight.FlightUnavailableError, flight.FlightInternalError):
    print("refused", flush=True)
"#;
    let port = address.port().to_string();
    let output = Command::new(python).arg("-c").arg(text).args([&port, scheme]).arg(folder).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let fell_over = scheme == "grpc+tls" && output.status.code().is_none();
    assert!(out == "connects\nrefused\n" || (out == "connects\n" && fell_over), "{scheme}: {out}\n{err}");
}

const NOTES: &str = r#"
manifest: { id: com.example.desk, namespace: desk, version: 1.0.0, type: app, name: Desk, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - name: desk_notes
    label: Note
    datasource: shop
    external: { remoteName: notes, writable: true }
    sharingModel: public_read_write
    access: { default: private }
    systemFields: false
    fields:
      id: { type: text, required: true }
      words: { type: text }
      weight: { type: number, max: 1000000 }
      noted_on: { type: date }
permissions:
  - name: desk_all
    label: Everything
    objects:
      desk_notes: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
"#;

#[test]
fn adbc_appends_rows_and_binds_many() {
    let Some(python) = flight_python() else {
        assert!(std::env::var_os("CI").is_none(), "python3 with venv and pip must be there in CI");
        eprintln!("SKIPPED: Python clients of Flight absent");
        return;
    };
    let rows = "CREATE TABLE notes(id text primary key not null, words text, weight double, noted_on text)";
    let shop = Shop::new(NOTES, &[("ada", "permission_sets = [\"desk_all\"]")], rows);
    let text = r#"
import sys, datetime
import adbc_driver_flightsql.dbapi as flight
import pyarrow as pa
from adbc_driver_manager import DatabaseOptions, Error
login = {DatabaseOptions.USERNAME.value: "ada", DatabaseOptions.PASSWORD.value: sys.argv[2]}
def connect(): return flight.connect(f"grpc://127.0.0.1:{sys.argv[1]}", db_kwargs=login, autocommit=True)
def table(first, count, weight=lambda at: at + 0.5):
    range_ = range(first, first + count)
    return pa.table({
        "id": [f"n{at}" for at in range_],
        "words": pa.array(["some", None][at % 2] for at in range_).dictionary_encode(),
        "weight": pa.array([weight(at) for at in range_], pa.float64()),
        "noted_on": pa.array([datetime.date(2026, 1, 1 + at % 28) for at in range_], pa.date32()),
    })
def refused(what, state):
    try: what()
    except Error as error: assert f"SQLSTATE {state}" in str(error), error; return str(error)
    raise AssertionError(f"not refused: {state}")
with connect() as connection, connection.cursor() as cursor:
    def count():
        cursor.execute("SELECT count(*) FROM notes")
        return cursor.fetchone()[0]
    assert cursor.adbc_ingest("notes", table(0, 20000), mode="append") == 20000
    assert count() == 20000
    cursor.execute("SELECT words, weight, noted_on FROM notes WHERE id = 'n3'")
    assert cursor.fetchone() == (None, 3.5, datetime.date(2026, 1, 4))
    wrong = lambda at: 1e9 if at == 38000 else 1.0
    told = refused(lambda: cursor.adbc_ingest("notes", table(20000, 20000, wrong), mode="append"), "23514")
    assert "row 18001" in told, told
    for mode in ["create", "replace"]:
        refused(lambda: cursor.adbc_ingest("notes", table(50000, 1), mode=mode), "0A000")
    refused(lambda: cursor.adbc_ingest("nowhere", table(50000, 1), mode="create_append"), "0A000")
    refused(lambda: cursor.adbc_ingest("nowhere", table(50000, 1), mode="append"), "42P01")
    refused(lambda: cursor.adbc_ingest("notes", table(0, 1), mode="append"), "23505")
    assert count() == 20000
    assert cursor.adbc_ingest("notes", table(50000, 1), mode="create_append") == 1
    assert cursor.adbc_ingest("notes", table(0, 1).slice(0, 0), mode="append") <= 0
    # One change, which fails as a whole.
    insert = "INSERT INTO notes (id, weight) VALUES ($1, $2)"
    many = [(f"m{at}", float(at)) for at in range(99999)]
    cursor.executemany(insert, many)
    assert count() == 120000
    told = refused(lambda: cursor.executemany(insert, [("k1", 1.0), ("k2", 2.0), ("m7", 3.0), ("k4", 4.0)]), "23505")
    assert "row 3" in told, told
    assert count() == 120000
"#;
    let out = script_at(python, shop.flight(), text, &[PASSWORD]);
    assert!(out.is_some());
    assert_eq!(shop.stored("SELECT cast(count(*) AS text) FROM notes"), ["120000"]);
}
