//! Predicts how long a fragment takes at its source, as quantiles. Knows fragments as hashes and numbers, no source.
//!
//! A ladder, the best informed step first: what this very fragment took lately; trees over what is known of fragments like it;
//! a linear law of the source (so much per call, per row, per byte). Every answer says which step gave it.

mod cache;
mod ladder;
mod trained;

pub use ladder::{Fragment, Ladder, Layer, Prediction, Run};
pub use trained::Trained;
