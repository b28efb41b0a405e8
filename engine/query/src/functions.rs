//! The functions a statement may call: DataFusion's pure ones, the catalog's, and nothing that reads files or networks.

use datafusion::execution::{SessionState, SessionStateBuilder};
use querygate_catalog::pg_catalog::PgCatalog;
use std::sync::Arc;

/// Table functions that make rows of their arguments alone.
const TABLE_FUNCTIONS: &[&str] = &["generate_series", "range"];

/// Functions that tell of the engine rather than of data.
const REMOVED: &[&str] = &["version", "arrow_typeof", "arrow_cast", "arrow_metadata", "arrow_try_cast"];

/// Puts the functions of a principal's catalog in place and takes away what is not allowed.
pub(crate) fn install(state: SessionState, pg: &Arc<PgCatalog>) -> SessionState {
    let mut builder = SessionStateBuilder::new_from_existing(state);
    if let Some(functions) = builder.table_functions() {
        functions.retain(|name, _| TABLE_FUNCTIONS.contains(&name.as_str()));
    }
    if let Some(functions) = builder.scalar_functions() {
        functions.retain(|function| !REMOVED.contains(&function.name()));
    }
    let state = builder.build();
    crate::surface::install(state, pg)
}
