//! Governed against ungoverned TPC-H on Parquet: `cargo run --release -p querygate-bench --example governed -- DIR SCALE
//! [RUNS [QUERY]]`. Writes the files when DIR has none; prints a markdown table, or both plans of one query. `ANSWERS`: a folder for the
//! rows of each governed statement as Parquet, in `open` and in `policy`.
#![allow(clippy::print_stdout, reason = "the table is the result")]

use arrow::array::{AsArray, RecordBatch};
use datafusion::execution::context::SessionContext;
use datafusion::physical_plan::ExecutionPlanProperties;
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use querygate_bench::{gate, process, tpch};
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::{Delivery, Session};
use querygate_types::limits;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

/// The row policy of the second run, and the same predicate in a view for the ungoverned side. It holds for most rows.
const POLICY: (&str, &str) = ("lineitem", "l_shipmode != 'RAIL'");
const VIEW: &str = "CREATE VIEW lineitem AS SELECT * FROM lineitem_all WHERE l_shipmode <> 'RAIL'";

async fn ungoverned(context: &SessionContext, sql: &str) -> Result<usize, Failure> {
    let plan = context.sql(sql).await?.create_physical_plan().await?;
    assert!(plan.output_partitioning().partition_count() > 0);
    let mut stream = datafusion::physical_plan::execute_stream(plan, context.task_ctx())?;
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        rows += batch?.num_rows();
    }
    Ok(rows)
}

async fn governed(session: &Arc<dyn Session>, sql: &str) -> Result<usize, Failure> {
    let prepared = gate::prepare(session, sql).await?;
    Ok(gate::drain(session, &prepared, &[]).await?)
}

async fn context(folder: &Path, with_policy: bool) -> Result<SessionContext, Failure> {
    let config = SessionConfig::new().with_target_partitions(gate::PARTITIONS).with_batch_size(limits::BATCH_ROWS);
    let context = SessionContext::new_with_config(config);
    for (name, table) in gate::tpch_tables(folder).await? {
        let name = if with_policy && name == POLICY.0 { "lineitem_all" } else { name };
        context.register_table(name, table.provider)?;
    }
    if with_policy {
        context.sql(VIEW).await?.collect().await?;
    }
    Ok(context)
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("a folder is needed")?;
    let folder = Path::new(&folder);
    let scale: f64 = arguments.next().map_or(Ok(1.0), |s| s.parse())?;
    let runs: usize = arguments.next().map_or(Ok(5), |s| s.parse())?;
    if !folder.join("lineitem.parquet").is_file() {
        std::fs::create_dir_all(folder)?;
        tpch::write_parquet(folder, scale)?;
    }
    let runtime = gate::runtime()?;
    if let Some(query) = arguments.next() {
        return explain(folder, &query);
    }
    println!("TPC-H scale {scale}, best of {runs} alternating runs; {}\n", process::machine());
    for (title, policies) in [("no row policy", &[][..]), ("a row policy on lineitem", &[POLICY][..])] {
        compare(&runtime, folder, title, policies, runs)?;
    }
    Ok(())
}

fn compare(
    runtime: &tokio::runtime::Runtime,
    folder: &Path,
    title: &str,
    policies: &[(&str, &str)],
    runs: usize,
) -> Result<(), Failure> {
    let plain = runtime.block_on(context(folder, !policies.is_empty()))?;
    let tables = runtime.block_on(gate::tpch_tables(folder))?;
    let gate = gate::gate(runtime.handle().clone(), gate::tpch_deployment(tables, policies)?)?;
    let session = runtime.block_on(gate::session(&gate, gate::reader()))?;
    let answers = gate::answers_folder(if policies.is_empty() { "open" } else { "policy" })?;
    println!("| query, {title} | ungoverned ms | governed ms | ratio |\n|---|---|---|---|");
    let (mut logs, mut compared) = (0.0, 0.0);
    for (number, text) in tpch::queries() {
        let sql = text.trim().trim_end_matches(';');
        let (mut without, mut with) = (Duration::MAX, Duration::MAX);
        let mut failed = None;
        for run in 0..=runs {
            // Who goes first alternates, and the first pair only warms up.
            let (mut pair, mut rows) = ([Duration::MAX; 2], [0; 2]);
            for turn in 0..2 {
                let side = (turn + run) % 2;
                let started = Instant::now();
                let outcome = runtime.block_on(async {
                    if side == 0 { ungoverned(&plain, sql).await } else { governed(&session, sql).await }
                });
                pair[side] = started.elapsed();
                match outcome {
                    Ok(count) => rows[side] = count,
                    Err(error) => failed = Some(format!("{} failed: {error}", ["ungoverned", "governed"][side])),
                }
            }
            if failed.is_none() && rows[0] != rows[1] {
                failed = Some(format!("{} rows against {}", rows[0], rows[1]));
            }
            if failed.is_some() {
                break;
            }
            if run > 0 {
                (without, with) = (without.min(pair[0]), with.min(pair[1]));
            }
        }
        if let (Some(folder), None) = (&answers, &failed) {
            runtime.block_on(gate::write_answer(&session, sql, folder, number))?;
        }
        if let Some(failed) = failed {
            println!("| {number} | | | {failed} |");
            continue;
        }
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        logs += ratio.ln();
        compared += 1.0;
        println!("| {number} | {:.1} | {:.1} | {ratio:.3} |", millis(without), millis(with));
    }
    println!("| geometric mean of {compared} | | | {:.3} |\n", (logs / compared).exp());
    Ok(())
}

/// Prints both plans of one query, by number or as SQL, with what each operator did.
fn explain(folder: &Path, query: &str) -> Result<(), Failure> {
    let runtime = gate::runtime()?;
    let text = tpch::queries().into_iter().find(|(n, _)| *n == query).map_or(query, |(_, text)| text);
    let sql = format!("EXPLAIN ANALYZE {}", text.trim().trim_end_matches(';'));
    let plain = runtime.block_on(context(folder, false))?;
    for batch in runtime.block_on(async { plain.sql(&sql).await?.collect().await })? {
        print_text(&batch);
    }
    let tables = runtime.block_on(gate::tpch_tables(folder))?;
    let gate = gate::gate(runtime.handle().clone(), gate::tpch_deployment(tables, &[])?)?;
    runtime.block_on(async {
        let session = gate::session(&gate, gate::reader()).await?;
        let prepared = gate::prepare(&session, &sql).await?;
        if let Outcome::Rows(mut rows) = session.run(&prepared, &[], Delivery::Batches).await? {
            while let Some(batch) = rows.batches.next().await {
                print_text(&batch?);
            }
        }
        Ok(())
    })
}

fn print_text(batch: &RecordBatch) {
    if let Some(lines) = batch.columns().last().and_then(|column| column.as_string_opt::<i32>()) {
        lines.iter().flatten().for_each(|line| println!("{line}"));
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
