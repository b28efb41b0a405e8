//! How well row estimates are corrected on STATS-CEB, JOB-range and JOB-light.
//!
//! `cargo run --release -p querygate-models --example cardinality -- DATA [HELD_OUT]`: `DATA` holds `*_subplans.csv`; with a
//! second folder, models trained on the whole of the first are judged on its files of the same names.
#![allow(clippy::print_stdout, reason = "the tables are for whoever started it")]

#[path = "../tests/support/mod.rs"]
mod support;

use querygate_models::cardinality::{BoundUse, Corrector, Observation, Options};
use querygate_models::numeric;
use querygate_models::rng::Rng;
use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;
use support::subplans::{self, Row};

type Failure = Box<dyn std::error::Error>;

#[derive(Default)]
struct Score {
    errors: Vec<f64>,
    covered: usize,
    widths: Vec<f64>,
    seconds: Vec<f64>,
    microseconds: Vec<f64>,
}

impl Score {
    fn judge(&mut self, train: &[Observation], test: &[&Row], options: &Options) -> Result<(), Failure> {
        let began = Instant::now();
        let model = Corrector::train(train, options).ok_or("too few rows")?;
        self.seconds.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        for row in test {
            let answer = model.correct(&row.observation.subplan);
            let truth = row.observation.rows.max(1.0);
            self.errors.push((truth / answer.rows).ln());
            self.covered += usize::from(answer.low * 0.999_999 <= truth && truth <= answer.high * 1.000_001);
            self.widths.push(answer.high / answer.low);
        }
        self.microseconds.push(began.elapsed().as_secs_f64() * 1e6 / test.len().max(1) as f64);
        Ok(())
    }

    fn print(&self, name: &str, intervals: bool) {
        let [p50, p95, p99] = numeric::q_errors(&self.errors);
        print!("| {name} | {} | {p50:.2} | {p95:.1} | {p99:.1} |", self.errors.len());
        if intervals {
            let covered = 100.0 * self.covered as f64 / self.errors.len() as f64;
            print!(" {covered:.1}% | x{:.1} |", numeric::median(&self.widths));
        } else {
            print!(" | |");
        }
        match self.seconds.as_slice() {
            [] => println!(" | |"),
            seconds => println!(" {:.2} | {:.0} |", numeric::mean(seconds), numeric::median(&self.microseconds)),
        }
    }
}

const HEADER: &str = "| what | rows | p50 | p95 | p99 | coverage | median width | training s | µs each |\n\
                      |---|---|---|---|---|---|---|---|---|";

/// The fold of each group: groups in random order, dealt out in turn.
fn folds(rows: &[Row], group: fn(&Row) -> u64, seed: u64) -> Vec<usize> {
    let mut groups: Vec<u64> = rows.iter().map(group).collect();
    groups.sort_unstable();
    groups.dedup();
    Rng::new(seed).shuffle(&mut groups);
    rows.iter().map(|row| groups.iter().position(|g| *g == group(row)).unwrap_or(0) % 5).collect()
}

fn cross_validate(
    rows: &[Row],
    group: fn(&Row) -> u64,
    seeds: u64,
    most: usize,
    options: &Options,
) -> Result<Score, Failure> {
    let mut score = Score::default();
    for seed in 0..seeds {
        let fold = folds(rows, group, seed);
        for out in 0..5 {
            let mut train: Vec<Observation> = (0..rows.len())
                .filter(|at| fold[*at] != out)
                .map(|at| Observation { group: group(&rows[at]), ..rows[at].observation.clone() })
                .collect();
            Rng::new(seed).shuffle(&mut train);
            train.truncate(most);
            let test: Vec<&Row> = (0..rows.len()).filter(|at| fold[*at] == out).map(|at| &rows[at]).collect();
            score.judge(&train, &test, options)?;
        }
    }
    Ok(score)
}

fn source_alone(rows: &[Row], name: &str) {
    let errors = |value: fn(&Row) -> f64| {
        rows.iter().map(|r| (r.observation.rows.max(1.0) / value(r).max(1.0)).ln()).collect::<Vec<_>>()
    };
    let estimate = Score { errors: errors(|r| r.observation.subplan.estimate), ..Score::default() };
    estimate.print(&format!("{name}, Postgres' estimate"), false);
    let bound = Score { errors: errors(|r| r.observation.subplan.bound.unwrap_or(1.0)), ..Score::default() };
    bound.print(&format!("{name}, bound"), false);
}

/// Name, file, what is kept together in cross-validation, seeds of its folds.
type DataSet = (&'static str, &'static str, fn(&Row) -> u64, u64);

const SETS: [DataSet; 3] = [
    ("STATS, by join template", "stats_subplans.csv", |r| r.template, 5),
    ("JOB-range, by query", "jobrange_subplans.csv", |r| r.query, 1),
    ("JOB-light, by join template", "joblight_subplans.csv", |r| r.template, 5),
];

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name the folder of the data")?;
    let held_out = arguments.next();
    println!("{HEADER}");
    for (name, file, group, seeds) in SETS {
        let rows = subplans::read(&Path::new(&folder).join(file))?;
        if let Some(held_out) = &held_out {
            let path = Path::new(held_out).join(file);
            if path.exists() {
                judge_held_out(name, &rows, &subplans::read(&path)?, group)?;
            }
            continue;
        }
        source_alone(&rows, name);
        for bounds in [BoundUse::Cap, BoundUse::Start] {
            let options = Options { bounds, ..Options::default() };
            let score = cross_validate(&rows, group, seeds, usize::MAX, &options)?;
            score.print(&format!("{name}, bound to {bounds:?}"), true);
        }
        if file.starts_with("stats") {
            learning_curve(&rows, group)?;
        }
    }
    Ok(())
}

fn learning_curve(rows: &[Row], group: fn(&Row) -> u64) -> Result<(), Failure> {
    for bounds in [BoundUse::Cap, BoundUse::Start] {
        for most in [100, 300, 700] {
            let options = Options { bounds, folds: 0, ..Options::default() };
            let score = cross_validate(rows, group, 5, most, &options)?;
            score.print(&format!("STATS from {most} rows, bound to {bounds:?}"), false);
        }
    }
    Ok(())
}

/// Rows with the same SQL are left out; unseen join graphs are shown apart.
fn judge_held_out(name: &str, train: &[Row], test: &[Row], group: fn(&Row) -> u64) -> Result<(), Failure> {
    let known: HashSet<&str> = train.iter().map(|r| r.sql.as_str()).collect();
    let graphs: HashSet<&str> = train.iter().map(|r| r.graph.as_str()).collect();
    let new: Vec<&Row> = test.iter().filter(|r| !known.contains(r.sql.as_str())).collect();
    let unseen: Vec<&Row> = new.iter().copied().filter(|r| !graphs.contains(r.graph.as_str())).collect();
    let train: Vec<Observation> =
        train.iter().map(|r| Observation { group: group(r), ..r.observation.clone() }).collect();
    for bounds in [BoundUse::Cap, BoundUse::Start] {
        for (rows, which) in [(&new, "held out"), (&unseen, "held out, unseen graphs")] {
            if rows.is_empty() {
                continue;
            }
            let mut score = Score::default();
            score.judge(&train, rows, &Options { bounds, ..Options::default() })?;
            score.print(&format!("{name}, {which}, bound to {bounds:?}"), true);
        }
    }
    Ok(())
}
