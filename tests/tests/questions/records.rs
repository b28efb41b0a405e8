//! Changes of records by their values: what is stored and read back, what is left out, what is refused and with which words, and what
//! becomes of several changes when one of them fails.

use super::conformance::shared;
use super::question;
use querygate_query_api::requests::question::AnswerForm;
use querygate_query_api::requests::record_change::{
    ChangeOutcome, ChangedRecord, DropReason, OnFailure, RecordAction, RecordChange,
};
use querygate_tests::harness::{Client, Fixture, Layout, TestGate, records_of, runtime};
use querygate_types::Error;
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

fn fixture() -> Fixture {
    let stack = json!({
        "manifest": {"id": "test.r", "namespace": "r", "version": "1.0.0", "type": "app", "name": "r", "engines": {"protocol": "^17"}},
        "objects": [
            {"name": "r_deal", "label": "Deal", "sharingModel": "public_read_write", "access": {"default": "private"}, "nameField": "name",
                "tenancy": {"enabled": false}, "fields": {
                "name": {"type": "text", "label": "Name", "required": true, "maxLength": 10},
                "amount": {"type": "number", "label": "Amount", "min": 0},
                "mail": {"type": "email", "label": "Mail"},
                "code": {"type": "text", "label": "Code", "unique": "global"},
                "stage": {"type": "select", "label": "Stage", "defaultValue": "open", "options": [
                    {"value": "open", "label": "Open"}, {"value": "won", "label": "Won"}]},
                "fixed": {"type": "text", "label": "Fixed", "readonly": true},
                "sealed": {"type": "text", "label": "Sealed", "readonlyWhen": "record.stage == 'won'"},
                "secret": {"type": "text", "label": "Secret"},
                "owner": {"type": "lookup", "label": "Owner", "reference": "r_person"},
                "tags": {"type": "tags", "label": "Tags"},
                "data": {"type": "json", "label": "Data"},
                "on": {"type": "date", "label": "On"},
                "ready": {"type": "boolean", "label": "Ready"},
                "double": {"type": "formula", "label": "Double", "expression": "record.amount * 2", "returnType": "number"},
            }},
            {"name": "r_person", "label": "Person", "sharingModel": "public_read_write", "access": {"default": "private"},
                "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "ownership": "none",
                "fields": {"name": {"type": "text", "label": "Name"}}},
        ],
        "permissions": [
            {"name": "r_chief", "label": "c", "objects": {
                "r_deal": {"allowRead": true, "allowCreate": true, "allowEdit": true, "allowDelete": true, "viewAllRecords": true, "modifyAllRecords": true},
                "r_person": {"allowRead": true, "allowCreate": true, "allowDelete": true, "viewAllRecords": true, "modifyAllRecords": true}}},
            {"name": "r_clerk", "label": "k", "objects": {
                "r_deal": {"allowRead": true, "allowCreate": true, "allowEdit": true, "allowDelete": true}, "r_person": {"allowRead": true}},
                "fields": {"r_deal.secret": {"readable": false, "editable": false}},
                "rowLevelSecurity": [
                    {"name": "shown", "object": "r_person", "operation": "select", "using": "name != 'Hid'"},
                    {"name": "open", "object": "r_deal", "operation": "all", "using": "stage == 'open'", "check": "amount < 100"}]},
            {"name": "r_reader", "label": "r", "objects": {"r_deal": {"allowRead": true}}},
        ],
    });
    let mut fixture = Fixture::new(stack, Vec::new());
    fixture.writes = true;
    let snapshot = fixture.snapshot();
    let deals = json!([
        {"id": "d1", "name": "one", "amount": 1, "code": "c1", "stage": "open", "secret": "s1", "updated_at": "2026-01-01T00:00:00.000Z"},
        {"id": "d2", "name": "two", "amount": 2, "code": "c2", "stage": "won", "secret": "s2", "updated_at": "2026-01-01T00:00:00.000Z"},
    ]);
    let people = json!([{"id": "p1", "name": "Ann"}, {"id": "hidden", "name": "Hid"}]);
    for (object, rows) in [("r_deal", &deals), ("r_person", &people)] {
        fixture.tables.push(Fixture::declared(&snapshot, object, rows));
    }
    fixture
}

