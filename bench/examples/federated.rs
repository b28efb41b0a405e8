//! Rows that leave PostgreSQL over the 22 statements of TPC-H with orders and lineitem there and the rest in Parquet files:
//! `federated DIR SCALE PORT [SQL]` with a server of user and password `bench`. Fills both when they are empty; prints a
//! markdown table. `SQL`: also the native statements. `RUNS`: times are the best of so many.
#![allow(clippy::print_stdout, reason = "the table is the result")]

use querygate_bench::{federated, gate, process, tpch};
use querygate_driver_api::testkit::watch::{Run, Watch};
use querygate_postgres::PostgresOptions;
use std::path::Path;
use std::time::Instant;
use tokio_postgres::NoTls;

type Failure = Box<dyn std::error::Error>;

/// What DuckDB's scanner moves at scale 1, counted at the server; and a plan by hand.
const DUCKDB: f64 = 91_527_575.0;
const IDEAL: f64 = 758_659.0;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("a folder is needed")?;
    let folder = Path::new(&folder);
    let scale: f64 = arguments.next().ok_or("a scale is needed")?.parse()?;
    let port: u16 = arguments.next().ok_or("a port is needed")?.parse()?;
    let shown = arguments.next().is_some();
    let times: usize = std::env::var("RUNS").map_or(Ok(1), |text| text.parse())?;
    let runtime = gate::runtime()?;
    let password = std::env::var("PGPASSWORD").unwrap_or_else(|_| "bench".to_owned());
    let mut options = PostgresOptions::new("postgres", "127.0.0.1", "bench", "postgres");
    (options.port, options.password) = (port, Some(password.clone()));
    if !folder.join("lineitem.parquet").is_file() {
        std::fs::create_dir_all(folder)?;
        tpch::write_parquet(folder, scale)?;
    }
    let watch = Watch::default();
    let deployment = runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).user("bench").password(&password).dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        if client.query_opt("SELECT 1 FROM pg_tables WHERE tablename = 'lineitem'", &[]).await?.is_none() {
            federated::load(&client, scale).await?;
        }
        Ok::<_, Failure>(federated::deployment(folder, &options, &watch).await?)
    })?;
    let gate = gate::gate(runtime.handle().clone(), deployment)?;
    let session = runtime.block_on(gate::session(&gate, gate::reader()))?;
    println!("TPC-H scale {scale}, orders and lineitem in PostgreSQL, the rest in Parquet; {}\n", process::machine());
    println!(
        "| query | rows that left PostgreSQL | statements there | values bound | rows | ms |\n|---|---|---|---|---|---|"
    );
    let (mut total, mut time) = (0, 0.0);
    for (number, text) in tpch::queries() {
        watch.take();
        let once = || {
            let started = Instant::now();
            let answered = runtime.block_on(async {
                let prepared = gate::prepare(&session, text.trim().trim_end_matches(';')).await?;
                gate::drain(&session, &prepared, &[]).await
            });
            (answered, started.elapsed().as_secs_f64() * 1_000.0)
        };
        let (answered, first) = once();
        let runs = watch.take();
        let took = (1..times).map(|_| once().1).fold(first, f64::min);
        let rows: usize = runs.iter().map(Run::rows).sum();
        let values: usize = runs.iter().map(|run| run.values).sum();
        (total, time) = (total + rows, time + took);
        match answered {
            Ok(count) => println!("| {number} | {rows} | {} | {values} | {count} | {took:.0} |", runs.len()),
            Err(error) => println!("| {number} | {rows} | {} | {values} | failed: {error} | |", runs.len()),
        }
        if shown {
            for run in &runs {
                println!("    {}: {:.400}", run.rows(), run.text);
            }
        }
    }
    println!("| all | {total} | | | | {time:.0} |");
    println!("| goal | {:.0} | | | | |", federated::ROWS_MAX * scale);
    println!("| by hand, in proportion | {:.0} | | | | |", IDEAL * scale);
    println!("| DuckDB's scanner, in proportion | {:.0} | | | | |", DUCKDB * scale);
    Ok(())
}
