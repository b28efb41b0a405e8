//! `/i18n`: labels of objects and fields in other languages, of those that the principal may see.

use crate::answer::wrapped;
use crate::call::{Call, Named};
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use querygate_query_api::requests::question::ObjectDescription;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Language of names that have no translation.
const DEFAULT: &str = "en";

/// Languages that labels are in.
pub(crate) fn codes(site: &Site) -> Vec<String> {
    let mut codes: Vec<String> = site.platform.declared("locale").into_iter().map(|(code, _)| code).collect();
    if !codes.iter().any(|code| code == DEFAULT) {
        codes.insert(0, DEFAULT.to_owned());
    }
    codes
}

pub(crate) async fn locales(State(site): Shared) -> Response {
    let codes = codes(&site);
    let told = codes.iter().map(|code| json!({"code": code, "label": code, "isDefault": code == DEFAULT}));
    wrapped(StatusCode::OK, &json!({"locales": told.collect::<Vec<_>>()}))
}

pub(crate) async fn labels(
    State(site): Shared,
    Named((object, locale)): Named<(String, String)>,
    call: Call,
) -> Response {
    let answer = async {
        let mut objects = site.translated(&call, &locale).await?;
        let labels = objects.remove(&object).and_then(|mut own| own.get_mut("fields").map(Value::take));
        Ok(json!({"object": object, "locale": locale, "labels": labels.unwrap_or_else(|| json!({}))}))
    };
    answered(answer.await)
}

pub(crate) async fn translations(State(site): Shared, Named(locale): Named<String>, call: Call) -> Response {
    let answer = async {
        let objects = site.translated(&call, &locale).await?;
        let bundle = if objects.is_empty() { json!({}) } else { json!({"objects": objects}) };
        Ok(json!({"locale": locale, "translations": bundle}))
    };
    answered(answer.await)
}

fn answered(answer: Result<Value, Refusal>) -> Response {
    match answer {
        Ok(data) => wrapped(StatusCode::OK, &data),
        Err(refusal) => refusal.into_answer(Envelope::Wrapped),
    }
}

impl Site {
    /// An object's labels in the language that a client reads, else in that of the metadata. They name every field that the object has.
    pub(crate) fn bundle(&self, call: &Call, object: &str) -> Option<Value> {
        self.bundle_in(call.header("accept-language"), object)
    }

    /// As [`bundle`](Self::bundle), in the first language of a header's value.
    pub(crate) fn bundle_in(&self, given: Option<&str>, object: &str) -> Option<Value> {
        let wanted = given.and_then(|given| given.split([',', ';']).next()).map(str::trim);
        let bundles = self.platform.declared("locale");
        let of = |code: &str| bundles.iter().find(|(own, _)| own.eq_ignore_ascii_case(code));
        let found = wanted.and_then(of).or_else(|| of(DEFAULT));
        let mut bundle = found.and_then(|(_, bundle)| bundle.get(object)).cloned();
        if let (Some((code, _)), Some(bundle)) = (found, bundle.as_mut().and_then(Value::as_object_mut)) {
            add_own(code, bundle);
        }
        bundle
    }

    /// Translations of the objects that the principal may read. A stranger reads none.
    async fn translated(&self, call: &Call, locale: &str) -> Result<Map<String, Value>, Refusal> {
        let Some(identity) = call.sender.known() else { return Ok(Map::new()) };
        let bundle = self.platform.declared("locale").into_iter().find(|(code, _)| code == locale);
        let Some((_, Value::Object(objects))) = bundle else { return Ok(Map::new()) };
        let work = self.open(&identity.principal, call).await?;
        let seen = work.session().objects().await?;
        Ok(seen
            .iter()
            .filter_map(|object| Some((object.name.clone(), of(object, objects.get(&object.name)?))))
            .collect())
    }
}

/// What the columns that the platform fills are called in Chinese, where metadata does not say it.
const CHINESE: [(&str, &str); 7] = [
    ("organization_id", "组织"),
    ("created_at", "创建时间"),
    ("created_by", "创建人"),
    ("updated_at", "更新时间"),
    ("updated_by", "更新人"),
    ("owner_id", "所有者"),
    ("owning_business_unit_id", "所属业务单元"),
];

/// Adds the platform's own labels to those of an object.
fn add_own(code: &str, bundle: &mut Map<String, Value>) {
    if !code.starts_with("zh") {
        return;
    }
    let fields = bundle.entry("fields").or_insert_with(|| json!({}));
    let Some(fields) = fields.as_object_mut() else { return };
    for (name, label) in CHINESE {
        fields.entry(name).or_insert_with(|| json!({"label": label}));
    }
}

/// The translations of an object, without fields that its reader does not see.
fn of(object: &Arc<ObjectDescription>, bundle: &Value) -> Value {
    let mut own = Map::new();
    for key in ["label", "pluralLabel", "description"] {
        own.extend(bundle.get(key).filter(|label| label.is_string()).map(|label| (key.to_owned(), label.clone())));
    }
    let fields = bundle.get("fields").and_then(Value::as_object).into_iter().flatten();
    let fields = fields.filter(|(name, _)| object.field(name).is_some());
    own.insert("fields".to_owned(), fields.map(|(name, label)| (name.clone(), label.clone())).collect());
    Value::Object(own)
}
