//! What a client hears of a hook that refuses its change or fails. A hook sees what its writer may not see, so that its own words are
//! passed on only where they can say nothing of that.

use querygate_hooks::{Fault, Thrown};
use querygate_metadata::model::Hook;
use querygate_types::vendor::{Raised, VendorCode};
use querygate_types::{Error, ErrorCode};
use serde_json::{Map, Value};

/// What the writer sees of the rows that hooks look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    All,
    Part,
    /// The rows are others than those of its statement.
    Nothing,
}

impl Audience {
    /// As of who reads a part of the rows at most.
    pub(super) fn reads_part(self) -> Self {
        match self {
            Self::All | Self::Part => Self::Part,
            Self::Nothing => Self::Nothing,
        }
    }

    /// Whether a text of a hook may be passed on: all that it was made of is the writer's to see, or it stands in the hook as it is.
    fn hears(self, hook: &Hook, text: &str, is_fixed: bool) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Part => {
                let source = hook.body.script().map(|script| script.source.as_str()).unwrap_or_default();
                let is_literal = |quote: char| source.contains(&format!("{quote}{text}{quote}"));
                is_fixed || !text.is_empty() && ['\'', '"', '`'].into_iter().any(is_literal)
            }
        }
    }

    /// Whether a status of a hook may be passed on: a number can be made of a hidden value as a text can.
    fn hears_status(self, hook: &Hook, status: u16, is_fixed: bool) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Part => {
                let source = hook.body.script().map(|script| script.source.as_str()).unwrap_or_default();
                is_fixed || has_number(source, &status.to_string())
            }
        }
    }
}

/// Whether a number stands in a text by itself.
fn has_number(text: &str, number: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    text.match_indices(number).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + number.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// The refusal of a call that a script was given, in the words that its user may hear.
pub(super) struct CallRefusal {
    error: Error,
}

impl CallRefusal {
    pub(super) fn of(error: Error) -> Self {
        tracing::debug!(%error, cause = error.cause(), "a call of a hook was refused");
        Self { error }
    }

    /// ObjectStack's code; that of a unique value is another one for hooks.
    fn vendor_code(&self) -> Option<VendorCode> {
        match (self.error.vendor_code(), self.error.code()) {
            (Some(VendorCode::UniqueViolation), _) | (None, ErrorCode::UniqueViolation) => {
                Some(VendorCode::DuplicateRecord)
            }
            (None, ErrorCode::FeatureNotSupported) => Some(VendorCode::NotImplemented),
            (code, _) => code,
        }
    }

    fn name(&self) -> &'static str {
        match self.vendor_code() {
            Some(VendorCode::PermissionDenied | VendorCode::Forbidden) => "PermissionDeniedError",
            Some(VendorCode::ValidationFailed) => "ValidationError",
            Some(_) | None => "Error",
        }
    }

    fn code(&self) -> String {
        match (self.vendor_code(), self.error.raised()) {
            (Some(code), _) => code.name().to_owned(),
            (None, Some(Raised { code: Some(code), .. })) => code.clone(),
            (None, _) => self.error.code().sqlstate().to_owned(),
        }
    }

    fn status(&self) -> u16 {
        let raised = self.error.raised().and_then(|raised| raised.status);
        raised.or_else(|| self.vendor_code().map(VendorCode::http)).unwrap_or_else(|| self.error.code().http())
    }

    /// As the script is given it.
    pub(super) fn text(&self) -> String {
        let mut told = Map::new();
        told.insert("ok".to_owned(), false.into());
        told.insert("name".to_owned(), self.name().into());
        told.insert("message".to_owned(), self.error.message().into());
        told.insert("code".to_owned(), self.code().into());
        told.insert("status".to_owned(), self.status().into());
        told.insert("sqlstate".to_owned(), self.error.code().sqlstate().into());
        Value::Object(told).to_string()
    }

    /// Whether it is what a script threw.
    fn is(&self, thrown: &Thrown) -> bool {
        thrown.message == self.error.message() && thrown.code.as_deref() == Some(self.code().as_str())
    }

    /// The error of the change that it refuses, as if the caller had sent the call.
    fn passed_on(&self, cause: String) -> Error {
        let text = match self.name() {
            "Error" => self.error.message().to_owned(),
            name => format!("{name}: {}", self.error.message()),
        };
        let error = Error::new(self.error.code(), text).with_cause(cause);
        match (self.vendor_code(), self.error.raised()) {
            (Some(code), _) => error.with_vendor_code(code),
            (None, Some(raised)) => error.with_raised(raised.clone()),
            (None, None) => error,
        }
    }
}

/// The error of a change that a hook's fault refuses. `refusals`: of calls in the name of the caller.
pub(super) fn refused(hook: &Hook, fault: &Fault, audience: Audience, refusals: &[CallRefusal]) -> Error {
    let thrown = match fault {
        Fault::Thrown(thrown) => thrown,
        Fault::Native(why) => return failed(hook, &format!("{}: {why}", fault.reason())),
        other => return failed(hook, other.reason()),
    };
    if let Some(refusal) = refusals.iter().find(|refusal| refusal.is(thrown)) {
        return refusal.passed_on(format!("the hook '{}' passes a refusal on: {}", hook.name, thrown.message));
    }
    let Thrown { message, code, status, is_fixed } = thrown;
    let cause = format!("the hook '{}' threw: {message}", hook.name);
    let text = if audience.hears(hook, message, *is_fixed) {
        message.as_str()
    } else {
        "a hook of the table refuses the change"
    };
    let code = code.clone().filter(|code| audience.hears(hook, code, *is_fixed));
    let status = status.filter(|status| audience.hears_status(hook, *status, *is_fixed));
    Error::new(ErrorCode::RaisedException, text).with_raised(Raised { code, status }).with_cause(cause)
}

/// The error of a change of which a hook could not say whether it may be.
pub(super) fn failed(hook: &Hook, reason: &str) -> Error {
    let cause = format!("the hook '{}' failed: {reason}", hook.name);
    Error::new(ErrorCode::ExternalRoutineException, "a hook of the table failed, and nothing was changed")
        .with_hint("An operator finds the reason in the log.")
        .with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::has_number;

    #[test]
    fn a_number_stands_by_itself() {
        assert!(has_number("e.status = 418; throw e", "418"));
        assert!(has_number("{status:404}", "404"));
        assert!(!has_number("400 + Math.floor(ctx.previous.margin)", "405"));
        assert!(!has_number("1418 418.5 x418 4180", "418"));
    }
}
