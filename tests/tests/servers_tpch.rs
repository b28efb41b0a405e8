//! TPC-H at scale 0.01 with all tables in PostgreSQL, all in MariaDB, all in MongoDB, and split over the three. The answers are
//! another engine's. What leaves the servers is counted, so that a source which stops taking its part shows; what each source
//! was given and what stayed in the gate is compared with
//! `tests/plans/tpch-postgresql.txt` for the server that takes them whole (`BLESS=1` writes it).
//!
//! `TPCH_SCALE=0.1 cargo test --release -p querygate-tests --test servers_tpch -- --nocapture --test-threads 1` runs another
//! scale, whose answers come from PostgreSQL asked directly. `SHOW_STATEMENTS` prints the plans.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests panic")
)]

use querygate_bench::{gate, tpch};
use querygate_driver_api::testkit::watch::Run;
use querygate_tests::harness::{Answer, Fixture, Layout, PlainPostgres, Table, TestGate, answer_differs};
use querygate_tests::server::golden;
use std::path::Path;

/// The scale of the recorded answers.
const SCALE: f64 = 0.01;

fn scale() -> f64 {
    std::env::var("TPCH_SCALE").map_or(SCALE, |text| text.parse().unwrap())
}

fn is_recorded() -> bool {
    scale().to_bits() == SCALE.to_bits()
}

fn tables() -> Vec<Table> {
    let table = |name: &str| {
        let (schema, batches) = tpch::batches(name, scale()).unwrap();
        let batch = arrow::compute::concat_batches(&schema, &batches).unwrap();
        Table::of(&format!("tpch_{name}"), batch)
    };
    tpch::TABLES.into_iter().map(table).collect()
}

fn fixture() -> Fixture {
    let tables = tables();
    let object =
        |table: &Table| gate::object(&table.object, table.schema.fields().iter().map(|field| field.name().as_str()));
    let stack = gate::stack("tpch", tables.iter().map(object).collect(), &[]);
    Fixture::new(stack, tables)
}

/// The answer of another engine, in lines of cells apart by tabs.
fn expected(number: &str, sql: &str, plain: Option<&PlainPostgres>) -> String {
    match plain {
        None => {
            let answers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tpch/answers");
            std::fs::read_to_string(answers.join(format!("q{number}.tsv"))).unwrap()
        }
        Some(server) => {
            let rows = server.run(sql).unwrap_or_else(|code| panic!("q{number}: {code}"));
            let line = |row: Vec<Option<String>>| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>();
            rows.into_iter().map(|row| line(row).join("\t") + "\n").collect()
        }
    }
}

/// What a plan gives to sources and keeps, without the engine's own operators, which follow sizes.
fn receipt(explained: &Answer) -> String {
    let lines = explained.table().iter().filter_map(|row| row[0].as_deref()).flat_map(str::lines);
    let begins = |line: &str| ["Fragment ", "Pushed to ", "Kept in "].iter().any(|head| line.starts_with(head));
    let mut parts: Vec<String> = Vec::new();
    for line in lines.skip_while(|line| !begins(line)).map(str::trim_end) {
        // The order of fragments is the plan's, and so are their numbers.
        let line = match line.split_once(": ") {
            Some((head, rest)) if head.starts_with("Fragment ") => format!("Fragment: {rest}\n"),
            _ => format!("{line}\n"),
        };
        match parts.last_mut() {
            Some(part) if line.starts_with(' ') => part.push_str(&line),
            _ => parts.push(line),
        }
    }
    parts.sort();
    parts.concat()
}

/// Runs the 22 statements, over which at most so many rows may leave the servers.
fn check(words: &str, layout: &dyn Fn(&str) -> Layout, rows_max: usize) {
    let fixture = fixture();
    let gate = TestGate::placed(&fixture, layout);
    let client = gate.client(&gate::reader());
    let plain = if is_recorded() { None } else { PlainPostgres::over(&fixture.tables) };
    assert!(is_recorded() || plain.is_some(), "PostgreSQL is absent, which has the answers at this scale");
    let (mut wrong, mut total) = (Vec::new(), 0);
    let mut counts = Vec::new();
    let mut plans = format!("# TPC-H, every source's part: {words}\n");
    for (number, sql) in tpch::queries() {
        let sql = sql.trim().trim_end_matches(';');
        let expected = expected(number, sql, plain.as_ref());
        fixture.watch.take();
        let answer = client.run(sql);
        let runs = fixture.watch.take();
        let rows: usize = runs.iter().map(Run::rows).sum();
        total += rows;
        counts.push(format!("q{number} {rows} in {}", runs.len()));
        let explained = client.run(&format!("EXPLAIN {sql}"));
        if std::env::var_os("SHOW_STATEMENTS").is_some() {
            println!("q{number}: {explained}");
        }
        plans.push_str(&format!("\n--- q{number}\n{}", receipt(&explained)));
        match answer.code() {
            Some(_) => wrong.push(format!("q{number}: {answer}")),
            None => wrong.extend(answer_differs(&answer, &expected).map(|why| format!("q{number}: {why}"))),
        }
    }
    println!("{words}, scale {}: {total} rows left the servers: {}", scale(), counts.join(", "));
    assert!(wrong.is_empty(), "{words}:\n{}", wrong.join("\n"));
    if is_recorded() {
        assert!(total <= rows_max, "{words}: {total} rows left the servers");
        // Where whole statements go to one source; elsewhere parts follow the sizes that sources tell.
        if words == "PostgreSQL" {
            golden("plans/tpch-postgresql.txt", &plans);
        }
    }
}

#[test]
fn all_22_answers_are_right_with_every_table_in_postgresql() {
    if Layout::servers().contains(&Layout::Postgres) {
        check("PostgreSQL", &|_| Layout::Postgres, 2_000);
    }
}

#[test]
fn all_22_answers_are_right_with_every_table_in_mariadb() {
    if Layout::servers().contains(&Layout::MariaDb) {
        check("MariaDB", &|_| Layout::MariaDb, 80_000);
    }
}

#[test]
fn all_22_answers_are_right_with_every_table_in_mongodb() {
    if Layout::servers().contains(&Layout::MongoDb) {
        check("MongoDB", &|_| Layout::MongoDb, 260_000);
    }
}

#[test]
fn all_22_answers_are_right_with_the_tables_split_three_ways() {
    if Layout::servers().len() < 3 {
        return;
    }
    let layout = |object: &str| match object {
        "tpch_orders" | "tpch_lineitem" => Layout::Postgres,
        "tpch_customer" | "tpch_nation" | "tpch_region" => Layout::MariaDb,
        _ => Layout::MongoDb,
    };
    check("three servers", &layout, 45_000);
}
