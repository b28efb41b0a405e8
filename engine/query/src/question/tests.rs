//! Tests of questions about records, as ObjectStack's QueryAST has them (reference, section 5): what is answered, and what is refused
//! with which code.

mod paths;

use crate::testing::{Seat, Yard};
use querygate_query_api::requests::question::{
    AggregateFunction, Aggregation, AnswerForm, Bucket, GroupKey, OrderKey, Question,
};
use serde_json::{Value, json};

/// A question about jobs, with this edited.
fn jobs(edit: impl FnOnce(&mut Question)) -> Question {
    let mut question = Question { object: "yard_jobs".to_owned(), ..Question::default() };
    question.fields = Some(vec!["id".to_owned()]);
    question.order = vec![OrderKey { field: "id".to_owned(), descending: false }];
    edit(&mut question);
    question
}

fn filtered(filter: Value) -> Question {
    jobs(|question| question.filter = Some(filter))
}

fn answer(seat: &Seat, question: &Question) -> String {
    seat.ask(question, AnswerForm::Records).unwrap_or_else(|error| panic!("{question:?}: {error}"))
}

/// ObjectStack's code of a refusal.
fn code(seat: &Seat, question: &Question) -> &'static str {
    let error = seat.ask(question, AnswerForm::Records).unwrap_err();
    error.vendor_code().map_or("none", |code| code.name())
}

fn sum(field: &str, alias: &str) -> Aggregation {
    let (field, alias) = (Some(field.to_owned()), alias.to_owned());
    Aggregation { function: AggregateFunction::Sum, field, alias, filter: None }
}

fn count(alias: &str) -> Aggregation {
    Aggregation { function: AggregateFunction::Count, field: None, alias: alias.to_owned(), filter: None }
}

fn group(field: &str, bucket: Option<Bucket>) -> GroupKey {
    GroupKey { field: field.to_owned(), bucket, alias: None }
}

/// Nulls: `$ne` and `$nin` pass them, comparisons do not (reference, 5: "nulls pass `!=`").
#[test]
fn filters_mean_what_objectstack_means() {
    let seat = Yard::new().owner();
    for (filter, expected) in [
        (json!({}), "j1; j2; j3"),
        (json!({"id": "j1"}), "j1"),
        (json!({"hours": {"$gt": 3}}), "j1"),
        (json!({"hours": {"$gte": 3, "$lt": 5}}), "j2"),
        (json!({"hours": {"$ne": 5}}), "j2; j3"),
        (json!({"hours": null}), "j3"),
        (json!({"hours": {"$null": false}}), "j1; j2"),
        (json!({"region": {"$in": ["us", "none"]}}), "j2"),
        (json!({"region": {"$in": []}}), ""),
        (json!({"code": {"$nin": ["k1"]}}), "j2; j3"),
        (json!({"$or": [{"id": "j1"}, {"title": {"$startsWith": "do"}}]}), "j1; j3"),
        (json!({"$and": [{"region": "eu"}, {"hours": 5}]}), "j1"),
        (json!({"$not": {"region": "eu"}}), "j2"),
        (json!({"title": {"$contains": "oo"}}), "j1; j3"),
        (json!({"due": {"$lt": "2026-02-01"}}), "j1"),
        (json!({"ready": true}), "j1"),
        (json!({"$or": []}), ""),
        (json!({"$and": []}), "j1; j2; j3"),
    ] {
        assert_eq!(answer(&seat, &filtered(filter.clone())), expected, "{filter}");
    }
}

