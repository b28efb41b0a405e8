//! Metadata as its files have it, by type and name. Decides nothing.

use indexmap::IndexMap;
use querygate_metadata::load::RowReader;
use querygate_metadata::model::{Protocol, StrictRule};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A type of metadata.
pub(super) struct Kind {
    /// In the singular.
    pub(super) name: &'static str,
    /// The key of the stack that has its items.
    key: &'static str,
    pub(super) label: &'static str,
    shown: Shown,
}

/// Which keys of an item are shown.
enum Shown {
    All,
    /// These. Of an address the scheme and the host: its path may be a secret.
    Public(&'static [&'static str]),
}

const fn kind(name: &'static str, key: &'static str, label: &'static str) -> Kind {
    Kind { name, key, label, shown: Shown::All }
}

const OUTLINE: &[&str] = &["name", "label", "description", "object", "active"];
const JOB: &[&str] =
    &["name", "label", "description", "schedule", "handler", "retryPolicy", "timeoutMs", "enabled", "object", "active"];
const WEBHOOK: &[&str] =
    &["name", "label", "description", "object", "triggers", "url", "method", "timeoutMs", "isActive", "active"];
const API: &[&str] = &[
    "name",
    "label",
    "summary",
    "description",
    "path",
    "method",
    "type",
    "target",
    "objectParams",
    "authRequired",
    "cacheTtlSeconds",
    "object",
    "active",
];

/// What a manifest says of its package. In the manifest of an entry of `packages` stands, too, all that the package has.
const MANIFEST: &[&str] = &[
    "id",
    "namespace",
    "defaultDatasource",
    "version",
    "type",
    "scope",
    "name",
    "description",
    "dependencies",
    "engine",
    "engines",
    "runtime",
    "packaging",
    "main",
    "integrity",
    "contributes",
    "navigationContributions",
    "configuration",
    "capabilities",
    "extensions",
    "loading",
];

/// Every type that is listed.
pub(super) const TYPES: &[Kind] = &[
    kind("object", "objects", "Object"),
    kind("app", "apps", "App"),
    kind("view", "views", "View"),
    kind("page", "pages", "Page"),
    kind("dashboard", "dashboards", "Dashboard"),
    kind("report", "reports", "Report"),
    kind("dataset", "datasets", "Dataset"),
    kind("analytics_cube", "analyticsCubes", "Analytics Cube"),
    kind("action", "actions", "Action"),
    kind("flow", "flows", "Flow"),
    kind("hook", "hooks", "Hook"),
    Kind { name: "job", key: "jobs", label: "Job", shown: Shown::Public(JOB) },
    Kind { name: "webhook", key: "webhooks", label: "Webhook", shown: Shown::Public(WEBHOOK) },
    Kind { name: "api", key: "apis", label: "API", shown: Shown::Public(API) },
    Kind { name: "datasource", key: "datasources", label: "Datasource", shown: Shown::Public(OUTLINE) },
    Kind { name: "connector", key: "connectors", label: "Connector", shown: Shown::Public(OUTLINE) },
    kind("mapping", "mappings", "Mapping"),
    kind("email_template", "emailTemplates", "E-mail Template"),
    kind("permission", "permissions", "Permission Set"),
    kind("position", "positions", "Position"),
    kind("capability", "capabilities", "Capability"),
    kind("sharing_rule", "sharingRules", "Sharing Rule"),
    kind("translation", "translations", "Translation"),
    kind("doc", "docs", "Document"),
    kind("book", "books", "Book"),
    kind("agent", "agents", "Agent"),
    kind("tool", "tools", "Tool"),
    kind("skill", "skills", "Skill"),
];

/// The items of one version.
#[derive(Default)]
pub(super) struct Documents {
    pub(super) version: u64,
    items: HashMap<&'static str, IndexMap<String, Value>>,
    /// What is merged over objects.
    extensions: Vec<Value>,
    /// Options that fields share, by the names of their lists.
    picklists: HashMap<String, Vec<Value>>,
    /// When users were made, and changed last, by their ids: as rows of `sys_user` say it.
    dates: HashMap<String, Dates>,
    /// Cubes that clients may ask; read at the first question.
    cubes: OnceLock<Arc<[(String, Value)]>>,
}

/// When something was made, and changed last.
type Dates = (Option<String>, Option<String>);

/// The object of users.
const USERS: &str = "sys_user";
/// Where an extension stands that does not say it: later ones are merged over earlier ones.
const PRIORITY: i64 = 200;
/// The language that metadata is written in.
const DEFAULT_LOCALE: &str = "en";

impl Documents {
    pub(super) fn read(path: &Path, version: u64) -> Self {
        let mut read = Self { version, ..Self::default() };
        for document in querygate_metadata::load::documents(path) {
            read.take(&document);
            let seeds = document.get("data").and_then(Value::as_array).into_iter().flatten();
            let seeds = seeds.filter(|seed| seed.get("object").and_then(Value::as_str) == Some(USERS));
            let rows = seeds.filter_map(|seed| seed.get("records")?.as_array()).flatten();
            rows.filter_map(Value::as_object).for_each(|row| read.take_user(row));
        }
        // Where there is no such file, no dates are known.
        if let Ok(file) = File::open(path.join(USERS).with_extension("ndjson")) {
            RowReader::new(USERS, BufReader::new(file)).flatten().for_each(|row| read.take_user(&row));
        }
        read.extend_objects();
        read.choose_options();
        read
    }

