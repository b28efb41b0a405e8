//! The bounded list of findings of one load. Decides nothing but when to stop listing.

use crate::diagnostic::{Diagnostic, Severity};
use crate::model::Location;
use crate::syntax::{Node, Span};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// Errors listed; further ones are counted.
const ERRORS_MAX: usize = 100;
/// Warnings listed; further ones are counted.
const WARNINGS_MAX: usize = 1_000;

/// A parsed file.
pub(crate) struct Document {
    pub(crate) file: Arc<str>,
    pub(crate) text: String,
    pub(crate) root: Node,
    /// Where all of it stands, when it is a row of another file.
    pub(crate) origin: Option<Location>,
}

impl Document {
    pub(crate) fn location(&self, span: Span) -> Location {
        match &self.origin {
            Some(origin) => origin.clone(),
            None => Location { file: Arc::clone(&self.file), line: span.line, column: span.column },
        }
    }
}

#[derive(Default)]
pub(crate) struct Findings {
    errors: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Diagnostic>>,
    unlisted_errors: Cell<usize>,
    unlisted_warnings: Cell<usize>,
    /// A file cannot be read: what names stand for may be in it.
    misses_file: Cell<bool>,
    unjudged: Cell<usize>,
}

/// All findings of one load.
pub(crate) struct FindingParts {
    /// In order of place, as the warnings.
    pub(crate) errors: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
    /// Errors that are not listed.
    pub(crate) unlisted: usize,
    /// Errors about names that may only follow from a file that cannot be read.
    pub(crate) unjudged: usize,
}

impl Findings {
    /// Notes that a file cannot be read.
    pub(crate) fn miss_file(&self) {
        self.misses_file.set(true);
    }

    /// Adds that nothing has a name. Where a file is missing, that may only follow from it: it is counted, and not listed.
    pub(crate) fn add_unresolved(&self, diagnostic: Diagnostic) {
        if self.misses_file.get() {
            self.unjudged.set(self.unjudged.get() + 1);
        } else {
            self.add(diagnostic);
        }
    }

    pub(crate) fn add(&self, diagnostic: Diagnostic) {
        let (list, unlisted, max) = match diagnostic.severity {
            Severity::Error => (&self.errors, &self.unlisted_errors, ERRORS_MAX),
            Severity::Warning => (&self.warnings, &self.unlisted_warnings, WARNINGS_MAX),
        };
        let mut list = list.borrow_mut();
        if list.len() < max {
            list.push(diagnostic);
        } else {
            unlisted.set(unlisted.get() + 1);
        }
    }

    pub(crate) fn failed(&self) -> bool {
        !self.errors.borrow().is_empty()
    }

    pub(crate) fn into_parts(self) -> FindingParts {
        let mut errors = self.errors.into_inner();
        let mut warnings = self.warnings.into_inner();
        errors.sort_by(|a, b| a.location.cmp(&b.location));
        warnings.sort_by(|a, b| a.location.cmp(&b.location));
        if self.unlisted_warnings.get() > 0 {
            let message = format!("{} more warnings are not listed", self.unlisted_warnings.get());
            warnings.push(Diagnostic::outside(Severity::Warning, "metadata", &message));
        }
        FindingParts { errors, warnings, unlisted: self.unlisted_errors.get(), unjudged: self.unjudged.get() }
    }
}
