//! The one error type that crosses crate borders. Knows no wire format.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

use crate::ErrorCode;
use crate::vendor::{FieldFault, Raised, VendorCode, VendorFact, VendorWords};
use serde_json::Value;
use std::fmt;

/// Result with the shared error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with everything a door may show, and a cause that only the log may.
#[derive(Debug, Clone)]
pub struct Error {
    inner: Box<Parts>,
}

#[derive(Debug, Clone)]
struct Parts {
    code: ErrorCode,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    context: Option<String>,
    constraint: Option<String>,
    relation: Option<String>,
    field: Option<String>,
    source_rule: Option<SourceRule>,
    position: Option<u32>,
    column: Option<usize>,
    cells: Vec<(usize, String)>,
    vendor: Option<VendorCode>,
    words: VendorWords,
    faults: Vec<FieldFault>,
    raised: Option<Raised>,
    row: Option<u64>,
    cause: Option<String>,
}

/// Bytes of a text of an error. A value that it quotes may be of any length, and each who hears of it would read all of it.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// A text up to [`TEXT_BYTES_MAX`], with a mark in place of what is left out.
fn bounded(text: impl Into<String>) -> String {
    let mut text = text.into();
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push_str(" ...");
        text.shrink_to_fit();
    }
    text
}

/// A rule of a source as the source itself names it: a key, a foreign key, a check, a column without NULL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceRule {
    /// The table, without its schema, whose rule it is.
    pub table: Option<String>,
    /// The constraint or the index.
    pub constraint: Option<String>,
    /// Columns that it is about; empty where the source says only its name.
    pub columns: Vec<String>,
    /// Of a foreign key: its table's rows refer to the one that was to be changed.
    pub is_referred_to: bool,
}

