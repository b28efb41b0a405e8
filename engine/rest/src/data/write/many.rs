//! `createMany`, `updateMany`, `deleteMany` and `batch` of one object, and `/batch` across objects.

use super::change::{dropped_fields, make, printed, refusal_of, values_of, with_allowed};
use super::references;
use super::upserts::update_seen;
use crate::answer::{JSON, text};
use crate::call::{Call, Digits, Named, Place, object_of};
use crate::code::Code;
use crate::data::question::kind;
use crate::data::read::about;
use crate::refusal::{Envelope, Refusal, invalid_option};
use crate::site::Shared;
use crate::work::Work;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use querygate_query_api::requests::record_change::{ChangeOutcome, OnFailure, RecordAction, RecordChange};
use querygate_types::json::print::quoted;
use querygate_types::vendor::VendorCode;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};

/// Changes of one request.
const CHANGES_MAX: usize = 200;
/// What is said of changes behind one that failed.
const STOPPED: &str = "the batch stopped there. Set options.continueOnError to process the remaining records.";

fn bound(count: usize) -> Result<(), Refusal> {
    if count <= CHANGES_MAX {
        return Ok(());
    }
    let message = format!("Batch too large: {count} records (max {CHANGES_MAX})");
    Err(Refusal::new(VendorCode::BatchTooLarge, message).with("count", count).with("max", CHANGES_MAX))
}

/// Whether metadata opens an object for many records at a time.
async fn takes_bulk(work: &Work, object: &str) -> Result<(), Refusal> {
    match work.session().admits_bulk(object).await {
        Ok(()) => Ok(()),
        Err(error) => Err(with_allowed(work, object, error.into()).await),
    }
}

/// Faults that one answer tells.
const FAULTS_MAX: usize = 100;

/// What is wrong with a body, in the vendor's form.
struct Faults {
    what: &'static str,
    faults: Vec<Value>,
}

impl Faults {
    fn new(what: &'static str) -> Self {
        Self { what, faults: Vec::new() }
    }

    fn add(&mut self, field: impl Into<String>, code: &str, message: &str) {
        if self.faults.len() >= FAULTS_MAX {
            return;
        }
        self.faults.push(json!({"field": field.into(), "code": code, "message": message}));
    }

    fn end(self) -> Result<(), Refusal> {
        if self.faults.is_empty() { Ok(()) } else { Err(self.refusal()) }
    }

    fn refusal(self) -> Refusal {
        let message = format!("Invalid {} request", self.what);
        Refusal::new(VendorCode::ValidationFailed, message).with("fields", self.faults)
    }

    /// As the route across objects tells it: what was expected at which path.
    fn end_as_issues(self) -> Result<(), Refusal> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let issues: Vec<Value> = self.faults.iter().map(issue).collect();
        let message = format!("Invalid {} request", self.what);
        Err(Refusal::new(VendorCode::ValidationFailed, message).with("issues", issues))
    }

    /// What a body that is no list of records is refused with.
    fn no_records(body: Option<&Value>) -> Refusal {
        let received = body.map_or("object", kind);
        let message = format!("Invalid input: expected array, received {received}");
        let faults = json!([{"field": "records", "code": "invalid_type", "message": message}]);
        let message = "Invalid createMany request — the body must be a JSON array of record objects";
        Refusal::new(VendorCode::ValidationFailed, message).with("fields", faults)
    }

    /// The members of a list.
    fn list<'a>(&mut self, body: &'a Map<String, Value>, key: &str) -> &'a [Value] {
        match body.get(key) {
            Some(Value::Array(items)) => return items,
            None => self.add(key, "required", "Invalid input: expected array, received undefined"),
            Some(other) => {
                let message = format!("Invalid input: expected array, received {}", kind(other));
                self.add(key, "invalid_type", &message);
            }
        }
        &[]
    }
}

