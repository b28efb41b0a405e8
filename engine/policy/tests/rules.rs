//! Rules on single records: what is dropped or refused, in which words, and what is stored.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

#[path = "rules/stored.rs"]
mod stored;
mod support;

use querygate_metadata::model::{DeleteBehavior, SummaryFunction, ValidationSeverity};
use querygate_policy::CompiledPolicy;
use querygate_policy::filter::FilterValue;
use querygate_policy::rules::{
    Attempt, GrantedRights, ObjectRules, Outcome, ReadonlyMode, ReferredRecords, delete_rules, refusal,
};
use querygate_policy::write::Stamp;
use querygate_types::ErrorCode;
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use support::snapshot;

/// 2026-03-15T10:00:00Z
const NOW_MS: i64 = 1_773_568_800_000;

fn stack(fields: Value, validations: Value) -> Value {
    json!({
        "manifest": {"id": "com.example.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
        "objects": [
            {"name": "t_order", "label": "Order", "fields": {
                "status": {"type": "text", "label": "Status"},
                "lines": {"type": "summary", "label": "Lines", "summaryOperations":
                    {"object": "t_line", "relationshipField": "order", "function": "count", "filter": {"status": "open"}}},
                "total": {"type": "summary", "label": "Total", "summaryOperations":
                    {"object": "t_line", "relationshipField": "order", "function": "sum", "field": "amount"}},
            }},
            {"name": "t_line", "label": "Line", "sharingModel": "public_read_write", "fields": fields,
             "validations": validations},
        ],
        "permissions": [],
    })
}

fn lines(extra: Value, validations: Value) -> Value {
    let mut fields = json!({
        "order": {"type": "master_detail", "label": "Order", "reference": "t_order", "required": true},
        "status": {"type": "text", "label": "Status"},
        "amount": {"type": "number", "label": "Amount"},
    });
    fields.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    stack(fields, validations)
}

fn policy(stack: &Value) -> CompiledPolicy {
    CompiledPolicy::compile(snapshot(stack), Vec::new())
}

fn rules(policy: &CompiledPolicy) -> Arc<ObjectRules> {
    Arc::clone(policy.rules("t_line").unwrap())
}

fn row(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn judge(stack: &Value, payload: Value, previous: Option<Value>, parent: Option<Value>, mode: ReadonlyMode) -> Outcome {
    let principal = Principal::builder("ada").user_id("u1").position("boss").build();
    let (previous, parent) = (previous.map(row), parent.map(row));
    let text = |text: &str| FilterValue::Text(text.to_owned());
    let stamps = [Stamp { field: "owner_id".to_owned(), value: text("u1"), only_missing: true }];
    rules(&policy(stack)).evaluate(&Attempt {
        payload: &row(payload),
        previous: previous.as_ref(),
        parent: parent.as_ref(),
        referred: &ReferredRecords::default(),
        rights: &GrantedRights::default(),
        principal: &principal,
        stamps: &stamps,
        readonly: mode,
        made: &[],
        now_ms: NOW_MS,
    })
}

fn inserted(extra: Value, validations: Value, payload: Value) -> Outcome {
    let mut whole = json!({"order": "o1"});
    whole.as_object_mut().unwrap().extend(row(payload));
    judge(&lines(extra, validations), whole, None, None, ReadonlyMode::Drop)
}

fn said(outcome: &Outcome) -> Vec<String> {
    outcome.violations.iter().map(|v| format!("{} {}: {}", v.field_name(), v.code.name(), v.message)).collect()
}

#[test]
fn each_field_says_what_it_takes() {
    let options = json!([{"label": "Aa", "value": "aa"}, {"label": "Bb", "value": "bb"}]);
    for (field, given, expected) in [
        (json!({"type": "text", "required": true}), json!("  "), Err("required: F is required")),
        (json!({"type": "text", "maxLength": 2}), json!("😀a"), Err("max_length: F must be ≤ 2 characters (got 3)")),
        (json!({"type": "text", "minLength": 3}), json!(42), Err("min_length: F must be ≥ 3 characters (got 2)")),
        (json!({"type": "text"}), json!(42), Ok(json!("42"))),
        (
            json!({"type": "text", "valueDomain": "iana_time_zone"}),
            json!("Mars/Base"),
            Err("value_domain: F must be a valid IANA time zone identifier, e.g. Europe/Zurich (got \"Mars/Base\")"),
        ),
        (json!({"type": "number", "min": 1.5}), json!("1"), Err("min_value: F must be ≥ 1.5")),
        (json!({"type": "number", "max": 3}), json!(4), Err("max_value: F must be ≤ 3")),
        (
            json!({"type": "currency", "scale": 2}),
            json!(0.125),
            Err("max_scale: F must have at most 2 decimal places (got 3)"),
        ),
        (
            json!({"type": "number"}),
            json!({"$gt": 1}),
            Err("invalid_type: F has an invalid number value: $gt is a filter \
            operator, not a value — a filter belongs in the query 'where', not in the write payload"),
        ),
        (json!({"type": "number"}), json!([1]), Err("invalid_number: F must be a number")),
        (json!({"type": "number"}), json!(""), Ok(json!(null))),
        (json!({"type": "number"}), json!("12.50"), Ok(json!(12.5))),
        (json!({"type": "boolean"}), json!("1"), Ok(json!(true))),
        (json!({"type": "boolean"}), json!(""), Ok(json!(false))),
        (json!({"type": "boolean"}), json!(2), Err("invalid_boolean: F must be true or false")),
        (json!({"type": "date"}), json!("2026-02-30"), Err("invalid_date: F must be a valid date (ISO-8601)")),
        (json!({"type": "datetime"}), json!("2026-02-03"), Ok(json!("2026-02-03T00:00:00.000Z"))),
        (json!({"type": "time"}), json!("7:05"), Err("invalid_time: F must be a valid time (HH:MM or HH:MM:SS)")),
        (json!({"type": "select", "options": options}), json!("cc"), Err("invalid_option: F must be one of: aa, bb")),
        (json!({"type": "multiselect", "options": options}), json!("aa"), Ok(json!(["aa"]))),
        (
            json!({"type": "multiselect", "options": options}),
            json!(["aa", "cc"]),
            Err("invalid_option: F: \"cc\" is not one of: aa, bb"),
        ),
        (
            json!({"type": "multiselect", "required": true, "options": options}),
            json!([]),
            Err("required: F is required"),
        ),
        (json!({"type": "tags"}), json!({"a": 1}), Err("invalid_type: F must be an array of values")),
        (
            json!({"type": "lookup", "reference": "t_order"}),
            json!(12),
            Err("invalid_type: F has an invalid lookup value: Invalid input: expected string, received number"),
        ),
        (
            json!({"type": "location"}),
            json!({"latitude": 1}),
            Err("invalid_type: F has an invalid location value: Invalid input: expected number, received undefined"),
        ),
        (json!({"type": "password"}), json!(""), Err("invalid_type: F must not be empty")),
        (json!({"type": "password"}), json!("x"), Ok(json!("x"))),
        (
            json!({"type": "select", "options": [{"label": "Aa", "value": "aa", "default": true}]}),
            json!(null),
            Ok(json!("aa")),
        ),
        (json!({"type": "date", "defaultValue": "NOW()"}), json!(null), Ok(json!("2026-03-15"))),
        (json!({"type": "time", "defaultValue": "NOW()"}), json!(null), Ok(json!("10:00:00"))),
        (json!({"type": "user", "defaultValue": "current_user"}), json!(null), Ok(json!("u1"))),
        (
            json!({"type": "datetime", "defaultValue": {"dialect": "cel", "source": "today()"}}),
            json!(null),
            Ok(json!("2026-03-15T00:00:00.000Z")),
        ),
        (
            json!({"type": "number", "defaultValue": {"dialect": "cel", "source": "record.amount * 2"}}),
            json!(null),
            Ok(json!(8)),
        ),
    ] {
        let mut declared = field.clone();
        declared["label"] = json!("F");
        let outcome = inserted(json!({"f": declared}), json!([]), json!({"amount": 4, "f": given}));
        let found = match outcome.violations.first() {
            Some(violation) => Err(format!("{}: {}", violation.code.name(), violation.message)),
            None => Ok(outcome.record["f"].clone()),
        };
        assert_eq!(found, expected.map_err(str::to_owned), "{field} {given}");
    }
}

#[test]
fn what_takes_no_value_is_refused_or_left_out() {
    let fields = json!({
        "fixed": {"type": "text", "label": "Fixed", "readonly": true, "defaultValue": "d"},
        "number": {"type": "autonumber", "label": "Number"},
        "late": {"type": "text", "label": "Late", "readonlyWhen": "parent.status == 'paid'"},
    });
    let stack = lines(fields, json!([]));
    let payload = json!({"order": "o1", "fixed": "x", "number": "9", "late": "l", "created_by": "u2"});
    let dropped = |outcome: &Outcome| {
        outcome.dropped.iter().map(|d| format!("{} {}", d.field, d.reason.name())).collect::<Vec<_>>()
    };
    let outcome = judge(&stack, payload.clone(), None, None, ReadonlyMode::Drop);
    assert_eq!(dropped(&outcome), ["fixed readonly", "number readonly", "created_by readonly"]);
    assert_eq!((&outcome.record["fixed"], &outcome.record["late"]), (&json!("d"), &json!("l")));
    let refused = judge(&stack, payload, None, None, ReadonlyMode::Refuse);
    assert_eq!(
        said(&refused),
        [
            "fixed readonly: Fixed takes no value",
            "number readonly: Number takes no value",
            "created_by readonly: Created By takes no value"
        ]
    );
    assert_eq!(refusal(&refused.violations, "lines", &|_| true).unwrap().code(), ErrorCode::GeneratedAlways);
    // A lock that cannot be known, for want of the master, holds.
    let previous = json!({"id": "l1", "order": "o1", "late": "before", "status": null, "amount": null});
    for (status, expected) in [(Some("paid"), "before"), (Some("open"), "after"), (None, "before")] {
        let parent = status.map(|status| json!({"id": "o1", "status": status}));
        let outcome = judge(&stack, json!({"late": "after"}), Some(previous.clone()), parent, ReadonlyMode::Drop);
        assert_eq!(outcome.record["late"], expected, "{status:?}");
        assert_eq!(dropped(&outcome).is_empty(), expected == "after");
    }
    let refused = judge(&stack, json!({"late": "after"}), Some(previous), None, ReadonlyMode::Refuse);
    assert_eq!(said(&refused), ["late readonly: Late takes no value"]);
    let renamed =
        judge(&stack, json!({"id": "l2"}), Some(json!({"id": "l1", "order": "o1"})), None, ReadonlyMode::Refuse);
    assert_eq!(said(&renamed), ["id readonly: ID takes no value"]);
    let rules = rules(&policy(&stack));
    assert_eq!(rules.parent_field().map(|field| field.name.as_str()), Some("order"));
}

#[test]
fn columns_of_declared_types_keep_what_is_given() {
    let fields = json!({"n": {"type": "number", "label": "N", "scale": 2}, "at": {"type": "datetime", "label": "At"},
        "key": {"type": "text", "label": "Key"}, "code": {"type": "text", "label": "Code", "maxLength": 3}, "all": {"type": "tags", "label": "All", "options": [{"label": "Aa", "value": "aa"}]}});
    let mut stack = lines(fields, json!([]));
    stack["querygate"] = json!({"tables": {"t_line": {"columnTypes": {"n": "numeric(30,2)", "at": "timestamptz",
        "key": "uuid", "code": "integer", "all": "text[]"}}}});
    for (field, given, expected) in [
        ("n", json!("12345678901234567890.12"), Ok(json!("12345678901234567890.12"))),
        ("n", json!("12345678901234567890.123"), Err("N must have at most 2 decimal places (got 3)")),
        ("at", json!("2026-01-02T03:04:05.123456Z"), Ok(json!("2026-01-02T03:04:05.123456Z"))),
        ("at", json!("soon"), Err("At must be a valid datetime (ISO-8601)")),
        ("key", json!("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), Ok(json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"))),
        ("key", json!("x"), Err("Key must be a uuid")),
        ("code", json!(1234), Ok(json!(1234))),
        ("code", json!("x"), Err("Code must be a number")),
        ("all", json!(["aa"]), Ok(json!(["aa"]))),
        ("all", json!(["bb"]), Err("All: \"bb\" is not one of: aa")),
    ] {
        let outcome = judge(&stack, json!({"order": "o1", field: given}), None, None, ReadonlyMode::Drop);
        let found =
            outcome.violations.first().map_or_else(|| Ok(outcome.record[field].clone()), |v| Err(v.message.clone()));
        assert_eq!(found, expected.map_err(str::to_owned), "{field} {given}");
    }
}

#[test]
fn unknown_and_computed_fields_end_the_write() {
    let fields =
        json!({"twice": {"type": "formula", "label": "T", "expression": "record.amount * 2", "returnType": "number"}});
    for (payload, expected) in [
        (json!({"bogus": 1, "status": 5}), "bogus INVALID_FIELD: Unknown field 'bogus' on object 't_line'"),
        (json!({"twice": 1}), "twice INVALID_FIELD: Unknown field 'twice' on object 't_line'"),
    ] {
        assert_eq!(said(&inserted(fields.clone(), json!([]), payload)), [expected]);
    }
}

#[test]
fn a_requirement_that_was_broken_before_may_stay_broken() {
    let stack =
        lines(json!({"note": {"type": "text", "label": "Note", "requiredWhen": "record.amount > 10"}}), json!([]));
    let stored =
        |amount: Value| Some(json!({"id": "l", "order": "o1", "amount": amount, "note": null, "status": null}));
    for (payload, previous, expected) in [
        (json!({"order": "o1", "amount": 11}), None, 1),
        (json!({"order": "o1", "amount": 11, "note": "n"}), None, 0),
        (json!({"amount": 11}), stored(json!(5)), 1),
        (json!({"status": "s"}), stored(json!(50)), 0),
        (json!({"amount": 12}), stored(json!(50)), 0),
        // A condition without a value demands nothing, and says so.
        (json!({"status": "s"}), stored(json!(null)), 0),
    ] {
        let outcome = judge(&stack, payload.clone(), previous, None, ReadonlyMode::Drop);
        assert_eq!(outcome.violations.len(), expected, "{payload}");
        assert_eq!(outcome.notices.len(), usize::from(outcome.record["amount"].is_null()), "{payload}");
    }
}

#[test]
fn validations_go_by_priority_and_only_errors_refuse() {
    let rule = |name: &str, condition: &str, more: Value| {
        let mut rule = json!({"name": name, "type": "script", "message": format!("{name}!"), "condition": condition});
        rule.as_object_mut().unwrap().extend(row(more));
        rule
    };
    let validations = json!([
        rule("late", "record.amount > 1", json!({"priority": 200})),
        rule("soon", "record.amount > 1", json!({"priority": 5})),
        rule("warns", "record.amount > 1", json!({"severity": "warning"})),
        rule("informs", "record.amount > 1", json!({"severity": "info"})),
        rule("sleeps", "true", json!({"active": false})),
        rule("updates", "true", json!({"events": ["update"]})),
        rule("matches", "record.status.matches('^[A-Z]{2}$')", json!({})),
        rule("user", "'boss' in current_user.positions && record.amount == 3", json!({})),
        {"name": "many", "type": "conditional", "message": "outer", "when": "record.amount == 4",
         "then": {"name": "inner", "type": "cross_field", "message": "inner!", "severity": "info", "condition": "true", "fields": ["status"]},
         "otherwise": {"name": "other", "type": "format", "message": "other!", "field": "status", "regex": "^[A-Za-z ]+$"}},
    ]);
    for (payload, violations, notices) in [
        (json!({"amount": 2, "status": "x"}), vec!["soon!", "late!"], vec!["warns!", "informs!"]),
        (json!({"amount": 1, "status": "AB"}), vec!["matches!"], vec![]),
        (json!({"amount": 3, "status": "x"}), vec!["soon!", "user!", "late!"], vec!["warns!", "informs!"]),
        (json!({"amount": 4, "status": "x"}), vec!["soon!", "inner!", "late!"], vec!["warns!", "informs!"]),
        (json!({"amount": 1, "status": "x9"}), vec!["other!"], vec![]),
    ] {
        let outcome = inserted(json!({}), validations.clone(), payload.clone());
        let texts =
            |found: &[querygate_policy::rules::Violation]| found.iter().map(|v| v.message.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&outcome.violations), violations, "{payload}");
        assert_eq!(texts(&outcome.notices), notices, "{payload}");
        assert!(outcome.notices.iter().all(|notice| notice.severity != ValidationSeverity::Error));
    }
}

