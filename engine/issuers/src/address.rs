//! Addresses that keys may be fetched from.

use hyper::Uri;
use std::net::IpAddr;

/// An address whose answers no stranger on the way can write: https, or http within this machine.
///
/// # Errors
/// Why it is none, in words.
pub fn checked_address(text: &str) -> Result<Uri, String> {
    let address: Uri = text.parse().map_err(|_| "it is not an address".to_owned())?;
    let host = address.host().filter(|host| !host.is_empty()).ok_or("it names no host")?;
    match address.scheme_str() {
        Some("https") => Ok(address),
        Some("http") if is_loopback(host) => Ok(address),
        Some("http") => Err("it must begin with https://: http is taken within this machine only".to_owned()),
        Some(_) | None => Err("it must begin with https://".to_owned()),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        for good in ["https://a.example/x", "http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]:8/"] {
            assert!(checked_address(good).is_ok(), "{good}");
        }
        for bad in ["http://a.example", "http://127.0.0.1.example/", "ftp://a", "a", "", "https://", "http://10.0.0.1/"]
        {
            assert!(checked_address(bad).is_err(), "{bad}");
        }
    }
}
