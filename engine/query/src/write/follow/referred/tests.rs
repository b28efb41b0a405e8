//! Tests of validations that read the record which a row refers to (ObjectStack 17.5, "Rules that read related records").

use crate::testing::{Seat, Yard};
use querygate_query_api::requests::record_change::{ChangeOutcome, OnFailure, RecordAction, RecordChange};
use serde_json::{Value, json};

const NO: &str = "No words on jobs that are done";

/// Notes of jobs that are done have no words. The rule is asked of notes that refer to a job.
fn rule() -> Value {
    json!({"name": "quiet", "type": "conditional", "message": "m", "when": "record.job != null", "then":
        {"name": "done", "type": "script", "message": NO,
         "condition": "record.job.state == 'done' && record.words != null"}})
}

fn yard(validation: fn() -> Value) -> Yard {
    let yard = Yard::new();
    yard.replace(move |mut stack| {
        stack["objects"][3]["validations"] = json!([validation()]);
        stack
    });
    yard
}

fn created(seat: &Seat, values: &Value) -> Result<(), (String, String)> {
    let action = RecordAction::Create { values: values.as_object().unwrap().clone() };
    let change = RecordChange::new("yard_notes".to_owned(), action);
    match seat.change(&[change], OnFailure::UndoAll).unwrap().pop() {
        Some(ChangeOutcome::Made(_)) => Ok(()),
        Some(ChangeOutcome::Failed(error)) => {
            let fault = &error.faults()[0];
            Err((format!("{}:{}", fault.field, fault.code), fault.message.clone()))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_are_judged_by_the_records_that_they_refer_to() {
    let yard = yard(rule);
    let owner = yard.owner();
    let refused = format!("23514 {NO}");
    owner.says(&[
        ("INSERT INTO notes (id, job, words) VALUES ('a1', 'j1', 'x')", "INSERT 0 1"),
        ("INSERT INTO notes (id, job, words) VALUES ('a2', 'j2', 'x')", &refused),
        ("INSERT INTO notes (id, job, words) VALUES ('a2', 'j2', NULL)", "INSERT 0 1"),
        ("INSERT INTO notes (id, job, words) VALUES ('a3', NULL, 'x')", "INSERT 0 1"),
        ("INSERT INTO notes (id, job, words) VALUES ('a4', 'j1', 'x'), ('a5', 'j3', 'x'), ('a6', 'j2', 'x')", &refused),
        ("INSERT INTO notes (id, job, words) SELECT 'a7', id, title FROM jobs WHERE id = 'j2'", &refused),
        ("UPDATE notes SET words = 'y' WHERE id = 'a1'", "UPDATE 1"),
        ("UPDATE notes SET words = 'y' WHERE id = 'a2'", &refused),
        ("UPDATE notes SET job = 'j2' WHERE id = 'a1'", &refused),
        ("UPDATE notes SET job = 'j1', words = 'y' WHERE id = 'a2'", "UPDATE 1"),
        ("INSERT INTO notes (id, job, words) VALUES ('a1', 'j2', 'z') ON CONFLICT (id) DO UPDATE SET job = 'j2'", &refused),
        (
            "MERGE INTO notes n USING (VALUES ('a1', 'j2')) AS s(id, j) ON s.id = n.id WHEN MATCHED THEN UPDATE SET job = s.j",
            &refused,
        ),
    ]);
    let prepared = owner.prepare("UPDATE notes SET words = $1 WHERE id = $2").unwrap();
    for (id, expected) in [("a1", "UPDATE 1"), ("n2", refused.as_str()), ("a1", "UPDATE 1")] {
        assert_eq!(owner.execute(&prepared, &[Some("again"), Some(id)]), expected, "{id}");
    }
}

/// What the transaction itself has changed is seen.
#[test]
fn records_of_the_own_transaction_are_read() {
    let yard = yard(rule);
    let owner = yard.owner();
    let refused = format!("23514 {NO}");
    owner.says(&[
        ("BEGIN", "BEGIN"),
        ("INSERT INTO jobs (id, title) VALUES ('j9', 'new')", "INSERT 0 1"),
        ("INSERT INTO notes (id, job, words) VALUES ('a1', 'j9', 'x')", "INSERT 0 1"),
        ("UPDATE jobs SET state = 'done' WHERE id = 'j9'", "UPDATE 1"),
        ("INSERT INTO notes (id, job, words) VALUES ('a2', 'j9', 'x')", &refused),
        ("ROLLBACK", "ROLLBACK"),
        ("INSERT INTO notes (id, job, words) VALUES ('a1', 'j1', 'x')", "INSERT 0 1"),
    ]);
}

/// A reference to nothing, or to a record that is gone, leaves the rule without an answer: nothing is stored.
#[test]
fn without_a_record_there_is_no_answer() {
    let yard = yard(|| {
        json!({"name": "done", "type": "script", "message": NO,
            "condition": "record.words != null && record.job.state == 'done'"})
    });
    let unknown =
        "23514 Validation rule 'done' could not be evaluated (there is no record that it refers to) — write rejected.";
    yard.store("INSERT INTO yard_notes VALUES ('n9', 'j0', NULL)");
    yard.owner().says(&[
        ("INSERT INTO notes (id, job, words) VALUES ('a1', NULL, NULL)", unknown),
        ("UPDATE notes SET words = 'x' WHERE id = 'n9'", unknown),
        ("UPDATE notes SET words = NULL WHERE id = 'n3'", unknown),
        ("UPDATE notes SET job = 'j1' WHERE id = 'n3'", "UPDATE 1"),
    ]);
    // A job that goes would leave such a note behind.
    yard.refuses(&yard.owner(), &[("DELETE FROM jobs WHERE id = 'j1'", "23503")]);
}

/// The verdict does not depend on what the writer sees, but a record that it cannot name tells it nothing.
#[test]
fn stored_references_are_read_and_hidden_ones_are_not_probed() {
    let yard = yard(rule);
    let clerk = yard.clerk();
    // The note stands at a job of another region, which the clerk does not read.
    assert_eq!(clerk.run("UPDATE notes SET words = 'x' WHERE id = 'n2'"), format!("23514 {NO}"));
    let absent = |id: &str| {
        let told = format!("Job: no yard_jobs record has id \"{id}\"");
        Err::<(), _>(("job:reference_not_found".to_owned(), told))
    };
    for (job, words) in [("j2", "x"), ("j0", "x")] {
        assert_eq!(created(&clerk, &json!({"id": "a1", "job": job, "words": words})), absent(job), "{job}");
        let sql = format!("INSERT INTO notes (id, job, words) VALUES ('a1', '{job}', '{words}')");
        assert_eq!(clerk.code(&sql), "23503", "{job}");
    }
    assert_eq!(created(&clerk, &json!({"id": "a1", "job": "j1", "words": "x"})), Ok(()));
    let found = created(&yard.owner(), &json!({"id": "a2", "job": "j2", "words": "x"}));
    assert_eq!(found.unwrap_err(), ("_record:rule_violation".to_owned(), NO.to_owned()));
    let words = yard.stored("words", "FROM yard_notes WHERE id IN ('n2', 'a2')");
    assert_eq!(words, ["cold"], "nothing was stored");
}

/// A roll-up is an update of its record, which may refer to others.
#[test]
fn roll_ups_are_judged_by_what_their_record_refers_to() {
    let yard = Yard::new();
    yard.replace(|mut stack| {
        stack["objects"][0]["fields"]["code"]["type"] = json!("lookup");
        stack["objects"][0]["fields"]["code"]["reference"] = json!("yard_tokens");
        stack["objects"][0]["validations"] = json!([{"name": "r", "type": "script", "message": "r",
            "condition": "record.code.words == 'seventh' && record.jobs > 1"}]);
        stack
    });
    yard.store("UPDATE yard_crews SET code = CASE id WHEN 'c1' THEN 't1' ELSE 't7' END");
    let owner = yard.owner();
    owner.says(&[("INSERT INTO jobs (id, title, crew) VALUES ('a1', 'x', 'c1')", "INSERT 0 1")]);
    yard.refuses(&owner, &[("INSERT INTO jobs (id, title, crew) VALUES ('a2', 'x', 'c2')", "23514")]);
}
