//! Reads one object or one object extension. Knows the rules that concern an object alone.

use super::field::{Owner, read_fields, read_unique};
use super::shapes;
use super::system_fields::{self, Switches};
use super::validation::read_validations;
use crate::load::links::{Link, Links, Target};
use crate::model::{
    AccessDefault, Extension, External, Field, FieldType, Index, ManagedBy, Object, Ownership, RequiredPermissions,
    SharingModel, Tenancy,
};
use crate::read::{At, Map};
use indexmap::IndexMap;

const SHARING_MODELS: &[(&str, SharingModel)] = &[
    ("private", SharingModel::Private),
    ("public_read", SharingModel::PublicRead),
    ("public_read_write", SharingModel::PublicReadWrite),
    ("controlled_by_parent", SharingModel::ControlledByParent),
];

/// An object with its place and what routing needs.
pub(in crate::load) struct ObjectDraft<'a> {
    pub(in crate::load) object: Object,
    pub(in crate::load) name_at: At<'a>,
    /// The object's own datasource, unless it is `default`.
    pub(in crate::load) own_datasource: Option<String>,
}

pub(in crate::load) fn read_object<'a>(at: &At<'a>, package: &str, links: &mut Links<'a>) -> Option<ObjectDraft<'a>> {
    let map = at.map(&shapes::OBJECT)?;
    let name_at = map.required("name")?;
    let is_foreign = map.get("external").is_some();
    let name = if is_foreign { name_at.foreign_name()? } else { name_at.name()? };
    let owner = Owner { object: &name, package, is_foreign };
    let declared = map.required("fields").map(|at| read_fields(&at, &owner, links)).unwrap_or_default();
    let is_system = map.flag("isSystem", false);
    let sharing_model = read_sharing_model(&map, &name, is_system);
    let tenancy = read_tenancy(&map, links, &name);
    let ownership = read_ownership(&map);
    let managed_by = read_managed_by(&map);
    let external = read_external(&map, &name, links);
    let switches = read_switches(&map);
    let columns = system_fields::Columns {
        object: &name,
        tenancy: tenancy.enabled,
        ownership,
        managed: managed_by,
        switches,
        external: external.as_ref(),
    };
    check_anchors(&declared, &map);
    let fields = system_fields::inject(&columns, declared);
    let Enable { api_enabled, api_methods, track_history } = read_enable(&map);
    let own_datasource = read_datasource(&map, links);
    note_field(&map, "nameField", &name, links);
    // A picture of the record, for people.
    note_field(&map, "imageField", &name, links);
    let object = Object {
        label: map.text("label").unwrap_or_else(|| name.clone()),
        plural_label: map.text("pluralLabel"),
        description: map.text("description"),
        name_field: map.text("nameField").or_else(|| name_field(&fields)),
        fields,
        datasource: own_datasource.clone().unwrap_or_default(),
        external,
        sharing_model,
        access_default: read_access(&map),
        required_permissions: read_required_permissions(&map, links),
        tenancy,
        ownership,
        managed_by,
        is_system,
        api_enabled,
        api_methods,
        track_history,
        searchable_fields: map.get("searchableFields").map(|at| read_field_names(&at, &name, links)),
        indexes: read_indexes(&map, &name, links),
        primary_key: Vec::new(),
        has_no_key: false,
        unique_keys: Vec::new(),
        primary_key_name: None,
        foreign_keys: Vec::new(),
        file: None,
        validations: read_validations(&map, &name, links),
        package: package.to_owned(),
        extended_by: Vec::new(),
        location: name_at.location(),
        name,
    };
    warn_unenforced(&map);
    Some(ObjectDraft { object, name_at, own_datasource })
}

/// The field that names records where the object says none: `name`, `title`, else its first text.
fn name_field(fields: &IndexMap<String, Field>) -> Option<String> {
    let is_text = |field: &&Field| {
        let is_shown = !field.hidden && !field.internal && !field.system && field.name != "id";
        field.field_type == FieldType::Text && !field.multiple && is_shown
    };
    let named = |name: &str| fields.get(name).filter(is_text);
    let first = || fields.values().find(is_text);
    named("name").or_else(|| named("title")).or_else(first).map(|field| field.name.clone())
}

