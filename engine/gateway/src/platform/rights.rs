//! What a principal holds and may do, for the client that draws its buttons by it. Decides nothing itself.

use super::Resolved;
use querygate_metadata::model::ObjectPermission;
use querygate_policy::write::WriteOperation;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What clients may do with an object by the interface, unless its metadata says otherwise.
const OPERATIONS: [&str; 10] =
    ["get", "list", "create", "update", "delete", "upsert", "bulk", "aggregate", "search", "import"];

pub(super) fn rights(resolved: &Resolved) -> Value {
    let principal = &resolved.principal;
    let policies = &resolved.deployment.policies;
    let sets: Vec<_> = principal.permission_sets.iter().filter_map(|name| policies.permission_set(name)).collect();
    let system: BTreeSet<&str> =
        sets.iter().flat_map(|set| set.system_permissions.iter().map(String::as_str)).collect();
    let (mut objects, mut fields) = (Map::new(), Map::new());
    for name in resolved.deployment.snapshot.objects.keys() {
        let Some((own, locked)) = of_object(resolved, name) else { continue };
        objects.insert(name.to_owned(), own);
        fields.extend(locked);
    }
    json!({
        "userId": principal.user_id,
        "tenantId": principal.organization_id,
        "positions": principal.positions,
        "permissionSets": sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(),
        "objects": objects,
        "fields": fields,
        "systemPermissions": system,
    })
}

/// Rights on an object and its fields that are not edited; `None` of one that the principal can do nothing with.
fn of_object(resolved: &Resolved, name: &str) -> Option<(Value, Map<String, Value>)> {
    let evaluator = resolved.evaluator();
    let object = resolved.deployment.snapshot.object(name)?;
    let read = evaluator.decide_read(name);
    let may = |operation| evaluator.decide_target(name, operation).refusal().is_none();
    let (creates, edits, deletes) =
        (may(WriteOperation::Insert), may(WriteOperation::Update), may(WriteOperation::Delete));
    if !read.is_allowed() && !creates && !edits && !deletes {
        return None;
    }
    let entries = entries(resolved, name);
    let any = |right: fn(&ObjectPermission) -> bool| entries.iter().any(right);
    let methods = object.api_methods.clone();
    let own = json!({
        "allowCreate": creates,
        "allowRead": read.is_allowed(),
        "allowEdit": edits,
        "allowDelete": deletes,
        "allowTransfer": any(|entry| entry.allow_transfer || entry.modify_all_records),
        "allowExport": any(|entry| entry.allow_export),
        "viewAllRecords": any(|entry| entry.view_all_records),
        "modifyAllRecords": any(|entry| entry.modify_all_records),
        "apiOperations": methods.unwrap_or_else(|| OPERATIONS.map(str::to_owned).to_vec()),
    });
    let hidden = read.hidden_fields();
    let locked = evaluator.not_editable_fields(name);
    let locked = locked.into_iter().filter(|field| !hidden.contains(field));
    let field = |field: String| (format!("{name}.{field}"), json!({"readable": true, "editable": false}));
    Some((own, locked.map(field).collect()))
}

/// What the held sets say of an object.
pub(super) fn entries(resolved: &Resolved, name: &str) -> Vec<ObjectPermission> {
    let policies = &resolved.deployment.policies;
    let sets = resolved.principal.permission_sets.iter().filter_map(|set| policies.permission_set(set));
    sets.filter_map(|set| set.objects.get(name).or_else(|| set.objects.get("*"))).cloned().collect()
}
