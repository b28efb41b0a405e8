//! Many who follow the same: none of them is closed for their number, and what those of one user share is not given to others.

use super::gate::{Gate, USERS};
use super::sse::Sse;
use querygate_tests::server::runtime;
use serde_json::{Value, json};
use std::time::Duration;

/// Followers of each user: of all, more than the REST door takes where nothing is configured for it.
const EACH: usize = 100;

#[test]
fn many_followers_are_each_told_what_they_may_see() {
    let gate = Gate::in_memory(&format!(
        "objects = [\"desk_notes\"]\nsubscriptions_max = 400\nsubscriptions_per_user_max = {EACH}\n"
    ));
    let mut followers: Vec<(&str, Vec<Sse>)> = Vec::new();
    for (user, ..) in USERS {
        let headers = [("authorization", format!("Bearer {}", gate.token(user)))];
        let open = || Sse::open(gate.server.rest.unwrap(), "?objects=desk_notes", &headers).begun();
        followers.push((user, (0..EACH).map(|_| open()).collect()));
    }
    // Longer than silent connections are left alone where places are wanted.
    std::thread::sleep(Duration::from_secs(3));
    let client = gate.client("wanda");
    let insert = "INSERT INTO notes(id, title, region, phone, secret) VALUES";
    for values in ["('e1', 'first', 'eu', '5551234', 'hush')", "('u1', 'second', 'us', '5559876', 'hush')"] {
        runtime().block_on(client.batch_execute(&format!("{insert} {values}"))).unwrap();
    }
    for (user, streams) in &mut followers {
        let expected: &[&str] = match *user {
            "eve" => &["e1"],
            "uma" => &["u1"],
            _ => &["e1", "u1"],
        };
        for stream in streams {
            let events: Vec<Value> = expected.iter().map(|_| stream.event()).collect();
            let keys: Vec<&Value> = events.iter().map(|event| &event["key"]["id"]).collect();
            assert_eq!(json!(keys), json!(expected), "{user}");
            for event in &events {
                let record = &event["record"];
                let phone = record["phone"].as_str().unwrap();
                assert_eq!(record["secret"] == "hush", *user == "wanda", "{user}: {event}");
                assert!(phone.starts_with("****"), "{user}: {event}");
            }
        }
    }
    for (user, streams) in &mut followers {
        let more = streams.iter_mut().map(|stream| stream.all(Duration::from_millis(1)).len()).sum::<usize>();
        assert_eq!(more, 0, "{user} heard of something else");
    }
}
