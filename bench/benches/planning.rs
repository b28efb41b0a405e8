//! What the gate adds before a statement runs: binding and planning, anew and from its caches, beside DataFusion alone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first failure")]

mod clock;

use arrow::array::{ArrayRef, Int64Array};
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
use tokio::runtime::Runtime;

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

fn planning(criterion: &mut Criterion<CpuTime>) {
    let runtime = gate::runtime().unwrap();
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
