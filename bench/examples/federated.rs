//! Rows that leave PostgreSQL over the 22 statements of TPC-H with orders and lineitem there and the rest in Parquet files:
//! `federated DIR SCALE PORT [SQL]` with a server of user and password `bench`. Fills both when they are empty; prints a
//! markdown table. `SQL`: also the native statements. `RUNS`: times are the best of so many. `REMOTE`: the tables that lie
//! in PostgreSQL, `all` or `none`; with `all`, the same text is also sent straight to the server, in turns. `MARIADB`: tables
//! that lie in MariaDB on port `MARIADB_PORT`, database `tpch`, user and password `bench`; `federated mariadb DIR SCALE TABLE…`
//! writes what fills it. `ANSWERS`: a folder for each statement's rows as Parquet.
#![allow(clippy::print_stdout, reason = "the table is the result")]

use futures::TryStreamExt;
use querygate_bench::federated::Place;
use querygate_bench::{federated, gate, process, tpch};
use querygate_driver_api::testkit::watch::{Run, Watch};
use querygate_mysql::{MysqlDriver, MysqlOptions};
use querygate_postgres::{PostgresDriver, PostgresOptions};
use querygate_query_api::service::Session;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio_postgres::NoTls;

type Failure = Box<dyn std::error::Error>;

/// What DuckDB's scanner moves at scale 1, counted at the server; and a plan by hand.
const DUCKDB: f64 = 91_527_575.0;
const IDEAL: f64 = 758_659.0;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["mariadb", folder, scale, tables @ ..] => {
            tables.iter().try_for_each(|table| Ok(federated::write_mariadb(Path::new(folder), table, scale.parse()?)?))
        }
        [folder, scale, port, shown @ ..] => {
            measure(Path::new(folder), scale.parse()?, port.parse()?, !shown.is_empty())
        }
        _ => Err("a folder, a scale and a port are needed".into()),
    }
}

fn measure(folder: &Path, scale: f64, port: u16, shown: bool) -> Result<(), Failure> {
    let times: usize = std::env::var("RUNS").map_or(Ok(1), |text| text.parse())?;
    let (remote, beside) = (tables("REMOTE", &federated::REMOTE)?, tables("MARIADB", &[])?);
    let runtime = gate::runtime()?;
    let password = std::env::var("PGPASSWORD").unwrap_or_else(|_| "bench".to_owned());
    let mut options = PostgresOptions::new("postgres", "127.0.0.1", "bench", "postgres");
    (options.port, options.password) = (port, Some(password.clone()));
    if !folder.join("lineitem.parquet").is_file() {
        std::fs::create_dir_all(folder)?;
        tpch::write_parquet(folder, scale)?;
    }
    let watch = Watch::default();
    let (client, deployment) = runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).user("bench").password(&password).dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        let there = client.query("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'", &[]).await?;
        let there: Vec<String> = there.iter().map(|row| row.get(0)).collect();
        let missing: Vec<&str> = remote.iter().copied().filter(|table| !there.iter().any(|t| t == table)).collect();
        federated::load(&client, &missing, scale).await?;
        let driver = watch.over(Arc::new(PostgresDriver::new(&options)?));
        let mut places = vec![Place { source: "postgres", driver, schema: "public", tables: &remote }];
        if !beside.is_empty() {
            let mut options = MysqlOptions::new("127.0.0.1", std::env::var("MARIADB_PORT")?.parse()?, "bench", "tpch");
            options.password = Some("bench".to_owned());
            let driver = Arc::new(MysqlDriver::new(&options));
            places.push(Place { source: "mariadb", driver, schema: "tpch", tables: &beside });
        }
        Ok::<_, Failure>((client, federated::deployment(folder, &places).await?))
    })?;
    let gate = gate::gate(runtime.handle().clone(), deployment)?;
    let session = runtime.block_on(gate::session(&gate, gate::reader()))?;
    let place = if remote.is_empty() { "nothing".to_owned() } else { remote.join(", ") };
    let besides = if beside.is_empty() { String::new() } else { format!(", {} in MariaDB", beside.join(", ")) };
    println!("TPC-H scale {scale}, {place} in PostgreSQL{besides}, the rest in Parquet; {}\n", process::machine());
    let straight = (remote.len() == tpch::TABLES.len()).then_some(&client);
    let bench = Bench { runtime, session, watch, straight, times, shown, answers: gate::answers_folder("")? };
    let rows = bench.table();
    println!("| goal | {:.0} | | | | |", federated::ROWS_MAX * scale);
    if remote == federated::REMOTE {
        println!("| by hand, in proportion | {:.0} | | | | |", IDEAL * scale);
        println!("| DuckDB's scanner, in proportion | {:.0} | | | | |", DUCKDB * scale);
    }
    if rows.failed > 0 { Err(format!("{} statements failed", rows.failed).into()) } else { Ok(()) }
}

