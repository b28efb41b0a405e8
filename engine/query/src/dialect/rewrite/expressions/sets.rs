//! Functions that return sets: each is `unnest` of a list function. Knows names only.

use datafusion::sql::sqlparser::ast::DataType;

/// PostgreSQL's name, the list function, the default name of its column, and the fields of a composite row.
const SETS: &[(&str, &str, &str, &[&str])] = &[
    ("json_array_elements", "json_elements", "value", &[]),
    ("jsonb_array_elements", "json_elements", "value", &[]),
    ("json_array_elements_text", "json_elements_text", "value", &[]),
    ("jsonb_array_elements_text", "json_elements_text", "value", &[]),
    ("jsonb_path_query", "jsonb_path_items", "", &[]),
    ("json_object_keys", "json_keys", "", &[]),
    ("jsonb_object_keys", "json_keys", "", &[]),
    ("json_each", "json_members", "", &["key", "value"]),
    ("jsonb_each", "json_members", "", &["key", "value"]),
    ("json_each_text", "json_members_text", "", &["key", "value"]),
    ("jsonb_each_text", "json_members_text", "", &["key", "value"]),
    ("regexp_matches", "regexp_all_matches", "", &[]),
    ("string_to_table", "string_to_array", "", &[]),
    ("regexp_split_to_table", "regexp_split_to_array", "", &[]),
];

/// A function that returns a set.
#[derive(Debug, Clone)]
pub(in crate::dialect) struct Set {
    /// The function that returns it as a list.
    pub(in crate::dialect) list: &'static str,
    /// What its column is called in FROM, if not like the function.
    pub(in crate::dialect) column: Option<&'static str>,
    pub(in crate::dialect) fields: &'static [&'static str],
    /// The JSON type of its values, if they are JSON.
    pub(in crate::dialect) json: Option<DataType>,
}

pub(in crate::dialect) fn find(name: &str) -> Option<Set> {
    let (_, list, column, fields) = SETS.iter().find(|(known, ..)| *known == name)?;
    let json = match (*list, name.starts_with("jsonb")) {
        ("json_elements" | "json_members" | "jsonb_path_items", true) => Some(DataType::JSONB),
        ("json_elements" | "json_members", false) => Some(DataType::JSON),
        _ => None,
    };
    Some(Set { list, column: Some(*column).filter(|c| !c.is_empty()), fields, json })
}
