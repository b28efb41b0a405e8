//! One finding about metadata, with its place, and its rendering. Does not decide what is wrong.

use crate::model::Location;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Accepted, without effect here.
    Warning,
    /// The metadata is refused.
    Error,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub severity: Severity,
    pub location: Location,
    /// Key path, such as `objects[3].fields.email.maskingRule`; empty for the file itself.
    pub path: String,
    /// Lower case, no full stop.
    pub message: String,
    /// A sentence that says what to do.
    pub hint: Option<String>,
    /// The source line, when there is one.
    pub source_line: Option<String>,
    /// Characters to underline, at least 1.
    pub length: u32,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}\n  --> {}", self.message, self.location)?;
        if !self.path.is_empty() {
            write!(f, " at {}", self.path)?;
        }
        Ok(())
    }
}
