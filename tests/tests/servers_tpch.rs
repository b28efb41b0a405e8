//! TPC-H at scale 0.01 with all tables in MariaDB, all in MongoDB, and split over PostgreSQL, MariaDB and MongoDB. The answers
//! are another engine's. What leaves the servers is counted, so that a source which stops taking its part shows.
//! `SHOW_STATEMENTS` prints the plans.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests panic")
)]

use querygate_bench::{gate, tpch};
use querygate_driver_api::testkit::watch::Run;
use querygate_tests::harness::{Fixture, Layout, Table, TestGate, answer_differs};
use std::path::Path;

const SCALE: f64 = 0.01;

fn tables() -> Vec<Table> {
    let table = |name: &str| {
        let (schema, batches) = tpch::batches(name, SCALE).unwrap();
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

/// Runs the 22 statements, over which at most so many rows may leave the servers.
fn check(words: &str, layout: &dyn Fn(&str) -> Layout, rows_max: usize) {
    let fixture = fixture();
    let gate = TestGate::placed(&fixture, layout);
    let client = gate.client(&gate::reader());
    let answers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tpch/answers");
    let (mut wrong, mut total) = (Vec::new(), 0);
    let mut counts = Vec::new();
    for (number, sql) in tpch::queries() {
        let expected = std::fs::read_to_string(answers.join(format!("q{number}.tsv"))).unwrap();
        fixture.watch.take();
        let answer = client.run(sql.trim().trim_end_matches(';'));
        let runs = fixture.watch.take();
        let rows: usize = runs.iter().map(Run::rows).sum();
        total += rows;
        counts.push(format!("q{number} {rows} in {}", runs.len()));
        if std::env::var_os("SHOW_STATEMENTS").is_some() {
            println!("q{number}: {}", client.run(&format!("EXPLAIN {sql}")));
        }
        match answer.code() {
            Some(_) => wrong.push(format!("q{number}: {answer}")),
            None => wrong.extend(answer_differs(&answer, &expected).map(|why| format!("q{number}: {why}"))),
        }
    }
    println!("{words}: {total} rows left the servers: {}", counts.join(", "));
    assert!(wrong.is_empty(), "{words}:\n{}", wrong.join("\n"));
    assert!(total <= rows_max, "{words}: {total} rows left the servers");
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
