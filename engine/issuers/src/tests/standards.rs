//! What the standards allow and issuers write, beside what they forbid.

use super::provider::{Provider, Signer, encoded};
use super::{AUDIENCE, changed, check, claims, config, issuers, now};
use crate::{Algorithms, IssuerConfig, Issuers, Refusal};
use serde_json::{Value, json};

fn with(jwk: &Value, changes: Value) -> Value {
    let mut jwk = jwk.clone();
    for (name, value) in changes.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

/// Whether a token under this header holds where these keys are published.
async fn holds(signer: &Signer, header: &Value, keys: Vec<Value>) -> Result<(), Refusal> {
    let provider = Provider::start(&[]);
    provider.tell_as(keys);
    check(&issuers(&provider), &signer.sign_as(header, &claims(&provider))).await.map(drop)
}

#[tokio::test]
async fn ed25519_has_two_names_in_tokens_keys_and_configurations() {
    let signer = Signer::ed25519("k");
    let key = signer.jwk();
    for named in ["EdDSA", "Ed25519"] {
        let header = json!({"alg": named, "kid": "k"});
        for key in [key.clone(), with(&key, json!({"alg": "EdDSA"})), with(&key, json!({"alg": "Ed25519"}))] {
            assert_eq!(holds(&signer, &header, vec![key.clone()]).await, Ok(()), "{named} {key}");
        }
        for configured in ["EdDSA", "Ed25519"] {
            let provider = Provider::start(std::slice::from_ref(&signer));
            let algorithms = Algorithms::named([configured]).unwrap();
            let issuers = Issuers::new(vec![IssuerConfig { algorithms, ..config(&provider) }]).unwrap();
            assert!(check(&issuers, &signer.sign_as(&header, &claims(&provider))).await.is_ok(), "{configured}");
        }
    }
    for named in ["Ed448", "ed25519", "ED25519", "ES512", "ES256K"] {
        let refused = holds(&signer, &json!({"alg": named, "kid": "k"}), vec![key.clone()]).await;
        assert_eq!(refused, Err(Refusal::Wrong("its algorithm is not allowed")), "{named}");
        assert_eq!(Algorithms::named([named]), Err(named.to_owned()));
    }
    let curve = with(&key, json!({"crv": "Ed448", "alg": "Ed25519"}));
    assert!(holds(&signer, &signer.header(), vec![curve]).await.is_err());
}

#[tokio::test]
async fn times_with_fractions_hold_and_others_do_not() {
    let signer = Signer::es256("k");
    let provider = Provider::start(std::slice::from_ref(&signer));
    let issuers = issuers(&provider);
    let at = |seconds: f64| json!(seconds + f64::from(u32::try_from(now()).unwrap()));
    for (changes, good) in [
        (json!({"exp": at(500.25)}), true),
        (json!({"exp": at(500.25), "nbf": at(-0.75), "iat": at(-1.5)}), true),
        (json!({"exp": 4e9}), true),
        (json!({"exp": at(-40.5)}), false),
        (json!({"nbf": at(40.5)}), false),
        (json!({"iat": at(40.5)}), false),
        (json!({"exp": 1e300}), false),
        (json!({"exp": -1.5}), false),
        (json!({"exp": true}), false),
        (json!({"nbf": -1}), false),
        (json!({"iat": "1"}), false),
    ] {
        let checked = check(&issuers, &signer.sign(&changed(&provider, changes.clone()))).await;
        assert_eq!(checked.is_ok(), good, "{changes}: {checked:?}");
    }
    // Beyond what a double holds, and what JSON has no word for.
    let good = claims(&provider);
    for end in ["1e400", "NaN", "Infinity", "01", "+1", "1."] {
        let claims = good.to_string().replace(&format!("\"exp\":{}", good["exp"]), &format!("\"exp\":{end}"));
        let message = format!("{}.{}", encoded(signer.header().to_string()), encoded(claims));
        let checked = check(&issuers, &format!("{message}.{}", encoded(signer.signature(message.as_bytes())))).await;
        assert_eq!(checked.map(drop), Err(Refusal::Wrong("it is malformed")), "{end}");
    }
}

#[tokio::test]
async fn keys_of_one_name_and_keys_that_are_listed_twice_check_signatures() {
    let (one, two, rsa) = (Signer::es256("k"), Signer::es256("k"), Signer::rs256("k"));
    let both = vec![one.jwk(), two.jwk(), rsa.jwk()];
    for signer in [&one, &two, &rsa] {
        assert_eq!(holds(signer, &signer.header(), both.clone()).await, Ok(()));
    }
    let stranger = Signer::es256("k");
    assert!(holds(&stranger, &stranger.header(), both.clone()).await.is_err());
    let nameless = json!({"alg": "ES256"});
    assert!(holds(&one, &nameless, both).await.is_err(), "which of the two is not said");
    assert_eq!(holds(&one, &nameless, vec![one.jwk(), one.jwk()]).await, Ok(()));
    let uses = ["RS256", "RS384", "PS256"].map(|alg| with(&rsa.jwk(), json!({"alg": alg, "use": "sig"})));
    assert_eq!(holds(&rsa, &rsa.header(), uses.to_vec()).await, Ok(()));
}

#[tokio::test]
async fn members_of_keys_that_say_nothing_here_change_nothing() {
    let signer = Signer::rs256("k");
    let key = signer.jwk();
    for changes in [
        json!({"use": "sig", "key_ops": ["verify"], "alg": "RS256"}),
        json!({"key_ops": ["sign", "verify", "something"]}),
        json!({"x5c": ["MIIB"], "x5t": "abc", "x5t#S256": "def", "x5u": "https://keys.example/x"}),
        json!({"use": null, "key_ops": null, "alg": null}),
        json!({"x5c": 7, "x5t": null, "nbf": 1, "exp": {"at": 2}, "issuer": "x"}),
    ] {
        let key = with(&key, changes);
        assert_eq!(holds(&signer, &signer.header(), vec![key.clone()]).await, Ok(()), "{key}");
    }
    for changes in [
        json!({"use": "SIG"}),
        json!({"use": 7}),
        json!({"e": "AQ"}),
        json!({"key_ops": []}),
        json!({"key_ops": "verify"}),
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
        json!({"alg": ["RS256"]}),
        json!({"kid": 7}),
        json!({"d": "AQAB"}),
        json!({"n": "AQAB"}),
        json!({"n": encoded([0xff; 128])}),
        json!({"n": format!("{}==", key["n"].as_str().unwrap())}),
        json!({"e": ""}),
        json!({"kty": "rsa"}),
    ] {
        let key = with(&key, changes);
        assert!(holds(&signer, &signer.header(), vec![key.clone()]).await.is_err(), "{key}");
    }
}

#[tokio::test]
async fn tokens_of_other_kinds_let_nobody_in() {
    let signer = Signer::es256("k");
    let provider = Provider::start(std::slice::from_ref(&signer));
    let issuers = issuers(&provider);
    let of = |kind: &str| signer.sign_as(&with(&signer.header(), json!({"typ": kind})), &claims(&provider));
    for kind in ["JWT", "at+jwt", "application/at+jwt", "Bearer"] {
        assert!(check(&issuers, &of(kind)).await.is_ok(), "{kind}");
    }
    for kind in ["logout+jwt", "secevent+jwt", "dpop+jwt", "application/logout+jwt"] {
        assert!(check(&issuers, &of(kind)).await.is_err(), "{kind}");
    }
    let events = json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}});
    assert!(check(&issuers, &signer.sign(&changed(&provider, events))).await.is_err());
}

