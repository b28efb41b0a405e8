//! What a principal holds and may do, for the client that draws its buttons by it. Decides nothing itself.

use super::Resolved;
use super::documents::Documents;
use querygate_metadata::model::{Object, ObjectPermission, Scope};
use querygate_policy::write::WriteOperation;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What clients may do with an object by the interface, unless its metadata says otherwise; `history` of one that keeps it.
const OPERATIONS: [&str; 11] =
    ["get", "list", "create", "update", "delete", "upsert", "bulk", "aggregate", "history", "search", "import"];
/// Rights on all objects that have none of their own.
const ALL_OBJECTS: &str = "*";

pub(super) fn rights(resolved: &Resolved, documents: &Documents) -> Value {
    let principal = &resolved.principal;
    let policies = &resolved.deployment.policies;
    let sets: Vec<_> = principal.permission_sets.iter().filter_map(|name| policies.permission_set(name)).collect();
    let system: BTreeSet<&str> =
        sets.iter().flat_map(|set| set.system_permissions.iter().map(String::as_str)).collect();
    let (mut objects, mut fields) = (Map::new(), Map::new());
    for name in resolved.deployment.snapshot.objects.keys() {
        let Some((own, locked)) = of_object(resolved, documents, name) else { continue };
        fields.extend(locked);
        // What holds for all others stands there once.
        if sets.iter().any(|set| set.objects.contains_key(name)) {
            objects.insert(name.to_owned(), own);
        }
    }
    let of_all: Vec<&ObjectPermission> = sets.iter().filter_map(|set| set.objects.get(ALL_OBJECTS)).collect();
    if !of_all.is_empty() {
        objects.insert(ALL_OBJECTS.to_owned(), Value::Object(of_entries(&of_all)));
    }
    json!({
        "userId": principal.user_id,
        "tenantId": principal.organization_id,
        "positions": principal.positions,
        "permissionSets": sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(),
        "objects": objects,
        "fields": fields,
        "systemPermissions": system,
        "tabPermissions": {},
    })
}

/// Rights as sets grant them, all together.
fn of_entries(entries: &[&ObjectPermission]) -> Map<String, Value> {
    type Right = fn(&ObjectPermission) -> bool;
    let any = |right: Right| Value::Bool(entries.iter().any(|entry| right(entry)));
    let rights: [(&str, Right); 7] = [
        ("allowCreate", |entry| entry.allow_create),
        ("allowRead", |entry| entry.allow_read),
        ("allowEdit", |entry| entry.allow_edit),
        ("allowDelete", |entry| entry.allow_delete),
        ("allowTransfer", |entry| entry.allow_transfer),
        ("viewAllRecords", |entry| entry.view_all_records),
        ("modifyAllRecords", |entry| entry.modify_all_records),
    ];
    rights.into_iter().map(|(name, right)| (name.to_owned(), any(right))).collect()
}

/// The widest of the scopes that sets name for an object.
pub(super) fn widest(scopes: impl Iterator<Item = Scope>) -> Option<&'static str> {
    let names = [
        (Scope::Own, "own"),
        (Scope::OwnAndReports, "own_and_reports"),
        (Scope::Unit, "unit"),
        (Scope::UnitAndBelow, "unit_and_below"),
        (Scope::Org, "org"),
    ];
    let places = scopes.filter_map(|scope| names.iter().position(|(own, _)| *own == scope));
    places.max().and_then(|place| names.get(place)).map(|(_, name)| *name)
}

