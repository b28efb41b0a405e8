//! Layout advice through the real binary: statements over a Parquet file that is in the order of another column lead to a
//! suggestion, and who writes the file as it says sees the same statements read fewer row groups.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")
)]

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use querygate_tests::server::{Printed, Server, Variant, binary, psql};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a question is asked until what happens in the background has happened.
const ASKED: usize = 600;
/// Statements before and after: enough to measure them.
const RUNS: usize = 12;
const KINDS: [&str; 3] = ["login", "download", "webinar"];

const SUGGESTED: &str = "SELECT id, ddl FROM querygate.index_suggestions \
     WHERE kind = 'rewrite' AND object = 'events' AND state = 'suggested'";
/// What the last statement of the workload read.
const READ: &str = "SELECT f.row_groups, f.row_groups_spared, f.rows, f.bytes_read FROM querygate.fragments f \
     JOIN querygate.queries q ON q.id = f.query WHERE q.login = 'iris' AND f.object = 'events' \
     AND q.template LIKE '%duration_ms%' ORDER BY q.started DESC LIMIT 1";

fn call(server: &Server, user: &str, sql: &str) -> Printed {
    psql(server, user, &["-At", "-c", sql])
}

fn ask(server: &Server, user: &str, sql: &str) -> Vec<String> {
    let printed = call(server, user, sql);
    assert!(printed.success, "{sql}: {}", printed.both());
    printed.out.lines().map(str::to_owned).collect()
}

fn rows_of(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.with_limit(200_000).build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn write(path: &Path, rows: &RecordBatch, group: usize, bloom: &[String]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut properties = WriterProperties::builder().set_max_row_group_row_count(Some(group));
    for column in bloom {
        properties = properties.set_column_bloom_filter_enabled(ColumnPath::from(column.as_str()), true);
    }
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties.build())).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

/// The names in parentheses after a word of the suggestion.
fn listed(ddl: &str, word: &str) -> Vec<String> {
    let Some((_, rest)) = ddl.split_once(&format!(" {word} (")) else { return Vec::new() };
    rest.split_once(')').unwrap().0.split(", ").map(|name| name.trim_matches('"').to_owned()).collect()
}

/// Writes the rows as the suggestion says, a folder for a file if it wants one.
fn rewrite(path: &Path, rows: &RecordBatch, ddl: &str) {
    let (folders, order, bloom) = (listed(ddl, "partition by"), listed(ddl, "order by"), listed(ddl, "bloom filters"));
    let group = ddl.split_once(" row groups of ").unwrap().1.split_once(" rows").unwrap().0.parse().unwrap();
    let column = |name: &String| Arc::clone(rows.column_by_name(name).unwrap());
    let keys: Vec<SortColumn> =
        folders.iter().chain(&order).map(|name| SortColumn { values: column(name), options: None }).collect();
    let order = lexsort_to_indices(&keys, None).unwrap();
    std::fs::remove_file(path).unwrap();
    let [folder] = folders.as_slice() else {
        return write(path, &take_record_batch(rows, &order).unwrap(), group, &bloom);
    };
    let values = column(folder);
    let mut parts: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for row in order.values() {
        parts.entry(values.as_string::<i32>().value(*row as usize).to_owned()).or_default().push(*row);
    }
    let kept: Vec<usize> = (0..rows.num_columns()).filter(|at| rows.schema().field(*at).name() != folder).collect();
    for (value, part) in parts {
        let part = take_record_batch(rows, &UInt32Array::from(part)).unwrap().project(&kept).unwrap();
        write(&path.join(format!("{folder}={value}/part.parquet")), &part, group, &bloom);
    }
}

/// Statements of a reader whose row policy compares the region. What they gave.
fn workload(server: &Server) -> Vec<String> {
    let one = |n: usize| format!("SELECT count(*), count(duration_ms) FROM events WHERE kind = '{}'", KINDS[n % 3]);
    (0..RUNS).flat_map(|n| ask(server, "iris", &one(n))).collect()
}

fn searched(server: &Server, sql: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    let mut last = String::new();
    for _ in 0..ASKED {
        last = call(server, "ada", "CALL querygate.suggest_indexes()").both();
        let found = ask(server, "ada", sql);
        if wanted(&found) {
            return found;
        }
    }
    let all = ask(server, "ada", "SELECT * FROM querygate.index_suggestions");
    panic!("{sql}: nothing; the last search: {last}; all: {all:#?}");
}

fn read(server: &Server) -> Vec<u64> {
    ask(server, "ada", READ)[0].split('|').map(|cell| cell.parse().unwrap()).collect()
}

