//! What the gate chooses for joins of a large table in one source with a small one in another, against fixed rules:
//! `choices DIR ROWS PORT` with a server of user and password `bench`, whose tables it makes where there are none. Prints a
//! markdown table. Each rule runs once for its rows, which must be the same for all, and then `RUNS` times in turns with the
//! others, of which the median counts. `LEARN`: runs that a gate which learns has before. `ONLY`: words that a case has.
//! `CHECK`: fails where the default takes more than [`BAR`] times the best rule's time.
#![allow(clippy::print_stdout, reason = "the table is the result")]

use futures::StreamExt;
use querygate_bench::choices::{self, Case, Large};
use querygate_bench::{gate, process};
use querygate_driver_api::driver::Driver;
use querygate_learning::{Learning, LearningOptions};
use querygate_postgres::{PostgresDriver, PostgresOptions};
use querygate_query::{Engine, EngineOptions};
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::{Delivery, Session};
use querygate_telemetry_api::advice::{Advice, Lost, PlanAdvisor, Question, Stage, Variant};
use querygate_types::Result;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

type Failure = Box<dyn std::error::Error>;

/// Times the best rule's time that a choice may take.
const BAR: f64 = 1.1;

/// Milliseconds that a choice runs in all, if that takes no more than so many times the runs that are asked for.
const ENOUGH: f64 = 1_000.0;
const SHORT_TIMES: usize = 6;

/// Rules that a person could set for all statements.
const RULES: [Variant; 5] = [Variant::Keys, Variant::NoKeys, Variant::Fetch, Variant::WrittenOrder, Variant::OneStream];

/// One plan for all.
#[derive(Debug, Default)]
struct Rule(Mutex<Option<Variant>>);

impl Rule {
    fn set(&self, variant: Variant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(variant);
    }
}

impl PlanAdvisor for Rule {
    fn choose(&self, question: &Question<'_>) -> Advice {
        let set = self.0.lock().unwrap_or_else(PoisonError::into_inner).filter(|set| question.variants.contains(set));
        Advice { variant: set.unwrap_or(Variant::Default), stage: Stage::Pinned, limit: None }
    }

    fn explain(&self, question: &Question<'_>) -> (Advice, String) {
        (self.choose(question), "a rule".to_owned())
    }

    fn lost(&self, _question: &Question<'_>, _variant: Variant, _lost: Lost) {}
}

/// The tables in one way, with a gate for rules and one that learns.
struct Side {
    large: Large,
    rule: Arc<Rule>,
    ruled: Arc<dyn Session>,
    learning: Arc<Learning>,
    learns: Arc<dyn Session>,
}

struct Bench {
    runtime: Runtime,
    rows: i64,
    runs: usize,
    learn: usize,
    sides: [Side; 2],
}

fn main() -> std::result::Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rows, port] = arguments.as_slice() else { return Err("choices DIR ROWS PORT".into()) };
    let (folder, rows, port): (&Path, i64, u16) = (folder.as_ref(), rows.parse()?, port.parse()?);
    let number = |name: &str, default| std::env::var(name).map_or(Ok(default), |text| text.parse::<usize>());
    let (runs, learn) = (number("RUNS", 9)?, number("LEARN", 60)?);
    let only: Vec<String> = std::env::var("ONLY").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let runtime = gate::runtime()?;
    let mut options = PostgresOptions::new("postgres", "127.0.0.1", "bench", "postgres");
    (options.port, options.password) = (port, Some("bench".to_owned()));
    let driver: Arc<dyn Driver> = Arc::new(PostgresDriver::new(&options)?);
    std::fs::create_dir_all(folder)?;
    runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).user("bench").password("bench").dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        let there = client.query("SELECT 1 FROM pg_tables WHERE tablename = 'facts'", &[]).await?;
        if there.is_empty() {
            choices::load(&client, folder, rows).await?;
        }
        Ok::<_, Failure>(())
    })?;
    let learnt = tempfile::tempdir()?;
    let side = |large| Side::start(large, &runtime, &driver, folder, learnt.path());
    let sides = [side(Large::Postgres)?, side(Large::Parquet)?];
    let bench = Bench { runtime, rows, runs, learn, sides };
    let cases = Case::all().filter(|case| {
        let name = case.to_string();
        only.iter().all(|word| name.split(' ').any(|part| part == word))
    });
    let missed = bench.table(cases)?;
    bench.sides.iter().for_each(|side| side.learning.close());
    if std::env::var_os("CHECK").is_some() && missed > 0 {
        return Err(format!("{missed} cases take more than {BAR} of the best rule's time").into());
    }
    Ok(())
}

