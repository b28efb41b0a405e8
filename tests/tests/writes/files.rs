//! New rows in a folder of Parquet files: governed as those of any source, in a file of their own once they are committed.

use crate::source::{PASSWORD, add};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Int16Array, Int64Array,
    ListBuilder, RecordBatch, StringArray, StringBuilder, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, UInt32Array,
};
use bytes::Bytes;
use futures::SinkExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use querygate_tests::server::{Server, binary, connect, runtime};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

const STACK: &str = include_str!("files.yaml");

pub(crate) struct Gate {
    folder: TempDir,
    pub(crate) server: Server,
}

fn write(place: &Path, columns: Vec<(&str, ArrayRef)>) {
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, own)| (name, own, true)));
    let rows = rows.unwrap();
    let mut writer = ArrowWriter::try_new(File::create(place).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// The lake as somebody else writes it: amounts with two places, and a column that nobody declares.
fn lake(lake: &Path) {
    let amounts = Decimal128Array::from(vec![Some(1050), None]).with_precision_and_scale(12, 2).unwrap();
    let placed = TimestampMicrosecondArray::from(vec![Some(1_767_261_600_000_000), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("order_id", texts(&["o1", "o2"])),
        ("region", texts(&["eu", "us"])),
        ("money", Arc::new(amounts)),
        ("placed_at", Arc::new(placed)),
        ("internal", texts(&["x", "y"])),
    ];
    write(&lake.join("orders/first.parquet"), columns);
    write(&lake.join("lines/first.parquet"), vec![("id", texts(&["l1"])), ("order_ref", texts(&["o1"]))]);
    write(&lake.join("single.parquet"), vec![("id", texts(&["s1"]))]);
    write(&lake.join("parted/year=2025/a.parquet"), vec![("id", texts(&["p1"]))]);
    write(&lake.join("codes/a.parquet"), vec![("id", texts(&["c1"])), ("code", texts(&["one"]))]);
    std::fs::create_dir(lake.join("fresh")).unwrap();
    std::fs::write(lake.join("fresh/_SUCCESS"), "").unwrap();
    std::fs::create_dir(lake.join("texts")).unwrap();
    std::fs::write(lake.join("texts/a.csv"), "id\nt1\n").unwrap();
}

/// A row of every type that files and metadata have in common.
fn kinds() -> Vec<(&'static str, ArrayRef)> {
    let utc = TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC");
    let price = Decimal128Array::from(vec![150]).with_precision_and_scale(9, 2).unwrap();
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("x")]);
    vec![
        ("big", Arc::new(Int64Array::from(vec![1]))),
        ("small", Arc::new(Int16Array::from(vec![1]))),
        ("wide", Arc::new(UInt32Array::from(vec![1]))),
        ("single", Arc::new(Float32Array::from(vec![0.5]))),
        ("price", Arc::new(price)),
        ("word", texts(&["w"])),
        ("raw", Arc::new(BinaryArray::from(vec![b"\x01".as_slice()]))),
        ("day", Arc::new(Date32Array::from(vec![0]))),
        ("clock", Arc::new(Time64MicrosecondArray::from(vec![1]))),
        ("moment", Arc::new(utc)),
        ("local", Arc::new(TimestampMillisecondArray::from(vec![0]))),
        ("yes", Arc::new(BooleanArray::from(vec![false]))),
        ("tags", Arc::new(tags.finish())),
    ]
}