#[test]
fn a_rule_without_a_value_refuses() {
    let script = |condition: &str| json!([{"name": "r", "type": "script", "message": "m", "condition": condition}]);
    for (condition, payload, fault) in [
        ("record.amount < 0", json!({}), "an operator got a value of a type that it does not take, or none"),
        ("record.amount", json!({"amount": 1}), "its value is neither true nor false"),
        ("previous != null && previous.amount > 1", json!({}), "there is no 'previous'"),
        ("record.amount / 0 == 1", json!({"amount": 1}), "a number or a date is out of range"),
        // What cannot even be compiled refuses everything.
        ("record.nothing == 1", json!({}), "it cannot be compiled"),
        ("parent.status == 'x'", json!({}), "it cannot be compiled"),
    ] {
        let outcome = inserted(json!({}), script(condition), payload);
        let expected =
            format!("_record rule_violation: Validation rule 'r' could not be evaluated ({fault}) — write rejected.");
        assert_eq!(said(&outcome), [expected], "{condition}");
    }
}

#[test]
fn a_default_without_a_value_is_told() {
    let field = |source: &str| json!({"f": {"type": "number", "label": "F", "defaultValue": {"dialect": "cel", "source": source}}});
    let outcome = inserted(field("record.amount * 2"), json!([]), json!({}));
    assert_eq!((said(&outcome).len(), &outcome.record["f"]), (0, &Value::Null));
    let fault = "an operator got a value of a type that it does not take, or none";
    assert_eq!(outcome.notices[0].message, format!("the default of F could not be evaluated ({fault})"));
    let broken = inserted(field("previous.amount"), json!([]), json!({}));
    assert_eq!(said(&broken), ["f rule_violation: the default of F could not be evaluated (it cannot be compiled)"]);
}

