//! Rows as data: NDJSON streams, and permission sets stored as `sys_permission_set` rows.

use super::files::RowFile;
use super::links::Links;
use super::readers::permission;
use super::{LoadError, finish};
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::{Location, PermissionSet, PlacedRow, Snapshot};
use crate::read::{At, Document, Findings};
use crate::syntax::Node;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
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

    /// The line of the row that was read last, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    fn fail(&mut self, message: &str, column: u32) -> Box<Diagnostic> {
        self.failed = true;
        let mut diagnostic = Diagnostic::outside(Severity::Error, &self.file, message);
        diagnostic.location.line = self.line;
        diagnostic.location.column = column;
        Box::new(diagnostic)
    }

    fn row(&mut self, text: &str) -> Result<Map<String, Value>, Box<Diagnostic>> {
        match querygate_types::json::value::value(text) {
            Ok(Value::Object(row)) => Ok(row),
            Ok(_) => Err(self.fail("a row is a JSON object", 1)),
            Err(fault) => {
                let column = u32::try_from(fault.at).unwrap_or(0).saturating_add(1);
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

/// Rows of the platform's own objects, from the metadata's seed data and the files beside it, in this order.
///
/// # Errors
/// Each file that cannot be read, with the line of its first broken row.
pub fn system_rows(snapshot: &Snapshot, files: &[RowFile]) -> Result<Vec<PlacedRow>, LoadError> {
    let mut rows = Vec::new();
    for seed in snapshot.seed.iter().filter(|seed| seed.object.starts_with("sys_")) {
        for (at, row) in seed.records.iter().enumerate() {
            let location = seed.places.get(at).unwrap_or(&seed.location).clone();
            rows.push(PlacedRow { object: seed.object.clone(), row: row.clone(), location });
        }
    }
    let findings = Findings::default();
    for file in files.iter().filter(|file| file.object.starts_with("sys_")) {
        if let Err(finding) = read_rows(file, &mut rows) {
            findings.add(*finding);
        }
    }
    finish(findings).map(|_| rows)
}

fn read_rows(file: &RowFile, rows: &mut Vec<PlacedRow>) -> Result<(), Box<Diagnostic>> {
    let name = file.path.display().to_string();
    let open = File::open(&file.path)
        .map_err(|cause| Box::new(Diagnostic::outside(Severity::Error, &name, &format!("cannot be read: {cause}"))))?;
    let mut reader = RowReader::new(&name, BufReader::new(open));
    let shared: Arc<str> = Arc::from(name.as_str());
    while let Some(row) = reader.next() {
        let location = Location { file: Arc::clone(&shared), line: reader.line(), column: 1 };
        rows.push(PlacedRow { object: file.object.clone(), row: row?, location });
    }
    Ok(())
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

/// Columns that say what a set grants. A row without any of them only names a set, for rows that refer to it by id: it defines
/// none, and replaces none.
const DEFINING: &[&str] = &["object_permissions", "field_permissions", "system_permissions", "row_level_security"];

/// Reads active `sys_permission_set` rows that define a set. JSON columns may be JSON or text that holds JSON.
///
/// # Errors
/// Everything that is wrong with the rows: a set that is understood in part could grant too much.
pub fn permission_sets_from_rows<'r>(
    rows: impl IntoIterator<Item = &'r Map<String, Value>>,
) -> Result<Vec<PermissionSet>, LoadError> {
    let place = |index: usize| Location::outside(&format!("sys_permission_set row {index}"));
    sets(rows.into_iter().enumerate().map(|(index, row)| (row, place(index))))
}

/// As [`permission_sets_from_rows`], of the rows that are of this object, with their places in messages.
///
/// # Errors
/// As there.
pub fn permission_sets_from_placed(rows: &[PlacedRow]) -> Result<Vec<PermissionSet>, LoadError> {
    let own = rows.iter().filter(|row| row.object == "sys_permission_set");
    sets(own.map(|row| (&row.row, row.location.clone())))
}

fn sets<'r>(rows: impl Iterator<Item = (&'r Map<String, Value>, Location)>) -> Result<Vec<PermissionSet>, LoadError> {
    let findings = Findings::default();
    let mut sets = Vec::new();
    for (row, place) in rows {
        if row.get("active") == Some(&Value::Bool(false)) {
            continue;
        }
        let root = Node::from_json(&keys(row));
        let document = Document { file: Arc::clone(&place.file), text: String::new(), root, origin: Some(place) };
        let at = At::root(&document, &findings);
        if !DEFINING.iter().any(|column| row.get(*column).is_some_and(|value| !value.is_null())) {
            if row.get("is_default") == Some(&Value::Bool(true)) {
                at.error_with(
                    "a row that grants nothing cannot make a set everybody's",
                    "Write the set's permissions in the row, or `isDefault` in the stack.",
                );
            }
            continue;
        }
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
                let value = querygate_types::json::value::value(text).unwrap_or_else(|_| Value::String(text.clone()));
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
    fn a_row_that_only_names_a_set_defines_none() {
        let read = |row: Value| permission_sets_from_rows([row.as_object().unwrap()]);
        for row in [
            json!({"id": "s", "name": "sales"}),
            json!({"id": "s", "name": "sales", "label": "Sales", "active": true}),
            json!({"id": "s", "name": "sales", "object_permissions": null, "row_level_security": null}),
        ] {
            assert_eq!(read(row).unwrap(), []);
        }
        assert_eq!(read(json!({"id": "s", "name": "sales", "object_permissions": {}})).unwrap().len(), 1);
        assert!(read(json!({"id": "s", "name": "sales", "is_default": true})).is_err());
    }

    #[test]
    fn rows_of_files_know_their_place() {
        let folder = std::env::temp_dir().join(format!("querygate-rows-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |object: &str, text: &str| {
            let path = folder.join(format!("{object}.ndjson"));
            std::fs::write(&path, text).unwrap();
            RowFile { object: object.to_owned(), path }
        };
        let snapshot = crate::load::load_text(
            "s.json",
            r#"{"data": [{"object": "sys_member", "records": [
{"user_id": "u", "organization_id": "o"}]}]}"#,
            &crate::load::LoadOptions::default(),
        )
        .unwrap();
        let good = file("sys_position", "\n{\"id\": \"p\", \"name\": \"boss\"}\n");
        let rows = system_rows(&snapshot, &[good, file("t_note", "no rows")]).unwrap();
        let places: Vec<_> = rows.iter().map(|row| (row.object.as_str(), row.location.line)).collect();
        assert_eq!(places, [("sys_member", 2), ("sys_position", 2)]);
        let error = system_rows(&snapshot, &[file("sys_member", "{}\n{\"a\": }\n")]).unwrap_err();
        assert!(error.to_string().contains("sys_member.ndjson:2:"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
        let broken = PlacedRow {
            object: "sys_permission_set".to_owned(),
            row: json!({"name": "s1", "object_permissions": {"x": {"allowRed": true}}}).as_object().unwrap().clone(),
            location: Location { file: Arc::from("sets.ndjson"), line: 7, column: 1 },
        };
        let error = permission_sets_from_placed(&[broken]).unwrap_err().to_string();
        assert!(error.contains("sets.ndjson:7:1 at objects.x.allowRed"), "{error}");
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
