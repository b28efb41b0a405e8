//! `/meta` and `/security/explain`: metadata as the principal sees it, with entity tags; verdicts.

use crate::answer::{JSON, ok};
use crate::call::Call;
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use querygate_query_api::requests::platform::Inquiry;
use querygate_types::principal::Principal;
use querygate_web::TokenHash;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Operations that a verdict can be about.
const OPERATIONS: [&str; 8] = ["read", "create", "update", "delete", "transfer", "restore", "purge", "export"];
/// Largest body of a request for a verdict.
const BODY_BYTES_MAX: usize = 64 << 10;

fn flat(answer: Result<Response, Refusal>) -> Response {
    answer.unwrap_or_else(|refusal| refusal.into_answer(Envelope::Flat))
}

pub(crate) async fn types(State(site): Shared, call: Call) -> Response {
    flat(site.identify(&call).map(|_| {
        let types = site.platform.types();
        let names: Vec<&str> = types.iter().map(|(name, _)| *name).collect();
        let entries: Vec<Value> = types.iter().map(|(name, label)| json!({"type": name, "label": label})).collect();
        ok(&json!({"types": names, "entries": entries}))
    }))
}

impl Site {
    /// The singular name of a type, given in the singular or the plural.
    fn kind(&self, given: &str) -> Option<&'static str> {
        let is = |name: &str| {
            let plural = match name.strip_suffix('y') {
                Some(stem) => format!("{stem}ies"),
                None => format!("{name}s"),
            };
            given == name || given == plural
        };
        self.platform.types().into_iter().map(|(name, _)| name).find(|name| is(name))
    }

    fn item(&self, principal: &Arc<Principal>, kind: &str, name: &str) -> Result<(&'static str, Value), Refusal> {
        let found = self.kind(kind).and_then(|kind| Some((kind, self.platform.item(principal, kind, name)?)));
        found.ok_or_else(|| Refusal::new(Code::ResourceNotFound, format!("Metadata item {kind}/{name} not found")))
    }
}

pub(crate) async fn items(State(site): Shared, Path(kind): Path<String>, call: Call) -> Response {
    let answer = || {
        let identity = site.identify(&call)?;
        let Some(kind) = site.kind(&kind) else {
            let message = format!("Unknown metadata type '{kind}'");
            return Err(Refusal::new(Code::InvalidRequest, message));
        };
        let parameters = call.parameters()?;
        let package = parameters.one("package")?;
        let items = site.platform.items(&identity.principal, kind).into_iter().map(|(_, item)| item);
        let of_package =
            |item: &Value| package.is_none_or(|id| item.get("_packageId").and_then(Value::as_str) == Some(id));
        let items: Vec<Value> = items.filter(of_package).collect();
        Ok(ok(&json!({"type": kind, "items": items})))
    };
    flat(answer())
}

pub(crate) async fn item(State(site): Shared, Path((kind, name)): Path<(String, String)>, call: Call) -> Response {
    let answer = || {
        let identity = site.identify(&call)?;
        let (kind, item) = site.item(&identity.principal, &kind, &name)?;
        let sortability = (kind == "object").then(|| sortability(&item));
        let mut body = Map::new();
        body.insert("type".to_owned(), kind.into());
        body.insert("name".to_owned(), name.as_str().into());
        body.extend(sortability.map(|value| ("sortability".to_owned(), value)));
        body.insert("item".to_owned(), item);
        let tagged = call.parameters()?.one("package")?.is_none();
        Ok(if tagged { with_tag(&call, &Value::Object(body)) } else { ok(&Value::Object(body)) })
    };
    flat(answer())
}

/// Which fields an order may name.
fn sortability(item: &Value) -> Value {
    let fields = item.get("fields").and_then(Value::as_object);
    let sortable = |field: &Value| {
        let computed = field.get("type").and_then(Value::as_str) == Some("formula");
        let masked = field.get("masked").and_then(Value::as_bool) == Some(true);
        json!({"sortable": !computed && !masked})
    };
    let fields: Map<String, Value> =
        fields.into_iter().flatten().map(|(name, field)| (name.clone(), sortable(field))).collect();
    json!({"fields": fields})
}

/// The body with its entity tag, or 304 where the client has it. What a principal does not see is not in the body, so it is not in
/// the tag.
fn with_tag(call: &Call, body: &Value) -> Response {
    let body = body.to_string();
    let tag = format!("\"{}\"", TokenHash::of(&body).hex());
    let has = call.header("if-none-match").is_some_and(|given| {
        let given = given.trim();
        let given = given.strip_prefix("W/").unwrap_or(given);
        given == tag || given == tag.trim_matches('"')
    });
    let mut answer = if has {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, JSON)], body).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer
}

/// `/meta/object/:name/state/:field`: what a state machine lets a field become.
pub(crate) async fn state(
    State(site): Shared,
    Path((kind, name, field)): Path<(String, String, String)>,
    call: Call,
) -> Response {
    let answer = || {
        let identity = site.identify(&call)?;
        let missing = |_| Refusal::new(Code::NotFound, format!("Object {name} not found")).within(Envelope::Nested);
        let (_, item) = site.item(&identity.principal, &kind, &name).map_err(missing)?;
        let parameters = call.parameters()?;
        let from = parameters.one("from")?;
        let machines = item.get("validations").and_then(Value::as_array).into_iter().flatten();
        let text = |rule: &Value, key: &str| rule.get(key).and_then(Value::as_str).map(str::to_owned);
        let own = |rule: &&Value| {
            text(rule, "type").as_deref() == Some("state_machine") && text(rule, "field").as_deref() == Some(&field)
        };
        let next = machines.filter(own).find_map(|rule| rule.get("transitions")?.get(from?).cloned());
        Ok(ok(&json!({"object": name, "field": field, "from": from, "next": next})))
    };
    flat(answer())
}

pub(crate) async fn explain(State(site): Shared, call: Call) -> Response {
    let answer = async {
        let identity = site.identify(&call)?;
        let given = if call.method == axum::http::Method::GET {
            let parameters = call.parameters()?;
            let pairs = parameters.iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
            pairs.collect::<Map<String, Value>>()
        } else {
            call.object(BODY_BYTES_MAX).await?
        };
        let text = |key: &str| given.get(key).and_then(Value::as_str).map(str::to_owned);
        let Some(object) = text("object").filter(|object| !object.is_empty()) else {
            return Err(Refusal::invalid("object", "required", "'object' is required"));
        };
        let operation = text("operation").unwrap_or_default();
        if !OPERATIONS.contains(&operation.as_str()) {
            let message = format!("'operation' must be one of {}", OPERATIONS.join(", "));
            return Err(Refusal::invalid("operation", "invalid_option", message));
        }
        if given.get("recordId").is_some_and(|id| !id.is_null()) {
            return Err(Refusal::not_implemented("verdict on single records; leave out 'recordId'"));
        }
        let inquiry = Inquiry { object, operation, user_id: text("userId") };
        Ok(ok(&site.platform.explain(&identity.principal, &inquiry)?))
    };
    answer.await.unwrap_or_else(|refusal| refusal.into_answer(Envelope::Wrapped))
}
