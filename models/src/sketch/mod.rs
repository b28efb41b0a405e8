//! Summaries of streams in bounded memory that can be merged: quantiles, distinct values, moments, samples. Know numbers and
//! hashes, not what they count.

mod ddsketch;
mod hyperloglog;
mod moments;
mod reservoir;

pub use ddsketch::DdSketch;
pub use hyperloglog::HyperLogLog;
pub use moments::DecayedMoments;
pub use reservoir::Reservoir;
