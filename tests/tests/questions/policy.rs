//! What a question may name, and what it tells: hidden and masked fields, hidden rows, objects that are not the reader's.

use super::question;
use querygate_query_api::requests::question::AnswerForm;
use querygate_tests::harness::{Client, Fixture, Layout, TestGate};
use querygate_types::Result;
use querygate_types::principal::Principal;
use serde_json::{Value, json};

fn fixture() -> Fixture {
    let stack = json!({
        "manifest": {"id": "test.q", "namespace": "q", "version": "1.0.0", "type": "app", "name": "q", "engines": {"protocol": "^17"}},
        "capabilities": [{"name": "q.see", "label": "see", "scope": "org"}],
        "objects": [
            {"name": "q_deal", "label": "Deal", "sharingModel": "public_read_write", "ownership": "none",
                "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "nameField": "name", "fields": {
                "name": {"type": "text", "label": "Name"},
                "region": {"type": "text", "label": "Region"},
                "salary": {"type": "number", "label": "Salary"},
                "card": {"type": "text", "label": "Card", "maskingRule": {"keepHead": 0, "keepTail": 2}, "requiredPermissions": ["q.see"]},
                "raise": {"type": "formula", "label": "Raise", "expression": "record.salary * 2", "returnType": "number"},
            }},
            {"name": "q_secret", "label": "Secret", "sharingModel": "public_read_write", "ownership": "none",
                "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "fields": {"name": {"type": "text", "label": "n"}}},
            {"name": "q_closed", "label": "Closed", "sharingModel": "public_read_write", "ownership": "none", "enable": {"apiEnabled": false},
                "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "fields": {"name": {"type": "text", "label": "n"}}},
            {"name": "q_card", "label": "Card", "sharingModel": "public_read_write", "ownership": "none", "searchableFields": ["name", "code"],
                "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "fields": {
                "name": {"type": "text", "label": "n"}, "code": {"type": "text", "label": "c"}}},
        ],
        "permissions": [
            {"name": "q_chief", "label": "c", "systemPermissions": ["q.see"],
                "objects": {"q_deal": {"allowRead": true}, "q_secret": {"allowRead": true}, "q_card": {"allowRead": true, "allowExport": true}}},
            {"name": "q_clerk", "label": "k", "objects": {"q_deal": {"allowRead": true}, "q_card": {"allowRead": true}},
                "fields": {"q_deal.salary": {"readable": false}, "q_card.code": {"readable": false}},
                "rowLevelSecurity": [{"name": "eu", "object": "q_deal", "operation": "select", "using": "region == 'eu'"}]},
        ],
    });
    let mut fixture = Fixture::new(stack, Vec::new());
    let snapshot = fixture.snapshot();
    let deals = json!([
        {"id": "d1", "name": "one", "region": "eu", "salary": 10, "card": "4111"},
        {"id": "d2", "name": "two", "region": "us", "salary": 20, "card": "5222"},
        {"id": "d3", "name": "three", "region": "eu", "salary": null, "card": null},
    ]);
    let few = json!([{"id": "x1", "name": "x"}]);
    for (object, rows) in [("q_deal", &deals), ("q_secret", &few), ("q_closed", &few), ("q_card", &few)] {
        fixture.tables.push(Fixture::declared(&snapshot, object, rows));
    }
    fixture
}

fn ask(client: &Client, object: &str, body: &Value) -> Result<Vec<String>> {
    let records = client.ask(&question(object, body), AnswerForm::Records)?;
    Ok(records.iter().map(|record| json!(record).to_string()).collect())
}

fn code(client: &Client, object: &str, body: &Value) -> &'static str {
    match ask(client, object, body) {
        Ok(records) => panic!("{object} {body} gave {records:?}"),
        Err(error) => error.vendor_code().map_or("none", |code| code.name()),
    }
}