/// Names and operators are looked up before anything is read; each refusal has ObjectStack's code.
#[test]
fn what_cannot_be_asked_is_refused_with_its_code() {
    let seat = Yard::new().owner();
    for (question, expected) in [
        (filtered(json!({"nothing": 1})), "INVALID_FIELD"),
        (filtered(json!({"crew.name": "x"})), "INVALID_FIELD"),
        (filtered(json!({"double": 1})), "INVALID_FIELD"),
        (jobs(|question| question.fields = Some(vec!["nothing".to_owned()])), "INVALID_FIELD"),
        (
            jobs(|question| question.order = vec![OrderKey { field: "nothing".to_owned(), descending: true }]),
            "INVALID_SORT",
        ),
        (
            jobs(|question| question.order = vec![OrderKey { field: "double".to_owned(), descending: true }]),
            "INVALID_SORT",
        ),
        (jobs(|question| question.object = "yard_nothing".to_owned()), "OBJECT_NOT_FOUND"),
        (jobs(|question| question.group_by = vec![group("nothing", None)]), "INVALID_FIELD"),
        (jobs(|question| question.group_by = vec![group("title", Some(Bucket::Month))]), "INVALID_QUERY"),
        (jobs(|question| question.aggregations = vec![sum("due", "x")]), "INVALID_FIELD"),
        (jobs(|question| question.aggregations = vec![count("x"), count("x")]), "INVALID_QUERY"),
        (jobs(|question| question.aggregations = vec![count("")]), "INVALID_QUERY"),
        (jobs(|question| question.aggregations = vec![count("a\u{1}1")]), "INVALID_QUERY"),
        (
            jobs(|question| {
                question.group_by = vec![GroupKey { alias: Some("\u{1}1".to_owned()), ..group("region", None) }];
            }),
            "INVALID_QUERY",
        ),
        (
            jobs(|question| question.aggregations = vec![Aggregation { field: None, ..sum("hours", "x") }]),
            "INVALID_QUERY",
        ),
        (
            jobs(|question| question.order = vec![OrderKey { field: "id".to_owned(), descending: false }; 65]),
            "INVALID_QUERY",
        ),
        (
            jobs(|question| {
                question.order.clear();
                question.group_by = vec![group("region", None)];
                question.having = Some(json!({"nothing": 1}));
            }),
            "INVALID_FIELD",
        ),
        (
            jobs(|question| {
                question.search = Some("x ".repeat(33));
                question.search_fields = Some(vec!["title".to_owned()]);
            }),
            "INVALID_QUERY",
        ),
    ] {
        assert_eq!(code(&seat, &question), expected, "{question:?}");
    }
}

/// The predicate guard (reference, 6.8): a field that is hidden or masked for the caller stands in no filter, order, group, aggregation
/// or search. It is left out of the answer without a word.
#[test]
fn guarded_fields_are_in_no_condition() {
    let yard = Yard::new();
    let (clerk, owner) = (yard.clerk(), yard.owner());
    for field in ["secret", "card"] {
        let key = || vec![OrderKey { field: field.to_owned(), descending: false }];
        for question in [
            filtered(json!({field: "x"})),
            filtered(json!({"$or": [{"id": "j1"}, {"$not": {field: null}}]})),
            filtered(json!({field: {"$nothing": 1}})),
            jobs(|question| question.order = key()),
            jobs(|question| question.group_by = vec![group(field, None)]),
            jobs(|question| question.aggregations = vec![sum(field, "x")]),
            jobs(|question| {
                question.aggregations = vec![Aggregation { filter: Some(json!({field: "x"})), ..count("n") }]
            }),
            jobs(|question| {
                question.order.clear();
                question.aggregations = vec![count("n")];
                question.having = Some(json!({field: 1}));
            }),
            jobs(|question| {
                question.search = Some("x".to_owned());
                question.search_fields = Some(vec![field.to_owned()]);
            }),
        ] {
            assert_eq!(code(&clerk, &question), "PERMISSION_DENIED", "{question:?}");
        }
    }
    // Cards are masked for everybody, secrets are open to the owner.
    assert_eq!(code(&owner, &filtered(json!({"card": "x"}))), "PERMISSION_DENIED");
    assert_eq!(answer(&owner, &filtered(json!({"secret": "s1"}))), "j1");
    let shown = jobs(|question| question.fields = Some(vec!["id".to_owned(), "secret".to_owned(), "card".to_owned()]));
    assert_eq!(answer(&clerk, &shown), "j1|************1111; j3|NULL");
}

/// An object that is not to be read is one code, whether or not it is there for others.
#[test]
fn objects_that_are_not_read_are_refused() {
    let yard = Yard::new();
    let bills = jobs(|question| question.object = "yard_bills".to_owned());
    assert_eq!(code(&yard.reader(), &bills), "PERMISSION_DENIED");
    assert_eq!(answer(&yard.owner(), &bills), "b1");
}

