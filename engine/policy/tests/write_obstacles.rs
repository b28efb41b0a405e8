//! Why objects are not written, and which rules of real applications cannot be evaluated.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

mod support;

use querygate_policy::CompiledPolicy;
use querygate_policy::rules::RuleFault;
use querygate_policy::write::{WriteObstacle, WriteOperation};
use serde_json::{Value, json};
use support::{shared, snapshot};

const OPERATIONS: [WriteOperation; 3] = [WriteOperation::Insert, WriteOperation::Update, WriteOperation::Delete];

fn stack(object: Value, more: Value) -> Value {
    let mut stack = json!({
        "manifest": {"id": "com.example.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
        "objects": [{"name": "t_note", "label": "N", "fields": {"title": {"type": "text", "label": "T"},
            "size": {"type": "number", "label": "S"},
            "twice": {"type": "formula", "label": "W", "expression": "record.size * 2", "returnType": "number"}}}],
        "permissions": [],
    });
    for (key, value) in object.as_object().unwrap() {
        match key.as_str() {
            "fields" => {
                stack["objects"][0]["fields"].as_object_mut().unwrap().extend(value.as_object().unwrap().clone())
            }
            _ => stack["objects"][0][key] = value.clone(),
        }
    }
    stack.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    stack
}

/// Reasons for an insert, an update and a delete.
fn reasons(stack: &Value) -> [Vec<String>; 3] {
    let policy = CompiledPolicy::compile(snapshot(stack), Vec::new());
    OPERATIONS.map(|operation| policy.write_obstacles("t_note", operation).iter().map(WriteObstacle::reason).collect())
}

fn hook(object: Value, events: Value, more: Value) -> Value {
    let mut hook = json!({"name": "h", "object": object, "events": events, "body": {"language": "js", "source": ""}});
    hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"hooks": [hook]})
}

fn rule(rule: Value) -> Value {
    json!({"validations": [rule]})
}

fn checked(check: &str, operation: &str) -> Value {
    json!({"permissions": [{"name": "s1", "label": "S", "objects": {},
        "rowLevelSecurity": [{"name": "p", "object": "t_note", "operation": operation, "check": check}]}]})
}

/// One reason, for those of an insert, an update and a delete that have it.
fn of(reason: &str, insert: bool, update: bool, delete: bool) -> [Vec<String>; 3] {
    [insert, update, delete].map(|there| if there { vec![reason.to_owned()] } else { vec![] })
}

fn all(reason: &str) -> [Vec<String>; 3] {
    of(reason, true, true, true)
}

/// What the object and the rest of a stack say, and the reasons expected.
type Case = (Value, Value, [Vec<String>; 3]);

fn check(cases: impl IntoIterator<Item = Case>) {
    for (object, more, expected) in cases {
        assert_eq!(reasons(&stack(object.clone(), more.clone())), expected, "{object} {more}");
    }
}

#[test]
fn obstacles_of_an_object_are_told() {
    check([
        (json!({}), json!({}), of("", false, false, false)),
        (json!({"enable": {"apiEnabled": false}}), json!({}), all("enable.apiEnabled is false")),
        (
            json!({"enable": {"apiMethods": ["get", "update", "delete"]}}),
            json!({}),
            of("enable.apiMethods does not list 'create'", true, false, false),
        ),
        (
            json!({"managedBy": "append-only"}),
            json!({}),
            of("its records are written by the platform (managedBy)", false, true, true),
        ),
        (json!({"managedBy": "engine-owned"}), json!({}), all("its records are written by the platform (managedBy)")),
    ]);
}

#[test]
fn hooks_that_are_not_run_are_told() {
    check([
        (
            json!({}),
            hook(json!("t_note"), json!(["beforeInsert", "afterUpdate"]), json!({})),
            of("", false, false, false),
        ),
        (
            json!({}),
            hook(json!("t_note"), json!(["beforeInsert", "afterFind"]), json!({"handler": "f", "body": null})),
            of("the hook 'h' is not run: it has no body, and code of a host is not run", true, false, false),
        ),
        (
            json!({}),
            hook(json!(["t_note"]), json!(["afterDelete"]), json!({"condition": "record.nowhere == 1"})),
            of(
                "the hook 'h' is not run: its condition cannot be evaluated: there is no column 'nowhere'",
                false,
                false,
                true,
            ),
        ),
        (
            json!({}),
            hook(
                json!("*"),
                json!(["beforeUpdate"]),
                json!({"body": {"language": "js", "source": "", "capabilities": ["api.write"]}}),
            ),
            of("", false, false, false),
        ),
        (
            json!({}),
            hook(json!("t_note"), json!(["onSave"]), json!({})),
            all("the hook 'h' is not run: there is no event 'onSave'"),
        ),
    ]);
}

#[test]
fn rules_that_are_not_evaluated_are_told() {
    check([
        (
            json!({"fields": {"sum": {"type": "number", "label": "S", "expression": "record.size + 1"}}}),
            json!({}),
            all("the expression of the stored field 'sum' is not evaluated"),
        ),
        (
            rule(
                json!({"name": "r", "type": "script", "message": "m", "condition": "[1].exists(x, x == record.size)"}),
            ),
            json!({}),
            all("the rule 'r' is not evaluated: formulas have no comprehensions, maps and messages"),
        ),
        (
            rule(json!({"name": "r", "type": "format", "message": "m", "field": "title", "regex": "(?=a)"})),
            json!({}),
            all(
                "the rule 'r' is not evaluated: the pattern cannot be compiled, or not without lookaround and back-references",
            ),
        ),
        (
            rule(
                json!({"name": "r", "type": "json_schema", "message": "m", "field": "title", "schema": {"$ref": "#"}}),
            ),
            json!({}),
            all("the rule 'r' is not evaluated: the schema has the keyword '$ref', which is not evaluated here"),
        ),
        (
            json!({"fields": {"no": {"type": "autonumber", "label": "N", "autonumberFormat": "{twice}-{0}"}}}),
            json!({}),
            all("the rule 'no.autonumberFormat' is not evaluated: there is no stored field 'twice'"),
        ),
        (
            json!({"fields": {"x": {"type": "text", "label": "X", "readonlyWhen": "parent.size == 1"}}}),
            json!({}),
            all("the rule 'x.readonlyWhen' is not evaluated: 'size' is read of something that is not the record"),
        ),
        (
            json!({}),
            checked("twice == 1", "insert"),
            of("the check of policy 'p' cannot be applied: a computed field has no column", true, false, false),
        ),
        (json!({}), checked("size == 1", "all"), of("", false, false, false)),
    ]);
}

