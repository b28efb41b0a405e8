//! Keys that change, issuers that do not answer, and documents that lie.

use super::provider::{Provider, Signer};
use super::{check, claims, config, issuers};
use crate::{IssuerConfig, Issuers, Refusal};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(250);

#[tokio::test]
async fn a_new_key_is_fetched_and_an_old_one_ends() {
    let (old, new) = (Signer::es256("1"), Signer::es256("2"));
    let provider = Provider::start(std::slice::from_ref(&old));
    let issuers = issuers(&provider);
    let (by_old, by_new) = (old.sign(&claims(&provider)), new.sign(&claims(&provider)));
    assert!(check(&issuers, &by_old).await.is_ok());
    provider.tell(std::slice::from_ref(&new));
    tokio::time::sleep(PAUSE).await;
    assert!(check(&issuers, &by_new).await.is_ok());
    assert!(matches!(check(&issuers, &by_old).await, Err(Refusal::Wrong(_))), "the issuer withdrew it");
    assert!(provider.asked() >= 2);
}

#[tokio::test]
async fn invented_names_of_keys_do_not_make_the_issuer_be_asked_each_time() {
    let signer = Signer::es256("1");
    let provider = Provider::start(std::slice::from_ref(&signer));
    let pause = Duration::from_secs(3_600);
    let issuers = Issuers::new(vec![IssuerConfig { refetch_pause: pause, ..config(&provider) }]).unwrap();
    assert!(check(&issuers, &signer.sign(&claims(&provider))).await.is_ok());
    for n in 0..100 {
        let token = signer.sign_as(&json!({"alg": "ES256", "kid": format!("k{n}")}), &claims(&provider));
        assert!(matches!(check(&issuers, &token).await, Err(Refusal::Wrong(_))));
    }
    assert_eq!(provider.asked(), 1);
    assert!(check(&issuers, &signer.sign(&claims(&provider))).await.is_ok());
}

#[tokio::test]
async fn keys_outlive_an_issuer_that_does_not_answer() {
    let signer = Signer::es256("1");
    let provider = Provider::start(std::slice::from_ref(&signer));
    let issuers = issuers(&provider);
    let token = signer.sign(&claims(&provider));
    provider.fail(true);
    assert_eq!(check(&issuers, &token).await.unwrap_err(), Refusal::Unavailable, "there never were any");
    provider.fail(false);
    tokio::time::sleep(PAUSE).await;
    assert!(check(&issuers, &token).await.is_ok());
    provider.fail(true);
    tokio::time::sleep(PAUSE).await;
    let unknown = signer.sign_as(&json!({"alg": "ES256", "kid": "2"}), &claims(&provider));
    assert!(matches!(check(&issuers, &unknown).await, Err(Refusal::Wrong(_))));
    assert!(check(&issuers, &token).await.is_ok(), "what is known is kept");
}

#[tokio::test]
async fn one_fetch_serves_all_that_wait_for_it() {
    let signer = Signer::es256("1");
    let provider = Provider::start(std::slice::from_ref(&signer));
    let issuers = issuers(&provider);
    let token = signer.sign(&claims(&provider));
    let issuers = Arc::new(issuers);
    let mut pending = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (issuers, token) = (Arc::clone(&issuers), token.clone());
        pending.spawn(async move { issuers.check(&token).await.is_ok() });
    }
    assert!(pending.join_all().await.into_iter().all(|good| good));
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn a_document_of_another_issuer_or_with_an_open_address_gives_no_keys() {
    let signer = Signer::es256("1");
    for says in [
        json!({"issuer": "https://other.example", "jwks_uri": "KEYS"}),
        json!({"issuer": "ISSUER", "jwks_uri": "http://keys.example/keys"}),
        json!({"issuer": "ISSUER", "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": "ISSUER"}),
        json!([]),
        json!({"issuer": "ISSUER", "jwks_uri": "KEYS", "filler": "x".repeat(300_000)}),
    ] {
        let provider = Provider::start(std::slice::from_ref(&signer));
        let text = says.to_string().replace("ISSUER", &provider.issuer()).replace("KEYS", &provider.keys());
        provider.claim_in_discovery(serde_json::from_str(&text).unwrap());
        let checked = check(&issuers(&provider), &signer.sign(&claims(&provider))).await;
        assert_eq!(checked.unwrap_err(), Refusal::Unavailable, "{text:.200}");
    }
}