/// Rows are those of the reader's policies, in groups and totals, too.
#[test]
fn answers_are_over_the_readers_rows() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    assert_eq!(answer(&clerk, &filtered(json!({}))), "j1; j3");
    assert_eq!(clerk.ask(&filtered(json!({})), AnswerForm::Total).unwrap(), "2");
    let grouped = jobs(|question| {
        question.order = vec![OrderKey { field: "region".to_owned(), descending: false }];
        question.group_by = vec![group("region", None)];
        question.aggregations = vec![count("n"), sum("hours", "h")];
    });
    assert_eq!(answer(&clerk, &grouped), "eu|2|5.0");
    assert_eq!(answer(&yard.owner(), &grouped), "eu|2|5.0; us|1|3.0");
}

/// ObjectStack's aggregates: a sum of nothing is 0, a bucket of dates is a text.
#[test]
fn groups_are_computed_as_in_objectstack() {
    let owner = Yard::new().owner();
    let by_month = jobs(|question| {
        question.group_by = vec![group("due", Some(Bucket::Month))];
        question.aggregations = vec![count("n")];
        question.order = vec![OrderKey { field: "due".to_owned(), descending: false }];
    });
    assert_eq!(answer(&owner, &by_month), "NULL|1; 2026-01|1; 2026-02|1", "nulls come first");
    for (bucket, expected) in
        [(Bucket::Year, "2026"), (Bucket::Quarter, "2026-Q1"), (Bucket::Week, "2026-W01"), (Bucket::Day, "2026-01-01")]
    {
        let one = jobs(|question| {
            question.order.clear();
            question.filter = Some(json!({"id": "j1"}));
            question.group_by = vec![group("due", Some(bucket))];
        });
        assert_eq!(answer(&owner, &one), expected, "{bucket:?}");
    }
    let nothing = jobs(|question| {
        question.order.clear();
        question.filter = Some(json!({"id": "none"}));
        question.aggregations = vec![count("n"), sum("hours", "h")];
    });
    assert_eq!(answer(&owner, &nothing), "0|0.0");
    let narrowed = jobs(|question| {
        question.order.clear();
        question.aggregations = vec![Aggregation { filter: Some(json!({"region": "us"})), ..count("n") }, count("all")];
        question.having = Some(json!({"all": {"$gt": 2}}));
    });
    assert_eq!(answer(&owner, &narrowed), "1|3");
}

/// Pages of equal keys do not overlap: the record's key is the last key of the order.
#[test]
fn pages_cover_each_record_once() {
    let owner = Yard::new().owner();
    let page = |offset| {
        answer(
            &owner,
            &jobs(|question| {
                question.order = vec![OrderKey { field: "state".to_owned(), descending: true }];
                (question.limit, question.offset) = (Some(1), Some(offset));
            }),
        )
    };
    assert_eq!([page(0), page(1), page(2), page(3)], ["j1", "j3", "j2", ""]);
    let descending = jobs(|question| question.order = vec![OrderKey { field: "hours".to_owned(), descending: true }]);
    assert_eq!(answer(&owner, &descending), "j1; j2; j3", "nulls come last in descending order");
}

/// Keys find records as they are; none of them is a token or a pattern.
#[test]
fn records_are_found_by_their_keys() {
    let owner = Yard::new().owner();
    let keys = |keys: &[&str]| {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        answer(&owner, &jobs(|question| question.keys = Some(keys)))
    };
    assert_eq!(keys(&["j3", "j1", "none"]), "j1; j3");
    assert_eq!(keys(&[]), "");
    assert_eq!(keys(&["{current_user}", "%", "' OR true --"]), "");
}

/// Every word is in one of the searched fields, whatever its case.
#[test]
fn a_search_finds_every_word() {
    let owner = Yard::new().owner();
    let search = |words: &str, fields: &[&str]| {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        let question = jobs(|question| {
            question.search = Some(words.to_owned());
            question.search_fields = Some(fields);
        });
        answer(&owner, &question)
    };
    assert_eq!(search("OO", &["title"]), "j1; j3");
    assert_eq!(search("oo eu", &["title", "region"]), "j1; j3");
    assert_eq!(search("oo us", &["title", "region"]), "");
    assert_eq!(search("done", &["state"]), "j2", "by the label of its option");
    assert_eq!(search("%", &["title"]), "", "a word is no pattern");
    assert_eq!(search("", &["title"]), "j1; j2; j3");
}

