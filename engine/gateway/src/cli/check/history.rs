//! What a check says of `trackHistory`: where it has no effect, and why.

use crate::config::Config;
use crate::governance::Governance;
use querygate_metadata::model::{Field, Object, Untracked};
use querygate_metadata::{Diagnostic, Severity};

/// Objects that are named in one finding.
const NAMED_MAX: usize = 5;

pub(super) fn findings(config: &Config, governance: &Governance) -> Vec<Diagnostic> {
    let objects = governance.snapshot.objects.values();
    if config.history.is_some() {
        return objects.flat_map(|object| of_object(object)).collect();
    }
    // A gate that takes no changes has nothing to keep.
    let asked: Vec<&str> = objects.filter(|object| config.writes && asks(object)).map(|o| o.name.as_str()).collect();
    if asked.is_empty() {
        return Vec::new();
    }
    let named = asked.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let more = asked.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!("`trackHistory` of {named}{more} has no effect: there is no [history]");
    let mut finding = Diagnostic::outside(Severity::Warning, "the configuration", &message);
    finding.hint = Some("Add [events] and [history] to keep old and new values.".to_owned());
    vec![finding]
}

fn asks(object: &Object) -> bool {
    object.tracked_fields().next().is_some() || !object.untracked().is_empty()
}

fn of_object(object: &Object) -> Vec<Diagnostic> {
    let finding = |(field, why): (Option<&Field>, Untracked)| {
        let (what, place) = match field {
            Some(field) => (format!("{}.{}", object.name, field.name), &field.location),
            None => (object.name.clone(), &object.location),
        };
        let why = match why {
            Untracked::Key => "its records are not told apart by one field of their table",
            Untracked::Computed => "it is computed when it is read, and not stored",
            Untracked::Secret => "its values are not kept",
        };
        Diagnostic::at(Severity::Warning, place, &format!("`trackHistory` of `{what}` has no effect: {why}"))
    };
    object.untracked().into_iter().map(finding).collect()
}
