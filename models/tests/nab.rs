//! The benchmark's standard score as a limit: it may rise, not fall. The whole set is not in this repository; a few of its
//! series are, to prove that the score is computed as its authors do.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]
#![allow(clippy::print_stderr, reason = "what was skipped is said aloud")]

mod nab_data;

use querygate_models::anomaly::nab::{Labelled, Outcome, false_per_day, outcome, score};
use querygate_models::anomaly::{Change, Ensemble, Rule, Watch};
use std::path::{Path, PathBuf};

fn alarms(series: &Labelled) -> Vec<usize> {
    let (mut ensemble, mut watch) = (Ensemble::new(), Watch::new(Rule::ENSEMBLE));
    let observations = series.times.iter().zip(&series.values).enumerate();
    let opened = observations.filter_map(|(at, (time, value))| {
        let change = watch.observe(*time, ensemble.observe(*time, *value).score);
        matches!(change, Some(Change::Opened { .. })).then_some(at)
    });
    opened.collect()
}

/// The folder of shared data, where there is one.
fn shared() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("QUERYGATE_SHARED").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| here.join("../../shared")).join("data/nab");
    folder.is_dir().then_some(folder)
}

#[test]
fn the_standard_score_stays_above_its_limit() {
    let Some(folder) = shared() else {
        eprintln!("SKIPPED: the benchmark's data is absent (set QUERYGATE_SHARED)");
        return;
    };
    let outcomes: Vec<Outcome> = nab_data::read(&folder).iter().map(|one| outcome(one, &alarms(one))).collect();
    let (score, false_alarms) = (score(&outcomes), false_per_day(&outcomes));
    assert!(score >= 68.0 && false_alarms <= 0.05, "score {score:.1}, {false_alarms:.3} false alarms per series-day");
}

#[test]
fn each_value_is_judged_by_what_came_before() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nab");
    for series in nab_data::read(&folder) {
        let all = alarms(&series);
        for cut in [series.values.len() / 2, series.values.len() - 1] {
            let mut short = series.clone();
            short.values.truncate(cut);
            short.times.truncate(cut);
            let before: Vec<usize> = all.iter().copied().filter(|at| *at < cut).collect();
            assert_eq!(alarms(&short), before, "{} cut at {cut}", series.name);
        }
    }
}

#[test]
fn three_small_series_of_the_benchmark_give_few_false_alarms() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nab");
    let series = nab_data::read(&folder);
    assert_eq!(series.len(), 3);
    let outcomes: Vec<Outcome> = series.iter().map(|one| outcome(one, &alarms(one))).collect();
    let found: usize = outcomes.iter().map(|outcome| outcome.found).sum();
    assert!(found >= 4 && false_per_day(&outcomes) <= 0.05, "{outcomes:?}");
}
