//! Detectors of unusual traffic. Knows numbers and time steps, no principal and no query.

mod ensemble;
mod entropy;
mod incident;
mod novelty;
mod season;
mod tail;

pub mod nab;

pub use ensemble::{Ensemble, PARTS, Reading};
pub use incident::{Change, Rule, Span, Watch};
