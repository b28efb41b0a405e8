//! `POST /data/:object`, `PATCH` and `DELETE /data/:object/:id`: one record changed by its values.

use super::language::translated;
use crate::answer::{JSON, ok, text};
use crate::call::{Call, Named};
use crate::code::Code;
use crate::data::read::{about, not_found, opens};
use crate::refusal::Refusal;
use crate::site::Shared;
use crate::values::Printer;
use crate::work::Work;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use querygate_query_api::requests::question::Question;
use querygate_query_api::requests::record_change::{
    ChangeOutcome, ChangedRecord, DroppedField, OnFailure, RecordAction, RecordChange,
};
use querygate_types::Error;
use querygate_types::json::print::quoted;
use querygate_types::json::value::value;
use querygate_types::vendor::{VendorCode, VendorFact};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fmt::Write as _;

/// The key of records.
const KEY: &str = "id";

pub(crate) async fn create(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let language = call.header("accept-language").map(str::to_owned);
    let answer = async {
        site.refuse_own_change(&call, &object)?;
        let work = site.work(&call).await?;
        let (body, digits, _held) = call.charged_records(&work, site.body_max(), &object).await?;
        let values = values_of(body)?;
        let texts = digits.texts(&[], &values);
        let changed = one(&work, &object, RecordAction::Create { values }, texts).await?;
        changed_record(StatusCode::CREATED, &object, &changed)
    };
    let told = |refusal| translated(refusal, &site, language.as_deref(), &object);
    about(&object, answer.await.map_err(told))
}

pub(crate) async fn update(State(site): Shared, Named((object, id)): Named<(String, String)>, call: Call) -> Response {
    let language = call.header("accept-language").map(str::to_owned);
    let answer = async {
        site.refuse_own_change(&call, &object)?;
        let work = site.work(&call).await?;
        let in_header = version_of_header(&call)?;
        let (body, digits, _held) = call.charged_records(&work, site.body_max(), &object).await?;
        let mut values = values_of(body)?;
        let texts = digits.texts(&[], &values);
        // The record is the path's, whatever the body calls it.
        values.shift_remove("id");
        let in_body = version_of_body(&mut values)?;
        let expected_version = in_header.or(in_body);
        let changed = one(&work, &object, RecordAction::Update { id, values, expected_version }, texts).await?;
        changed_record(StatusCode::OK, &object, &changed)
    };
    let told = |refusal| translated(refusal, &site, language.as_deref(), &object);
    about(&object, answer.await.map_err(told))
}

pub(crate) async fn delete(State(site): Shared, Named((object, id)): Named<(String, String)>, call: Call) -> Response {
    let answer = async {
        site.refuse_own_change(&call, &object)?;
        let work = site.work(&call).await?;
        let parameters = call.parameters()?;
        let in_query = parameters.one("expectedVersion")?.map(str::to_owned);
        let expected_version = version_of_header(&call)?.or(in_query);
        let action = RecordAction::Delete { id: id.clone(), expected_version };
        one(&work, &object, action, HashMap::new()).await?;
        Ok(ok(&json!({"object": object, "id": id, "success": true})))
    };
    about(&object, answer.await)
}

/// Values of a record; no body, or null, is empty.
pub(crate) fn values_of(body: Option<Value>) -> Result<Map<String, Value>, Refusal> {
    match body {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(values)) => Ok(values),
        Some(Value::Bool(_)) => Err(no_record("boolean")),
        Some(Value::Number(_)) => Err(no_record("number")),
        Some(Value::String(_)) => Err(no_record("string")),
        Some(Value::Array(_)) => Err(no_record("array")),
    }
}

fn no_record(kind: &str) -> Refusal {
    Refusal::invalid("data", "invalid_type", format!("Invalid input: expected record, received {kind}"))
}

/// The version among the values. One that cannot be read is not left out: the change would be made whatever the version is.
fn version_of_body(values: &mut Map<String, Value>) -> Result<Option<String>, Refusal> {
    match values.shift_remove("expectedVersion") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(version)) => Ok(Some(version)),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(Refusal::invalid("expectedVersion", "invalid_type", "Invalid input: expected string"))
        }
    }
}

