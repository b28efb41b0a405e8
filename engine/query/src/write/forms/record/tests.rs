//! Tests of changes of single records by their values, as ObjectStack's interface has them (reference, sections 3, 6 and 9).

use crate::testing::{Seat, Yard};
use querygate_query_api::requests::record_change::{
    ChangeOutcome, ChangedRecord, DropReason, OnFailure, RecordAction, RecordChange,
};
use querygate_types::Error;
use serde_json::{Map, Value, json};

fn values(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn create(object: &str, given: Value) -> RecordChange {
    RecordChange::new(object.to_owned(), RecordAction::Create { values: values(given) })
}

fn update(id: &str, given: Value) -> RecordChange {
    let action = RecordAction::Update { id: id.to_owned(), values: values(given), expected_version: None };
    RecordChange::new("yard_jobs".to_owned(), action)
}

fn upsert(id: &str, given: Value) -> RecordChange {
    let action = RecordAction::Upsert { id: id.to_owned(), values: values(given) };
    RecordChange::new("yard_jobs".to_owned(), action)
}

fn delete(id: &str) -> RecordChange {
    let action = RecordAction::Delete { id: id.to_owned(), expected_version: None };
    RecordChange::new("yard_jobs".to_owned(), action)
}

fn one(seat: &Seat, change: RecordChange) -> Result<ChangedRecord, Error> {
    match seat.change(&[change], OnFailure::UndoAll)?.pop() {
        Some(ChangeOutcome::Made(changed)) => Ok(changed),
        Some(ChangeOutcome::Failed(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn code(seat: &Seat, change: RecordChange) -> &'static str {
    one(seat, change).unwrap_err().vendor_code().map_or("none", |code| code.name())
}

/// What became of several changes, a word each.
fn outcomes(seat: &Seat, changes: &[RecordChange], on_failure: OnFailure) -> String {
    let word = |outcome: &ChangeOutcome| match outcome {
        ChangeOutcome::Made(_) => "made",
        ChangeOutcome::Failed(_) => "failed",
        ChangeOutcome::Undone => "undone",
        ChangeOutcome::NotTried => "not tried",
    };
    let outcomes = seat.change(changes, on_failure).unwrap();
    outcomes.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// A record without a key gets one of 16 characters, and its defaults; a read-only value is dropped, and the caller hears of it.
#[test]
fn a_new_record_has_a_key_and_its_defaults() {
    let yard = Yard::new();
    let made = one(
        &yard.owner(),
        create(
            "yard_jobs",
            json!({"title": "new", "hours": "12", "ready": 1, "fixed": "x", "due": "2026-05-06T10:00:00Z"}),
        ),
    );
    let made = made.unwrap();
    assert_eq!(made.id.len(), 16);
    assert_eq!(made.dropped.len(), 1, "{:?}", made.dropped);
    assert_eq!((made.dropped[0].field.as_str(), made.dropped[0].reason), ("fixed", DropReason::Readonly));
    let rest = format!("FROM yard_jobs WHERE id = '{}'", made.id);
    assert_eq!(yard.stored("title, hours, ready, state, due, fixed", &rest), ["new|12.0|1|open|2026-05-06|NULL"]);
}

/// `readonlyWhen`: the value is dropped without a word to anybody but the caller.
#[test]
fn a_sealed_value_is_dropped() {
    let yard = Yard::new();
    let changed = one(&yard.owner(), update("j2", json!({"sealed": "new", "title": "later"}))).unwrap();
    assert_eq!(changed.dropped[0].reason, DropReason::ReadonlyWhen);
    assert_eq!(yard.stored("title, sealed", "FROM yard_jobs WHERE id = 'j2'"), ["later|x2"]);
}

/// All that is wrong with a record is said at once, each with its field (reference, section 9).
#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let yard = Yard::new();
    let before = yard.all();
    let error = one(&yard.owner(), create("yard_jobs", json!({"hours": 1000, "state": "lost", "ready": "perhaps"})))
        .unwrap_err();
    assert_eq!(error.vendor_code().unwrap().name(), "VALIDATION_FAILED");
    let mut faults: Vec<(&str, &str)> = error.faults().iter().map(|fault| (fault.field.as_str(), fault.code)).collect();
    faults.sort_unstable();
    assert_eq!(
        faults,
        [("hours", "max_value"), ("ready", "invalid_boolean"), ("state", "invalid_option"), ("title", "required")]
    );
    assert_eq!(yard.all(), before);
}

/// Which code a refusal has (reference, sections 6 and 9).
#[test]
fn refusals_have_the_codes_of_objectstack() {
    let yard = Yard::new();
    let (owner, clerk, reader) = (yard.owner(), yard.clerk(), yard.reader());
    let before = yard.all();
    for (seat, change, expected) in [
        (&owner, update("none", json!({"title": "x"})), "RECORD_NOT_FOUND"),
        (&owner, update("none", json!({"id": "j1", "title": "x"})), "RECORD_NOT_FOUND"),
        (&owner, update("j1", json!({"id": "j3", "title": "x"})), "UPDATE_ID_MISMATCH"),
        (&owner, update("j1", json!({"id": ["j1"], "title": "x"})), "UPDATE_ID_MISMATCH"),
        (&owner, upsert("j1", json!({"id": "j3", "title": "x"})), "UPDATE_ID_MISMATCH"),
        (&owner, upsert("new", json!({"hours": 1})), "VALIDATION_FAILED"),
        (&clerk, upsert("j2", json!({"title": "x"})), "PERMISSION_DENIED"),
        (&reader, upsert("j1", json!({"title": "x"})), "PERMISSION_DENIED"),
        // A right is asked for before rules are, and rules before references.
        (&clerk, create("yard_jobs", json!({"title": "", "region": "us"})), "PERMISSION_DENIED"),
        (&owner, update("none", json!({"crew": "none"})), "RECORD_NOT_FOUND"),
        (&owner, delete("none"), "RECORD_NOT_FOUND"),
        (&owner, update("j1", json!({"nothing": 1})), "INVALID_FIELD"),
        (&owner, update("j1", json!({"double": 1})), "INVALID_FIELD"),
        (&owner, update("j1", json!({"hours": 13})), "VALIDATION_FAILED"),
        (&owner, update("j1", json!({"crew": "none"})), "VALIDATION_FAILED"),
        (&owner, update("j1", json!({"title": ""})), "VALIDATION_FAILED"),
        (&owner, create("yard_jobs", json!({"id": "j1", "title": "x"})), "UNIQUE_VIOLATION"),
        (&owner, create("yard_jobs", json!({"title": "x", "code": "k1"})), "UNIQUE_VIOLATION"),
        (&owner, create("yard_crews", json!({"name": "x", "code": "N"})), "UNIQUE_VIOLATION"),
        (&owner, delete("j2"), "DELETE_RESTRICTED"),
        (&owner, create("yard_nothing", json!({})), "OBJECT_NOT_FOUND"),
        // A record that is hidden is like one that is not there.
        (&clerk, update("j2", json!({"title": "x"})), "RECORD_NOT_FOUND"),
        (&clerk, update("j2", json!({"crew": "none"})), "RECORD_NOT_FOUND"),
        (&clerk, delete("j2"), "RECORD_NOT_FOUND"),
        (&clerk, update("none", json!({"title": "x"})), "RECORD_NOT_FOUND"),
        (&clerk, update("j1", json!({"region": "us"})), "PERMISSION_DENIED"),
        (&clerk, update("j1", json!({"secret": "x"})), "PERMISSION_DENIED"),
        (&clerk, create("yard_jobs", json!({"title": "x", "region": "us"})), "PERMISSION_DENIED"),
        (&reader, update("j1", json!({"title": "x"})), "PERMISSION_DENIED"),
        (&reader, delete("j1"), "PERMISSION_DENIED"),
    ] {
        let shown = format!("{change:?}");
        assert_eq!(code(seat, change), expected, "{shown}");
        assert_eq!(yard.all(), before, "{shown}");
    }
}

/// Writing back a masked value would store the mask (reference, 6.9).
#[test]
fn a_masked_value_is_not_written_back() {
    let yard = Yard::new();
    let before = yard.all();
    assert!(one(&yard.owner(), update("j1", json!({"card": "************1111"}))).is_err());
    assert_eq!(yard.all(), before);
}

/// Several changes: all or none, up to the first that fails, or each for itself.
#[test]
fn several_changes_end_as_it_was_asked_for() {
    let changes = |title: &str| {
        [
            update("j1", json!({"title": title})),
            update("none", json!({"title": title})),
            update("j3", json!({"title": title})),
        ]
    };
    for (on_failure, expected, stored) in [
        (OnFailure::UndoAll, "undone, failed, not tried", ["roof", "door"]),
        (OnFailure::Stop, "made, failed, not tried", ["x", "door"]),
        (OnFailure::Continue, "made, failed, made", ["x", "x"]),
    ] {
        let yard = Yard::new();
        assert_eq!(outcomes(&yard.owner(), &changes("x"), on_failure), expected);
        assert_eq!(yard.stored("title", "FROM yard_jobs WHERE id <> 'j2' ORDER BY id"), stored, "{on_failure:?}");
    }
}

/// Inside of a transaction they are stored with it, and one that fails leaves it usable.
#[test]
fn changes_of_records_are_part_of_a_transaction() {
    let yard = Yard::new();
    let owner = yard.owner();
    assert_eq!(owner.run("BEGIN"), "BEGIN");
    let changes = [
        update("j1", json!({"title": "x"})),
        update("none", json!({"title": "x"})),
        update("j3", json!({"title": "y"})),
    ];
    assert_eq!(outcomes(&owner, &changes, OnFailure::Continue), "made, failed, made");
    assert_eq!(yard.stored("title", "FROM yard_jobs WHERE id = 'j1'"), ["roof"], "not yet");
    assert_eq!(owner.run("COMMIT"), "COMMIT");
    assert_eq!(yard.stored("title", "FROM yard_jobs WHERE id <> 'j2' ORDER BY id"), ["x", "y"]);
    assert_eq!(owner.run("BEGIN READ ONLY"), "BEGIN");
    assert_eq!(owner.change(&[delete("j3")], OnFailure::UndoAll).unwrap_err().code().sqlstate(), "25006");
}

/// What follows of a deleted record follows here, too.
#[test]
fn a_deleted_record_takes_its_details_along() {
    let yard = Yard::new();
    let gone = one(&yard.owner(), delete("j1")).unwrap();
    assert_eq!((gone.id.as_str(), gone.record.is_none()), ("j1", true));
    assert_eq!(yard.stored("id", "FROM yard_steps"), ["s3"]);
    assert_eq!(yard.stored("jobs, hours", "FROM yard_crews WHERE id = 'c1'"), ["1.0|3.0"]);
}

/// A record is changed where there is one of its key, its own key among the values or not, and added otherwise.
#[test]
fn an_upsert_changes_or_adds() {
    let yard = Yard::new();
    let owner = yard.owner();
    for (changed, stored) in [
        (upsert("j1", json!({"id": "j1", "title": "roof 2"})), "j1|roof 2"),
        (upsert("n1", json!({"title": "first"})), "n1|first"),
        (upsert("n1", json!({"title": "again"})), "n1|again"),
        // The key of a new record is that among its values.
        (upsert("other", json!({"id": "n2", "title": "own"})), "n2|own"),
    ] {
        let id = one(&owner, changed).unwrap().id;
        assert_eq!(yard.stored("id, title", &format!("FROM yard_jobs WHERE id = '{id}'")), [stored]);
    }
    assert_eq!(yard.stored("id", "FROM yard_jobs WHERE id = 'other'"), Vec::<String>::new());
    let both = [upsert("n3", json!({"title": "x"})), upsert("j1", json!({"hours": 1000}))];
    assert_eq!(outcomes(&owner, &both, OnFailure::UndoAll), "undone, failed");
    assert_eq!(yard.stored("id", "FROM yard_jobs WHERE id = 'n3'"), Vec::<String>::new());
}

/// Rows of one change: a field that there is not is answered before the faults of the rows before it.
#[test]
fn of_several_new_records_an_unknown_field_is_told_first() {
    let yard = Yard::new();
    let before = yard.all();
    let records =
        [create("yard_jobs", json!({"hours": 1000})), create("yard_jobs", json!({"title": "x", "nothing": 1}))];
    assert_eq!(outcomes(&yard.owner(), &records, OnFailure::AsOne), "not tried, failed");
    assert_eq!(outcomes(&yard.owner(), &records, OnFailure::UndoAll), "failed, not tried");
    assert_eq!(outcomes(&yard.reader(), &records, OnFailure::AsOne), "failed, not tried");
    assert_eq!(yard.all(), before);
    let two = ["a", "b"].map(|title| create("yard_jobs", json!({"title": title})));
    assert_eq!(outcomes(&yard.owner(), &two, OnFailure::AsOne), "made, made");
}

/// A yard with crates, whose keys are numbers. The clerk sees those of the region `eu`: 1 and not 2.
fn with_crates() -> Yard {
    let yard = Yard::new();
    yard.store(
        "CREATE TABLE yard_crates(id BIGINT PRIMARY KEY NOT NULL, region TEXT, inside BIGINT, near LIST_TEXT, pieces BIGINT)",
    );
    yard.store("INSERT INTO yard_crates(id, region) VALUES (1, 'eu'), (2, 'us')");
    yard.replace(|mut stack| {
        let fields = json!({
            "id": {"type": "number"}, "region": {"type": "text", "label": "Region"},
            "inside": {"type": "lookup", "label": "Inside", "reference": "yard_crates"},
            "near": {"type": "lookup", "label": "Near", "reference": "yard_crates", "multiple": true},
            "pieces": {"type": "number", "label": "Pieces"}
        });
        stack["objects"].as_array_mut().unwrap().push(json!({
            "name": "yard_crates", "label": "Crate", "sharingModel": "public_read_write", "access": {"default": "private"},
            "ownership": "none", "tenancy": {"enabled": false}, "systemFields": false, "fields": fields
        }));
        let types = json!({"id": "bigint", "inside": "bigint", "pieces": "bigint"});
        stack["querygate"] = json!({"tables": {"yard_crates": {"columnTypes": types, "primaryKey": ["id"]}}});
        let clerk = &mut stack["permissions"][1];
        clerk["objects"]["yard_crates"] = json!({"allowRead": true, "allowCreate": true, "allowEdit": true});
        let rule = json!({"name": "own_crates", "object": "yard_crates", "operation": "all", "using": "region == 'eu'",
            "check": "region == 'eu'"});
        clerk["rowLevelSecurity"].as_array_mut().unwrap().push(rule);
        stack
    });
    yard
}

/// Codes and messages of the faults that a change is refused with.
fn faults(seat: &Seat, change: RecordChange) -> Vec<(&'static str, String)> {
    let error = one(seat, change).unwrap_err();
    error.faults().iter().map(|fault| (fault.code, fault.message.clone())).collect()
}

/// Values of a new crate of the clerk's region.
fn crate_with(given: Value) -> Map<String, Value> {
    let mut all = values(json!({"id": 10, "region": "eu"}));
    all.extend(values(given));
    all
}

fn of_crates(action: RecordAction) -> RecordChange {
    RecordChange::new("yard_crates".to_owned(), action)
}

/// A record that is hidden is like one that is not there, however its number is written.
#[test]
fn a_reference_is_looked_for_as_it_will_be_stored() {
    let yard = with_crates();
    let clerk = yard.clerk();
    let stored = || yard.stored("id, region, inside, near", "FROM yard_crates ORDER BY id");
    let before = stored();
    for (written, number) in [
        (json!(2), 2),
        (json!(2.0), 2),
        (json!("2"), 2),
        (json!(" 2.0 "), 2),
        (json!(777), 777),
        (json!(777.0), 777),
        (json!("777"), 777),
        (json!("7.77e2"), 777),
    ] {
        let absent = [("reference_not_found", format!("Inside: no yard_crates record has id \"{number}\""))];
        let given = || json!({"inside": written.clone()});
        let insert = RecordAction::Create { values: crate_with(given()) };
        let update = RecordAction::Update { id: "1".to_owned(), values: values(given()), expected_version: None };
        let changing = RecordAction::Upsert { id: "1".to_owned(), values: values(given()) };
        let adding = RecordAction::Upsert { id: "10".to_owned(), values: crate_with(given()) };
        for action in [insert.clone(), update, changing, adding] {
            let change = of_crates(action);
            assert_eq!(faults(&clerk, change.clone()), absent, "{change:?}");
        }
        let several = [of_crates(insert)];
        assert_eq!(outcomes(&clerk, &several, OnFailure::AsOne), "failed");
        assert_eq!(outcomes(&clerk, &several, OnFailure::Continue), "failed");
        assert_eq!(stored(), before, "{written}");
    }
}

/// What is no key is refused by the field, and of a list each member is looked for.
#[test]
fn a_reference_takes_keys_alone() {
    let yard = with_crates();
    let (clerk, owner) = (yard.clerk(), yard.owner());
    let all = || yard.stored("id", "FROM yard_crates ORDER BY id");
    for (given, code) in [
        (json!({"inside": true}), "invalid_type"),
        (json!({"inside": [1]}), "invalid_number"),
        (json!({"inside": {"id": 1}}), "invalid_number"),
        (json!({"inside": "x"}), "invalid_number"),
        (json!({"inside": 1.5}), "max_scale"),
        (json!({"id": 10.5}), "max_scale"),
        (json!({"pieces": 5.5}), "max_scale"),
        (json!({"pieces": true}), "invalid_number"),
        (json!({"pieces": 9_223_372_036_854_775_808_u64}), "max_value"),
        (json!({"near": [1]}), "invalid_type"),
        (json!({"near": ["1", "2"]}), "reference_not_found"),
        (json!({"near": ["x"]}), "reference_not_found"),
    ] {
        let change = of_crates(RecordAction::Create { values: crate_with(given.clone()) });
        assert_eq!(faults(&clerk, change)[0].0, code, "{given}");
        assert_eq!(all(), ["1", "2"], "{given}");
    }
    // Who sees it refers to it, and what is there is stored as a number.
    for (id, seat, written, expected) in [
        (20, &clerk, json!(1.0), "1"),
        (21, &clerk, json!("1"), "1"),
        (22, &owner, json!(2), "2"),
        (23, &clerk, json!(null), "NULL"),
        (24, &clerk, json!(""), "NULL"),
    ] {
        let given = crate_with(json!({"id": id, "inside": written.clone()}));
        one(seat, of_crates(RecordAction::Create { values: given })).unwrap();
        assert_eq!(yard.stored("inside", &format!("FROM yard_crates WHERE id = {id}")), [expected], "{written}");
    }
}

/// SQL looks for the members of lists, too.
#[test]
fn statements_refer_to_records_that_are_seen() {
    let yard = with_crates();
    let clerk = yard.clerk();
    for (sql, expected) in [
        ("INSERT INTO crates (id, region, inside) VALUES (30, 'eu', 2)", "23503"),
        ("INSERT INTO crates (id, region, inside) VALUES (30, 'eu', 777)", "23503"),
        ("UPDATE crates SET inside = 2 WHERE id = 1", "23503"),
        ("INSERT INTO crates (id, region, near) VALUES (30, 'eu', ARRAY['1', '2'])", "23503"),
        ("INSERT INTO crates (id, region, near) VALUES (30, 'eu', ARRAY['x'])", "23503"),
        ("INSERT INTO crates (id, region, inside, near) VALUES (30, 'eu', 1, ARRAY['1'])", "00000"),
    ] {
        assert_eq!(clerk.code(sql), expected, "{sql}: {}", clerk.run(sql));
    }
}
