//! Files in folders named `key=value`, through the Postgres port: a prepared statement reads the folders of its values in each run, those
//! of a kept plan too, which was made for another run's.

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use querygate_tests::server::{PASSWORD, Server, add_user, connect, runtime};
use serde_json::json;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_postgres::Client;

const STACK: &str = include_str!("folders.yaml");
const CONFIG: &str = "[server]\ndatabase = \"lake\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
    [flight]\naddress = \"127.0.0.1:0\"\n[metadata]\npath = \"metadata\"\n\
    [[sources]]\nname = \"lake\"\nkind = \"files\"\npath = \"lake\"\n\
    [[users]]\nname = \"nora\"\npermission_sets = [\"lake_reader\"]\n\
    [[users]]\nname = \"omar\"\npermission_sets = [\"lake_european\"]\n";

/// CSV, NDJSON and Parquet.
const TABLES: [&str; 3] = ["texts", "lines", "columns"];
const REGIONS: [&str; 3] = ["ap", "eu", "us"];
/// One of them has no folder.
const ASKED: [&str; 4] = ["eu", "us", "none", "ap"];
const YEARS: [i32; 2] = [2024, 2025];
/// Rows of a file.
const ROWS: i32 = 5;
/// Often enough for a plan to be kept, and to be given each value.
const ROUNDS: i32 = 4;

struct Gate {
    _folder: TempDir,
    server: Server,
}

impl Gate {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), STACK).unwrap();
        std::fs::write(at("querygate.toml"), CONFIG).unwrap();
        for region in REGIONS {
            for year in YEARS {
                write(&at("lake"), region, year);
            }
        }
        for user in ["nora", "omar"] {
            add_user(folder.path(), user);
        }
        let server = Server::serve(&at("querygate.toml"));
        Self { _folder: folder, server }
    }

    fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("lake").password(PASSWORD);
        runtime().block_on(connect(&config))
    }
}

fn id(region: &str, year: i32, n: i32) -> String {
    format!("{region}-{year}-{n}")
}

/// The same rows in each format; their region and year are the names of their folders alone.
fn write(lake: &Path, region: &str, year: i32) {
    let rows: Vec<(String, i32)> = (0..ROWS).map(|n| (id(region, year, n), n)).collect();
    let place = |table: &str, file: &str| {
        let folder = lake.join(table).join(format!("region={region}")).join(format!("year={year}"));
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(file)
    };
    let texts: String = rows.iter().map(|(id, n)| format!("{id},{n}\n")).collect();
    std::fs::write(place("texts", "rows.csv"), format!("id,n\n{texts}")).unwrap();
    let lines: String = rows.iter().map(|(id, n)| format!("{}\n", json!({"id": id, "n": n}))).collect();
    std::fs::write(place("lines", "rows.ndjson"), lines).unwrap();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(id, _)| id)));
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(|(_, n)| *n)));
    let rows = RecordBatch::try_from_iter([("id", ids), ("n", numbers)]).unwrap();
    let file = File::create(place("columns", "rows.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

/// A folder beside a condition on what the files hold.
async fn by_region(client: &Client, table: &str, seen: &[&str]) {
    let sql = format!("SELECT id FROM {table} WHERE region = $1 AND n >= $2 ORDER BY id");
    let statement = client.prepare(&sql).await.unwrap();
    for least in 0..ROUNDS {
        for region in ASKED {
            let rows = client.query(&statement, &[&region, &least]).await.unwrap();
            let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            let years = YEARS.iter().filter(|_| seen.contains(&region));
            let expected: Vec<String> =
                years.flat_map(|year| (least..ROWS).map(move |n| id(region, *year, n))).collect();
            assert_eq!(found, expected, "{sql}: {region}, {least}");
        }
    }
}

/// A folder alone, below all folders of the other key.
async fn by_year(client: &Client, table: &str, seen: &[&str]) {
    let sql = format!("SELECT region, count(*) FROM {table} WHERE year = $1 GROUP BY region ORDER BY region");
    let statement = client.prepare(&sql).await.unwrap();
    for _ in 0..ROUNDS {
        for year in [2025, 2024, 1999] {
            let rows = client.query(&statement, &[&year]).await.unwrap();
            let found: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            let regions = seen.iter().filter(|_| YEARS.contains(&year));
            let expected: Vec<(String, i64)> = regions.map(|region| ((*region).to_owned(), i64::from(ROWS))).collect();
            assert_eq!(found, expected, "{sql}: {year}");
        }
    }
}

/// Folders of a list, and of a range.
async fn by_both(client: &Client, table: &str, seen: &[&str]) {
    let sql = format!("SELECT count(*) FROM {table} WHERE region IN ($1, $2) AND year > $3");
    let statement = client.prepare(&sql).await.unwrap();
    for _ in 0..ROUNDS {
        for (first, second, after) in
            [("eu", "us", 2024), ("ap", "none", 2023), ("us", "eu", 2023), ("none", "ap", 2025)]
        {
            let found: i64 = client.query_one(&statement, &[&first, &second, &after]).await.unwrap().get(0);
            let regions = [first, second].iter().filter(|region| seen.contains(region)).count();
            let years = YEARS.iter().filter(|year| **year > after).count();
            assert_eq!(
                found,
                i64::try_from(regions * years).unwrap() * i64::from(ROWS),
                "{sql}: {first}, {second}, {after}"
            );
        }
    }
}

#[test]
fn a_prepared_statement_reads_the_folders_of_its_values_in_each_run() {
    let gate = Gate::new();
    for (user, seen) in [("nora", &REGIONS[..]), ("omar", &REGIONS[1..2])] {
        let client = gate.client(user);
        runtime().block_on(async {
            for table in TABLES {
                by_region(&client, table, seen).await;
                by_year(&client, table, seen).await;
                by_both(&client, table, seen).await;
            }
            // A user sees own runs alone.
            let kept = client.query_one("SELECT count(*) FROM querygate.queries WHERE cached", &[]).await.unwrap();
            assert!(kept.get::<_, i64>(0) > 0, "{user}: no plan was kept");
        });
    }
}
