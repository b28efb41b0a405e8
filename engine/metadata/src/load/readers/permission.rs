//! Reads permission sets, positions, capabilities and sharing rules. Every unknown word here is an error: ignoring it
//! could widen what somebody may do.

use super::shapes;
use crate::load::links::{Link, Links, Target};
use crate::model::{
    AccessLevel, Capability, FieldPermission, ObjectPermission, PermissionSet, Position, Recipient, RowOperation,
    RowPolicy, Scope, SharingRule,
};
use crate::read::{At, Map};
use indexmap::IndexMap;

pub(in crate::load) fn read_permission_set<'a>(
    at: &At<'a>,
    package: Option<&str>,
    links: &mut Links<'a>,
) -> Option<PermissionSet> {
    let map = at.map(&shapes::PERMISSION_SET)?;
    let name_at = map.required("name")?;
    let name = name_at.name()?;
    let mut objects = IndexMap::new();
    for (object, at) in map.required("objects").and_then(|at| at.open()).iter().flat_map(Map::entries) {
        links.add(Link { at: at.clone(), target: Target::ObjectOrAny(object.to_owned()) });
        if let Some(permission) = read_object_permission(&at, links) {
            objects.insert(object.to_owned(), permission);
        }
    }
    if let Some(at) = map.get("adminScope") {
        at.warn("'adminScope' has no effect: the gate does not administer permissions", None);
    }
    Some(PermissionSet {
        label: map.text("label").unwrap_or_else(|| name.clone()),
        description: map.text("description"),
        is_default: map.flag("isDefault", false),
        objects,
        fields: read_field_permissions(&map, links),
        system_permissions: map.texts("systemPermissions"),
        row_level_security: map.list("rowLevelSecurity").iter().filter_map(|at| read_row_policy(at, links)).collect(),
        package: package.map(str::to_owned),
        location: name_at.location(),
        name,
    })
}

fn read_object_permission<'a>(at: &At<'a>, links: &mut Links<'a>) -> Option<ObjectPermission> {
    let map = at.map(&shapes::OBJECT_PERMISSION)?;
    let mut scope = |key: &str| {
        const ALL: &[(&str, Scope)] = &[
            ("own", Scope::Own),
            ("own_and_reports", Scope::OwnAndReports),
            ("unit", Scope::Unit),
            ("unit_and_below", Scope::UnitAndBelow),
            ("org", Scope::Org),
        ];
        let at = map.get(key)?;
        let scope = at.choice("scope", ALL)?;
        if matches!(scope, Scope::OwnAndReports | Scope::Unit | Scope::UnitAndBelow) {
            links.add(Link { at, target: Target::HierarchyScope });
        }
        Some(scope)
    };
    let (read_scope, write_scope) = (scope("readScope"), scope("writeScope"));
    Some(ObjectPermission {
        allow_create: map.flag("allowCreate", false),
        allow_read: map.flag("allowRead", false),
        allow_edit: map.flag("allowEdit", false),
        allow_delete: map.flag("allowDelete", false),
        allow_export: map.flag("allowExport", false),
        allow_transfer: map.flag("allowTransfer", false),
        view_all_records: map.flag("viewAllRecords", false),
        modify_all_records: map.flag("modifyAllRecords", false),
        read_scope,
        write_scope,
    })
}

fn read_field_permissions<'a>(
    map: &Map<'a>,
    links: &mut Links<'a>,
) -> IndexMap<String, IndexMap<String, FieldPermission>> {
    let mut fields: IndexMap<String, IndexMap<String, FieldPermission>> = IndexMap::new();
    for (key, at) in map.get("fields").and_then(|at| at.open()).iter().flat_map(Map::entries) {
        let Some((object, field)) = key.split_once('.') else {
            at.key_error(format!("'{key}' is not <object>.<field>"), None);
            continue;
        };
        let Some(permission) = at.map(&shapes::FIELD_PERMISSION) else { continue };
        let permission = FieldPermission {
            readable: permission.flag("readable", true),
            editable: permission.flag("editable", false),
        };
        fields.entry(object.to_owned()).or_default().insert(field.to_owned(), permission);
        links.add(Link { at: at.clone(), target: Target::Object(object.to_owned()) });
        let target = Target::Field { object: object.to_owned(), field: field.to_owned() };
        links.add(Link { at, target });
    }
    fields
}

