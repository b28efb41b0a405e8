//! TPC-H on the metadata that `querygate introspect` writes, against the same rows in their own types and against the engine or
//! the server alone: `introspected parquet DIR SCALE [RUNS [QUERY]]`, or `introspected postgres DIR SCALE PORT [RUNS [QUERY]]`
//! with a server of user and password `bench`, whose tables are those of `bench/tpch.sql` with their keys. Fills what is empty;
//! prints a markdown table, or each side's plan of one query.
#![allow(clippy::print_stdout, reason = "the table is the result")]

use arrow::array::{AsArray, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::context::SessionContext;
use datafusion::prelude::SessionConfig;
use futures::{StreamExt, TryStreamExt};
use querygate::Output;
use querygate_bench::federated::Place;
use querygate_bench::{door, federated, gate, process, tpch};
use querygate_catalog::deployment::Deployment;
use querygate_postgres::{PostgresDriver, PostgresOptions};
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::{Delivery, Session};
use querygate_types::limits;
use querygate_types::principal::Principal;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

type Failure = Box<dyn std::error::Error>;

/// The database, and what its user's password is.
const LOGIN: &str = "bench";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (kind, folder, scale, rest) = match arguments.as_slice() {
        ["parquet", folder, scale, rest @ ..] => (Kind::Parquet, folder, scale, rest),
        ["postgres", folder, scale, port, rest @ ..] => (Kind::Postgres(port.parse()?), folder, scale, rest),
        _ => return Err("parquet or postgres, a folder and a scale are needed".into()),
    };
    let (folder, scale): (&Path, f64) = (Path::new(folder), scale.parse()?);
    let runs: usize = rest.first().map_or(Ok(5), |text| text.parse())?;
    if !folder.join("lineitem.parquet").is_file() {
        std::fs::create_dir_all(folder)?;
        tpch::write_parquet(folder, scale)?;
    }
    let runtime = gate::runtime()?;
    let written = tempfile::tempdir()?;
    let sides = match kind {
        Kind::Parquet => parquet_sides(&runtime, folder, written.path())?,
        Kind::Postgres(port) => postgres_sides(&runtime, port, folder, scale, written.path())?,
    };
    match rest.get(1) {
        Some(query) => explain(&runtime, &sides, query),
        None => {
            println!("TPC-H scale {scale}, best of {runs} alternating runs; {}\n", process::machine());
            compare(&runtime, &sides, runs)
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Parquet,
    Postgres(u16),
}

/// One of those that answer the same statements, in turns.
enum Side {
    Engine(SessionContext),
    Server(Client),
    Gate(Arc<dyn Session>),
}

impl Side {
    /// Runs a statement to its end; the number of rows.
    async fn run(&self, sql: &str) -> Result<usize, Failure> {
        match self {
            Self::Engine(context) => {
                let plan = context.sql(sql).await?.create_physical_plan().await?;
                let mut stream = datafusion::physical_plan::execute_stream(plan, context.task_ctx())?;
                let mut rows = 0;
                while let Some(batch) = stream.next().await {
                    rows += batch?.num_rows();
                }
                Ok(rows)
            }
            Self::Server(client) => {
                let mut rows = std::pin::pin!(client.query_raw(sql, std::iter::empty::<&str>()).await?);
                let mut count = 0;
                while rows.try_next().await?.is_some() {
                    count += 1;
                }
                Ok(count)
            }
            Self::Gate(session) => {
                let prepared = gate::prepare(session, sql).await?;
                Ok(gate::drain(session, &prepared, &[]).await?)
            }
        }
    }

    /// What a gate answers, in lines.
    async fn answer(&self, sql: &str) -> Result<Option<Vec<String>>, Failure> {
        let Self::Gate(session) = self else { return Ok(None) };
        let prepared = gate::prepare(session, sql).await?;
        let mut lines = Vec::new();
        if let Outcome::Rows(mut rows) = session.run(&prepared, &[], Delivery::Batches).await? {
            while let Some(batch) = rows.batches.next().await {
                lines.extend(texts(&batch?)?);
            }
        }
        Ok(Some(lines))
    }
}

/// The rows of a batch as texts.
fn texts(batch: &RecordBatch) -> Result<Vec<String>, Failure> {
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let line = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("\t");
    Ok((0..batch.num_rows()).map(line).collect())
}

/// The engine on the files, the gate on the files' own types, and the gate on what introspection writes of them.
fn parquet_sides(runtime: &Runtime, folder: &Path, written: &Path) -> Result<Vec<(&'static str, Side)>, Failure> {
    let config = SessionConfig::new().with_target_partitions(gate::PARTITIONS).with_batch_size(limits::BATCH_ROWS);
    let engine = SessionContext::new_with_config(config);
    for (name, table) in runtime.block_on(gate::tpch_tables(folder))? {
        engine.register_table(name, table.provider)?;
    }
    let own = runtime.block_on(async {
        let deployment = gate::tpch_deployment(gate::tpch_tables(folder).await?, &[])?;
        deployment.measure().await;
        Ok::<_, Failure>(deployment)
    })?;
    let folder = folder.canonicalize()?;
    introspect(&folder.to_string_lossy(), written, &[])?;
    let source = format!("kind = \"files\"\npath = '{}'", folder.display());
    let introspected = deployment(runtime, written, &source)?;
    Ok(vec![
        ("engine", Side::Engine(engine)),
        ("own types", session(runtime, own, gate::reader())?),
        ("introspected", session(runtime, introspected, introspected_reader())?),
    ])
}

/// The server itself, the gate on the columns that its driver describes, and the gate on what introspection writes of them.
fn postgres_sides(
    runtime: &Runtime,
    port: u16,
    folder: &Path,
    scale: f64,
    written: &Path,
) -> Result<Vec<(&'static str, Side)>, Failure> {
    let (client, own) = runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).user(LOGIN).password(LOGIN).dbname(LOGIN);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        if client.query("SELECT 1 FROM pg_class WHERE relname = 'lineitem'", &[]).await?.is_empty() {
            federated::load_specified(&client, scale).await?;
        }
        let mut options = PostgresOptions::new("postgres", "127.0.0.1", LOGIN, LOGIN);
        (options.port, options.password) = (port, Some(LOGIN.to_owned()));
        let driver = Arc::new(PostgresDriver::new(&options)?);
        let place = Place { source: "tpch", driver, schema: "public", tables: &tpch::TABLES };
        Ok::<_, Failure>((client, federated::deployment(folder, &[place]).await?))
    })?;
    std::fs::write(written.join("password"), LOGIN)?;
    let password = format!("file:{}", written.join("password").display());
    introspect(&format!("postgres://{LOGIN}@127.0.0.1:{port}/{LOGIN}"), written, &["--password", &password])?;
    let source = format!(
        "kind = \"postgres\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{LOGIN}\"\ndatabase = \"{LOGIN}\"\n\
         password = '{password}'"
    );
    let introspected = deployment(runtime, written, &source)?;
    Ok(vec![
        ("straight", Side::Server(client)),
        ("own types", session(runtime, own, gate::reader())?),
        ("introspected", session(runtime, introspected, introspected_reader())?),
    ])
}

