//! What a client hears of a hook that refuses its change or fails. A hook sees what its writer may not see, so that its own words are
//! passed on only where they can say nothing of that.

use querygate_hooks::{Fault, Thrown};
use querygate_metadata::model::Hook;
use querygate_types::vendor::Raised;
use querygate_types::{Error, ErrorCode};

/// What the writer sees of the rows that hooks look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    ReadsAll,
    ReadsPart,
    /// The rows are others than those of its statement.
    ReadsNothing,
}

impl Audience {
    /// Whether a text of a hook may be passed on: all that it was made of is the writer's to see, or it stands in the hook as it is.
    fn hears(self, hook: &Hook, text: &str) -> bool {
        match self {
            Self::ReadsAll => true,
            Self::ReadsNothing => false,
            Self::ReadsPart => {
                let is_literal = |quote: char| hook.script.source.contains(&format!("{quote}{text}{quote}"));
                !text.is_empty() && ['\'', '"', '`'].into_iter().any(is_literal)
            }
        }
    }
}

/// The error of a change that a hook's fault refuses.
pub(super) fn refused(hook: &Hook, fault: &Fault, audience: Audience) -> Error {
    let Fault::Thrown(Thrown { message, code, status }) = fault else { return failed(hook, fault.reason()) };
    let cause = format!("the hook '{}' threw: {message}", hook.name);
    let text = if audience.hears(hook, message) { message.as_str() } else { "a hook of the table refuses the change" };
    let code = code.clone().filter(|code| audience.hears(hook, code));
    Error::new(ErrorCode::RaisedException, text).with_raised(Raised { code, status: *status }).with_cause(cause)
}

/// The error of a change of which a hook could not say whether it may be.
pub(super) fn failed(hook: &Hook, reason: &str) -> Error {
    let cause = format!("the hook '{}' failed: {reason}", hook.name);
    Error::new(ErrorCode::ExternalRoutineException, "a hook of the table failed, and nothing was changed")
        .with_hint("An operator finds the reason in the log.")
        .with_cause(cause)
}