/// A fault as an issue: its path in parts, and what was expected by its message.
fn issue(fault: &Value) -> Value {
    let text = |key: &str| fault.get(key).and_then(Value::as_str).unwrap_or_default();
    let part = |part: &str| part.parse::<usize>().map_or_else(|_| Value::from(part), Value::from);
    let path: Vec<Value> = text("field").split('.').map(part).collect();
    let message = text("message");
    if text("code") == "invalid_option" {
        let values: Vec<&str> = message.split('"').skip(1).step_by(2).collect();
        return json!({"code": "invalid_value", "values": values, "path": path, "message": message});
    }
    let expected = message.split("expected ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default();
    json!({"expected": expected, "code": "invalid_type", "path": path, "message": message})
}

/// What follows of a failure, by a body's `options`.
fn on_failure(body: &Map<String, Value>, faults: &mut Faults) -> OnFailure {
    let options = body.get("options").and_then(Value::as_object);
    let is = |key: &str| options.and_then(|options| options.get(key)).and_then(Value::as_bool) == Some(true);
    if options.is_some_and(|options| options.contains_key("validateOnly")) {
        faults.add("options.validateOnly", "invalid_type", "There is no dry run: leave `options.validateOnly` out.");
    }
    for key in ["atomic", "continueOnError", "returnRecords"] {
        if options.and_then(|options| options.get(key)).is_some_and(|given| !given.is_boolean() && !given.is_null()) {
            faults.add(format!("options.{key}"), "invalid_type", "Invalid input: expected boolean");
        }
    }
    match (is("atomic"), is("continueOnError")) {
        (true, _) => OnFailure::UndoAll,
        (false, true) => OnFailure::Continue,
        (false, false) => OnFailure::Stop,
    }
}

pub(crate) async fn create_many(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        site.refuse_own_change(&call, &object)?;
        let work = site.work(&call).await?;
        let (body, digits, _held) = call.charged_records(&work, site.body_max(), &object).await?;
        let records = match body {
            Some(Value::Array(records)) => records,
            body => return Err(Faults::no_records(body.as_ref())),
        };
        bound(records.len())?;
        takes_bulk(&work, &object).await?;
        let create = |(at, record)| {
            let values = values_of(Some(record))?;
            let texts = digits.texts(&[Place::At(at)], &values);
            Ok(RecordChange { object: object.clone(), action: RecordAction::Create { values }, texts })
        };
        let changes = records.into_iter().enumerate().map(create).collect::<Result<Vec<_>, Refusal>>()?;
        let mut made = Vec::new();
        for outcome in make(&work, &changes, OnFailure::AsOne).await? {
            match outcome {
                ChangeOutcome::Made(changed) => made.push(changed),
                ChangeOutcome::Failed(error) => return Err(with_allowed(&work, &object, error.into()).await),
                ChangeOutcome::Undone | ChangeOutcome::NotTried => {}
            }
        }
        let mut body = String::from("{\"object\":");
        quoted(&object, &mut body);
        body.push_str(",\"records\":[");
        for (at, changed) in made.iter().enumerate() {
            if at > 0 {
                body.push(',');
            }
            body.push_str(&printed(changed)?);
        }
        body.push_str(&format!("],\"count\":{}", made.len()));
        let dropped: Vec<Value> = made
            .iter()
            .enumerate()
            .flat_map(|(at, changed)| dropped_fields(&object, &changed.dropped, Some(at)))
            .collect();
        if !dropped.is_empty() {
            body.push_str(&format!(",\"droppedFields\":{}", Value::Array(dropped)));
        }
        body.push('}');
        Ok(text(StatusCode::CREATED, JSON, body))
    };
    about(&object, answer.await)
}

pub(crate) async fn update_many(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        site.refuse_own_change(&call, &object)?;
        let work = site.work(&call).await?;
        let (body, digits, _held) = call.charged_object(&work, site.body_max(), &object).await?;
        let mut faults = Faults::new("updateMany");
        let on_failure = on_failure(&body, &mut faults);
        let records = faults.list(&body, "records");
        bound(records.len())?;
        let mut changes = Vec::with_capacity(records.len());
        for (at, record) in records.iter().enumerate() {
            let Some(action) = update_of(at, record, &mut faults) else { continue };
            changes.push(RecordChange { texts: texts_of(&digits, at, &action, true), object: object.clone(), action });
        }
        faults.end()?;
        takes_bulk(&work, &object).await?;
        results(&work, &object, "update", true, changes, on_failure).await
    };
    about(&object, answer.await)
}

