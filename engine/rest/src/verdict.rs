//! `/security/explain`: whether an operation is allowed, layer by layer, and for one record.

use crate::answer::ok;
use crate::call::Call;
use crate::callers::Identity;
use crate::code::Code;
use crate::refusal::{Envelope, Refusal, invalid_option};
use crate::site::{Shared, Site};
use crate::work::Work;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use querygate_query_api::requests::platform::Inquiry;
use querygate_query_api::requests::question::Question;
use querygate_query_api::requests::record_change::{ChangeOutcome, OnFailure, RecordAction, RecordChange};
use querygate_types::vendor::VendorCode;
use serde_json::{Map, Value, json};

/// Operations that a verdict can be about.
pub(crate) const OPERATIONS: [&str; 8] =
    ["read", "create", "update", "delete", "transfer", "restore", "purge", "export"];
/// Largest body of a request for a verdict.
const BODY_BYTES_MAX: usize = 64 << 10;

pub(crate) async fn explain(State(site): Shared, call: Call) -> Response {
    let answer = async {
        let identity = site.identify(&call)?;
        let given = if call.method == Method::GET {
            let parameters = call.parameters()?;
            let pairs = parameters.iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
            (pairs.collect::<Map<String, Value>>(), site.open(&identity.principal, &call).await?)
        } else {
            let work = site.open(&identity.principal, &call).await?;
            (call.object(BODY_BYTES_MAX).await?, work)
        };
        site.verdict(&identity, given).await
    };
    answer.await.unwrap_or_else(|refusal: Refusal| match refusal.status() {
        StatusCode::UNAUTHORIZED => refusal.into_answer(Envelope::Flat),
        _ => refusal.into_answer(Envelope::Unnumbered),
    })
}

/// What is no request for a verdict, with what is wrong with it as a text of JSON, which is how ObjectStack tells it.
fn wrong(fault: Value) -> Refusal {
    let message = "Invalid explain request — expected { object: string, operation: \
                   read|create|update|delete|transfer|restore|purge, userId?: string, recordId?: string, recordIds?: string[] \
                   (max 200, exclusive with recordId) }.";
    let details = serde_json::to_string_pretty(&[fault]).unwrap_or_default();
    Refusal::new(VendorCode::ValidationFailed, message).with("details", details)
}

impl Site {
    async fn verdict(
        &self,
        identity: &Identity,
        (given, work): (Map<String, Value>, Work),
    ) -> Result<Response, Refusal> {
        let text = |key: &str| given.get(key).and_then(Value::as_str).map(str::to_owned);
        let Some(object) = text("object").filter(|object| !object.is_empty()) else {
            let message = "Invalid input: expected string, received undefined";
            return Err(wrong(
                json!({"expected": "string", "code": "invalid_type", "path": ["object"], "message": message}),
            ));
        };
        let operation = match given.get("operation") {
            None | Some(Value::Null) => "read".to_owned(),
            Some(_) => text("operation").unwrap_or_default(),
        };
        if !OPERATIONS.contains(&operation.as_str()) {
            let message = invalid_option(OPERATIONS);
            return Err(wrong(
                json!({"code": "invalid_value", "values": OPERATIONS, "path": ["operation"], "message": message}),
            ));
        }
        let is_other = |key: &&&str| given.get(**key).is_some_and(|given| !given.is_string() && !given.is_null());
        if let Some(key) = ["recordId", "userId"].iter().find(is_other) {
            let message = "Invalid input: expected string";
            return Err(wrong(
                json!({"expected": "string", "code": "invalid_type", "path": [key], "message": message}),
            ));
        }
        let record = text("recordId").filter(|id| !id.is_empty());
        let inquiry = Inquiry { object, operation, user_id: text("userId") };
        let mut verdict = self.platform.explain(&identity.principal, &inquiry)?;
        let (Some(id), Some(verdict)) = (record, verdict.as_object_mut()) else { return Ok(ok(&verdict)) };
        if inquiry.user_id.as_ref().is_some_and(|user| *user != identity.principal.user_id) {
            return Err(Refusal::not_implemented("verdict on single records for other users"));
        }
        let is_open = verdict.get("allowed") == Some(&Value::Bool(true));
        let reaches = is_open && reaches(&work, &inquiry, &id).await?;
        let outcome = if reaches { "admitted" } else { "excluded" };
        verdict.insert("allowed".to_owned(), reaches.into());
        verdict.insert("record".to_owned(), json!({"id": id, "outcome": outcome}));
        Ok(ok(&Value::Object(std::mem::take(verdict))))
    }
}

/// Whether an operation that is allowed in principle reaches this record. One that is not there and one that may not be seen get the
/// same answer.
async fn reaches(work: &Work, inquiry: &Inquiry, id: &str) -> Result<bool, Refusal> {
    let (object, id) = (inquiry.object.clone(), id.to_owned());
    match inquiry.operation.as_str() {
        "read" | "export" => {
            let question = Question { object, keys: Some(vec![id]), limit: Some(1), ..Question::default() };
            Ok(work.find(&question).await?.next().await?.is_some())
        }
        "update" | "transfer" => {
            let action = RecordAction::Update { id, values: Map::new(), expected_version: None };
            admits(work, RecordChange::new(object, action)).await
        }
        "delete" => admits(work, RecordChange::new(object, RecordAction::Delete { id, expected_version: None })).await,
        // There is no record yet.
        "create" => Ok(true),
        _ => Ok(false),
    }
}

/// Makes a change and undoes it.
async fn admits(work: &Work, change: RecordChange) -> Result<bool, Refusal> {
    let session = work.session();
    session.begin_block();
    let outcome = session.change(&[change], OnFailure::UndoAll).await;
    session.fail_transaction();
    // Undone on purpose: what it says of that is not news.
    let _ = session.end_block().await;
    match outcome?.pop() {
        Some(ChangeOutcome::Made(_)) => Ok(true),
        Some(ChangeOutcome::Failed(error)) => refused(error.into()),
        Some(ChangeOutcome::Undone | ChangeOutcome::NotTried) | None => {
            Err(querygate_types::Error::internal("a change has no outcome of its own").into())
        }
    }
}

/// What a refused change says about rights.
fn refused(refusal: Refusal) -> Result<bool, Refusal> {
    match refusal.code() {
        Code::Vendor(
            VendorCode::PermissionDenied
            | VendorCode::Forbidden
            | VendorCode::ExternalWriteForbidden
            | VendorCode::RecordNotFound,
        ) => Ok(false),
        // Something else than rights stands in the way.
        Code::Vendor(
            VendorCode::ValidationFailed
            | VendorCode::MissingRequiredField
            | VendorCode::UniqueViolation
            | VendorCode::DeleteRestricted,
        ) => Ok(true),
        _ => Err(refusal),
    }
}
