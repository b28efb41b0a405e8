//! Rows as data: NDJSON streams, and permission sets stored as `sys_permission_set` rows.

use super::links::Links;
use super::{LoadError, finish, permission};
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::PermissionSet;
use crate::read::{At, Document, Findings};
use crate::syntax::Node;
use serde_json::{Map, Value};
use std::io::{BufRead, Read as _};
use std::sync::Arc;

/// Bytes of one row.
const ROW_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads rows of an NDJSON stream one by one; blank lines are passed over. Memory: one row.
pub struct RowReader<R> {
    file: Arc<str>,
    input: R,
    line: u32,
    failed: bool,
}

impl<R: BufRead> RowReader<R> {
    /// `file` names the stream in messages.
    pub fn new(file: &str, input: R) -> Self {
        Self { file: Arc::from(file), input, line: 0, failed: false }
    }

    fn fail(&mut self, message: &str, column: u32) -> Box<Diagnostic> {
        self.failed = true;
        let mut diagnostic = Diagnostic::outside(Severity::Error, &self.file, message);
        diagnostic.location.line = self.line;
        diagnostic.location.column = column;
        Box::new(diagnostic)
    }

    fn row(&mut self, text: &str) -> Result<Map<String, Value>, Box<Diagnostic>> {
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(row)) => Ok(row),
            Ok(_) => Err(self.fail("a row is a JSON object", 1)),
            Err(error) => {
                let column = u32::try_from(error.column()).unwrap_or(1).max(1);
                Err(self.fail("the row is not JSON", column))
            }
        }
    }
}

impl<R: BufRead> Iterator for RowReader<R> {
    type Item = Result<Map<String, Value>, Box<Diagnostic>>;

    /// After an error there are no further rows.
    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            self.line = self.line.saturating_add(1);
            let mut text = String::new();
            match self.input.by_ref().take(ROW_BYTES_MAX).read_line(&mut text) {
                Ok(0) => return None,
                Ok(read) if u64::try_from(read).is_ok_and(|read| read >= ROW_BYTES_MAX) => {
                    return Some(Err(self.fail("the row is too long", 1)));
                }
                Ok(_) if text.trim().is_empty() => {}
                Ok(_) => return Some(self.row(text.trim_end())),
                Err(_) => return Some(Err(self.fail("the row is not UTF-8 text or cannot be read", 1))),
            }
        }
        None
    }
}

/// Columns of `sys_permission_set` and the keys they stand for.
const COLUMNS: &[(&str, &str)] = &[
    ("name", "name"),
    ("label", "label"),
    ("description", "description"),
    ("object_permissions", "objects"),
    ("field_permissions", "fields"),
    ("system_permissions", "systemPermissions"),
    ("row_level_security", "rowLevelSecurity"),
    ("is_default", "isDefault"),
];

/// Reads active `sys_permission_set` rows. JSON columns may be JSON or text that holds JSON.
///
/// # Errors
/// Everything that is wrong with the rows: a set that is understood in part could grant too much.
pub fn permission_sets_from_rows<'r>(
    rows: impl IntoIterator<Item = &'r Map<String, Value>>,
) -> Result<Vec<PermissionSet>, LoadError> {
    let findings = Findings::default();
    let mut sets = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        if row.get("active") == Some(&Value::Bool(false)) {
            continue;
        }
        let file = format!("sys_permission_set row {index}");
        let document = Document { file: Arc::from(file), text: String::new(), root: Node::from_json(&keys(row)) };
        let at = At::root(&document, &findings);
        // Names inside stored sets are not checked: rows may grant on objects of other stacks.
        let mut links = Links::default();
        sets.extend(permission::read_permission_set(&at, None, &mut links));
    }
    finish(findings).map(|_| sets)
}

fn keys(row: &Map<String, Value>) -> Value {
    let mut set = Map::new();
    set.insert("objects".to_owned(), Value::Object(Map::new()));
    for (column, key) in COLUMNS {
        match row.get(*column) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if key.starts_with(['o', 'f', 's', 'r']) => {
                // Text that is not JSON stays text and is refused by the reader with a place.
                let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
                set.insert((*key).to_owned(), value);
            }
            Some(value) => {
                set.insert((*key).to_owned(), value.clone());
            }
        }
    }
    Value::Object(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_stream_and_stop_at_the_first_error() {
        let rows: Vec<_> = RowReader::new("x.ndjson", "{\"a\":1}\n\n{\"a\":2}\n[1]\n{\"a\":3}\n".as_bytes()).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[1].as_ref().unwrap()["a"], 2);
        assert_eq!(rows[2].as_ref().unwrap_err().to_string(), "error: a row is a JSON object\n  --> x.ndjson:4:1");
        assert!(RowReader::new("x", "{\"a\":".as_bytes()).next().unwrap().is_err());
    }

    #[test]
    fn stored_sets_are_read_strictly() {
        let read = |row: Value| permission_sets_from_rows([row.as_object().unwrap()]);
        let good = json!({"name": "s1", "object_permissions": "{\"crm_lead\":{\"allowRead\":true}}", "row_level_security": []});
        assert!(read(good).unwrap()[0].objects["crm_lead"].allow_read);
        assert!(read(json!({"name": "s1", "active": false, "object_permissions": 7})).unwrap().is_empty());
        let bad = read(json!({"name": "s1", "object_permissions": {"x": {"allowRed": true}}})).unwrap_err();
        assert_eq!(bad.diagnostics[0].hint.as_deref(), Some("Did you mean 'allowRead'?"));
        assert!(read(json!({"name": "s1", "row_level_security": "oops"})).is_err());
    }
}
