//! Defaults and options that ask what who writes may do: `current_user.can(object, verb)` (ObjectStack 17.5).

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

mod support;

use querygate_metadata::model::Facts;
use querygate_policy::rules::{Attempt, Outcome, ReadonlyMode, ReferredRecords};
use querygate_policy::{CompiledPolicy, Evaluator};
use querygate_types::principal::Principal;
use serde_json::{Value, json};
use support::snapshot;

fn policy(fields: &Value, validations: &Value) -> CompiledPolicy {
    let may = |rights: &[&str]| rights.iter().map(|right| ((*right).to_owned(), json!(true))).collect::<Value>();
    let stack = json!({
        "manifest": {"id": "com.example.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
        "objects": [
            {"name": "t_account", "label": "Account", "access": {"default": "private"},
             "fields": {"type": {"type": "text", "label": "Type"}}},
            {"name": "t_deal", "label": "Deal", "sharingModel": "public_read_write", "fields": fields,
             "validations": validations},
        ],
        "permissions": [
            {"name": "reads", "label": "Reads", "objects":
                {"t_account": may(&["allowRead"]), "t_deal": may(&["allowRead", "allowCreate"])}},
            {"name": "edits", "label": "Edits", "objects": {"t_account": may(&["allowRead", "allowEdit", "allowExport"])}},
            {"name": "all", "label": "All", "objects": {"t_account": may(&["modifyAllRecords"])}},
        ],
    });
    CompiledPolicy::compile(snapshot(&stack), Vec::new())
}

fn inserted(policy: &CompiledPolicy, set: &str, payload: &Value) -> Outcome {
    let principal = Principal::builder("ada").permission_set(set).build();
    let evaluator = Evaluator { policy, principal: &principal, facts: &Facts::default(), now_ms: 0 };
    let rules = policy.rules("t_deal").unwrap();
    rules.evaluate(&Attempt {
        payload: payload.as_object().unwrap(),
        previous: None,
        parent: None,
        referred: &ReferredRecords::default(),
        rights: &evaluator.granted(rules),
        principal: &principal,
        stamps: &[],
        readonly: ReadonlyMode::Drop,
        made: &[],
        now_ms: 0,
    })
}

/// Each verb is a right, super-user rights are folded in as where a change is decided, and an object that is not there gives none.
#[test]
fn a_verb_asks_for_the_right_that_it_names() {
    for (object, verb, reads, edits, all) in [
        ("t_account", "read", true, true, true),
        ("t_account", "create", false, false, false),
        ("t_account", "import", false, false, false),
        ("t_account", "edit", false, true, true),
        ("t_account", "update", false, true, true),
        ("t_account", "write", false, true, true),
        ("t_account", "delete", false, false, true),
        ("t_account", "remove", false, false, true),
        ("t_account", "export", false, true, false),
        ("t_account", "transfer", false, false, true),
        ("t_deal", "create", true, false, false),
        ("t_nothing", "read", false, false, false),
    ] {
        let source = format!("current_user.can('{object}', '{verb}')");
        let fields =
            json!({"may": {"type": "boolean", "label": "May", "defaultValue": {"dialect": "cel", "source": source}}});
        let policy = policy(&fields, &json!([]));
        assert!(policy.rules("t_deal").unwrap().faults().is_empty(), "{source}");
        let may = ["reads", "edits", "all"].map(|set| inserted(&policy, set, &json!({})).record["may"].clone());
        assert_eq!(may, [json!(reads), json!(edits), json!(all)], "{source}");
    }
}

#[test]
fn an_option_is_there_for_who_has_the_right() {
    let fields = json!({"stage": {"type": "select", "label": "Stage", "options": [
        {"value": "open", "label": "Open"},
        {"value": "escalated", "label": "Escalated",
         "visibleWhen": "current_user.can('t_account', 'edit') && os.user.can('t_account', 'read')"},
    ]}});
    let policy = policy(&fields, &json!([]));
    for (set, stage, refused) in
        [("reads", "open", 0), ("reads", "escalated", 1), ("edits", "escalated", 0), ("nothing", "escalated", 1)]
    {
        let outcome = inserted(&policy, set, &json!({"stage": stage}));
        let codes: Vec<&str> = outcome.violations.iter().map(|violation| violation.code.name()).collect();
        assert_eq!(codes, vec!["invalid_option"; refused], "{set} {stage}");
    }
}

/// As ObjectStack, whose server answers it nowhere else.
#[test]
fn what_is_asked_in_another_way_is_a_fault() {
    let form = "'can' is asked of current_user, with the name of an object and a verb as texts";
    for (source, reason) in [
        ("can('t_account', 'edit')", form),
        ("record.may.can('t_account', 'edit')", form),
        ("current_user.can('t_account')", form),
        ("current_user.can('t_account', record.verb)", form),
        ("current_user.can('t_account', 'approve')", "'approve' is no right on an object"),
    ] {
        let fields = json!({"verb": {"type": "text", "label": "Verb"},
            "may": {"type": "boolean", "label": "May", "defaultValue": {"dialect": "cel", "source": source}}});
        let policy = policy(&fields, &json!([]));
        let faults = policy.rules("t_deal").unwrap().faults();
        assert_eq!(faults.iter().map(|fault| fault.reason.as_str()).collect::<Vec<_>>(), [reason], "{source}");
    }
    let elsewhere = "only defaults and options ask what current_user can do";
    let (may, source) = (json!({"type": "boolean", "label": "May"}), "current_user.can('t_account', 'edit')");
    let rule = json!([{"name": "r", "type": "script", "message": "No", "condition": source}]);
    let mut locked = may.clone();
    locked["readonlyWhen"] = json!(source);
    for (field, validations) in [(may, rule), (locked, json!([]))] {
        let policy = policy(&json!({"may": field}), &validations);
        let faults = policy.rules("t_deal").unwrap().faults();
        assert_eq!(faults.iter().map(|fault| fault.reason.as_str()).collect::<Vec<_>>(), [elsewhere], "{validations}");
    }
}
