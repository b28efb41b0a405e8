//! One record that is given as values: found by its key without a query, and refused with everything that is wrong with it. What a
//! change may reach by a key is what its permit's target passes, whether or not the principal reads it.

use crate::write::values::key_text::key_text;
use crate::write::values::rows::{Row, records, scalar};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use chrono::DateTime;
use datafusion::common::ScalarValue;
use querygate_catalog::write::WriteTarget;
use querygate_driver_api::value::Value;
use querygate_metadata::model::{Field, FieldType, Object, ValueType};
use querygate_policy::Evaluator;
use querygate_policy::filter::RowFilter;
use querygate_policy::rules::{Dropped, Violation};
use querygate_policy::write::{Refusal, WriteOperation};
use querygate_query_api::requests::record_change::{RecordAction, RecordChange, key_parts, record_id};
use querygate_types::vendor::{FieldFault, VendorCode};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The field whose value is a record's version.
const VERSION: &str = "updated_at";
/// The version that passes where records have none. Where they have one it is none of theirs, as the vendor has it.
const ANY_VERSION: &str = "*";

/// What a caller wants of one record.
#[derive(Debug)]
pub(crate) struct GivenRecord {
    /// Its key; `None` of one that is added.
    id: Option<String>,
    /// Fields that the text of the key is of.
    key_fields: usize,
    values: Row,
    /// Texts of documents among its values, as they were written.
    texts: HashMap<String, String>,
    /// Its values hold another key than its own.
    names_other: bool,
    /// `updated_at` as the caller knows it.
    expected_version: Option<String>,
    /// Of those rows that the operation's rights may reach, those that row policies let pass: what is left is the owner's.
    policy_rows: RowFilter,
    place: Option<RecordPlace>,
    /// References of its values to no record, which are answered when nothing else is wrong with it: they may be to hidden ones.
    absent: Mutex<Option<Error>>,
    /// Such references to objects whose records its writer sees all, which are answered behind rights, CHECK and rules.
    nowhere: Mutex<Option<Error>>,
    /// There was no record of its key.
    is_missing: AtomicBool,
}

/// Where a record is among the rows of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordPlace {
    pub(crate) at: usize,
    pub(crate) count: usize,
}

/// A record that was changed.
#[derive(Debug, Clone)]
pub(crate) struct WrittenRecord {
    /// Its key as a text; the parts of one of several fields have commas between them.
    pub(crate) id: String,
    /// The fields of its key with their values, where there are several.
    pub(crate) parts: Option<Row>,
    pub(crate) dropped: Vec<Dropped>,
}

impl WrittenRecord {
    /// # Errors
    /// Internal: it has no key that is a text or a number.
    pub(in crate::write) fn of(table: &WriteTarget, stored: &RecordBatch, dropped: Vec<Dropped>) -> Result<Self> {
        let names = table.named_by().iter().filter_map(|place| table.fields().get(*place)).map(|field| &field.name);
        let stored = records(table.fields(), stored)?.into_iter().next().unwrap_or_default();
        let mut parts = Row::new();
        let mut texts = Vec::new();
        for name in names {
            let value = stored.get(name).cloned().unwrap_or_default();
            texts.push(match &value {
                Json::String(text) => text.clone(),
                Json::Number(number) => number.to_string(),
                Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => {
                    return Err(Error::internal("a record was stored without a key"));
                }
            });
            parts.insert(name.clone(), value);
        }
        if texts.is_empty() {
            return Err(Error::internal("a record was stored without a key"));
        }
        Ok(Self { id: texts.join(","), parts: (parts.len() > 1).then_some(parts), dropped })
    }
}

/// That a version was given of an object whose records have none.
fn no_version() -> Error {
    let text = "records of this object have no version: it has no field 'updated_at'";
    Error::new(ErrorCode::InvalidParameterValue, text)
        .with_hint("Leave `If-Match` and `expectedVersion` out, or send `If-Match: *`.")
        .with_vendor_code(VendorCode::ValidationError)
}

