//! Everything that is learnt against its bars, in one table: what was measured, what must be reached, what is hoped for.
//!
//! `cargo run --release -p querygate-bench-learning --example bars -- DATA [--check]`: `DATA` holds `cardinality`, `hint_matrix` and `nab`.
//! With `--check` it fails when a must is missed. Protocols: grouped folds, exploration charged, one fixed default of detectors.
#![allow(clippy::print_stdout, reason = "the table is for whoever started it")]
#![allow(clippy::cast_sign_loss, reason = "simulated counts")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the data is the tests' own, whose reader it shares")]

#[path = "../tests/hints/mod.rs"]
mod hints;
#[path = "../tests/nab_data/mod.rs"]
mod nab_data;
#[path = "../../../models/tests/support/mod.rs"]
mod support;
#[allow(dead_code, reason = "the other programs use the rest")]
#[path = "../../../models/tests/telemetry/mod.rs"]
mod telemetry;

use hints::Guarded;
use querygate_bench_learning::nab::{Outcome, false_per_day, outcome, score};
use querygate_bench_learning::{ENSEMBLE, Ensemble, PatientWatch};
use querygate_models::anomaly::Change;
use querygate_models::cardinality::{BoundUse, Options};
use querygate_models::matrix::Matrix;
use querygate_models::numeric;
use querygate_models::rng::Rng;
use querygate_models::trees;
use std::path::Path;
use std::time::Instant;
use support::subplans::{self, Row};
use support::validation::cross_validate;
use telemetry::Kind;

type Failure = Box<dyn std::error::Error>;

/// Which side of a bar is good.
#[derive(Clone, Copy, PartialEq)]
enum Good {
    Below,
    Above,
}

/// The table, as far as it is.
struct Bars {
    missed: usize,
}

impl Bars {
    /// Numbers that must all be reached.
    fn row(&mut self, part: &str, good: Good, found: &[f64], must: &[f64], stretch: &[f64]) {
        let reaches = |bar: &[f64]| {
            let one = |(found, bar): (&f64, &f64)| match good {
                Good::Below => found <= bar,
                Good::Above => found >= bar,
            };
            !bar.is_empty() && found.iter().zip(bar).all(one)
        };
        let verdict = match (reaches(must), reaches(stretch)) {
            (_, true) => "stretch",
            (true, false) => "must",
            (false, false) => {
                self.missed += 1;
                "**missed**"
            }
        };
        let sign = if good == Good::Below { "≤" } else { "≥" };
        let bar =
            |numbers: &[f64]| if numbers.is_empty() { "–".to_owned() } else { format!("{sign} {}", text(numbers)) };
        println!("| {part} | {} | {} | {} | {verdict} |", text(found), bar(must), bar(stretch));
    }
}

fn text(numbers: &[f64]) -> String {
    let one = |n: &f64| match n.abs() {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 10.0 => format!("{n:.1}"),
        n if n >= 1.0 => format!("{n:.2}"),
        0.0 => "0".to_owned(),
        n if n < 0.01 => format!("{n:.4}"),
        n => format!("{n:.3}"),
    };
    numbers.iter().map(one).collect::<Vec<_>>().join(" / ")
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = arguments.iter().any(|argument| argument == "--check");
    let folder = arguments.iter().find(|argument| !argument.starts_with("--")).ok_or("name the folder of the data")?;
    let folder = Path::new(folder);
    let mut bars = Bars { missed: 0 };
    println!("| part | measured | must | stretch | reached |\n|---|---|---|---|---|");
    cardinality(&mut bars, &folder.join("cardinality"))?;
    advice(&mut bars, &folder.join("hint_matrix"))?;
    benchmark(&mut bars, &folder.join("nab"));
    month(&mut bars);
    speed(&mut bars)?;
    println!("\n{} bars missed", bars.missed);
    if check && bars.missed > 0 { Err("a must was missed".into()) } else { Ok(()) }
}

fn cardinality(bars: &mut Bars, folder: &Path) -> Result<(), Failure> {
    let stats = subplans::read(&folder.join("stats_subplans.csv"))?;
    let range = subplans::read(&folder.join("jobrange_subplans.csv"))?;
    let template: fn(&Row) -> u64 = |row| row.template;
    let query: fn(&Row) -> u64 = |row| row.query;
    type Protocol<'a> = (&'a str, &'a [Row], fn(&Row) -> u64, u64, [f64; 3], [f64; 3]);
    let sets: [Protocol<'_>; 2] = [
        ("STATS by join template", &stats, template, 3, [2.4, 30.0, 180.0], [1.8, 15.0, 80.0]),
        ("JOB-range by query", &range, query, 1, [2.3, 19.0, 66.0], [1.9, 14.0, 40.0]),
    ];
    for (name, rows, group, seeds, must, stretch) in sets {
        for (bounds, how) in [(BoundUse::Cap, "bound as cap"), (BoundUse::Start, "bound as feature")] {
            let options = Options { bounds, ..Options::default() };
            let score = cross_validate(rows, group, seeds, usize::MAX, &options)?;
            let errors = numeric::q_errors(&score.errors);
            bars.row(&format!("q-error p50/p95/p99, {name}, {how}"), Good::Below, &errors, &must, &stretch);
            let covered = score.covered as f64 / score.errors.len() as f64;
            let inside = f64::from(u8::from((0.85..=0.96).contains(&covered)));
            let covers = format!("intervals of 90% cover {:.1}%, 1 if 85–96%, {name}, {how}", 100.0 * covered);
            bars.row(&covers, Good::Above, &[inside], &[1.0], &[1.0]);
            let width = numeric::median(&score.widths);
            bars.row(&format!("their median width ×, {name}, {how}"), Good::Below, &[width], &[25.0], &[8.0]);
            let slowest = score.seconds.iter().copied().fold(0.0, f64::max);
            bars.row(
                &format!("training, seconds of a processor, {name}, {how}"),
                Good::Below,
                &[slowest],
                &[2.0],
                &[2.0],
            );
        }
    }
    let options = Options { bounds: BoundUse::Start, folds: 0, ..Options::default() };
    let after = |most: usize| {
        let score = cross_validate(&stats, template, 3, most, &options)?;
        Ok::<f64, String>(numeric::q_errors(&score.errors)[1])
    };
    let curve = [after(100)?, after(300)?, after(700)?];
    let (must, stretch) = ([300.0, 60.0, 40.0], [150.0, 40.0, 30.0]);
    bars.row("q-error p95 of STATS from 100/300/700 rows", Good::Below, &curve, &must, &stretch);
    Ok(())
}

