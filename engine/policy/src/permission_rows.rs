//! Permission sets from `sys_permission_set` rows. A row that cannot be understood is an error: guessing widens rights.

use indexmap::IndexMap;
use querygate_metadata::model::{
    Dialect, Expression, FieldPermission, Location, ObjectPermission, PermissionSet, RowOperation, RowPolicy, Scope,
};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value};

type Row = Map<String, Value>;

/// Reads `sys_permission_set` rows: `object_permissions`, `field_permissions`, `system_permissions` and
/// `row_level_security` (or `objects`, `fields`, ... as in metadata), each a JSON value or its text. Inactive rows are
/// left out.
///
/// # Errors
/// The first row with an unknown right, scope or operation, or with a value of a wrong type.
pub fn permission_sets_from_rows(rows: &[Row]) -> Result<Vec<PermissionSet>> {
    rows.iter().filter(|row| row.get("active") != Some(&Value::Bool(false))).map(set).collect()
}

fn refused(name: &str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::MetadataInvalid, format!("permission set '{name}': {what}"))
}

fn set(row: &Row) -> Result<PermissionSet> {
    let name = text(row, "name").ok_or_else(|| refused("?", "name is missing"))?;
    let refuse = |what: String| refused(&name, what);
    let mut objects = IndexMap::new();
    for (object, rights) in object_of(row, &["object_permissions", "objects"]).map_err(refuse)? {
        objects.insert(object.clone(), object_permission(&rights).map_err(|e| refuse(format!("{object}: {e}")))?);
    }
    let mut fields: IndexMap<String, IndexMap<String, FieldPermission>> = IndexMap::new();
    for (path, rights) in object_of(row, &["field_permissions", "fields"]).map_err(refuse)? {
        let (object, field) =
            path.split_once('.').ok_or_else(|| refuse(format!("'{path}' is not <object>.<field>")))?;
        let rights = field_permission(&rights).map_err(|e| refuse(format!("{path}: {e}")))?;
        fields.entry(object.to_owned()).or_default().insert(field.to_owned(), rights);
    }
    let system_permissions = texts(&json(row, &["system_permissions", "systemPermissions"]).map_err(refuse)?)
        .ok_or_else(|| refuse("system permissions are not a list of names".to_owned()))?;
    let row_level_security = match json(row, &["row_level_security", "rowLevelSecurity"]).map_err(refuse)? {
        Value::Null => Vec::new(),
        Value::Array(policies) => policies.iter().map(row_policy).collect::<Result<_, _>>().map_err(refuse)?,
        _ => return Err(refuse("row policies are not a list".to_owned())),
    };
    let platform = text(row, "managed_by").is_none_or(|by| by == "platform");
    let package = text(row, "package_id").or_else(|| (!platform).then(|| "rows".to_owned()));
    Ok(PermissionSet {
        label: text(row, "label").unwrap_or_else(|| name.clone()),
        description: text(row, "description"),
        is_default: flag(row, "is_default").map_err(refuse)? || flag(row, "isDefault").map_err(refuse)?,
        objects,
        fields,
        system_permissions,
        row_level_security,
        package,
        location: Location::outside("sys_permission_set"),
        name,
    })
}

fn text(row: &Row, key: &str) -> Option<String> {
    row.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
}

/// The first of `keys` that has a value, decoded when it is JSON text.
fn json(row: &Row, keys: &[&str]) -> Result<Value, String> {
    match keys.iter().filter_map(|key| row.get(*key)).find(|value| !value.is_null()) {
        None => Ok(Value::Null),
        Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| format!("{} is not JSON", keys.join("/"))),
        Some(value) => Ok(value.clone()),
    }
}

fn object_of(row: &Row, keys: &[&str]) -> Result<Row, String> {
    match json(row, keys)? {
        Value::Null => Ok(Row::new()),
        Value::Object(object) => Ok(object),
        _ => Err(format!("{} is not an object", keys.join("/"))),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(members) => members.iter().map(|m| m.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn flag(row: &Row, key: &str) -> Result<bool, String> {
    match row.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(b)) => Ok(*b),
        Some(Value::Number(n)) if n.as_i64() == Some(0) => Ok(false),
        Some(Value::Number(n)) if n.as_i64() == Some(1) => Ok(true),
        Some(_) => Err(format!("{key} is neither true nor false")),
    }
}

fn object_permission(rights: &Value) -> Result<ObjectPermission, String> {
    let rights = rights.as_object().ok_or("rights are not an object")?;
    let mut permission = ObjectPermission::default();
    for (key, value) in rights {
        let right = match key.as_str() {
            "allowCreate" => &mut permission.allow_create,
            "allowRead" => &mut permission.allow_read,
            "allowEdit" => &mut permission.allow_edit,
            "allowDelete" => &mut permission.allow_delete,
            "allowExport" => &mut permission.allow_export,
            "allowTransfer" => &mut permission.allow_transfer,
            "viewAllRecords" => &mut permission.view_all_records,
            "modifyAllRecords" => &mut permission.modify_all_records,
            "readScope" => {
                permission.read_scope = scope(value)?;
                continue;
            }
            "writeScope" => {
                permission.write_scope = scope(value)?;
                continue;
            }
            other => return Err(format!("'{other}' is no right")),
        };
        *right = value.as_bool().ok_or_else(|| format!("{key} is neither true nor false"))?;
    }
    Ok(permission)
}

fn scope(value: &Value) -> Result<Option<Scope>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(scope) => match scope.as_str() {
            "own" => Ok(Some(Scope::Own)),
            "own_and_reports" => Ok(Some(Scope::OwnAndReports)),
            "unit" => Ok(Some(Scope::Unit)),
            "unit_and_below" => Ok(Some(Scope::UnitAndBelow)),
            "org" => Ok(Some(Scope::Org)),
            other => Err(format!("'{other}' is no scope")),
        },
        _ => Err("a scope is a name".to_owned()),
    }
}

