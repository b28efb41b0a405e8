//! The pages' routes: who may see them, what a form may do. Draws nothing itself.

use super::auth::{Seat, Seats, same};
use super::cookie::{came_by_tls, token, with_cookie};
use super::docs;
use super::headers::{harden, names_this_machine};
use super::layout::{Place, page};
use super::read::Reader;
use super::turns::Turns;
use super::views;
use super::wish::Wish;
use super::{Pages, login};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use querygate_query_api::tokens::Candidate;
use querygate_types::{Error, Result};
use querygate_web::{Attempt, Attempts, Connection, ICON_PATH, Peer, comes_from_elsewhere, icon};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Largest form.
const FORM_BYTES_MAX: usize = 8 << 10;
/// Passwords tried at once: each costs a few milliseconds of a core.
const LOGINS_AT_ONCE: usize = 2;
/// How long a login waits for its turn.
const LOGIN_WAIT: Duration = Duration::from_secs(5);
/// How long a browser waits for what it asked to be done. A change at a source goes on after that.
const DONE_WAIT: Duration = Duration::from_secs(10);
const STYLE: &str = include_str!("style.css");

/// What the routes share.
pub(crate) struct Site {
    pages: Pages,
    seats: Seats,
    attempts: Attempts,
    logins: Semaphore,
    turns: Turns,
}

/// The routes below `/ui`, and what leads there. `within`: on an address that only this machine reaches.
pub(crate) fn routes(pages: Pages, within: bool) -> Router {
    let site = Arc::new(Site {
        pages,
        seats: Seats::default(),
        attempts: Attempts::default(),
        logins: Semaphore::new(LOGINS_AT_ONCE),
        turns: Turns::default(),
    });
    let routes = Router::new()
        .route("/", get(|| async { Redirect::to("/ui") }))
        .route("/ui", get(overview))
        .route("/ui/", get(|| async { Redirect::permanent("/ui") }))
        .route("/ui/query/{fingerprint}", get(template))
        .route("/ui/plans", get(plans))
        .route("/ui/indexes", get(indexes))
        .route("/ui/indexes/{action}", post(change))
        .route("/ui/indexes/{action}/{id}", get(confirm))
        .route("/ui/anomalies", get(anomalies))
        .route("/ui/anomalies/acknowledge", post(acknowledge))
        .route("/ui/plans/{action}", post(decide))
        .route("/ui/sources", get(sources))
        .route("/ui/login", get(login_form).post(log_in))
        .route("/ui/logout", post(log_out))
        .route("/ui/style.css", get(style))
        .route("/docs", get(docs::first))
        .route("/docs/", get(|| async { Redirect::permanent("/docs") }))
        .route("/docs/{*path}", get(docs::other))
        .route(ICON_PATH, get(icon))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&site), seated));
    let routes = if within { routes.layer(middleware::from_fn(ours)) } else { routes };
    routes.layer(middleware::from_fn(hardened)).with_state(site)
}

type Shared = State<Arc<Site>>;

async fn hardened(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    harden(response.headers_mut());
    response
}

/// Tells the connection of a user's request so, before anything else of it is read.
async fn seated(State(site): Shared, request: axum::extract::Request, next: Next) -> Response {
    if let Some(connection) = request.extensions().get::<Connection>()
        && site.seat(request.headers()).is_some()
    {
        connection.is_users();
    }
    next.run(request).await
}

/// A foreign name that is made to point at this machine does not open what only this machine reaches.
async fn ours(request: axum::extract::Request, next: Next) -> Response {
    if names_this_machine(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    html(StatusCode::MISDIRECTED_REQUEST, login::refused("Here the pages answer to localhost and 127.0.0.1 only."))
}

async fn style() -> Response {
    let cached = (header::CACHE_CONTROL, "public, max-age=300");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), cached], STYLE).into_response()
}

