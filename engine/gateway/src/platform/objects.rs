//! Objects as a principal sees them: as their files have them, without those that are not readable, without fields that are hidden, and
//! without parts that name either. Decides nothing itself.

use super::Resolved;
use super::documents::Documents;
use querygate_metadata::model::{Field, FieldType, Object, Ownership, SharingModel, Uniqueness};
use querygate_policy::ReadDecision;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Columns that the platform fills, in the order in which an object has them where it does not declare them.
const FILLED: [&str; 7] =
    ["organization_id", "created_at", "created_by", "updated_at", "updated_by", "owner_id", "owning_business_unit_id"];
/// Those whose values it stamps.
const STAMPED: [&str; 4] = ["created_at", "created_by", "updated_at", "updated_by"];
/// What the platform's columns hold, as ObjectStack says it.
const DESCRIPTIONS: [&str; 7] = [
    "Tenant scope (auto-populated by org-scoping on insert; NULL on single-tenant stacks).",
    "Timestamp when the record was created (auto-populated by the driver).",
    "User who created the record (populated when an authenticated session is present).",
    "Timestamp of the most recent modification (auto-populated by the driver).",
    "User who last modified the record (populated when an authenticated session is present).",
    "Record owner (auto-stamped to the creating user on insert; reassignable). Drives owner-scoped views, reports and \
     notifications.",
    "Record-level business-unit ownership (ADR-0117 D1). Server-stamped scope anchor; NULL until the stamping middleware \
     lands.",
];

pub(super) fn items(resolved: &Resolved, documents: &Documents) -> Vec<(String, Value)> {
    let unseen = unseen(resolved);
    let names = resolved.deployment.snapshot.objects.keys();
    names.filter_map(|name| Some((name.clone(), seen(resolved, documents, name, &unseen)?))).collect()
}

pub(super) fn item(resolved: &Resolved, documents: &Documents, name: &str) -> Option<Value> {
    seen(resolved, documents, name, &unseen(resolved))
}

/// Names of objects that the principal does not read.
fn unseen(resolved: &Resolved) -> HashSet<&str> {
    let evaluator = resolved.evaluator();
    let names = resolved.deployment.snapshot.objects.keys().map(String::as_str);
    names.filter(|name| !evaluator.decide_read(name).is_allowed()).collect()
}

fn seen(resolved: &Resolved, documents: &Documents, name: &str, unseen: &HashSet<&str>) -> Option<Value> {
    let object = resolved.deployment.snapshot.object(name).filter(|object| object.api_enabled)?;
    let decision = resolved.evaluator().decide_read(name);
    if !decision.is_allowed() || !resolved.deployment.tables.contains_key(name) {
        return None;
    }
    let declared = documents.item("object", name).and_then(Value::as_object);
    let hidden = object.fields.keys().map(String::as_str).filter(|name| decision.hidden_fields().contains(*name));
    let labels = object.fields.values().filter(|field| decision.hidden_fields().contains(&field.name));
    let labels = labels.map(|field| words(&field.label)).filter(|words| !words.is_empty()).collect();
    let secret = Secret { names: unseen.iter().copied().chain(hidden).collect(), labels };
    let mut item = described(object, &decision, declared, &secret);
    if !resolved.administers() {
        // Code is of those who administer; a client shows the rest.
        let actions = item.get_mut("actions").and_then(Value::as_array_mut).into_iter().flatten();
        actions.filter_map(Value::as_object_mut).for_each(|action| drop(action.shift_remove("body")));
    }
    Some(item)
}

/// Names that a principal does not hear.
struct Secret<'a> {
    names: HashSet<&'a str>,
    /// What people call hidden fields, as words in lower case.
    labels: Vec<Vec<String>>,
}

/// What people write about an object or a field.
const PROSE: [&str; 3] = ["description", "inlineHelpText", "helpText"];

/// `Unit price` and `unit-price` are the same words.
fn words(text: &str) -> Vec<String> {
    text.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

impl Secret<'_> {
    /// Whether one of them stands anywhere in a value, as a word of its own.
    fn is_in(&self, value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
            Value::String(text) => self.is_word_of(text),
            Value::Array(items) => items.iter().any(|item| self.is_in(item)),
            Value::Object(members) => members.iter().any(|(name, member)| self.is_word_of(name) || self.is_in(member)),
        }
    }

    fn is_word_of(&self, text: &str) -> bool {
        !self.names.is_empty()
            && text.split(|sign: char| !sign.is_alphanumeric() && sign != '_').any(|word| self.names.contains(word))
    }

    /// A part under its key, as [`taken_out`](Self::taken_out); prose that speaks of a hidden field is none.
    fn told(&self, key: &str, part: &Value) -> Option<Value> {
        let speaks = |text: &str| {
            let text = words(text);
            self.labels.iter().any(|label| text.windows(label.len()).any(|part| part == label))
        };
        match part {
            Value::String(text) if PROSE.contains(&key) && speaks(text) => None,
            part => self.taken_out(part),
        }
    }

    /// A part without what names one of them: without the members of a list or an object that do; `None` of any other that does.
    fn taken_out(&self, part: &Value) -> Option<Value> {
        match part {
            Value::Array(items) => Some(items.iter().filter(|item| !self.is_in(item)).cloned().collect()),
            Value::Object(members) => {
                let told = members.iter().filter(|(name, member)| !self.is_word_of(name) && !self.is_in(member));
                Some(Value::Object(told.map(|(name, member)| (name.clone(), member.clone())).collect()))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                (!self.is_in(part)).then(|| part.clone())
            }
        }
    }
}

