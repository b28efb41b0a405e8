//! Tokens that somebody without a right to one could make.

use super::provider::{Provider, Signer, encoded};
use super::{AUDIENCE, changed, check, claims, config, issuers, now};
use crate::{Algorithms, IssuerConfig, Issuers, Refusal};
use ring::hmac;
use serde_json::{Value, json};

fn is_wrong(result: &Result<crate::Claimed, Refusal>) -> bool {
    matches!(result, Err(Refusal::Wrong(_)))
}

/// Signed by a secret that is what everybody can fetch.
fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", encoded(tag.as_ref()))
}

#[tokio::test]
async fn tokens_without_a_signature_or_by_another_algorithm_are_refused() {
    let signer = Signer::rs256("r");
    let provider = Provider::start(std::slice::from_ref(&signer));
    let issuers = issuers(&provider);
    let claims = claims(&provider);
    let good = signer.sign(&claims);
    assert!(check(&issuers, &good).await.is_ok());
    let unsigned = |alg: &str| {
        let head = encoded(json!({"alg": alg, "typ": "JWT", "kid": "r"}).to_string());
        format!("{head}.{}.", encoded(claims.to_string()))
    };
    let jwk = signer.jwk();
    let modulus = jwk["n"].as_str().unwrap().as_bytes().to_vec();
    let head = |alg: &str| json!({"alg": alg, "kid": "r"});
    let cut = good.rsplit_once('.').unwrap().0.to_owned();
    let forged = [
        unsigned("none"),
        unsigned("None"),
        unsigned("NONE"),
        unsigned(""),
        unsigned("RS256"),
        hs256(&head("HS256"), &claims, &modulus),
        hs256(&head("HS256"), &claims, jwk.to_string().as_bytes()),
        hs256(&head("HS256"), &claims, b""),
        hs256(&head("RS256"), &claims, &modulus),
        signer.sign_as(&head("RS384"), &claims),
        signer.sign_as(&head("PS256"), &claims),
        signer.sign_as(&head("ES256"), &claims),
        signer.sign_as(&json!({"kid": "r"}), &claims),
        cut.clone(),
        format!("{cut}."),
        format!("{good}x"),
        format!("{good}.x"),
        good.replacen("ey", "e", 1),
        String::new(),
        "..".to_owned(),
        "ey..".to_owned(),
        "eyJhbGciOiJSUzI1NiJ9.e30.".to_owned(),
        "ey\u{e9}.\u{e9}.\u{e9}".to_owned(),
    ];
    for token in forged {
        let checked = check(&issuers, &token).await;
        assert!(is_wrong(&checked), "{token}: {checked:?}");
    }
}

#[tokio::test]
async fn changed_claims_and_other_keys_are_refused() {
    let (signer, stranger) = (Signer::es256("k"), Signer::es256("k"));
    let provider = Provider::start(std::slice::from_ref(&signer));
    let issuers = issuers(&provider);
    let claims = claims(&provider);
    let good = signer.sign(&claims);
    let parts: Vec<&str> = good.split('.').collect();
    let other = encoded(changed(&provider, json!({"sub": "root"})).to_string());
    // The key, or its address, in the token itself: who signs does not say by what.
    let with = |name: &str, value: Value| {
        let mut header = stranger.header();
        header[name] = value;
        stranger.sign_as(&header, &claims)
    };
    let mut embedded = with("jwk", stranger.jwk());
    let forged = [
        stranger.sign(&claims),
        format!("{}.{other}.{}", parts[0], parts[2]),
        std::mem::take(&mut embedded),
        with("jku", json!("http://127.0.0.1:1/keys")),
        with("x5u", json!("http://127.0.0.1:1/keys")),
        with("kid", json!("../../dev/null")),
        with("kid", json!("' OR 1=1")),
        signer.sign_as(&json!({"alg": "ES256", "kid": "k", "crit": ["exp"]}), &claims),
        signer.sign_as(&json!({"alg": "ES256", "kid": 7}), &claims),
        format!("{}.{}.{}", parts[0], parts[1], encoded([0; 64])),
        format!("{}.{}.{}", parts[0], parts[1], encoded([])),
    ];
    for token in forged {
        let checked = check(&issuers, &token).await;
        assert!(is_wrong(&checked), "{token}: {checked:?}");
    }
    assert!(check(&issuers, &good).await.is_ok());
}

