//! What questions mean where the published cases do not say it: spans in a time zone, groups, searches, pages, formulas, plans that are
//! bound once.

use super::question;
use querygate_query_api::requests::question::{AnswerForm, Question};
use querygate_tests::harness::{Client, Fixture, Layout, TestGate, runtime};
use querygate_types::principal::Principal;
use serde_json::{Value, json};
use std::sync::Arc;

fn fixture() -> Fixture {
    let stack = json!({
        "manifest": {"id": "test.w", "namespace": "w", "version": "1.0.0", "type": "app", "name": "w", "engines": {"protocol": "^17"}},
        "objects": [{"name": "w_task", "label": "Task", "sharingModel": "public_read_write", "ownership": "none", "nameField": "title",
            "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "fields": {
            "title": {"type": "text", "label": "Title"},
            "note": {"type": "textarea", "label": "Note"},
            "status": {"type": "select", "label": "Status", "options": [
                {"value": "open", "label": "In Progress"}, {"value": "done", "label": "Finished"}]},
            "tags": {"type": "tags", "label": "Tags"},
            "hours": {"type": "number", "label": "Hours"},
            "price": {"type": "currency", "label": "Price"},
            "rank": {"type": "rating", "label": "Rank"},
            "done": {"type": "boolean", "label": "Done"},
            "due": {"type": "date", "label": "Due"},
            "at": {"type": "datetime", "label": "At"},
            "data": {"type": "json", "label": "Data"},
            "double": {"type": "formula", "label": "Double", "expression": "record.hours * 2", "returnType": "number"},
        }}],
        "permissions": [{"name": "w_reader", "label": "r", "objects": {"w_task": {"allowRead": true}}}],
    });
    let mut fixture = Fixture::new(stack, Vec::new());
    let rows = json!([
        {"id": "t1", "title": "Audit 100%", "note": "alpha beta", "status": "open", "tags": ["a", "b"], "hours": 1.5, "price": 10.25,
            "rank": 3, "done": true, "due": "2026-11-20", "at": "2026-12-31T23:30:00.000Z", "data": {"k": 1}},
        {"id": "t2", "title": "build", "note": "Beta", "status": "done", "tags": ["b"], "hours": 2, "price": 20,
            "rank": 5, "done": false, "due": "2026-12-31", "at": "2026-12-31T23:30:00.000Z", "data": null},
        {"id": "t3", "title": "Çelik", "note": null, "status": "open", "tags": [], "hours": null, "price": null,
            "rank": null, "done": null, "due": null, "at": null, "data": "text"},
        {"id": "t4", "title": "build", "note": "gamma", "status": null, "tags": null, "hours": 4, "price": 0.5,
            "rank": 1, "done": true, "due": "2027-01-01", "at": "2026-01-01T00:00:00.000Z", "data": [1, 2]},
    ]);
    let table = Fixture::declared(&fixture.snapshot(), "w_task", &rows);
    fixture.tables.push(table);
    fixture
}

fn layouts() -> Vec<Layout> {
    Layout::ALL.into_iter().chain(Layout::servers()).collect()
}

fn ask(client: &Client, body: &Value) -> Vec<Value> {
    let records = client.ask(&question("w_task", body), AnswerForm::Records);
    records
        .unwrap_or_else(|error| panic!("{body}: {error} {:?}", error.cause()))
        .into_iter()
        .map(Value::Object)
        .collect()
}

fn reader() -> Principal {
    Principal::builder("rea").permission_set("w_reader").build()
}

