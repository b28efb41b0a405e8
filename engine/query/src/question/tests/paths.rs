//! Fields of records that a question's records refer to: read as the reader sees them, by joins.

use super::{answer, code, count, group, sum};
use crate::testing::{Seat, Yard};
use querygate_query_api::requests::question::{Aggregation, Bucket, OrderKey, Question};
use serde_json::json;

/// A question about groups of notes, whose names may be paths.
fn notes(edit: impl FnOnce(&mut Question)) -> Question {
    let aggregations = vec![count("n")];
    let mut question = Question { object: "yard_notes".to_owned(), paths: true, aggregations, ..Question::default() };
    edit(&mut question);
    question
}

/// Notes by one key, which orders them.
fn by(key: &str, bucket: Option<Bucket>) -> Question {
    notes(|question| {
        question.group_by = vec![group(key, bucket)];
        question.order = vec![OrderKey { field: key.to_owned(), descending: false }];
    })
}

/// A job that is hidden from the clerk, and none at all, are one group.
#[test]
fn groups_are_of_what_the_reader_sees_of_the_related_records() {
    let yard = Yard::new();
    let (clerk, owner) = (yard.clerk(), yard.owner());
    for (question, expected, narrowed) in [
        (by("job.region", None), "NULL|1; eu|1; us|1", "NULL|2; eu|1"),
        (by("job.due", Some(Bucket::Month)), "NULL|1; 2026-01|1; 2026-02|1", "NULL|2; 2026-01|1"),
        (by("job.crew.name", None), "NULL|1; North|2", "NULL|2; North|1"),
        (by("job.id", None), "NULL|1; j1|1; j2|1", "NULL|2; j1|1"),
        (notes(|question| question.aggregations = vec![sum("job.hours", "h"), count("n")]), "8.0|3", "5.0|3"),
        (notes(|question| question.filter = Some(json!({"job.region": "us"}))), "1", "0"),
        // No region is another one than `eu`, as of a field of the notes.
        (notes(|question| question.filter = Some(json!({"job.region": {"$ne": "eu"}}))), "2", "2"),
        (
            notes(|question| {
                let filter = Some(json!({"job.crew.code": "N", "words": {"$null": false}}));
                question.aggregations = vec![Aggregation { filter, ..count("n") }, count("all")];
            }),
            "2|3",
            "1|3",
        ),
    ] {
        assert_eq!(answer(&owner, &question), expected, "{question:?}");
        assert_eq!(answer(&clerk, &question), narrowed, "{question:?}");
    }
}

/// A path is looked up step by step; what is hidden behind it is refused as an own field is.
#[test]
fn paths_lead_along_references_of_fields_that_are_seen() {
    let yard = Yard::new();
    let (clerk, owner) = (yard.clerk(), yard.owner());
    let codes = |seat: &Seat, name: &str| {
        let filtered = notes(|question| question.filter = Some(json!({name: "x"})));
        [code(seat, &by(name, None)), code(seat, &filtered)]
    };
    for name in ["job.nope", "words.region", "job.region.name", "nope.region", "job.", ".region", "job.crew.name.x.y"] {
        assert_eq!(codes(&owner, name), ["INVALID_FIELD"; 2], "{name}");
    }
    assert_eq!(code(&owner, &by("job.double", None)), "INVALID_FIELD", "a formula is no key of groups");
    assert_eq!(codes(&clerk, "job.secret"), ["PERMISSION_DENIED"; 2]);
    assert_eq!(codes(&owner, "job.card"), ["PERMISSION_DENIED"; 2], "it is masked");
    let own = Question { paths: false, ..by("job.region", None) };
    assert_eq!(code(&owner, &own), "INVALID_FIELD", "who asks did not ask for paths");
}

/// The rights on the object behind a reference are asked for with each version of the rights.
#[test]
fn an_object_that_is_not_read_has_no_fields_to_be_named() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    assert_eq!(answer(&clerk, &by("job.region", None)), "NULL|2; eu|1");
    yard.replace(|mut stack| {
        stack["permissions"][1]["objects"].as_object_mut().unwrap().remove("yard_jobs");
        stack
    });
    assert_eq!(code(&clerk, &by("job.region", None)), "INVALID_FIELD");
}

/// Where one source has both objects it joins them.
#[test]
fn a_source_is_asked_for_the_groups_and_not_for_the_records() {
    let owner = Yard::new().owner();
    answer(&owner, &by("job.region", None));
    let found = owner
        .run("SELECT count(*) > 0, count(*) FILTER (WHERE receipt ILIKE '%kept: %join%') FROM querygate.fragments");
    assert_eq!(found, "true|0");
}