#[test]
fn states_follow_the_machine() {
    let machine = json!([{"name": "flow", "type": "state_machine", "message": "no", "field": "status",
        "transitions": {"new": ["open"], "open": []}, "initialStates": ["new"]}]);
    let stack = lines(json!({}), machine);
    let stored = |status: Value| json!({"id": "l", "order": "o1", "status": status, "amount": null});
    for (payload, previous, expected) in [
        (json!({"order": "o1", "status": "new"}), None, None),
        (json!({"order": "o1"}), None, None),
        (json!({"order": "o1", "status": "open"}), None, Some(("invalid_initial_state", json!({"allowed": "new"})))),
        (json!({"status": "open"}), Some(stored(json!("new"))), None),
        (
            json!({"status": "new"}),
            Some(stored(json!("open"))),
            Some(("invalid_transition", json!({"from": "open", "to": "new"}))),
        ),
        (json!({"status": "open"}), Some(stored(json!("open"))), None),
        (json!({"status": "odd"}), Some(stored(json!("elsewhere"))), None),
        (json!({"status": null}), Some(stored(json!("open"))), None),
        (json!({"status": "odd"}), Some(stored(json!(null))), None),
        (json!({"amount": 1}), Some(stored(json!("open"))), None),
    ] {
        let outcome = judge(&stack, payload.clone(), previous, None, ReadonlyMode::Drop);
        let found = outcome.violations.first().map(|v| (v.code.name(), Value::Object(v.constraint.clone())));
        assert_eq!(found, expected, "{payload}");
        // The state before may be of a field that the caller does not see.
        if let Some(error) = refusal(&outcome.violations, "lines", &|_| true) {
            assert_eq!((error.message(), error.detail()), ("no", None));
        }
    }
}

