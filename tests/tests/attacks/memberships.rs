//! Attacks with memberships that have ended: what a session, a text or a plan was given before gives nothing after.

use arrow::array::ArrayRef;
use querygate_tests::harness::{Client, Fixture, Layout, Row, TestGate};
use querygate_types::principal::Principal;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment beside now, as metadata writes it.
fn moment(from_now: Duration, is_past: bool) -> Value {
    let now = SystemTime::now();
    let at = if is_past { now - from_now } else { now + from_now };
    let millis = i64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    json!(format!("{:?}Z", arrow::temporal_conversions::timestamp_ms_to_datetime(millis).unwrap()))
}

/// Private projects of which one is the reader's and all are shared with the unit `west`, whose members are `members`.
fn fixture(members: &[Value]) -> Fixture {
    let stack = json!({
        "manifest": {"id": "test.m", "namespace": "m", "version": "1.0.0", "type": "app", "name": "m", "engines": {"protocol": "^17"}},
        "objects": [{
            "name": "m_project", "label": "Project", "sharingModel": "private", "ownership": "user",
            "systemFields": {"audit": false}, "tenancy": {"enabled": false},
            "fields": {"name": {"type": "text", "label": "Name"}},
        }],
        "sharingRules": [{
            "type": "criteria", "name": "west", "object": "m_project", "condition": "true", "accessLevel": "read",
            "sharedWith": {"type": "business_unit", "value": "west"},
        }],
        "permissions": [{"name": "reader", "label": "Reader", "objects": {"m_project": {"allowRead": true}}}],
    });
    let mut fixture = Fixture::new(stack, Vec::new());
    let rows = json!([
        {"id": "p1", "owner_id": "me", "name": "mine"},
        {"id": "p2", "owner_id": "other", "name": "not mine"},
        {"id": "p3", "owner_id": "other", "name": "not mine either"},
    ]);
    fixture.tables = vec![Fixture::declared(&fixture.snapshot(), "m_project", &rows)];
    let row = |value: &Value| -> Row { value.as_object().unwrap().clone() };
    fixture.facts.push(("sys_business_unit".to_owned(), row(&json!({"id": "west"}))));
    for member in members {
        fixture.facts.push(("sys_business_unit_member".to_owned(), row(member)));
    }
    fixture
}

fn count(client: &Client, sql: &str) -> String {
    client.run(sql).table()[0][0].clone().unwrap()
}

#[test]
fn what_a_units_member_was_given_ends_with_the_membership() {
    let me = Principal::builder("me").user_id("me").permission_set("reader").build();
    let texts = ["SELECT count(*) FROM project", "SELECT count(*) FROM project WHERE name >= 'a'"];
    for layout in Layout::ALL {
        let soon = Duration::from_secs(4);
        let leaves = json!({"business_unit_id": "west", "user_id": "me", "effective_to": moment(soon, false)});
        let gate = TestGate::new(&fixture(&[leaves]), layout);
        let client = gate.client(&me);
        let prepared = client.prepare(texts[0]).unwrap();
        let none: [ArrayRef; 0] = [];
        for text in texts {
            assert_eq!(count(&client, text), "3", "{layout:?}: {text}");
        }
        assert_eq!(client.execute_prepared(&prepared, &none).table()[0][0].as_deref(), Some("3"));
        std::thread::sleep(soon);
        let other = gate.client(&me);
        for reader in [&client, &other] {
            for text in texts.into_iter().chain(["SELECT count(*) AS never_asked_before FROM project"]) {
                assert_eq!(count(reader, text), "1", "{layout:?}: {text}");
            }
        }
        assert_eq!(client.execute_prepared(&prepared, &none).table()[0][0].as_deref(), Some("1"), "{layout:?}");
    }
}

#[test]
fn what_a_units_member_is_given_begins_with_the_membership() {
    let me = Principal::builder("me").user_id("me").permission_set("reader").build();
    let soon = Duration::from_millis(1_500);
    let joins = json!({"business_unit_id": "west", "user_id": "me", "effective_from": moment(soon, false)});
    let left = json!({"business_unit_id": "west", "user_id": "me", "effective_to": moment(soon, true)});
    let gate = TestGate::new(&fixture(&[left, joins]), Layout::ALL[0]);
    let client = gate.client(&me);
    assert_eq!(count(&client, "SELECT count(*) FROM project"), "1");
    std::thread::sleep(soon);
    assert_eq!(count(&client, "SELECT count(*) FROM project"), "3");
}