fn advice(bars: &mut Bars, folder: &Path) -> Result<(), Failure> {
    let ceb = hints::read(&folder.join("ceb_matrix.csv"))?;
    let runs: Vec<([f64; 4], usize)> = (0..10).filter_map(|seed| hints::explore(&ceb, seed)).collect();
    let means: Vec<f64> = (0..4).map(|mark| numeric::mean_of(runs.iter().map(|(shares, _)| shares[mark]))).collect();
    bars.row(
        "CEB: total ÷ default after 0.25/0.5/1/2 totals of trials",
        Good::Below,
        &means,
        &[0.78, 0.57, 0.45, 0.41],
        &[0.70, 0.52, 0.42, 0.39],
    );
    let slower: usize = runs.iter().map(|(_, slower)| slower).sum();
    bars.row("CEB: statements slower by more than 10%, ten seeds", Good::Below, &[slower as f64], &[0.0], &[0.0]);
    let dsb = hints::read(&folder.join("dsb_matrix.csv"))?;
    let one = |seed| hints::parametric(&dsb, hints::dsb_template, hints::dsb_variant, (5, true, true), seed);
    let runs: Vec<Guarded> = (0..20).map(one).collect();
    let mean = |f: fn(&Guarded) -> f64| numeric::mean_of(runs.iter().map(f));
    let gains = [mean(|r| r.log_gain), mean(|r| r.total_gain)];
    bars.row(
        "DSB by band: share of the log gain / of the total gain",
        Good::Above,
        &gains,
        &[0.75, 0.35],
        &[0.80, 0.60],
    );
    let slower = mean(|r| r.slower);
    bars.row("DSB: executions slower by more than 10%", Good::Below, &[slower], &[0.02], &[0.01]);
    Ok(())
}

fn benchmark(bars: &mut Bars, folder: &Path) {
    let outcomes: Vec<Outcome> = nab_data::read(folder)
        .iter()
        .map(|series| {
            let (mut ensemble, mut watch) = (Ensemble::new(), PatientWatch::new(ENSEMBLE));
            let observations = series.times.iter().zip(&series.values).enumerate();
            let opened = observations.filter_map(|(at, (time, value))| {
                let change = watch.observe(*time, ensemble.observe(*time, *value).score);
                matches!(change, Some(Change::Opened { .. })).then_some(at)
            });
            outcome(series, &opened.collect::<Vec<_>>())
        })
        .collect();
    bars.row("NAB: standard score", Good::Above, &[score(&outcomes)], &[58.0], &[68.0]);
    bars.row("NAB: false episodes per series-day", Good::Below, &[false_per_day(&outcomes)], &[0.08], &[0.05]);
}

fn month(bars: &mut Bars) {
    let report = telemetry::months(&[1, 2, 3, 4, 5], |_, _| {});
    let part = |what: &str| format!("gateway, five simulated months: {what}");
    bars.row(&part("false per series-day"), Good::Below, &[report.false_per_day()], &[0.01], &[0.003]);
    bars.row(&part("precision"), Good::Above, &[report.precision()], &[0.8], &[0.8]);
    for (kind, name, least) in [
        (Kind::Step, "steps of latency found", 0.95),
        (Kind::Burst, "bursts found", 0.95),
        (Kind::Errors, "errors found", 0.95),
        (Kind::Extraction, "extractions found", 0.95),
        (Kind::Drip, "slow extractions found", 0.7),
        (Kind::Drift, "drifts of latency found", 0.8),
    ] {
        bars.row(&part(name), Good::Above, &[report.recall(kind)], &[least], &[least]);
    }
    let others = [report.recall(Kind::Rows), report.recall(Kind::Templates)];
    println!("| {} | {} | – | – | |", part("rows × 10 / bursts of new templates found"), text(&others));
}

fn speed(bars: &mut Bars) -> Result<(), Failure> {
    let mut rng = Rng::new(1);
    let mut x = Matrix::new(30);
    let rows: Vec<Vec<f64>> = (0..5_000).map(|_| (0..30).map(|_| rng.normal()).collect()).collect();
    rows.iter().for_each(|row| x.push(row));
    let y: Vec<f64> = rows.iter().map(|row| row[0] * row[1] + row[2].sin() + rng.normal()).collect();
    let began = Instant::now();
    let options = trees::Options { trees: 200, ..trees::Options::default() };
    let model = trees::Ensemble::train(&x, &y, &options).ok_or("no rows")?;
    bars.row("200 trees from 5,000 rows, seconds", Good::Below, &[began.elapsed().as_secs_f64()], &[2.0], &[]);
    let began = Instant::now();
    std::hint::black_box(rows.iter().map(|row| model.predict(row)).sum::<f64>());
    let each = began.elapsed().as_secs_f64() * 1e6 / rows.len() as f64;
    bars.row("one prediction of them, µs", Good::Below, &[each], &[20.0], &[]);
    Ok(())
}