/// A demo that learns, with the lake's files in one order; `lake`: more keys of their source.
fn unsorted(lake: &str) -> (Variant, RecordBatch) {
    let variant = Variant::new(|config| {
        let config = config.replace("path = \"data/lake\"\n", &format!("path = \"data/lake\"\n{lake}"));
        let mut kept = true;
        let line = |line: &&str| {
            if line.starts_with('[') {
                kept = *line != "[learning]";
            }
            kept
        };
        let config: String = config.lines().filter(line).map(|line| format!("{line}\n")).collect();
        format!("{config}\n[learning]\ndirectory = \"learnt\"\nsuggest_every = \"0s\"\napply_indexes = true\n")
    });
    let path = variant.file("data/lake/events.parquet");
    let rows = rows_of(&path);
    std::fs::remove_file(&path).unwrap();
    write(&path, &rows, 10_000, &[]);
    (variant, rows)
}

#[test]
fn a_layout_is_suggested_and_files_written_so_are_read_less() {
    let (variant, rows) = unsorted("");
    let path = variant.file("data/lake/events.parquet");
    let server = variant.serve();
    let answers = workload(&server);
    let before = read(&server);
    assert_eq!((before[0], before[1]), (20, 0), "every region and kind is in every row group");

    let found = searched(&server, SUGGESTED, |found| !found.is_empty());
    let (id, ddl) = found[0].split_once('|').unwrap();
    assert!(ddl.starts_with("rewrite events.parquet ") && ddl.contains("\"kind\""), "{ddl}");
    assert_eq!(listed(ddl, "partition by"), ["region_id"], "the policy's column: {ddl}");
    let told = format!(
        "SELECT benefit > 0.5, benefit < 1, size_bytes > 0, write_cost > 0, confidence > 0.1, templates LIKE '%of 20 row groups%', \
         evidence LIKE 'footers of 1 files with 20 row groups, and a sample of%' FROM querygate.index_suggestions WHERE id = {id}"
    );
    assert_eq!(ask(&server, "ada", &told), ["t|t|t|t|t|t|t"]);

    // It is for operators, and nothing of it names a value.
    assert_eq!(ask(&server, "iris", "SELECT count(*) FROM querygate.index_suggestions"), ["0"]);
    let hidden = "SELECT count(*) FROM querygate.fragments WHERE bytes_read IS NOT NULL OR row_groups IS NOT NULL";
    assert_eq!(ask(&server, "iris", hidden), ["0"]);
    let all = ask(&server, "ada", "SELECT * FROM querygate.index_suggestions WHERE source = 'lake'").concat();
    assert!(KINDS.iter().all(|kind| !all.contains(kind)), "{all}");
    let applied = call(&server, "ada", &format!("CALL querygate.apply({id})"));
    assert!(!applied.success && applied.err.contains("55000"), "not by apply_indexes: {}", applied.both());
    assert!(applied.err.contains("apply_layouts = true"), "{}", applied.both());

    rewrite(&path, &rows, ddl);
    // The listing is trusted for a second.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(workload(&server), answers, "the same rows");
    let after = read(&server);
    eprintln!("{ddl}: row groups, spared, rows, bytes: {before:?}, then {after:?}");
    assert_eq!(after[2], before[2]);
    assert!(after[0] * 3 <= before[0] && after[3] * 2 <= before[3], "{before:?} {after:?}");

    let state = format!("SELECT state FROM querygate.index_suggestions WHERE id = {id}");
    // The statements just run may be enough to say that it helped before anyone looks.
    searched(&server, &state, |found| found == ["applied"] || found == ["helped"]);
    workload(&server);
    searched(&server, &state, |found| found == ["helped"]);
    let effect = format!(
        "SELECT measured_effect > 0.3, confidence, measured LIKE '%row groups and%since%' \
         FROM querygate.index_suggestions WHERE id = {id}"
    );
    assert_eq!(ask(&server, "ada", &effect), ["t|1|t"]);
    let config = variant.file("querygate.toml");
    // The book is on disk some moments after it is in the gate.
    let told = || {
        let output = Command::new(binary()).args(["advise", "-c", config.to_str().unwrap()]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let mut report = told();
    for _ in 0..20 {
        if report.contains("helped on lake: ") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(250));
        report = told();
    }
    assert!(report.contains("helped on lake: rewrite events.parquet partition by"), "{report}");
}

/// What is written while files are replaced, and what was replaced.
fn rewrites(variant: &Variant) -> usize {
    std::fs::read_dir(variant.file("data/lake/.querygate/rewrites")).map_or(0, Iterator::count)
}

#[test]
fn an_operator_has_files_written_as_suggested_measured_and_put_back() {
    let (variant, _) = unsorted("apply_layouts = true\n");
    let path = variant.file("data/lake/events.parquet");
    let original = std::fs::read(&path).unwrap();
    let server = variant.serve();
    let answers = workload(&server);
    let before = read(&server);
    let found = searched(&server, SUGGESTED, |found| !found.is_empty());
    let (id, ddl) = found[0].split_once('|').unwrap();
    let apply = format!("CALL querygate.apply({id})");
    let refused = call(&server, "iris", &apply);
    assert!(!refused.success && refused.err.contains("42501"), "{}", refused.both());
    assert_eq!((rewrites(&variant), std::fs::read(&path).unwrap() == original), (0, true));

    // Statements go on while the files are replaced and put back, and give what they gave before.
    let applied = std::thread::scope(|scope| {
        let reader = scope.spawn(|| workload(&server));
        let applied = call(&server, "ada", &apply);
        assert_eq!(reader.join().unwrap(), answers);
        applied
    });
    assert!(applied.success, "{}", applied.both());
    assert!(applied.both().contains("wrote 200000 rows of 1 files anew as"), "{}", applied.both());
    let mut folders = std::fs::read_dir(&path).unwrap();
    assert!(folders.all(|one| one.unwrap().file_name().to_string_lossy().starts_with("region_id=")), "{ddl}");
    assert_eq!(workload(&server), answers, "the same rows");
    let after = read(&server);
    eprintln!("{ddl}: row groups, spared, rows, bytes: {before:?}, then {after:?}");
    assert!(after[2] == before[2] && after[0] * 3 <= before[0] && after[3] * 2 <= before[3], "{before:?} {after:?}");
    let state = format!("SELECT state FROM querygate.index_suggestions WHERE id = {id}");
    for _ in 0..2 {
        workload(&server);
    }
    searched(&server, &state, |found| found == ["helped"]);
    let again = call(&server, "ada", &apply);
    assert!(again.err.contains("applied already"), "{}", again.both());
    let audited =
        "SELECT count(*) FROM querygate.audit WHERE login = 'ada' AND template LIKE 'call querygate . apply%'";
    assert_ne!(ask(&server, "ada", audited), ["0"]);

    // A gate that begins anew knows what it did, and puts it back byte for byte.
    drop(server);
    let server = variant.serve();
    assert_eq!(workload(&server), answers);
    let undone = call(&server, "ada", &format!("CALL querygate.undo({id})"));
    assert!(undone.success && undone.both().contains("put the files back"), "{}", undone.both());
    assert!(std::fs::read(&path).unwrap() == original, "byte for byte");
    assert_eq!((workload(&server), ask(&server, "ada", &state)), (answers, vec!["undone".to_owned()]));
}

#[test]
fn a_gate_that_is_killed_while_it_writes_files_anew_leaves_the_table_whole() {
    let (variant, _) = unsorted("apply_layouts = true\n");
    let mut server = variant.serve();
    let answers = workload(&server);
    let found = searched(&server, SUGGESTED, |found| !found.is_empty());
    let (id, _) = found[0].split_once('|').unwrap();
    let (mut unfinished, mut finished) = (0, 0);
    // The last one is killed when it is done.
    for wait in [0, 60, 250, 900, 2_500, 60_000] {
        let apply = format!("CALL querygate.apply({id})");
        std::thread::scope(|scope| {
            let applying = scope.spawn(|| call(&server, "ada", &apply));
            while rewrites(&variant) == 0 && !applying.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let until = Instant::now() + Duration::from_millis(wait);
            while Instant::now() < until && !applying.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
            server.signal("KILL");
            drop(applying.join().unwrap());
        });
        drop(server);
        // The gate begins again whatever there is, and the table has all of its rows.
        server = variant.serve();
        assert_eq!(workload(&server), answers, "killed after {wait} ms");
        if variant.file("data/lake/events.parquet").is_dir() {
            finished += 1;
            let undone = call(&server, "ada", &format!("CALL querygate.undo({id})"));
            assert!(undone.success, "{}", undone.both());
            assert_eq!(workload(&server), answers, "put back");
        } else {
            unfinished += 1;
        }
        std::fs::remove_dir_all(variant.file("data/lake/.querygate")).unwrap();
        searched(&server, SUGGESTED, |found| !found.is_empty());
    }
    eprintln!("killed while it wrote: {unfinished} times before the step, {finished} times after");
    assert!(unfinished > 0 && finished > 0);
}