/// Answers that do not depend on where rows lie.
fn cases() -> Vec<(Value, Value)> {
    let ids = |filter: Value| json!({"where": filter, "fields": ["id"], "orderBy": [{"field": "id", "order": "asc"}]});
    let found = |ids: &[&str]| json!(ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>());
    let search = |words: &str| json!({"search": words, "fields": ["id"], "orderBy": [{"field": "id", "order": "asc"}]});
    let spans = |field: &str, span: &str| {
        json!({"groupBy": [{"field": field, "dateGranularity": span, "alias": "k"}], "aggregations": [{"function": "count", "alias": "n"}],
            "orderBy": [{"field": "k", "order": "asc"}]})
    };
    let keys = |keys: &[(Value, i64)]| json!(keys.iter().map(|(key, n)| json!({"k": key, "n": n})).collect::<Vec<_>>());
    let one =
        |function: &str, field: &str| json!({"aggregations": [{"function": function, "field": field, "alias": "v"}]});
    let value = |value: Value| json!([{ "v": value }]);
    vec![
        (ids(json!({"tags": {"$contains": "b"}})), found(&["t1", "t2"])),
        (ids(json!({"tags": {"$notContains": "b"}})), found(&["t3", "t4"])),
        (ids(json!({"title": {"$contains": "%"}})), found(&["t1"])),
        (ids(json!({"title": {"$icontains": "ç"}})), found(&[])),
        (ids(json!({"hours": {"$gt": "1"}})), found(&["t1", "t2", "t4"])),
        (ids(json!({"hours": {"$in": [2, 4, 1.5]}})), found(&["t1", "t2", "t4"])),
        (ids(json!({"price": 10.25})), found(&["t1"])),
        (ids(json!({"price": {"$lte": 10.25}})), found(&["t1", "t4"])),
        (ids(json!({"rank": {"$gt": 2.5}})), found(&["t1", "t2"])),
        (ids(json!({"done": {"$ne": true}})), found(&["t2", "t3"])),
        (ids(json!({"at": {"$lte": "2026-12-31"}})), found(&["t1", "t2", "t4"])),
        (ids(json!({"at": "2026-12-31T23:30:00Z"})), found(&["t1", "t2"])),
        (ids(json!({"due": {"$between": ["2026-11-20", "2026-12-31"]}})), found(&["t1", "t2"])),
        (ids(json!({"due": {"$lt": {"$field": "due", "addDays": 1}}})), found(&["t1", "t2", "t4"])),
        (ids(json!({"$not": {"hours": {"$lt": 4}}})), found(&["t3", "t4"])),
        (ids(json!({"id": {"$in": ["t1", "t4", "t9"]}})), found(&["t1", "t4"])),
        (search("audit"), found(&["t1"])),
        (search("BETA"), found(&["t1", "t2"])),
        (search("beta audit"), found(&["t1"])),
        (search("in progress"), found(&["t1", "t3"])),
        (search("100%"), found(&["t1"])),
        (search(" "), found(&["t1", "t2", "t3", "t4"])),
        (spans("due", "year"), keys(&[(Value::Null, 1), (json!("2026"), 2), (json!("2027"), 1)])),
        (spans("due", "quarter"), keys(&[(Value::Null, 1), (json!("2026-Q4"), 2), (json!("2027-Q1"), 1)])),
        (
            spans("due", "month"),
            keys(&[(Value::Null, 1), (json!("2026-11"), 1), (json!("2026-12"), 1), (json!("2027-01"), 1)]),
        ),
        (spans("due", "week"), keys(&[(Value::Null, 1), (json!("2026-W47"), 1), (json!("2026-W53"), 2)])),
        (
            spans("due", "day"),
            keys(&[(Value::Null, 1), (json!("2026-11-20"), 1), (json!("2026-12-31"), 1), (json!("2027-01-01"), 1)]),
        ),
        (spans("at", "year"), keys(&[(Value::Null, 1), (json!("2026"), 3)])),
        (one("sum", "hours"), value(json!(7.5))),
        (one("sum", "price"), value(json!(30.75))),
        (one("avg", "price"), value(json!(10.25))),
        (one("sum", "rank"), value(json!(9))),
        (one("avg", "rank"), value(json!(3))),
        (one("sum", "done"), value(json!(2))),
        (one("max", "done"), value(json!(1))),
        (one("max", "due"), value(json!("2027-01-01"))),
        (one("count", "tags"), value(json!(3))),
        (one("count_distinct", "title"), value(json!(3))),
        (
            json!({"where": {"title": "none"}, "aggregations": [{"function": "sum", "field": "price", "alias": "s"},
                {"function": "avg", "field": "price", "alias": "a"}, {"function": "count", "alias": "c"}]}),
            json!([{"s": 0, "a": null, "c": 0}]),
        ),
        (
            json!({"where": {"title": "none"}, "groupBy": ["title"], "aggregations": [{"function": "count", "alias": "c"}]}),
            json!([]),
        ),
        (
            json!({"groupBy": ["status"], "aggregations": [{"function": "sum", "field": "hours", "alias": "s", "filter": {"done": true}},
                {"function": "count", "alias": "n"}], "orderBy": [{"field": "status", "order": "desc"}]}),
            json!([{"status": "open", "s": 1.5, "n": 2}, {"status": "done", "s": 0, "n": 1}, {"status": null, "s": 4, "n": 1}]),
        ),
        (
            json!({"groupBy": ["title"], "aggregations": [{"function": "count", "alias": "n"}], "having": {"n": {"$gte": 2}}}),
            json!([{"title": "build", "n": 2}]),
        ),
        (
            json!({"groupBy": ["title"], "aggregations": [{"function": "max", "field": "price", "alias": "p"}],
                "having": {"$or": [{"p": {"$null": true}}, {"p": {"$gt": 19.5}}]}, "orderBy": [{"field": "p", "order": "asc"}]}),
            json!([{"title": "Çelik", "p": null}, {"title": "build", "p": 20}]),
        ),
        (
            json!({"groupBy": [{"field": "title", "alias": "t"}], "having": {"t": {"$startsWith": "b"}}}),
            json!([{"t": "build"}]),
        ),
        (
            json!({"groupBy": ["title"], "aggregations": [{"function": "count", "alias": "n"}], "limit": 1, "offset": 1}),
            json!([{"title": "build", "n": 2}]),
        ),
        (
            json!({"fields": ["id", "hours"], "orderBy": [{"field": "hours", "order": "asc"}]}),
            json!([{"id": "t3", "hours": null}, {"id": "t1", "hours": 1.5}, {"id": "t2", "hours": 2}, {"id": "t4", "hours": 4}]),
        ),
        (
            json!({"fields": ["id"], "orderBy": [{"field": "title", "order": "desc"}], "limit": 2, "offset": 1}),
            json!([{"id": "t2"}, {"id": "t4"}]),
        ),
        (json!({"fields": ["id", "double"], "where": {"id": "t9"}}), json!([])),
    ]
}