impl Gate {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), STACK).unwrap();
        lake(&at("lake"));
        let config = "[server]\ndatabase = \"lake\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             [metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n[log]\naudit = \"audit.log\"\n[rest]\nlisten = \"127.0.0.1:0\"\n\
             [[sources]]\nname = \"lake\"\nkind = \"files\"\npath = \"lake\"\nwrites = true\n\
             [[users]]\nname = \"nora\"\nemail = \"nora@lake.example\"\npermission_sets = [\"lake_manager\"]\n\
             [[users]]\nname = \"omar\"\npermission_sets = [\"lake_clerk\"]\npositions = [\"clerk\"]\nattributes = { region = \"eu\" }\n";
        std::fs::write(at("querygate.toml"), config).unwrap();
        add(folder.path(), "nora");
        add(folder.path(), "omar");
        let server = Server::serve(&at("querygate.toml"));
        Self { folder, server }
    }

    /// What is left of transactions.
    pub(crate) fn left(&self) -> Vec<String> {
        self.names(".querygate/appends")
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("lake").password(PASSWORD);
        runtime().block_on(connect(&config))
    }

    fn place(&self, below: &str) -> PathBuf {
        self.folder.path().join("lake").join(below)
    }

    /// Names of what is in a folder of the lake.
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.place(below)) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|n| !n.ends_with("lock"))
            .collect();
        names.sort();
        names
    }
}

/// The rows that a text gives, and how many its last statement changed; or the code, the message and the detail of its error.
fn answer(client: &Client, sql: &str) -> Result<(Vec<String>, u64), (String, String)> {
    let answer = runtime().block_on(client.simple_query(sql));
    let messages = answer.map_err(|error| {
        let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
        let text = format!("{}|{}", error.message(), error.detail().unwrap_or_default());
        (error.code().code().to_owned(), text)
    })?;
    let (mut rows, mut count) = (Vec::new(), 0);
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                let cells: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("-")).collect();
                rows.push(cells.join("|"));
            }
            SimpleQueryMessage::CommandComplete(changed) => count = changed,
            _ => {}
        }
    }
    Ok((rows, count))
}

pub(crate) fn rows(client: &Client, sql: &str) -> Vec<String> {
    answer(client, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}")).0
}

pub(crate) fn run(client: &Client, sql: &str) -> u64 {
    answer(client, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}")).1
}

pub(crate) fn refused(client: &Client, sql: &str) -> (String, String) {
    answer(client, sql).expect_err(sql)
}

/// Sends lines to a COPY.
fn copy(client: &Client, sql: &str, lines: String) -> Result<u64, (String, String)> {
    runtime().block_on(async {
        let mut sink = pin!(client.copy_in::<_, Bytes>(sql).await.unwrap());
        sink.send(lines.into()).await.unwrap();
        sink.finish().await.map_err(|error| {
            let error = error.as_db_error().unwrap();
            (error.code().code().to_owned(), error.where_().unwrap_or_default().to_owned())
        })
    })
}

const ORDERS: &str = "SELECT id, region, amount, placed_at, paid, note FROM orders ORDER BY id";

