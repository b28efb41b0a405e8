//! A simulated source: what fragments take there, by a law that the models do not know. No published data set has fragment
//! latencies with what was known beforehand.

use querygate_models::latency::{Fragment, Run};
use querygate_models::rng::{Rng, mix};

/// Templates of very different cost, some of whose fragments come again and again; log-normal noise of 20%, a tenth of runs
/// twice as slow for reasons nobody knows, estimates of rows that are off by a factor of 2 or so.
pub fn runs(count: usize, seed: u64) -> Vec<Run> {
    let mut rng = Rng::new(seed);
    (0..count)
        .map(|at| {
            let template = rng.below(40) as u64;
            let character = Rng::new(mix(template)).unit();
            let popular = rng.unit() < 0.4;
            let literal = if popular { rng.below(20) as u64 } else { 1_000 + rng.below(1_000_000) as u64 };
            let exact = mix(template << 32 | literal);
            let mut of_literal = Rng::new(exact);
            let rows = (4.0 + 3.0 * character + 1.5 * of_literal.normal()).exp();
            let bytes = rows * (20.0 + 200.0 * character);
            let joins = (3.0 * character).floor();
            let per_row = 1e-6 * (1.0 + 20.0 * character * character) * (1.0 + joins);
            let true_seconds = 0.002 * (1.0 + joins) + per_row * rows + 1e-8 * bytes;
            let noise = (0.2 * rng.normal()).exp() * if rng.unit() < 0.1 { 2.0 } else { 1.0 };
            let estimate = rows * (0.7 * of_literal.normal()).exp();
            let features = vec![joins, f64::from((template % 8) as u32), character];
            let fragment = Fragment { exact, rows: estimate, bytes: estimate * bytes / rows, features };
            Run { fragment, at: at as f64, seconds: true_seconds * noise }
        })
        .collect()
}
