//! Lists of options that fields share: who defines them, who adds to them, and the fields that take them.

use super::assemble::first_place;
use super::extend::forget_digest;
use super::readers::field::read_options;
use super::readers::shapes;
use crate::model::{Picklist, PicklistPart, SelectOption, Snapshot};
use crate::read::{At, nearest};
use std::sync::Arc;

/// A list, or what a package adds to one.
pub(super) struct PicklistDraft<'a> {
    name: String,
    label: String,
    part: PicklistPart,
    is_extension: bool,
    at: At<'a>,
}

pub(super) fn read_picklist<'a>(at: &At<'a>, package: &str) -> Option<PicklistDraft<'a>> {
    let map = at.map(&shapes::PICKLIST)?;
    let name_at = map.required("name")?;
    let name = name_at.name()?;
    map.required("options");
    let label = map.text("label").unwrap_or_else(|| name.clone());
    let part = PicklistPart { package: package.to_owned(), options: read_options(&map) };
    Some(PicklistDraft { name, label, part, is_extension: false, at: name_at })
}

pub(super) fn read_picklist_extension<'a>(at: &At<'a>, package: &str) -> Option<PicklistDraft<'a>> {
    let map = at.map(&shapes::PICKLIST_EXTENSION)?;
    let name_at = map.required("extend")?;
    let name = name_at.text()?;
    map.required("options");
    let part = PicklistPart { package: package.to_owned(), options: read_options(&map) };
    Some(PicklistDraft { label: name.clone(), name, part, is_extension: true, at: name_at })
}

/// Adds the lists, then what extends them, and gives each field the options of its list.
pub(super) fn add_picklists(snapshot: &mut Snapshot, drafts: Vec<PicklistDraft<'_>>) {
    let (extensions, lists): (Vec<_>, Vec<_>) = drafts.into_iter().partition(|draft| draft.is_extension);
    for PicklistDraft { name, label, part, at, .. } in lists {
        if let Some(first) = snapshot.picklists.get(&name) {
            at.error_with(format!("picklist '{name}' is defined twice"), first_place(&first.location));
            continue;
        }
        let location = at.location();
        snapshot.picklists.insert(name.clone(), Picklist { name, label, parts: vec![part], location });
    }
    for PicklistDraft { name, part, at, .. } in extensions {
        match snapshot.picklists.get_mut(&name) {
            Some(list) => {
                if let Some(option) =
                    part.options.iter().find(|option| list.options().any(|own| own.value == option.value))
                {
                    at.error(format!("picklist '{name}' has the option '{}' already", option.value));
                }
                list.parts.push(part);
            }
            None => unknown(snapshot, &name, &at),
        }
    }
    resolve(snapshot);
}

/// # Errors
/// There is no such list, which is said at the name's place.
pub(super) fn unknown(snapshot: &Snapshot, name: &str, at: &At<'_>) {
    let near = nearest(name, snapshot.picklists.keys().map(String::as_str));
    let hint = near.map(|near| format!("Did you mean '{near}'?"));
    at.unresolved(format!("unknown picklist '{name}'"), hint);
}

/// Gives each field that names a list its options.
pub(crate) fn resolve(snapshot: &mut Snapshot) {
    let mut changed = Vec::new();
    for (name, object) in &mut snapshot.objects {
        let options = |list: &Option<String>| -> Option<Vec<SelectOption>> {
            Some(snapshot.picklists.get(list.as_deref()?)?.options().cloned().collect())
        };
        let is_stale =
            object.fields.values().any(|field| options(&field.picklist).is_some_and(|own| own != field.options));
        if !is_stale {
            continue;
        }
        for field in Arc::make_mut(object).fields.values_mut() {
            if let Some(options) = options(&field.picklist) {
                field.options = options;
            }
        }
        changed.push(name.clone());
    }
    for name in changed {
        forget_digest(snapshot, &name);
    }
}
