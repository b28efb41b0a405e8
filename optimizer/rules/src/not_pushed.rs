//! Why a plan stays in the gate. Holds no value.

use querygate_driver_api::capability::{Refusal, RefusalReason};
use std::fmt;

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