#[test]
fn new_rows_become_a_file_that_is_like_the_others() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    assert_eq!(rows(&nora, ORDERS), ["o1|eu|10.5000|2026-01-01 10:00:00+00|-|-", "o2|us|-|-|-|-"]);
    let sql = "INSERT INTO orders (id, region, amount, placed_at, note) VALUES
        ('o3', 'eu', 12.25, '2026-02-03 04:05:06.789+00', 'ü''\"'), ('o4', 'eu', NULL, NULL, NULL)";
    assert_eq!(run(&omar, sql), 2);
    let expected = ["o3|eu|12.2500|2026-02-03 04:05:06.789+00|f|ü'\"", "o4|eu|-|-|f|-"];
    // Everybody sees them at once.
    assert_eq!(rows(&nora, ORDERS)[2..], expected);
    assert_eq!(rows(&omar, ORDERS)[1..], expected);
    let names = gate.names("orders");
    assert_eq!((names.len(), names[0].as_str()), (2, "first.parquet"), "{names:?}");
    assert!(names[1].starts_with("part-") && names[1].ends_with(".parquet"), "{names:?}");
    assert_eq!(gate.left(), Vec::<String>::new());
    let first = ParquetRecordBatchReaderBuilder::try_new(File::open(gate.place("orders/first.parquet")).unwrap());
    let own =
        ParquetRecordBatchReaderBuilder::try_new(File::open(gate.place(&format!("orders/{}", names[1]))).unwrap());
    let (first, own) = (first.unwrap(), own.unwrap());
    assert_eq!(own.schema().fields()[..5], first.schema().fields()[..], "columns that files have stay as they are");
    // The next statement over many files, with a condition that statistics prune by.
    assert_eq!(rows(&nora, "SELECT count(*), sum(amount) FROM orders WHERE placed_at > '2026-02-01'"), ["1|12.2500"]);
    assert_eq!(rows(&nora, "SELECT id FROM orders WHERE id >= 'o3' ORDER BY id"), ["o3", "o4"]);
    let returned = "INSERT INTO orders (id, region, placed_at) VALUES ('o5', 'eu', '2026-02-03 04:05:06.789+00') RETURNING id, paid, upper(region), placed_at";
    assert_eq!(rows(&omar, returned), ["o5|f|EU|2026-02-03 04:05:06.789+00"]);
    assert_eq!(run(&nora, "INSERT INTO orders (id, region) SELECT id || 'x', region FROM orders WHERE id < 'o3'"), 2);
    assert_eq!(rows(&nora, "SELECT id FROM orders ORDER BY id"), ["o1", "o1x", "o2", "o2x", "o3", "o4", "o5"]);
    let audit = std::fs::read_to_string(gate.folder.path().join("audit.log")).unwrap();
    assert!(audit.contains("INSERT") && !audit.contains("12.25"), "{audit}");
}

#[test]
fn rules_and_policies_hold_and_leave_nothing() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    let before = rows(&nora, ORDERS);
    for (sql, expected) in [
        ("INSERT INTO orders (id, region) VALUES ('o9', 'us')", "42501"),
        ("INSERT INTO orders (id, region) VALUES ('o8', 'eu'), ('o9', 'us')", "42501"),
        ("INSERT INTO orders (id, region, amount) VALUES ('o9', 'eu', 1001)", "23514"),
        ("INSERT INTO orders (id, region, paid) VALUES ('o9', 'eu', true)", "23514"),
        ("INSERT INTO orders (region) VALUES ('eu')", "23502"),
        ("INSERT INTO orders (id, region, nothing) VALUES ('o9', 'eu', 1)", "42703"),
        // The files have two places.
        ("INSERT INTO orders (id, region, amount) VALUES ('o9', 'eu', 1.005)", "22000"),
        // There, and hidden from this user; there twice.
        ("INSERT INTO orders (id, region) VALUES ('o2', 'eu')", "23505"),
        ("INSERT INTO orders (id, region) VALUES ('o9', 'eu'), ('o9', 'eu')", "23505"),
        ("INSERT INTO lines (id) VALUES ('l9')", "42501"),
    ] {
        assert_eq!(refused(&omar, sql).0, expected, "{sql}");
        assert_eq!(rows(&nora, ORDERS), before, "{sql}");
    }
    assert_eq!(refused(&nora, "INSERT INTO lines (id, order_ref) VALUES ('l9', 'nowhere')").0, "23503");
    assert_eq!(run(&nora, "INSERT INTO lines (id, order_ref, n) VALUES ('l2', 'o2', 2.5)"), 1);
    assert_eq!(rows(&nora, "SELECT id, order_ref, n FROM lines ORDER BY id"), ["l1|o1|-", "l2|o2|2.5"]);
    assert_eq!(gate.names("orders"), ["first.parquet"]);
    assert_eq!(gate.left().len(), 0);
}