impl GivenRecord {
    /// The operation of a change, and its record. A new record without a key gets one, where its key is a text.
    ///
    /// # Errors
    /// 22021: a text of its values has a NUL character. 22P02: a text is no key of a new record. Internal: there is no randomness.
    pub(crate) fn of(
        change: &RecordChange,
        object: &Object,
        evaluator: &Evaluator<'_>,
    ) -> Result<(WriteOperation, Self)> {
        if let Some(values) = change.action.values() {
            refuse_nul(values)?;
        }
        let key_fields = object.referenced_field().map_or_else(|| object.key().len(), |_| 1);
        let given = |id: Option<&String>, values: Row, version: Option<&String>, policy_rows| Self {
            id: id.cloned(),
            key_fields,
            values,
            texts: change.texts.clone(),
            names_other: false,
            expected_version: version.cloned(),
            policy_rows,
            place: None,
            absent: Mutex::default(),
            nowhere: Mutex::default(),
            is_missing: AtomicBool::new(false),
        };
        let policy_rows = |operation| evaluator.policy_target(&object.name, operation);
        Ok(match &change.action {
            RecordAction::Create { values } => {
                refuse_other_spelling(values, object)?;
                let mut values = values.clone();
                let key = object.referenced_field().filter(|key| values.get(&key.name).is_none_or(Json::is_null));
                if let Some(key) = key {
                    match key.value_type() {
                        ValueType::Text => drop(values.insert(key.name.clone(), Json::String(record_id()?))),
                        // The source numbers its records, or says that it does not.
                        _ => drop(values.shift_remove(&key.name)),
                    }
                }
                (WriteOperation::Insert, given(None, values, None, RowFilter::All))
            }
            RecordAction::Update { id, values, expected_version } => {
                let operation = WriteOperation::Update;
                let mut values = values.clone();
                let names_other = takes_key(&mut values, id, object);
                let given = given(Some(id), values, expected_version.as_ref(), policy_rows(operation));
                (operation, Self { names_other, ..given })
            }
            RecordAction::Upsert { .. } => {
                return Err(Error::internal("it is decided first whether a record is there"));
            }
            RecordAction::Delete { id, expected_version } => {
                let operation = WriteOperation::Delete;
                (operation, given(Some(id), Row::new(), expected_version.as_ref(), policy_rows(operation)))
            }
        })
    }

    pub(crate) fn placed(self, place: Option<RecordPlace>) -> Self {
        Self { place, ..self }
    }

    /// Where it is among the rows of one change; `None`: it is a change of its own.
    pub(in crate::write) fn place(&self) -> Option<RecordPlace> {
        self.place
    }

    /// That there is no record of its key.
    pub(in crate::write) fn missing(&self) -> Error {
        self.is_missing.store(true, Ordering::Release);
        Error::new(ErrorCode::UndefinedObject, "there is no such record").with_vendor_code(VendorCode::RecordNotFound)
    }

    /// Whether a run of it found no record of its key.
    pub(crate) fn is_missing(&self) -> bool {
        self.is_missing.load(Ordering::Acquire)
    }

    /// Keeps for later that a reference is to no record. `is_nowhere`: its writer would see it.
    pub(crate) fn keep_absent(&self, error: Error, is_nowhere: bool) {
        let mut kept = lock(if is_nowhere { &self.nowhere } else { &self.absent });
        *kept = Some(match kept.take() {
            None => error,
            Some(first) => together(first, &error),
        });
    }

    /// # Errors
    /// A reference is to no record, of an object whose records its writer sees all.
    pub(in crate::write) fn refuse_nowhere(&self) -> Result<()> {
        lock(&self.nowhere).clone().map_or(Ok(()), Err)
    }

    /// # Errors
    /// A reference is to no record that its writer sees.
    pub(in crate::write) fn refuse_absent(&self) -> Result<()> {
        self.refuse_nowhere()?;
        lock(&self.absent).clone().map_or(Ok(()), Err)
    }

    /// Of the rows that row policies let this change reach; whose they are is another question.
    pub(in crate::write) fn policy_rows(&self) -> &RowFilter {
        &self.policy_rows
    }

    pub(crate) fn values(&self) -> &Row {
        &self.values
    }

    /// The key as the source compares it; `None`: no key of this table is such a text.
    pub(in crate::write) fn key(&self, table: &WriteTarget, object: &Object) -> Result<Option<Vec<Value>>> {
        if table.key().len() != self.key_fields {
            return Err(unsupported("a change of a record by another key than its table's"));
        }
        let id = self.id.as_ref().ok_or_else(|| Error::internal("a record is changed that has no key"))?;
        let Some(texts) = key_parts(id, self.key_fields) else { return Ok(None) };
        let mut key = Vec::with_capacity(texts.len());
        for (place, text) in table.key().iter().zip(texts) {
            let field = table.fields().get(*place).ok_or_else(|| Error::internal("a key that is no field"))?;
            let declared = object.field(&field.name).map_or(ValueType::Text, Field::value_type);
            let Some(text) = key_text(declared, text) else { return Ok(None) };
            let Ok(value) = scalar(&Json::from(text), &field.value_type().to_arrow()) else { return Ok(None) };
            let array = value.to_array().map_err(Error::internal)?;
            key.push(Value::from_array(array.as_ref(), 0)?);
        }
        Ok(Some(key))
    }

