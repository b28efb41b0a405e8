//! Where a request was sent from, as far as the browser says. Knows no route and no session.

use axum::http::{HeaderMap, HeaderName, header};

/// What browsers say of who sent a request, beside who receives it; pages cannot set it.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a browser says that a page of another origin sent the request. `Sec-Fetch-Site` decides where it names a page; else
/// `Origin` does, which says `null` where a page does not tell who it is. A program that sends neither is no browser that
/// other pages could use, and shows who it is by what it brings.
#[must_use]
pub fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(&SITE).iter().map(|site| site.as_bytes()).peekable();
    let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
    // A person who types an address is no page; what else such a request says of its origin holds.
    let names_a_page = sites.peek().is_some_and(|site| *site != b"none");
    if names_a_page {
        return sites.any(|site| site != b"same-origin");
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_here = |origin: &str| {
        origin.split_once("://").is_some_and(|(_, from)| !host.is_empty() && from.eq_ignore_ascii_case(host))
    };
    sites.any(|site| site != b"none") || origins.any(|origin| !origin.to_str().is_ok_and(is_here))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn check(given: &[(&'static str, &'static str)], expected: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        assert_eq!(comes_from_elsewhere(&headers), expected, "{given:?}");
    }

    #[test]
    fn what_the_browser_says_of_the_page_comes_first() {
        let host = ("host", "gate:8080");
        let site = |site| ("sec-fetch-site", site);
        let origin = |origin| ("origin", origin);
        check(&[host, site("same-origin")], false);
        check(&[host, site("same-origin"), origin("http://gate:8080")], false);
        // As browsers write it of an own page that does not send its address on, and through a proxy with another name.
        check(&[host, site("same-origin"), origin("null")], false);
        check(&[host, site("same-origin"), origin("https://gate.example")], false);
        for other in ["cross-site", "same-site", "", "Same-Origin", "of-tomorrow"] {
            check(&[host, site(other)], true);
            check(&[host, site(other), origin("http://gate:8080")], true);
            check(&[host, site("same-origin"), site(other)], true);
            check(&[host, site("none"), site(other)], true);
        }
    }

    #[test]
    fn an_origin_is_read_where_nothing_else_is_said() {
        let host = ("host", "gate:8080");
        let origin = |origin| ("origin", origin);
        check(&[], false);
        check(&[host], false);
        check(&[host, ("sec-fetch-site", "none")], false);
        for none in [&[host][..], &[host, ("sec-fetch-site", "none")]] {
            let with = |value| [none, &[origin(value)]].concat();
            check(&with("http://gate:8080"), false);
            check(&with("https://GATE:8080"), false);
            for foreign in
                ["null", "", "http://gate:8081", "http://gate", "http://evil.example", "gate:8080", "http://"]
            {
                check(&with(foreign), true);
            }
            check(&[&with("http://gate:8080")[..], &[origin("null")]].concat(), true);
        }
        check(&[origin("http://")], true);
        check(&[origin("http://gate:8080")], true);
    }
}