fn values(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn create(values_of: Value) -> RecordChange {
    RecordChange::new("r_deal".to_owned(), RecordAction::Create { values: values(values_of) })
}

fn update(id: &str, values_of: Value) -> RecordChange {
    let action = RecordAction::Update { id: id.to_owned(), values: values(values_of), expected_version: None };
    RecordChange::new("r_deal".to_owned(), action)
}

fn delete(id: &str) -> RecordChange {
    let action = RecordAction::Delete { id: id.to_owned(), expected_version: None };
    RecordChange::new("r_deal".to_owned(), action)
}

fn one(client: &Client, change: RecordChange) -> Result<ChangedRecord, Error> {
    match client.change(&[change], OnFailure::UndoAll)?.pop() {
        Some(ChangeOutcome::Made(changed)) => Ok(changed),
        Some(ChangeOutcome::Failed(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn record(changed: &ChangedRecord) -> Map<String, Value> {
    let (columns, batch) = changed.record.as_ref().unwrap();
    records_of(columns, batch).pop().unwrap()
}

fn code(result: Result<ChangedRecord, Error>) -> String {
    match result {
        Ok(changed) => panic!("made {changed:?}"),
        Err(error) => match error.vendor_code() {
            Some(code) => code.name().to_owned(),
            None => format!("{error:?}"),
        },
    }
}

fn stored(client: &Client, id: &str) -> Option<Value> {
    let rows = client.ask(&question("r_deal", &json!({"keys": [id]})), AnswerForm::Records).unwrap();
    rows.into_iter().next().map(Value::Object)
}

fn gate() -> (TestGate, Client, Client, Client) {
    let gate = TestGate::new(&fixture(), Layout::Sqlite);
    let client = |login: &str, set: &str| gate.client(&Principal::builder(login).permission_set(set).build());
    let (chief, clerk, reader) = (client("cleo", "r_chief"), client("carl", "r_clerk"), client("rea", "r_reader"));
    (gate, chief, clerk, reader)
}

#[test]
fn records_are_stored_and_read_back() {
    let (_gate, chief, ..) = gate();
    let given = json!({"name": "new", "amount": "12.5", "tags": ["a", "b"], "data": {"k": [1, null]}, "on": "2026-05-08T10:00:00Z",
        "ready": 1, "owner": "p1", "mail": "a@b.org"});
    let made = one(&chief, create(given)).unwrap();
    assert_eq!(made.id.len(), 16);
    let new = record(&made);
    for (field, expected) in [
        ("id", json!(made.id)),
        ("name", json!("new")),
        ("amount", json!(12.5)),
        ("tags", json!(["a", "b"])),
        ("data", json!({"k": [1, null]})),
        ("on", json!("2026-05-08")),
        ("ready", json!(true)),
        ("stage", json!("open")),
        ("double", json!(25)),
        ("created_by", json!("cleo")),
        ("owner_id", json!("cleo")),
        ("fixed", Value::Null),
    ] {
        assert_eq!(new[field], expected, "{field}");
    }
    let named = one(&chief, create(json!({"id": "mine", "name": "own"}))).unwrap();
    assert_eq!(named.id, "mine");
    assert_eq!(code(one(&chief, update("mine", json!({"name": "other", "id": "another"})))), "UPDATE_ID_MISMATCH");
    let changed = one(&chief, update("mine", json!({"amount": null, "name": "other", "id": "mine"}))).unwrap();
    assert_eq!((record(&changed)["name"].clone(), record(&changed)["id"].clone()), (json!("other"), json!("mine")));
    assert_eq!(stored(&chief, "mine").unwrap()["name"], "other");
    let gone = one(&chief, delete("mine")).unwrap();
    assert!(gone.record.is_none() && stored(&chief, "mine").is_none());
    assert_eq!(code(one(&chief, delete("mine"))), "RECORD_NOT_FOUND");
}

/// A key that looks like a token is a key.
#[test]
fn keys_are_no_tokens() {
    let (_gate, chief, ..) = gate();
    let made = one(&chief, create(json!({"id": "{current_user_id}", "name": "odd"}))).unwrap();
    assert_eq!(record(&made)["name"], "odd");
    assert_eq!(stored(&chief, "{current_user_id}").unwrap()["name"], "odd");
}

#[test]
fn what_callers_do_not_write_is_left_out_and_told() {
    let (_gate, chief, ..) = gate();
    let made = one(&chief, create(json!({"name": "x", "fixed": "mine", "sealed": "s"}))).unwrap();
    assert_eq!(made.dropped.len(), 1);
    assert_eq!((made.dropped[0].field.as_str(), made.dropped[0].reason), ("fixed", DropReason::Readonly));
    assert_eq!((record(&made)["fixed"].clone(), record(&made)["sealed"].clone()), (Value::Null, json!("s")));
    let sealed = one(&chief, update("d2", json!({"sealed": "late", "amount": 5}))).unwrap();
    assert_eq!((sealed.dropped[0].field.as_str(), sealed.dropped[0].reason), ("sealed", DropReason::ReadonlyWhen));
    assert_eq!((record(&sealed)["sealed"].clone(), record(&sealed)["amount"].clone()), (Value::Null, json!(5)));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let (_gate, chief, ..) = gate();
    let error = one(&chief, create(json!({"amount": -1, "mail": "nobody", "stage": "lost"}))).unwrap_err();
    assert_eq!(error.vendor_code().unwrap().name(), "VALIDATION_FAILED");
    let faults: Vec<(&str, &str)> = error.faults().iter().map(|fault| (fault.field.as_str(), fault.code)).collect();
    assert_eq!(
        faults,
        [("name", "required"), ("amount", "min_value"), ("mail", "invalid_email"), ("stage", "invalid_option")]
    );
    let long = one(&chief, update("d1", json!({"name": "far too long a name"}))).unwrap_err();
    assert_eq!(long.faults()[0].code, "max_length");
    let absent = one(&chief, create(json!({"name": "x", "owner": "nobody"}))).unwrap_err();
    assert_eq!(
        (absent.vendor_code().unwrap().name(), absent.faults()[0].code),
        ("VALIDATION_FAILED", "reference_not_found")
    );
    for (change, expected) in [
        (create(json!({"name": "x", "nope": 1})), "INVALID_FIELD"),
        (create(json!({"name": "x", "double": 1})), "INVALID_FIELD"),
        (create(json!({"name": "x", "code": "c1"})), "UNIQUE_VIOLATION"),
        (create(json!({"name": "x", "id": "d1"})), "UNIQUE_VIOLATION"),
        (update("d1", json!({"code": "c2"})), "UNIQUE_VIOLATION"),
        (update("nobody", json!({"name": "x"})), "RECORD_NOT_FOUND"),
    ] {
        let shown = format!("{change:?}");
        assert_eq!(code(one(&chief, change)), expected, "{shown}");
    }
    assert_eq!(stored(&chief, "d1").unwrap()["code"], "c1");
}

/// Nothing is left of a record that is refused.
#[test]
fn a_reference_to_no_record_is_told_in_its_turn() {
    let (_gate, chief, clerk, _) = gate();
    let first = stored(&chief, "d1").unwrap();
    for (client, change, expected) in [
        (&clerk, create(json!({"name": "x", "amount": 100, "owner": "nobody"})), "PERMISSION_DENIED"),
        (&clerk, update("d1", json!({"amount": 100, "owner": "nobody"})), "PERMISSION_DENIED"),
        // What its user does not see is not there.
        (&clerk, update("d2", json!({"owner": "nobody"})), "RECORD_NOT_FOUND"),
        (&clerk, update("gone", json!({"owner": "nobody"})), "RECORD_NOT_FOUND"),
        (&clerk, create(json!({"name": "x", "amount": 1, "code": "c1", "owner": "nobody"})), "UNIQUE_VIOLATION"),
        (&clerk, create(json!({"name": "x", "amount": 1, "id": "d1", "owner": "nobody"})), "UNIQUE_VIOLATION"),
        (&clerk, update("d1", json!({"code": "c2", "owner": "nobody"})), "UNIQUE_VIOLATION"),
        (&clerk, update("d1", json!({"code": "c3", "owner": "nobody"})), "VALIDATION_FAILED"),
        (&clerk, update("d1", json!({"code": "c3", "owner": "hidden"})), "VALIDATION_FAILED"),
        // Who sees all of them hears of a record that is not there before a value that is.
        (&chief, create(json!({"name": "x", "code": "c1", "owner": "nobody"})), "VALIDATION_FAILED"),
        (&chief, update("d1", json!({"code": "c2", "owner": "nobody"})), "VALIDATION_FAILED"),
        (&chief, create(json!({"name": "x", "id": "new", "owner": "nobody"})), "VALIDATION_FAILED"),
        (&chief, update("d1", json!({"name": "x", "owner": "nobody"})), "VALIDATION_FAILED"),
    ] {
        let shown = format!("{change:?}");
        assert_eq!(code(one(client, change)), expected, "{shown}");
    }
    assert_eq!(stored(&chief, "d1").unwrap(), first);
    assert!(stored(&chief, "new").is_none());
    let changes = [("n1", "p1"), ("n2", "nobody"), ("n3", "p1")];
    let changes = changes.map(|(id, owner)| create(json!({"id": id, "name": "x", "owner": owner})));
    let outcomes = chief.change(&changes, OnFailure::Continue).unwrap();
    let made = outcomes.iter().map(|outcome| matches!(outcome, ChangeOutcome::Made(_)));
    assert_eq!(made.collect::<Vec<_>>(), [true, false, true], "{outcomes:?}");
    assert_eq!(["n1", "n2", "n3"].map(|id| stored(&chief, id).is_some()), [true, false, true]);
}

#[test]
fn rights_are_asked_as_of_sql() {
    let (_gate, chief, clerk, reader) = gate();
    assert_eq!(code(one(&reader, create(json!({"name": "x"})))), "PERMISSION_DENIED");
    assert_eq!(code(one(&reader, update("d1", json!({"name": "x"})))), "PERMISSION_DENIED");
    assert_eq!(code(one(&clerk, create(json!({"name": "x", "secret": "s"})))), "PERMISSION_DENIED");
    // Outside of the row policy; outside of its check.
    assert_eq!(code(one(&clerk, update("d2", json!({"name": "x"})))), "RECORD_NOT_FOUND");
    assert_eq!(code(one(&clerk, delete("d2"))), "RECORD_NOT_FOUND");
    assert_eq!(code(one(&clerk, update("d1", json!({"amount": 100})))), "PERMISSION_DENIED");
    assert_eq!(code(one(&clerk, update("nobody", json!({"amount": 1})))), "RECORD_NOT_FOUND");
    let changed = one(&clerk, update("d1", json!({"amount": 99}))).unwrap();
    assert!(!record(&changed).contains_key("secret"));
    assert_eq!(
        (stored(&chief, "d1").unwrap()["amount"].clone(), stored(&chief, "d1").unwrap()["secret"].clone()),
        (json!(99), json!("s1"))
    );
    assert_eq!(stored(&chief, "d2").unwrap()["name"], "two");
}

/// The text of a document as it was written, and an instant as the source keeps it.
#[test]
fn the_digits_of_documents_are_kept() {
    let mut fixture = fixture();
    fixture.stack["objects"][0]["fields"]["seen"] = json!({"type": "datetime", "label": "Seen"});
    let snapshot = fixture.snapshot();
    fixture.tables[0] = Fixture::declared(&snapshot, "r_deal", &json!([{"id": "d1", "name": "one"}]));
    let gate = TestGate::new(&fixture, Layout::Sqlite);
    let chief = gate.client(&Principal::builder("cleo").permission_set("r_chief").build());
    let text = r#"{"x": 12345678901234567890123.5,"y":1.10,"z":[18446744073709551616]}"#;
    let data = querygate_types::json::value::value(text).unwrap();
    let texts = HashMap::from([("data".to_owned(), text.to_owned()), ("name".to_owned(), "x".to_owned())]);
    let instant = "2026-01-01T00:00:00.123Z";
    let change = update("d1", json!({"data": data, "seen": instant}));
    one(&chief, RecordChange { texts: texts.clone(), ..change }).unwrap();
    let is_stored = |text: &str| {
        let sql = format!("SELECT 'it is there' FROM deal WHERE CAST(data AS text) = '{text}'");
        format!("{:?}", chief.run(&sql)).contains("it is there")
    };
    assert!(is_stored(text));
    assert_eq!(stored(&chief, "d1").unwrap()["seen"], json!(instant));
    // A text of another value is none of this one.
    one(&chief, RecordChange { texts, ..update("d1", json!({"data": [1]})) }).unwrap();
    assert!(is_stored("[1]"));
}

#[test]
fn a_stale_version_changes_nothing() {
    let (_gate, chief, ..) = gate();
    let at = |version: &str| RecordChange {
        texts: HashMap::new(),
        object: "r_deal".to_owned(),
        action: RecordAction::Update {
            id: "d1".to_owned(),
            values: values(json!({"name": "new"})),
            expected_version: Some(version.to_owned()),
        },
    };
    assert_eq!(code(one(&chief, at("2025-01-01T00:00:00.000Z"))), "CONCURRENT_UPDATE");
    assert_eq!(code(one(&chief, at("*"))), "CONCURRENT_UPDATE");
    let changed = one(&chief, at("2026-01-01T00:00:00.000Z")).unwrap();
    assert_ne!(record(&changed)["updated_at"], "2026-01-01T00:00:00Z");
    assert_eq!(code(one(&chief, at("2026-01-01T00:00:00.000Z"))), "CONCURRENT_UPDATE");
}

fn outcomes(made: &[ChangeOutcome]) -> Vec<&'static str> {
    let word = |outcome: &ChangeOutcome| match outcome {
        ChangeOutcome::Made(_) => "made",
        ChangeOutcome::Failed(_) => "failed",
        ChangeOutcome::Undone => "undone",
        ChangeOutcome::NotTried => "not tried",
    };
    made.iter().map(word).collect()
}

#[test]
fn several_changes_hold_together_or_apart() {
    for (on_failure, expected, kept) in [
        (OnFailure::UndoAll, ["undone", "failed", "not tried"], [false, false]),
        (OnFailure::Stop, ["made", "failed", "not tried"], [true, false]),
        (OnFailure::Continue, ["made", "failed", "made"], [true, true]),
    ] {
        for in_block in [false, true] {
            let (_gate, chief, ..) = gate();
            let changes = [
                create(json!({"id": "a", "name": "a"})),
                create(json!({"id": "d1", "name": "b"})),
                create(json!({"id": "c", "name": "c"})),
            ];
            if in_block {
                chief.session().begin_block();
            }
            let made = chief.change(&changes, on_failure).unwrap();
            assert_eq!(outcomes(&made), expected, "{on_failure:?} {in_block}");
            if in_block {
                runtime().block_on(chief.session().end_block()).unwrap();
            }
            let there = ["a", "c"].map(|id| stored(&chief, id).is_some());
            assert_eq!(there, kept, "{on_failure:?} {in_block}");
        }
    }
}

/// A door's own block: a later change refers to an earlier one, and nothing is stored before the end.
#[test]
fn a_block_of_changes_is_stored_with_its_end() {
    let (gate, chief, ..) = gate();
    let other = gate.client(&Principal::builder("cora").permission_set("r_chief").build());
    chief.session().begin_block();
    let person = RecordChange {
        texts: HashMap::new(),
        object: "r_person".to_owned(),
        action: RecordAction::Create { values: values(json!({"name": "Bob"})) },
    };
    let bob = one(&chief, person).unwrap().id;
    let made = one(&chief, create(json!({"id": "x", "name": "x", "owner": bob}))).unwrap();
    assert_eq!(record(&made)["owner"], json!(bob));
    assert!(stored(&other, "x").is_none());
    runtime().block_on(chief.session().end_block()).unwrap();
    assert!(stored(&other, "x").is_some());
}

#[test]
fn a_gate_that_reads_refuses_changes() {
    let mut closed = fixture();
    closed.writes = false;
    let gate = TestGate::new(&closed, Layout::Sqlite);
    let chief = gate.client(&Principal::builder("cleo").permission_set("r_chief").build());
    let refused = chief.change(&[create(json!({"name": "x"}))], OnFailure::UndoAll).unwrap_err();
    assert_eq!(refused.vendor_code().unwrap().name(), "NOT_IMPLEMENTED");
}

/// What records of statements say of a change has no value of it.
#[test]
fn changes_are_recorded_without_their_values() {
    let (gate, chief, ..) = gate();
    one(&chief, create(json!({"name": "hush", "secret": "quiet"}))).unwrap();
    assert!(one(&chief, create(json!({"name": "hush", "amount": -77}))).is_err());
    let operator = gate.client(&Principal::builder("op").operator(true).build());
    let told = format!("{:?}", operator.run("SELECT template FROM querygate.queries"));
    assert!(told.contains("change {") && told.contains("create"), "{told}");
    assert!(!told.contains("hush") && !told.contains("quiet") && !told.contains("77"), "{told}");
}

/// Every value of the published cases reads back as it was written.
#[test]
fn published_values_are_stored_as_they_are() {
    let Some(conformance) = shared("conformance.json") else { return };
    let mut fixture = super::conformance::world(&conformance);
    fixture.writes = true;
    fixture.stack["permissions"][0]["objects"]["conf_roundtrip"] =
        json!({"allowRead": true, "allowCreate": true, "viewAllRecords": true, "modifyAllRecords": true});
    let gate = TestGate::new(&fixture, Layout::Sqlite);
    let client = gate.client(&Principal::builder("rea").permission_set("conf_reader").build());
    let (mut agree, mut failures) = (0, Vec::new());
    for case in conformance["cases"].as_array().unwrap().iter().filter(|case| case["area"] == "value_roundtrip") {
        let (column, value) = (case["query"]["write"]["column"].as_str().unwrap(), &case["query"]["write"]["value"]);
        let id = format!("w-{}", case["id"].as_str().unwrap());
        let given = values(json!({"id": id, "label": case["name"], column: value}));
        let change = RecordChange::new("conf_roundtrip".to_owned(), RecordAction::Create { values: given });
        match one(&client, change) {
            Ok(made) if record(&made)[column] == case["expect"]["readBack"] => agree += 1,
            Ok(made) => failures.push(format!("{} {value}: {}", case["name"], record(&made)[column])),
            Err(error) => {
                failures.push(format!("{} {value}: {error} {:?} {:?}", case["name"], error.faults(), error.cause()))
            }
        }
    }
    println!("| sqlite, written | {agree} agree | {} differ |", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
