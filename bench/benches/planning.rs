//! What the gate adds before a statement runs: binding and planning, anew and from its caches, beside DataFusion alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench stops at the first failure, and says what it found"
)]

mod clock;

use arrow::array::{ArrayRef, Date32Array, Int64Array, StringArray};
use clock::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use datafusion::prelude::{SessionConfig, SessionContext};
use querygate_bench::{gate, rows, tpch, wide};
use querygate_query::Engine;
use querygate_query_api::service::Session;
use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Runtime;

/// The gate's own.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn text_of(number: &str) -> &'static str {
    let (_, text) = tpch::queries().into_iter().find(|(n, _)| *n == number).unwrap();
    text.trim().trim_end_matches(';')
}

/// Measures splitting and binding a text that was never seen, one that was, and running it to its end.
fn statement(
    criterion: &mut Criterion<CpuTime>,
    runtime: &Runtime,
    session: &Arc<dyn Session>,
    name: &str,
    sql: &str,
    parameters: &[ArrayRef],
) {
    let mut number = 0_u64;
    criterion.bench_function(&format!("planning/{name}/bind_new_text"), |b| {
        b.iter(|| {
            number += 1;
            // Another text of the same statement: the cache of bound statements goes by text.
            let sql = format!("{sql} /* {number} */");
            black_box(runtime.block_on(gate::prepare(session, &sql)).unwrap());
        });
    });
    criterion.bench_function(&format!("planning/{name}/bind_known_text"), |b| {
        b.iter(|| black_box(runtime.block_on(gate::prepare(session, sql)).unwrap()));
    });
    let prepared = runtime.block_on(gate::prepare(session, sql)).unwrap();
    criterion.bench_function(&format!("planning/{name}/plan_and_run"), |b| {
        b.iter(|| runtime.block_on(gate::drain(session, &prepared, parameters)).unwrap());
    });
}

fn point_gate(runtime: &Runtime, folder: &Path) -> Arc<Engine> {
    let columns = wide::schema();
    let object = gate::object("b_wide", columns.fields().iter().map(|f| f.name().as_str()));
    let accounts = gate::object("b_accounts", rows::ACCOUNT_COLUMNS.map(|(name, _)| name));
    let policies = [("b_accounts", "name != 'account 3'")];
    let stack = gate::stack("b", vec![object, accounts], &policies);
    let tables = HashMap::from([
        ("b_wide".to_owned(), rows::memory(1_000).unwrap()),
        ("b_accounts".to_owned(), runtime.block_on(rows::accounts(&folder.join("a.db"), 10_000)).unwrap()),
    ]);
    gate::gate(runtime.handle().clone(), gate::deployment(&stack, tables).unwrap()).unwrap()
}

/// Runs of one statement with other values each time, from plans that are kept and planned anew, with what planning took of them as
/// the gate's own table of statements has it.
fn kept_and_anew(
    criterion: &mut Criterion<CpuTime>,
    runtime: &Runtime,
    session: &Arc<dyn Session>,
    name: &str,
    sql: &str,
    values: &dyn Fn(usize) -> Vec<ArrayRef>,
) {
    for (what, setting) in [("run_planned_anew", "off"), ("run_kept_plan", "on")] {
        let set = format!("SET querygate.plan_templates = {setting}");
        let set = runtime.block_on(gate::prepare(session, &set)).unwrap();
        runtime.block_on(gate::drain(session, &set, &[])).unwrap();
        let prepared = runtime.block_on(gate::prepare(session, sql)).unwrap();
        let mut run = 0_usize;
        criterion.bench_function(&format!("planning/{name}/{what}"), |b| {
            b.iter(|| {
                run += 1;
                runtime.block_on(gate::drain(session, &prepared, &values(run))).unwrap();
            });
        });
    }
    for (what, cached) in [("anew", "NOT cached"), ("kept", "cached")] {
        let sql = format!("SELECT planning_ms FROM querygate.queries WHERE {cached} ORDER BY id DESC LIMIT 1000");
        let sql = format!("SELECT 1000 * avg(planning_ms) FROM ({sql}) t");
        let found = runtime.block_on(gate::first_number(session, &sql)).unwrap();
        println!("planning/{name}/{what}: {found:?} microseconds of planning, mean of the last thousand");
    }
}

