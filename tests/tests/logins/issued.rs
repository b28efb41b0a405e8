//! Tokens of issuers: at every door, by claims, forged and expired, and where their issuer is away.

use crate::provider::{encoded, header, new_pair, now, signed};
use crate::world::{Seen, World};
use querygate_tests::server::Request;
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn a_token_lets_its_user_in_at_every_door() {
    let world = World::new();
    // A configured user without a password, by one issuer; a user made of claims, by the other one.
    let configured = world.provider.sign(&world.provider.claims("one", "solo"));
    let claimed = world.provider.sign(&world.provider.claims("two", "eve"));
    for (token, login) in [(&configured, "solo"), (&claimed, "two:eve")] {
        assert!(world.everywhere(token).into_iter().all(|seen| seen == Ok("2".to_owned())), "{login}");
        let who = world.psql(token, "require", &["-c", "SELECT current_user"]);
        assert_eq!(who.out.trim(), login, "{}", who.both());
        let hidden = world.psql(token, "require", &["-c", "SELECT * FROM secrets"]);
        assert!(hidden.err.contains("42P01"), "an administrator's set is not given by its name: {}", hidden.both());
    }
    for (token, user) in [(&configured, "who has no password"), (&claimed, "who is in no configuration")] {
        let made = Request::new("POST", "/api/v1/keys").header("authorization", &format!("Bearer {token}"));
        let made = made.json(&json!({})).send(world.server.rest.unwrap());
        assert_eq!(made.status, 403, "a key of a user {user} would wait for one of that name");
    }
    // One with a password and without an end would stay when the token has ended.
    let lasting = world.provider.sign(&world.provider.claims("one", "nora"));
    assert!(world.everywhere(&lasting).into_iter().all(|seen| seen.is_ok()), "{lasting}");
    let made = Request::new("POST", "/api/v1/keys").header("authorization", &format!("Bearer {lasting}"));
    assert_eq!(made.json(&json!({})).send(world.server.rest.unwrap()).status, 403, "a user with a password");
    let lines = world.server.lines().join("\n");
    assert!(!lines.contains(&configured) && !lines.contains(&claimed), "a token is in the log");
}

/// The class of a refusal at each door, and one text for all that is wrong.
fn is_refused_alike(door: usize, seen: &Seen) -> bool {
    let Err((class, words)) = seen else { return false };
    match door {
        0 => words == "the API key or token is not valid",
        1 => class == "Unauthenticated" && words == "the API key or token is not valid (SQLSTATE 28P01)",
        // One that was shown too often has to wait.
        _ => class == "401" || class == "429",
    }
}

#[test]
fn what_is_wrong_with_a_token_is_told_to_the_log_alone() {
    let world = World::new();
    let provider = &world.provider;
    let good = provider.claims("one", "solo");
    let with = |changes: Value| {
        let mut claims = good.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        provider.sign(&claims)
    };
    let unsigned =
        format!("{}.{}.", encoded(json!({"alg": "none", "kid": "k1"}).to_string()), encoded(good.to_string()));
    let secret = format!(
        "{}.{}.{}",
        encoded(json!({"alg": "HS256", "kid": "k1"}).to_string()),
        encoded(good.to_string()),
        encoded("x")
    );
    let forged = [
        ("its signature is wrong", signed(&new_pair(), &header(), &good)),
        ("its algorithm is not allowed", unsigned),
        ("its algorithm is not allowed", secret),
        ("it has expired", with(json!({"exp": now() - 5}))),
        ("it does not hold yet", with(json!({"nbf": now() + 60}))),
        ("it is for another audience", with(json!({"aud": "other"}))),
        ("its issuer is not known", with(json!({"iss": "https://other.example"}))),
        ("it names no configured user", with(json!({"preferred_username": "eve"}))),
        ("its issuer has no such key", provider.sign_as(&json!({"alg": "ES256", "kid": "k9"}), &good)),
        ("it is too long", with(json!({"filler": "x".repeat(17_000)}))),
    ];
    assert!(world.over_rest(&provider.sign(&good)).is_ok());
    for (why, token) in &forged {
        let before = world.server.lines().len();
        let seen = if token.len() > 16_000 {
            // More than the headers of a request hold.
            vec![world.over_postgres(token)]
        } else {
            world.everywhere(token).into_iter().collect()
        };
        for (door, seen) in seen.iter().enumerate() {
            assert!(is_refused_alike(door, seen), "{why}, door {door}: {seen:?}");
        }
        let told = world.server.wait_for(why, before);
        assert!(told.contains("a token or API key was refused") && !told.contains(token.as_str()), "{told}");
    }
    let of_administrator = provider.sign(&provider.claims("two", "x\u{7}"));
    assert!(world.over_rest(&of_administrator).is_err());
}

#[test]
fn a_session_ends_with_its_token() {
    let world = World::new();
    let mut claims = world.provider.claims("one", "solo");
    claims["exp"] = json!(now() + 4);
    let token = world.provider.sign(&claims);
    let statements = ["-c", "SELECT 1", "-c", "\\! sleep 6.5", "-c", "SELECT 2"];
    let session = world.psql(&token, "require", &statements);
    assert!(session.out.contains('1') && !session.out.contains('2'), "{}", session.both());
    assert!(session.err.contains("no longer holds"), "{}", session.both());
    assert!(world.everywhere(&token).iter().all(Result::is_err));
}

#[test]
fn a_withdrawn_key_lets_nobody_in_and_ends_what_it_opened() {
    let world = World::new();
    let token = world.provider.sign(&world.provider.claims("one", "solo"));
    assert!(world.everywhere(&token).iter().all(Result::is_ok));
    let statements = ["-c", "SELECT 1", "-c", "\\! sleep 16", "-c", "SELECT 2"];
    std::thread::scope(|scope| {
        let session = scope.spawn(|| world.psql(&token, "require", &statements));
        // Between two fetches of its keys an issuer is not asked, whatever tokens say.
        std::thread::sleep(Duration::from_millis(10_500));
        world.provider.withdraw();
        let unknown =
            world.provider.sign_as(&json!({"alg": "ES256", "kid": "k9"}), &world.provider.claims("one", "solo"));
        let before = world.server.lines().len();
        assert_eq!(world.over_rest(&unknown).unwrap_err().0, "401");
        let _ = world.server.wait_for("publishes no key", before);
        for (door, seen) in world.everywhere(&token).iter().enumerate() {
            assert!(is_refused_alike(door, seen), "door {door}: {seen:?}");
        }
        let session = session.join().unwrap();
        assert!(session.out.contains('1') && !session.out.contains('2'), "{}", session.both());
    });
    let other = world.provider.sign(&world.provider.claims("two", "eve"));
    assert_eq!(world.over_rest(&other).unwrap_err().0, "401", "no issuer publishes the key");
}

#[test]
fn an_issuer_that_never_answered_is_told_from_a_wrong_token() {
    let world = World::new();
    let token = world.provider.sign(&world.provider.claims("away", "solo"));
    let [postgres, flight, rest] = world.everywhere(&token);
    assert!(postgres.unwrap_err().1.contains("cannot be checked now"));
    assert_eq!(flight.unwrap_err().0, "Unavailable");
    assert_eq!(rest.unwrap_err().0, "503");
    std::thread::sleep(Duration::from_millis(10));
    assert!(world.over_rest(&world.provider.sign(&world.provider.claims("one", "solo"))).is_ok());
}