/// Texts of the values of one of the `records` of a body, which stand in its `data` or beside its id.
fn texts_of(digits: &Digits, at: usize, action: &RecordAction, in_data: bool) -> HashMap<String, String> {
    let place = [Place::Name("records"), Place::At(at), Place::Name("data")];
    let place = if in_data { place.as_slice() } else { place.split_last().map_or(&[][..], |(_, record)| record) };
    action.values().map_or_else(HashMap::new, |values| digits.texts(place, values))
}

/// A record's key as a path has it: a text, or a whole number, which is how records themselves show such keys.
fn key_text(given: &Value) -> Option<String> {
    match given {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::Number(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn update_of(at: usize, record: &Value, faults: &mut Faults) -> Option<RecordAction> {
    let id = record.get("id").and_then(key_text);
    if id.is_none() {
        faults.add(format!("records.{at}.id"), "required", "Invalid input: expected string");
    }
    let values = record.get("data").and_then(Value::as_object);
    if values.is_none() {
        faults.add(format!("records.{at}.data"), "required", "Invalid input: expected record");
    }
    let (id, mut values) = (id?, values?.clone());
    drop_own_id(&mut values, &id);
    Some(RecordAction::Update { id, values, expected_version: None })
}

pub(crate) async fn delete_many(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        site.refuse_own_change(&call, &object)?;
        let work = site.work(&call).await?;
        let (body, _, _held) = call.charged_object(&work, site.body_max(), &object).await?;
        let mut faults = Faults::new("deleteMany");
        let on_failure = on_failure(&body, &mut faults);
        let ids = faults.list(&body, "ids");
        bound(ids.len())?;
        let mut changes = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            match key_text(id) {
                Some(id) => {
                    let action = RecordAction::Delete { id, expected_version: None };
                    changes.push(RecordChange::new(object.clone(), action));
                }
                None => faults.add(format!("ids.{at}"), "invalid_type", "Invalid input: expected string"),
            }
        }
        faults.end()?;
        takes_bulk(&work, &object).await?;
        results(&work, &object, "delete", false, changes, on_failure).await
    };
    about(&object, answer.await)
}

pub(crate) async fn batch(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        site.refuse_own_change(&call, &object)?;
        let work = site.work(&call).await?;
        let (body, digits, _held) = call.charged_object(&work, site.body_max(), &object).await?;
        let mut faults = Faults::new("batch");
        let on_failure = on_failure(&body, &mut faults);
        let operation = match body.get("operation").and_then(Value::as_str) {
            Some(operation @ ("create" | "update" | "upsert" | "delete")) => operation.to_owned(),
            _ => {
                faults.add("operation", "invalid_option", &invalid_option(["create", "update", "upsert", "delete"]));
                String::new()
            }
        };
        let records = faults.list(&body, "records");
        bound(records.len())?;
        let mut changes = Vec::new();
        for (at, record) in records.iter().enumerate() {
            let Some(action) = action_of(&operation, at, record, &mut faults) else { continue };
            let in_data = record.get("data").is_some_and(Value::is_object);
            changes.push(RecordChange {
                texts: texts_of(&digits, at, &action, in_data),
                object: object.clone(),
                action,
            });
        }
        faults.end()?;
        takes_bulk(&work, &object).await?;
        if operation == "upsert" {
            update_seen(&work, &object, &mut changes).await?;
        }
        let options = body.get("options").and_then(Value::as_object);
        let shows = options.and_then(|options| options.get("returnRecords")) != Some(&Value::Bool(false));
        results(&work, &object, &operation, shows, changes, on_failure).await
    };
    about(&object, answer.await)
}

/// Takes the record's own id out of its values. Another one stays, for the engine to refuse.
fn drop_own_id(values: &mut Map<String, Value>, id: &str) {
    if values.get("id").is_some_and(|given| given.is_null() || key_text(given).as_deref() == Some(id)) {
        values.shift_remove("id");
    }
}