/// Rights on an object that none of the held sets speaks of: ObjectStack tells what sets say, as they say it.
fn unsaid(resolved: &Resolved, documents: &Documents, name: &str) -> BTreeSet<&'static str> {
    const OPTIONAL: [&str; 3] = ["allowTransfer", "viewAllRecords", "modifyAllRecords"];
    let policies = &resolved.deployment.policies;
    let sets = resolved.principal.permission_sets.iter().filter_map(|set| policies.permission_set(set));
    let speaking: Vec<Option<&Value>> = sets
        .filter(|set| set.objects.contains_key(name))
        .map(|set| documents.item("permission", &set.name)?.get("objects")?.get(name))
        .collect();
    // A set that no file has is one of the platform's, which say all of it.
    let says = |right: &str| speaking.iter().any(|entry| entry.is_none_or(|entry| entry.get(right).is_some()));
    OPTIONAL.into_iter().filter(|right| !says(right)).collect()
}

/// Rights on an object and its fields that are not edited; `None` of one that the principal can do nothing with.
fn of_object(resolved: &Resolved, documents: &Documents, name: &str) -> Option<(Value, Map<String, Value>)> {
    let evaluator = resolved.evaluator();
    let object = resolved.deployment.snapshot.object(name)?;
    let read = evaluator.decide_read(name);
    let may = |operation| evaluator.decide_target(name, operation).refusal().is_none();
    let (creates, edits, deletes) =
        (may(WriteOperation::Insert), may(WriteOperation::Update), may(WriteOperation::Delete));
    if !read.is_allowed() && !creates && !edits && !deletes {
        return None;
    }
    let policies = &resolved.deployment.policies;
    let sets = || resolved.principal.permission_sets.iter().filter_map(|set| policies.permission_set(set));
    let entries: Vec<&ObjectPermission> = sets().filter_map(|set| set.objects.get(name)).collect();
    let mut own = of_entries(&entries);
    // A set that changes all records of all objects gives these, too.
    let of_all = sets().filter_map(|set| set.objects.get(ALL_OBJECTS));
    let (mut reads_all, mut changes_all) = (false, false);
    of_all.for_each(|right| {
        changes_all |= right.modify_all_records;
        reads_all |= right.view_all_records || right.modify_all_records;
    });
    for (right, folded, may) in [
        ("allowCreate", changes_all, creates),
        ("allowRead", reads_all, read.is_allowed()),
        ("allowEdit", changes_all, edits),
        ("allowDelete", changes_all, deletes),
    ] {
        let is_granted = folded || own.get(right) == Some(&Value::Bool(true));
        own.insert(right.to_owned(), (is_granted && may).into());
    }
    let unsaid = unsaid(resolved, documents, name);
    own.retain(|right, value| *value == Value::Bool(true) || !unsaid.contains(right.as_str()));
    for (key, scopes) in [
        ("readScope", widest(entries.iter().filter_map(|entry| entry.read_scope))),
        ("writeScope", widest(entries.iter().filter_map(|entry| entry.write_scope))),
    ] {
        own.extend(scopes.map(|scope| (key.to_owned(), scope.into())));
    }
    // Who may take records away may do everything that the interface has.
    match entries.iter().any(|entry| entry.allow_export) {
        true => drop(own.insert("allowExport".to_owned(), true.into())),
        false => drop(own.insert("apiOperations".to_owned(), json!(operations(object)))),
    }
    let hidden = read.hidden_fields();
    let locked = evaluator.not_editable_fields(name);
    let locked = locked.into_iter().filter(|field| !hidden.contains(field));
    let field = |field: String| (format!("{name}.{field}"), json!({"readable": true, "editable": false}));
    Some((Value::Object(own), locked.map(field).collect()))
}

fn operations(object: &Object) -> Vec<String> {
    let all = OPERATIONS.into_iter().filter(|name| *name != "history" || object.track_history);
    object.api_methods.clone().unwrap_or_else(|| all.map(str::to_owned).collect())
}

/// What the held sets say of an object.
pub(super) fn entries(resolved: &Resolved, name: &str) -> Vec<ObjectPermission> {
    let policies = &resolved.deployment.policies;
    let sets = resolved.principal.permission_sets.iter().filter_map(|set| policies.permission_set(set));
    sets.filter_map(|set| set.objects.get(name).or_else(|| set.objects.get("*"))).cloned().collect()
}
