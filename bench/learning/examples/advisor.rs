//! What plan advice gains on measured hint matrices, its own exploration charged.
//!
//! `cargo run --release -p querygate-bench-learning --example advisor -- DATA`: `DATA` holds `ceb_matrix.csv`, `job_matrix.csv` and
//! `dsb_matrix.csv`; those that are absent are left out.
#![allow(clippy::print_stdout, reason = "the tables are for whoever started it")]

#[path = "../tests/hints/mod.rs"]
mod hints;
#[path = "../../../models/tests/support/mod.rs"]
mod support;

use hints::{Guarded, Hints};
use querygate_models::numeric;
use std::path::Path;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

fn exploration(name: &str, hints: &Hints, seeds: u64) {
    let began = Instant::now();
    let runs: Vec<([f64; 4], usize)> = (0..seeds).filter_map(|seed| hints::explore(hints, seed)).collect();
    let at = |mark: usize| {
        let shares: Vec<f64> = runs.iter().map(|(shares, _)| shares[mark]).collect();
        let mean = numeric::mean(&shares);
        let deviation = numeric::mean_of(shares.iter().map(|s| (s - mean).powi(2))).sqrt();
        format!("{mean:.3} ± {deviation:.3}")
    };
    let slower: usize = runs.iter().map(|(_, slower)| slower).sum();
    let total = |column: fn(&[f64]) -> f64| hints.seconds.iter().map(|row| column(row)).sum::<f64>();
    let oracle = total(|row| row.iter().copied().fold(f64::INFINITY, f64::min)) / total(|row| row[0]);
    let seconds = began.elapsed().as_secs_f64() / seeds as f64;
    println!("| {name} | {} | {} | {} | {} | {oracle:.3} | {slower} | {seconds:.1} |", at(0), at(1), at(2), at(3));
}

fn parametric(hints: &Hints) {
    for (name, template) in
        [("17 templates", hints::dsb_template as fn(&str) -> String), ("26 fingerprints", hints::dsb_fingerprint)]
    {
        for (how, banded, guarded) in
            [("unguarded", false, false), ("guarded", false, true), ("guarded, by band", true, true)]
        {
            let runs: Vec<Guarded> = (0..20)
                .map(|seed| hints::parametric(hints, template, hints::dsb_variant, (5, banded, guarded), seed))
                .collect();
            let mean = |f: fn(&Guarded) -> f64| numeric::mean_of(runs.iter().map(f));
            let (log, total, slower) = (mean(|r| r.log_gain), mean(|r| r.total_gain), 100.0 * mean(|r| r.slower));
            println!("| DSB, {name}, {how} | {log:.3} | {total:.3} | {slower:.2}% |");
        }
    }
}

fn main() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).ok_or("name the folder of the data")?;
    let read = |name: &str| {
        let path = Path::new(&folder).join(name);
        path.exists().then(|| hints::read(&path)).transpose()
    };
    println!(
        "| matrix | 0.25 | 0.5 | 1 | 2 | oracle | slower than 110% | s per run |\n|---|---|---|---|---|---|---|---|"
    );
    for (name, file) in [("CEB", "ceb_matrix.csv"), ("JOB", "job_matrix.csv"), ("DSB", "dsb_matrix.csv")] {
        if let Some(hints) = read(file)? {
            exploration(name, &hints, 10);
        }
    }
    if let Some(hints) = read("dsb_matrix.csv")? {
        println!("\n| parametric | log gain | total gain | slower than 110% |\n|---|---|---|---|");
        parametric(&hints);
    }
    Ok(())
}