fn action_of(operation: &str, at: usize, record: &Value, faults: &mut Faults) -> Option<RecordAction> {
    let Value::Object(record) = record else {
        faults.add(format!("records.{at}"), "invalid_type", "Invalid input: expected object");
        return None;
    };
    let id = record.get("id").and_then(key_text);
    // Values may stand beside the id, without `data`.
    let mut values = record.get("data").and_then(Value::as_object).unwrap_or(record).clone();
    let missing =
        |faults: &mut Faults| faults.add(format!("records.{at}.id"), "required", "Invalid input: expected string");
    match (operation, id) {
        ("create", _) => Some(RecordAction::Create { values }),
        ("upsert", None) => Some(RecordAction::Create { values }),
        ("update", Some(id)) => {
            drop_own_id(&mut values, &id);
            Some(RecordAction::Update { id, values, expected_version: None })
        }
        ("upsert", Some(id)) => {
            drop_own_id(&mut values, &id);
            Some(RecordAction::Upsert { id, values })
        }
        ("delete", Some(id)) => Some(RecordAction::Delete { id, expected_version: None }),
        ("update" | "delete", None) => {
            missing(faults);
            None
        }
        _ => None,
    }
}

/// Runs changes and tells what became of each. `shows`: with the records.
async fn results(
    work: &Work,
    object: &str,
    operation: &str,
    shows: bool,
    changes: Vec<RecordChange>,
    on_failure: OnFailure,
) -> Result<Response, Refusal> {
    let outcomes = make(work, &changes, on_failure).await?;
    let first_failure = outcomes.iter().enumerate().find_map(|(at, outcome)| match outcome {
        ChangeOutcome::Failed(error) => {
            let id = changes.get(at).and_then(|change| change.action.id());
            Some((at, refusal_of(error.clone(), object, id).message().to_owned()))
        }
        ChangeOutcome::Made(_) | ChangeOutcome::Undone | ChangeOutcome::NotTried => None,
    });
    let why = first_failure.map_or_else(String::new, |(at, message)| format!("record {at} failed — {message}"));
    let total = outcomes.len();
    let (mut succeeded, mut rows) = (0, String::new());
    for (at, (outcome, change)) in outcomes.into_iter().zip(&changes).enumerate() {
        if at > 0 {
            rows.push(',');
        }
        let id = change.action.id();
        let row = match outcome {
            ChangeOutcome::Made(changed) => {
                succeeded += 1;
                rows.push_str("{\"id\":");
                quoted(&changed.id, &mut rows);
                rows.push_str(",\"success\":true");
                if shows && changed.record.is_some() {
                    rows.push_str(",\"data\":");
                    rows.push_str(&printed(&changed)?);
                }
                rows.push_str(&format!(",\"index\":{at}}}"));
                continue;
            }
            ChangeOutcome::Failed(error) => {
                let refusal = refusal_of(error, object, id);
                let (code, status) = (refusal.code().name(), refusal.status().as_u16());
                json!([{"code": code, "message": refusal.message(), "httpStatus": status}])
            }
            ChangeOutcome::Undone => json!([{"code": "ROLLED_BACK", "message": why}]),
            ChangeOutcome::NotTried => {
                json!([{"code": "NOT_ATTEMPTED", "message": format!("{why}; {STOPPED}")}])
            }
        };
        let mut told = Map::new();
        told.extend(id.map(|id| ("id".to_owned(), Value::from(id))));
        told.insert("success".to_owned(), false.into());
        told.insert("index".to_owned(), at.into());
        told.insert("errors".to_owned(), row);
        rows.push_str(&Value::Object(told).to_string());
    }
    let failed = total - succeeded;
    let mut body = format!("{{\"success\":{},\"operation\":", failed == 0);
    quoted(operation, &mut body);
    body.push_str(&format!(",\"total\":{total},\"succeeded\":{succeeded},\"failed\":{failed},\"results\":[{rows}]}}"));
    Ok(text(StatusCode::OK, JSON, body))
}