    fn take_user(&mut self, row: &Map<String, Value>) {
        let text = |key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
        if let Some(id) = text("id") {
            let created = text("created_at");
            let updated = text("updated_at").or_else(|| created.clone());
            self.dates.insert(id, (created, updated));
        }
    }

    pub(super) fn dates_of(&self, user: &str) -> Dates {
        self.dates.get(user).cloned().unwrap_or_default()
    }

    fn take(&mut self, stack: &Value) {
        let manifest = stack.get("manifest");
        let package = manifest.and_then(|manifest| manifest.get("id")).and_then(Value::as_str);
        self.take_items(stack, package);
        if let (Some(package), Some(Value::Object(manifest))) = (package, manifest) {
            self.items.entry("package").or_default().insert(package.to_owned(), described(manifest));
        }
        for inner in stack.get("packages").and_then(Value::as_array).into_iter().flatten() {
            self.take(inner);
            if let Some(body) = inner.get("manifest") {
                self.take_items(body, body.get("id").and_then(Value::as_str));
            }
        }
    }

    /// What stands in a stack, in an entry of its packages or in the manifest of such a one.
    fn take_items(&mut self, stack: &Value, package: Option<&str>) {
        for kind in TYPES {
            let of_type = stack.get(kind.key);
            let named: Vec<(Option<&String>, &Value)> = match of_type {
                Some(Value::Array(items)) => items.iter().map(|item| (None, item)).collect(),
                Some(Value::Object(items)) => items.iter().map(|(name, item)| (Some(name), item)).collect(),
                Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => continue,
            };
            for (key, item) in named {
                let Value::Object(item) = item else { continue };
                let own = item.get("name").and_then(Value::as_str).or(key.map(String::as_str));
                let Some(name) = own else { continue };
                let shown = kind.shown(item, package);
                self.items.entry(kind.name).or_default().insert(name.to_owned(), shown);
            }
        }
        for (key, name) in [("picklists", "name"), ("picklistExtensions", "extend")] {
            for list in stack.get(key).and_then(Value::as_array).into_iter().flatten() {
                let options = list.get("options").and_then(Value::as_array).into_iter().flatten().cloned();
                if let Some(name) = list.get(name).and_then(Value::as_str) {
                    self.picklists.entry(name.to_owned()).or_default().extend(options);
                }
            }
        }
        let extensions = stack.get("objectExtensions").and_then(Value::as_array).into_iter().flatten();
        self.extensions.extend(extensions.cloned());
        for bundle in stack.get("translations").and_then(Value::as_array).into_iter().flatten() {
            self.take_translations(bundle);
        }
    }

    /// Labels of objects by language; a later label of one object takes the place of an earlier one.
    fn take_translations(&mut self, bundle: &Value) {
        for (locale, bundle) in bundle.as_object().into_iter().flatten() {
            let Some(Value::Object(objects)) = bundle.get("objects") else { continue };
            let known = self.items.entry("locale").or_default().entry(locale.clone()).or_insert_with(|| json!({}));
            if let Value::Object(known) = known {
                known.extend(objects.iter().map(|(name, labels)| (name.clone(), labels.clone())));
            }
        }
    }

    /// Fields of picklists have their options, too.
    fn choose_options(&mut self) {
        let lists = std::mem::take(&mut self.picklists);
        let objects = self.items.get_mut("object").into_iter().flatten();
        let fields = objects.filter_map(|(_, object)| object.get_mut("fields")?.as_object_mut());
        for field in fields.flat_map(|fields| fields.values_mut()).filter_map(Value::as_object_mut) {
            let options = field.get("picklist").and_then(Value::as_str).and_then(|name| lists.get(name));
            if let Some(options) = options.cloned() {
                field.insert("options".to_owned(), Value::Array(options));
            }
        }
    }

    fn extend_objects(&mut self) {
        let mut extensions = std::mem::take(&mut self.extensions);
        extensions.sort_by_key(|one| one.get("priority").and_then(Value::as_i64).unwrap_or(PRIORITY));
        let mut relabelled = Vec::new();
        let Some(objects) = self.items.get_mut("object") else { return };
        for extension in extensions {
            let name = extension.get("extend").and_then(Value::as_str);
            let Some(Value::Object(object)) = name.and_then(|name| objects.get_mut(name)) else { continue };
            for key in ["label", "pluralLabel", "description"] {
                let Some(label) = extension.get(key) else { continue };
                object.insert(key.to_owned(), label.clone());
                relabelled.push((name.unwrap_or_default().to_owned(), key));
            }
            if let (Some(Value::Object(fields)), Some(Value::Object(more))) =
                (object.get_mut("fields"), extension.get("fields"))
            {
                fields.extend(more.clone());
            }
            if let Some(Value::Array(more)) = extension.get("validations") {
                let own = object.entry("validations").or_insert_with(|| json!([]));
                if let Value::Array(own) = own {
                    own.extend(more.iter().cloned());
                }
            }
        }
        // What an extension calls an object stands before what the language of the metadata does.
        let locales = self.items.get_mut("locale");
        let Some(bundle) = locales.and_then(|locales| locales.get_mut(DEFAULT_LOCALE)) else { return };
        for (name, key) in relabelled {
            if let Some(labels) = bundle.get_mut(&name).and_then(Value::as_object_mut) {
                labels.shift_remove(key);
            }
        }
    }

