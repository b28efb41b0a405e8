//! The picture that browsers show beside a page's title. Knows no page.

use axum::http::header;
use axum::response::{IntoResponse, Response};

const ICON: &str = include_str!("icon.svg");

/// Where browsers look for it by themselves.
pub const ICON_PATH: &str = "/favicon.ico";

/// The picture, for everybody.
pub async fn icon() -> Response {
    let kind = (header::CONTENT_TYPE, "image/svg+xml");
    ([kind, (header::CACHE_CONTROL, "public, max-age=86400")], ICON).into_response()
}
