//! Turns drafts into a snapshot: one owner per name, extensions applied, sources routed, references checked.

use super::builtin;
use super::extend;
use super::links::{Known, PLATFORM_CAPABILITIES};
use super::picklists;
use super::readers::source::route;
use super::readers::{hook_filters, tables};
use super::stack::{Drafts, LOCAL_PACKAGE};
use super::{LoadOptions, hash};
use crate::model::{Facts, Object, Package, PermissionSet, Referrer, SeedData, Snapshot, WriteBarrier, is_platform};
use crate::read::{At, Findings, nearest};
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Builds the snapshot on top of `existing`. Findings say whether it may be used.
pub(super) fn assemble(
    mut drafts: Drafts<'_>,
    existing: Option<&Snapshot>,
    options: &LoadOptions,
    findings: &Findings,
) -> Snapshot {
    let mut snapshot = existing.cloned().unwrap_or_else(|| empty(options));
    add_packages(&mut snapshot, &drafts);
    snapshot.datasource_mapping.append(&mut drafts.mapping);
    snapshot.datasource_mapping.sort_by_key(|rule| rule.priority);
    let placed: Vec<(String, At<'_>)> =
        drafts.objects.iter().map(|draft| (draft.object.name.clone(), draft.name_at.clone())).collect();
    add_objects(&mut snapshot, &mut drafts);
    extend::add_extensions(&mut snapshot, std::mem::take(&mut drafts.extensions));
    picklists::add_picklists(&mut snapshot, std::mem::take(&mut drafts.picklists));
    tables::add_tables(&mut snapshot, std::mem::take(&mut drafts.tables));
    tables::check_anchors(&snapshot, &placed);
    add_sets(&mut snapshot, std::mem::take(&mut drafts.permission_sets));
    add_named(&mut snapshot.positions, "position", drafts.positions.drain(..), |item| &item.name);
    add_named(&mut snapshot.capabilities, "capability", drafts.capabilities.drain(..), |item| &item.name);
    add_named(&mut snapshot.sharing_rules, "sharing rule", drafts.sharing_rules.drain(..), |item| &item.name);
    add_named(&mut snapshot.datasources, "datasource", drafts.datasources.drain(..), |item| &item.name);
    snapshot.seed.extend(drafts.seed.drain(..).map(Arc::new));
    snapshot.hooks.append(&mut drafts.hooks);
    add_named(&mut snapshot.webhooks, "webhook", drafts.webhooks.drain(..), |item| &item.name);
    hook_filters::add_filters(&mut snapshot, std::mem::take(&mut drafts.hook_filters));
    check_links(&snapshot, &drafts, options);
    check_writable(&snapshot, &placed);
    check_seed_columns(&snapshot, existing.map_or(0, |old| old.seed.len()), findings);
    seal(&mut snapshot);
    snapshot
}

/// Brings what is derived up to date: referrers and the content hash.
pub(crate) fn seal(snapshot: &mut Snapshot) {
    let mut referrers: HashMap<String, Vec<Referrer>> = HashMap::new();
    for object in snapshot.objects.values() {
        for field in object.fields.values().filter(|field| field.field_type.is_reference()) {
            if let Some(target) = &field.reference {
                let referrer = Referrer { object: object.name.clone(), field: field.name.clone() };
                referrers.entry(target.clone()).or_default().push(referrer);
            }
        }
    }
    snapshot.referrers = referrers;
    hash::refresh(snapshot);
}

fn empty(options: &LoadOptions) -> Snapshot {
    Snapshot {
        version: 1,
        content_hash: String::new(),
        posture: options.posture,
        protocol: options.protocol,
        packages: IndexMap::new(),
        objects: IndexMap::new(),
        permission_sets: builtin::permission_sets().into_iter().map(|set| (set.name.clone(), Arc::new(set))).collect(),
        positions: IndexMap::new(),
        capabilities: IndexMap::new(),
        sharing_rules: IndexMap::new(),
        datasources: IndexMap::new(),
        picklists: IndexMap::new(),
        datasource_mapping: Vec::new(),
        seed: Vec::new(),
        hooks: Vec::new(),
        webhooks: IndexMap::new(),
        referrers: HashMap::new(),
        warnings: Vec::new(),
        extended: HashMap::new(),
        digests: Arc::default(),
    }
}

fn add_packages(snapshot: &mut Snapshot, drafts: &Drafts<'_>) {
    for (package, at) in &drafts.packages {
        if let Some(first) = snapshot.packages.get(&package.id) {
            at.error_with(format!("package '{}' is defined twice", package.id), first_place(&first.location));
            continue;
        }
        let owner = |other: &&Package| other.namespace.is_some() && other.namespace == package.namespace;
        if let Some(owner) = snapshot.packages.values().find(owner) {
            let namespace = package.namespace.as_deref().unwrap_or_default();
            at.error_with(
                format!("namespace '{namespace}' belongs to package '{}'", owner.id),
                "A namespace belongs to one package.",
            );
        }
        snapshot.packages.insert(package.id.clone(), package.clone());
    }
    let local = |package: &str| package == LOCAL_PACKAGE;
    let needs_local = drafts.objects.iter().any(|draft| local(&draft.object.package))
        || drafts.permission_sets.iter().any(|(set, _)| set.package.as_deref().is_some_and(local));
    if needs_local && !snapshot.packages.contains_key(LOCAL_PACKAGE) {
        let package = Package {
            id: LOCAL_PACKAGE.to_owned(),
            namespace: None,
            version: "0.0.0".to_owned(),
            name: LOCAL_PACKAGE.to_owned(),
            kind: "app".to_owned(),
            tags: vec!["app".to_owned()],
            depends_on: Vec::new(),
            location: crate::model::Location::outside(LOCAL_PACKAGE),
        };
        snapshot.packages.insert(package.id.clone(), package);
    }
}

fn add_objects(snapshot: &mut Snapshot, drafts: &mut Drafts<'_>) {
    for draft in drafts.objects.drain(..) {
        let mut object = draft.object;
        let namespace = snapshot.packages.get(&object.package).and_then(|package| package.namespace.clone());
        check_prefix(&draft.name_at, &object.name, namespace.as_deref());
        if let Some(first) = snapshot.objects.get(&object.name) {
            let message = if first.package == object.package {
                format!("object '{}' is defined twice", object.name)
            } else {
                format!("object '{}' belongs to package '{}'", object.name, first.package)
            };
            draft.name_at.error_with(message, first_place(&first.location));
            continue;
        }
        if draft.own_datasource.is_none() {
            let default = drafts.default_datasources.get(&object.package).map_or("default", String::as_str);
            object.datasource = route(&snapshot.datasource_mapping, &object, namespace.as_deref(), default);
        }
        snapshot.objects.insert(object.name.clone(), Arc::new(object));
    }
}

fn check_prefix(at: &At<'_>, object: &str, namespace: Option<&str>) {
    let Some(namespace) = namespace else { return };
    if object.starts_with("sys_") || object.starts_with(&format!("{namespace}_")) && !object.contains("__") {
        return;
    }
    let short = object.split_once("__").map_or(object, |(_, short)| short);
    at.error_with(
        format!("object '{object}' does not start with its package's namespace '{namespace}_'"),
        format!("Rename it to '{namespace}_{short}'."),
    );
}

fn add_sets(snapshot: &mut Snapshot, sets: Vec<(PermissionSet, At<'_>)>) {
    for (set, at) in sets {
        if let Some(first) = snapshot.permission_sets.get(&set.name) {
            if first.package.is_some() {
                at.error_with(format!("permission set '{}' is defined twice", set.name), first_place(&first.location));
                continue;
            }
            at.error_with(format!("permission set '{}' is the platform's own", set.name), "Choose another name.");
            continue;
        }
        snapshot.permission_sets.insert(set.name.clone(), Arc::new(set));
    }
}

fn add_named<'a, T>(
    known: &mut IndexMap<String, T>,
    what: &str,
    items: impl Iterator<Item = (T, At<'a>)>,
    name: fn(&T) -> &String,
) {
    for (item, at) in items {
        let key = name(&item).clone();
        if known.contains_key(&key) {
            at.error(format!("{what} '{key}' is defined twice"));
            continue;
        }
        known.insert(key, item);
    }
}

pub(super) fn first_place(location: &crate::model::Location) -> String {
    format!("The first definition is at {location}.")
}

fn check_links(snapshot: &Snapshot, drafts: &Drafts<'_>, options: &LoadOptions) {
    let capabilities: BTreeSet<String> = PLATFORM_CAPABILITIES
        .iter()
        .map(|name| (*name).to_owned())
        .chain(snapshot.capabilities.keys().cloned())
        .collect();
    let seeded = snapshot.seed.iter().filter(|seed| seed.object == "sys_position");
    let seeded_positions = seeded
        .flat_map(|seed| &seed.records)
        .filter_map(|row| row.get("name").and_then(|name| name.as_str()).map(str::to_owned))
        .collect();
    let known = Known {
        objects: &snapshot.objects,
        permission_sets: &snapshot.permission_sets,
        positions: &snapshot.positions,
        seeded_positions: &seeded_positions,
        capabilities: &capabilities,
        datasources: &snapshot.datasources.keys().cloned().collect(),
        requires: &drafts.requires.iter().map(|(token, _)| token.clone()).collect(),
        natives: &options.natives,
        snapshot,
    };
    known.check(&drafts.links);
    for (package, at) in &drafts.packages {
        for needed in package.depends_on.iter().filter(|needed| !snapshot.packages.contains_key(*needed)) {
            at.warn(format!("package '{needed}', which '{}' depends on, is not loaded", package.id), None);
        }
    }
}

/// An object that says it is writable and is not.
fn check_writable(snapshot: &Snapshot, placed: &[(String, At<'_>)]) {
    for (name, at) in placed {
        let Some(object) = snapshot.objects.get(name) else { continue };
        if object.external.as_ref().is_some_and(|external| external.writable)
            && snapshot.write_barrier(object) == Some(WriteBarrier::SourceReadOnly)
        {
            let datasource = &object.datasource;
            at.warn(
                format!("'{name}' is not written: datasource '{datasource}' does not say external.allowWrites"),
                Some(
                    "Writes need external.writable of the object and external.allowWrites of its datasource."
                        .to_owned(),
                ),
            );
        }
    }
}

/// Values of columns that do not exist would be lost silently.
fn check_seed_columns(snapshot: &Snapshot, from: usize, findings: &Findings) {
    for seed in snapshot.seed.iter().skip(from) {
        let Some(object) = snapshot.objects.get(&seed.object) else {
            warn_unread(seed, findings);
            continue;
        };
        let keys: BTreeSet<&str> = seed.records.iter().flat_map(|row| row.keys()).map(String::as_str).collect();
        for key in keys.into_iter().filter(|key| !object.fields.contains_key(*key)) {
            let message = format!("seed rows of '{}' have values for '{key}', which is not a field", seed.object);
            let mut finding = crate::Diagnostic::outside(crate::Severity::Warning, "metadata", &message);
            finding.location = seed.location.clone();
            let near = nearest(key, object.fields.keys().map(String::as_str));
            finding.hint = near.map(|near| format!("Did you mean '{near}'?"));
            findings.add(finding);
        }
    }
}

/// Rows of a platform object that decides nothing here may be misspelt memberships.
fn warn_unread(seed: &SeedData, findings: &Findings) {
    if Facts::OBJECTS.contains(&seed.object.as_str()) {
        return;
    }
    let message = format!("rows of '{}' are not read", seed.object);
    let mut finding = crate::Diagnostic::outside(crate::Severity::Warning, "metadata", &message);
    finding.location = seed.location.clone();
    let near = nearest(&seed.object, Facts::OBJECTS.iter().copied());
    finding.hint = near.map(|near| format!("Did you mean '{near}'?"));
    findings.add(finding);
}

/// Objects that a stack may name without owning them.
pub(super) fn may_extend_later(object: &str) -> bool {
    is_platform(object)
}

/// Shared by the registry: an object with the given extensions applied.
pub(crate) fn extended_object(base: &Object, extensions: &[Arc<crate::model::Extension>]) -> Object {
    extend::apply(base, extensions)
}