/// Three sources, as the demo's traffic joins them.
fn three_sources(criterion: &mut Criterion<CpuTime>, runtime: &Runtime) {
    let folder = tempfile::tempdir().unwrap();
    tpch::write_parquet(folder.path(), 0.001).unwrap();
    let nation = runtime.block_on(gate::tpch_tables(folder.path())).unwrap().remove("nation").unwrap();
    let columns = wide::schema();
    let objects = vec![
        gate::object("b_wide", columns.fields().iter().map(|f| f.name().as_str())),
        gate::object("b_accounts", rows::ACCOUNT_COLUMNS.map(|(name, _)| name)),
        gate::object("b_nation", nation.provider.schema().fields().iter().map(|f| f.name().as_str())),
    ];
    let stack = gate::stack("b", objects, &[("b_accounts", "name != 'account 3'")]);
    let tables = HashMap::from([
        ("b_wide".to_owned(), rows::memory(1_000).unwrap()),
        ("b_accounts".to_owned(), runtime.block_on(rows::accounts(&folder.path().join("a.db"), 1_000)).unwrap()),
        ("b_nation".to_owned(), nation),
    ]);
    let three = gate::gate(runtime.handle().clone(), gate::deployment(&stack, tables).unwrap()).unwrap();
    let session = runtime.block_on(gate::session(&three, gate::reader())).unwrap();
    let sql = "SELECT n.n_name, count(*) AS n FROM nation n JOIN accounts a ON a.level = n.n_nationkey \
               JOIN wide w ON w.id = a.id WHERE a.name = $1 GROUP BY n.n_name ORDER BY n.n_name";
    let values = |run: usize| -> Vec<ArrayRef> {
        vec![Arc::new(StringArray::from(vec![format!("account {}", 100 + run % 50)]))]
    };
    kept_and_anew(criterion, runtime, &session, "three_sources", sql, &values);
}

fn planning(criterion: &mut Criterion<CpuTime>) {
    let runtime = gate::runtime().unwrap();
    three_sources(criterion, &runtime);
    let folder = tempfile::tempdir().unwrap();
    let point = point_gate(&runtime, folder.path());
    let session = runtime.block_on(gate::session(&point, gate::reader())).unwrap();
    let id: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![4_711]))];
    statement(criterion, &runtime, &session, "memory_point", "SELECT name, amount FROM wide WHERE id = 471", &[]);
    statement(criterion, &runtime, &session, "sqlite_point", "SELECT name, level FROM accounts WHERE id = $1", &id);

    tpch::write_parquet(folder.path(), 0.001).unwrap();
    let tables = runtime.block_on(gate::tpch_tables(folder.path())).unwrap();
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(gate::PARTITIONS));
    for (name, table) in &tables {
        context.register_table(*name, Arc::clone(&table.provider)).unwrap();
    }
    let governed = gate::tpch_deployment(tables, &[("lineitem", "l_shipmode != 'NONE'")]).unwrap();
    let governed = gate::gate(runtime.handle().clone(), governed).unwrap();
    let session = runtime.block_on(gate::session(&governed, gate::reader())).unwrap();
    let q5 = text_of("05");
    let explain = format!("EXPLAIN {q5}");
    criterion.bench_function("planning/tpch_q5/governed_bind_and_plan", |b| {
        let mut number = 0_u64;
        b.iter(|| {
            number += 1;
            let sql = format!("{explain} /* {number} */");
            let prepared = runtime.block_on(gate::prepare(&session, &sql)).unwrap();
            runtime.block_on(gate::drain(&session, &prepared, &[])).unwrap();
        });
    });
    let open = q5.replace("'ASIA'", "$1").replace("date '1994-01-01' + interval '1' year", "$3");
    let open = open.replace("date '1994-01-01'", "$2");
    let values = |run: usize| -> Vec<ArrayRef> {
        let region = ["ASIA", "EUROPE", "AMERICA"][run % 3];
        let from = 8_401 + i32::try_from(run % 3).unwrap() * 365;
        vec![
            Arc::new(StringArray::from(vec![region])),
            Arc::new(Date32Array::from(vec![from])),
            Arc::new(Date32Array::from(vec![from + 365])),
        ]
    };
    kept_and_anew(criterion, &runtime, &session, "tpch_q5", &open, &values);
    criterion.bench_function("planning/tpch_q5/datafusion_alone", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let frame = context.sql(q5).await.unwrap();
                black_box(frame.create_physical_plan().await.unwrap());
            });
        });
    });
    criterion.bench_function("planning/memory_point/datafusion_alone", |b| {
        let wide = rows::memory(1_000).unwrap();
        let context = SessionContext::new();
        context.register_table("wide", wide.provider).unwrap();
        b.iter(|| {
            runtime.block_on(async {
                let frame = context.sql("SELECT name, amount FROM wide WHERE id = 471").await.unwrap();
                black_box(frame.create_physical_plan().await.unwrap());
            });
        });
    });
}

criterion_group! {
    name = benches;
    config = clock::criterion();
    targets = planning
}
criterion_main!(benches);
