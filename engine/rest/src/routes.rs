//! The table of routes, and the headers of every answer.

use crate::answer::as_long_as;
use crate::call::{Call, Named, RequestId};
use crate::callers::{Sender, over};
use crate::code::Code;
use crate::metadata::{i18n, items, packages};
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use crate::{analytics, auth, data, discovery, docs, openapi, realtime, unread, verdict};
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, any, get, post};
use querygate_web::{Connection, ICON_PATH, Peer, icon};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument as _;

/// Services of the vendor's that this gate has not: the path, what is missing, and how the vendor's own would wrap its refusals.
const MISSING: [(&str, &str, Envelope); 23] = [
    ("/automation", "automation", Envelope::Wrapped),
    ("/notifications", "notifications", Envelope::Wrapped),
    ("/reports", "reports", Envelope::Message),
    ("/approvals", "approvals", Envelope::Message),
    ("/sharing", "sharing rules over REST", Envelope::Flat),
    ("/share-links", "share links", Envelope::Flat),
    ("/share-links/{token}", "share links", Envelope::Flat),
    ("/ai", "AI service", Envelope::Wrapped),
    ("/mcp", "MCP service", Envelope::Wrapped),
    ("/ui", "service for views", Envelope::Flat),
    ("/email", "e-mail", Envelope::Message),
    ("/datasources", "datasources over REST", Envelope::Unnumbered),
    ("/actions", "actions", Envelope::Wrapped),
    ("/jobs", "jobs", Envelope::Wrapped),
    ("/webhooks", "webhooks", Envelope::Wrapped),
    ("/files", "files", Envelope::Wrapped),
    ("/feeds", "feeds", Envelope::Wrapped),
    ("/activities", "activities", Envelope::Wrapped),
    ("/meta/_drafts", "drafts of metadata", Envelope::Flat),
    ("/meta/_migrate-stored", "drafts of metadata", Envelope::Flat),
    ("/meta/diagnostics", "diagnostics of metadata over REST; `querygate check` has them", Envelope::Flat),
    ("/security/my-delegable-scope", "delegated administration", Envelope::Flat),
    ("/security/suggested-bindings", "suggested bindings", Envelope::Flat),
];

/// What users do with their own accounts at the vendor's: here the operator does.
const MISSING_OF_ACCOUNTS: [(&str, &str); 14] = [
    ("/auth/update-user", "changes of users: they are the operator's"),
    ("/auth/change-password", "changes of users: they are the operator's"),
    ("/auth/set-initial-password", "changes of users: they are the operator's"),
    ("/auth/change-email", "changes of users: they are the operator's"),
    ("/auth/delete-user", "changes of users: they are the operator's"),
    ("/auth/send-verification-email", "e-mail"),
    ("/auth/verify-email", "e-mail"),
    ("/auth/sign-in/social", "logins by other providers"),
    ("/auth/list-accounts", "logins by other providers"),
    ("/auth/link-social", "logins by other providers"),
    ("/auth/unlink-account", "logins by other providers"),
    ("/auth/revoke-session", "ends of other sessions: they end by themselves"),
    ("/auth/revoke-sessions", "ends of other sessions: they end by themselves"),
    ("/auth/revoke-other-sessions", "ends of other sessions: they end by themselves"),
];

/// What can be asked of an item beside itself.
const MISSING_OF_ITEMS: [&str; 10] =
    ["layers", "published", "references", "history", "diff", "audit", "publish", "rollback", "tree", "overlay"];

pub(crate) fn routes(site: Arc<Site>) -> Router {
    let entrance = middleware::from_fn_with_state(Arc::clone(&site), enter);
    let outermost = middleware::from_fn_with_state(Arc::clone(&site), around);
    let table = table().layer(entrance).layer(outermost).with_state(site);
    // Which methods a path takes is known once the whole table has answered.
    let methods = middleware::from_fn(discovery::methods_told);
    Router::new().fallback_service(table).layer(methods).layer(middleware::from_fn(unread::taken_in))
}

