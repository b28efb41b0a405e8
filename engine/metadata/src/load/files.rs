//! Finds and reads metadata files. Knows names and sizes, not contents.

use super::links::nearest_object;
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::{Facts, Snapshot, is_platform};
use crate::read::{Document, Findings};
use crate::syntax::{self, Format};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of one metadata file.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Files of one folder, its subfolders included.
const FILES_MAX: usize = 10_000;
const FOLDERS_DEEP_MAX: usize = 16;

/// A file of rows beside the metadata: `<object>.ndjson`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFile {
    pub object: String,
    pub path: PathBuf,
}

#[derive(Default)]
pub(super) struct Found {
    pub(super) documents: Vec<Document>,
    pub(super) row_files: Vec<RowFile>,
}

pub(super) fn read(path: &Path, findings: &Findings) -> Found {
    let mut found = Found::default();
    let mut files = Vec::new();
    if path.is_dir() {
        walk(path, 0, &mut files, findings);
        if files.is_empty() {
            error(path, "the folder holds no .json, .yaml, .yml or .ndjson file", findings);
        }
    } else {
        files.push(path.to_owned());
    }
    for file in files {
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if extension == "ndjson" {
            let object = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            found.row_files.push(RowFile { object, path: file });
        } else if let Some(format) = Format::from_extension(extension) {
            found.documents.extend(read_file(&file, format, findings));
        } else if !file.exists() {
            error(&file, "no such file or folder", findings);
        } else {
            error(&file, "not a .json, .yaml or .yml file", findings);
        }
    }
    found
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>, findings: &Findings) {
    if depth > FOLDERS_DEEP_MAX {
        error(folder, "folders are nested too deeply", findings);
        return;
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) => {
            error(folder, &format!("cannot be read: {cause}"), findings);
            return;
        }
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            walk(&path, depth + 1, files, findings);
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if extension != "ndjson" && Format::from_extension(extension).is_none() {
            continue;
        }
        if files.len() >= FILES_MAX {
            error(folder, "too many files", findings);
            return;
        }
        files.push(path);
    }
}

fn read_file(path: &Path, format: Format, findings: &Findings) -> Option<Document> {
    let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if size > FILE_BYTES_MAX {
        error(path, &format!("larger than {FILE_BYTES_MAX} bytes"), findings);
        return None;
    }
    match fs::read_to_string(path) {
        Ok(text) => document(&path.display().to_string(), text, format, findings),
        Err(cause) => {
            error(path, &format!("cannot be read: {cause}"), findings);
            None
        }
    }
}

/// Parses a text and reports syntax errors and duplicate keys.
pub(super) fn document(file: &str, text: String, format: Format, findings: &Findings) -> Option<Document> {
    let file: Arc<str> = Arc::from(file);
    let report = |span: syntax::Span, message: String, hint: Option<String>, text: &str| {
        let mut finding = Diagnostic::outside(Severity::Error, &file, &message);
        finding.location.line = span.line;
        finding.location.column = span.column;
        finding.hint = hint;
        findings.add(finding.with_source(text, span.length));
    };
    match syntax::parse(&text, format) {
        Ok(parsed) => {
            for duplicate in parsed.duplicates {
                let hint =
                    format!("The first one is at line {}, column {}.", duplicate.first.line, duplicate.first.column);
                report(duplicate.second, format!("key '{}' stands twice", duplicate.key), Some(hint), &text);
            }
            Some(Document { file: Arc::clone(&file), text, root: parsed.root, origin: None })
        }
        Err(error) => {
            report(error.span, error.message, None, &text);
            findings.miss_file();
            None
        }
    }
}

/// What is to be said of a file of rows that nobody reads: it is named after no object.
pub(super) fn stray_rows(rows: &RowFile, snapshot: &Snapshot) -> Option<Diagnostic> {
    let object = rows.object.as_str();
    if snapshot.objects.contains_key(object) || Facts::OBJECTS.contains(&object) {
        return None;
    }
    let message = if is_platform(object) {
        format!("rows of '{object}' are not read")
    } else {
        format!("rows of '{object}' are not read: there is no such object")
    };
    let mut finding = Diagnostic::outside(Severity::Warning, &rows.path.display().to_string(), &message);
    let known = snapshot.objects.keys().map(String::as_str).chain(Facts::OBJECTS.iter().copied());
    finding.hint = nearest_object(object, known).map(|near| format!("Did you mean '{near}.ndjson'?"));
    Some(finding)
}

/// What cannot be read.
fn error(path: &Path, message: &str, findings: &Findings) {
    findings.miss_file();
    findings.add(Diagnostic::outside(Severity::Error, &path.display().to_string(), message));
}
