//! From a statement to a bound plan: a principal's catalog, names, types, what may be NULL, and the walks that admit a plan.
//! Reads no row.

mod aggregate_filters;
pub(crate) mod argument_types;
mod denied_columns;
pub(crate) mod functions;
pub(crate) mod mask_guard;
mod missing_columns;
mod near_columns;
pub(crate) mod nulls;
pub(crate) mod origin;
pub(crate) mod outer_names;
pub(crate) mod output_types;
mod parameters;
pub(crate) mod plan_bytes;
pub(crate) mod plan_history;
pub(crate) mod reader_rights;
mod spill_files;
pub(crate) mod statement;
pub(crate) mod system_columns;
pub(crate) mod verify;
pub(crate) mod volatility;
pub(crate) mod workspace;