#[tokio::test]
async fn headers_are_read_as_json_and_audiences_as_texts() {
    let signer = Signer::es256("k");
    let provider = Provider::start(std::slice::from_ref(&signer));
    let issuers = issuers(&provider);
    let under = |header: &str| {
        let message = format!("{}.{}", encoded(header), encoded(claims(&provider).to_string()));
        format!("{message}.{}", encoded(signer.signature(message.as_bytes())))
    };
    for header in [
        "{\n  \"alg\": \"ES256\",\n  \"kid\": \"k\"\n}",
        " {\"alg\":\"ES256\",\"kid\":\"k\"} ",
        "{\"alg\":\"ES256\",\"kid\":\"\\u006b\"}",
        "{\"alg\":\"ES256\",\"kid\":\"k\",\"jku\":7,\"jwk\":[],\"x5c\":\"no\",\"more\":{}}",
    ] {
        let token = under(header);
        assert!(Issuers::has_form(&token) && check(&issuers, &token).await.is_ok(), "{header}");
    }
    for header in
        ["{\"alg\":\"ES256\",\"kid\":\"k\",\"crit\":[]}", "{\"alg\":\"ES256\",\"kid\":\"k\",\"crit\":null}", "[]", "7"]
    {
        assert!(check(&issuers, &under(header)).await.is_err(), "{header}");
    }
    for (audience, good) in [
        (json!([AUDIENCE, AUDIENCE]), true),
        (json!(["", AUDIENCE]), true),
        (json!([AUDIENCE, 7]), false),
        (json!([[AUDIENCE]]), false),
        (json!(7), false),
    ] {
        let token = signer.sign(&changed(&provider, json!({"aud": audience})));
        assert_eq!(check(&issuers, &token).await.is_ok(), good, "{audience}");
    }
}
