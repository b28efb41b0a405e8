//! What is measured of a statement's reads: fragments at sources, and leaves over files. Knows no policy and no plan above a leaf.

mod conditions;
mod file_reads;
mod fingerprint;
mod fragments;
mod sampled;
mod shape;

pub(crate) use conditions::{MOST, Uses};
pub(crate) use file_reads::FileLeaf;
pub use fragments::FragmentRuns;
pub(crate) use fragments::{FragmentFacts, FragmentRun};