/// The version in `If-Match`, without its quotes.
fn version_of_header(call: &Call) -> Result<Option<String>, Refusal> {
    let Some(given) = call.headers.get("if-match") else { return Ok(None) };
    let unread = |_| Refusal::new(Code::InvalidRequest, "If-Match cannot be read: send the record's `updated_at`.");
    let given = given.to_str().map_err(unread)?.trim();
    let version = given.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(given);
    if version.is_empty() {
        let message = "If-Match is the empty entity-tag, which matches no record. Send the record's `updated_at`.";
        return Err(Refusal::new(VendorCode::ValidationFailed, message).with("fields", json!([])));
    }
    Ok(Some(version.to_owned()))
}

/// Makes one change. `texts`: of documents among its values.
async fn one(
    work: &Work,
    object: &str,
    action: RecordAction,
    texts: HashMap<String, String>,
) -> Result<ChangedRecord, Refusal> {
    let id = action.id().map(str::to_owned);
    let expected = match &action {
        RecordAction::Update { expected_version, .. } | RecordAction::Delete { expected_version, .. } => {
            expected_version.clone()
        }
        RecordAction::Create { .. } | RecordAction::Upsert { .. } => None,
    };
    let change = RecordChange { object: object.to_owned(), action, texts };
    let outcome = work.session().change(&[change], OnFailure::UndoAll).await?.pop();
    match outcome {
        Some(ChangeOutcome::Made(changed)) => Ok(changed),
        Some(ChangeOutcome::Failed(error)) => match id {
            Some(id) if error.vendor_code() == Some(VendorCode::ConcurrentUpdate) => {
                Err(conflict(work, object, id, (expected.as_deref(), error)).await)
            }
            id => Err(with_allowed(work, object, refusal_of(error, object, id.as_deref())).await),
        },
        Some(ChangeOutcome::Undone | ChangeOutcome::NotTried) | None => {
            Err(Error::internal("a change has no outcome of its own").into())
        }
    }
}

/// The refusal of a change that came too late, with the record as its caller may read it now.
async fn conflict(work: &Work, object: &str, id: String, (expected, error): (Option<&str>, Error)) -> Refusal {
    let Ok(Some(record)) = current(work, object, id.clone()).await else { return error.into() };
    let version = record.get("updated_at").and_then(Value::as_str);
    let refusal = Refusal::from(match (version, expected) {
        (Some(version), Some(expected)) => error.with_vendor_message(format!(
            "Record {object}/{id} was modified by another user (current version {version}, expected {expected})"
        )),
        (Some(_) | None, _) => error,
    });
    let refusal = match record.get("updated_at") {
        Some(version) if !version.is_null() => refusal.with("currentVersion", version.clone()),
        Some(_) | None => refusal,
    };
    refusal.with("currentRecord", record)
}

/// The record as a GET of the caller gives it; `None`: it gives none.
async fn current(work: &Work, object: &str, id: String) -> Result<Option<Map<String, Value>>, Refusal> {
    let Some(described) = work.object_if_seen(object).await? else { return Ok(None) };
    opens(&described, "get")?;
    let question = Question { object: object.to_owned(), keys: Some(vec![id]), ..Question::default() };
    let Some(printer) = work.find(&question).await?.next().await? else { return Ok(None) };
    let mut text = String::new();
    printer.print(0, &mut text, |_, _, _| Ok(false), |_| false)?;
    match value(&text).map_err(Error::internal)? {
        Value::Object(record) => Ok(Some(record)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Error::internal("a record was printed as another value").into())
        }
    }
}

/// Makes changes; one outcome for each.
pub(crate) async fn make(
    work: &Work,
    changes: &[RecordChange],
    on_failure: OnFailure,
) -> Result<Vec<ChangeOutcome>, Refusal> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let outcomes = work.session().change(changes, on_failure).await?;
    if outcomes.len() != changes.len() {
        return Err(Error::internal("changes have other numbers than their outcomes").into());
    }
    Ok(outcomes)
}

/// The refusal of one change.
pub(crate) fn refusal_of(error: Error, object: &str, id: Option<&str>) -> Refusal {
    match (error.vendor_code(), id) {
        (Some(VendorCode::RecordNotFound), Some(id)) => not_found(object, id),
        (Some(VendorCode::UniqueViolation), _) if error.vendor_words().message.is_none() => duplicate(error, object),
        _ => error.into(),
    }
}