/// Owner rules and the tenant wall compare these columns with an id: a list or a computed value would not protect.
fn check_anchors(declared: &[Field], map: &Map<'_>) {
    for field in declared.iter().filter(|field| system_fields::ANCHORS.contains(&field.name.as_str())) {
        let kind = field.field_type;
        let comparable = matches!(
            kind,
            FieldType::Text | FieldType::Number | FieldType::Lookup | FieldType::User | FieldType::MasterDetail
        );
        if comparable && !field.multiple {
            continue;
        }
        if let Some(at) = map.get("fields").and_then(|at| at.open()).and_then(|fields| fields.get(&field.name)) {
            at.key_error(
                format!("'{}' must hold one id", field.name),
                Some("Declare it as text, number, lookup or user, not multiple.".to_owned()),
            );
        }
    }
}

fn read_sharing_model(map: &Map<'_>, name: &str, is_system: bool) -> SharingModel {
    // Unset is private; the platform's own objects are public.
    let unset =
        if is_system || name.starts_with("sys_") { SharingModel::PublicReadWrite } else { SharingModel::Private };
    let Some(at) = map.get("sharingModel") else { return unset };
    // An unreadable model is reported, and private until then.
    at.choice("sharing model", SHARING_MODELS).unwrap_or(SharingModel::Private)
}

fn read_access(map: &Map<'_>) -> AccessDefault {
    const ALL: &[(&str, AccessDefault)] = &[("public", AccessDefault::Public), ("private", AccessDefault::Private)];
    let Some(access) = map.get("access").and_then(|at| at.map(&shapes::ACCESS)) else { return AccessDefault::Public };
    access.choice("default", "access default", ALL).unwrap_or(AccessDefault::Public)
}

fn read_required_permissions<'a>(map: &Map<'a>, links: &mut Links<'a>) -> RequiredPermissions {
    let Some(at) = map.get("requiredPermissions") else { return RequiredPermissions::default() };
    if at.is_list() {
        let all = links.capabilities(Some(&at));
        return RequiredPermissions { read: all.clone(), create: all.clone(), update: all.clone(), delete: all };
    }
    if !at.is_map() {
        at.expected("a list of permissions or one list per operation");
        return RequiredPermissions::default();
    }
    let Some(map) = at.map(&shapes::REQUIRED_PERMISSIONS) else { return RequiredPermissions::default() };
    let mut of = |key: &str| links.capabilities(map.get(key).as_ref());
    RequiredPermissions { read: of("read"), create: of("create"), update: of("update"), delete: of("delete") }
}

fn read_tenancy<'a>(map: &Map<'a>, links: &mut Links<'a>, object: &str) -> Tenancy {
    let default = Tenancy { enabled: true, field: "organization_id".to_owned(), organization_field: None };
    let Some(tenancy) = map.get("tenancy").and_then(|at| at.map(&shapes::TENANCY)) else { return default };
    let enabled = tenancy.required("enabled").and_then(|at| at.boolean()).unwrap_or(true);
    let mut named = |key: &str| {
        let at = tenancy.get(key)?;
        let name = at.text()?;
        links.add(Link { at, target: Target::Field { object: object.to_owned(), field: name.clone() } });
        Some(name)
    };
    let (field, organization_field) = (named("tenantField"), named("organizationField"));
    Tenancy { enabled, field: field.unwrap_or(default.field), organization_field }
}

fn read_ownership(map: &Map<'_>) -> Ownership {
    const ALL: &[(&str, Ownership)] = &[
        ("user", Ownership::User),
        ("business_unit", Ownership::BusinessUnit),
        ("org", Ownership::Org),
        ("none", Ownership::None),
    ];
    map.choice("ownership", "ownership", ALL).unwrap_or(Ownership::User)
}

fn read_managed_by(map: &Map<'_>) -> Option<ManagedBy> {
    const ALL: &[(&str, ManagedBy)] = &[
        ("platform", ManagedBy::Platform),
        ("config", ManagedBy::Config),
        ("system-data", ManagedBy::SystemData),
        ("engine-owned", ManagedBy::EngineOwned),
        ("append-only", ManagedBy::AppendOnly),
        ("better-auth", ManagedBy::BetterAuth),
    ];
    map.choice("managedBy", "manager", ALL)
}

fn read_switches(map: &Map<'_>) -> Switches {
    let Some(at) = map.get("systemFields") else { return Switches::default() };
    if at.is_map() {
        let Some(map) = at.map(&shapes::SYSTEM_FIELDS) else { return Switches::default() };
        return Switches { all: true, tenant: map.flag("tenant", true), audit: map.flag("audit", true) };
    }
    if at.boolean() == Some(true) {
        at.error_with("systemFields is false or a mapping", "Leave it out to inject every system field.");
    }
    Switches { all: false, ..Switches::default() }
}

