//! From files to a snapshot: read, check, resolve. Every error is collected; with one, there is no snapshot.

mod assemble;
mod builtin;
mod extend;
mod files;
mod hash;
mod links;
mod native;
mod picklists;
mod readers;
mod rows;
mod stack;

use crate::diagnostic::Diagnostic;
use crate::model::{Protocol, Snapshot, TenancyPosture};
use crate::read::{At, Document, FindingParts, Findings};
use crate::syntax::Format;
use std::fmt;
use std::path::Path;

pub(crate) use assemble::{extended_object, seal};
pub(crate) use extend::forget_digest;
pub use files::RowFile;
pub use native::NativeNames;
pub(crate) use picklists::resolve as resolve_picklists;
pub use rows::{RowReader, permission_sets_from_placed, permission_sets_from_rows, system_rows};

/// What the deployment decides about its metadata.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// How organizations are kept apart.
    pub posture: TenancyPosture,
    /// The release whose rules are followed.
    pub protocol: Protocol,
    /// What the binary has in Rust, which metadata may name.
    pub natives: NativeNames,
}

/// A snapshot and the row files found beside it.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub snapshot: Snapshot,
    /// `<object>.ndjson` files of the folder, not read.
    pub row_files: Vec<RowFile>,
}

/// Why there is no snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadError {
    /// Errors, in order of place; at most 100.
    pub diagnostics: Vec<Diagnostic>,
    /// Further errors that are not listed.
    pub unlisted: usize,
    /// Errors about names that may only follow from a file that cannot be read. They are not listed either.
    pub unjudged: usize,
}

impl LoadError {
    /// What is not among the errors, in sentences.
    #[must_use]
    pub fn unsaid(&self) -> Vec<String> {
        let unlisted = (self.unlisted > 0).then(|| format!("{} more errors are not listed", self.unlisted));
        let names = if self.unjudged == 1 { "name" } else { "names" };
        let unjudged = (self.unjudged > 0).then(|| {
            format!(
                "{} {names} cannot be judged: what they stand for may be in a file that cannot be read",
                self.unjudged
            )
        });
        unlisted.into_iter().chain(unjudged).collect()
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        for unsaid in self.unsaid() {
            write!(f, "\n\n{unsaid}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// The files of [`load`] as they are written, unchecked: for showing what no rule reads, such as apps and pages. What cannot be read is
/// left out.
#[must_use]
pub fn documents(path: &Path) -> Vec<serde_json::Value> {
    files::read(path, &Findings::default()).documents.iter().map(|document| document.root.to_json()).collect()
}

/// Loads a file or a folder whose files merge.
///
/// # Errors
/// Everything that is wrong with the files, with places.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
    let findings = Findings::default();
    let found = files::read(path, &findings);
    let mut snapshot = build(&found.documents, findings, None, options)?;
    let mut row_files = found.row_files;
    row_files.retain(|rows| {
        let finding = files::stray_rows(rows, &snapshot);
        let is_read = snapshot.objects.contains_key(&rows.object) || finding.is_none();
        snapshot.warnings.extend(finding);
        is_read
    });
    Ok(Loaded { snapshot, row_files })
}

/// Loads one text. `file` names it in messages; its extension decides between JSON and YAML (YAML by default).
///
/// # Errors
/// Everything that is wrong with the text, with places.
pub fn load_text(file: &str, text: &str, options: &LoadOptions) -> Result<Snapshot, LoadError> {
    load_onto(None, file, text, options)
}

pub(crate) fn load_onto(
    existing: Option<&Snapshot>,
    file: &str,
    text: &str,
    options: &LoadOptions,
) -> Result<Snapshot, LoadError> {
    let findings = Findings::default();
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    let format = Format::from_extension(extension).unwrap_or(Format::Yaml);
    let documents: Vec<Document> = files::document(file, text.to_owned(), format, &findings).into_iter().collect();
    build(&documents, findings, existing, options)
}

fn build(
    documents: &[Document],
    findings: Findings,
    existing: Option<&Snapshot>,
    options: &LoadOptions,
) -> Result<Snapshot, LoadError> {
    let roots: Vec<At<'_>> = documents.iter().map(|document| At::root(document, &findings)).collect();
    let drafts = stack::Drafts::read(&roots);
    let mut snapshot = assemble::assemble(drafts, existing, options, &findings);
    drop(roots);
    finish(findings).map(|mut warnings| {
        snapshot.warnings.append(&mut warnings);
        snapshot
    })
}

/// The warnings, or the errors.
fn finish(findings: Findings) -> Result<Vec<Diagnostic>, LoadError> {
    let failed = findings.failed();
    let FindingParts { errors: diagnostics, warnings, unlisted, unjudged } = findings.into_parts();
    if failed { Err(LoadError { diagnostics, unlisted, unjudged }) } else { Ok(warnings) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects of a file that cannot be read are not there: names of them are no mistakes.
    #[test]
    fn a_file_that_cannot_be_read_is_one_error() {
        let folder = std::env::temp_dir().join(format!("querygate-unread-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("a.json", r#"{"objects": [{"name": "lead" "fields": {}}]}"#);
        write(
            "b.json",
            r#"{"permissions": [{"name": "s1", "objects": {"lead": {"allowRead": true}, "leed": {"allowRead": true}},
                "fields": {"lead.name": {"readable": false}}}],
                "hooks": [{"name": "h", "object": "lead", "events": ["beforeInsert"]}],
                "objects": [{"name": "note", "fields": {"day": {"type": "date"}}}],
                "querygate": {"tables": {"lead": {}, "note": {"columnTypes": {"day": "bigint"}}}}}"#,
        );
        let error = load(&folder, &LoadOptions::default()).unwrap_err();
        // What is wrong with what is there is said at once.
        assert_eq!((error.diagnostics.len(), error.unlisted, error.unjudged), (2, 0, 5), "{error}");
        assert!(error.diagnostics[1].message.starts_with("a date field cannot be"), "{error}");
        assert!(error.diagnostics[0].location.file.ends_with("a.json"), "{error}");
        assert!(error.to_string().ends_with(&error.unsaid()[0]) && error.unsaid()[0].starts_with("5 names"), "{error}");
        write("c.json", r#"{"objects": [{"name": "Big", "fields": {}}]}"#);
        assert_eq!(load(&folder, &LoadOptions::default()).unwrap_err().diagnostics.len(), 3);
        write("a.json", r#"{"objects": [{"name": "lead", "fields": {"name": {"type": "text"}}}]}"#);
        write("c.json", "{}");
        let error = load(&folder, &LoadOptions::default()).unwrap_err();
        assert_eq!((error.diagnostics.len(), error.unjudged), (2, 0), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