#[test]
fn mistakes_are_told_from_what_is_not_evaluated_here() {
    for (condition, is_mistake) in [
        ("record.size <", true),
        ("record.sise < 1", true),
        ("record.twice < 1", false),
        ("[1].exists(x, x == record.size)", false),
    ] {
        let rule = json!({"validations": [{"name": "r", "type": "conditional", "message": "m", "when": "true",
            "then": {"name": "inner", "type": "script", "message": "m", "condition": condition}}]});
        let policy = CompiledPolicy::compile(snapshot(&stack(rule, json!({}))), Vec::new());
        let faults = policy.rules("t_note").unwrap().faults();
        let [RuleFault { rule, is_mistake: found, location, .. }] = faults else { panic!("{faults:?}") };
        assert_eq!((rule.as_str(), *found, location.line), ("inner", is_mistake, 1), "{condition}");
        assert!(location.column > 1, "{condition}: {location}");
    }
}

/// Every rule of the reference applications is evaluated.
#[test]
fn rules_of_applications_compile() {
    for file in ["app-crm.json", "app-showcase.json", "app-todo.json", "hotcrm.json"] {
        let Some(stack) = shared(file) else { return };
        let policy = CompiledPolicy::compile(snapshot(&stack), Vec::new());
        let faults: Vec<String> = policy
            .snapshot()
            .objects
            .keys()
            .flat_map(|name| {
                let rules = policy.rules(name).unwrap();
                rules
                    .faults()
                    .iter()
                    .map(|fault| format!("{name} {}: {}", fault.rule, fault.reason))
                    .collect::<Vec<_>>()
            })
            .collect();
        println!("{file}: {faults:?}");
        assert!(faults.is_empty(), "{file}: {faults:#?}");
    }
}

#[test]
fn conditions_of_hooks_that_cannot_be_evaluated_are_told_with_their_place() {
    for (events, condition, is_told) in [
        (json!(["beforeInsert"]), "record.nowhere == 1", true),
        (json!(["beforeInsert", "afterFind"]), "record.nowhere == 1", true),
        (json!(["beforeInsert"]), "record.title == 'x'", false),
        (json!(["afterFind"]), "record.nowhere == 1", false),
    ] {
        let own = stack(json!({}), hook(json!("t_note"), events.clone(), json!({"condition": condition})));
        let told = CompiledPolicy::compile(snapshot(&own), Vec::new()).unevaluated_hooks();
        let names: Vec<_> = told.iter().map(|rule| (rule.object.as_str(), rule.rule.as_str())).collect();
        assert_eq!(names, if is_told { vec![("t_note", "h")] } else { vec![] }, "{events} {condition}");
        assert!(told.iter().all(|rule| rule.location.line > 0 && rule.reason.contains("'nowhere'")), "{told:?}");
    }
}

/// What would run when rows are read is not left out: where it cannot run, nothing is read.
#[test]
fn an_object_with_a_hook_of_reads_that_is_not_run_is_not_read() {
    let hooks = |events: Value, more: Value| {
        let mut hook =
            json!({"name": "h", "object": "t_note", "events": events, "body": {"language": "js", "source": ""}});
        hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"hooks": [hook]})
    };
    for (events, more, is_closed, is_asked) in [
        (json!(["beforeFind"]), json!({}), false, true),
        (json!(["afterInsert", "afterFind"]), json!({}), false, true),
        (json!(["beforeFind"]), json!({"condition": "record.title == 'x'"}), true, false),
        (json!(["beforeFind"]), json!({"handler": "f", "body": null}), true, false),
        (json!(["afterRead"]), json!({}), true, false),
        (json!(["beforeInsert"]), json!({}), false, false),
    ] {
        let own = stack(json!({}), hooks(events.clone(), more.clone()));
        let policy = CompiledPolicy::compile(snapshot(&own), Vec::new());
        let named = policy.unusable().iter().any(|rule| rule.rule == "h" && rule.object == "t_note");
        let asked = policy.only_asked("t_note") == Some("h") && policy.has_only_asked();
        assert_eq!((named, asked), (is_closed, is_asked), "{events} {more}");
    }
}

#[test]
fn a_filter_stands_for_a_hook_of_reads() {
    let hook =
        json!([{"name": "h", "object": "t_note", "events": ["beforeFind"], "body": {"language": "js", "source": ""}}]);
    for (filter, is_closed) in
        [("record.title == 'x'", false), ("record.nowhere == 1", true), ("record.title ==", true)]
    {
        let own = stack(json!({}), json!({"hooks": hook, "querygate": {"hooks": {"h": {"filter": filter}}}}));
        let policy = CompiledPolicy::compile(snapshot(&own), Vec::new());
        assert_eq!((policy.unusable().len(), policy.only_asked("t_note")), (usize::from(is_closed), None), "{filter}");
    }
}
