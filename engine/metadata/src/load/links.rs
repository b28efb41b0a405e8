//! Names that point at other definitions, noted while reading and checked when everything is known.

use super::native::{NativeKind, NativeNames};
use super::picklists;
use crate::model::{Field, FieldType, Object, PermissionSet, Position, Snapshot, is_platform};
use crate::read::{At, nearest};
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a name must be.
pub(super) enum Target {
    /// An object of this stack or of the platform; anything else is an error.
    Object(String),
    /// As `Object`, or `*`.
    ObjectOrAny(String),
    /// An object; one outside the stack is accepted with a warning.
    Reference(String),
    /// A field of an object, injected ones included.
    Field {
        object: String,
        field: String,
    },
    Position(String),
    Capability(String),
    Datasource(String),
    /// Exactly one reference from child to parent.
    Rollup {
        child: String,
        parent: String,
    },
    Picklist(String),
    /// A scope of the hierarchy add-on.
    HierarchyScope,
    /// A flow that needs the capability `triggers`.
    Trigger,
    /// Something in Rust, by its name without `native:`.
    Native(NativeKind, String),
}

pub(super) struct Link<'a> {
    pub(super) at: At<'a>,
    pub(super) target: Target,
}

#[derive(Default)]
pub(super) struct Links<'a> {
    all: Vec<Link<'a>>,
}

impl<'a> Links<'a> {
    pub(super) fn add(&mut self, link: Link<'a>) {
        self.all.push(link);
    }

    /// Reads a list of capability names.
    pub(super) fn capabilities(&mut self, at: Option<&At<'a>>) -> Vec<String> {
        let mut names = Vec::new();
        for item in at.map(At::list).unwrap_or_default() {
            let Some(name) = item.text() else { continue };
            if name.is_empty() {
                item.error("an empty permission name cannot be held");
            }
            self.add(Link { at: item, target: Target::Capability(name.clone()) });
            names.push(name);
        }
        names
    }
}

/// Objects that a hint lists.
const OBJECTS_LISTED: usize = 12;

/// The object that a name is most like; a name without the namespace is like the full one.
pub(super) fn nearest_object<'o>(name: &str, objects: impl Iterator<Item = &'o str> + Clone) -> Option<&'o str> {
    let lower = name.to_lowercase();
    let mut short = objects.clone().filter(|object| {
        object.strip_suffix(lower.as_str()).is_some_and(|namespace| namespace.ends_with('_') && namespace.len() > 1)
    });
    if let (Some(only), None) = (short.next(), short.next()) {
        return Some(only);
    }
    let near = nearest(name, objects.clone());
    // A misspelt name without the namespace.
    near.or_else(|| {
        let tails = objects.clone().filter_map(|object| object.split_once('_').map(|(_, tail)| tail));
        let tail = nearest(name, tails)?;
        objects.clone().find(|object| object.split_once('_').is_some_and(|(_, own)| own == tail))
    })
}

/// Positions that exist without being declared.
pub(super) const BUILTIN_POSITIONS: &[&str] =
    &["platform_admin", "org_owner", "org_admin", "org_member", "everyone", "guest", "delegated_admin"];

/// Everything that names are checked against.
pub(super) struct Known<'k> {
    pub(super) objects: &'k IndexMap<String, Arc<Object>>,
    pub(super) permission_sets: &'k IndexMap<String, Arc<PermissionSet>>,
    pub(super) positions: &'k IndexMap<String, Position>,
    /// Positions of seed rows.
    pub(super) seeded_positions: &'k BTreeSet<String>,
    pub(super) capabilities: &'k BTreeSet<String>,
    pub(super) datasources: &'k BTreeSet<String>,
    pub(super) requires: &'k BTreeSet<String>,
    pub(super) natives: &'k NativeNames,
    pub(super) snapshot: &'k Snapshot,
}

