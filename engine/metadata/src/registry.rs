//! Packages as units: who owns what, who depends on whom, installing and taking out. Makes new snapshots, changes none.

use crate::load::{LoadError, LoadOptions, extended_object, forget_digest, load_onto, resolve_picklists, seal};
use crate::model::{Extended, Object, Package, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// A snapshot with its package indexes.
#[derive(Debug, Clone)]
pub struct Registry {
    snapshot: Arc<Snapshot>,
    /// Tag to package ids.
    tags: BTreeMap<String, BTreeSet<String>>,
    /// Package id to the packages that need it, with one reason each.
    dependents: BTreeMap<String, BTreeMap<String, String>>,
}

/// Why a package stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UninstallError {
    /// No package has this id.
    Unknown,
    /// Others need it: package id and reason.
    Needed(Vec<(String, String)>),
}

impl fmt::Display for UninstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no such package"),
            Self::Needed(by) => {
                f.write_str("the package is needed: ")?;
                for (index, (package, reason)) in by.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "; " };
                    write!(f, "{comma}{package} {reason}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for UninstallError {}

impl Registry {
    /// Indexes a snapshot.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        let mut tags: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in snapshot.packages.values() {
            for tag in &package.tags {
                tags.entry(tag.clone()).or_default().insert(package.id.clone());
            }
        }
        let dependents = dependents(&snapshot);
        Self { snapshot, tags, dependents }
    }

    /// The indexed snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Ids of the packages with this tag (kind or scope of the manifest).
    pub fn tagged(&self, tag: &str) -> impl Iterator<Item = &str> {
        self.tags.get(tag).into_iter().flatten().map(String::as_str)
    }

    /// Packages that need `package`, with one reason each.
    pub fn dependents(&self, package: &str) -> impl Iterator<Item = (&str, &str)> {
        self.dependents.get(package).into_iter().flatten().map(|(by, reason)| (by.as_str(), reason.as_str()))
    }

    /// Objects that `package` owns.
    pub fn objects_of<'a>(&'a self, package: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        self.snapshot.objects.values().filter(move |object| object.package == package)
    }

    /// Adds the packages of one stack definition. Its names are checked against what is installed.
    ///
    /// # Errors
    /// Everything that is wrong with the text, a package, namespace or object that is already there included.
    pub fn install(&self, file: &str, text: &str) -> Result<Self, LoadError> {
        let Snapshot { posture, protocol, .. } = *self.snapshot;
        let options = LoadOptions { posture, protocol, ..LoadOptions::default() };
        let mut snapshot = load_onto(Some(&self.snapshot), file, text, &options)?;
        snapshot.version = self.snapshot.version + 1;
        Ok(Self::new(Arc::new(snapshot)))
    }

    /// Takes a package out with everything it contributed, its extensions of other packages' objects included.
    ///
    /// # Errors
    /// When it is unknown, or another package extends or references what it owns.
    pub fn uninstall(&self, package: &str) -> Result<Self, UninstallError> {
        if !self.snapshot.packages.contains_key(package) {
            return Err(UninstallError::Unknown);
        }
        let needed: Vec<(String, String)> =
            self.dependents(package).map(|(by, reason)| (by.to_owned(), reason.to_owned())).collect();
        if !needed.is_empty() {
            return Err(UninstallError::Needed(needed));
        }
        let mut snapshot = (*self.snapshot).clone();
        snapshot.version += 1;
        snapshot.packages.shift_remove(package);
        let owned: BTreeSet<String> = self.objects_of(package).map(|object| object.name.clone()).collect();
        snapshot.objects.retain(|name, _| !owned.contains(name));
        snapshot.extended.retain(|name, _| !owned.contains(name));
        take_extensions(&mut snapshot, package);
        let other = |owner: &Option<String>| owner.as_deref() != Some(package);
        snapshot.permission_sets.retain(|_, set| other(&set.package));
        snapshot.positions.retain(|_, position| other(&position.package));
        snapshot.capabilities.retain(|_, capability| other(&capability.package));
        snapshot.sharing_rules.retain(|_, rule| other(&rule.package));
        snapshot.datasources.retain(|_, datasource| other(&datasource.package));
        snapshot.seed.retain(|seed| !owned.contains(&seed.object));
        snapshot.hooks.retain(|hook| !hook_names_only(&hook.value, &owned));
        snapshot.webhooks.retain(|_, webhook| webhook.package != package);
        for list in snapshot.picklists.values_mut() {
            list.parts.retain(|part| part.package != package);
        }
        snapshot.picklists.retain(|_, list| !list.parts.is_empty());
        resolve_picklists(&mut snapshot);
        seal(&mut snapshot);
        Ok(Self::new(Arc::new(snapshot)))
    }
}

fn take_extensions(snapshot: &mut Snapshot, package: &str) {
    let touched: Vec<String> = snapshot
        .extended
        .iter()
        .filter(|(_, extended)| extended.extensions.iter().any(|extension| extension.package == package))
        .map(|(name, _)| name.clone())
        .collect();
    for name in touched {
        let Some(extended) = snapshot.extended.remove(&name) else { continue };
        let rest: Vec<_> = extended.extensions.into_iter().filter(|extension| extension.package != package).collect();
        let object = extended_object(&extended.base, &rest);
        forget_digest(snapshot, &name);
        snapshot.objects.insert(name.clone(), Arc::new(object));
        if !rest.is_empty() {
            snapshot.extended.insert(name, Extended { base: extended.base, extensions: rest });
        }
    }
}

/// Whether a hook's targets are all among `objects`.
fn hook_names_only(hook: &serde_json::Value, objects: &BTreeSet<String>) -> bool {
    match hook.get("object") {
        Some(serde_json::Value::String(name)) => objects.contains(name),
        Some(serde_json::Value::Array(names)) => {
            !names.is_empty() && names.iter().all(|name| name.as_str().is_some_and(|name| objects.contains(name)))
        }
        _ => false,
    }
}

fn dependents(snapshot: &Snapshot) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut note = |needed: &str, by: &str, reason: &dyn Fn() -> String| {
        if needed == by || found.get(needed).is_some_and(|known| known.contains_key(by)) {
            return;
        }
        found.entry(needed.to_owned()).or_default().insert(by.to_owned(), reason());
    };
    let owner = |object: &str| snapshot.objects.get(object).map(|object| object.package.as_str());
    for Package { id, depends_on, .. } in snapshot.packages.values() {
        for needed in depends_on {
            note(needed, id, &|| "depends on it".to_owned());
        }
    }
    for object in snapshot.objects.values() {
        for by in &object.extended_by {
            note(&object.package, by, &|| format!("extends its object '{}'", object.name));
        }
        for field in object.fields.values() {
            let Some(target) = field.reference.as_deref().and_then(owner) else { continue };
            let by = field.package.as_deref().unwrap_or(&object.package);
            note(target, by, &|| format!("references it in '{}.{}'", object.name, field.name));
        }
    }
    for set in snapshot.permission_sets.values() {
        let Some(by) = &set.package else { continue };
        let policies = set.row_level_security.iter().map(|policy| &policy.object);
        for object in set.objects.keys().chain(set.fields.keys()).chain(policies) {
            if let Some(target) = owner(object) {
                note(target, by, &|| format!("names its object '{object}' in permission set '{}'", set.name));
            }
        }
    }
    for rule in snapshot.sharing_rules.values() {
        if let (Some(target), Some(by)) = (owner(&rule.object), &rule.package) {
            note(target, by, &|| format!("names its object '{}' in sharing rule '{}'", rule.object, rule.name));
        }
    }
    found
}
