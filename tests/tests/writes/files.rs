//! New rows in a folder of Parquet files: governed as those of any source, in a file of their own once they are committed.

use crate::source::{PASSWORD, add};
use arrow::array::{ArrayRef, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use querygate_tests::server::{Server, connect, runtime};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

const STACK: &str = include_str!("files.yaml");

struct Gate {
    folder: TempDir,
    server: Server,
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
    std::fs::create_dir(lake.join("texts")).unwrap();
    std::fs::write(lake.join("texts/a.csv"), "id\nt1\n").unwrap();
}

impl Gate {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), STACK).unwrap();
        lake(&at("lake"));
        let config = "[server]\ndatabase = \"lake\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             [metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n[log]\naudit = \"audit.log\"\n\
             [[sources]]\nname = \"lake\"\nkind = \"files\"\npath = \"lake\"\nwrites = true\n\
             [[users]]\nname = \"nora\"\npermission_sets = [\"lake_manager\"]\n\
             [[users]]\nname = \"omar\"\npermission_sets = [\"lake_clerk\"]\npositions = [\"clerk\"]\nattributes = { region = \"eu\" }\n";
        std::fs::write(at("querygate.toml"), config).unwrap();
        add(folder.path(), "nora");
        add(folder.path(), "omar");
        let server = Server::serve(&at("querygate.toml"));
        Self { folder, server }
    }

    fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("lake").password(PASSWORD);
        runtime().block_on(connect(&config))
    }

    fn place(&self, below: &str) -> PathBuf {
        self.folder.path().join("lake").join(below)
    }

    /// Names of what is in a folder of the lake.
    fn names(&self, below: &str) -> Vec<String> {
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

fn rows(client: &Client, sql: &str) -> Vec<String> {
    answer(client, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}")).0
}

fn run(client: &Client, sql: &str) -> u64 {
    answer(client, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}")).1
}

fn refused(client: &Client, sql: &str) -> (String, String) {
    answer(client, sql).expect_err(sql)
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
    assert_eq!(gate.names(".querygate/appends"), Vec::<String>::new());
    let first = ParquetRecordBatchReaderBuilder::try_new(File::open(gate.place("orders/first.parquet")).unwrap());
    let own =
        ParquetRecordBatchReaderBuilder::try_new(File::open(gate.place(&format!("orders/{}", names[1]))).unwrap());
    let (first, own) = (first.unwrap(), own.unwrap());
    assert_eq!(own.schema().fields()[..5], first.schema().fields()[..], "columns that files have stay as they are");
    // The next statement over many files, with a condition that statistics prune by.
    assert_eq!(rows(&nora, "SELECT count(*), sum(amount) FROM orders WHERE placed_at > '2026-02-01'"), ["1|12.2500"]);
    assert_eq!(rows(&nora, "SELECT id FROM orders WHERE id >= 'o3' ORDER BY id"), ["o3", "o4"]);
    let returned = "INSERT INTO orders (id, region) VALUES ('o5', 'eu') RETURNING id, paid, upper(region)";
    assert_eq!(rows(&omar, returned), ["o5|f|EU"]);
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
    assert_eq!(gate.names(".querygate/appends").len(), 0);
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
    assert_eq!(gate.names(".querygate/appends").len(), 0);
}
