//! Models that the gate does not use, measured beside those that it does: an explorer of plans that fills in the times it has not
//! seen, and an ensemble of detectors with the score of the Numenta Anomaly Benchmark. Knows no gate.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod ensemble;
mod entropy;
mod explorer;
mod factors;
pub mod nab;
mod normal;
mod novelty;
mod patience;
mod season;

pub use ensemble::{ENSEMBLE, Ensemble, PARTS, Reading};
pub use explorer::{Explorer, Outcome, Plan, Trial};
pub use patience::PatientWatch;
