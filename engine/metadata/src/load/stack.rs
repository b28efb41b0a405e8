//! Reads stack definitions into drafts, package by package. Resolves nothing.

use super::links::{Link, Links, Target};
use super::native::{self, NativeKind};
use super::picklists::{PicklistDraft, read_picklist, read_picklist_extension};
use super::readers::hook_filters::{FilterDraft, read_filters};
use super::readers::object::{ObjectDraft, read_extension, read_object};
use super::readers::tables::{TableDraft, read_tables};
use super::readers::{parts, permission, shapes, source, webhook};
use crate::model::{
    Capability, Datasource, Declared, Extension, MappingRule, Package, PermissionSet, Position, SeedData, SharingRule,
    Webhook,
};
use crate::read::{At, Map, Shape};
use crate::syntax::Value;
use std::collections::BTreeMap;

/// Package of definitions without a manifest.
pub(crate) const LOCAL_PACKAGE: &str = "local";

/// Everything read, unresolved, in load order.
#[derive(Default)]
pub(super) struct Drafts<'a> {
    pub(super) packages: Vec<(Package, At<'a>)>,
    /// Package to its `defaultDatasource`.
    pub(super) default_datasources: BTreeMap<String, String>,
    pub(super) objects: Vec<ObjectDraft<'a>>,
    pub(super) extensions: Vec<(Extension, At<'a>)>,
    pub(super) permission_sets: Vec<(PermissionSet, At<'a>)>,
    pub(super) positions: Vec<(Position, At<'a>)>,
    pub(super) capabilities: Vec<(Capability, At<'a>)>,
    pub(super) sharing_rules: Vec<(SharingRule, At<'a>)>,
    pub(super) datasources: Vec<(Datasource, At<'a>)>,
    pub(super) picklists: Vec<PicklistDraft<'a>>,
    /// What is said of the tables behind objects.
    pub(super) tables: Vec<TableDraft<'a>>,
    /// What stands for hooks of reads.
    pub(super) hook_filters: Vec<FilterDraft<'a>>,
    pub(super) mapping: Vec<MappingRule>,
    pub(super) seed: Vec<SeedData>,
    pub(super) hooks: Vec<Declared>,
    pub(super) webhooks: Vec<(Webhook, At<'a>)>,
    pub(super) requires: Vec<(String, At<'a>)>,
    pub(super) links: Links<'a>,
}

impl<'a> Drafts<'a> {
    /// Reads the files of one stack: their collections are one package, `packages` hold further ones.
    pub(super) fn read(roots: &[At<'a>]) -> Self {
        let mut drafts = Self::default();
        let stacks: Vec<Map<'a>> = roots.iter().filter_map(|root| root.map(&shapes::STACK)).collect();
        let mut package = None;
        for stack in &stacks {
            let Some(manifest) = stack.get("manifest") else { continue };
            if package.is_some() {
                let first = drafts.packages.first().map(|(_, at)| at.location().to_string()).unwrap_or_default();
                manifest.key_error("a second manifest", Some(format!("The first one is at {first}.")));
                continue;
            }
            package = drafts.read_manifest(&manifest, &shapes::MANIFEST).map(|map| drafts.after_manifest(&map));
        }
        let package = package.unwrap_or_else(|| LOCAL_PACKAGE.to_owned());
        for stack in &stacks {
            for at in stack.list("requires") {
                drafts.read_requires(at);
            }
            if let Some(own) = stack.get("querygate") {
                drafts.tables.extend(read_tables(&own));
                drafts.hook_filters.extend(read_filters(&own));
            }
            drafts.read_collections(stack, &package);
            for at in stack.list("packages") {
                drafts.read_package(&at);
            }
        }
        drafts
    }

    fn read_requires(&mut self, at: At<'a>) {
        let tokens: Vec<(&'static str, &'static str)> = REQUIRES.iter().map(|token| (*token, *token)).collect();
        if let Some(token) = at.choice("capability token", &tokens) {
            self.requires.push((token.to_owned(), at));
        }
    }

    /// One entry of `packages`: `{manifest: {…collections}}`; collections beside the manifest are accepted too.
    fn read_package(&mut self, at: &At<'a>) {
        let Some(entry) = at.map(&shapes::PACKAGE) else { return };
        let Some(manifest) = entry.required("manifest") else { return };
        let Some(body) = self.read_manifest(&manifest, &shapes::PACKAGE_BODY) else { return };
        let package = self.after_manifest(&body);
        self.read_collections(&body, &package);
        self.read_collections(&entry, &package);
    }

    fn read_manifest(&mut self, at: &At<'a>, shape: &'static Shape) -> Option<Map<'a>> {
        let map = at.map(shape)?;
        let id_at = map.required("id")?;
        let kind = map.required("type").and_then(|at| at.text()).unwrap_or_default();
        let scope = map.text("scope");
        let dependencies = map.get("dependencies").and_then(|at| at.open());
        let namespace = map.get("namespace").and_then(|at| at.name());
        let package = Package {
            id: id_at.text()?,
            namespace,
            version: map.required("version").and_then(|at| at.text()).unwrap_or_default(),
            name: map.required("name").and_then(|at| at.text()).unwrap_or_default(),
            tags: std::iter::once(kind.clone()).chain(scope).filter(|tag| !tag.is_empty()).collect(),
            kind,
            depends_on: dependencies.iter().flat_map(Map::entries).map(|(id, _)| id.to_owned()).collect(),
            location: id_at.location(),
        };
        self.packages.push((package, id_at));
        Some(map)
    }

    fn after_manifest(&mut self, map: &Map<'a>) -> String {
        let id = self.packages.last().map(|(package, _)| package.id.clone()).unwrap_or_default();
        if let Some(datasource) = map.text("defaultDatasource") {
            self.default_datasources.insert(id.clone(), datasource);
        }
        // Seed rows may also stand in a manifest; in a package body `data` is read with the collections.
        if map.get("objects").is_none_or(|at| !at.list().iter().any(At::is_map)) {
            for at in map.list("data") {
                self.seed.extend(source::read_seed(&at, &mut self.links));
            }
        }
        id
    }

    fn read_collections(&mut self, map: &Map<'a>, package: &str) {
        for at in map.list("objects") {
            self.objects.extend(read_object(&at, package, &mut self.links));
        }
        for at in map.list("objectExtensions") {
            self.extensions.extend(read_extension(&at, package, &mut self.links));
        }
        for at in map.list("permissions") {
            let set = permission::read_permission_set(&at, Some(package), &mut self.links);
            self.permission_sets.extend(set.map(|set| (set, at)));
        }
        for at in map.list("positions") {
            self.positions.extend(permission::read_position(&at, package));
        }
        for at in map.list("capabilities") {
            self.capabilities.extend(permission::read_capability(&at, package));
        }
        for at in map.list("sharingRules") {
            self.sharing_rules.extend(permission::read_sharing_rule(&at, package, &mut self.links));
        }
        for at in map.list("datasources") {
            self.datasources.extend(source::read_datasource(&at, package));
        }
        for at in map.list("picklists") {
            self.picklists.extend(read_picklist(&at, package));
        }
        for at in map.list("picklistExtensions") {
            self.picklists.extend(read_picklist_extension(&at, package));
        }
        for at in map.list("datasourceMapping") {
            self.mapping.extend(source::read_mapping(&at, &mut self.links));
        }
        for at in map.list("data") {
            self.seed.extend(source::read_seed(&at, &mut self.links));
        }
        for at in map.list("hooks") {
            self.read_hook(&at);
        }
        for at in map.list("webhooks") {
            let webhook = webhook::read_webhook(&at, package, &mut self.links);
            self.webhooks.extend(webhook.map(|webhook| (webhook, at)));
        }
        for at in map.list("flows") {
            self.check_flow(at);
        }
        parts::look_through_analytics(map);
        warn_unenforced(map);
    }

    fn read_hook(&mut self, at: &At<'a>) {
        let Some(hook) = at.open() else { return };
        let Some(name) = hook.required("name").and_then(|at| at.text()) else { return };
        parts::look_through_hook(&hook);
        self.hooks.push(Declared { name, value: at.node.to_json(), location: at.location() });
        if let Some(handler) = hook.get("handler") {
            native::read(&handler, NativeKind::Hook, &mut self.links);
        }
        let Some(target) = hook.required("object") else { return };
        let targets = if target.is_list() { target.list() } else { vec![target] };
        for at in targets {
            if let Some(object) = at.text() {
                self.links.add(Link { at, target: Target::ObjectOrAny(object) });
            }
        }
    }

    fn check_flow(&mut self, at: At<'a>) {
        let kind = at.open().and_then(|flow| flow.get("type")).and_then(|at| match &at.node.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        });
        if matches!(kind.as_deref(), Some("record_change" | "schedule")) {
            self.links.add(Link { at, target: Target::Trigger });
        }
    }
}

/// Collections that 17.4 runs and the gate does not.
const UNENFORCED: &[(&str, &str)] = &[
    ("functions", "functions are not run"),
    ("flows", "flows are not run"),
    ("jobs", "jobs are not run"),
    ("apis", "declared endpoints are not served"),
    ("connectors", "connectors are not opened"),
    ("emailTemplates", "mail is not sent"),
    ("mappings", "import mappings are not served"),
];

fn warn_unenforced(map: &Map<'_>) {
    for (key, effect) in UNENFORCED {
        let Some(at) = map.get(key) else { continue };
        let count = match &at.node.value {
            Value::List(items) => items.len(),
            Value::Map(entries) => entries.len(),
            Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Text(_) => {
                at.error("expected a list");
                continue;
            }
        };
        if count > 0 {
            at.warn(format!("{effect} ({count} declared)"), None);
        }
    }
}

/// The closed list of `requires`.
const REQUIRES: &[&str] = &[
    "ai",
    "ai-studio",
    "i18n",
    "ui",
    "auth",
    "automation",
    "analytics",
    "audit",
    "cache",
    "storage",
    "queue",
    "job",
    "messaging",
    "triggers",
    "realtime",
    "mcp",
    "marketplace",
    "email",
    "sms",
    "sharing",
    "pinyin-search",
    "reports",
    "approvals",
    "settings",
    "webhooks",
    "hierarchy-security",
    "ai-seat",
    "governance",
];
