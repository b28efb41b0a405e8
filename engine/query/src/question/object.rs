//! The object of a question as its reader sees it: which of its fields are there, which may stand in a condition, and what doors are
//! described by them.

use super::refusal::{denied, field as refused_field, guarded};
use querygate_catalog::VisibleObject;
use querygate_catalog::rights::PrincipalRights;
use querygate_metadata::model::{Field, FieldType, ValueType};
use querygate_query_api::requests::question::{FieldDescription, JsonForm, ObjectDescription};
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// The object that a question names.
///
/// # Errors
/// `OBJECT_NOT_FOUND`, `OBJECT_API_DISABLED`, `PERMISSION_DENIED`.
pub(crate) fn visible<'a>(rights: &'a PrincipalRights, name: &str) -> Result<&'a VisibleObject> {
    if let Some(visible) = rights.objects().iter().find(|visible| visible.object.name == name) {
        return Ok(visible);
    }
    let deployment = rights.deployment();
    let known = deployment.snapshot.object(name).filter(|object| deployment.tables.contains_key(&object.name));
    match known {
        Some(object) if !object.api_enabled => {
            let message = format!("object '{name}' is not served to clients");
            Err(Error::new(ErrorCode::UndefinedTable, message).with_vendor_code(VendorCode::ObjectApiDisabled))
        }
        Some(_) => Err(denied()),
        None => {
            let message = format!("object '{name}' is not registered");
            let error = Error::new(ErrorCode::UndefinedTable, message).with_vendor_code(VendorCode::ObjectNotFound);
            Err(error.with_vendor_message(format!("Object '{name}' is not registered")))
        }
    }
}

/// A field by what the reader may do with it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing<'a> {
    /// Its values may be compared, ordered and grouped.
    Open(&'a Field),
    /// Its values are shown and are those of others, computed when they are read.
    Computed(&'a Field),
    /// Hidden from the reader, or masked.
    Guarded(&'a Field),
    /// The object has no such field, or its source no such column.
    Absent,
}

/// What a name is to the reader of an object.
pub(super) fn standing<'a>(visible: &'a VisibleObject, name: &str) -> Standing<'a> {
    let Some(field) = visible.object.field(name) else { return Standing::Absent };
    let decision = &visible.decision;
    if decision.hidden_fields().contains(name) || decision.masks().contains_key(name) {
        return Standing::Guarded(field);
    }
    if field.field_type == FieldType::Formula {
        return Standing::Computed(field);
    }
    let there = visible.table.columns().iter().any(|column| column.field.name() == name);
    if there { Standing::Open(field) } else { Standing::Absent }
}

/// The field that orders, groups or is aggregated. `code`: what is said of a name that is none.
///
/// # Errors
/// `PERMISSION_DENIED` of one that is hidden or masked; `code` of any other that is not a stored field.
pub(super) fn open<'a>(visible: &'a VisibleObject, name: &str, code: VendorCode) -> Result<&'a Field> {
    opened(standing(visible, name), visible, name, code)
}

/// The field of a name, by what the name is to the reader of the object.
///
/// # Errors
/// As of [`open`].
pub(super) fn opened<'a>(
    standing: Standing<'a>,
    visible: &VisibleObject,
    name: &str,
    code: VendorCode,
) -> Result<&'a Field> {
    let object = &visible.object.name;
    match standing {
        Standing::Open(field) => Ok(field),
        Standing::Guarded(_) => Err(guarded(&[name.to_owned()], object)),
        Standing::Computed(_) => Err(refused_field(
            code,
            name,
            format!("'{name}' is a formula of '{object}': it is computed when it is read"),
        )),
        Standing::Absent => Err(absent(visible, name, code)),
    }
}

/// A name that is no field.
pub(super) fn absent(visible: &VisibleObject, name: &str, code: VendorCode) -> Error {
    let object = &visible.object.name;
    match name.contains('.') {
        true => refused_field(code, name, format!("'{name}' is a path; '{object}' is asked for its own fields only")),
        false => refused_field(code, name, format!("unknown field '{name}' on object '{object}'")),
    }
}

/// An object as doors describe it.
pub(crate) fn describe(visible: &VisibleObject, may_export: bool) -> ObjectDescription {
    let object = &visible.object;
    let key = object.referenced_field().map(|key| key.name.clone());
    let fields: Vec<_> = visible.fields().map(|field| Arc::new(describe_field(visible, field))).collect();
    let sees = |name: &String| fields.iter().any(|field| field.name == *name);
    let parts: Vec<String> = object.key().iter().map(|part| part.name.clone()).collect();
    ObjectDescription {
        name: object.name.clone(),
        sql_name: visible.sql_name.clone(),
        label: object.label.clone(),
        plural_label: object.plural_label.clone(),
        description: object.description.clone(),
        key_fields: if key.is_none() && parts.iter().all(sees) { parts } else { Vec::new() },
        key: key.filter(sees),
        name_field: object.name_field.clone().filter(sees),
        fields,
        api_methods: object.api_methods.clone(),
        may_export,
    }
}

/// One of its fields as doors describe it.
pub(super) fn describe_field(visible: &VisibleObject, field: &Field) -> FieldDescription {
    let is_masked = visible.decision.masks().contains_key(&field.name);
    FieldDescription {
        name: field.name.clone(),
        label: field.label.clone(),
        type_name: field.field_type.name(),
        form: match form(field.value_type()) {
            // A mask is a text; of a list, a list of texts.
            form if !is_masked || form == JsonForm::List => form,
            _ => JsonForm::Text,
        },
        is_list: field.multiple,
        is_masked,
        is_computed: field.field_type == FieldType::Formula,
        is_required: field.required,
        is_readonly: field.readonly,
        is_system: field.system,
        references: field.reference.clone(),
        options: field.options.iter().map(|option| (option.value.clone(), option.label.clone())).collect(),
    }
}

/// How values of a type are written.
pub(super) fn form(value_type: ValueType) -> JsonForm {
    match value_type {
        ValueType::Text
        | ValueType::Uuid
        | ValueType::Coded(_)
        | ValueType::Network { .. }
        | ValueType::Interval
        | ValueType::TimeTz => JsonForm::Text,
        ValueType::Binary => JsonForm::Bytes,
        ValueType::TextList | ValueType::List(_) | ValueType::Float32Vector(_) => JsonForm::List,
        ValueType::Float64
        | ValueType::Float32
        | ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Decimal { .. }
        | ValueType::Numeric { .. } => JsonForm::Number,
        ValueType::Boolean => JsonForm::Boolean,
        ValueType::Date => JsonForm::Date,
        ValueType::TimestampMillisUtc | ValueType::Timestamp { .. } => JsonForm::Instant,
        ValueType::Time => JsonForm::Time,
        ValueType::JsonText | ValueType::Json => JsonForm::Json,
    }
}