fn field_permission(rights: &Value) -> Result<FieldPermission, String> {
    let rights = rights.as_object().ok_or("rights are not an object")?;
    let mut permission = FieldPermission { readable: true, editable: false };
    for (key, value) in rights {
        let value = value.as_bool().ok_or_else(|| format!("{key} is neither true nor false"))?;
        match key.as_str() {
            "readable" => permission.readable = value,
            "editable" => permission.editable = value,
            other => return Err(format!("'{other}' is no right on a field")),
        }
    }
    Ok(permission)
}

fn row_policy(policy: &Value) -> Result<RowPolicy, String> {
    let policy = policy.as_object().ok_or("a row policy is an object")?;
    let name = text(policy, "name").ok_or("a row policy has no name")?;
    let operation = match text(policy, "operation").as_deref() {
        Some("select") => RowOperation::Select,
        Some("insert") => RowOperation::Insert,
        Some("update") => RowOperation::Update,
        Some("delete") => RowOperation::Delete,
        Some("all") => RowOperation::All,
        _ => return Err(format!("row policy '{name}' has no operation")),
    };
    let enabled = match policy.get("enabled") {
        None | Some(Value::Null) => true,
        Some(_) => flag(policy, "enabled")?,
    };
    let parsed = RowPolicy {
        object: text(policy, "object").ok_or_else(|| format!("row policy '{name}' has no object"))?,
        operation,
        using: expression(policy, "using")?,
        check: expression(policy, "check")?,
        positions: texts(policy.get("positions").unwrap_or(&Value::Null))
            .ok_or_else(|| format!("positions of row policy '{name}' are not a list of names"))?,
        enabled,
        name,
    };
    if parsed.using.is_none() && parsed.check.is_none() {
        return Err(format!("row policy '{}' has neither using nor check", parsed.name));
    }
    Ok(parsed)
}

fn expression(policy: &Row, key: &str) -> Result<Option<Expression>, String> {
    let (dialect, source) = match policy.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(source)) => (Dialect::Cel, source.clone()),
        Some(Value::Object(envelope)) => {
            let dialect = match text(envelope, "dialect").as_deref() {
                None | Some("cel") => Dialect::Cel,
                Some("cron") => Dialect::Cron,
                Some("template") => Dialect::Template,
                Some(other) => return Err(format!("'{other}' is no dialect")),
            };
            (dialect, text(envelope, "source").ok_or_else(|| format!("{key} has no source"))?)
        }
        Some(_) => return Err(format!("{key} is no expression")),
    };
    Ok(Some(Expression { dialect, source, location: Location::outside("sys_permission_set") }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(row: Value) -> Result<PermissionSet> {
        permission_sets_from_rows(&[row.as_object().unwrap().clone()]).map(|mut sets| sets.swap_remove(0))
    }

    #[test]
    fn encoded_and_plain_columns_read_alike() {
        let plain = read(json!({"name": "s", "object_permissions": {"o": {"allowRead": true, "readScope": "org"}},
            "field_permissions": {"o.f": {"readable": false}}, "system_permissions": ["p"]}));
        let encoded = read(json!({"name": "s", "objects": "{\"o\": {\"allowRead\": true, \"readScope\": \"org\"}}",
            "fields": "{\"o.f\": {\"readable\": false}}", "system_permissions": "[\"p\"]"}));
        assert_eq!(plain.as_ref().unwrap(), encoded.as_ref().unwrap());
        let set = plain.unwrap();
        assert_eq!(set.field("o", "f"), Some(FieldPermission { readable: false, editable: false }));
        assert_eq!(set.object("o").unwrap().read_scope, Some(Scope::Org));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for row in [
            json!({}),
            json!({"name": "s", "objects": {"o": {"allowEverything": true}}}),
            json!({"name": "s", "objects": {"o": {"allowRead": "yes"}}}),
            json!({"name": "s", "objects": {"o": {"readScope": "galaxy"}}}),
            json!({"name": "s", "objects": "{"}),
            json!({"name": "s", "fields": {"f": {"readable": true}}}),
            json!({"name": "s", "row_level_security": [{"name": "p", "object": "o", "operation": "peek", "using": "a"}]}),
            json!({"name": "s", "row_level_security": [{"name": "p", "object": "o", "operation": "all"}]}),
        ] {
            assert!(read(row.clone()).is_err(), "{row}");
        }
    }
}
