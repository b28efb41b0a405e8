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
    // Its time grows with the product of two lengths, and nothing stops it.
    "levenshtein",
    // They tell of files and of places in them, where hidden rows lie too.
    "input_file_name",
    "file_row_index",
    // They change types beside the casts that are checked.
    "arrow_field",
    "with_metadata",
    "cast_to_type",
    "try_cast_to_type",
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// What the engine brings and is left. A new version may bring more: each is looked at before it is on the list.
    #[test]
    fn no_function_of_the_engine_is_allowed_because_nobody_thought_of_it() {
        let state = restrict(SessionStateBuilder::new_with_default_features().build());
        let mut names = BTreeSet::new();
        names.extend(state.scalar_functions().keys().map(|name| format!("scalar {name}")));
        names.extend(state.higher_order_functions().keys().map(|name| format!("higher-order {name}")));
        names.extend(state.aggregate_functions().keys().map(|name| format!("aggregate {name}")));
        names.extend(state.window_functions().keys().map(|name| format!("window {name}")));
        names.extend(state.table_functions().keys().map(|name| format!("table {name}")));
        let actual: String = names.into_iter().map(|name| name + "\n").collect();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bind/functions.txt"), &actual).unwrap();
        }
        assert_eq!(actual, include_str!("functions.txt"), "look at what is new, then BLESS=1");
    }
}