    /// # Errors
    /// `UPDATE_ID_MISMATCH`: which of two records is meant is not guessed, and a record keeps its key.
    pub(in crate::write) fn refuse_other_key(&self) -> Result<()> {
        if !self.names_other {
            return Ok(());
        }
        let text = "the values of an update hold another key than that of its record";
        Err(Error::new(ErrorCode::InvalidParameterValue, text).with_vendor_code(VendorCode::UpdateIdMismatch))
    }

    /// # Errors
    /// `CONCURRENT_UPDATE`: the record is another one than the caller knows. `VALIDATION_ERROR`: records of its object have no version.
    pub(in crate::write) fn refuse_other_version(&self, table: &WriteTarget, stored: &RecordBatch) -> Result<()> {
        let Some(expected) = &self.expected_version else { return Ok(()) };
        if !table.fields().iter().any(|field| field.name == VERSION) {
            return if expected == ANY_VERSION { Ok(()) } else { Err(no_version()) };
        }
        let rows = records(table.fields(), stored)?;
        let current = rows.first().and_then(|row| row.get(VERSION)).and_then(Json::as_str);
        let instant = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis());
        let is_same = current.is_some_and(|current| {
            current == expected || instant(expected).is_some_and(|expected| instant(current) == Some(expected))
        });
        if is_same {
            return Ok(());
        }
        Err(Error::new(ErrorCode::SerializationFailure, "the record was changed since it was read")
            .with_vendor_code(VendorCode::ConcurrentUpdate))
    }

    /// What is to be stored of a value that a caller gave and its rules left: of a document the text that was written, as INSERT stores it.
    ///
    /// # Errors
    /// As [`stored`](Self::stored).
    pub(in crate::write) fn stored_as_given(
        &self,
        object: &Object,
        field: &str,
        value: &Json,
        own: &DataType,
    ) -> Result<ScalarValue> {
        let is_document = object.field(field).is_some_and(|field| is_document(field.value_type()));
        let text = self.texts.get(field).filter(|_| is_document);
        // The text of a value that a hook has replaced is not known.
        match text.filter(|text| querygate_types::json::value::value(text).is_ok_and(|read| read == *value)) {
            Some(text) => ScalarValue::Utf8(Some(text.clone())).cast_to(own).map_err(Error::internal),
            None => Self::stored(object, field, value, own),
        }
    }

    /// What is to be stored of a value that a record has after its rules.
    ///
    /// # Errors
    /// 22P02: it is none of the column's type.
    pub(in crate::write) fn stored(object: &Object, field: &str, value: &Json, own: &DataType) -> Result<ScalarValue> {
        let declared = object.field(field).map(Field::value_type);
        match declared {
            // A text is a document like any other: it is stored with its quotes.
            Some(declared) if is_document(declared) && !value.is_null() => {
                ScalarValue::Utf8(Some(value.to_string())).cast_to(own).map_err(Error::internal)
            }
            Some(_) | None => scalar(value, own),
        }
    }
}

const fn is_document(declared: ValueType) -> bool {
    matches!(declared, ValueType::Json | ValueType::JsonText)
}

/// # Errors
/// 22021: there is a NUL character in a text, or in one of a list or a document. No source keeps it in a text, and none is asked for it.
fn refuse_nul(values: &Row) -> Result<()> {
    fn has_nul(value: &Json) -> bool {
        match value {
            Json::Null | Json::Bool(_) | Json::Number(_) => false,
            Json::String(text) => text.contains('\0'),
            Json::Array(members) => members.iter().any(has_nul),
            Json::Object(members) => members.iter().any(|(name, member)| name.contains('\0') || has_nul(member)),
        }
    }
    if !values.iter().any(|(name, value)| name.contains('\0') || has_nul(value)) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::CharacterNotInRepertoire, "text with a NUL character")
        .with_vendor_code(VendorCode::ValidationError))
}

/// The fields that find a record.
fn key_of(object: &Object) -> Vec<&Field> {
    object.referenced_field().map_or_else(|| object.key(), |only| vec![only])
}

/// # Errors
/// 22P02: a text is to be part of a new record's key by which no verb finds the record that it would make.
fn refuse_other_spelling(values: &Row, object: &Object) -> Result<()> {
    for field in key_of(object) {
        if let Some(Json::String(text)) = values.get(&field.name)
            && key_text(field.value_type(), text).is_none()
        {
            return Err(no_key(field));
        }
    }
    Ok(())
}

