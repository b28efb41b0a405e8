//! Reads webhooks. What one asks that the gate does not do is kept with it: that matters only where it is to be sent.

use super::shapes;
use crate::load::links::{Link, Links, Target};
use crate::model::{Webhook, WebhookTrigger};
use crate::read::{At, Map};

/// Milliseconds of `timeoutMs`.
const TIMEOUT_MAX: u64 = 300_000;

const TRIGGERS: &[(&str, Option<WebhookTrigger>)] = &[
    ("create", Some(WebhookTrigger::Create)),
    ("update", Some(WebhookTrigger::Update)),
    ("delete", Some(WebhookTrigger::Delete)),
    ("undelete", None),
    ("api", None),
];

pub(in crate::load) fn read_webhook<'a>(at: &At<'a>, package: &str, links: &mut Links<'a>) -> Option<Webhook> {
    let map = at.map(&shapes::WEBHOOK)?;
    let name_at = map.required("name")?;
    let name = name_at.name()?;
    let url_at = map.required("url")?;
    let url = url_at.text()?;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        url_at.error("expected an address that begins with https:// or http://");
    }
    let object_at = map.get("object");
    let object = object_at.as_ref().and_then(|at| at.text());
    if let (Some(at), Some(object)) = (object_at, &object) {
        links.add(Link { at, target: Target::Object(object.clone()) });
    }
    let mut triggers = Vec::new();
    let mut obstacle = obstacle_of(&map);
    for at in map.list("triggers") {
        match at.choice("trigger", TRIGGERS) {
            Some(Some(trigger)) if !triggers.contains(&trigger) => triggers.push(trigger),
            Some(None) => obstacle = Some("it is called by other triggers than create, update and delete".to_owned()),
            Some(Some(_)) | None => {}
        }
    }
    if object.is_none() || triggers.is_empty() {
        obstacle = Some("it names no object, or nothing that it is called for".to_owned());
    }
    map.integer("timeoutMs", 1, TIMEOUT_MAX);
    Some(Webhook {
        object,
        triggers,
        url,
        is_active: map.flag("isActive", true),
        obstacle,
        package: package.to_owned(),
        location: name_at.location(),
        name,
    })
}

/// What is asked of the requests themselves that is not done.
fn obstacle_of(map: &Map<'_>) -> Option<String> {
    const METHODS: &[(&str, bool)] =
        &[("POST", true), ("GET", false), ("PUT", false), ("PATCH", false), ("DELETE", false)];
    if map.choice("method", "method", METHODS) == Some(false) {
        return Some("its method is not POST".to_owned());
    }
    if map.flag("includeSession", false) {
        return Some("it asks for the session (includeSession)".to_owned());
    }
    let asked =
        ["headers", "body", "payloadFields", "authentication", "secret"].into_iter().find(|key| map.get(key).is_some());
    asked.map(|key| format!("it has '{key}', which requests of this gate do not follow"))
}
