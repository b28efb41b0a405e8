//! Governed providers, the catalog of one principal, `pg_catalog` and the gate's own tables. Knows no SQL text and no wire.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod arrow_types;
mod catalog;
mod deployment;
mod gathering;
mod image;
mod leaf;
mod live;
mod measure;
mod one_input;
mod principal;
mod remote;
mod row_filter;
mod schema;
mod sizes;
#[cfg(test)]
mod testing;
mod unavailable;

pub use arrow_types::{arrow_type, object_schema};
pub use catalog::{BoundView, CATALOG_NAME, CatalogBuilder, PrincipalCatalog};
pub use deployment::{Deployment, SchemaEvent, SourceStatus, SourceTable, ViewDefinition};
pub use gathering::GatheringExec;
pub use leaf::{Division, GovernedExec, GovernedTable, division, share, tell_uses};
pub use live::{LiveExec, LiveRows, LiveTable};
pub use one_input::over_one_input;
pub use principal::{VisibleObject, keeps_rights};
pub use remote::{AllKeys, SourcePlanning, source_settings};
pub use remote::{
    DriverTable, Federated, FragmentCall, FragmentTable, LostField, PlainScans, RemoteField, WholeFragment, federate,
};
pub use remote::{FragmentRuns, KeyRange, RowRange, Rows, in_range, range_key, row_ranges};
pub use sizes::TableSizes;
pub use unavailable::UnavailableTable;
