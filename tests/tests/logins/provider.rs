//! Issuers on a port of this machine: each below a path of its own, all by one key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) struct Provider {
    address: SocketAddr,
    pair: EcdsaKeyPair,
    /// The set that every issuer publishes.
    keys: Arc<Mutex<Value>>,
}

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64.encode(bytes)
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn new_pair() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap()
}

/// A token by any key, under any header.
pub(crate) fn signed(pair: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
    let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", encoded(signature.as_ref()))
}

pub(crate) fn header() -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": "k1"})
}

impl Provider {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pair = new_pair();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let set = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "x": encoded(x), "y": encoded(y)}]});
        let keys = Arc::new(Mutex::new(set));
        let published = Arc::clone(&keys);
        std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let keys = published.lock().unwrap().clone();
                answer(tcp, address, &keys);
            }
        });
        Self { address, pair, keys }
    }

    /// A set of no keys from now on.
    pub(crate) fn withdraw(&self) {
        *self.keys.lock().unwrap() = json!({"keys": []});
    }

    /// `away` answers nothing but errors.
    pub(crate) fn issuer(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// Claims that hold, of a user.
    pub(crate) fn claims(&self, issuer: &str, user: &str) -> Value {
        json!({"iss": self.issuer(issuer), "aud": "querygate", "sub": user, "preferred_username": user,
            "realm_access": {"roles": ["shop_reader", "admin_full_access"]}, "exp": now() + 300})
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        signed(&self.pair, &header(), claims)
    }

    pub(crate) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        signed(&self.pair, header, claims)
    }
}

fn answer(mut tcp: TcpStream, address: SocketAddr, keys: &Value) {
    let mut request = [0; 4_096];
    let read = tcp.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..read]).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, body) = match path.strip_suffix("/.well-known/openid-configuration") {
        Some("/away") => ("503 Away", json!({})),
        Some(name) => {
            let issuer = format!("http://{address}{name}");
            ("200 OK", json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}))
        }
        None if path.ends_with("/keys") => ("200 OK", keys.clone()),
        None => ("404 Not Found", json!({})),
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _gone = tcp.write_all((head + &body).as_bytes());
}
