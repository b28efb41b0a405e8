//! Gradient-boosted regression trees on histograms: squared and quantile loss, missing values, monotone features. Know rows of
//! numbers, not what they mean.
//!
//! Own code because the crates at hand do not do this: smartcore's boosting has neither missing values nor quantile loss nor
//! monotone features, linfa has no boosting with them either. `RESULTS.md` compares.

mod bins;
mod boost;
mod grow;
mod tree;

pub use boost::{Ensemble, Loss, Options, Rows};