/// The tables that a variable names.
fn tables(variable: &str, default: &[&'static str]) -> Result<Vec<&'static str>, Failure> {
    let known = |name: &str| tpch::TABLES.iter().find(|table| **table == name).copied();
    match std::env::var(variable).as_deref() {
        Err(_) => Ok(default.to_vec()),
        Ok("all") => Ok(tpch::TABLES.to_vec()),
        Ok("none") => Ok(Vec::new()),
        Ok(names) => names
            .split_whitespace()
            .map(|name| known(name).ok_or_else(|| format!("TPC-H has no table \"{name}\"").into()))
            .collect(),
    }
}

struct Bench<'a> {
    runtime: tokio::runtime::Runtime,
    session: Arc<dyn Session>,
    watch: Watch,
    /// The server itself, where it holds all tables.
    straight: Option<&'a tokio_postgres::Client>,
    times: usize,
    shown: bool,
    /// A folder for each statement's rows, of one more run after those that are timed.
    answers: Option<PathBuf>,
}

#[derive(Default)]
struct Totals {
    failed: usize,
    rows: usize,
    gate: f64,
    straight: f64,
    logarithms: f64,
}

impl Bench<'_> {
    /// Runs and prints all statements, and their sums.
    fn table(&self) -> Totals {
        let more = if self.straight.is_some() { (" straight ms | gate ÷ straight |", "---|---|") } else { ("", "") };
        println!("| query | rows that left PostgreSQL | statements there | values bound | rows | ms |{}", more.0);
        println!("|---|---|---|---|---|---|{}", more.1);
        let queries = tpch::queries();
        let mut totals = Totals::default();
        for (number, text) in queries {
            self.statement(number, text.trim().trim_end_matches(';'), &mut totals);
        }
        print!("| all | {} | | | | {:.0} |", totals.rows, totals.gate);
        if self.straight.is_some() {
            let mean = (totals.logarithms / count(queries.len() - totals.failed)).exp();
            print!(" {:.0} | {:.3}, geometric mean {mean:.3} |", totals.straight, totals.gate / totals.straight);
        }
        println!();
        totals
    }

    fn statement(&self, number: &str, text: &str, totals: &mut Totals) {
        self.watch.take();
        let (answered, mut gate) = self.through_gate(text);
        let runs = self.watch.take();
        let rows: usize = runs.iter().map(Run::rows).sum();
        let values: usize = runs.iter().map(|run| run.values).sum();
        let answered = answered.and_then(|rows| Ok((rows, self.straight(text)?)));
        let (found, mut straight) = match answered {
            Ok(answered) => answered,
            Err(error) => {
                println!("| {number} | {rows} | {} | {values} | failed: {error} | |", runs.len());
                totals.failed += 1;
                return;
            }
        };
        for _ in 1..self.times {
            gate = gate.min(self.through_gate(text).1);
            if let (Some(best), Ok(Some(took))) = (straight, self.straight(text)) {
                straight = Some(best.min(took));
            }
        }
        if let Err(error) = self.write_answer(number, text) {
            println!("| {number} | {rows} | {} | {values} | not written: {error} | |", runs.len());
            totals.failed += 1;
            return;
        }
        (totals.rows, totals.gate) = (totals.rows + rows, totals.gate + gate);
        print!("| {number} | {rows} | {} | {values} | {found} | {gate:.0} |", runs.len());
        if let Some(straight) = straight {
            totals.straight += straight;
            totals.logarithms += (gate / straight).ln();
            print!(" {straight:.0} | {:.2} |", gate / straight);
        }
        println!();
        if self.shown {
            for run in &runs {
                println!("    {}: {:.400}", run.rows(), run.text);
            }
        }
    }

    fn through_gate(&self, text: &str) -> (Result<usize, Failure>, f64) {
        let started = Instant::now();
        let answered = self.runtime.block_on(async {
            let prepared = gate::prepare(&self.session, text).await?;
            gate::drain(&self.session, &prepared, &[]).await
        });
        (answered.map_err(Into::into), milliseconds(started))
    }

    fn write_answer(&self, number: &str, text: &str) -> Result<(), Failure> {
        let Some(folder) = &self.answers else { return Ok(()) };
        self.runtime.block_on(gate::write_answer(&self.session, text, folder, number))?;
        self.watch.take();
        Ok(())
    }

    /// Milliseconds of the same text sent straight to the server and read to its end.
    fn straight(&self, text: &str) -> Result<Option<f64>, Failure> {
        let Some(client) = self.straight else { return Ok(None) };
        let started = Instant::now();
        self.runtime.block_on(async {
            let mut rows = std::pin::pin!(client.query_raw(text, std::iter::empty::<&str>()).await?);
            while rows.try_next().await?.is_some() {}
            Ok::<_, tokio_postgres::Error>(())
        })?;
        Ok(Some(milliseconds(started)))
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}