/// `querygate introspect` into a folder's `metadata`.
fn introspect(source: &str, folder: &Path, more: &[&str]) -> Result<(), Failure> {
    let metadata = folder.join("metadata");
    let arguments = ["querygate", "introspect", source, "--namespace", "tpch", "--output"];
    let arguments = arguments.into_iter().map(OsString::from).chain([metadata.into_os_string()]);
    let (mut output, captured) = Output::captured("");
    let code = querygate::run(arguments.chain(more.iter().map(OsString::from)), &mut output);
    if code == ExitCode::SUCCESS { Ok(()) } else { Err(captured.text().into()) }
}

/// What `querygate serve` serves of that folder.
fn deployment(runtime: &Runtime, folder: &Path, source: &str) -> Result<Deployment, Failure> {
    let file = folder.join("querygate.toml");
    let text = format!(
        "[server]\ndatabase = \"{}\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"tpch\"\n{source}\n",
        door::DATABASE
    );
    std::fs::write(&file, text)?;
    let (mut output, captured) = Output::captured("");
    let deployment = runtime.block_on(querygate::deployment_of(&file, &mut output));
    Ok(deployment.map_err(|error| format!("{error}: {}", captured.text()))?)
}

/// Whom the permission set that introspection writes is for.
fn introspected_reader() -> Principal {
    Principal::builder(door::USER).permission_set("tpch_reader").build()
}

fn session(runtime: &Runtime, deployment: Deployment, principal: Principal) -> Result<Side, Failure> {
    let gate = gate::gate(runtime.handle().clone(), deployment)?;
    Ok(Side::Gate(runtime.block_on(gate::session(&gate, principal))?))
}