/// Changes of several objects, in one transaction.
pub(crate) async fn across(State(site): Shared, call: Call) -> Response {
    let answer = async {
        let work = site.work(&call).await?;
        let principal = site.identify_here(&call)?.principal;
        let (body, digits, _held) = call.charged_digits(&work, site.body_max()).await?;
        let mut body = object_of(body)?;
        if let Some(operations) = body.get_mut("operations") {
            digits.restore_operations(&work, operations).await?;
        }
        if body.get("atomic") == Some(&Value::Bool(false)) {
            let message =
                "Cross-object batch is always atomic; use POST /data/:object/batch for non-atomic per-object batches";
            return Err(Refusal::new(Code::BatchNotAtomic, message));
        }
        let mut faults = Faults::new("batch");
        let operations = faults.list(&body, "operations");
        bound(operations.len())?;
        let mut changes = Vec::new();
        for (at, operation) in operations.iter().enumerate() {
            let Some(change) = operation_of(at, operation, &mut faults) else { continue };
            let place = [Place::Name("operations"), Place::At(at), Place::Name("data")];
            let texts = change.action.values().map_or_else(HashMap::new, |values| digits.texts(&place, values));
            changes.push(RecordChange { texts, ..change });
        }
        faults.end_as_issues()?;
        let objects: BTreeSet<&str> = changes.iter().map(|change| change.object.as_str()).collect();
        for object in objects {
            site.refuse_own_change_by(&principal, object).map_err(|refusal| refusal.about(object))?;
            takes_bulk(&work, object).await.map_err(|refusal| refusal.about(object))?;
        }
        let mut body = String::from("{\"results\":[");
        let outcomes = references::run(&work, &mut changes).await?;
        for (at, (outcome, change)) in outcomes.into_iter().zip(&changes).enumerate() {
            match outcome {
                ChangeOutcome::Made(changed) => {
                    if at > 0 {
                        body.push(',');
                    }
                    match change.action {
                        RecordAction::Delete { .. } => body.push_str("true"),
                        RecordAction::Create { .. } | RecordAction::Update { .. } | RecordAction::Upsert { .. } => {
                            body.push_str(&printed(&changed)?);
                        }
                    }
                }
                ChangeOutcome::Failed(error) => {
                    let refusal = refusal_of(error, &change.object, change.action.id());
                    let is_unknown = refusal.code() == Code::Vendor(VendorCode::ObjectNotFound);
                    let refusal = if is_unknown { refusal.about(&change.object) } else { refusal };
                    return Err(with_allowed(&work, &change.object, refusal).await);
                }
                ChangeOutcome::Undone | ChangeOutcome::NotTried => {}
            }
        }
        body.push_str("]}");
        Ok(text(StatusCode::OK, JSON, body))
    };
    answer.await.unwrap_or_else(|refusal| refusal.into_answer(Envelope::Flat))
}

fn operation_of(at: usize, operation: &Value, faults: &mut Faults) -> Option<RecordChange> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str).map(str::to_owned);
    let Some(object) = text("object") else {
        faults.add(format!("operations.{at}.object"), "required", "Invalid input: expected string");
        return None;
    };
    let mut values = match operation.get("data") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(values)) => values.clone(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            faults.add(format!("operations.{at}.data"), "invalid_type", "Invalid input: expected record");
            return None;
        }
    };
    let action = match (text("action").as_deref(), text("id")) {
        (Some("create"), _) => RecordAction::Create { values },
        (Some("update"), Some(id)) => {
            values.shift_remove("id");
            RecordAction::Update { id, values, expected_version: None }
        }
        (Some("delete"), Some(id)) => RecordAction::Delete { id, expected_version: None },
        (Some("update" | "delete"), None) => {
            faults.add(format!("operations.{at}.id"), "required", "Invalid input: expected string");
            return None;
        }
        _ => {
            let message = invalid_option(["create", "update", "delete"]);
            faults.add(format!("operations.{at}.action"), "invalid_option", &message);
            return None;
        }
    };
    Some(RecordChange::new(object, action))
}