    pub(super) fn item(&self, kind: &str, name: &str) -> Option<&Value> {
        self.items.get(kind)?.get(name)
    }

    /// Cubes that clients may ask, by the rules of the release that this version follows.
    pub(super) fn cubes(&self, protocol: Protocol) -> Arc<[(String, Value)]> {
        Arc::clone(self.cubes.get_or_init(|| {
            let mut cubes = self.items("analytics_cube");
            if protocol.has(StrictRule::CubeVisibility) {
                cubes.retain(|(_, cube)| cube.get("public") != Some(&Value::Bool(false)));
            }
            if !protocol.has(StrictRule::CubeSpan) {
                cubes.iter_mut().for_each(|(_, cube)| drop_spans(cube));
            }
            cubes.into()
        }))
    }

    pub(super) fn items(&self, kind: &str) -> Vec<(String, Value)> {
        let items = self.items.get(kind).into_iter().flatten();
        items.map(|(name, item)| (name.clone(), item.clone())).collect()
    }
}

/// A manifest without what the package has: of objects, rights and sources only the patterns that name their files.
fn described(manifest: &Map<String, Value>) -> Value {
    let is_pattern = |value: &Value| value.as_array().is_some_and(|all| all.iter().all(Value::is_string));
    let told = manifest.iter().filter(|(key, value)| MANIFEST.contains(&key.as_str()) || is_pattern(value));
    told.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn drop_spans(cube: &mut Value) {
    let dimensions = cube.get_mut("dimensions").and_then(Value::as_object_mut).into_iter();
    for dimension in dimensions.flat_map(|named| named.values_mut()).filter_map(Value::as_object_mut) {
        dimension.remove("granularities");
    }
}

/// A value of a key that is public. An address is cut behind its host: user, path and parameters may be secrets.
fn public(value: &Value) -> Value {
    let address = value.as_str().and_then(|text| text.split_once("://"));
    address.map_or_else(
        || value.clone(),
        |(scheme, rest)| {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}").into()
        },
    )
}

impl Kind {
    fn shown(&self, item: &Map<String, Value>, package: Option<&str>) -> Value {
        let mut shown: Map<String, Value> = match self.shown {
            Shown::All => item.clone(),
            Shown::Public(keys) => {
                let shown = item.iter().filter(|(key, _)| keys.contains(&key.as_str()));
                shown.map(|(key, value)| (key.clone(), public(value))).collect()
            }
        };
        if let Some(package) = package {
            shown.entry("_packageId").or_insert_with(|| package.into());
            shown.entry("_provenance").or_insert_with(|| "package".into());
        }
        shown.entry("_diagnostics").or_insert_with(|| json!({"valid": true}));
        Value::Object(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `querygate init` writes it.
    #[test]
    fn what_stands_in_the_manifest_of_a_package_is_listed_and_not_told_with_the_package() {
        let folder = tempfile::tempdir().unwrap();
        let stack = json!({"packages": [{"manifest": {
            "id": "local.shop", "namespace": "shop", "name": "Shop",
            "datasources": [{"name": "shop", "label": "Shop", "config": {"password": "hush"}}],
            "datasets": [{"name": "sales", "object": "shop_orders"}],
            "analyticsCubes": [{"name": "pipeline", "sql": "shop_orders"}],
            "objects": [{"name": "shop_orders", "fields": {"stage": {"picklist": "stages"}}}],
            "picklists": [{"name": "stages", "options": [{"value": "open"}]}],
        }}]});
        std::fs::write(folder.path().join("shop.json"), stack.to_string()).unwrap();
        let documents = Documents::read(folder.path(), 1);
        let sales = documents.item("dataset", "sales").unwrap();
        assert_eq!((&sales["object"], &sales["_packageId"]), (&json!("shop_orders"), &json!("local.shop")));
        assert!(documents.item("analytics_cube", "pipeline").is_some());
        let object = documents.item("object", "shop_orders").unwrap();
        assert_eq!(object["fields"]["stage"]["options"], json!([{"value": "open"}]));
        assert_eq!(documents.item("datasource", "shop").unwrap().get("config"), None);
        let package = documents.item("package", "local.shop").unwrap();
        assert_eq!(package, &json!({"id": "local.shop", "namespace": "shop", "name": "Shop"}));
    }
}
