//! Tests of what scripts are shown of a change: what was sent, what is to be stored, and how their rows are called.

use crate::testing::Yard;
use querygate_query_api::requests::record_change::{OnFailure, RecordAction, RecordChange};
use serde_json::json;

/// With a script before updates of an object.
fn yard(object: &'static str, source: &'static str) -> Yard {
    let yard = Yard::new();
    yard.replace(move |mut stack| {
        let body = json!({"language": "js", "source": source});
        stack["hooks"] = json!([{"name": "h", "object": object, "events": ["beforeUpdate"], "body": body}]);
        stack
    });
    yard
}

/// A value that is not stored is no part of what is to be stored, and stays to be read.
#[test]
fn an_update_shows_what_was_sent_beside_what_is_to_be_stored() {
    let keys = "const keys = (row) => Object.keys(row).sort().join(); \
                ctx.input.secret = keys(ctx.input) + '|' + keys(ctx.submitted) + '|' + ctx.submitted.fixed";
    let yard = yard("yard_jobs", keys);
    let values = json!({"title": "attic", "fixed": "sent"}).as_object().unwrap().clone();
    let action = RecordAction::Update { id: "j1".to_owned(), values, expected_version: None };
    yard.owner().change(&[RecordChange::new("yard_jobs".to_owned(), action)], OnFailure::UndoAll).unwrap();
    let stored = yard.stored("title, fixed, secret", "FROM yard_jobs WHERE id = 'j1'");
    assert_eq!(stored, ["attic|f1|title|fixed,title|sent"]);
    // By a statement no such value is sent.
    assert_eq!(yard.owner().run("UPDATE jobs SET hours = 1 WHERE id = 'j1'"), "UPDATE 1");
    assert_eq!(yard.stored("secret", "FROM yard_jobs WHERE id = 'j1'"), ["hours|hours|undefined"]);
}

#[test]
fn what_follows_of_a_change_is_changed_record_by_record() {
    let yard = yard("yard_notes", "ctx.input.words = ctx.dispatch.mode + ctx.dispatch.index");
    yard.store("UPDATE yard_notes SET job = 'j1'");
    let words = || {
        let mut words = yard.stored("words", "FROM yard_notes");
        words.sort_unstable();
        words
    };
    yard.owner().says(&[("UPDATE notes SET words = 'x'", "UPDATE 3")]);
    assert_eq!(words(), ["per-row0", "per-row1", "per-row2"]);
    yard.owner().says(&[("DELETE FROM jobs WHERE id = 'j1'", "DELETE 1")]);
    assert_eq!(words(), ["record0", "record0", "record0"]);
}

/// A crew has two roll-ups of its jobs.
#[test]
fn a_master_is_updated_once_for_each_of_its_roll_ups() {
    let yard = yard("yard_crews", "ctx.input.code = String(Number(ctx.previous.code) + 1)");
    yard.store("UPDATE yard_crews SET code = CASE id WHEN 'c1' THEN '0' ELSE '100' END");
    yard.owner().says(&[("INSERT INTO jobs (id, title, crew, hours) VALUES ('a1', 'x', 'c1', 1)", "INSERT 0 1")]);
    let stored = yard.stored("code, jobs, hours", "FROM yard_crews ORDER BY id");
    assert_eq!(stored, ["2|3.0|9.0", "100|1.0|0.0"]);
}
