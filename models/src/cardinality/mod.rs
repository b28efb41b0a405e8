//! Corrects a source's row estimates from rows that were observed. Knows sub-plans as ids and numbers: no SQL, no names.
//!
//! Two models that err differently are averaged in logarithms: a kernel regression that carries what was learnt to join
//! graphs never seen, and boosted trees that follow the details. An upper bound, where there is one, caps the result, because
//! it is the over-confident extremes that hurt.

mod centers;
mod corrector;
mod encode;
mod folds;
mod interval;
mod kernel;
mod subplan;

pub use corrector::{BoundUse, Correction, Corrector, OBSERVATIONS_MAX, OBSERVATIONS_MIN, Options};
pub use interval::Judgement;
pub use subplan::{Observation, Range, Subplan, code_of_text};
