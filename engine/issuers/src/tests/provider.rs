//! A provider on a port of this machine, and keys that it signs with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// A key pair with its name.
pub(super) struct Signer {
    kid: String,
    algorithm: &'static str,
    pair: Pair,
}

/// ring makes no RSA keys.
static RSA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER", "-quiet"];
    let made = Command::new("openssl").args(arguments).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
});

pub(super) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64.encode(bytes)
}

impl Signer {
    fn ecdsa(kid: &str, algorithm: &'static str, signing: &'static EcdsaSigningAlgorithm) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(signing, document.as_ref(), &random).unwrap();
        Self { kid: kid.to_owned(), algorithm, pair: Pair::Ecdsa(pair) }
    }

    pub(super) fn es256(kid: &str) -> Self {
        Self::ecdsa(kid, "ES256", &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(super) fn es384(kid: &str) -> Self {
        Self::ecdsa(kid, "ES384", &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    pub(super) fn ed25519(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self { kid: kid.to_owned(), algorithm: "EdDSA", pair: Pair::Ed25519(pair) }
    }

    fn rsa(kid: &str, algorithm: &'static str, encoding: &'static dyn RsaEncoding) -> Self {
        let pair = RsaKeyPair::from_pkcs8(&RSA).or_else(|_| RsaKeyPair::from_der(&RSA)).unwrap();
        Self { kid: kid.to_owned(), algorithm, pair: Pair::Rsa(pair, encoding) }
    }

    pub(super) fn rs256(kid: &str) -> Self {
        Self::rsa(kid, "RS256", &RSA_PKCS1_SHA256)
    }

    pub(super) fn ps256(kid: &str) -> Self {
        Self::rsa(kid, "PS256", &RSA_PSS_SHA256)
    }

    /// The public key, as the provider tells it.
    pub(super) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Ecdsa(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y)})
            }
            Pair::Ed25519(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key())}),
            Pair::Rsa(pair, _) => {
                let public: ring::rsa::PublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({"kty": "RSA", "n": encoded(public.n), "e": encoded(public.e)})
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm);
        jwk["use"] = json!("sig");
        jwk
    }

    pub(super) fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": self.algorithm, "kid": self.kid})
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), claims)
    }

    /// A token of these claims under any header.
    pub(super) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = self.signature(message.as_bytes());
        format!("{message}.{}", encoded(signature))
    }

    pub(super) fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

#[derive(Default)]
struct State {
    keys: Vec<Value>,
    /// Answers 500.
    is_down: bool,
    /// What the discovery says in place of the issuer.
    says: Option<Value>,
    /// What is answered in place of keys.
    answers: Option<Raw>,
    asked: usize,
}

/// An answer as it goes over the wire.
#[derive(Clone)]
pub(super) struct Raw {
    /// The status line and headers, without the length.
    pub(super) head: String,
    pub(super) body: String,
    /// Bytes by which the stated length exceeds what is sent.
    pub(super) missing: usize,
    /// Before the answer.
    pub(super) pause: Duration,
}

impl Raw {
    pub(super) fn new(head: &str, body: &str) -> Self {
        Self { head: head.to_owned(), body: body.to_owned(), missing: 0, pause: Duration::ZERO }
    }
}

/// A provider that runs as long as the test.
pub(super) struct Provider {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Provider {
    pub(super) fn start(signers: &[Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let provider = Self { address, state: Arc::clone(&state) };
        provider.tell(signers);
        std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                std::thread::spawn(move || answer(tcp, address, &state));
            }
        });
        provider
    }

    pub(super) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn discovery(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer())
    }

    pub(super) fn keys(&self) -> String {
        format!("{}/keys", self.issuer())
    }

    /// These keys from now on.
    pub(super) fn tell(&self, signers: &[Signer]) {
        self.tell_as(signers.iter().map(Signer::jwk).collect());
    }

    pub(super) fn tell_as(&self, keys: Vec<Value>) {
        self.state.lock().unwrap().keys = keys;
    }

    pub(super) fn fail(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    /// This in place of keys from now on. `None`: keys again.
    pub(super) fn answer_keys_by(&self, raw: Option<Raw>) {
        self.state.lock().unwrap().answers = raw;
    }

    pub(super) fn claim_in_discovery(&self, discovery: Value) {
        self.state.lock().unwrap().says = Some(discovery);
    }

    /// How often keys were asked for.
    pub(super) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }
}

fn answer(mut tcp: TcpStream, address: SocketAddr, state: &Mutex<State>) {
    let mut request = [0; 4_096];
    let read = tcp.read(&mut request).unwrap_or(0);
    let raw = raw(&String::from_utf8_lossy(&request[..read]), address, &mut state.lock().unwrap());
    std::thread::sleep(raw.pause);
    let length = raw.body.len() + raw.missing;
    let head = format!("HTTP/1.1 {}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n", raw.head);
    let _gone = tcp.write_all((head + &raw.body).as_bytes());
}

fn raw(request: &str, address: SocketAddr, state: &mut State) -> Raw {
    let issuer = format!("http://{address}");
    let json = |value: &Value| Raw::new("200 OK\r\nContent-Type: application/json", &value.to_string());
    if state.is_down {
        Raw::new("500 Down", "{}")
    } else if request.starts_with("GET /.well-known/openid-configuration ") {
        let own = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")});
        json(state.says.as_ref().unwrap_or(&own))
    } else if request.starts_with("GET /keys ") {
        state.asked += 1;
        state.answers.clone().unwrap_or_else(|| json(&json!({"keys": state.keys})))
    } else if request.starts_with("GET /elsewhere ") {
        json(&json!({"keys": []}))
    } else {
        Raw::new("404 Not Found", "")
    }
}