#[test]
fn hidden_and_masked_fields_stand_in_no_condition() {
    for layout in [Layout::Memory, Layout::Sqlite] {
        let gate = TestGate::new(&fixture(), layout);
        let clerk = gate.client(&Principal::builder("carl").permission_set("q_clerk").build());
        let chief = gate.client(&Principal::builder("cleo").permission_set("q_chief").build());
        for field in ["salary", "card"] {
            for body in [
                json!({"where": {field: {"$gt": "1"}}}),
                json!({"where": {"$or": [{"name": "one"}, {"$not": {field: {"$null": true}}}]}}),
                json!({"where": {"name": {"$eq": {"$field": field}}}}),
                json!({"where": {field: {"$bogus": 1}}}),
                json!({"orderBy": [{"field": field, "order": "asc"}]}),
                json!({"groupBy": [field]}),
                json!({"groupBy": [{"field": field, "dateGranularity": "day"}]}),
                json!({"aggregations": [{"function": "max", "field": field, "alias": "m"}]}),
                json!({"aggregations": [{"function": "count", "field": field, "alias": "m"}]}),
                json!({"aggregations": [{"function": "count", "alias": "m", "filter": {field: 1}}]}),
                json!({"groupBy": ["name"], "having": {field: 1}}),
                json!({"groupBy": ["name"], "orderBy": [{"field": field, "order": "asc"}]}),
            ] {
                assert_eq!(code(&clerk, "q_deal", &body), "PERMISSION_DENIED", "{body}");
                for form in [AnswerForm::Records, AnswerForm::Total] {
                    assert!(clerk.ask(&question("q_deal", &body), form).is_err(), "{body}");
                }
            }
        }
        assert_eq!(code(&clerk, "q_card", &json!({"search": "x"})), "PERMISSION_DENIED");
        assert_eq!(
            ask(&clerk, "q_card", &json!({"search": "x", "searchFields": ["name"], "fields": ["id"]})).unwrap(),
            ["{\"id\":\"x1\"}"]
        );
        assert_eq!(
            ask(
                &chief,
                "q_deal",
                &json!({"where": {"salary": {"$gt": 10}, "card": {"$startsWith": "5"}}, "fields": ["id"]})
            )
            .unwrap(),
            ["{\"id\":\"d2\"}"]
        );
    }
}

