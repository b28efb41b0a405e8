//! Validations of an object: what a written record must not be. Says nothing of how they are evaluated.

use super::{Expression, Location};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// `severity` of a validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ValidationSeverity {
    /// Refuses the write.
    Error,
    /// Reported, does not refuse.
    Warning,
    /// Reported, does not refuse.
    Info,
}

/// `events` of a validation. Deletes are never validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ValidationEvents {
    pub insert: bool,
    pub update: bool,
}

/// A named form of texts, `format` of a format validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TextFormat {
    Email,
    Url,
    Phone,
    Json,
}

/// What violates a validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ValidationCheck {
    /// `script` and `cross_field`: the condition holds for the record. A violation is of the first field, or of the record.
    Condition { condition: Expression, fields: Vec<String> },
    /// `format`: a value that is given and has neither this form nor matches this pattern.
    Format { field: String, regex: Option<String>, format: Option<TextFormat> },
    /// `state_machine`: a state that may not follow the one before, or may not be the first.
    StateMachine {
        field: String,
        transitions: IndexMap<String, Vec<String>>,
        /// Any state may be the first where this is absent.
        initial_states: Option<Vec<String>>,
    },
    /// `json_schema`: a value that is given and does not fit the schema.
    JsonSchema { field: String, schema: serde_json::Value },
    /// `conditional`: one of two validations, by a condition.
    Conditional { when: Expression, then: Box<Validation>, otherwise: Option<Box<Validation>> },
    /// One in Rust, by its name without `native:`. It looks at these fields, or at all.
    Native { name: String, fields: Vec<String> },
}

/// A rule of an object's `validations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    pub name: String,
    pub label: Option<String>,
    /// What a user is told.
    pub message: String,
    pub active: bool,
    pub events: ValidationEvents,
    /// Low first.
    pub priority: i64,
    pub severity: ValidationSeverity,
    pub check: ValidationCheck,
    #[serde(skip)]
    pub location: Location,
}

impl Validation {
    /// Every expression of it and of those inside.
    #[must_use]
    pub fn expressions(&self) -> Vec<&Expression> {
        match &self.check {
            ValidationCheck::Condition { condition, .. } => vec![condition],
            ValidationCheck::Format { .. }
            | ValidationCheck::StateMachine { .. }
            | ValidationCheck::JsonSchema { .. }
            | ValidationCheck::Native { .. } => Vec::new(),
            ValidationCheck::Conditional { when, then, otherwise } => {
                let inner = std::iter::once(then).chain(otherwise).flat_map(|rule| rule.expressions());
                std::iter::once(when).chain(inner).collect()
            }
        }
    }
}
