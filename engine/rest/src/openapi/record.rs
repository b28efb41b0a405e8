//! Records of one object as schemas: as they are read, and as they are written. What is hidden from the principal is in neither.

use super::Seen;
use super::shape::{Shape, any, formatted, list, nullable, object, of, one_of, words};
use querygate_query_api::requests::question::{FieldDescription, JsonForm, ObjectDescription};
use utoipa::openapi::schema::{AdditionalProperties, SchemaType};
use utoipa::openapi::{KnownFormat, ObjectBuilder, Type};

/// Bytes as text.
const BYTES: &str = r"^\\x([0-9a-f]{2})*$";
const ABOUT_BYTES: &str = "Bytes: hexadecimal digits behind `\\x`, read and written alike.";

/// Types of fields whose stored texts a reader gets as they are, whatever they look like.
const TYPES_OF_TEXT: [&str; 2] = ["email", "url"];

/// Names of an object's schemas.
pub(super) fn read(object: &ObjectDescription) -> String {
    format!("record.{}", object.name)
}

pub(super) fn created(object: &ObjectDescription) -> String {
    format!("create.{}", object.name)
}

pub(super) fn updated(object: &ObjectDescription) -> String {
    format!("update.{}", object.name)
}

/// The schemas of an object.
pub(super) fn schemas(seen: &Seen, all: &[Seen]) -> Vec<(String, Shape)> {
    let object = seen.object.as_ref();
    let mut schemas = vec![(read(object), as_read(object, all))];
    if seen.rights.create {
        schemas.push((created(object), as_written(seen, true)));
    }
    if seen.rights.update {
        schemas.push((updated(object), as_written(seen, false)));
    }
    schemas
}

fn as_read(described: &ObjectDescription, all: &[Seen]) -> Shape {
    let mut record = object().title(Some(described.label.as_str())).description(described.description.as_deref());
    for field in &described.fields {
        record = record.property(field.name.as_str(), read_value(field, all));
    }
    if described.fields.iter().all(|field| field.name != "id") {
        let note = "Only of a new record that you cannot read: its key, several fields with commas between them.";
        record = record.property("id", of(Type::String).description(Some(note)));
    }
    record.additional_properties(Some(AdditionalProperties::FreeForm(false))).into()
}

/// A value as it is read. A reference to an object that the principal sees may be expanded.
fn read_value(field: &FieldDescription, all: &[Seen]) -> Shape {
    let note = match (field.is_masked, field.is_computed) {
        (true, _) => Some("Masked for you: no filter, order, group or search of yours may name it."),
        (false, true) => Some("Computed when it is read."),
        (false, false) => None,
    };
    let plain = plain(field).title(Some(field.label.as_str())).read_only(field.is_computed);
    let plain = if note.is_some() { plain.description(note) } else { plain };
    let related = field.references.as_deref().filter(|name| all.iter().any(|seen| seen.object.name == *name));
    match (related, field.is_list) {
        (Some(name), false) => {
            let expanded = object().description(Some(format!("With `expand`: the record of {name}.")));
            one_of([plain.into(), Shape::from(expanded)])
        }
        (Some(_) | None, _) => plain_or_list(plain, field),
    }
}

/// A single value of the field, or null.
fn plain(field: &FieldDescription) -> ObjectBuilder {
    match field.form {
        JsonForm::Text | JsonForm::Time => nullable(Type::String),
        JsonForm::Bytes => nullable(Type::String).pattern(Some(BYTES)).description(Some(ABOUT_BYTES)),
        JsonForm::Number => nullable(Type::Number),
        JsonForm::Boolean => nullable(Type::Boolean),
        JsonForm::Date => formatted(nullable(Type::String), KnownFormat::Date),
        JsonForm::Instant => formatted(nullable(Type::String), KnownFormat::DateTime),
        JsonForm::List => nullable(Type::String),
        JsonForm::Json => any(),
    }
}

fn plain_or_list(plain: ObjectBuilder, field: &FieldDescription) -> Shape {
    if field.form != JsonForm::List {
        return plain.into();
    }
    let of_items = list(any()).schema_type(SchemaType::from_iter([Type::Array, Type::Null]));
    of_items.title(Some(field.label.as_str())).into()
}

fn as_written(seen: &Seen, is_new: bool) -> Shape {
    let described = seen.object.as_ref();
    let mut record = object().title(Some(described.label.as_str()));
    for field in &described.fields {
        let is_key = described.key.as_deref() == Some(field.name.as_str());
        let takes = !field.is_computed && !field.is_readonly && !seen.rights.locked_fields.contains(&field.name);
        if !takes || (is_key && !is_new) {
            continue;
        }
        record = record.property(field.name.as_str(), written_value(field));
        if is_new && field.is_required && !is_key {
            record = record.required(field.name.as_str());
        }
    }
    record.additional_properties(Some(AdditionalProperties::FreeForm(false))).into()
}

fn written_value(field: &FieldDescription) -> Shape {
    let null = (!field.is_required).then_some(serde_json::Value::Null);
    let chosen = || {
        let options = field.options.iter().map(|(value, _)| serde_json::Value::from(value.as_str()));
        options.chain(null.clone()).collect::<Vec<_>>()
    };
    // A masked field takes what it stores, not what its reader sees.
    let value = match (field.form, field.is_required) {
        (JsonForm::List, _) if !field.options.is_empty() => {
            let items = words(field.options.iter().map(|(value, _)| value.as_str()));
            return list(items).schema_type(SchemaType::from_iter([Type::Array, Type::Null])).into();
        }
        (JsonForm::List, _) => {
            return list(any()).schema_type(SchemaType::from_iter([Type::Array, Type::Null])).into();
        }
        (JsonForm::Text, true) => of(Type::String),
        (JsonForm::Bytes, true) => of(Type::String).pattern(Some(BYTES)).description(Some(ABOUT_BYTES)),
        (JsonForm::Number, true) => of(Type::Number),
        (JsonForm::Boolean, true) => of(Type::Boolean),
        _ => plain(field),
    };
    let format = TYPES_OF_TEXT.contains(&field.type_name).then(|| field.type_name.to_owned());
    let value = match format.as_deref() {
        Some("email") => value.format(Some(utoipa::openapi::SchemaFormat::Custom("email".to_owned()))),
        Some(_) => value.format(Some(utoipa::openapi::SchemaFormat::Custom("uri".to_owned()))),
        None => value,
    };
    if field.options.is_empty() {
        return value.title(Some(field.label.as_str())).into();
    }
    value.title(Some(field.label.as_str())).enum_values(Some(chosen())).into()
}