#[test]
fn what_is_not_done_says_so() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    for (sql, word) in [
        ("UPDATE orders SET note = 'x'", "UPDATE is not supported"),
        ("UPDATE orders SET note = 'x' WHERE id = 'o1'", "UPDATE is not supported"),
        ("DELETE FROM orders", "DELETE is not supported"),
        ("TRUNCATE orders", "TRUNCATE is not supported"),
        ("INSERT INTO orders (id) VALUES ('o1') ON CONFLICT DO NOTHING", "ON CONFLICT is not supported"),
        (
            "INSERT INTO orders (id) VALUES ('o1') ON CONFLICT (id) DO UPDATE SET note = 'x'",
            "ON CONFLICT is not supported",
        ),
        (
            "MERGE INTO orders USING lines ON orders.id = lines.id WHEN NOT MATCHED THEN INSERT (id) VALUES (lines.id)",
            "MERGE is not supported",
        ),
        ("SELECT id FROM orders FOR UPDATE", "a lock of rows is not supported"),
        ("INSERT INTO single (id) VALUES ('s2')", "one file"),
        ("INSERT INTO texts (id) VALUES ('t2')", "Parquet"),
        ("INSERT INTO parted (id, year) VALUES ('p2', '2025')", "folders that are named by values"),
    ] {
        let (code, text) = refused(&nora, sql);
        assert_eq!(code, "0A000", "{sql}: {text}");
        assert!(text.starts_with("table cannot be changed|") && text.contains(word), "{sql}: {text}");
    }
    assert_eq!(refused(&nora, "INSERT INTO closed (id) VALUES ('x')").0, "42501");
    assert_eq!(refused(&nora, "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO orders (id) VALUES ('x')").0, "0A000");
    run(&nora, "ROLLBACK");
    // Rows of a field that is unique are looked for; of a scalar and of a text that is there.
    assert_eq!(refused(&nora, "INSERT INTO codes (id, code) VALUES ('c2', 'one')").0, "23505");
    assert_eq!(run(&nora, "INSERT INTO codes (id, code) VALUES ('c2', 'two'), ('c3', NULL), ('c4', NULL)"), 3);
    assert_eq!(refused(&nora, "INSERT INTO codes (id, code) VALUES ('c5', 'two')").0, "23505");
    for folder in ["orders", "parted/year=2025", "texts", "lines"] {
        assert_eq!(gate.names(folder).len(), 1, "{folder}");
    }
    let privileges = "SELECT has_table_privilege('orders', 'INSERT'), has_table_privilege('orders', 'UPDATE'),
        has_table_privilege('orders', 'DELETE'), has_column_privilege('orders', 'note', 'UPDATE')";
    assert_eq!(rows(&nora, privileges), ["t|f|f|f"]);
}

