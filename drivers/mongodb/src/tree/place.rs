//! Where a column is in the documents of a pipeline, and which names can be one. Knows no operator.

use crate::tree::node::{Node, call, text, unary};
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::relation::{Collation, ScanColumn};
use querygate_driver_api::value::ValueType;

/// Name of the collation of texts that are ObjectIds in the source: equal as their hex digits, bound as ObjectIds.
pub(crate) const OBJECT_ID: &str = "objectid";

/// A column in the documents of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `address.city`.
    pub(crate) path: String,
    pub(crate) value_type: ValueType,
    /// A text that is stored as an ObjectId.
    pub(crate) object_id: bool,
    /// Straight out of a document, where anything may be.
    pub(crate) stored: bool,
}

impl Place {
    /// A column of a collection.
    ///
    /// # Errors
    /// A name that is no path.
    pub(crate) fn stored(column: &ScanColumn) -> Result<Self, Refusal> {
        let path = path(column.name.as_str())?.to_owned();
        let object_id = is_object_id(&column.collation);
        Ok(Self { path, value_type: column.value_type, object_id, stored: true })
    }

    /// A computed field of a document.
    pub(crate) fn computed(path: String, value_type: ValueType) -> Self {
        Self { path, value_type, object_id: false, stored: false }
    }

    /// What is there, as it is: missing, perhaps.
    pub(crate) fn raw(&self) -> Node {
        text(format!("${}", self.path))
    }

    /// The paths above, where an array would make one path mean several values.
    pub(crate) fn parents(&self) -> impl Iterator<Item = &str> {
        self.path.match_indices('.').filter_map(|(at, _)| self.path.get(..at))
    }
}

/// Whether a text is stored as an ObjectId.
pub(crate) fn is_object_id(collation: &Collation) -> bool {
    matches!(collation, Collation::Named(name) if &**name == OBJECT_ID)
}

/// A name as a path, if it can be one.
///
/// # Errors
/// A part that is empty, begins with `$` (an operator or a variable), or is a number (a place in an array, sometimes).
pub(crate) fn path(name: &str) -> Result<&str, Refusal> {
    let part =
        |part: &str| !part.is_empty() && !part.starts_with('$') && !part.bytes().all(|byte| byte.is_ascii_digit());
    if !name.contains('\0') && name.split('.').all(part) {
        return Ok(name);
    }
    Err(Refusal::new(RefusalReason::Name, "the source cannot name this field in a pipeline"))
}

/// The name of a column's field in shaped documents.
pub(crate) fn field(id: querygate_driver_api::identifier::ColumnId) -> String {
    id.to_string()
}

/// The name of a column's field in what is delivered: an ObjectId that is to be a text has another than a text.
pub(crate) fn delivered(id: querygate_driver_api::identifier::ColumnId, object_id: bool) -> String {
    if object_id { format!("o{}", id.0) } else { field(id) }
}

/// The source's word for what a column of this type holds.
pub(crate) fn type_name(value_type: ValueType, object_id: bool) -> &'static str {
    match value_type {
        ValueType::Boolean => "bool",
        ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Float32
        | ValueType::Float64
        | ValueType::Decimal128 { .. } => "number",
        ValueType::Text if object_id => "objectId",
        ValueType::Text | ValueType::Time => "string",
        ValueType::Binary => "binData",
        ValueType::Date | ValueType::Timestamp { .. } => "date",
        ValueType::TextList | ValueType::List(_) => "array",
    }
}

/// Whether a value is of the type that the source must hold for it.
pub(crate) fn is_type(value: Node, value_type: ValueType, object_id: bool) -> Node {
    match type_name(value_type, object_id) {
        "number" => unary("$isNumber", value),
        name => call("$eq", [unary("$type", value), text(name)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_mean_something_else_are_refused() {
        for name in ["a", "a.b.c", "_id", "a b", "ä\"'", "a$b", "1a"] {
            assert_eq!(path(name), Ok(name));
        }
        for name in ["$where", "a.$b", "", "a.", ".a", "a..b", "a.0", "7", "a\0b"] {
            assert_eq!(path(name).unwrap_err().reason, RefusalReason::Name, "{name}");
        }
        let place = Place::computed("a.b.c".to_owned(), ValueType::Text);
        assert_eq!(place.parents().collect::<Vec<_>>(), ["a", "a.b"]);
    }
}
