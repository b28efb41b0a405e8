//! The functions a statement may call: DataFusion's pure ones, the catalog's, and nothing that reads files or networks.

use datafusion::execution::{SessionState, SessionStateBuilder};
use querygate_metadata::nearest;
use querygate_semantics::metering::{FunctionKind, names};
use querygate_types::{Error, ErrorCode};
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

/// Kinds of the engine's functions.
const KINDS: [FunctionKind; 5] = [
    FunctionKind::Scalar,
    FunctionKind::HigherOrder,
    FunctionKind::Aggregate,
    FunctionKind::Window,
    FunctionKind::Table,
];

/// What is left of the engine's functions, those of the table: no other is known to a statement, whatever the engine brings. An alias is
/// known where the function's own name is there.
static NAMES: LazyLock<HashSet<(FunctionKind, &str)>> =
    LazyLock::new(|| KINDS.into_iter().flat_map(|kind| names(kind).map(move |name| (kind, name))).collect());

/// Takes away what is not allowed.
pub(crate) fn restrict(state: SessionState) -> SessionState {
    let is_allowed = |kind: FunctionKind, name: &str| NAMES.contains(&(kind, name));
    let mut builder = SessionStateBuilder::new_from_existing(state);
    if let Some(functions) = builder.table_functions() {
        functions.retain(|name, _| is_allowed(FunctionKind::Table, name));
    }
    if let Some(functions) = builder.scalar_functions() {
        functions.retain(|function| is_allowed(FunctionKind::Scalar, function.name()));
    }
    if let Some(functions) = builder.higher_order_functions() {
        functions.retain(|function| is_allowed(FunctionKind::HigherOrder, function.name()));
    }
    if let Some(functions) = builder.aggregate_functions() {
        functions.retain(|function| is_allowed(FunctionKind::Aggregate, function.name()));
    }
    if let Some(functions) = builder.window_functions() {
        functions.retain(|function| is_allowed(FunctionKind::Window, function.name()));
    }
    builder.build()
}

/// Names that are longer or shorter than these are no slip of another one.
const NAME_BYTES: RangeInclusive<usize> = 3..=64;

/// The error of a function that does not exist, with the nearest one that does: the list is closed, and no secret.
pub(super) fn with_nearest_function(error: Error) -> Error {
    if error.code() != ErrorCode::UndefinedFunction || error.hint().is_some() {
        return error;
    }
    let near = error.message().strip_prefix("function ").and_then(|rest| rest.strip_suffix(" does not exist"));
    // With types of arguments the name is one that there is.
    match near.filter(|name| !name.contains('(')).and_then(near_name) {
        Some(near) => error.with_hint(format!("Perhaps you meant to call the function {near}.")),
        None => error,
    }
}

fn near_name(name: &str) -> Option<&'static str> {
    let names = KINDS.into_iter().flat_map(names);
    NAME_BYTES.contains(&name.len()).then(|| nearest(name, names)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

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
        // They tell of files and of places in them, where hidden rows lie too.
        "input_file_name",
        "file_row_index",
        // They change types beside the casts that are checked.
        "arrow_field",
        "with_metadata",
        "cast_to_type",
        "try_cast_to_type",
    ];

    fn lines(state: &SessionState) -> String {
        let mut names = BTreeSet::new();
        names.extend(state.scalar_functions().keys().map(|name| format!("scalar {name}")));
        names.extend(state.higher_order_functions().keys().map(|name| format!("higher-order {name}")));
        names.extend(state.aggregate_functions().keys().map(|name| format!("aggregate {name}")));
        names.extend(state.window_functions().keys().map(|name| format!("window {name}")));
        names.extend(state.table_functions().keys().map(|name| format!("table {name}")));
        names.into_iter().map(|name| name + "\n").collect()
    }

    /// A new version of the engine may bring more functions: each is looked at before it is on the list, or on that of those that are not
    /// to be there.
    #[test]
    fn no_function_of_the_engine_is_allowed_because_nobody_thought_of_it() {
        let whole = SessionStateBuilder::new_with_default_features().build();
        let mut builder = SessionStateBuilder::new_from_existing(whole.clone());
        builder.table_functions().as_mut().unwrap().retain(|name, _| TABLE_FUNCTIONS.contains(&name.as_str()));
        builder.scalar_functions().as_mut().unwrap().retain(|function| !REMOVED.contains(&function.name()));
        let table: BTreeSet<String> = NAMES.iter().map(|(kind, name)| format!("{} {name}\n", kind.word())).collect();
        let table: String = table.into_iter().collect();
        assert_eq!(lines(&builder.build()), table, "look at what is new, and give it a line of the table");
        assert_eq!(lines(&restrict(whole)), table);
    }

    #[test]
    fn a_slip_in_a_functions_name_has_the_nearest_one() {
        let hint = |message: &str| with_nearest_function(Error::new(ErrorCode::UndefinedFunction, message));
        for (name, near) in [
            ("lenght", Some("length")),
            ("cuont", Some("count")),
            ("pg_read_file", None),
            ("no_such_function", None),
            ("xx", None),
        ] {
            let expected = near.map(|near| format!("Perhaps you meant to call the function {near}."));
            assert_eq!(hint(&format!("function {name} does not exist")).hint(), expected.as_deref(), "{name}");
        }
        assert_eq!(hint("procedure lenght does not exist").hint(), None);
    }
}