fn read_row_policy<'a>(at: &At<'a>, links: &mut Links<'a>) -> Option<RowPolicy> {
    const OPERATIONS: &[(&str, RowOperation)] = &[
        ("select", RowOperation::Select),
        ("insert", RowOperation::Insert),
        ("update", RowOperation::Update),
        ("delete", RowOperation::Delete),
        ("all", RowOperation::All),
    ];
    let map = at.map(&shapes::ROW_POLICY)?;
    let name = map.required("name")?.name()?;
    let object_at = map.required("object")?;
    let object = object_at.text()?;
    links.add(Link { at: object_at, target: Target::ObjectOrAny(object.clone()) });
    let operation = map.required("operation")?.choice("operation", OPERATIONS)?;
    if map.get("using").is_none() && map.get("check").is_none() {
        at.error_with("the policy has neither using nor check", "Write `using` for reads, `check` for inserts.");
    }
    let mut positions = Vec::new();
    for item in map.list("positions") {
        let Some(position) = item.text() else { continue };
        positions.push(position.clone());
        links.add(Link { at: item, target: Target::Position(position) });
    }
    Some(RowPolicy {
        name,
        object,
        operation,
        using: map.cel("using"),
        check: map.cel("check"),
        positions,
        enabled: map.flag("enabled", true),
    })
}

pub(in crate::load) fn read_position<'a>(at: &At<'a>, package: &str) -> Option<(Position, At<'a>)> {
    let map = at.map(&shapes::POSITION)?;
    let name_at = map.required("name")?;
    let name = name_at.name()?;
    let position = Position {
        label: map.text("label").unwrap_or_else(|| name.clone()),
        description: map.text("description"),
        package: Some(package.to_owned()),
        name,
    };
    Some((position, name_at))
}

pub(in crate::load) fn read_capability<'a>(at: &At<'a>, package: &str) -> Option<(Capability, At<'a>)> {
    let map = at.map(&shapes::CAPABILITY)?;
    let name_at = map.required("name")?;
    let name = name_at.text()?;
    let capability = Capability {
        label: map.text("label").unwrap_or_else(|| name.clone()),
        description: map.text("description"),
        package: Some(package.to_owned()),
        name,
    };
    Some((capability, name_at))
}

pub(in crate::load) fn read_sharing_rule<'a>(
    at: &At<'a>,
    package: &str,
    links: &mut Links<'a>,
) -> Option<(SharingRule, At<'a>)> {
    let map = at.map(&shapes::SHARING_RULE)?;
    let name_at = map.required("name")?;
    let name = name_at.name()?;
    map.required("type")?.choice("sharing rule type", &[("criteria", ())])?;
    let object_at = map.required("object")?;
    let object = object_at.text()?;
    links.add(Link { at: object_at, target: Target::Object(object.clone()) });
    let levels = &[("read", AccessLevel::Read), ("edit", AccessLevel::Edit)];
    let access_level = match map.get("accessLevel") {
        Some(at) => at.choice("access level", levels)?,
        None => AccessLevel::Read,
    };
    let shared_with = read_recipient(&map.required("sharedWith")?, &object, links)?;
    let rule = SharingRule {
        label: map.text("label").unwrap_or_else(|| name.clone()),
        object,
        condition: map.required("condition")?.cel()?,
        access_level,
        shared_with,
        active: map.flag("active", true),
        package: Some(package.to_owned()),
        name,
    };
    Some((rule, name_at))
}

fn read_recipient<'a>(at: &At<'a>, object: &str, links: &mut Links<'a>) -> Option<Recipient> {
    type Make = fn(String) -> Recipient;
    const KINDS: &[(&str, Make)] = &[
        ("user", Recipient::User),
        ("team", Recipient::Team),
        ("position", Recipient::Position),
        ("unit_and_subordinates", Recipient::UnitAndSubordinates),
        ("business_unit", Recipient::BusinessUnit),
        ("field", Recipient::Field),
    ];
    let map = at.map(&shapes::SHARED_WITH)?;
    let make = map.required("type")?.choice("recipient type", KINDS)?;
    let value_at = map.required("value")?;
    let recipient = make(value_at.text()?);
    match &recipient {
        Recipient::Field(field) => {
            let target = Target::Field { object: object.to_owned(), field: field.clone() };
            links.add(Link { at: value_at, target });
        }
        Recipient::Position(position) => {
            links.add(Link { at: value_at, target: Target::Position(position.clone()) });
        }
        Recipient::User(_) | Recipient::Team(_) | Recipient::UnitAndSubordinates(_) | Recipient::BusinessUnit(_) => {}
    }
    Some(recipient)
}
