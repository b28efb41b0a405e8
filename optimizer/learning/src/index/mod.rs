//! Index suggestions from fragments, costed by the sources' own planners.

mod book;
mod measure;
mod options;
mod oracle;
mod outlook;
mod plugin;
mod problem;
mod rows;
mod search;
mod suggestion;
#[cfg(test)]
mod tests;
mod written;

pub use options::{AdvisedSource, AdvisedSources, IndexOptions};
pub use plugin::IndexAdvisor;