/// Takes the fields of a record's key out of the values of its update. Whether one of them held another value than the record's.
fn takes_key(values: &mut Row, id: &str, object: &Object) -> bool {
    let key = key_of(object);
    let parts = key_parts(id, key.len()).unwrap_or_default();
    let mut names_other = false;
    for (at, field) in key.iter().enumerate() {
        let own = parts.get(at);
        names_other |= match values.shift_remove(&field.name) {
            None | Some(Json::Null) => false,
            Some(Json::String(given)) => own != Some(&given.as_str()),
            Some(Json::Number(given)) => own != Some(&given.to_string().as_str()),
            Some(Json::Bool(_) | Json::Array(_) | Json::Object(_)) => true,
        };
    }
    names_other
}

/// Whether every field that was given a value takes it.
///
/// # Errors
/// 0A000: the source has no such column, or it cannot be stored as it is.
pub(in crate::write) fn refuse_unstored(table: &WriteTarget, given: &Row) -> Result<()> {
    for name in given.keys() {
        let own = table.place(name).and_then(|place| table.fields().get(place));
        if !own.is_some_and(|own| own.is_writable()) {
            return Err(unsupported(&format!("a value for column \"{name}\"")));
        }
    }
    Ok(())
}

/// Roll-ups are the platform's: a value of one's own would stay until the next change of a child.
///
/// # Errors
/// 428C9: a value for one.
pub(in crate::write) fn refuse_roll_ups(object: &Object, given: &Row) -> Result<()> {
    let is_roll_up = |name: &&String| object.field(name).is_some_and(|field| field.field_type == FieldType::Summary);
    let Some(name) = given.keys().find(is_roll_up) else { return Ok(()) };
    let text = format!("'{name}' is not a writable field of '{}'", object.name);
    Err(Error::new(ErrorCode::GeneratedAlways, text).with_vendor_code(VendorCode::InvalidField))
}

fn lock(kept: &Mutex<Option<Error>>) -> MutexGuard<'_, Option<Error>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error with what another one says, too.
fn together(first: Error, other: &Error) -> Error {
    let said = |error: &Error| error.vendor_words().message.clone().unwrap_or_else(|| error.message().to_owned());
    let message = format!("{}; {}", said(&first), said(other));
    let faults = first.faults().iter().chain(other.faults()).cloned().collect();
    first.with_vendor_message(message).with_faults(faults)
}

/// Everything that is wrong with a record, as one error. `reads`: whether the writer reads a field.
pub(in crate::write) fn refused(violations: Vec<Violation>, reads: &dyn Fn(&str) -> bool) -> Error {
    let faults: Vec<FieldFault> = violations.iter().map(|violation| violation.fault(reads)).collect();
    let messages: Vec<&str> = violations.iter().map(|violation| violation.message.as_str()).collect();
    let Some(first) = violations.first() else { return Error::internal("a record was refused for nothing") };
    Error::new(first.code.error(), messages.join("; ")).with_vendor_code(first.code.vendor()).with_faults(faults)
}

/// That a column does not hold a number that the caller gave.
pub(in crate::write) fn unfit(object: &Object, name: &str, own: &DataType, error: Error) -> Error {
    if error.code() != ErrorCode::DataException || !own.is_numeric() {
        return error;
    }
    let label = object.field(name).map_or(name, |field| field.label.as_str()).to_owned();
    let message = format!("{label} is out of range");
    let (field, label, facts) = (name.to_owned(), Some(label), Row::new());
    let fault = FieldFault { field, code: "invalid_number", message: message.clone(), label, facts };
    Error::new(ErrorCode::NumericOutOfRange, message)
        .with_vendor_code(VendorCode::ValidationFailed)
        .with_faults(vec![fault])
}

/// That a text is no key of a record, by which one is to be made.
fn no_key(key: &Field) -> Error {
    let message = format!("{} is not the text of a key", key.label);
    let (field, label) = (key.name.clone(), Some(key.label.clone()));
    Error::new(ErrorCode::InvalidTextRepresentation, message.clone())
        .with_vendor_code(VendorCode::ValidationFailed)
        .with_faults(vec![FieldFault { field, code: "invalid_type", message, label, facts: Row::new() }])
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, format!("{what} is not supported"))
        .with_vendor_code(VendorCode::NotImplemented)
}

pub(in crate::write) fn denied() -> Error {
    Refusal::no_grant().into()
}

pub(in crate::write) fn forbidden() -> Error {
    Refusal::others_record().into()
}

#[cfg(test)]
mod tests;
