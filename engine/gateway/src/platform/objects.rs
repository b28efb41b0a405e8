//! Objects as a principal sees them: without those that are not readable, without fields that are hidden. Decides nothing itself.

use super::Resolved;
use querygate_metadata::model::{Field, Ownership, SharingModel, Uniqueness};
use querygate_metadata::model::{FieldType, Object};
use querygate_policy::ReadDecision;
use serde_json::{Map, Value, json};

pub(super) fn items(resolved: &Resolved) -> Vec<(String, Value)> {
    let names = resolved.deployment.snapshot.objects.keys();
    names.filter_map(|name| Some((name.clone(), item(resolved, name)?))).collect()
}

pub(super) fn item(resolved: &Resolved, name: &str) -> Option<Value> {
    let object = resolved.deployment.snapshot.object(name).filter(|object| object.api_enabled)?;
    let decision = resolved.evaluator().decide_read(name);
    if !decision.is_allowed() || !resolved.deployment.tables.contains_key(name) {
        return None;
    }
    Some(describe(object, &decision))
}

fn describe(object: &Object, decision: &ReadDecision) -> Value {
    let fields: Map<String, Value> = object
        .fields
        .values()
        .filter(|field| !field.phantom && !decision.hidden_fields().contains(&field.name))
        .map(|field| (field.name.clone(), described(field, decision)))
        .collect();
    let sees = |name: &&String| fields.contains_key(name.as_str());
    let mut item = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            item.insert(key.to_owned(), value);
        }
    };
    put("name", json!(object.name));
    put("label", json!(object.label));
    put("pluralLabel", json!(object.plural_label));
    put("description", json!(object.description));
    put("isSystem", json!(object.is_system));
    put("nameField", json!(object.name_field.as_ref().filter(sees)));
    put("sharingModel", json!(sharing(object.sharing_model)));
    put("ownership", json!(ownership(object.ownership)));
    put("_packageId", json!(object.package));
    put("fields", Value::Object(fields));
    Value::Object(item)
}

fn described(field: &Field, decision: &ReadDecision) -> Value {
    let mut shown = json!({
        "type": field.field_type.name(),
        "label": field.label,
        "required": field.required,
        "readonly": field.readonly,
        "multiple": field.multiple,
        "unique": field.unique != Uniqueness::No,
        "hidden": field.hidden,
        "searchable": field.searchable,
        "sortable": field.sortable && field.field_type != FieldType::Formula,
        "externalId": field.external_id,
    });
    let Some(map) = shown.as_object_mut() else { return shown };
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            map.insert(key.to_owned(), value);
        }
    };
    put("description", json!(field.description));
    put("reference", json!(field.reference));
    put("maxLength", json!(field.max_length));
    put("minLength", json!(field.min_length));
    put("min", json!(field.min));
    put("max", json!(field.max));
    put("precision", json!(field.precision));
    put("scale", json!(field.scale));
    if !field.options.is_empty() {
        let options = field.options.iter().map(|option| json!({"value": option.value, "label": option.label}));
        put("options", options.collect());
    }
    if field.system {
        put("system", json!(true));
    }
    if decision.masks().contains_key(&field.name) {
        put("masked", json!(true));
    }
    shown
}

fn sharing(model: SharingModel) -> &'static str {
    match model {
        SharingModel::Private => "private",
        SharingModel::PublicRead => "public_read",
        SharingModel::PublicReadWrite => "public_read_write",
        SharingModel::ControlledByParent => "controlled_by_parent",
    }
}

fn ownership(ownership: Ownership) -> &'static str {
    match ownership {
        Ownership::User => "user",
        Ownership::BusinessUnit => "business_unit",
        Ownership::Org => "org",
        Ownership::None => "none",
    }
}