#[tokio::test]
async fn claims_of_other_times_audiences_and_issuers_are_refused() {
    let signer = Signer::es256("k");
    let provider = Provider::start(std::slice::from_ref(&signer));
    let issuers = issuers(&provider);
    for changes in [
        json!({"exp": now() - 31}),
        json!({"exp": null}),
        json!({"exp": "9999999999"}),
        json!({"exp": -1}),
        json!({"exp": [now() + 60]}),
        json!({"nbf": now() + 60}),
        json!({"nbf": "soon"}),
        json!({"iat": now() + 60}),
        json!({"iat": "now"}),
        json!({"aud": "other"}),
        json!({"aud": null}),
        json!({"aud": []}),
        json!({"aud": ["other"]}),
        json!({"aud": {"querygate": true}}),
        json!({"aud": AUDIENCE.to_uppercase()}),
        json!({"iss": "https://other.example"}),
        json!({"iss": [provider.issuer()]}),
        json!({"iss": null}),
        json!({"iss": format!("{}/", provider.issuer())}),
        json!({"sub": null}),
        json!({"sub": {"$ne": null}}),
    ] {
        let checked = check(&issuers, &signer.sign(&changed(&provider, changes.clone()))).await;
        assert!(is_wrong(&checked), "{changes}: {checked:?}");
    }
}

#[tokio::test]
async fn which_key_it_is_must_be_plain() {
    let (one, two) = (Signer::es256("k"), Signer::es256("k"));
    let provider = Provider::start(&[Signer::es256("a"), Signer::es256("b")]);
    let issuers = issuers(&provider);
    let without = |signer: &Signer| signer.sign_as(&json!({"alg": "ES256"}), &claims(&provider));
    assert!(is_wrong(&check(&issuers, &without(&one)).await));
    // One that fits is the one; two are not.
    let provider = Provider::start(&[one, Signer::ed25519("e")]);
    let issuers = super::issuers(&provider);
    provider.tell_as(vec![two.jwk(), Signer::ed25519("e").jwk()]);
    let token = two.sign_as(&json!({"alg": "ES256"}), &claims(&provider));
    assert!(check(&issuers, &token).await.is_ok());
}

#[tokio::test]
async fn keys_that_are_for_something_else_check_nothing() {
    let signer = Signer::es256("k");
    let with = |name: &str, value: Value| {
        let mut jwk = signer.jwk();
        jwk[name] = value;
        jwk
    };
    let secret = json!({"kty": "oct", "k": encoded("secret"), "kid": "k", "alg": "HS256"});
    for jwk in [
        with("use", json!("enc")),
        with("alg", json!("ES384")),
        with("alg", json!("RSA-OAEP")),
        with("key_ops", json!(["encrypt"])),
        with("crv", json!("P-384")),
        with("x", json!("AAAA")),
        with("kty", json!("RSA")),
        with("kid", json!("other")),
        secret.clone(),
    ] {
        let provider = Provider::start(&[]);
        // Beside a good one, so that the set is not empty.
        provider.tell_as(vec![jwk.clone(), Signer::ed25519("e").jwk()]);
        let checked = check(&issuers(&provider), &signer.sign(&claims(&provider))).await;
        assert!(is_wrong(&checked), "{jwk}: {checked:?}");
    }
    let provider = Provider::start(&[]);
    provider.tell_as(vec![secret, Signer::ed25519("e").jwk()]);
    let token = hs256(&json!({"alg": "HS256", "kid": "k"}), &claims(&provider), b"secret");
    assert!(is_wrong(&check(&issuers(&provider), &token).await));
}

#[tokio::test]
async fn only_allowed_algorithms_are_taken() {
    let signers = [Signer::es256("e"), Signer::rs256("r")];
    let provider = Provider::start(&signers);
    let algorithms = Algorithms::named(["RS256"]).unwrap();
    let issuers = Issuers::new(vec![IssuerConfig { algorithms, ..config(&provider) }]).unwrap();
    assert!(check(&issuers, &signers[1].sign(&claims(&provider))).await.is_ok());
    assert!(is_wrong(&check(&issuers, &signers[0].sign(&claims(&provider))).await));
    assert_eq!(Algorithms::named(["RS256", "HS256"]), Err("HS256".to_owned()));
    assert_eq!(Algorithms::named(["none"]), Err("none".to_owned()));
}