/// Finds out who sent a request, and whether there were too many, before its route does anything.
async fn enter(State(site): Shared, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| *peer);
    let sender = match peer.and_then(|peer| site.rates.wait_of_address(peer)) {
        Some(wait) => return too_often(wait, "address"),
        None => site.sender(request.headers(), peer).await,
    };
    if let Sender::Known(identity) = &sender
        && let Some(wait) = site.rates.wait_of_user(&identity.principal.login, identity.credential.as_deref())
    {
        return too_often(wait, "user");
    }
    let standing = sender.known().map(|identity| identity.standing);
    if let (Some(_), Some(connection)) = (&standing, request.extensions().get::<Connection>()) {
        connection.is_users();
    }
    request.extensions_mut().insert(sender);
    let Some(standing) = standing else { return next.run(request).await };
    let answer = tokio::select! {
        biased;
        answer = next.run(request) => answer,
        () = over(&*standing) => return Refusal::unauthenticated().into_answer(Envelope::Flat),
    };
    as_long_as(standing, answer)
}

fn too_often(wait: Duration, whose: &'static str) -> Response {
    metrics::counter!("querygate_rest_limited_total", "by" => whose).increment(1);
    let refusal = Refusal::new(Code::TooManyRequests, "Too many requests. Try again later.");
    refusal.retry_after(wait).into_answer(Envelope::Flat)
}

fn table() -> Router<Arc<Site>> {
    let v1 = Router::new().merge(own()).merge(accounts()).merge(records()).merge(metadata()).merge(missing());
    Router::new()
        .route("/", get(|| async { Redirect::to("/api/v1/docs") }))
        .route(ICON_PATH, get(icon))
        .route("/.well-known/objectstack", get(discovery::well_known))
        .route("/api/v1", get(discovery::discovery))
        .nest("/api/v1", v1)
        .fallback(discovery::no_such_path)
        .method_not_allowed_fallback(discovery::wrong_method)
}

fn own() -> Router<Arc<Site>> {
    Router::new()
        .route("/discovery", get(discovery::discovery))
        .route("/health", get(discovery::health))
        .route("/ready", get(discovery::ready))
        .route("/openapi.json", get(openapi::openapi))
        .route("/docs", get(docs::page))
        .route("/docs/user", get(docs::user))
        .route("/docs/{file}", get(docs::file))
        .route("/realtime", lacking("realtime service that takes messages").get(realtime::follow))
        .route("/realtime/{*rest}", lacking("realtime service below /realtime"))
}

fn accounts() -> Router<Arc<Site>> {
    Router::new()
        .route("/auth/sign-in/email", post(auth::sign_in))
        .route("/auth/sign-up/email", post(auth::sign_up))
        .route("/auth/sign-out", post(auth::sign_out))
        .route("/auth/get-session", get(auth::get_session))
        .route("/auth/list-sessions", get(auth::list_sessions))
        .route("/auth/config", get(auth::config))
        .route("/auth/bootstrap-status", get(auth::bootstrap_status))
        .route("/auth/organization/list", get(auth::organizations))
        .route("/auth/me/permissions", get(auth::permissions))
        .route("/auth/me/localization", get(auth::localization))
        .route("/me/apps", get(auth::apps))
        .route("/keys", post(auth::add_key))
}

fn records() -> Router<Arc<Site>> {
    Router::new()
        .route("/data/{object}", get(data::list).post(data::create))
        .route("/data/{object}/query", post(data::query))
        .route("/data/{object}/export", get(data::export))
        .route("/data/{object}/createMany", post(data::create_many))
        .route("/data/{object}/updateMany", post(data::update_many))
        .route("/data/{object}/deleteMany", post(data::delete_many))
        .route("/data/{object}/batch", post(data::batch))
        .route("/data/{object}/import", post(data::import))
        .route("/data/{object}/import/jobs", lacking("jobs of imports"))
        .route("/data/{object}/{id}", get(data::get_record).patch(data::update).delete(data::delete))
        .route("/data/{object}/{id}/history", get(data::history))
        .route("/data/{object}/{id}/clone", lacking("copies of records"))
        .route("/data/{object}/{id}/shares", lacking("manual shares"))
        .route("/data/{object}/{id}/shares/{share}", lacking("manual shares"))
        .route("/data/import/jobs", lacking("jobs of imports"))
        .route("/data/import/jobs/{*rest}", lacking("jobs of imports"))
        .route("/analytics/meta", get(analytics::meta))
        .route("/analytics/query", post(analytics::query))
        .route("/analytics/sql", post(analytics::sql))
        .route("/analytics/dataset/query", post(analytics::dataset))
        .route("/batch", post(data::across))
        .route("/search", get(data::search))
}