impl Known<'_> {
    pub(super) fn check(&self, links: &Links<'_>) {
        for link in &links.all {
            self.check_one(link);
        }
    }

    fn check_one(&self, link: &Link<'_>) {
        let at = &link.at;
        match &link.target {
            Target::Object(name) => self.object(at, name),
            Target::ObjectOrAny(name) if name == "*" => {}
            Target::ObjectOrAny(name) => self.object(at, name),
            Target::Reference(name) => self.reference(at, name),
            Target::Field { object, field } => self.field(at, object, field),
            Target::Position(name) => self.position(at, name),
            Target::Capability(name) => self.capability(at, name),
            Target::Datasource(name) => self.datasource(at, name),
            Target::Rollup { child, parent } => self.rollup(at, child, parent),
            Target::Picklist(name) if self.snapshot.picklists.contains_key(name) => {}
            Target::Picklist(name) => picklists::unknown(self.snapshot, name, at),
            Target::HierarchyScope => self.hierarchy(at),
            Target::Native(kind, name) => self.natives.check(at, *kind, name),
            Target::Trigger if self.requires.contains("triggers") => {}
            Target::Trigger => at.error_with(
                "a flow with a record or schedule trigger needs the capability 'triggers'",
                "Add 'triggers' to `requires`.",
            ),
        }
    }

    fn object(&self, at: &At<'_>, name: &str) {
        if self.objects.contains_key(name) {
            return;
        }
        let near = self.near_object(name);
        // A platform's object is not ours to know, unless the name is nearly one that is declared here.
        if is_platform(name) && near.is_none_or(|near| !is_platform(near)) {
            return;
        }
        at.unresolved(format!("unknown object '{name}'"), Some(self.object_hint(near)));
    }

    fn near_object(&self, name: &str) -> Option<&str> {
        nearest_object(name, self.objects.keys().map(String::as_str))
    }

    fn object_hint(&self, near: Option<&str>) -> String {
        match near {
            Some(near) => format!("Did you mean '{near}'?"),
            None if self.objects.is_empty() => "There are no objects here.".to_owned(),
            None => {
                let listed: Vec<&str> = self.objects.keys().take(OBJECTS_LISTED).map(String::as_str).collect();
                let more = if listed.len() < self.objects.len() { ", …" } else { "" };
                format!("The objects here are: {}{more}.", listed.join(", "))
            }
        }
    }

    fn reference(&self, at: &At<'_>, name: &str) {
        if self.objects.contains_key(name) || is_platform(name) {
            return;
        }
        let near = self.near_object(name);
        let hint = near.map(|near| format!("Did you mean '{near}'?"));
        at.name_warning(format!("object '{name}' is not part of this metadata"), hint);
    }

    fn field(&self, at: &At<'_>, object: &str, field: &str) {
        let Some(object) = self.objects.get(object) else { return };
        if object.fields.contains_key(field) {
            return;
        }
        let near = nearest(field, object.fields.keys().map(String::as_str));
        at.unresolved(
            format!("object '{}' has no field '{field}'", object.name),
            near.map(|near| format!("Did you mean '{near}'?")),
        );
    }

    /// A misspelt position would make a policy apply to nobody, and so restrict nobody.
    fn position(&self, at: &At<'_>, name: &str) {
        let known = self.positions.keys().map(String::as_str).chain(self.seeded_positions.iter().map(String::as_str));
        let mut known = known.chain(BUILTIN_POSITIONS.iter().copied());
        if known.any(|known| known == name) {
            return;
        }
        let near = nearest(name, self.positions.keys().map(String::as_str));
        match near {
            Some(near) => at.unresolved(format!("unknown position '{name}'"), Some(format!("Did you mean '{near}'?"))),
            None => at.warn(
                format!("position '{name}' is not declared"),
                Some("The policy applies to nobody until somebody holds this position.".to_owned()),
            ),
        }
    }

    fn capability(&self, at: &At<'_>, name: &str) {
        let granted = self.permission_sets.values().any(|set| set.system_permissions.iter().any(|held| held == name));
        if granted || self.capabilities.contains(name) {
            return;
        }
        let near = nearest(name, self.capabilities.iter().map(String::as_str));
        at.warn(
            format!("permission '{name}' is neither declared nor granted"),
            Some(near.map_or_else(
                || "Nobody holds it, so access is denied to everybody.".to_owned(),
                |near| format!("Did you mean '{near}'? As it stands, access is denied to everybody."),
            )),
        );
    }

    fn datasource(&self, at: &At<'_>, name: &str) {
        if name == "default" || self.datasources.contains(name) {
            return;
        }
        let near = nearest(name, self.datasources.iter().map(String::as_str));
        at.name_warning(
            format!("datasource '{name}' is not declared here"),
            Some(near.map_or_else(
                || "It must be a source of the gate's configuration.".to_owned(),
                |near| format!("Did you mean '{near}'?"),
            )),
        );
    }

    fn rollup(&self, at: &At<'_>, child: &str, parent: &str) {
        let Some(object) = self.objects.get(child) else { return };
        let count = back_references(object, parent).count();
        if count != 1 {
            at.error_with(
                format!("{count} fields of '{child}' point at '{parent}'"),
                "Name the one to follow in `relationshipField`.",
            );
        }
    }

    fn hierarchy(&self, at: &At<'_>) {
        if self.requires.contains("hierarchy-security") {
            at.warn("hierarchy scopes act as 'own' without the hierarchy add-on", None);
        } else {
            at.error_with(
                "a hierarchy scope needs the capability 'hierarchy-security'",
                "Use 'own' or 'org', or add 'hierarchy-security' to `requires`.",
            );
        }
    }
}

/// Fields of `child` that point at `parent`.
pub(super) fn back_references<'o>(child: &'o Object, parent: &'o str) -> impl Iterator<Item = &'o Field> {
    child.fields.values().filter(move |field| {
        matches!(field.field_type, FieldType::Lookup | FieldType::MasterDetail)
            && field.reference.as_deref() == Some(parent)
    })
}

/// Capabilities of the platform itself.
pub(super) const PLATFORM_CAPABILITIES: &[&str] = &[
    "manage_users",
    "manage_org_users",
    "manage_metadata",
    "manage_org_presentation",
    "manage_platform_settings",
    "setup.access",
    "setup.write",
    "studio.access",
    "manage_sharing",
];
