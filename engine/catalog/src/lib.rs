//! Governed providers, the catalog of one principal, `pg_catalog` and the gate's own tables. Knows no SQL text and no wire.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod arguments;
mod arrow_types;
mod catalog;
pub mod deployment;
mod expressions;
pub mod federation;
mod gathering;
pub mod image;
pub mod leaf;
pub mod live;
mod measure;
mod metrics;
pub mod named;
mod one_input;
mod principal;
pub mod remote;
mod rescan;
pub mod rights;
pub mod row_filter;
mod rule_names;
mod schema;
#[cfg(test)]
mod testing;
mod unavailable;
pub mod write;
mod write_rights;

pub use arrow_types::{arrow_type, object_schema};
pub use catalog::{CatalogBuilder, PrincipalCatalog};
pub use gathering::GatheringExec;
pub use metrics::FragmentRuns;
pub use one_input::over_one_input;
pub use principal::VisibleObject;
pub use rescan::Rescan;
pub use schema::CATALOG_NAME;
