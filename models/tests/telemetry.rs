//! A simulated month against its limits: what must be found, and how seldom anybody may be called for nothing.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]
#![allow(clippy::cast_sign_loss, reason = "simulated counts")]

#[path = "telemetry/mod.rs"]
mod telemetry;

use telemetry::Kind;

#[test]
fn incidents_of_two_simulated_months_are_found_with_few_false_alarms() {
    let report = telemetry::months(&[101, 102], |_, _| {});
    let lines = report.lines().join("\n");
    // Of extractions there are 43 in two months: the limit leaves room for chance. Five months are in RESULTS.md.
    for (kind, least) in [
        (Kind::Step, 0.95),
        (Kind::Burst, 0.95),
        (Kind::Rows, 0.95),
        (Kind::Errors, 0.95),
        (Kind::Templates, 0.9),
        (Kind::Extraction, 0.9),
        (Kind::Drift, 0.8),
        (Kind::Drip, 0.7),
    ] {
        assert!(report.recall(kind) >= least, "{kind:?}\n{lines}");
    }
    assert!(report.false_per_day() <= 0.01 && report.precision() >= 0.8, "\n{lines}");
}
