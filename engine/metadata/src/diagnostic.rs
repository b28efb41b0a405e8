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

/// One finding. `Display` renders it over several lines with the source line and a marker below it.
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
    /// The source line, when there is one; a long line is cut around the place.
    pub source_line: Option<String>,
    /// Column of the place within `source_line`, from 1.
    pub source_column: u32,
    /// Characters to underline, at least 1.
    pub length: u32,
}

/// Characters of a source line shown.
const LINE_MAX: usize = 110;
/// Characters shown before the place in a cut line.
const LEAD: usize = 40;

impl Diagnostic {
    /// A finding without a place in a text.
    #[must_use]
    pub fn outside(severity: Severity, what: &str, message: &str) -> Self {
        Self {
            severity,
            location: Location::outside(what),
            path: String::new(),
            message: message.to_owned(),
            hint: None,
            source_line: None,
            source_column: 1,
            length: 1,
        }
    }

    /// A finding at a place.
    #[must_use]
    pub fn at(severity: Severity, location: &Location, message: &str) -> Self {
        Self { location: location.clone(), ..Self::outside(severity, "", message) }
    }

    /// Takes the line of `location` out of `text`.
    #[must_use]
    pub fn with_source(mut self, text: &str, length: u32) -> Self {
        self.length = length.max(1);
        self.source_column = self.location.column;
        let Some(index) = self.location.line.checked_sub(1) else { return self };
        let Some(line) = text.lines().nth(usize::try_from(index).unwrap_or(usize::MAX)) else { return self };
        let characters = line.chars().count();
        if characters <= LINE_MAX {
            self.source_line = Some(line.to_owned());
            return self;
        }
        let column = usize::try_from(self.location.column).unwrap_or(1).max(1);
        let skip = (column - 1).saturating_sub(LEAD);
        let cut: String = line.chars().skip(skip).take(LINE_MAX).collect();
        self.source_column = u32::try_from(column - skip).unwrap_or(1);
        self.source_line = Some(cut);
        self
    }

    /// The source line as it is shown, and the marker that belongs below it.
    #[must_use]
    pub fn excerpt(&self) -> Option<(String, String)> {
        let line = self.source_line.as_ref()?;
        let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let lead = usize::try_from(self.source_column.saturating_sub(1)).unwrap_or(0);
        let room = shown.chars().count().saturating_sub(lead).max(1);
        let length = usize::try_from(self.length).unwrap_or(1).clamp(1, room);
        let marker = format!("{}{}", " ".repeat(lead), "^".repeat(length));
        Some((shown, marker))
    }
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
        if let Some((shown, marker)) = self.excerpt() {
            let number = self.location.line.to_string();
            let margin = " ".repeat(number.len());
            write!(f, "\n {margin} |\n {number} | {shown}")?;
            write!(f, "\n {margin} | {marker}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n   = help: {hint}")?;
        }
        Ok(())
    }
}
