//! Refuses to judge by ids that are of nothing: permission sets that a user holds, and what rows that are given name.

use super::rows::Rows;
use crate::cli::check::{count, is_built_in, unknown_sets};
use crate::config::User;
use crate::config::diagnostic::nearest;
use crate::governance::Governance;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeSet;

/// Looks up the permission sets that the configuration gives to a user.
///
/// # Errors
/// One that does not exist: `serve` gives nothing for it, and no layer would say so.
pub(super) fn sets_of(user: &User, governance: &Governance) -> Result<()> {
    let held = user.principal.permission_sets.iter().map(String::as_str);
    let mut unknown = held.filter(|set| governance.policies.permission_set(set).is_none() && !is_built_in(set));
    let Some(set) = unknown.next() else { return Ok(()) };
    let message = format!("user `{}` holds permission set `{set}`, which does not exist", user.name);
    Err(unknown_id(message, set, &set_names(governance), "permission set"))
}

/// Looks up what given rows name.
///
/// # Errors
/// An object, a permission set or a user that does not exist.
pub(super) fn names_of(given: &Rows, governance: &Governance) -> Result<()> {
    let snapshot = &governance.snapshot;
    let objects: BTreeSet<&str> = snapshot.objects.keys().map(String::as_str).collect();
    let is_known = |object: &str| object.starts_with(SYSTEM) || objects.contains(object);
    if let Some(object) = given.objects().find(|object| !is_known(object)) {
        let message = format!("rows are given of `{object}`, which is no object");
        return Err(unknown_id(message, object, &objects, "object"));
    }
    if !given.objects().any(|object| object.starts_with(SYSTEM)) {
        return Ok(());
    }
    if let Some(set) = unknown_sets(governance).first() {
        let message = format!("rows name the permission set `{set}`, which does not exist");
        return Err(unknown_id(message, set, &set_names(governance), "permission set"));
    }
    let facts = &governance.facts;
    let Some((id, place)) = given.user_ids().find(|(id, _)| !facts.may_be_user(id)) else { return Ok(()) };
    let configured = facts.configured_users.iter().flatten();
    let users: BTreeSet<&str> = configured.chain(facts.users.keys()).map(String::as_str).collect();
    let message = format!("{place} names the user `{id}`, who does not exist");
    Err(unknown_id(message, id, &users, "user"))
}

/// What the names of the platform's own objects begin with.
const SYSTEM: &str = "sys_";

fn set_names(governance: &Governance) -> BTreeSet<&str> {
    let stored = governance.stored_sets.iter().map(|(set, _)| set);
    governance.snapshot.permission_sets.keys().chain(stored).map(String::as_str).collect()
}

/// With the nearest of the names that there are, and without one with their number.
fn unknown_id(message: String, id: &str, known: &BTreeSet<&str>, what: &str) -> Error {
    let error = Error::new(ErrorCode::InvalidParameterValue, message);
    match nearest(id, known.iter().copied()) {
        Some(near) => error.with_hint(format!("Did you mean {near}?")),
        None => error.with_hint(format!("{} known, none with a name like it.", is_or_are(known.len(), what))),
    }
}

fn is_or_are(number: usize, what: &str) -> String {
    let verb = if number == 1 { "is" } else { "are" };
    format!("{} {verb}", count(number, what))
}
