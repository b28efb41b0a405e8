//! Validations that read the record which the written one refers to (ObjectStack 17.5): what they read of it, and when they have no answer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

mod support;

use querygate_policy::CompiledPolicy;
use querygate_policy::rules::{
    Attempt, GrantedRights, ObjectRules, Outcome, ReadonlyMode, ReferredField, ReferredRecords,
};
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use support::snapshot;

/// The rule of the release notes: what it holds for is refused.
const CAPPED: &str = "record.account.type == 'partner' && record.amount > 10000";

fn rules(validations: &Value) -> Arc<ObjectRules> {
    let stack = json!({
        "manifest": {"id": "com.example.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
        "objects": [
            {"name": "t_account", "label": "Account", "fields": {
                "type": {"type": "text", "label": "Type"},
                "since": {"type": "date", "label": "Since"},
                "owner": {"type": "lookup", "label": "Owner", "reference": "t_account"},
                "place": {"type": "address", "label": "Place"},
            }},
            {"name": "t_deal", "label": "Deal", "sharingModel": "public_read_write", "fields": {
                "amount": {"type": "number", "label": "Amount"},
                "account": {"type": "lookup", "label": "Account", "reference": "t_account"},
                "others": {"type": "lookup", "label": "Others", "reference": "t_account", "multiple": true},
                "whole": {"type": "tree", "label": "Whole", "reference": "t_deal"},
            }, "validations": validations},
        ],
        "permissions": [],
    });
    Arc::clone(CompiledPolicy::compile(snapshot(&stack), Vec::new()).rules("t_deal").unwrap())
}

fn script(condition: &str) -> Value {
    json!({"name": "r", "type": "script", "message": "No", "condition": condition})
}

fn row(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Accounts that were found: a partner, and one without values.
fn accounts() -> ReferredRecords {
    let mut found = ReferredRecords::default();
    for (id, record) in [
        ("a1", json!({"id": "a1", "type": "partner", "since": "2020-01-01"})),
        ("a2", json!({"id": "a2", "type": null, "since": null})),
    ] {
        found.insert("account", &json!(id), row(&record));
    }
    found
}

fn judged(rules: &ObjectRules, payload: &Value, previous: Option<&Value>) -> Outcome {
    rules.evaluate(&Attempt {
        payload: &row(payload),
        previous: previous.map(row).as_ref(),
        parent: None,
        referred: &accounts(),
        rights: &GrantedRights::default(),
        principal: &Principal::builder("ada").build(),
        stamps: &[],
        readonly: ReadonlyMode::Drop,
        made: &[],
        now_ms: 0,
    })
}

fn said(outcome: &Outcome) -> String {
    outcome.violations.iter().map(|violation| violation.message.clone()).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_validation_reads_the_record_that_is_referred_to() {
    let unevaluable =
        "Validation rule 'r' could not be evaluated (there is no record that it refers to) — write rejected.";
    let rules = rules(&json!([script(CAPPED)]));
    let read = |name: &str| ReferredField {
        name: name.to_owned(),
        target: "t_account".to_owned(),
        reads: ["type".to_owned()].into(),
    };
    assert_eq!((rules.faults(), rules.referred()), (&[][..], &[read("account")][..]));
    for (payload, previous, expected) in [
        (json!({"account": "a1", "amount": 10_001}), None, "No"),
        (json!({"account": "a1", "amount": 10}), None, ""),
        // A field without a value is null, and compares as null.
        (json!({"account": "a2", "amount": 10_001}), None, ""),
        // Without a record there is no answer, whatever the other half says.
        (json!({"amount": 10}), None, unevaluable),
        (json!({"account": "gone", "amount": 10}), None, unevaluable),
        // What is stored is read where it stays.
        (json!({"amount": 10_001}), Some(json!({"id": "d1", "account": "a1", "amount": 1})), "No"),
        (json!({"account": "a2", "amount": 10_001}), Some(json!({"id": "d1", "account": "a1"})), ""),
        (json!({"account": null}), Some(json!({"id": "d1", "account": "a1", "amount": 1})), unevaluable),
    ] {
        assert_eq!(said(&judged(&rules, &payload, previous.as_ref())), expected, "{payload}");
    }
}

#[test]
fn a_guard_lets_records_that_refer_to_none_pass() {
    let guarded = json!([{"name": "g", "type": "conditional", "message": "g", "when": "record.account != null",
        "then": script("record.account.since < date('2021-01-01') && record.account.id != 'a9'")}]);
    let rules = rules(&guarded);
    assert_eq!(rules.referred()[0].reads.iter().collect::<Vec<_>>(), ["id", "since"]);
    for (payload, expected) in [
        (json!({"amount": 1}), ""),
        (json!({"account": "a1"}), "No"),
        (
            json!({"account": "a9"}),
            "Validation rule 'r' could not be evaluated (there is no record that it refers to) — write rejected.",
        ),
    ] {
        assert_eq!(said(&judged(&rules, &payload, None)), expected, "{payload}");
    }
}

/// The record of a write is there before a validation is asked, so that what it refers to can be looked up.
#[test]
fn the_record_is_shaped_before_validations_are_asked() {
    let rules = rules(&json!([script(CAPPED)]));
    let payload = row(&json!({"account": "a1", "amount": 20_000}));
    let shaped = rules.shape(&Attempt {
        payload: &payload,
        previous: None,
        parent: None,
        referred: &ReferredRecords::default(),
        rights: &GrantedRights::default(),
        principal: &Principal::builder("ada").build(),
        stamps: &[],
        readonly: ReadonlyMode::Drop,
        made: &[],
        now_ms: 0,
    });
    assert_eq!((said(&shaped), &shaped.record["amount"]), (String::new(), &json!(20_000)));
    assert_eq!(rules.referred()[0].value(&shaped.record), Some(&json!("a1")));
}

#[test]
fn what_is_not_read_through_a_reference_is_a_fault() {
    for (condition, reason) in [
        ("record.account.owner.type == 'x'", "'type' is read of something that is not the record"),
        ("record.account.nothing == 1", "there is no column 'nothing'"),
        ("record.amount.type == 'x'", "'amount' is no reference, so that nothing is read through it"),
        ("record.others.type == 'x'", "'others' refers to several records, so that nothing is read through it"),
        ("record.nothing.type == 'x'", "there is no column 'nothing'"),
        ("previous.account.type == 'x'", "'type' is read of something that is not the record"),
        ("record.account.place == 'x'", "formulas do not read 'place', a structured value or time of day"),
        (
            "record.account != null && record.account.type == 'x'",
            "'account' is read as a value and as a record: for its value write record.account.id",
        ),
    ] {
        let rules = rules(&json!([script(condition)]));
        let reasons: Vec<&str> = rules.faults().iter().map(|fault| fault.reason.as_str()).collect();
        assert_eq!(reasons, [reason], "{condition}");
        assert!(rules.referred().is_empty(), "{condition}");
        let outcome = judged(&rules, &json!({"account": "a1", "amount": 1}), None);
        assert_eq!(outcome.violations.len(), 1, "{condition}");
    }
    let of_itself = rules(&json!([script("record.whole.amount > 5")]));
    assert_eq!((of_itself.faults().len(), of_itself.referred()[0].target.as_str()), (0, "t_deal"));
}
