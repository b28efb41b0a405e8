//! How well row estimates are corrected on STATS-CEB, JOB-range and JOB-light.
//!
//! `cargo run --release -p querygate-models --example cardinality -- DATA [HELD_OUT]`: `DATA` holds `*_subplans.csv`; with a
//! second folder, models trained on the whole of the first are judged on its files of the same names.
#![allow(clippy::print_stdout, reason = "the tables are for whoever started it")]

#[path = "../tests/support/mod.rs"]
mod support;

use querygate_models::cardinality::{BoundUse, Observation, Options};
use querygate_models::numeric;
use std::collections::HashSet;
use std::path::Path;
use support::subplans::{self, Row};
use support::validation::{Score, cross_validate};

type Failure = Box<dyn std::error::Error>;

fn print(score: &Score, name: &str, intervals: bool) {
    let [p50, p95, p99] = numeric::q_errors(&score.errors);
    print!("| {name} | {} | {p50:.2} | {p95:.1} | {p99:.1} |", score.errors.len());
    if intervals {
        let covered = 100.0 * score.covered as f64 / score.errors.len() as f64;
        print!(" {covered:.1}% | x{:.1} |", numeric::median(&score.widths));
    } else {
        print!(" | |");
    }
    match score.seconds.as_slice() {
        [] => println!(" | |"),
        seconds => println!(" {:.2} | {:.0} |", numeric::mean(seconds), numeric::median(&score.microseconds)),
    }
}

const HEADER: &str = "| what | rows | p50 | p95 | p99 | coverage | median width | training CPU s | CPU µs each |\n\
                      |---|---|---|---|---|---|---|---|---|";

fn source_alone(rows: &[Row], name: &str) {
    let errors = |value: fn(&Row) -> f64| {
        rows.iter().map(|r| (r.observation.rows.max(1.0) / value(r).max(1.0)).ln()).collect::<Vec<_>>()
    };
    let estimate = Score { errors: errors(|r| r.observation.subplan.estimate), ..Score::default() };
    print(&estimate, &format!("{name}, Postgres' estimate"), false);
    let bound = Score { errors: errors(|r| r.observation.subplan.bound.unwrap_or(1.0)), ..Score::default() };
    print(&bound, &format!("{name}, bound"), false);
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
            print(&score, &format!("{name}, bound to {bounds:?}"), true);
        }
        if file.starts_with("stats") {
            learning_curve(&rows, group)?;
        }
        if file.starts_with("joblight") {
            divided(&rows)?;
        }
    }
    Ok(())
}

fn learning_curve(rows: &[Row], group: fn(&Row) -> u64) -> Result<(), Failure> {
    for bounds in [BoundUse::Cap, BoundUse::Start] {
        for most in [100, 300, 700] {
            let options = Options { bounds, folds: 0, ..Options::default() };
            let score = cross_validate(rows, group, 5, most, &options)?;
            print(&score, &format!("STATS from {most} rows, bound to {bounds:?}"), false);
        }
    }
    Ok(())
}

/// What of a sub-plan training did not see; its own SQL never.
const CLASSES: [&str; 4] = [
    "join graph seen",
    "join graph new, its tables and columns seen",
    "tables or joined columns new",
    "a range on a column that had none",
];

/// Models trained on all but three templates, for each choice of three, and judged on these.
fn divided(rows: &[Row]) -> Result<(), Failure> {
    let mut templates: Vec<u64> = rows.iter().map(|r| r.template).collect();
    templates.sort_unstable();
    templates.dedup();
    let mut scores: Vec<[Score; 3]> = CLASSES.iter().map(|_| Default::default()).collect();
    for (a, one) in templates.iter().enumerate() {
        for (b, two) in templates.iter().enumerate().skip(a + 1) {
            for three in templates.iter().skip(b + 1) {
                judge_by_class(rows, &[*one, *two, *three], &mut scores)?;
            }
        }
    }
    for (class, [source, cap, start]) in CLASSES.iter().zip(&scores) {
        print(source, &format!("JOB-light, three templates left out: {class}, Postgres' estimate"), false);
        print(cap, &format!("the same, bound to {:?}", BoundUse::Cap), false);
        print(start, &format!("the same, bound to {:?}", BoundUse::Start), false);
    }
    Ok(())
}

fn judge_by_class(rows: &[Row], out: &[u64], scores: &mut [[Score; 3]]) -> Result<(), Failure> {
    let (test, train): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|r| out.contains(&r.template));
    let known: HashSet<&str> = train.iter().map(|r| r.sql.as_str()).collect();
    let graphs: HashSet<&str> = train.iter().map(|r| r.graph.as_str()).collect();
    let plans = || train.iter().map(|r| &r.observation.subplan);
    let tables: HashSet<u64> = plans().flat_map(|s| s.tables.iter().copied()).collect();
    let joined: HashSet<u64> = plans().flat_map(|s| s.joins.iter().flat_map(|(a, b)| [*a, *b])).collect();
    let ranged: HashSet<u64> = plans().flat_map(|s| s.ranges.iter().map(|r| r.column)).collect();
    let class = |row: &Row| {
        let subplan = &row.observation.subplan;
        let has_all = subplan.tables.iter().all(|t| tables.contains(t))
            && subplan.joins.iter().all(|(a, b)| joined.contains(a) && joined.contains(b));
        match (has_all, subplan.ranges.iter().all(|r| ranged.contains(&r.column))) {
            (false, _) => 2,
            (true, false) => 3,
            (true, true) => usize::from(!graphs.contains(row.graph.as_str())),
        }
    };
    let observations: Vec<Observation> =
        train.iter().map(|r| Observation { group: r.template, ..r.observation.clone() }).collect();
    for (at, [source, cap, start]) in scores.iter_mut().enumerate() {
        let rows: Vec<&Row> =
            test.iter().copied().filter(|r| !known.contains(r.sql.as_str()) && class(r) == at).collect();
        if rows.is_empty() {
            continue;
        }
        let miss = |r: &&Row| (r.observation.rows.max(1.0) / r.observation.subplan.estimate.max(1.0)).ln();
        source.errors.extend(rows.iter().map(miss));
        for (score, bounds) in [(cap, BoundUse::Cap), (start, BoundUse::Start)] {
            score.judge(&observations, &rows, &Options { bounds, ..Options::default() })?;
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
            print(&score, &format!("{name}, {which}, bound to {bounds:?}"), true);
        }
    }
    Ok(())
}