/// Whether the gates answer the same.
fn answer_alike(runtime: &Runtime, sides: &[(&'static str, Side)], sql: &str) -> Result<bool, Failure> {
    let mut answers = Vec::new();
    for (name, side) in sides {
        answers.extend(runtime.block_on(side.answer(sql)).map_err(|error| format!("{name} failed: {error}"))?);
    }
    Ok(answers.windows(2).all(|pair| pair[0] == pair[1]))
}

/// Best times of one statement, side by side.
fn best(runtime: &Runtime, sides: &[(&'static str, Side)], sql: &str, runs: usize) -> Result<Vec<Duration>, Failure> {
    if !answer_alike(runtime, sides, sql)? {
        return Err("the gates answer differently".into());
    }
    let mut best = vec![Duration::MAX; sides.len()];
    // Who goes first alternates, and the first round only warms up.
    for run in 0..=runs {
        let mut counts = vec![0; sides.len()];
        for turn in 0..sides.len() {
            let at = (turn + run) % sides.len();
            let (name, side) = &sides[at];
            let started = Instant::now();
            counts[at] = runtime.block_on(side.run(sql)).map_err(|error| format!("{name} failed: {error}"))?;
            if run > 0 {
                best[at] = best[at].min(started.elapsed());
            }
        }
        if counts.iter().any(|count| *count != counts[0]) {
            return Err(format!("rows differ: {counts:?}").into());
        }
    }
    Ok(best)
}

fn compare(runtime: &Runtime, sides: &[(&'static str, Side)], runs: usize) -> Result<(), Failure> {
    let [(alone, _), (own, _), (written, _)] = sides else { return Err("three sides are compared".into()) };
    let ratios = format!("{own} ÷ {alone} | {written} ÷ {alone} | {written} ÷ {own}");
    println!("| query | {alone} ms | {own} ms | {written} ms | {ratios} | plans |");
    println!("|---|---|---|---|---|---|---|---|");
    let (mut logarithms, mut sums, mut compared) = ([0.0; 3], [0.0; 3], 0.0);
    let mut failed = 0;
    for (number, text) in tpch::queries() {
        let sql = text.trim().trim_end_matches(';');
        let times = match best(runtime, sides, sql, runs) {
            Ok(times) => times.iter().map(|time| time.as_secs_f64() * 1_000.0).collect::<Vec<_>>(),
            Err(error) => {
                println!("| {number} | {error} | | | | | | |");
                failed += 1;
                continue;
            }
        };
        let [a, b, c] = times[..] else { return Err("three sides are compared".into()) };
        let ratios = [b / a, c / a, c / b];
        for (sum, ratio) in logarithms.iter_mut().zip(ratios) {
            *sum += ratio.ln();
        }
        for (sum, time) in sums.iter_mut().zip([a, b, c]) {
            *sum += time;
        }
        compared += 1.0;
        let [first, second, third] = ratios;
        let plans = if answer_alike(runtime, sides, &format!("EXPLAIN {sql}"))? { "same" } else { "differ" };
        println!("| {number} | {a:.1} | {b:.1} | {c:.1} | {first:.3} | {second:.3} | {third:.3} | {plans} |");
    }
    let [first, second, third] = logarithms.map(|sum: f64| (sum / compared).exp());
    println!("| geometric mean of {compared} | | | | {first:.3} | {second:.3} | {third:.3} | |");
    let [a, b, c] = sums;
    println!("| together | {a:.0} | {b:.0} | {c:.0} | {:.3} | {:.3} | {:.3} | |", b / a, c / a, c / b);
    println!("\nAfterwards: {}", process::machine());
    if failed > 0 { Err(format!("{failed} statements failed").into()) } else { Ok(()) }
}

/// Prints each side's plan of one query, by number or as SQL, with what each operator did.
fn explain(runtime: &Runtime, sides: &[(&'static str, Side)], query: &str) -> Result<(), Failure> {
    let text = tpch::queries().into_iter().find(|(n, _)| *n == query).map_or(query, |(_, text)| text);
    let sql = format!("EXPLAIN ANALYZE {}", text.trim().trim_end_matches(';'));
    for (name, side) in sides {
        println!("--- {name}");
        match side {
            Side::Engine(context) => {
                for batch in runtime.block_on(async { context.sql(&sql).await?.collect().await })? {
                    let plans = batch.columns().last().and_then(|column| column.as_string_opt::<i32>());
                    plans.into_iter().flat_map(|lines| lines.iter().flatten()).for_each(|line| println!("{line}"));
                }
            }
            Side::Server(client) => {
                for row in runtime.block_on(client.query(sql.as_str(), &[]))? {
                    println!("{}", row.get::<_, String>(0));
                }
            }
            Side::Gate(_) => {
                let lines = runtime.block_on(side.answer(&sql))?;
                lines.iter().flatten().for_each(|line| println!("{line}"));
            }
        }
    }
    Ok(())
}