/// What a door describes: the fields that the reader sees, with what it may do with them.
#[test]
fn objects_are_described_as_their_reader_sees_them() {
    let yard = Yard::new();
    let describe = |seat: &Seat, name: &str| {
        let (session, name) = (std::sync::Arc::clone(&seat.session), name.to_owned());
        crate::testing::on_runtime(async move { session.object(&name).await })
    };
    let job = describe(&yard.clerk(), "yard_jobs").unwrap();
    assert_eq!((job.sql_name.as_str(), job.key.as_deref()), ("jobs", Some("id")));
    assert!(job.field("secret").is_none(), "it is hidden");
    let card = job.field("card").unwrap();
    assert!(card.is_masked && !job.field("title").unwrap().is_masked);
    assert!(job.field("double").unwrap().is_computed && job.field("title").unwrap().is_required);
    assert!(job.field("fixed").unwrap().is_readonly);
    assert_eq!(job.field("crew").unwrap().references.as_deref(), Some("yard_crews"));
    assert_eq!(job.field("state").unwrap().options[1], ("done".to_owned(), "Done".to_owned()));
    let code = |error: querygate_types::Error| error.vendor_code().unwrap().name();
    assert_eq!(code(describe(&yard.clerk(), "yard_nothing").unwrap_err()), "OBJECT_NOT_FOUND");
    assert_eq!(code(describe(&yard.clerk(), "yard_bills").unwrap_err()), "PERMISSION_DENIED");
}

/// A question that was asked once is not planned again, whatever its values are and whichever session of its principal asks it.
#[test]
fn questions_are_planned_once_for_all_sessions_of_a_principal() {
    let yard = Yard::new();
    let page = |title: &str| {
        jobs(|question| {
            question.filter = Some(json!({"title": {"$startsWith": title}}));
            question.limit = Some(2);
        })
    };
    let record = |id: &str| jobs(|question| (question.keys, question.limit) = (Some(vec![id.to_owned()]), Some(1)));
    let cached = |login: &str| {
        yard.seat(login, "yard_owner").run(
            "SELECT cached, count(*) FROM querygate.queries WHERE template LIKE 'question %' GROUP BY 1 ORDER BY 1",
        )
    };
    for (asked, title) in ["ro", "do", "ro"].into_iter().enumerate() {
        let (seat, ids) = (yard.owner(), ["j1", "j2", "j3"]);
        answer(&seat, &page(title));
        assert_eq!(answer(&seat, &record(ids[asked])), ids[asked]);
    }
    assert_eq!(cached("olga"), "false|2; true|4");
    // Another principal has plans of its own.
    assert_eq!(answer(&yard.seat("otto", "yard_owner"), &record("j1")), "j1");
    assert_eq!(cached("otto"), "false|1");
}

/// What was bound is of one version of the rights: the next question is answered by those of now, in sessions that are open, too.
#[test]
fn bound_questions_end_with_the_rights_that_they_were_bound_on() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    let record = |id: &str| jobs(|question| (question.keys, question.limit) = (Some(vec![id.to_owned()]), Some(1)));
    for _ in 0..3 {
        assert_eq!(answer(&clerk, &record("j1")), "j1");
        assert_eq!(answer(&clerk, &record("j2")), "", "of another region");
        assert_eq!(answer(&yard.owner(), &record("j2")), "j2");
    }
    yard.replace(|mut stack| {
        stack["permissions"][1]["rowLevelSecurity"][0]["using"] = json!("region == 'us'");
        stack
    });
    for seat in [&clerk, &yard.clerk()] {
        assert_eq!(answer(seat, &record("j1")), "");
        assert_eq!(answer(seat, &record("j2")), "j2");
    }
    yard.replace(|mut stack| {
        stack["permissions"][1]["objects"].as_object_mut().unwrap().remove("yard_jobs");
        stack
    });
    for seat in [&clerk, &yard.clerk()] {
        assert_eq!(code(seat, &record("j2")), "PERMISSION_DENIED");
    }
}
