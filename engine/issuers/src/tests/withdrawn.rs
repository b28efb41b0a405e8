//! Keys that their issuer takes back, and issuers that answer with none.

use super::provider::{Provider, Raw, Signer, encoded};
use super::{check, claims, config};
use crate::{IssuerConfig, Issuers, KeyTenure, Refusal};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(250);
const SOON: Duration = Duration::from_secs(20);

/// Keys that end early where the issuer is silent.
fn impatient(provider: &Provider, age: Duration, kept: Duration) -> Issuers {
    Issuers::new(vec![IssuerConfig { keys_age: age, keys_kept: kept, ..config(provider) }]).unwrap()
}

async fn opened_by(issuers: &Issuers, token: &str) -> KeyTenure {
    issuers.check_signed(token).await.unwrap().1
}

async fn ends(tenure: &KeyTenure) -> bool {
    let begun = Instant::now();
    while tenure.holds() && begun.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    !tenure.holds()
}

#[tokio::test]
async fn what_an_issuer_answers_takes_the_place_of_what_was_there() {
    let (stolen, next) = (Signer::es256("1"), Signer::es256("1"));
    let with = |name: &str, value: Value| {
        let mut jwk = stolen.jwk();
        jwk[name] = value;
        jwk
    };
    for answer in [
        json!([]),
        json!([{}]),
        json!([null, 7, "key", []]),
        json!([{"kty": "oct", "k": encoded("secret"), "kid": "1"}]),
        json!([with("use", json!("enc"))]),
        json!([with("kty", json!("unheard-of"))]),
        json!([with("kid", json!("another"))]),
        json!([next.jwk()]),
        json!([Signer::ed25519("2").jwk()]),
    ] {
        let provider = Provider::start(std::slice::from_ref(&stolen));
        let issuers = Issuers::new(vec![config(&provider)]).unwrap();
        let token = stolen.sign(&claims(&provider));
        let opened = opened_by(&issuers, &token).await;
        provider.tell_as(answer.as_array().unwrap().clone());
        tokio::time::sleep(PAUSE).await;
        let unknown = stolen.sign_as(&json!({"alg": "ES256", "kid": "9"}), &claims(&provider));
        assert!(matches!(check(&issuers, &unknown).await, Err(Refusal::Wrong(_))), "{answer}");
        assert!(matches!(check(&issuers, &token).await, Err(Refusal::Wrong(_))), "{answer}");
        assert!(!opened.holds(), "{answer}: what it opened goes on");
        provider.tell(std::slice::from_ref(&stolen));
        tokio::time::sleep(PAUSE).await;
        assert!(check(&issuers, &token).await.is_ok(), "{answer}: the key is back");
    }
}

#[tokio::test]
async fn an_issuer_whose_first_answer_holds_no_key_refuses_its_tokens() {
    let signer = Signer::es256("1");
    let provider = Provider::start(&[]);
    let issuers = Issuers::new(vec![config(&provider)]).unwrap();
    assert!(matches!(check(&issuers, &signer.sign(&claims(&provider))).await, Err(Refusal::Wrong(_))));
}

/// Answers that are no set of keys.
fn silences(own: &str) -> Vec<Raw> {
    let good = json!({"keys": []}).to_string();
    let half = Raw { missing: 10, ..Raw::new("200 OK", &good) };
    let slow = Raw { pause: Duration::from_secs(6), ..Raw::new("200 OK", &good) };
    let mut all: Vec<Raw> = [
        "",
        "garbage",
        "<html>Down for a while</html>",
        "null",
        "7",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":null}",
        "{\"keys\":[]",
        "{\"error\":\"try later\"}",
    ]
    .iter()
    .map(|body| Raw::new("200 OK\r\nContent-Type: application/json", body))
    .collect();
    let huge = format!("{{\"filler\":\"{}\",\"keys\":[]}}", "x".repeat(300_000));
    all.push(Raw::new("200 OK", &huge));
    for head in ["500 Down", "503 Later", "429 Too Many", "404 Not Found", "403 No", "204 No Content"] {
        all.push(Raw::new(head, if head.starts_with("204") { "" } else { &good }));
    }
    for head in ["301 Moved", "302 Found", "307 Elsewhere", "308 Elsewhere"] {
        all.push(Raw::new(&format!("{head}\r\nLocation: {own}/elsewhere"), &good));
    }
    all.extend([Raw::new("nothing of HTTP", &good), half, slow]);
    all
}

#[tokio::test]
async fn keys_hold_for_a_time_while_no_set_of_keys_is_answered() {
    let signer = Signer::es256("1");
    let provider = Provider::start(std::slice::from_ref(&signer));
    let token = signer.sign(&claims(&provider));
    let unknown = signer.sign_as(&json!({"alg": "ES256", "kid": "9"}), &claims(&provider));
    for silence in silences(&provider.issuer()) {
        provider.answer_keys_by(None);
        let issuers = Issuers::new(vec![config(&provider)]).unwrap();
        let opened = opened_by(&issuers, &token).await;
        let told = format!("{} {:.60}", silence.head, silence.body);
        provider.answer_keys_by(Some(silence));
        tokio::time::sleep(PAUSE).await;
        let asked = provider.asked();
        assert!(matches!(check(&issuers, &unknown).await, Err(Refusal::Wrong(_))), "{told}");
        assert!(provider.asked() > asked, "{told}");
        assert!(check(&issuers, &token).await.is_ok() && opened.holds(), "{told}");
    }
}

#[tokio::test]
async fn keys_do_not_outlive_a_long_silence() {
    let signer = Signer::es256("1");
    let provider = Provider::start(std::slice::from_ref(&signer));
    let issuers = impatient(&provider, Duration::from_millis(300), Duration::from_millis(1_500));
    let token = signer.sign(&claims(&provider));
    let opened = opened_by(&issuers, &token).await;
    // Keys that are fetched again and are the same go on.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(opened.holds() && provider.asked() > 1);
    provider.fail(true);
    assert!(ends(&opened).await, "no token has to come for it");
    assert_eq!(check(&issuers, &token).await.unwrap_err(), Refusal::Unavailable);
    provider.fail(false);
    tokio::time::sleep(PAUSE).await;
    assert!(check(&issuers, &token).await.is_ok());
    assert!(!opened.holds(), "what has ended does not begin again");
}

#[tokio::test]
async fn what_a_withdrawn_key_opened_ends_without_another_token() {
    let (stolen, other) = (Signer::es256("1"), Signer::ed25519("2"));
    let provider = Provider::start(&[Signer::es256("0"), other]);
    let mut keys = vec![stolen.jwk(), Signer::ed25519("2").jwk()];
    provider.tell_as(keys.clone());
    let issuers = impatient(&provider, Duration::from_millis(300), SOON);
    let opened = opened_by(&issuers, &stolen.sign(&claims(&provider))).await;
    keys.rotate_left(1);
    keys.truncate(1);
    provider.tell_as(keys);
    assert!(ends(&opened).await);
}