#[test]
fn what_is_shown_is_what_the_reader_may_see() {
    for layout in [Layout::Memory, Layout::Sqlite] {
        let gate = TestGate::new(&fixture(), layout);
        let clerk = gate.client(&Principal::builder("carl").permission_set("q_clerk").build());
        let order = json!([{"field": "id", "order": "asc"}]);
        let all = ask(&clerk, "q_deal", &json!({ "orderBy": order })).unwrap();
        // Neither the salary nor the formula that would tell it.
        assert_eq!(
            all,
            [
                r#"{"id":"d1","name":"one","region":"eu","card":"**11"}"#,
                r#"{"id":"d3","name":"three","region":"eu","card":null}"#,
            ]
        );
        let named = json!({"fields": ["card", "salary", "name", "card"], "orderBy": order, "limit": 1});
        assert_eq!(ask(&clerk, "q_deal", &named).unwrap(), [r#"{"card":"**11","name":"one"}"#]);
        let nothing = json!({"fields": ["salary"], "orderBy": order});
        assert_eq!(ask(&clerk, "q_deal", &nothing).unwrap(), ["{}", "{}"]);
        let counted = json!({"aggregations": [{"function": "count", "alias": "n"}]});
        assert_eq!(ask(&clerk, "q_deal", &counted).unwrap(), [r#"{"n":2}"#]);
        let regions = json!({"groupBy": ["region"], "aggregations": [{"function": "count", "alias": "n"}]});
        assert_eq!(ask(&clerk, "q_deal", &regions).unwrap(), [r#"{"region":"eu","n":2}"#]);
        assert_eq!(ask(&clerk, "q_deal", &json!({"where": {"region": "us"}})).unwrap(), [""; 0]);
        let total = clerk.ask(&question("q_deal", &json!({"limit": 1})), AnswerForm::Total).unwrap();
        assert_eq!(total[0]["total"], 2);
    }
}

#[test]
fn objects_and_names_that_are_not_there_have_their_codes() {
    let gate = TestGate::new(&fixture(), Layout::Memory);
    let clerk = gate.client(&Principal::builder("carl").permission_set("q_clerk").build());
    let chief = gate.client(&Principal::builder("cleo").permission_set("q_chief").build());
    for (object, body, expected) in [
        ("q_nothing", json!({}), "OBJECT_NOT_FOUND"),
        ("q_closed", json!({}), "OBJECT_API_DISABLED"),
        ("q_secret", json!({}), "PERMISSION_DENIED"),
        ("q_deal", json!({"fields": ["nope"]}), "INVALID_FIELD"),
        ("q_deal", json!({"fields": ["name.x"]}), "INVALID_FIELD"),
        ("q_deal", json!({"where": {"nope": 1}}), "INVALID_FIELD"),
        ("q_deal", json!({"where": {"raise": 1}}), "INVALID_FIELD"),
        ("q_deal", json!({"where": {"name": {"$bogus": 1}}}), "INVALID_FILTER"),
        ("q_deal", json!({"where": {"name": {"$gt": "{someday}"}}}), "FILTER_TOKEN_UNKNOWN"),
        ("q_deal", json!({"where": {"name": "{current_org_id}"}}), "FILTER_TOKEN_UNRESOLVED"),
        ("q_deal", json!({"orderBy": [{"field": "nope", "order": "asc"}]}), "INVALID_SORT"),
        ("q_deal", json!({"orderBy": [{"field": "raise", "order": "asc"}]}), "INVALID_SORT"),
        ("q_deal", json!({"groupBy": ["nope"]}), "INVALID_FIELD"),
        ("q_deal", json!({"groupBy": ["raise"]}), "INVALID_FIELD"),
        ("q_deal", json!({"groupBy": ["name"], "orderBy": [{"field": "region", "order": "asc"}]}), "INVALID_SORT"),
        ("q_deal", json!({"groupBy": ["name"], "having": {"nope": 1}}), "INVALID_FIELD"),
        ("q_deal", json!({"groupBy": [{"field": "name", "dateGranularity": "year"}]}), "INVALID_QUERY"),
        ("q_deal", json!({"aggregations": [{"function": "sum", "alias": "s"}]}), "INVALID_QUERY"),
        ("q_deal", json!({"aggregations": [{"function": "sum", "field": "nope", "alias": "s"}]}), "INVALID_FIELD"),
        ("q_deal", json!({"aggregations": [{"function": "sum", "field": "raise", "alias": "s"}]}), "INVALID_FIELD"),
        (
            "q_deal",
            json!({"aggregations": [{"function": "count", "alias": "s"}, {"function": "count", "field": "name", "alias": "s"}]}),
            "INVALID_QUERY",
        ),
        ("q_deal", json!({"search": "x", "searchFields": ["salary"]}), "INVALID_FIELD"),
    ] {
        let client = if object == "q_secret" { &clerk } else { &chief };
        assert_eq!(code(client, object, &body), expected, "{object} {body}");
    }
    let unknown = chief.ask(&question("q_deal", &json!({"fields": ["nope"]})), AnswerForm::Records).unwrap_err();
    assert_eq!(unknown.faults()[0].field, "nope");
}

#[test]
fn objects_are_described_as_their_reader_sees_them() {
    let gate = TestGate::new(&fixture(), Layout::Memory);
    let clerk = gate.client(&Principal::builder("carl").permission_set("q_clerk").build());
    let chief = gate.client(&Principal::builder("cleo").permission_set("q_chief").build());
    let names = |client: &Client| {
        let objects = querygate_tests::harness::runtime().block_on(client.session().objects()).unwrap();
        objects.iter().map(|object| object.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&clerk), ["q_card", "q_deal"]);
    assert_eq!(names(&chief), ["q_card", "q_deal", "q_secret"]);
    let object =
        |client: &Client, name: &str| querygate_tests::harness::runtime().block_on(client.session().object(name));
    let deal = object(&clerk, "q_deal").unwrap();
    assert_eq!(
        (deal.key.as_deref(), deal.name_field.as_deref(), deal.sql_name.as_str()),
        (Some("id"), Some("name"), "deal")
    );
    assert!(deal.field("salary").is_none() && deal.field("raise").is_none());
    assert!(deal.field("card").unwrap().is_masked && !deal.may_export);
    assert!(
        object(&chief, "q_card").unwrap().may_export
            && object(&chief, "q_deal").unwrap().field("raise").unwrap().is_computed
    );
    assert_eq!(object(&clerk, "q_secret").unwrap_err().vendor_code().unwrap().name(), "PERMISSION_DENIED");
}
