//! Summaries of streams in bounded memory that can be merged: quantiles, moments. Know numbers, not what they count.

mod ddsketch;
mod moments;

pub use ddsketch::DdSketch;
pub use moments::DecayedMoments;