#[test]
fn a_transaction_sees_itself_and_nobody_sees_it() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    let ids = "SELECT id FROM orders ORDER BY id";
    run(&nora, "BEGIN");
    run(&nora, "INSERT INTO orders (id, region, amount) VALUES ('a1', 'eu', 1), ('a2', 'us', 2)");
    assert_eq!(rows(&nora, ids), ["a1", "a2", "o1", "o2"]);
    assert_eq!(rows(&nora, "SELECT count(*), sum(amount), max(id) FROM orders"), ["4|13.5000|o2"]);
    // A reference to a row that only this transaction sees; a subquery for each row; a join with itself.
    let each = "SELECT id, (SELECT count(*) FROM orders b WHERE b.id <= a.id) FROM orders a ORDER BY id";
    assert_eq!(rows(&nora, each), ["a1|1", "a2|2", "o1|3", "o2|4"]);
    run(&nora, "SAVEPOINT one");
    run(&nora, "INSERT INTO orders (id, region) VALUES ('b1', 'eu')");
    run(&nora, "INSERT INTO orders (id, region) SELECT id || 'c', region FROM orders WHERE id < 'b2'");
    assert_eq!(rows(&nora, ids), ["a1", "a1c", "a2", "a2c", "b1", "b1c", "o1", "o2"]);
    assert_eq!(refused(&nora, "INSERT INTO orders (id, region) VALUES ('a2', 'eu')").0, "23505");
    run(&nora, "ROLLBACK TO one");
    assert_eq!(rows(&nora, ids), ["a1", "a2", "o1", "o2"]);
    run(&nora, "INSERT INTO orders (id, region) VALUES ('b1', 'eu')");
    run(&nora, "SAVEPOINT two");
    run(&nora, "INSERT INTO orders (id, region) VALUES ('b2', 'eu')");
    run(&nora, "ROLLBACK TO two");
    run(&nora, "INSERT INTO orders (id, region) VALUES ('b3', 'eu')");
    run(&nora, "RELEASE one");
    // Nobody else sees them, in the gate or in the folder.
    assert_eq!(rows(&omar, ids), ["o1"]);
    assert_eq!(gate.names("orders"), ["first.parquet"]);
    run(&nora, "COMMIT");
    assert_eq!(gate.names("orders").len(), 2, "one file, whatever the transaction was made of");
    assert_eq!(rows(&nora, ids), ["a1", "a2", "b1", "b3", "o1", "o2"]);
    assert_eq!(rows(&omar, ids), ["a1", "b1", "b3", "o1"]);
    run(&nora, "BEGIN; INSERT INTO orders (id, region) VALUES ('z1', 'eu'); ROLLBACK");
    assert_eq!(rows(&nora, "SELECT count(*) FROM orders WHERE id = 'z1'"), ["0"]);
    let second = "BEGIN; INSERT INTO orders (id, region) VALUES ('z1', 'eu'); INSERT INTO lines (id) VALUES ('z')";
    let (code, text) = refused(&nora, second);
    assert!(code == "0A000" && text.contains("several tables of files"), "{text}");
    run(&nora, "ROLLBACK");
    assert_eq!(gate.names("orders").len(), 2);
    assert_eq!(gate.left().len(), 0);
}

#[test]
fn many_rows_become_one_file_or_none() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    let sql = "COPY orders (id, region, amount) FROM STDIN";
    let many = |region: &str| (0..20_000).map(|at| format!("m{at}\t{region}\t{}.5\n", at % 900)).collect::<String>();
    assert_eq!(copy(&omar, sql, many("eu")), Ok(20_000));
    assert_eq!(gate.names("orders").len(), 2);
    assert_eq!(rows(&omar, "SELECT count(*), count(DISTINCT id), max(amount) FROM orders"), ["20001|20001|899.5000"]);
    let names = gate.names("orders");
    // A row that CHECK refuses, one that a contract does, and one that is there: each in the third batch.
    for (line, code) in [("n9\tus\t1\n", "42501"), ("n9\teu\t1001\n", "23514"), ("m7\teu\t1\n", "23505")] {
        let lines = many("eu").replace('m', "n").replacen("n17000\teu\t800.5\n", line, 1);
        let (found, place) = copy(&omar, sql, lines).unwrap_err();
        assert_eq!((found.as_str(), place.contains("line 17001")), (code, true), "{line} {place}");
        assert_eq!((gate.names("orders"), gate.left()), (names.clone(), Vec::new()));
    }
    // In a transaction of several, which reads between them.
    run(&nora, "BEGIN");
    assert_eq!(copy(&nora, sql, many("us").replace('m', "n")), Ok(20_000));
    assert_eq!(rows(&nora, "SELECT count(*) FROM orders"), ["40002"]);
    run(&nora, "SAVEPOINT one; INSERT INTO orders (id) VALUES ('x1')");
    assert_eq!(copy(&nora, sql, many("us").replace('m', "p")), Ok(20_000));
    run(&nora, "ROLLBACK TO one; INSERT INTO orders (id) VALUES ('x2'); COMMIT");
    assert_eq!(rows(&nora, "SELECT count(*), count(DISTINCT id) FROM orders"), ["40003|40003"]);
    assert_eq!((gate.names("orders").len(), gate.left().len()), (3, 0));
    // A cursor reads the rows of its time, whatever others commit.
    run(&nora, "BEGIN; DECLARE c CURSOR FOR SELECT id FROM orders; FETCH 5 FROM c");
    assert_eq!(run(&omar, "INSERT INTO orders (id, region) VALUES ('y1', 'eu')"), 1);
    assert_eq!(rows(&nora, "FETCH ALL FROM c").len(), 39_998);
    run(&nora, "COMMIT");
}