impl Side {
    fn start(large: Large, runtime: &Runtime, driver: &Arc<dyn Driver>, folder: &Path, learnt: &Path) -> Result<Self> {
        let rule = Arc::new(Rule::default());
        let options = LearningOptions {
            batch_every: Duration::from_millis(100),
            ..LearningOptions::in_directory(learnt.join(format!("{large:?}")))
        };
        let learning = Learning::start(options, Vec::new())?;
        let session = |options: EngineOptions| {
            runtime.block_on(async {
                let deployment = choices::deployment(large, Arc::clone(driver), folder).await?;
                let gate = Engine::new(options, runtime.handle().clone(), deployment)?;
                gate::session(&gate, gate::reader()).await
            })
        };
        let base = || EngineOptions { target_partitions: gate::PARTITIONS, ..EngineOptions::default() };
        let ruled = session(EngineOptions { advisor: Some(Arc::<Rule>::clone(&rule)), ..base() })?;
        let learns = session(EngineOptions {
            advisor: Some(learning.advisor()),
            telemetry: Some(Arc::<Learning>::clone(&learning)),
            extensions: learning.extensions(),
            ..base()
        })?;
        Ok(Self { large, rule, ruled, learning, learns })
    }
}

/// Who decides of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Arm {
    Rule(Variant),
    Learnt,
}

/// What the default and what was learnt took, each over the best rule.
struct Judged {
    default: f64,
    learnt: f64,
}

impl Bench {
    /// Prints all cases; the number of those whose default takes too long.
    fn table(&self, cases: impl Iterator<Item = Case>) -> std::result::Result<usize, Failure> {
        println!(
            "Large table of {} rows, median of {} runs in turns or more, {} runs to learn; {}\n",
            self.rows,
            self.runs,
            self.learn,
            process::machine()
        );
        let rules: Vec<String> = RULES.iter().map(|rule| format!("{} ms", rule.name())).collect();
        println!(
            "| large table in | rows | {} | default ms | ÷ best | learnt ms | ÷ best | learnt plan |",
            rules.join(" | ")
        );
        println!("|---|---|{}---|---|---|---|---|", "---|".repeat(RULES.len()));
        let mut judged = Vec::new();
        for case in cases {
            judged.push(self.case(case)?);
        }
        let counted = |of: &dyn Fn(&Judged) -> f64| {
            let within = judged.iter().filter(|judged| of(judged) <= BAR).count();
            let worst = judged.iter().map(of).fold(0.0, f64::max);
            let logarithms: f64 = judged.iter().map(|judged| of(judged).ln()).sum();
            let mean = (logarithms / count(judged.len().max(1))).exp();
            format!("{within} of {} cases within {BAR}, worst {worst:.2}, geometric mean {mean:.3}", judged.len())
        };
        println!("\nDefault: {}.", counted(&|judged| judged.default));
        println!("Learnt: {}.", counted(&|judged| judged.learnt));
        Ok(judged.iter().filter(|judged| judged.default > BAR).count())
    }

