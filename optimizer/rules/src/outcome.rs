//! What a translation gives: a fragment with the origin of each parameter, or the reason why there is none. Holds no text of a statement.

use crate::estimate::TableEstimate;
use crate::receipt::Receipt;
use arrow::datatypes::{DataType, SchemaRef};
use querygate_driver_api::{Fragment, Refusal, RefusalReason, Value};
use querygate_types::{Error, ErrorCode, Result};
use std::fmt;
use std::sync::Arc;

/// Why a plan did not become a fragment. The text reaches the user's receipt: operators and types, no value. What it says of
/// a row policy reaches only those who may read policies; see [`NotPushed::plainly`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotPushed {
    /// Kind, for counting. `Invalid` is a fault of ours.
    pub reason: RefusalReason,
    /// Lower case, without a full stop.
    pub text: String,
    /// The operator that was being translated (`filter`, `join`, …).
    pub place: &'static str,
    /// Whether the text tells how a row policy is made.
    pub of_policy: bool,
}

impl NotPushed {
    pub(crate) fn new(reason: RefusalReason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into(), place: "", of_policy: false }
    }

    pub(crate) fn operator(text: impl Into<String>) -> Self {
        Self::new(RefusalReason::Operator, text)
    }

    pub(crate) fn kind(text: impl Into<String>) -> Self {
        Self::new(RefusalReason::Type, text)
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(RefusalReason::Invalid, text)
    }

    /// The same, about a row policy.
    #[must_use]
    pub(crate) fn of_policy(mut self) -> Self {
        self.of_policy = true;
        self
    }

    /// What every reader may be told.
    #[must_use]
    pub fn plainly(&self) -> String {
        if self.of_policy { "a row policy is applied in the gate".to_owned() } else { self.to_string() }
    }

    /// The innermost operator keeps its name.
    #[must_use]
    pub(crate) fn at(mut self, place: &'static str) -> Self {
        if self.place.is_empty() {
            self.place = place;
        }
        self
    }
}

impl From<Refusal> for NotPushed {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.reason, refusal.text)
    }
}

impl fmt::Display for NotPushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for NotPushed {}

/// Where a parameter's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterSource {
    /// A literal of the statement (constant expressions are folded before).
    Literal(Value),
    /// The client's parameter with this index, from 0. Its type is the fragment parameter's.
    Placeholder(usize),
    /// Index into [`Translation::policy_values`]. Opening the same tables for another principal with a policy of the
    /// same shape gives the same places with that principal's values.
    Policy(usize),
}

/// A plan as one fragment.
#[derive(Debug, Clone)]
pub struct Translation {
    /// The source that runs it.
    pub source: Arc<str>,
    /// Checked, and within the source's capabilities.
    pub fragment: Fragment,
    /// Origin of each of the fragment's parameters.
    pub parameters: Vec<ParameterSource>,
    /// The principal's values, in the order in which the policies asked for them.
    pub policy_values: Vec<Value>,
    /// The plan's own schema, which a client is told.
    pub schema: SchemaRef,
    /// For each column: the type to cast to after decoding, where the fragment delivers another.
    pub casts: Vec<Option<DataType>>,
    /// How many scans stand behind a fence.
    pub fences: usize,
    /// One line per operator and condition.
    pub receipt: Receipt,
    /// What it is expected to deliver; a part of a plan knows, a whole statement need not.
    pub size: TableEstimate,
}

impl Translation {
    /// The values to bind, given the client's parameters.
    ///
    /// # Errors
    /// 42P02 for a parameter that the client did not give; an internal error for a foreign policy place.
    pub fn values(&self, placeholders: &[Value]) -> Result<Vec<Value>> {
        self.values_with(placeholders, &self.policy_values)
    }

    /// The values to bind for another principal with policies of the same shape.
    ///
    /// # Errors
    /// As [`Translation::values`].
    pub fn values_with(&self, placeholders: &[Value], policy: &[Value]) -> Result<Vec<Value>> {
        let value = |source: &ParameterSource| match source {
            ParameterSource::Literal(value) => Ok(value.clone()),
            ParameterSource::Placeholder(index) => placeholders.get(*index).cloned().ok_or_else(|| {
                Error::new(ErrorCode::UndefinedParameter, format!("there is no parameter ${}", index + 1))
            }),
            ParameterSource::Policy(index) => {
                policy.get(*index).cloned().ok_or_else(|| Error::internal("policy value is missing"))
            }
        };
        self.parameters.iter().map(value).collect()
    }
}
