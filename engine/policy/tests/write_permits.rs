//! Who gets a permit for writes, what it says of fields, owners and stamps, and when a later decision keeps it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

mod stacks;
mod support;

use querygate_metadata::model::Facts;
use querygate_policy::filter::FilterValue;
use querygate_policy::write::{
    Assignment, DependentAction, OwnerRule, WriteDecision, WriteDenial, WriteOperation, WriteVerdict,
};
use querygate_policy::{CompiledPolicy, Evaluator, Layer, LayerEffect, resolve_principal};
use querygate_types::principal::Principal;
use serde_json::{Value, json};
use stacks::{all, policy, set, stack};

const NOW_MS: i64 = 1_767_225_600_000;

fn ask<T>(stack: &Value, sets: &[&str], asked: impl Fn(&Evaluator<'_>) -> T) -> T {
    let policy = CompiledPolicy::compile(support::snapshot(stack), Vec::new());
    let facts = Facts::default();
    let builder = sets.iter().fold(Principal::builder("ada"), |builder, set| builder.permission_set(set));
    let principal = resolve_principal(builder.build(), &policy, &facts, NOW_MS);
    asked(&Evaluator { policy: &policy, principal: &principal, facts: &facts, now_ms: NOW_MS })
}

fn decide(permissions: Value, object: &str, operation: WriteOperation) -> WriteDecision {
    ask(&stack(permissions, json!([])), &["s1"], |evaluator| evaluator.decide_target(object, operation))
}

#[test]
fn denied_writes_have_no_permit_and_no_rows() {
    let granted = json!([set("s1", json!({"objects": {"*": all()}}))]);
    let read_only = json!([set("s1", json!({"objects": {"*": {"allowRead": true}}}))]);
    for (permissions, object, operation, denial, sqlstate) in [
        (&granted, "t_nothing", WriteOperation::Update, WriteDenial::UnknownObject, "42P01"),
        (&granted, "t_guarded", WriteOperation::Update, WriteDenial::RequiredPermissions, "42501"),
        (&read_only, "t_write", WriteOperation::Insert, WriteDenial::NoGrant, "42501"),
        (&granted, "t_log", WriteOperation::Delete, WriteDenial::Managed, "42501"),
    ] {
        let decision = decide(permissions.clone(), object, operation);
        assert_eq!(decision.verdict(), WriteVerdict::Deny(denial));
        assert!(decision.refusal().is_some(), "{object}");
        assert_eq!(decision.permit().unwrap_err().code().sqlstate(), sqlstate, "{object}");
        assert_eq!(format!("{:?} {:?}", decision.target(), decision.check()), "Nothing Nothing");
    }
    let decision = decide(granted, "t_log", WriteOperation::Insert);
    assert_eq!(decision.refusal(), None);
    let permit = decision.permit().unwrap();
    assert_eq!((permit.object(), permit.user_id(), permit.operation()), ("t_log", "ada", WriteOperation::Insert));
}

#[test]
fn permits_name_fields_owners_and_stamps() {
    let permissions =
        json!([set("s1", json!({"objects": {"*": all()}, "fields": {"t_write.level": {"readable": true}}}))]);
    let mut stack = stack(permissions, json!([]));
    let object =
        stack["objects"].as_array_mut().unwrap().iter_mut().find(|object| object["name"] == "t_write").unwrap();
    object["fields"]["fixed"] = json!({"type": "text", "label": "F", "readonly": true});
    object["fields"]["twice"] =
        json!({"type": "formula", "label": "W", "expression": "level * 2", "returnType": "number"});
    for (operation, stamped) in [
        (WriteOperation::Insert, "owner_id? created_by? updated_by? created_at? updated_at?"),
        (WriteOperation::Update, "updated_by updated_at"),
        (WriteOperation::Delete, ""),
    ] {
        let permit = ask(&stack, &["s1"], |evaluator| evaluator.decide_target("t_write", operation).permit()).unwrap();
        for (field, expected) in [
            ("title", Some(Assignment::Free)),
            ("owner_id", Some(Assignment::Free)),
            ("level", Some(Assignment::Locked)),
            ("salary", Some(Assignment::Locked)),
            ("fixed", Some(Assignment::Dropped)),
            ("created_at", Some(Assignment::Dropped)),
            ("twice", Some(Assignment::Computed)),
            ("nothing", None),
        ] {
            assert_eq!(permit.assignment(field), expected, "{field}");
        }
        assert!(permit.editable().all(|field| permit.assignment(field) == Some(Assignment::Free)));
        assert!(permit.masks().contains_key("phone") && permit.masks().contains_key("pin"));
        let me = Some(FilterValue::Text("ada".to_owned()));
        assert_eq!(*permit.owner(), OwnerRule::Guarded { field: "owner_id".to_owned(), me });
        let name = |stamp: &querygate_policy::write::Stamp| {
            format!("{}{}", stamp.field, if stamp.only_missing { "?" } else { "" })
        };
        assert_eq!(permit.stamps().iter().map(name).collect::<Vec<_>>().join(" "), stamped);
    }
}

#[test]
fn a_later_decision_keeps_what_it_does_not_narrow() {
    let base = |more: Value| {
        let mut set = set("s1", json!({"objects": {"*": all()}}));
        for (key, value) in more.as_object().unwrap() {
            set[key] = value.clone();
        }
        json!([set])
    };
    let of = |more: Value| decide(base(more), "t_write", WriteOperation::Update);
    let plain = of(json!({}));
    let bounded = of(json!({"rowLevelSecurity": [policy("t_write", "update", "level == 1")]}));
    let wider = of(json!({"rowLevelSecurity":
        [policy("t_write", "update", "level == 1"), policy("t_write", "update", "title == 'x'")]}));
    let locked = of(json!({"fields": {"t_write.title": {"readable": true}}}));
    let transfers = of(json!({"objects": {"*": {"allowEdit": true, "allowTransfer": true}}}));
    let denied = of(json!({"objects": {}}));
    let checked = of(json!({"rowLevelSecurity":
        [{"name": "c", "object": "t_write", "operation": "update", "check": "level == 1"}]}));
    for (older, newer, kept) in [
        (&plain, &plain, true),
        (&bounded, &wider, true),
        (&wider, &bounded, false),
        (&plain, &bounded, false),
        (&plain, &locked, false),
        (&locked, &plain, true),
        (&plain, &transfers, true),
        (&transfers, &plain, false),
        (&plain, &denied, false),
        (&denied, &plain, true),
        (&plain, &checked, false),
        (&checked, &plain, true),
    ] {
        assert_eq!(older.is_kept_by(newer), kept, "{older:?}\n{newer:?}");
    }
    let insert = decide(base(json!({})), "t_write", WriteOperation::Insert);
    assert!(!plain.is_kept_by(&insert), "another operation");
}

#[test]
fn layers_say_which_part_decides() {
    let mut bounded = set("s1", json!({"objects": {"*": all()}}));
    bounded["rowLevelSecurity"] = json!([policy("t_private", "update", "level == 1")]);
    let effects = |permissions: Value, operation: WriteOperation| {
        let decision = decide(permissions, "t_private", operation);
        let effects = decision.layers().iter().map(|layer| (layer.layer, layer.effect));
        effects.collect::<Vec<(Layer, LayerEffect)>>()
    };
    let found = effects(json!([bounded]), WriteOperation::Update);
    assert!(found.contains(&(Layer::ObjectCrud, LayerEffect::Grants)), "{found:?}");
    assert!(found.contains(&(Layer::OwdBaseline, LayerEffect::Narrows)), "{found:?}");
    assert!(found.contains(&(Layer::Rls, LayerEffect::Narrows)), "{found:?}");
    let found = effects(json!([set("s1", json!({}))]), WriteOperation::Delete);
    assert_eq!(found.last(), Some(&(Layer::ObjectCrud, LayerEffect::Denies)));
}

#[test]
fn dependents_tell_what_a_delete_does_to_each() {
    let permissions = json!([set("s1", json!({"objects": {"*": all()}}))]);
    let kinds = ask(&stack(permissions, json!([])), &["s1"], |evaluator| {
        let kind = |action: &DependentAction| match action {
            DependentAction::Restrict => "restricts",
            DependentAction::Delete(_) => "goes",
            DependentAction::Empty(_) => "is emptied",
        };
        let of = |object: &str| {
            let dependents = evaluator.dependents(object).into_iter();
            dependents.map(|d| format!("{}.{} {}", d.object, d.field, kind(&d.action))).collect::<Vec<_>>()
        };
        [of("t_private"), of("t_write"), of("t_nothing")]
    });
    assert_eq!(kinds[0], ["t_line.parent goes"]);
    assert_eq!(kinds[1], ["t_twice.one goes", "t_note.about is emptied"]);
    assert_eq!(kinds[2], [] as [&str; 0]);
}
