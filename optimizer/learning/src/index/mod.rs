//! Index suggestions from fragments, costed by the sources' own planners.

mod book;
mod measure;
mod options;
mod oracle;
mod outlook;
mod plugin;
mod problem;
mod ran;
mod rows;
mod search;
mod suggestion;
#[cfg(test)]
mod tests;

pub use options::{AdvisedSource, AdvisedSources, IndexOptions};
pub use plugin::IndexAdvisor;
pub(crate) use problem::as_number;
pub(crate) use ran::Ran;
pub(crate) use suggestion::percent;