fn described(
    object: &Object,
    decision: &ReadDecision,
    declared: Option<&Map<String, Value>>,
    secret: &Secret<'_>,
) -> Value {
    let fields = fields(object, decision, declared, secret);
    let sees = |name: &&String| fields.contains_key(name.as_str());
    let mut item = Map::new();
    // What follows from rules stands as they are in force.
    let own = ["name", "fields", "nameField", "ownership", "_packageId"];
    for (key, part) in declared.into_iter().flatten().filter(|(key, _)| !own.contains(&key.as_str())) {
        item.extend(secret.told(key, part).map(|part| (key.clone(), part)));
    }
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            item.insert(key.to_owned(), value);
        }
    };
    put("name", json!(object.name));
    put("label", json!(object.label));
    put("pluralLabel", json!(object.plural_label));
    put("description", secret.told("description", &json!(object.description)).unwrap_or_default());
    put("isSystem", json!(object.is_system));
    put("nameField", json!(object.name_field.as_ref().filter(sees)));
    put("sharingModel", json!(sharing(object.sharing_model)));
    if object.ownership != Ownership::User {
        put("ownership", json!(ownership(object.ownership)));
    }
    put("_packageId", json!(object.package));
    put("fields", Value::Object(fields));
    Value::Object(item)
}

/// The fields that are seen: those that the platform fills, then the declared ones.
fn fields(
    object: &Object,
    decision: &ReadDecision,
    declared: Option<&Map<String, Value>>,
    secret: &Secret<'_>,
) -> Map<String, Value> {
    let declared = declared.and_then(|declared| declared.get("fields")).and_then(Value::as_object);
    let own = |field: &Field| declared.and_then(|fields| fields.get(&field.name)).and_then(Value::as_object);
    let mut seen: Vec<&Field> = object
        .fields
        .values()
        .filter(|field| !field.phantom && !decision.hidden_fields().contains(&field.name))
        // The key is shown where it is declared.
        .filter(|field| field.name != "id" || own(field).is_some() || declared.is_none())
        .collect();
    let place = |field: &&Field| {
        let filled = FILLED.iter().position(|name| *name == field.name).filter(|_| own(field).is_none());
        let declared = declared.and_then(|fields| fields.keys().position(|name| *name == field.name));
        filled.unwrap_or_else(|| FILLED.len() + declared.unwrap_or(0))
    };
    seen.sort_by_key(place);
    seen.into_iter().map(|field| (field.name.clone(), of_field(field, own(field), decision, secret))).collect()
}

fn of_field(
    field: &Field,
    declared: Option<&Map<String, Value>>,
    decision: &ReadDecision,
    secret: &Secret<'_>,
) -> Value {
    let is_masked = decision.masks().contains_key(&field.name);
    let all = declared.map_or_else(|| of_rules(field), Map::clone);
    // The object that a reference is to is shown, as its values are.
    let told = |(key, part): (String, Value)| match key.as_str() {
        "reference" | "type" | "name" => Some((key, part)),
        _ => secret.told(&key, &part).map(|part| (key, part)),
    };
    let mut shown: Map<String, Value> = all.into_iter().filter_map(told).collect();
    shown.entry("label").or_insert_with(|| field.label.as_str().into());
    if let Some(at) = FILLED.iter().position(|name| *name == field.name)
        && declared.is_none()
        && let Some(text) = DESCRIPTIONS.get(at)
    {
        shown.insert("description".to_owned(), json!(text));
    }
    if field.system {
        shown.insert("system".to_owned(), json!(true));
    }
    // What the platform stamps is its own, where a file declares it too.
    if STAMPED.contains(&field.name.as_str()) {
        shown.insert("system".to_owned(), json!(true));
        shown.insert("readonly".to_owned(), json!(true));
    }
    if is_masked && !field.field_type.always_masked() {
        shown.insert("masked".to_owned(), json!(true));
    }
    Value::Object(shown)
}

/// A field that no file declares in full: what the rules know of it.
fn of_rules(field: &Field) -> Map<String, Value> {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            shown.insert(key.to_owned(), value);
        }
    };
    put("type", json!(field.field_type.name()));
    put("reference", json!(field.reference));
    put("label", json!(field.label));
    put("required", json!(field.required));
    put("readonly", json!(field.readonly));
    if field.hidden {
        put("hidden", json!(true));
    }
    if field.system {
        return shown;
    }
    put("multiple", json!(field.multiple));
    put("unique", json!(field.unique != Uniqueness::No));
    put("hidden", json!(field.hidden));
    put("searchable", json!(field.searchable));
    put("sortable", json!(field.sortable && field.field_type != FieldType::Formula));
    put("externalId", json!(field.external_id));
    put("description", json!(field.description));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_name_what_is_hidden_are_taken_out() {
        let secret = Secret { names: HashSet::from(["budget", "crm_deal"]), labels: vec![words("Gross Margin")] };
        let part =
            json!([{"field": "budget"}, {"condition": "record.budget > 1"}, {"field": "budgets"}, "crm_deal", 1]);
        assert_eq!(secret.taken_out(&part), Some(json!([{"field": "budgets"}, 1])));
        assert_eq!(
            secret.taken_out(&json!({"budget": 1, "name": "of crm_deal", "own": true})),
            Some(json!({"own": true}))
        );
        assert_eq!(secret.taken_out(&json!("budget")), None);
        assert_eq!(secret.told("description", &json!("Without the gross-margin.")), None);
        assert!(secret.told("description", &json!("Gross of all margins.")).is_some());
        assert!(secret.told("label", &json!("Gross margin")).is_some(), "a label is no prose");
        let none = Secret { names: HashSet::new(), labels: Vec::new() };
        assert_eq!(none.taken_out(&part), Some(part));
    }
}
