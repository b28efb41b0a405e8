//! Cookies of a request. Knows no names of them.

use axum::http::{HeaderMap, header};

/// The value of the first cookie with a name.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn cookies_are_found_by_their_name() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; session=2; x", "session=3;b=c=d"] {
            headers.append(header::COOKIE, HeaderValue::from_static(line));
        }
        assert_eq!(cookie(&headers, "session"), Some("2"));
        assert_eq!(cookie(&headers, "b"), Some("c=d"));
        assert_eq!(cookie(&headers, "x"), None);
        assert_eq!(cookie(&HeaderMap::new(), "a"), None);
    }
}