fn metadata() -> Router<Arc<Site>> {
    let routes = Router::new()
        .route("/meta", get(items::types))
        .route("/meta/types", get(items::types))
        .route("/meta/{kind}", get(items::items))
        .route("/meta/{kind}/{name}", get(items::item).put(not_served).delete(not_served))
        .route("/meta/{kind}/{name}/state/{field}", get(items::state))
        .route("/security/explain", get(verdict::explain).post(verdict::explain));
    let routes = routes
        .route("/packages", get(packages::list).post(packages::change))
        .route("/packages/{id}", get(packages::get).patch(packages::change_one).delete(packages::change_one))
        .route("/packages/{id}/{*part}", any(packages::change_part))
        .route("/i18n/locales", get(i18n::locales))
        .route("/i18n/labels/{object}/{locale}", get(i18n::labels))
        .route("/i18n/translations/{locale}", get(i18n::translations));
    MISSING_OF_ITEMS.iter().fold(routes, |routes, part| {
        let envelope = if *part == "published" { Envelope::Nested } else { Envelope::Flat };
        let what = lacking_within("history, references and layers of metadata over REST", envelope);
        routes.route(&format!("/meta/{{kind}}/{{name}}/{part}"), what)
    })
}

fn missing() -> Router<Arc<Site>> {
    let none = Router::new()
        .route("/forms/{slug}", any(no_form))
        .route("/forms/{slug}/submit", any(no_form))
        .route("/share-links/{token}/resolve", any(no_link));
    let none = none.route("/auth/two-factor/{step}", lacking("second factors"));
    let none = MISSING_OF_ACCOUNTS.iter().fold(none, |routes, (path, what)| routes.route(path, lacking(what)));
    MISSING.iter().fold(none, |routes, (path, what, envelope)| {
        let routes = routes.route(path, lacking_within(what, *envelope));
        let is_leaf = ["/meta/", "/security/", "/share-links"].iter().any(|leaf| path.starts_with(leaf));
        if is_leaf {
            return routes;
        }
        routes.route(&format!("{path}/{{*rest}}"), lacking_within(what, *envelope))
    })
}

/// Open to all at the vendor: here there are none.
async fn no_form(Named(slug): Named<String>) -> Response {
    let message = format!("No public form configured at /forms/{slug}");
    Refusal::new(Code::FormNotFound, message).into_answer(Envelope::Plain)
}

async fn no_link() -> Response {
    Refusal::new(Code::InvalidLink, "Share link is invalid, expired, or revoked").into_answer(Envelope::Unnumbered)
}

/// Metadata is files, which the operator changes.
async fn not_served(State(site): Shared, call: Call) -> Response {
    refused(&site, &call, "way to change metadata over REST: change its files", Envelope::Flat)
}

fn lacking(what: &'static str) -> MethodRouter<Arc<Site>> {
    lacking_within(what, Envelope::Flat)
}

fn lacking_within(what: &'static str, envelope: Envelope) -> MethodRouter<Arc<Site>> {
    any(move |State(site): Shared, call: Call| async move { refused(&site, &call, what, envelope) })
}

fn refused(site: &Site, call: &Call, what: &str, envelope: Envelope) -> Response {
    let (of_strangers, of_others) = match envelope {
        Envelope::Wrapped | Envelope::Unnumbered => (envelope, envelope),
        Envelope::Message | Envelope::Nested => (Envelope::Flat, envelope),
        Envelope::Flat | Envelope::Plain => (Envelope::Flat, Envelope::Wrapped),
    };
    match site.identify(call) {
        Err(refusal) => refusal.into_answer(of_strangers),
        Ok(_) => Refusal::not_implemented(what).into_answer(of_others),
    }
}

/// What every answer has: a number, who may read it, and that no browser guesses at it.
async fn around(State(site): Shared, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let is_preflight = request.method() == Method::OPTIONS;
    let id = RequestId::of(request.headers());
    let span = tracing::error_span!("request", id = id.text());
    request.extensions_mut().insert(id.clone());
    let mut answer = if is_preflight {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).instrument(span.clone()).await
    };
    let status = answer.status();
    if status.is_server_error() {
        span.in_scope(|| tracing::warn!(status = status.as_u16(), "a request was not answered"));
    }
    let headers = answer.headers_mut();
    let fixed = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "set-auth-token,x-objectstack-dropped-fields"),
        (header::VARY, "Origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_preflight {
        let methods = HeaderValue::from_static("GET,HEAD,PUT,POST,DELETE,PATCH,OPTIONS");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let allowed = "content-type,authorization,x-api-key,if-match,if-none-match,accept-language,traceparent";
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(id.text()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    site.counts.count(status, began.elapsed());
    answer
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_routes_contradict_each_other() {
        // Building the table panics where they do.
        let _ = super::table();
    }
}