#[test]
fn of_two_writers_one_waits_and_both_are_stored() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    run(&nora, "BEGIN; INSERT INTO orders (id, region) VALUES ('k1', 'eu')");
    // The key might be the same: who comes second waits, not for ever.
    run(&omar, "SET statement_timeout = '300ms'");
    assert_eq!(refused(&omar, "INSERT INTO orders (id, region) VALUES ('k1', 'eu')").0, "57014");
    run(&omar, "RESET statement_timeout");
    let began = Instant::now();
    assert_eq!(refused(&omar, "INSERT INTO orders (id, region) VALUES ('k1', 'eu')").0, "55P03");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // Other tables are free.
    let third = gate.client("nora");
    assert_eq!(run(&third, "INSERT INTO lines (id) VALUES ('l7')"), 1);
    run(&nora, "COMMIT");
    assert_eq!(refused(&omar, "INSERT INTO orders (id, region) VALUES ('k1', 'eu')").0, "23505");
    let stored: u64 = std::thread::scope(|scope| {
        let writer = |writer: usize| {
            let client = gate.client(if writer.is_multiple_of(2) { "nora" } else { "omar" });
            let insert = move |n: usize| {
                // Every second key is another writer's, too.
                let id = if n.is_multiple_of(2) { format!("s{n}") } else { format!("w{writer}_{n}") };
                match answer(&client, &format!("INSERT INTO orders (id, region) VALUES ('{id}', 'eu')")) {
                    Ok((_, count)) => count,
                    Err((code, _)) => {
                        assert_eq!(code, "23505", "{id}");
                        0
                    }
                }
            };
            scope.spawn(move || (0..10).map(insert).sum::<u64>())
        };
        let writers: Vec<_> = (0..4).map(writer).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(stored, 5 + 20);
    assert_eq!(rows(&nora, "SELECT count(*), count(DISTINCT id) FROM orders"), ["28|28"]);
    assert_eq!(gate.left(), Vec::<String>::new());
}

#[test]
fn what_a_killed_gate_left_goes_and_what_it_committed_stays() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    run(&nora, "INSERT INTO orders (id, region) VALUES ('k1', 'eu')");
    run(&nora, "BEGIN; INSERT INTO orders (id, region) VALUES ('k2', 'eu')");
    assert_eq!(rows(&nora, "SELECT count(*) FROM orders"), ["4"]);
    assert_eq!(gate.left().len(), 1);
    // A session that is gone takes its rows along, and gives the table up.
    let lost = gate.client("nora");
    drop(nora);
    let until = Instant::now() + Duration::from_secs(10);
    while !gate.left().is_empty() {
        assert!(Instant::now() < until, "{:?}", gate.left());
        std::thread::sleep(Duration::from_millis(20));
    }
    run(&lost, "BEGIN; INSERT INTO orders (id, region) VALUES ('k3', 'eu'); SELECT count(*) FROM orders");
    assert_eq!(gate.left().len(), 1);
    gate.server.signal("KILL");
    let Gate { folder, server } = gate;
    drop(server);
    let left = |folder: &Path| std::fs::read_dir(folder.join("lake/.querygate/appends")).unwrap().count();
    let before = left(folder.path());
    let server = Server::serve(&folder.path().join("querygate.toml"));
    let gate = Gate { folder, server };
    assert_eq!((gate.left(), left(gate.folder.path())), (Vec::new(), before - 1));
    let nora = gate.client("nora");
    assert_eq!(rows(&nora, "SELECT id FROM orders ORDER BY id"), ["k1", "o1", "o2"]);
    assert_eq!(run(&nora, "INSERT INTO orders (id, region) VALUES ('k3', 'eu')"), 1);
    assert_eq!(rows(&nora, "SELECT id FROM orders ORDER BY id"), ["k1", "k3", "o1", "o2"]);
}

