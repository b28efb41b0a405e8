//! Applies object extensions, low priority first, and refuses one that would take protection away.

use super::assemble::may_extend_later;
use super::hash::object_key;
use crate::model::{Extended, Extension, Field, Object, Snapshot};
use crate::read::{At, nearest};
use std::sync::Arc;

pub(super) fn add_extensions(snapshot: &mut Snapshot, extensions: Vec<(Extension, At<'_>)>) {
    let mut touched: Vec<String> = Vec::new();
    for (extension, at) in extensions {
        let target = extension.target.clone();
        let Some(object) = snapshot.objects.get(&target) else {
            unknown_target(snapshot, &target, &at);
            continue;
        };
        for field in &extension.fields {
            if let Some(lost) = object.fields.get(&field.name).and_then(|old| lost_protection(old, field)) {
                at.error_with(
                    format!("the extension's field '{}' drops the {lost} of the field it replaces", field.name),
                    "Repeat it in the extension's field.",
                );
            }
        }
        let base = Arc::clone(object);
        let entry = snapshot.extended.entry(target.clone()).or_insert_with(|| Extended { base, extensions: vec![] });
        entry.extensions.push(Arc::new(extension));
        touched.push(target);
    }
    for target in touched {
        if let Some(entry) = snapshot.extended.get_mut(&target) {
            entry.extensions.sort_by_key(|extension| extension.priority);
            let object = apply(&entry.base, &entry.extensions);
            forget_digest(snapshot, &target);
            snapshot.objects.insert(target, Arc::new(object));
        }
    }
}

/// An object that is about to change gets a new digest.
pub(crate) fn forget_digest(snapshot: &mut Snapshot, object: &str) {
    Arc::make_mut(&mut snapshot.digests).remove(&object_key(object));
}

fn unknown_target(snapshot: &Snapshot, target: &str, at: &At<'_>) {
    if may_extend_later(target) {
        at.warn(
            format!("object '{target}' belongs to the platform and is not loaded; the extension has no effect"),
            None,
        );
        return;
    }
    let near = nearest(target, snapshot.objects.keys().map(String::as_str));
    at.unresolved(
        format!("the extended object '{target}' is not defined"),
        near.map(|near| format!("Did you mean '{near}'?")),
    );
}

/// What the old field has and the new one has not.
fn lost_protection(old: &Field, new: &Field) -> Option<&'static str> {
    if old.masking_rule.is_some() && old.masking_rule != new.masking_rule {
        return Some("masking rule");
    }
    if old.field_type.always_masked() && !new.field_type.always_masked() {
        return Some("masking");
    }
    if old.required_permissions.iter().any(|name| !new.required_permissions.contains(name)) {
        return Some("required permissions");
    }
    (old.internal && !new.internal).then_some("internal mark")
}

pub(super) fn apply(base: &Object, extensions: &[Arc<Extension>]) -> Object {
    let mut object = base.clone();
    for extension in extensions {
        for field in &extension.fields {
            object.fields.insert(field.name.clone(), field.clone());
        }
        if let Some(label) = &extension.label {
            object.label.clone_from(label);
        }
        if extension.plural_label.is_some() {
            object.plural_label.clone_from(&extension.plural_label);
        }
        if extension.description.is_some() {
            object.description.clone_from(&extension.description);
        }
        object.validations.extend(extension.validations.iter().cloned());
        object.indexes.extend(extension.indexes.iter().cloned());
        if !object.extended_by.contains(&extension.package) {
            object.extended_by.push(extension.package.clone());
        }
    }
    object
}