fn read_external<'a>(map: &Map<'a>, object: &str, links: &mut Links<'a>) -> Option<External> {
    let external = map.get("external")?.map(&shapes::EXTERNAL)?;
    let mut column_map: IndexMap<String, String> = IndexMap::new();
    for (remote, at) in external.get("columnMap").and_then(|at| at.open()).iter().flat_map(Map::entries) {
        let Some(local) = at.text() else { continue };
        if column_map.values().any(|other| *other == local) {
            at.error(format!("field '{local}' is mapped twice"));
        }
        column_map.insert(remote.to_owned(), local.clone());
        links.add(Link { at, target: Target::Field { object: object.to_owned(), field: local } });
    }
    Some(External {
        remote_name: external.text("remoteName"),
        remote_schema: external.text("remoteSchema"),
        writable: external.flag("writable", false),
        column_map,
        ignore_columns: external.get("ignoreColumns").map(|at| at.texts()),
    })
}

/// What `enable` says.
struct Enable {
    api_enabled: bool,
    api_methods: Option<Vec<String>>,
    track_history: bool,
}

fn read_enable(map: &Map<'_>) -> Enable {
    const METHODS: &[(&str, &str)] = &[
        ("get", "get"),
        ("list", "list"),
        ("create", "create"),
        ("update", "update"),
        ("delete", "delete"),
        ("upsert", "upsert"),
        ("bulk", "bulk"),
    ];
    let Some(enable) = map.get("enable").and_then(|at| at.map(&shapes::ENABLE)) else {
        return Enable { api_enabled: true, api_methods: None, track_history: false };
    };
    let api_methods = enable.get("apiMethods").map(|at| {
        let items = at.list();
        items.iter().filter_map(|item| item.choice("API method", METHODS)).map(str::to_owned).collect()
    });
    Enable {
        api_enabled: enable.flag("apiEnabled", true),
        api_methods,
        track_history: enable.flag("trackHistory", false),
    }
}

fn read_datasource<'a>(map: &Map<'a>, links: &mut Links<'a>) -> Option<String> {
    let at = map.get("datasource")?;
    let name = at.text().filter(|name| name != "default")?;
    links.add(Link { at, target: Target::Datasource(name.clone()) });
    Some(name)
}

fn note_field<'a>(map: &Map<'a>, key: &str, object: &str, links: &mut Links<'a>) {
    if let Some(at) = map.get(key)
        && let Some(field) = at.text()
    {
        links.add(Link { at, target: Target::Field { object: object.to_owned(), field } });
    }
}

fn read_field_names<'a>(at: &At<'a>, object: &str, links: &mut Links<'a>) -> Vec<String> {
    let mut names = Vec::new();
    for item in at.list() {
        let Some(field) = item.text() else { continue };
        names.push(field.clone());
        links.add(Link { at: item, target: Target::Field { object: object.to_owned(), field } });
    }
    names
}

fn read_indexes<'a>(map: &Map<'a>, object: &str, links: &mut Links<'a>) -> Vec<Index> {
    let mut indexes = Vec::new();
    for at in map.list("indexes") {
        let Some(index) = at.map(&shapes::INDEX) else { continue };
        let fields = index.required("fields").map(|at| read_field_names(&at, object, links)).unwrap_or_default();
        indexes.push(Index { name: index.text("name"), fields, unique: read_unique(&index) });
    }
    indexes
}

fn warn_unenforced(map: &Map<'_>) {
    for (key, reason) in [
        ("externalSharingModel", "external users are not told apart; the object's sharingModel counts for everybody"),
        ("lifecycle", "records are not retained, rotated or archived by the gate"),
        ("publicSharing", "there are no share links; nobody gets access by one"),
    ] {
        if let Some(at) = map.get(key) {
            at.warn(format!("'{key}' has no effect: {reason}"), None);
        }
    }
}

pub(in crate::load) fn read_extension<'a>(
    at: &At<'a>,
    package: &str,
    links: &mut Links<'a>,
) -> Option<(Extension, At<'a>)> {
    let map = at.map(&shapes::EXTENSION)?;
    let target_at = map.required("extend")?;
    let target = target_at.text()?;
    let owner = Owner { object: &target, package, is_foreign: false };
    let fields: Vec<Field> = map.get("fields").map(|at| read_fields(&at, &owner, links)).unwrap_or_default();
    let priority = map.integer("priority", 0, 999).and_then(|number| i64::try_from(number).ok()).unwrap_or(200);
    let extension = Extension {
        package: package.to_owned(),
        priority,
        label: map.text("label"),
        plural_label: map.text("pluralLabel"),
        description: map.text("description"),
        fields,
        validations: read_validations(&map, &target, links),
        indexes: read_indexes(&map, &target, links),
        location: target_at.location(),
        target,
    };
    Some((extension, target_at))
}
