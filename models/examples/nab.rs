//! Runs the detectors over a folder of the Numenta Anomaly Benchmark and prints the standard score at the shipped default,
//! and what each detector would reach by itself.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a report on the terminal; it ends when its data is broken"
)]

use querygate_models::anomaly::nab::{Labelled, Outcome, false_per_day, outcome, score};
use querygate_models::anomaly::{Change, Ensemble, PARTS, Rule, Watch};

#[path = "../tests/nab_data/mod.rs"]
mod nab_data;

/// Surprise at which a detector alone would alarm.
const ALONE: f64 = 1.9;

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
        line(&format!("{name} alone, surprise {ALONE}"), outcomes);
    }
}

fn line(name: &str, outcomes: &[Outcome]) {
    let (found, windows) = outcomes.iter().fold((0, 0), |sum, o| (sum.0 + o.found, sum.1 + o.windows));
    println!("{name:34} {:5.1} {:12.4} {found:3}/{windows}", score(outcomes), false_per_day(outcomes));
}

/// Alarms of the ensemble, and of each of its detectors by the same rule of cool-down.
fn alarms(series: &Labelled) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut ensemble = Ensemble::new();
    let mut watch = Watch::new(Rule::ENSEMBLE);
    let single = Rule { threshold: ALONE, at_once: ALONE, ..Rule::ENSEMBLE };
    let mut watches: Vec<Watch> = PARTS.iter().map(|_| Watch::new(single)).collect();
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
