//! The functions a statement may call: DataFusion's pure ones, the catalog's, and nothing that reads files or networks.

use datafusion::execution::{SessionState, SessionStateBuilder};

/// Table functions that make rows of their arguments alone.
const TABLE_FUNCTIONS: &[&str] = &["generate_series", "range"];

/// Functions that tell of the engine rather than of data, and those that mean something else than Postgres' of that name
/// (format patterns).
const REMOVED: &[&str] = &[
    "to_char",
    "date_format",
    "to_date",
    "to_time",
    "version",
    "arrow_typeof",
    "arrow_cast",
    "arrow_metadata",
    "arrow_try_cast",
    // Their results have no bound.
    "range",
    "array_repeat",
    "array_resize",
];

/// Takes away what is not allowed.
pub(crate) fn restrict(state: SessionState) -> SessionState {
    let mut builder = SessionStateBuilder::new_from_existing(state);
    if let Some(functions) = builder.table_functions() {
        functions.retain(|name, _| TABLE_FUNCTIONS.contains(&name.as_str()));
    }
    if let Some(functions) = builder.scalar_functions() {
        functions.retain(|function| !REMOVED.contains(&function.name()));
    }
    builder.build()
}