/// The refusal of a value that the source itself found to be another record's. The key is named; of others it is not said which it is.
fn duplicate(error: Error, object: &str) -> Refusal {
    if !error.vendor_words().facts.is_empty() || error.raised().is_some() {
        return error.into();
    }
    let is_key = error.source_rule().is_some_and(|rule| rule.columns == [KEY]);
    let (what, held) = match is_key {
        true => (KEY, format!("a unique constraint on '{KEY}' already holds this value")),
        false => ("value", "a unique constraint already holds these values".to_owned()),
    };
    let message = format!("A record with this {what} already exists");
    let developers = format!("Duplicate record refused on '{object}': {held}. No record was written.");
    let told = error.with_vendor_message(message).with_vendor_fact(VendorFact::DeveloperMessage, developers);
    if is_key { told.with_vendor_fact(VendorFact::Field, KEY).into() } else { told.into() }
}

/// The refusal; of what metadata does not open for clients, with what it opens.
pub(crate) async fn with_allowed(work: &Work, object: &str, refusal: Refusal) -> Refusal {
    if refusal.code() != Code::Vendor(VendorCode::ObjectApiMethodNotAllowed) {
        return refusal;
    }
    // Who does not see the object hears nothing of it.
    let described = work.object_if_seen(object).await.ok().flatten();
    match described.and_then(|described| described.api_methods.clone()) {
        Some(allowed) => refusal.with("allowed", allowed),
        None => refusal,
    }
}

/// The record as JSON: all that its writer may see of it, else its key.
pub(crate) fn printed(changed: &ChangedRecord) -> Result<String, Error> {
    let mut out = String::new();
    match &changed.record {
        Some((columns, batch)) if batch.num_rows() > 0 => {
            Printer::new(columns, batch)?.print(0, &mut out, |_, _, _| Ok(false), |_| false)?;
        }
        _ => {
            out.push_str("{\"id\":");
            quoted(&changed.id, &mut out);
            out.push('}');
        }
    }
    Ok(out)
}

fn changed_record(status: StatusCode, object: &str, changed: &ChangedRecord) -> Result<Response, Refusal> {
    let mut body = String::from("{\"object\":");
    quoted(object, &mut body);
    body.push_str(",\"id\":");
    quoted(&changed.id, &mut body);
    body.push_str(",\"record\":");
    body.push_str(&printed(changed)?);
    let dropped = dropped_fields(object, &changed.dropped, None);
    if !dropped.is_empty() {
        // Writing to a string does not fail.
        let _ = write!(body, ",\"droppedFields\":{}", Value::Array(dropped));
    }
    body.push('}');
    let mut answer = text(status, JSON, body);
    add_dropped_header(&mut answer, &changed.dropped);
    Ok(answer)
}

/// What is said of values that were dropped: one entry for each reason.
pub(crate) fn dropped_fields(object: &str, dropped: &[DroppedField], index: Option<usize>) -> Vec<Value> {
    let mut entries: Vec<Value> = Vec::new();
    let mut reasons: Vec<&str> = dropped.iter().map(|field| field.reason.name()).collect();
    reasons.dedup();
    for reason in reasons {
        let fields = dropped.iter().filter(|field| field.reason.name() == reason).map(|field| field.field.as_str());
        let mut entry = json!({"object": object, "fields": fields.collect::<Vec<_>>(), "reason": reason});
        if let (Some(index), Some(entry)) = (index, entry.as_object_mut()) {
            entry.insert("index".to_owned(), index.into());
        }
        entries.push(entry);
    }
    entries
}

fn add_dropped_header(answer: &mut Response, dropped: &[DroppedField]) {
    let fields: Vec<String> =
        dropped.iter().map(|field| format!("{};reason={}", field.field, field.reason.name())).collect();
    if let (false, Ok(value)) = (fields.is_empty(), HeaderValue::from_str(&fields.join(", "))) {
        answer.headers_mut().insert(HeaderName::from_static("x-objectstack-dropped-fields"), value);
    }
}
