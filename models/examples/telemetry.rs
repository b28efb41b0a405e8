//! Simulates months of gateway traffic and prints what the shipped detectors find in them.

#![allow(clippy::print_stdout, clippy::cast_sign_loss, reason = "a report on the terminal over simulated counts")]

#[path = "../tests/telemetry/mod.rs"]
mod telemetry;

fn main() {
    let seeds: Vec<u64> = std::env::args().skip(1).filter_map(|seed| seed.parse().ok()).collect();
    let seeds = if seeds.is_empty() { vec![1, 2, 3, 4, 5] } else { seeds };
    let all = telemetry::months(&seeds, |seed, month| {
        println!("seed {seed}: false {:.5} a series-day, precision {:.3}", month.false_per_day(), month.precision());
    });
    println!();
    for line in all.lines() {
        println!("{line}");
    }
}
