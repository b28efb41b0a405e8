//! `/meta`: metadata as the principal sees it, with entity tags.

use crate::answer::{ok, tagged};
use crate::call::{Call, Named};
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use axum::extract::State;
use axum::response::Response;
use querygate_query_api::requests::platform::OwnObject;
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
        found.ok_or_else(|| match self.platform.own_object(principal, name) {
            Some(OwnObject::Kept | OwnObject::Unkept) if self.kind(kind) == Some("object") => {
                Refusal::not_implemented("descriptions of ObjectStack's own objects")
            }
            Some(_) | None => Refusal::new(Code::ResourceNotFound, format!("Metadata item {kind}/{name} not found")),
        })
    }
}

pub(crate) async fn items(State(site): Shared, Named(kind): Named<String>, call: Call) -> Response {
    let answer = || {
        let identity = site.identify(&call)?;
        let Some(kind) = site.kind(&kind) else {
            let message = format!(
                "[invalid_request] '{kind}' is not a metadata type. GET /api/v1/meta/types lists the types this deployment \
                 carries."
            );
            return Err(Refusal::new(Code::InvalidRequest, message));
        };
        let parameters = call.parameters()?;
        let package = parameters.one("package")?;
        let items = site.platform.items(&identity.principal, kind).into_iter().map(|(name, mut item)| {
            if kind == "object" {
                site.translate(&call, &name, &mut item);
            }
            item
        });
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
        let (kind, mut item) = site.item(&identity.principal, &kind, &name)?;
        if kind == "object" {
            site.translate(&call, &name, &mut item);
        }
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

impl Site {
    /// Puts the labels of the language that the client reads in place of an object's own, where there are some. Of fields that are not
    /// in the item none is said.
    fn translate(&self, call: &Call, name: &str, item: &mut Value) {
        let bundle = self.bundle(call, name);
        let (Some(bundle), Some(item)) = (&bundle, item.as_object_mut()) else { return };
        relabel(item, bundle, &["label", "pluralLabel", "description"]);
        let labels = bundle.get("fields").and_then(Value::as_object);
        let fields = item.get_mut("fields").and_then(Value::as_object_mut);
        for (name, field) in fields.into_iter().flatten() {
            if let (Some(labels), Some(field)) = (labels.and_then(|labels| labels.get(name)), field.as_object_mut()) {
                relabel(field, labels, &["label", "description"]);
                relabel_options(field, labels);
            }
        }
    }
}

fn relabel(item: &mut Map<String, Value>, labels: &Value, keys: &[&str]) {
    for key in keys {
        // What is withheld in one language is in all.
        if let (Some(label), Some(own)) = (labels.get(*key).filter(|label| label.is_string()), item.get_mut(*key)) {
            *own = label.clone();
        }
    }
}

fn relabel_options(field: &mut Map<String, Value>, labels: &Value) {
    let options = field.get_mut("options").and_then(Value::as_array_mut).into_iter().flatten();
    for option in options.filter_map(Value::as_object_mut) {
        let value = option.get("value").and_then(Value::as_str);
        let label = value.and_then(|value| labels.get("options")?.get(value)).filter(|label| label.is_string());
        if let Some(label) = label.cloned() {
            option.insert("label".to_owned(), label);
        }
    }
}

/// Which fields an order may name.
fn sortability(item: &Value) -> Value {
    let fields = item.get("fields").and_then(Value::as_object);
    let sortable = |field: &Value| {
        let computed = field.get("type").and_then(Value::as_str) == Some("formula");
        let masked = field.get("masked").and_then(Value::as_bool) == Some(true);
        if computed { json!({"sortable": false, "reason": "virtual-type"}) } else { json!({"sortable": !masked}) }
    };
    let mut fields: Map<String, Value> =
        fields.into_iter().flatten().map(|(name, field)| (name.clone(), sortable(field))).collect();
    fields.entry("id").or_insert_with(|| json!({"sortable": true}));
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
        let missing = |_| Refusal::new(Code::NotFound, "Object not found").within(Envelope::Nested);
        let (_, item) = site.item(&identity.principal, &kind, &name).map_err(missing)?;
        let parameters = call.parameters()?;
        let from = parameters.one("from")?;
        let mut machines = item.get("validations").and_then(Value::as_array).into_iter().flatten();
        let text = |rule: &Value, key: &str| rule.get(key).and_then(Value::as_str).map(str::to_owned);
        let own = |rule: &&Value| {
            text(rule, "type").as_deref() == Some("state_machine") && text(rule, "field").as_deref() == Some(&field)
        };
        // Of a state that the machine does not know none follows.
        let machine = machines.find(own).and_then(|rule| rule.get("transitions"));
        let next = machine.zip(from).map(|(next, from)| next.get(from).cloned().unwrap_or_else(|| json!([])));
        Ok(ok(&json!({"object": name, "field": field, "from": from, "next": next})))
    };
    flat(answer())
}
