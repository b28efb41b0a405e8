//! Rows that leave PostgreSQL over TPC-H with orders and lineitem there and the rest in Parquet files, counted where the
//! driver hands them over. The answers are another engine's.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests panic")
)]

#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod common;

use arrow::array::{ArrayRef, StringArray};
use common::Server;
use querygate_bench::{federated, gate, tpch};
use querygate_driver_api::testkit::watch::{Run, Watch};
use querygate_postgres::PostgresDriver;
use querygate_query::Engine;
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::{Delivery, Session};
use querygate_tests::harness::{Answer, answer_differs};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The scale of the answers. `FEDERATED_SCALE=1` counts rows at another one, and compares no answers.
const SCALE: f64 = 0.01;

fn scale() -> f64 {
    std::env::var("FEDERATED_SCALE").map_or(SCALE, |text| text.parse().unwrap())
}

struct Federation {
    runtime: Runtime,
    watch: Watch,
    session: Arc<dyn Session>,
    _gate: Arc<Engine>,
    _folder: TempDir,
}

impl Federation {
    fn start(server: &Server) -> Self {
        let (runtime, folder, watch) = (gate::runtime().unwrap(), TempDir::new().unwrap(), Watch::default());
        tpch::write_parquet(folder.path(), scale()).unwrap();
        let deployment = runtime.block_on(async {
            let client = server.database("federated", "").await;
            federated::load(&client, &federated::REMOTE, scale()).await.unwrap();
            let driver = watch.over(Arc::new(PostgresDriver::new(&server.options("federated")).unwrap()));
            let tables = &federated::REMOTE;
            let place = federated::Place { source: "postgres", driver, schema: "public", tables };
            federated::deployment(folder.path(), &[place]).await.unwrap()
        });
        let gate = gate::gate(runtime.handle().clone(), deployment).unwrap();
        let session = runtime.block_on(gate::session(&gate, gate::reader())).unwrap();
        Self { runtime, watch, session, _gate: gate, _folder: folder }
    }

    /// The tag of a command.
    fn run_set(&self, sql: &str) -> String {
        self.runtime.block_on(async {
            let prepared = gate::prepare(&self.session, sql).await.unwrap();
            match self.session.run(&prepared, &[], Delivery::Batches).await.unwrap() {
                Outcome::Command(_) => "SET".to_owned(),
                other => panic!("{other:?}"),
            }
        })
    }

    fn run_with(&self, sql: &str, parameters: &[ArrayRef]) -> Answer {
        self.runtime.block_on(async {
            let prepared = gate::prepare(&self.session, sql).await.unwrap();
            match self.session.run(&prepared, parameters, Delivery::Batches).await.unwrap() {
                Outcome::Rows(rows) => Answer::collect(rows).await,
                other => panic!("{other:?}"),
            }
        })
    }

    fn run(&self, sql: &str) -> Answer {
        self.runtime.block_on(async {
            let prepared = gate::prepare(&self.session, sql).await;
            let outcome = match prepared {
                Ok(prepared) => self.session.run(&prepared, &[], Delivery::Batches).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(Outcome::Rows(rows)) => Answer::collect(rows).await,
                Ok(_) => panic!("no rows"),
                Err(error) => panic!("{error} {:?}", error.cause()),
            }
        })
    }

    /// The answer, how many rows left the server for it, and in which statements.
    fn count(&self, sql: &str) -> (Answer, usize, Vec<Run>) {
        self.watch.take();
        let answer = self.run(sql);
        let runs = self.watch.take();
        (answer, runs.iter().map(Run::rows).sum(), runs)
    }
}

/// Runs that were spared planning.
const SPARED: &str = "SELECT count(*) FROM querygate.queries WHERE cached";

/// The fifth statement of TPC-H with other regions and years: plans that are kept give what planning anew gives.
#[test]
fn a_statement_with_other_values_gives_what_planning_anew_gives() {
    let Some(server) = Server::start() else { return };
    let federation = Federation::start(&server);
    let (_, q5) = tpch::queries().into_iter().find(|(number, _)| *number == "05").unwrap();
    let sql = q5.trim().trim_end_matches(';').replace("'ASIA'", "$1");
    let sql = sql.replace("date '1994-01-01' + interval '1' year", "$3").replace("date '1994-01-01'", "$2");
    let ask = |kept: &str, region: &str, from: i32, to: i32| {
        let set = federation.run_set(&format!("SET querygate.plan_templates = {kept}"));
        assert_eq!(set, "SET");
        federation.run_with(&sql, &[Arc::new(StringArray::from(vec![region])), date(from), date(to)])
    };
    let before = federation.run(SPARED);
    for run in 0..12 {
        let region = ["ASIA", "EUROPE", "AMERICA", "NOWHERE"][run % 4];
        let from = 1993 + i32::try_from(run).unwrap() % 3;
        let (found, expected) = (ask("on", region, from, from + 1), ask("off", region, from, from + 1));
        assert_eq!(found, expected, "{region} {from}");
        assert_eq!(found.table().is_empty(), region == "NOWHERE");
    }
    println!("spared before: {before}\nand after: {}", federation.run(SPARED));
}

/// The first day of a year.
fn date(year: i32) -> ArrayRef {
    let text = StringArray::from(vec![format!("{year}-01-01")]);
    arrow::compute::cast(&text, &arrow::datatypes::DataType::Date32).unwrap()
}

/// As many as may leave at scale 1, in proportion.
#[test]
fn few_rows_leave_the_server_and_the_answers_are_right() {
    let Some(server) = Server::start() else { return };
    let federation = Federation::start(&server);
    let answers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tpch/answers");
    let (mut total, mut wrong) = (0, Vec::new());
    for (number, sql) in tpch::queries() {
        let sql = sql.trim().trim_end_matches(';');
        let expected = std::fs::read_to_string(answers.join(format!("q{number}.tsv"))).unwrap();
        let (answer, rows, runs) = federation.count(sql);
        if scale().to_bits() == SCALE.to_bits() {
            wrong.extend(answer_differs(&answer, &expected).map(|why| format!("q{number}: {why}")));
            // The last of them may come of a plan that was kept.
            for run in 2..=4 {
                let again = federation.run(sql);
                wrong.extend(answer_differs(&again, &expected).map(|why| format!("q{number}, run {run}: {why}")));
            }
        }
        total += rows;
        println!("q{number}: {rows} rows in {} statements", runs.len());
        if std::env::var_os("SHOW_STATEMENTS").is_some() {
            println!("{}", federation.run(&format!("EXPLAIN {sql}")));
            runs.iter().for_each(|run| println!("    {} rows, {} values: {:.1500}", run.rows(), run.values, run.text));
        }
    }
    println!("all: {total} rows\n{}", federation.run(SPARED));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    let share = total as f64 / (federated::ROWS_MAX * scale());
    assert!(share <= 1.0, "{total} rows left the server");
}
