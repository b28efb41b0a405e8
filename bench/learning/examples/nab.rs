//! Runs the detectors over a folder of the Numenta Anomaly Benchmark and prints the standard score at the shipped default,
//! and what each view would reach by itself.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a report on the terminal; it ends when its data is broken"
)]

use querygate_bench_learning::nab::{Labelled, Outcome, false_per_day, outcome, score};
use querygate_bench_learning::{ENSEMBLE, Ensemble, PARTS, PatientWatch};
use querygate_models::anomaly::{Change, Rule};
use querygate_models::rng::Rng;
use std::time::Instant;

#[path = "../tests/nab_data/mod.rs"]
mod nab_data;

/// Part of the score at which a view alone would alarm.
const ALONE: f64 = 0.9;

fn main() {
    let root = std::env::args().nth(1).expect("usage: nab FOLDER (with data/ and labels/combined_windows.json)");
    let series = nab_data::read(std::path::Path::new(&root));
    let mut whole = Vec::new();
    let mut alone: Vec<Vec<Outcome>> = vec![Vec::new(); PARTS.len()];
    println!("{:64} {:>7} {:>5} {:>5}", "series", "windows", "found", "false");
    for one in &series {
        let (all, parts) = alarms(one);
        let result = outcome(one, &all);
        println!("{:64} {:7} {:5} {:5}", one.name, result.windows, result.found, result.false_alarms);
        whole.push(result);
        for (list, alarms) in alone.iter_mut().zip(parts) {
            list.push(outcome(one, &alarms));
        }
    }
    let days: f64 = whole.iter().map(|o| o.days).sum();
    println!("\n{} series, {days:.0} series-days; one fixed default, streaming, no look-ahead", series.len());
    println!("{:34} {:>5} {:>12} {:>7}", "detector", "score", "false/s-day", "found");
    line("ensemble (shipped)", &whole);
    for (name, outcomes) in PARTS.iter().zip(&alone) {
        line(&format!("{name} alone, part {ALONE}"), outcomes);
    }
    halves(&series);
}

/// The honest guess for other series: the threshold is chosen on a random half and judged on the other, 50 times.
fn halves(series: &[Labelled]) {
    let started = Instant::now();
    let scores = |one: &Labelled| -> Vec<f64> {
        let mut ensemble = Ensemble::new();
        one.times.iter().zip(&one.values).map(|(time, value)| ensemble.observe(*time, *value).score).collect()
    };
    let scores: Vec<Vec<f64>> = series.iter().map(scores).collect();
    let values: usize = scores.iter().map(Vec::len).sum();
    let micros = started.elapsed().as_secs_f64() * 1e6 / values as f64;
    let thresholds: Vec<f64> = (0..16).map(|step| 0.6 * 1.1f64.powi(step)).collect();
    let by_threshold = |threshold: &f64| -> Vec<Outcome> {
        let rule = Rule { threshold: *threshold, at_once: *threshold, ..ENSEMBLE };
        let judged = series.iter().zip(&scores).map(|(one, scores)| {
            let mut watch = PatientWatch::new(rule);
            let opened = |(at, (time, score)): (usize, (&i64, &f64))| {
                matches!(watch.observe(*time, *score), Some(Change::Opened { .. })).then_some(at)
            };
            outcome(one, &one.times.iter().zip(scores).enumerate().filter_map(opened).collect::<Vec<_>>())
        });
        judged.collect()
    };
    let table: Vec<Vec<Outcome>> = thresholds.iter().map(by_threshold).collect();
    let (mut rng, mut sum) = (Rng::new(1), (0.0, 0.0));
    for _ in 0..50 {
        let half: Vec<bool> = series.iter().map(|_| rng.unit() < 0.5).collect();
        for side in [true, false] {
            let part = |row: &[Outcome], side: bool| -> Vec<Outcome> {
                row.iter().zip(&half).filter(|(_, half)| **half == side).map(|(outcome, _)| *outcome).collect()
            };
            let value = |row: &Vec<Outcome>| {
                let chosen = part(row, side);
                score(&chosen) - 1000.0 * (false_per_day(&chosen) - 0.05).max(0.0)
            };
            if let Some(best) = table.iter().max_by(|a, b| value(a).total_cmp(&value(b))) {
                let other = part(best, !side);
                sum = (sum.0 + score(&other) / 100.0, sum.1 + false_per_day(&other) / 100.0);
            }
        }
    }
    println!("threshold chosen on one half of the series, judged on the other: {:.1} at {:.4}", sum.0, sum.1);
    println!("{micros:.1} microseconds a value");
}

fn line(name: &str, outcomes: &[Outcome]) {
    let (found, windows) = outcomes.iter().fold((0, 0), |sum, o| (sum.0 + o.found, sum.1 + o.windows));
    println!("{name:34} {:5.1} {:12.4} {found:3}/{windows}", score(outcomes), false_per_day(outcomes));
}

/// Alarms of the ensemble, and of each of its views by the same rule of cool-down.
fn alarms(series: &Labelled) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut ensemble = Ensemble::new();
    let mut watch = PatientWatch::new(ENSEMBLE);
    let single = Rule { threshold: ALONE, at_once: ALONE, ..ENSEMBLE };
    let mut watches: Vec<PatientWatch> = PARTS.iter().map(|_| PatientWatch::new(single)).collect();
    let (mut all, mut parts) = (Vec::new(), vec![Vec::new(); PARTS.len()]);
    for (at, (time, value)) in series.times.iter().zip(&series.values).enumerate() {
        let reading = ensemble.observe(*time, *value);
        let opened = |change| matches!(change, Some(Change::Opened { .. }));
        if opened(watch.observe(*time, reading.score)) {
            all.push(at);
        }
        for ((watch, part), alarms) in watches.iter_mut().zip(reading.parts).zip(&mut parts) {
            if opened(watch.observe(*time, part)) {
                alarms.push(at);
            }
        }
    }
    (all, parts)
}