impl Error {
    /// `message` is lower case without a full stop and names nothing that the client may not see.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Parts {
                code,
                message: bounded(message),
                detail: None,
                hint: None,
                context: None,
                constraint: None,
                relation: None,
                field: None,
                source_rule: None,
                position: None,
                column: None,
                cells: Vec::new(),
                vendor: None,
                words: VendorWords::default(),
                faults: Vec::new(),
                raised: None,
                row: None,
                cause: None,
            }),
        }
    }

    /// An error of ours: the client gets a fixed text, `cause` goes to the log.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Internal, "internal error").with_cause(cause)
    }

    /// A sentence that adds facts.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.inner.detail = Some(bounded(detail));
        self
    }

    /// A sentence that says what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(bounded(hint));
        self
    }

    /// Where it happened, in the client's own words: a line of the data that it sent, say.
    #[must_use]
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        self.inner.context = Some(bounded(context));
        self
    }

    /// Name of the rule that was violated.
    #[must_use]
    pub fn with_constraint(mut self, name: impl Into<String>) -> Self {
        self.inner.constraint = Some(name.into());
        self
    }

    /// Table that it is about, as statements name it.
    #[must_use]
    pub fn with_relation(mut self, name: impl Into<String>) -> Self {
        self.inner.relation = Some(name.into());
        self
    }

    /// Column of that table that it is about, as statements name it.
    #[must_use]
    pub fn with_field(mut self, name: impl Into<String>) -> Self {
        self.inner.field = Some(name.into());
        self
    }

    /// The source's rule that was violated. The layer that knows what the client may see says its name.
    #[must_use]
    pub fn with_source_rule(mut self, rule: SourceRule) -> Self {
        self.inner.source_rule = Some(rule);
        self
    }

    /// This error with another text.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.inner.message = bounded(message);
        self
    }

    /// What it says to the client in other words: message, detail, hint and context.
    #[must_use]
    pub fn reworded(mut self, reword: impl Fn(&str) -> String) -> Self {
        let Parts { message, detail, hint, context, .. } = self.inner.as_mut();
        for text in std::iter::once(message).chain([detail, hint, context].into_iter().flatten()) {
            *text = reword(text);
        }
        self
    }

    /// Position in the statement's text, in characters, from 1.
    #[must_use]
    pub fn with_position(mut self, position: u32) -> Self {
        self.inner.position = Some(position);
        self
    }

    /// Place of the column, among those that a source delivers, whose value it is about. The layer that knows what the client may see says
    /// its name.
    #[must_use]
    pub fn with_column(mut self, column: usize) -> Self {
        self.inner.column = Some(column);
        self
    }

    /// What is known of the row whose value it is about: places of columns, as that of [`Error::with_column`], with their values as
    /// texts. The layer that knows what the client may see says the row's key.
    #[must_use]
    pub fn with_cells(mut self, cells: Vec<(usize, String)>) -> Self {
        self.inner.cells = cells;
        self
    }

    /// What ObjectStack calls it. Doors that speak its interface say this code with its status; others do not know it.
    #[must_use]
    pub fn with_vendor_code(mut self, code: VendorCode) -> Self {
        self.inner.vendor = Some(code);
        self
    }

    /// What ObjectStack says in place of the message. Doors that speak its interface say it, and no other.
    #[must_use]
    pub fn with_vendor_message(mut self, message: impl Into<String>) -> Self {
        self.inner.words.message = Some(bounded(message));
        self
    }

    /// A further member of ObjectStack's answer.
    #[must_use]
    pub fn with_vendor_fact(mut self, fact: VendorFact, value: impl Into<Value>) -> Self {
        self.inner.words.facts.insert(fact.name().to_owned(), value.into());
        self
    }

    /// Everything that is wrong with fields, where the message says only the first or all of it in one line.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<FieldFault>) -> Self {
        self.inner.faults = faults;
        self
    }

    /// What the metadata's own code says of the error that it raised.
    #[must_use]
    pub fn with_raised(mut self, raised: Raised) -> Self {
        self.inner.raised = Some(raised);
        self
    }

    /// Place of the row, among those that a client gave, that it is about: from 0. The door that took them says it in the client's words.
    #[must_use]
    pub fn with_row(mut self, row: u64) -> Self {
        self.inner.row = Some(row);
        self
    }

    /// What only the log may say.
    #[must_use]
    pub fn with_cause(mut self, cause: impl fmt::Display) -> Self {
        self.inner.cause = Some(bounded(cause.to_string()));
        self
    }

    /// The closed code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.inner.code
    }

    /// Text for the client.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// Detail for the client.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.inner.detail.as_deref()
    }

    /// Hint for the client.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// Where it happened, for the client.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.inner.context.as_deref()
    }

    /// Name of the rule that was violated, for the client.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.inner.constraint.as_deref()
    }

    /// Table that it is about, for the client.
    #[must_use]
    pub fn relation(&self) -> Option<&str> {
        self.inner.relation.as_deref()
    }

    /// Column of that table that it is about, for the client.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.inner.field.as_deref()
    }

    /// The source's rule that was violated, in the source's words: no door shows it.
    #[must_use]
    pub fn source_rule(&self) -> Option<&SourceRule> {
        self.inner.source_rule.as_ref()
    }

    /// Position in the statement's text, in characters, from 1.
    #[must_use]
    pub fn position(&self) -> Option<u32> {
        self.inner.position
    }

    /// Place of the column that it is about, among those that a source delivers.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.inner.column
    }

    /// What is known of the row whose value it is about: places of columns with their values. No door shows it.
    #[must_use]
    pub fn cells(&self) -> &[(usize, String)] {
        &self.inner.cells
    }

    /// What ObjectStack calls it, where it has a name for it.
    #[must_use]
    pub fn vendor_code(&self) -> Option<VendorCode> {
        self.inner.vendor
    }

    /// What ObjectStack says of it beside its code.
    #[must_use]
    pub fn vendor_words(&self) -> &VendorWords {
        &self.inner.words
    }

    /// What is wrong with single fields.
    #[must_use]
    pub fn faults(&self) -> &[FieldFault] {
        &self.inner.faults
    }

    /// What the metadata's own code says of it.
    #[must_use]
    pub fn raised(&self) -> Option<&Raised> {
        self.inner.raised.as_ref()
    }

    /// Place of the row that it is about, among those that a client gave.
    #[must_use]
    pub fn row(&self) -> Option<u64> {
        self.inner.row
    }

    /// Cause for the log only.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.inner.cause.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        if let Some(detail) = &self.inner.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_any_length_are_told_up_to_a_bound() {
        let long = "é".repeat(1 << 20);
        let error =
            Error::new(ErrorCode::UndefinedTable, long.clone()).with_detail(long.clone()).with_hint(long.clone());
        let error = error.with_context(long.clone()).with_cause(&long);
        let texts = [Some(error.message()), error.detail(), error.hint(), error.context(), error.cause()];
        for text in texts.into_iter().flatten() {
            assert!(text.len() <= TEXT_BYTES_MAX + 4 && text.ends_with("é ..."), "{} bytes", text.len());
        }
        assert_eq!(Error::new(ErrorCode::UndefinedTable, "x".repeat(TEXT_BYTES_MAX)).message().len(), TEXT_BYTES_MAX);
    }
}
