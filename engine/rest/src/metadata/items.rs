//! `/meta`: metadata as the principal sees it, with entity tags.

use crate::answer::{ok, tagged};
use crate::call::{Call, Named};
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use axum::extract::State;
use axum::response::Response;
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use std::sync::Arc;

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

pub(crate) async fn items(State(site): Shared, Named(kind): Named<String>, call: Call) -> Response {
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

pub(crate) async fn item(State(site): Shared, Named((kind, name)): Named<(String, String)>, call: Call) -> Response {
    let answer = || {
        let identity = site.identify(&call)?;
        let (kind, item) = site.item(&identity.principal, &kind, &name)?;
        let sortability = (kind == "object").then(|| sortability(&item));
        let mut body = Map::new();
        body.insert("type".to_owned(), kind.into());
        body.insert("name".to_owned(), name.as_str().into());
        body.extend(sortability.map(|value| ("sortability".to_owned(), value)));
        body.insert("item".to_owned(), item);
        let is_tagged = call.parameters()?.one("package")?.is_none();
        Ok(if is_tagged { tagged(&call, Value::Object(body).to_string()) } else { ok(&Value::Object(body)) })
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

/// `/meta/object/:name/state/:field`: what a state machine lets a field become.
pub(crate) async fn state(
    State(site): Shared,
    Named((kind, name, field)): Named<(String, String, String)>,
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
