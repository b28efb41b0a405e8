//! What a check says of permissions that objects and fields require, that the metadata declares, and that no permission set gives. Those that
//! it does not declare either are the loader's to warn of.

use crate::governance::Governance;
use querygate_metadata::model::{Location, Object};
use querygate_metadata::{Diagnostic, Severity};
use std::collections::BTreeSet;

pub(super) fn findings(governance: &Governance) -> Vec<Diagnostic> {
    let (snapshot, policies) = (&governance.snapshot, &governance.policies);
    let stored = governance.stored_sets.iter().filter_map(|(set, _)| policies.permission_set(set));
    let sets = snapshot.permission_sets.values().map(|set| &**set).chain(stored);
    let given: BTreeSet<&str> = sets.flat_map(|set| set.system_permissions.iter().map(String::as_str)).collect();
    let is_lost = |name: &&str| snapshot.capabilities.contains_key(*name) && !given.contains(name);
    let mut found = Vec::new();
    for object in snapshot.objects.values() {
        let lost = required(object).into_iter().filter(is_lost);
        let effect = "what requires it is denied to everybody";
        found.extend(lost.map(|lost| finding(&object.name, lost, &object.location, effect)));
        for field in object.fields.values() {
            let is_masked = field.masking_rule.is_some();
            let effect = if is_masked { "everybody sees its mask" } else { "it is hidden from everybody" };
            let (name, required) = (format!("{}.{}", object.name, field.name), &field.required_permissions);
            let lost = required.iter().map(String::as_str).filter(is_lost);
            found.extend(lost.map(|lost| finding(&name, lost, &field.location, effect)));
        }
    }
    found
}

/// What any operation on an object requires, each once.
fn required(object: &Object) -> BTreeSet<&str> {
    let required = &object.required_permissions;
    let all = [&required.read, &required.create, &required.update, &required.delete];
    all.into_iter().flatten().map(String::as_str).collect()
}

fn finding(what: &str, lost: &str, at: &Location, effect: &str) -> Diagnostic {
    let message = format!("{what} requires the permission '{lost}', which no permission set gives: {effect}");
    let mut finding = Diagnostic::at(Severity::Warning, at, &message);
    finding.hint = Some(format!("Add '{lost}' to `systemPermissions` of a permission set."));
    finding
}