/// Tables that are introspected have no key, and take new rows all the same: nothing is unique there, and nobody waits.
#[test]
fn introspected_files_take_rows_of_every_type() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&at("lake/events/a.parquet"), kinds());
    let output =
        Command::new(binary()).args(["introspect", "lake", "-o", "metadata"]).current_dir(folder.path()).output();
    assert!(output.unwrap().status.success());
    let stack = std::fs::read_to_string(at("metadata/lake.json")).unwrap();
    let stack = stack
        .replace("\"allowWrites\": false", "\"allowWrites\": true")
        .replace("\"writable\": false", "\"writable\": true")
        .replace("\"public_read\"", "\"public_read_write\"")
        .replace("\"allowRead\": true", "\"allowRead\": true, \"allowCreate\": true");
    std::fs::write(at("metadata/lake.json"), stack).unwrap();
    let config = "[server]\ndatabase = \"lake\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
         [metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n\
         [[sources]]\nname = \"lake\"\nkind = \"files\"\npath = \"lake\"\nwrites = true\n\
         [[users]]\nname = \"nora\"\npermission_sets = [\"lake_reader\"]\n";
    std::fs::write(at("querygate.toml"), config).unwrap();
    add(folder.path(), "nora");
    let server = Server::serve(&at("querygate.toml"));
    let gate = Gate { folder, server };
    let (nora, other) = (gate.client("nora"), gate.client("nora"));
    let columns =
        ["big", "small", "wide", "single", "price", "word", "raw", "day", "clock", "moment", "local", "yes", "tags"];
    let all = format!("SELECT {} FROM events ORDER BY big, word", columns.join(", "));
    let before = rows(&nora, &all);
    assert_eq!(before.len(), 1);
    let extremes = [
        ("big", "9223372036854775807"),
        ("big", "-9223372036854775808"),
        ("small", "-32768"),
        ("wide", "4294967295"),
        ("wide", "0"),
        ("single", "3.4028235e+38"),
        ("single", "1e-45"),
        ("price", "9999999.99"),
        ("price", "-9999999.99"),
        ("word", "ü\u{10ffff} \t"),
        ("raw", "\\x00ff"),
        ("day", "0001-01-01"),
        ("day", "9999-12-31"),
        ("clock", "23:59:59.999999"),
        ("moment", "9999-12-31 23:59:59.999999+00"),
        ("moment", "0001-01-01 00:00:00+00"),
        ("local", "2026-02-03 04:05:06.789"),
        ("yes", "t"),
        ("tags", "{a,\"b,c\"}"),
    ];
    run(&other, "BEGIN; INSERT INTO events (word) VALUES ('not yet')");
    for (column, value) in extremes {
        let own = format!("INSERT INTO events ({column}) VALUES ('{value}') RETURNING {column}");
        assert_eq!(rows(&nora, &own), [value], "{column}");
        let again = format!("SELECT {column} FROM events WHERE {column} = '{value}'");
        assert_eq!(rows(&nora, &again), [value], "{column} is read as it was given");
    }
    run(&other, "ROLLBACK");
    for (column, value) in [("wide", "-1"), ("wide", "4294967296"), ("local", "2026-02-03 04:05:06.7891")] {
        let (code, text) = refused(&nora, &format!("INSERT INTO events ({column}) VALUES ('{value}')"));
        assert!(code.starts_with("22"), "{column} {value}: {code} {text}");
    }
    assert_eq!(rows(&nora, "SELECT count(*) FROM events"), [(1 + extremes.len()).to_string()]);
    assert_eq!((gate.names("events").len(), gate.left().len()), (1 + extremes.len(), 0));
}