#[test]
fn a_refusal_tells_nothing_of_hidden_fields() {
    let rules = json!([
        {"type": "script", "name": "small", "message": "Too much.", "condition": "record.amount > 5"},
        {"type": "conditional", "name": "outer", "message": "Outer.", "when": "record.status == 'open'", "then":
            {"type": "script", "name": "inner", "message": "Not open.", "condition": "record.amount > 1"}},
        {"type": "script", "name": "counted", "message": "Never.", "condition": "record.status > 1"},
    ]);
    let stack = lines(json!({"rank": {"type": "number", "label": "Rank", "required": true}}), rules);
    let judged = |amount: i64, rank: Value| {
        let payload = json!({"order": "o1", "amount": amount, "status": "open", "rank": rank});
        judge(&stack, payload, None, None, ReadonlyMode::Refuse).violations
    };
    let told = |violations: &[_], hidden: &str| {
        let error = refusal(violations, "lines", &|field| field != hidden).unwrap();
        let text = |text: Option<&str>| text.map(str::to_owned);
        (error.code().sqlstate(), error.message().to_owned(), text(error.constraint()), text(error.detail()))
    };
    let plain = "new row for relation \"lines\" violates a rule about columns that are not shown";
    let all = judged(9, json!(1));
    let (code, message, name, detail) = told(&all, "nothing");
    assert_eq!((code, message.as_str(), name.as_deref()), ("23514", "Too much.", Some("small")));
    let detail = detail.unwrap();
    assert!(detail.starts_with("Also: Not open; Validation rule 'counted' could not be evaluated ("), "{detail}");
    let (_, message, name, detail) = told(&all, "status");
    assert_eq!((message.as_str(), name.as_deref()), ("Too much.", Some("small")));
    assert_eq!(detail, Some(format!("Also: Not open; {plain}.")));
    assert_eq!(told(&all, "amount").2, None);
    // An inner rule is found by what the outer one asks, too.
    assert_eq!(told(&all[1..], "status").2, None);
    assert_eq!(told(&all[1..], "nothing").2.as_deref(), Some("inner"));
    // The contract of a field, of which even the name is hidden.
    let missing = judged(1, json!(null));
    assert_eq!(told(&missing, "nothing").1, "Rank is required");
    assert_eq!(told(&missing, "rank"), ("23502", plain.to_owned(), None, None));
    // Many are counted.
    let many: Vec<_> = std::iter::repeat_n(all[0].clone(), 40).collect();
    assert!(told(&many, "nothing").3.unwrap().ends_with("; and 29 more."));
    assert!(refusal(&[], "lines", &|_| true).is_none());
}

