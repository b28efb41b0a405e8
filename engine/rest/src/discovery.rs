//! What the interface says of itself: discovery, health, readiness, and the answers to paths that are none.

use crate::answer::{JSON, json as json_answer, ok, wrapped};
use crate::code::Code;
use crate::metadata::i18n;
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

/// The version of ObjectStack whose interface this is.
const VERSION: &str = "17.4.0";

fn described(site: &Site) -> Value {
    let on = |route: &str| json!({"enabled": true, "status": "available", "handlerReady": true, "route": route});
    let off = json!({"enabled": false, "status": "unavailable", "message": "This gate serves records and metadata."});
    let mut services = json!({
        "metadata": on("/api/v1/meta"), "data": on("/api/v1/data"), "auth": on("/api/v1/auth"),
        "analytics": on("/api/v1/analytics"),
        "i18n": on("/api/v1/i18n"),
    });
    if let Some(services) = services.as_object_mut() {
        for service in
            ["automation", "cache", "queue", "job", "ui", "notification", "ai", "storage", "search", "file-storage"]
        {
            services.insert(service.to_owned(), off.clone());
        }
        let realtime = if site.config.events { on("/api/v1/realtime") } else { off.clone() };
        services.insert("realtime".to_owned(), realtime);
    }
    let enabled = |is: bool| json!({"enabled": is});
    let mut body = json!({
        "version": VERSION,
        "name": "ObjectStack API",
        "apiName": "ObjectStack API",
        "environment": "production",
        "routes": {"data": "/api/v1/data", "metadata": "/api/v1/meta", "auth": "/api/v1/auth", "analytics": "/api/v1/analytics",
            "packages": "/api/v1/packages", "i18n": "/api/v1/i18n"},
        "locale": {"default": "en", "supported": i18n::codes(site), "timezone": "UTC"},
        "services": services,
        "capabilities": {
            "comments": enabled(false), "automation": enabled(false), "cron": enabled(false), "search": enabled(true),
            "export": enabled(true), "chunkedUpload": enabled(false), "transactionalBatch": enabled(true),
            "websockets": enabled(site.config.events), "files": enabled(false), "analytics": enabled(true), "ai": enabled(false),
            "notifications": enabled(false), "i18n": enabled(true),
        },
        "scoping": {"enabled": false, "resolution": "auto", "scoped": false},
    });
    if let (true, Some(body)) = (site.config.extensions, body.as_object_mut()) {
        body.insert("gate".to_owned(), json!({"name": "Querygate", "version": env!("CARGO_PKG_VERSION")}));
    }
    body
}

pub(crate) async fn discovery(State(site): Shared) -> Response {
    ok(&described(&site))
}

pub(crate) async fn well_known(State(site): Shared) -> Response {
    let mut answer = wrapped(StatusCode::OK, &described(&site));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

pub(crate) async fn health(State(site): Shared) -> Response {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let uptime = site.since.elapsed().as_secs_f64();
    wrapped(StatusCode::OK, &json!({"status": "ok", "timestamp": now, "version": VERSION, "uptime": uptime}))
}

pub(crate) async fn ready(State(site): Shared) -> Response {
    if (site.ready)() {
        return wrapped(StatusCode::OK, &json!({"status": "ready"}));
    }
    Refusal::new(Code::ServiceUnavailable, "No source answers yet.").into_answer(Envelope::Wrapped)
}

pub(crate) async fn no_such_path() -> Response {
    let body = json!({"success": false, "error": {"code": Code::EndpointNotFound.name(), "message": "Not found"}});
    json_answer(StatusCode::NOT_FOUND, &body)
}

/// Marks that no route took the method: which do is in the answer's header, once the table of routes has written it.
#[derive(Clone, Copy)]
struct WrongMethod;

pub(crate) async fn wrong_method() -> Response {
    let mut answer = StatusCode::METHOD_NOT_ALLOWED.into_response();
    answer.extensions_mut().insert(WrongMethod);
    answer
}

/// Tells in the answer to a method that a path does not take which ones it takes.
pub(crate) async fn methods_told(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = next.run(request).await;
    if answer.extensions().get::<WrongMethod>().is_none() { answer } else { with_methods(&method, &path, answer) }
}

fn with_methods(method: &Method, path: &str, answer: Response) -> Response {
    let given = answer.headers().get(header::ALLOW).and_then(|allow| allow.to_str().ok()).unwrap_or_default();
    let mut allowed: Vec<&str> = given.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    allowed.sort_unstable();
    let shown = allowed.join(", ");
    let body = json!({"success": false, "error": {
        "code": Code::MethodNotAllowed.name(),
        "message": format!("{method} is not supported for {path}. Allowed: {shown}."),
        "details": {"method": method.as_str(), "path": path, "allowed": allowed},
    }});
    let (mut parts, _) = answer.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Ok(shown) = HeaderValue::from_str(&shown) {
        parts.headers.insert(header::ALLOW, shown);
    }
    Response::from_parts(parts, Body::from(body.to_string()))
}
