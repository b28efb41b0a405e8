//! Rows that leave PostgreSQL over TPC-H with orders and lineitem there and the rest in Parquet files, counted where the
//! driver hands them over. The answers are another engine's.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests panic")
)]

#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod common;

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
        }
        total += rows;
        println!("q{number}: {rows} rows in {} statements", runs.len());
        if std::env::var_os("SHOW_STATEMENTS").is_some() {
            println!("{}", federation.run(&format!("EXPLAIN {sql}")));
            runs.iter().for_each(|run| println!("    {} rows, {} values: {:.1500}", run.rows(), run.values, run.text));
        }
    }
    println!("all: {total} rows");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    let share = total as f64 / (federated::ROWS_MAX * scale());
    assert!(share <= 1.0, "{total} rows left the server");
}
