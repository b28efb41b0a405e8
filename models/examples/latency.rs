//! How well latencies are predicted at each step of the ladder, on a simulated source, and how fast the models are.
//!
//! `cargo run --release -p querygate-models --example latency`
#![allow(clippy::print_stdout, reason = "the tables are for whoever started it")]

#[path = "../tests/support/mod.rs"]
mod support;

use querygate_models::latency::{Ladder, Layer, Run, Trained};
use querygate_models::matrix::Matrix;
use querygate_models::numeric::q_errors;
use querygate_models::rng::Rng;
use querygate_models::trees::{Ensemble, Options};
use std::time::Instant;

fn judge(name: &str, ladder: &Ladder, new: &[Run], layer: Layer) {
    let (mut errors, mut inside) = (Vec::new(), 0);
    for run in new {
        let answer = ladder.predict(&run.fragment, run.at);
        if answer.layer == layer {
            errors.push((run.seconds / answer.p50).ln());
            inside += usize::from((answer.p10..=answer.p90).contains(&run.seconds));
        }
    }
    let count = errors.len().max(1) as f64;
    let mape = 100.0 * errors.iter().map(|e| (1.0 - (-e).exp()).abs()).sum::<f64>() / count;
    let [p50, p95, p99] = q_errors(&errors);
    let inside = 100.0 * inside as f64 / count;
    println!("| {name} | {} | {p50:.2} | {p95:.2} | {p99:.2} | {mape:.0}% | {inside:.0}% |", errors.len());
}

/// Seconds of the fastest of some runs: what the code takes, not what else the machine does.
fn best_of(times: usize, mut run: impl FnMut()) -> f64 {
    let seconds = (0..times).map(|_| {
        let began = Instant::now();
        run();
        began.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let all = support::fragments::runs(10_000, 1);
    let (old, new) = all.split_at(7_000);
    let mut ladder = Ladder::default();
    let began = Instant::now();
    old.iter().for_each(|run| ladder.observe(run));
    let observe = began.elapsed().as_secs_f64() * 1e6 / old.len() as f64;
    println!("| step | runs | p50 | p95 | p99 | MAPE | in p10 to p90 |\n|---|---|---|---|---|---|---|");
    judge("source's law", &ladder, new, Layer::Linear);
    ladder.adopt(Trained::train(old, &ladder, 0).ok_or("too few runs")?);
    judge("trees", &ladder, new, Layer::Trees);
    judge("the same fragment", &ladder, new, Layer::Exact);
    println!("\nlearning from a run: {observe:.1} µs");

    let mut rng = Rng::new(1);
    let mut x = Matrix::new(30);
    let rows: Vec<Vec<f64>> = (0..5_000).map(|_| (0..30).map(|_| rng.normal()).collect()).collect();
    rows.iter().for_each(|row| x.push(row));
    let y: Vec<f64> = rows.iter().map(|row| row[0] * row[1] + row[2].sin() + rng.normal()).collect();
    let train = || Ensemble::train(&x, &y, &Options { trees: 200, ..Options::default() });
    println!("200 trees from 5,000 rows of 30 features: {:.2} s", best_of(3, || drop(std::hint::black_box(train()))));
    let trees = train().ok_or("no rows")?;
    let predict = || {
        std::hint::black_box(rows.iter().map(|row| trees.predict(row)).sum::<f64>());
    };
    println!("one prediction: {:.2} µs", best_of(20, predict) * 1e6 / 5_000.0);
    Ok(())
}
