//! Values of secrets: refused of callers, hooks and defaults, before all other rules.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

mod support;

use querygate_policy::CompiledPolicy;
use querygate_policy::rules::{Attempt, GrantedRights, ObjectRules, Outcome, ReadonlyMode, ReferredRecords, refusal};
use querygate_types::ErrorCode;
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use support::snapshot;

const REFUSED: &str = "Key is a secret and takes no value: this gate has no store of secrets";

fn rules(key: Value) -> Arc<ObjectRules> {
    let mut declared = json!({"type": "secret", "label": "Key"});
    declared.as_object_mut().unwrap().extend(row(key));
    let stack = json!({
        "manifest": {"id": "com.example.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
        "objects": [{"name": "t_door", "label": "Door", "sharingModel": "public_read_write", "ownership": "none",
            "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "fields": {
            "key": declared, "size": {"type": "number", "label": "Size", "min": 5}}}],
        "permissions": [],
    });
    Arc::clone(CompiledPolicy::compile(snapshot(&stack), Vec::new()).rules("t_door").unwrap())
}

fn row(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn judged(
    rules: &ObjectRules,
    payload: Value,
    previous: Option<Value>,
    mode: ReadonlyMode,
    made: &[String],
) -> Outcome {
    let previous = previous.map(row);
    rules.evaluate(&Attempt {
        payload: &row(payload),
        previous: previous.as_ref(),
        parent: None,
        referred: &ReferredRecords::default(),
        rights: &GrantedRights::default(),
        principal: &Principal::builder("ada").build(),
        stamps: &[],
        readonly: mode,
        made,
        now_ms: 0,
    })
}

#[test]
fn a_value_of_a_secret_is_refused_before_all_else() {
    let modes = [ReadonlyMode::Drop, ReadonlyMode::Refuse, ReadonlyMode::Keep];
    for key in [json!({}), json!({"readonly": true}), json!({"maxLength": 1}), json!({"required": true})] {
        let rules = rules(key.clone());
        for value in [json!("x"), json!("secret:1"), json!("••••••••"), json!({"a": 1}), json!(["x"]), json!(1)]
        {
            for previous in [None, Some(json!({"id": "d1", "key": "secret:1"}))] {
                for (mode, made) in modes.into_iter().zip([vec![], vec!["key".to_owned()], vec![]]) {
                    let payload = json!({"size": 1, "key": value});
                    let outcome = judged(&rules, payload, previous.clone(), mode, &made);
                    let found: Vec<_> =
                        outcome.violations.iter().map(|v| (v.code.name(), v.message.as_str())).collect();
                    assert_eq!(found, [("not_supported", REFUSED)], "{key} {value} {mode:?}");
                    let error = refusal(&outcome.violations, "doors", &|_| true).unwrap();
                    assert_eq!(error.code(), ErrorCode::FeatureNotSupported);
                }
            }
        }
    }
}

#[test]
fn a_default_is_refused_and_no_value_is_taken() {
    let insert = |key: Value, payload: Value| judged(&rules(key), payload, None, ReadonlyMode::Refuse, &[]);
    let outcome = insert(json!({"defaultValue": "x"}), json!({}));
    assert_eq!(outcome.violations.first().map(|v| v.message.as_str()), Some(REFUSED));
    for payload in [json!({}), json!({"key": null})] {
        let outcome = insert(json!({}), payload);
        assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
        assert_eq!(outcome.record["key"], json!(null));
    }
    let outcome = insert(json!({}), json!({"key": " "}));
    assert_eq!(outcome.violations.len(), 1, "a blank is none either");
    let stored = Some(json!({"id": "d1", "key": "secret:1"}));
    let kept = judged(&rules(json!({})), json!({"size": 7}), stored.clone(), ReadonlyMode::Refuse, &[]);
    assert!(kept.violations.is_empty() && kept.record["key"] == "secret:1", "{:?}", kept.violations);
    let cleared = judged(&rules(json!({})), json!({"key": null}), stored, ReadonlyMode::Refuse, &[]);
    assert!(cleared.violations.is_empty() && cleared.record["key"].is_null(), "{:?}", cleared.violations);
}

#[test]
fn rows_with_secrets_are_judged_one_by_one() {
    let rules = rules(json!({}));
    assert!(rules.by_columns(&["size".to_owned()], &[]).is_some());
    assert!(rules.by_columns(&["key".to_owned()], &[]).is_none());
}
