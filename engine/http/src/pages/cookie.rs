//! The pages' cookie: read, written, taken back. Knows no session.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

const COOKIE: &str = "querygate_session";

pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    querygate_web::cookie(headers, COOKIE)
}

/// Whether a proxy says that the browser spoke TLS to it. Who lies here only loses the own cookie.
pub(crate) fn came_by_tls(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

pub(crate) fn with_cookie(mut response: Response, token: &str, end: &str) -> Response {
    let cookie = format!("{COOKIE}={token}; Path=/ui; HttpOnly; SameSite=Strict{end}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