#[test]
fn questions_mean_the_same_wherever_rows_lie() {
    let mut failures = Vec::new();
    for layout in layouts() {
        let gate = TestGate::new(&fixture(), layout);
        let client = gate.client(&reader());
        for (body, expected) in cases() {
            match client.ask(&question("w_task", &body), AnswerForm::Records) {
                Ok(records) if json!(records) == expected => {
                    let paged = body.get("limit").is_some();
                    let total = client.ask(&question("w_task", &body), AnswerForm::Total).unwrap();
                    if !paged && total[0]["total"] != json!(records.len()) {
                        failures.push(format!("{} {body}: total {total:?}", layout.name()));
                    }
                }
                Ok(records) => failures.push(format!("{} {body}: {} not {expected}", layout.name(), json!(records))),
                Err(error) => failures.push(format!("{} {body}: {error} {:?}", layout.name(), error.cause())),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The last half hour of a year in UTC is the next year in Berlin.
#[test]
fn spans_are_of_the_sessions_zone() {
    for layout in layouts() {
        let gate = TestGate::new(&fixture(), layout);
        for (zone, years, weeks) in
            [("UTC", json!([null, "2026"]), "2026-W53"), ("Europe/Berlin", json!([null, "2026", "2027"]), "2026-W53")]
        {
            let client = gate.try_client(&reader(), &[("TimeZone", zone)]).unwrap();
            let by = |span: &str| {
                let body = json!({"groupBy": [{"field": "at", "dateGranularity": span}], "orderBy": [{"field": "at", "order": "asc"}]});
                ask(&client, &body).into_iter().map(|row| row["at"].clone()).collect::<Vec<_>>()
            };
            assert_eq!(json!(by("year")), years, "{zone} {}", layout.name());
            assert_eq!(by("week").last().unwrap(), weeks, "{zone} {}", layout.name());
            // A date has no zone.
            let dates = json!({"groupBy": [{"field": "due", "dateGranularity": "day"}], "orderBy": [{"field": "due", "order": "asc"}]});
            assert_eq!(ask(&client, &dates)[1]["due"], "2026-11-20", "{zone}");
        }
    }
}

#[test]
fn naming_a_formula_is_naming_all() {
    let gate = TestGate::new(&fixture(), Layout::Memory);
    let client = gate.client(&reader());
    let all = ask(&client, &json!({"where": {"id": "t1"}}));
    assert_eq!(ask(&client, &json!({"where": {"id": "t1"}, "fields": ["double"]})), all);
    assert_eq!(
        (&all[0]["double"], &all[0]["tags"], &all[0]["data"]),
        (&json!(3), &json!(["a", "b"]), &json!({"k": 1}))
    );
    assert_eq!(all[0].as_object().unwrap().len(), 13);
}

/// Questions that differ in their values only are bound once; lists of similar length, too.
#[test]
fn one_plan_serves_all_values() {
    let gate = TestGate::new(&fixture(), Layout::Sqlite);
    let client = gate.client(&reader());
    let asked = |body: Value| {
        runtime().block_on(client.session().ask(&question("w_task", &body), AnswerForm::Records)).unwrap()
    };
    let columns = |body: Value| {
        let asked = asked(body);
        (asked.prepared.columns().unwrap().as_ptr() as usize, asked.parameters.len(), Arc::clone(&asked.prepared))
    };
    let same =
        [json!({"where": {"hours": {"$gt": 1}}, "limit": 2}), json!({"where": {"hours": {"$gt": 70}}, "limit": 2})]
            .map(columns);
    assert_eq!((same[0].0, same[0].1), (same[1].0, 1), "the columns of one bound plan are in one place");
    let longer = columns(json!({"where": {"hours": {"$gt": 1}}, "limit": 9}));
    assert_ne!(longer.0, same[0].0, "the bounds of a page are part of its plan");
    let lists =
        [json!({"where": {"id": {"$in": ["a", "b", "c"]}}}), json!({"where": {"id": {"$in": ["a", "b", "c", "d"]}}})]
            .map(columns);
    assert_eq!((lists[0].0, lists[0].1), (lists[1].0, 4));
    let other = columns(json!({"where": {"hours": {"$gte": 1}}, "limit": 2}));
    assert_ne!(other.0, same[0].0);
}

/// What records say of a question has no value of it.
#[test]
fn questions_are_recorded_without_their_values() {
    let gate = TestGate::new(&fixture(), Layout::Memory);
    let client = gate.client(&reader());
    let body = json!({"where": {"title": "build", "note": {"$in": ["secret", "other"]}}, "groupBy": [{"field": "status", "alias": "my_key"}]});
    assert!(ask(&client, &body).is_empty());
    let unknown = Question { object: "w_nothing".to_owned(), ..Question::default() };
    assert!(client.ask(&unknown, AnswerForm::Records).is_err());
    let operator = Principal::builder("op").operator(true).build();
    let told = gate.client(&operator).run("SELECT template FROM querygate.queries");
    let told = format!("{told:?}");
    assert!(told.contains("question {") && told.contains("w_task") && told.contains("w_nothing"), "{told}");
    assert!(!told.contains("build") && !told.contains("secret") && !told.contains("my_key"), "{told}");
}

/// A source that can compute an answer does: no more rows leave it than the answer has.
#[test]
fn sources_compute_answers() {
    let fixture = fixture();
    let gate = TestGate::new(&fixture, Layout::Sqlite);
    let client = gate.client(&reader());
    for body in [
        json!({"where": {"hours": {"$gt": 1.5}}, "fields": ["id"]}),
        json!({"where": {"$or": [{"status": {"$ne": "open"}}, {"$not": {"rank": {"$lt": 3}}}]}, "fields": ["id"]}),
        json!({"keys": ["t1", "t3"], "fields": ["title"]}),
        json!({"where": {"due": {"$lte": "2026-12-31"}}, "aggregations": [{"function": "count", "alias": "n"}]}),
        json!({"groupBy": ["status"], "aggregations": [{"function": "sum", "field": "hours", "alias": "s"}, {"function": "count", "alias": "n"}]}),
    ] {
        for form in [AnswerForm::Records, AnswerForm::Total] {
            drop(fixture.watch.take());
            let records = client.ask(&question("w_task", &body), form).unwrap();
            let runs = fixture.watch.take();
            let rows: usize = runs.iter().map(querygate_driver_api::testkit::watch::Run::rows).sum();
            assert_eq!((runs.len(), rows), (1, records.len()), "{form:?} {body}");
        }
    }
}