    fn case(&self, case: Case) -> std::result::Result<Judged, Failure> {
        let side = self.sides.iter().find(|side| side.large == case.large).ok_or("no such side")?;
        let sql = case.sql(self.rows);
        let arms: Vec<Arm> = RULES.into_iter().chain([Variant::Default]).map(Arm::Rule).chain([Arm::Learnt]).collect();
        let mut first = None;
        for arm in &arms {
            let answer = self.run(side, *arm, &sql, true)?.0;
            if *first.get_or_insert(answer) != answer {
                return Err(format!("{case}: {arm:?} gives other rows: {sql}").into());
            }
        }
        let rows = first.map_or(0, |(rows, _)| rows);
        for _ in 0..self.learn {
            self.run(side, Arm::Learnt, &sql, false)?;
        }
        let mut times = vec![Vec::new(); arms.len()];
        // Short times are noisy ones.
        let once = (0..3).map(|_| self.run(side, Arm::Rule(Variant::Default), &sql, false).map(|(_, time)| time));
        let once = once.collect::<Result<Vec<f64>>>()?.into_iter().fold(f64::MAX, f64::min);
        let runs = (0..self.runs * SHORT_TIMES).take_while(|run| *run < self.runs || count(*run) * once < ENOUGH);
        for round in runs {
            for turn in 0..arms.len() {
                // Who begins changes, so that nobody has the same one before it each time.
                let at = (turn + round) % arms.len();
                times[at].push(self.run(side, arms[at], &sql, false)?.1);
            }
        }
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        let [rules @ .., default, learnt] = medians.as_slice() else { return Err("no arms".into()) };
        let best = rules.iter().copied().fold(f64::MAX, f64::min);
        let judged = Judged { default: default / best, learnt: learnt / best };
        let rules: Vec<String> = rules.iter().map(|time| format!("{time:.1}")).collect();
        println!(
            "| {case} | {rows} | {} | {default:.1} | {:.2} | {learnt:.1} | {:.2} | {} |",
            rules.join(" | "),
            judged.default,
            judged.learnt,
            self.learnt(side, &sql)?
        );
        Ok(judged)
    }

    /// Rows and their digest, and milliseconds.
    fn run(&self, side: &Side, arm: Arm, sql: &str, digests: bool) -> Result<((usize, u64), f64)> {
        let session = match arm {
            Arm::Rule(variant) => {
                side.rule.set(variant);
                &side.ruled
            }
            Arm::Learnt => &side.learns,
        };
        let started = Instant::now();
        let answer = self.runtime.block_on(async {
            let prepared = gate::prepare(session, sql).await?;
            let (mut rows, mut digest) = (0, 0_u64);
            if let Outcome::Rows(mut found) = session.run(&prepared, &[], Delivery::Batches).await? {
                while let Some(batch) = found.batches.next().await {
                    let batch = batch?;
                    rows += batch.num_rows();
                    if digests {
                        digest = digest.wrapping_add(choices::digest(&batch)?);
                    }
                }
            }
            Ok::<_, querygate_types::Error>((rows, digest))
        })?;
        Ok((answer, started.elapsed().as_secs_f64() * 1_000.0))
    }

    /// The plan that most runs get.
    fn learnt(&self, side: &Side, sql: &str) -> Result<String> {
        let lines = self.runtime.block_on(async {
            let prepared = gate::prepare(&side.learns, &format!("EXPLAIN {sql}")).await?;
            let mut lines = Vec::new();
            if let Outcome::Rows(mut found) = side.learns.run(&prepared, &[], Delivery::Batches).await? {
                while let Some(batch) = found.batches.next().await {
                    let batch = batch?;
                    let column = batch.columns().first().map(|column| {
                        let texts = arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8);
                        texts.map(|texts| arrow::array::StringArray::from(texts.to_data()))
                    });
                    let texts = column.transpose().map_err(querygate_types::Error::internal)?;
                    lines.extend(
                        texts.iter().flat_map(|texts| texts.iter().flatten().map(str::to_owned).collect::<Vec<_>>()),
                    );
                }
            }
            Ok::<_, querygate_types::Error>(lines)
        })?;
        let choice = lines.iter().find_map(|line| line.trim().strip_prefix("Plan choice: "));
        Ok(choice.and_then(|line| line.split(':').next()).unwrap_or("none").to_owned())
    }
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
