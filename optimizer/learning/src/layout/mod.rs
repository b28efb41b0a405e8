//! Advice on how the rows of Parquet tables lie: what fragments read of them, and what they would read of other layouts.

mod advisor;
mod book;
mod search;
mod simulate;

pub(crate) use advisor::LayoutAdvisor;
pub use advisor::{LayoutSource, LayoutSources};
pub(crate) use book::KIND_BEFORE;