#[test]
fn what_needs_other_records_is_handed_out() {
    let fields = json!({
        "code": {"type": "text", "label": "Code", "unique": "global"},
        "mark": {"type": "text", "label": "Mark", "unique": true},
        "links": {"type": "lookup", "label": "Links", "reference": "t_order", "multiple": true, "deleteBehavior": "set_null"},
        "need": {"type": "lookup", "label": "Need", "reference": "t_order", "required": true},
        "number": {"type": "autonumber", "label": "Number", "autonumberFormat": "{status}-{00}"},
    });
    let policy = policy(&lines(fields, json!([])));
    let rules = rules(&policy);
    let record = row(
        json!({"id": "l1", "order": "o1", "status": "open", "code": "c", "mark": null, "links": ["o1", "o2", "o1"],
        "need": "", "organization_id": null}),
    );
    let references: Vec<String> = rules.references(&record).iter().map(|check| check.violation().message).collect();
    assert_eq!(
        references,
        [
            "Order: no t_order record has id \"o1\"",
            "Links: no t_order record has id \"o1\"",
            "Links: no t_order record has id \"o2\""
        ]
    );
    let taken = |previous| -> Vec<String> {
        rules.unique_checks(&record, previous).iter().map(|check| check.violation().message).collect()
    };
    assert_eq!(taken(None), ["A record with this id already exists", "A record with this code already exists"]);
    assert_eq!(taken(Some(&record)), Vec::<String>::new());
    let marked = Map::from_iter([("mark".to_owned(), json!("m"))]);
    let check = &rules.unique_checks(&marked, None)[0];
    assert_eq!(
        (check.violation().message.as_str(), &check.organization),
        ("A record with this value already exists", &Some(Value::Null))
    );

    let (_, format) = rules.autonumbers().next().unwrap();
    assert_eq!(format.text(&record, NOW_MS, 7).as_deref(), Some("open-07"));

    let moved = row(json!({"order": "o2"}));
    let updates = rules.summary_updates(Some(&record), Some(&moved), NOW_MS).unwrap();
    let shown: Vec<_> = updates
        .iter()
        .map(|u| (u.parent.as_str(), u.field.as_str(), u.function, u.child_field.as_deref(), u.parents.clone()))
        .collect();
    let both = vec![json!("o1"), json!("o2")];
    assert_eq!(
        shown,
        [
            ("t_order", "lines", SummaryFunction::Count, None, both.clone()),
            ("t_order", "total", SummaryFunction::Sum, Some("amount"), both)
        ]
    );
    assert_eq!(updates[0].filter.columns().into_iter().collect::<Vec<_>>(), ["status"]);

    let snapshot = policy.snapshot();
    let order = snapshot.object("t_order").unwrap();
    let deletes: Vec<_> = delete_rules(snapshot, "t_order")
        .into_iter()
        .map(|rule| (rule.field.name.clone(), rule.behavior, rule.violation(order, Some(2)).message))
        .collect();
    let still = |field: &str, forced: &str| {
        format!(
            "This Order is still referenced by 2 Line record(s) through “{field}”{forced}. Delete or reassign them first."
        )
    };
    assert_eq!(
        deletes,
        [
            ("order".to_owned(), DeleteBehavior::Cascade, still("Order", "")),
            ("links".to_owned(), DeleteBehavior::SetNull, still("Links", "")),
            ("need".to_owned(), DeleteBehavior::Restrict, still("Need", ", which is required and cannot be cleared")),
        ]
    );
}