fn html(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

impl Site {
    fn seat(&self, headers: &HeaderMap) -> Option<Seat> {
        let seat = self.seats.find(token(headers)?, Instant::now())?;
        // A principal that the configuration no longer lets in has no seat either.
        let current = self.pages.authenticator.principal(&seat.principal.login)?;
        Some(seat.with(current))
    }

    /// Makes a page for whom the cookie seats; others are sent to the login.
    async fn show(
        &self,
        headers: &HeaderMap,
        peer: Peer,
        title: &str,
        place: Place,
        view: impl AsyncFnOnce(&Reader, &Seat) -> Result<super::html::Html>,
    ) -> Response {
        let Some(seat) = self.seat(headers) else { return Redirect::to("/ui/login").into_response() };
        let made = async {
            let _turn = self.turns.take(&seat.principal.login).await?;
            let Pages { service, database, .. } = &self.pages;
            let reader = Reader::open(service.as_ref(), Arc::clone(&seat.principal), database, Some(peer.0)).await?;
            let made = view(&reader, &seat).await;
            reader.close().await;
            made
        };
        let made = tokio::select! {
            biased;
            made = made => made,
            () = seat.over() => return Redirect::to("/ui/login").into_response(),
        };
        match made {
            Ok(inside) => html(StatusCode::OK, page(title, place, &seat, inside)),
            Err(error) => {
                let status = StatusCode::from_u16(error.code().http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                tracing::warn!(%error, cause = error.cause(), "a page could not be made");
                html(status, page(title, place, &seat, views::failed(&error)))
            }
        }
    }
}

async fn overview(State(site): Shared, peer: ConnectInfo<Peer>, headers: HeaderMap) -> Response {
    site.show(&headers, peer.0, "Queries", Place::Overview, async |reader, _| views::overview(reader).await).await
}

async fn template(
    State(site): Shared,
    Path(fingerprint): Path<String>,
    peer: ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Response {
    let view = async |reader: &Reader, seat: &Seat| views::template(reader, seat, &fingerprint).await;
    site.show(&headers, peer.0, "One query", Place::Overview, view).await
}

async fn plans(State(site): Shared, peer: ConnectInfo<Peer>, headers: HeaderMap) -> Response {
    site.show(&headers, peer.0, "Plan advisor", Place::Plans, async |reader, _| views::plans(reader).await).await
}

async fn indexes(State(site): Shared, peer: ConnectInfo<Peer>, headers: HeaderMap) -> Response {
    site.show(&headers, peer.0, "Index advice", Place::Indexes, async |reader, _| views::indexes(reader).await).await
}

/// What a change would be, and the form that makes it.
async fn confirm(
    State(site): Shared,
    Path((action, id)): Path<(String, String)>,
    peer: ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Response {
    let view = async |reader: &Reader, seat: &Seat| views::change(reader, seat, &action, &id).await;
    site.show(&headers, peer.0, "Change a source", Place::Indexes, view).await
}

async fn change(
    State(site): Shared,
    Path(action): Path<String>,
    peer: ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    call(&site, &headers, peer.0, &body, Wish::Suggestion(&action)).await
}

async fn anomalies(State(site): Shared, peer: ConnectInfo<Peer>, headers: HeaderMap) -> Response {
    let view = async |reader: &Reader, seat: &Seat| views::anomalies(reader, seat).await;
    site.show(&headers, peer.0, "Anomalies", Place::Anomalies, view).await
}

async fn sources(State(site): Shared, peer: ConnectInfo<Peer>, headers: HeaderMap) -> Response {
    site.show(&headers, peer.0, "Sources", Place::Sources, async |reader, _| views::sources(reader).await).await
}

async fn login_form(State(site): Shared, headers: HeaderMap) -> Response {
    match site.seat(&headers) {
        Some(_) => Redirect::to("/ui").into_response(),
        None => html(StatusCode::OK, login::form("", "")),
    }
}

/// Fields of a form; `None` for what is no form.
fn fields(headers: &HeaderMap, body: &Bytes) -> Option<HashMap<String, String>> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    Some(form_urlencoded::parse(body).into_owned().collect())
}

fn refused(why: &str) -> Response {
    html(StatusCode::FORBIDDEN, login::refused(why))
}

async fn log_in(State(site): Shared, peer: ConnectInfo<Peer>, headers: HeaderMap, body: Bytes) -> Response {
    if comes_from_elsewhere(&headers) {
        return refused("The form came from another site.");
    }
    let Some(fields) = fields(&headers, &body) else {
        return html(StatusCode::BAD_REQUEST, login::form("", "Send the form as a browser does."));
    };
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let (user, password) = (field("user").to_owned(), field("password").to_owned());
    let (attempt, now) = (Attempt::new(peer.0, &user), Instant::now());
    if let Err(wait) = site.attempts.begin(&attempt, now) {
        let mut response = html(StatusCode::TOO_MANY_REQUESTS, login::form("", "Too many attempts. Wait a minute."));
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        return response;
    }
    let Ok(Ok(turn)) = tokio::time::timeout(LOGIN_WAIT, site.logins.acquire()).await else {
        return html(StatusCode::SERVICE_UNAVAILABLE, login::form("", "Too many logins at once. Try again."));
    };
    // The same work for a user that does not exist: the authenticator makes up a verifier that no password fits.
    let Candidate { verifier, admitted } = site.pages.authenticator.candidate(&user);
    let proved = tokio::task::spawn_blocking(move || verifier.proves(&password)).await.unwrap_or(false);
    drop(turn);
    let Some(admitted) = admitted.filter(|_| proved) else {
        tracing::info!(user, peer = %peer.0.0, "login on the pages refused");
        return html(StatusCode::UNAUTHORIZED, login::form(&user, "Wrong user name or password."));
    };
    site.attempts.succeeded(&attempt);
    if let Some(old) = token(&headers) {
        site.seats.close(old);
    }
    match site.seats.open(admitted, now) {
        Ok(Some(token)) => {
            tracing::info!(user, peer = %peer.0.0, "login on the pages");
            let secure = if came_by_tls(&headers) { "; Secure" } else { "" };
            with_cookie(Redirect::to("/ui").into_response(), &token, secure)
        }
        Ok(None) => html(StatusCode::SERVICE_UNAVAILABLE, login::form(&user, "Too many sessions. Try later.")),
        Err(error) => {
            tracing::error!(%error, cause = error.cause(), "no session for the pages");
            html(StatusCode::INTERNAL_SERVER_ERROR, login::form(&user, "Internal error."))
        }
    }
}

async fn log_out(State(site): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let Some(seat) = site.seat(&headers) else { return Redirect::to("/ui/login").into_response() };
    if let Err(refusal) = own_form(&seat, &headers, &body) {
        return *refusal;
    }
    token(&headers).into_iter().for_each(|token| site.seats.close(token));
    with_cookie(Redirect::to("/ui/login").into_response(), "", "; Max-Age=0")
}

/// Runs a procedure for somebody whose own form asked for it, and goes back to the page. The engine decides whether one may.
async fn call(site: &Site, headers: &HeaderMap, peer: Peer, body: &Bytes, what: Wish<'_>) -> Response {
    let Some(seat) = site.seat(headers) else { return Redirect::to("/ui/login").into_response() };
    let fields = match own_form(&seat, headers, body) {
        Ok(fields) => fields,
        Err(refusal) => return *refusal,
    };
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let Some((statement, back, place)) = what.statement(field) else {
        return html(StatusCode::BAD_REQUEST, login::refused("The form names nothing that can be done."));
    };
    let turn = match site.turns.take(&seat.principal.login).await {
        Ok(turn) => turn,
        Err(error) => return not_done(&error, place, &seat),
    };
    let (service, database) = (Arc::clone(&site.pages.service), site.pages.database.clone());
    let principal = Arc::clone(&seat.principal);
    let doing = tokio::spawn(async move {
        // The turn is over with the work, whether or not somebody still waits for it.
        let _turn = turn;
        let reader = Reader::open(service.as_ref(), principal, &database, Some(peer.0)).await?;
        let done = reader.call(&statement).await;
        reader.close().await;
        done
    });
    match tokio::time::timeout(DONE_WAIT, doing).await {
        Ok(Ok(Ok(()))) => Redirect::to(&back).into_response(),
        Ok(Ok(Err(error))) => not_done(&error, place, &seat),
        Ok(Err(join)) => not_done(&Error::internal(join), place, &seat),
        Err(_) => html(StatusCode::ACCEPTED, page("Under way", place, &seat, views::under_way(&back))),
    }
}

fn not_done(error: &Error, place: Place, seat: &Seat) -> Response {
    let status = StatusCode::from_u16(error.code().http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    html(status, page("Not done", place, seat, views::not_done(error)))
}

async fn acknowledge(State(site): Shared, peer: ConnectInfo<Peer>, headers: HeaderMap, body: Bytes) -> Response {
    call(&site, &headers, peer.0, &body, Wish::Acknowledge).await
}

async fn decide(
    State(site): Shared,
    Path(action): Path<String>,
    peer: ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    call(&site, &headers, peer.0, &body, Wish::Plan(&action)).await
}

/// Fields of a form that our own page made for this seat; else the refusal.
fn own_form(
    seat: &Seat,
    headers: &HeaderMap,
    body: &Bytes,
) -> std::result::Result<HashMap<String, String>, Box<Response>> {
    let fields = fields(headers, body).filter(|_| !comes_from_elsewhere(headers));
    let fields = fields.filter(|fields| fields.get("token").is_some_and(|token| same(token, &seat.form_token)));
    fields.ok_or_else(|| Box::new(refused("The form is not one of this session. Open the page again.")))
}
