//! Tokens against a provider of this process: those that hold, and the list of those that must not.

mod attacks;
mod provider;
mod rotation;
mod standards;
mod withdrawn;

use crate::{Algorithms, ClaimNames, Claimed, IssuerConfig, Issuers, KeySource, Refusal, checked_address};
use provider::{Provider, Signer};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const AUDIENCE: &str = "querygate";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn config(provider: &Provider) -> IssuerConfig {
    IssuerConfig {
        issuer: provider.issuer(),
        keys: KeySource::Discovery(checked_address(&provider.discovery()).unwrap()),
        audiences: vec![AUDIENCE.to_owned()],
        algorithms: Algorithms::default(),
        clock_skew: Duration::from_secs(30),
        claims: ClaimNames::default(),
        refetch_pause: Duration::from_millis(200),
        keys_age: IssuerConfig::KEYS_AGE,
        keys_kept: IssuerConfig::KEYS_KEPT,
    }
}

fn issuers(provider: &Provider) -> Issuers {
    Issuers::new(vec![config(provider)]).unwrap()
}

/// Claims that hold.
fn claims(provider: &Provider) -> Value {
    json!({"iss": provider.issuer(), "aud": AUDIENCE, "sub": "ada", "iat": now(), "exp": now() + 300})
}

/// The claims that hold with some of them changed; null takes one away.
fn changed(provider: &Provider, changes: Value) -> Value {
    let mut claims = claims(provider);
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

async fn check(issuers: &Issuers, token: &str) -> Result<Claimed, Refusal> {
    issuers.check(token).await
}

#[tokio::test]
async fn tokens_of_every_kind_of_key_hold() {
    let signers =
        [Signer::es256("e"), Signer::es384("f"), Signer::ed25519("g"), Signer::rs256("h"), Signer::ps256("i")];
    let provider = Provider::start(&signers);
    let issuers = issuers(&provider);
    for signer in &signers {
        let token = signer.sign(&claims(&provider));
        assert!(Issuers::has_form(&token));
        let claimed = check(&issuers, &token).await.unwrap();
        assert_eq!((claimed.login.as_str(), claimed.issuer.as_str()), ("ada", provider.issuer().as_str()));
        assert!(claimed.ends > now() + 300 && claimed.ends <= now() + 330, "the skew is counted in");
    }
    let list = changed(&provider, json!({"aud": ["other", AUDIENCE]}));
    assert!(check(&issuers, &signers[0].sign(&list)).await.is_ok());
    let late = changed(&provider, json!({"exp": now() - 20, "nbf": now() + 20}));
    assert!(check(&issuers, &signers[0].sign(&late)).await.is_ok(), "within the skew of clocks");
}

#[tokio::test]
async fn keys_can_be_named_without_a_discovery() {
    let signer = Signer::es256("e");
    let provider = Provider::start(std::slice::from_ref(&signer));
    let keys = KeySource::Keys(checked_address(&provider.keys()).unwrap());
    let issuers = Issuers::new(vec![IssuerConfig { keys, ..config(&provider) }]).unwrap();
    assert!(check(&issuers, &signer.sign(&claims(&provider))).await.is_ok());
}
