//! catalog.
pub mod pg_catalog;
