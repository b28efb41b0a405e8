//! `GET /docs`: a page that shows the description of the interface, with Swagger UI out of the binary and nothing from elsewhere.
//! `GET /docs/live`: one that shows an answer that is kept up to date. `GET /docs/user`: who uses the pages.

use crate::answer::{ok, text};
use crate::call::{Call, Named};
use crate::discovery::no_such_path;
use crate::site::Shared;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Scripts and styles of this origin only; pictures also out of the styles.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
const PAGE: &str = include_str!("../assets/docs/page.html");

const HTML: &str = "text/html; charset=utf-8";

/// A file of the page.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    is_gzip: bool,
    bytes: &'static [u8],
}

const ASSETS: [Asset; 7] = [
    Asset {
        name: "swagger-ui.js",
        media_type: "text/javascript; charset=utf-8",
        is_gzip: true,
        bytes: include_bytes!("../assets/swagger-ui/swagger-ui-bundle.js.gz"),
    },
    Asset {
        name: "swagger-ui.css",
        media_type: "text/css; charset=utf-8",
        is_gzip: true,
        bytes: include_bytes!("../assets/swagger-ui/swagger-ui.css.gz"),
    },
    Asset {
        name: "docs.js",
        media_type: "text/javascript; charset=utf-8",
        is_gzip: false,
        bytes: include_bytes!("../assets/docs/docs.js"),
    },
    Asset {
        name: "docs.css",
        media_type: "text/css; charset=utf-8",
        is_gzip: false,
        bytes: include_bytes!("../assets/docs/docs.css"),
    },
    Asset { name: "live", media_type: HTML, is_gzip: false, bytes: include_bytes!("../assets/docs/live.html") },
    Asset {
        name: "live.js",
        media_type: "text/javascript; charset=utf-8",
        is_gzip: false,
        bytes: include_bytes!("../assets/docs/live.js"),
    },
    Asset {
        name: "live.css",
        media_type: "text/css; charset=utf-8",
        is_gzip: false,
        bytes: include_bytes!("../assets/docs/live.css"),
    },
];

pub(crate) async fn page() -> Response {
    let mut answer = text(StatusCode::OK, HTML, PAGE.to_owned());
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    answer
}

/// `{"name": …}` of the user who is signed in, null for everybody else. `get-session` refuses them, which browsers list as a fault of the page.
pub(crate) async fn user(State(site): Shared, call: Call) -> Response {
    let known = call.sender.known().and_then(|identity| site.platform.person(&identity.principal.login));
    ok(&serde_json::json!({"name": known.map(|person| person.name)}))
}

/// A file of the page. Every browser reads gzip.
pub(crate) async fn file(Named(name): Named<String>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else { return no_such_path().await };
    let mut answer = asset.bytes.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    if asset.media_type == HTML {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    if asset.is_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_of_this_origin_and_its_files_are_there() {
        for page in [PAGE, include_str!("../assets/docs/live.html")] {
            assert!(!page.contains("//") && !page.contains("<script>") && !page.contains("style="), "{page}");
            for path in page.split(['"', '\'']).filter_map(|part| part.strip_prefix("/api/v1/docs/")) {
                assert!(ASSETS.iter().any(|asset| asset.name == path), "{path}");
            }
        }
        assert!(!POLICY.contains("unsafe") && !POLICY.contains("http"));
        for asset in &ASSETS {
            assert_eq!(asset.bytes.starts_with(&[0x1f, 0x8b]), asset.is_gzip, "{}", asset.name);
        }
        assert!(ASSETS.iter().map(|asset| asset.bytes.len()).sum::<usize>() < 500_000);
    }
}
