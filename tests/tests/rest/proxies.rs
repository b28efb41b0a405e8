//! Clients behind a proxy that the operator named: each is counted by its own address, and nobody else is believed.

use crate::own::{Gate, ROWS};
use querygate_tests::server::{PASSWORD, Request};
use serde_json::json;

fn sign_in(gate: &Gate, password: &str, header: (&str, &str)) -> u16 {
    let body = json!({"email": "nora@shop.example", "password": password});
    let request = Request::new("POST", "/api/v1/auth/sign-in/email").json(&body);
    gate.send(request.header(header.0, header.1)).status
}

/// Tries wrong passwords by this header until the address has to wait.
fn lock_out(gate: &Gate, header: (&str, &str)) {
    let tried: Vec<u16> = (0..12).map(|_| sign_in(gate, "wrong", header)).collect();
    assert_eq!((tried[0], tried[11]), (401, 429), "{tried:?}");
}

#[test]
fn wrong_passwords_of_one_client_of_a_proxy_do_not_lock_out_the_others() {
    let gate = Gate::with(ROWS, "trusted_proxies = [\"127.0.0.1\"]\n");
    lock_out(&gate, ("x-forwarded-for", "6.6.6.6, 203.0.113.7"));
    assert_eq!(
        sign_in(&gate, PASSWORD, ("x-forwarded-for", "1.1.1.1, 203.0.113.7")),
        429,
        "what it wrote itself says nothing"
    );
    assert_eq!(sign_in(&gate, PASSWORD, ("x-forwarded-for", "203.0.113.8")), 200);
    assert_eq!(sign_in(&gate, PASSWORD, ("forwarded", "for=203.0.113.7")), 200, "the proxy does not write this header");
    let numbered = Request::new("GET", "/api/v1/health").header("x-request-id", "from-the-proxy.1");
    assert_eq!(gate.send(numbered).header("x-request-id"), Some("from-the-proxy.1"));
    let odd = Request::new("GET", "/api/v1/health").header("x-request-id", "two words");
    assert_ne!(gate.send(odd).header("x-request-id"), Some("two words"));
}

#[test]
fn without_a_named_proxy_nobody_says_who_somebody_else_is() {
    let gate = Gate::new();
    lock_out(&gate, ("x-forwarded-for", "203.0.113.7"));
    assert_eq!(sign_in(&gate, PASSWORD, ("x-forwarded-for", "203.0.113.8")), 429);
    assert_eq!(sign_in(&gate, PASSWORD, ("forwarded", "for=203.0.113.8")), 429);
}

#[test]
fn a_session_says_the_address_of_its_client() {
    let gate = Gate::with(ROWS, "trusted_proxies = [\"127.0.0.0/8\"]\nproxy_header = \"forwarded\"\n");
    let body = json!({"email": "nora@shop.example", "password": PASSWORD});
    let request = Request::new("POST", "/api/v1/auth/sign-in/email").json(&body);
    let answer = gate.send(request.header("forwarded", "for=\"[2001:db8::5]:4711\";proto=https"));
    let token = format!("Bearer {}", answer.json()["token"].as_str().unwrap());
    let shown = gate.send(Request::new("GET", "/api/v1/auth/get-session").header("authorization", &token)).json();
    assert_eq!(shown["session"]["ipAddress"], "2001:db8::5", "{shown}");
}
