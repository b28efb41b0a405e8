//! Datasets: their own filter, spans, comparisons, totals, measures computed of others. Each figure beside SQL's.

use crate::own::GATE;
use querygate_tests::server::runtime;
use serde_json::{Value, json};

fn dataset(more: &Value) -> Value {
    let mut dataset = json!({
        "name": "by_orders", "object": "shop_orders",
        "dimensions": [
            {"name": "region", "field": "region"},
            {"name": "placed", "field": "placed_on", "type": "date"},
            {"name": "margin", "field": "margin"},
            {"name": "customer", "field": "account.name"},
        ],
        "measures": [
            {"name": "orders", "aggregate": "count"},
            {"name": "paid_orders", "aggregate": "count", "filter": {"paid": true}},
            {"name": "paid_share", "derived": {"op": "ratio", "of": ["paid_orders", "orders"]}},
            {"name": "margin_sum", "aggregate": "sum", "field": "absent"},
        ],
    });
    dataset.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    dataset
}

fn answer(user: &str, more: &Value, selection: &Value) -> Value {
    let body = json!({"dataset": dataset(more), "selection": selection});
    let answer = GATE.ask(user, "POST", "/analytics/dataset/query", Some(&body));
    assert_eq!(answer.status, 200, "{selection}: {}", answer.text());
    answer.json()
}

fn rows(selection: &Value) -> Value {
    answer("nora", &json!({}), selection)["rows"].clone()
}

fn refused(user: &str, more: &Value, selection: &Value) -> (u16, String) {
    let body = json!({"dataset": dataset(more), "selection": selection});
    GATE.refused(user, "POST", "/analytics/dataset/query", Some(&body))
}

fn sql(query: &str) -> i64 {
    let client = GATE.sql("nora");
    runtime().block_on(async { client.await.query_one(query, &[]).await.unwrap().get(0) })
}

#[test]
fn filters_bound_every_row() {
    let count = json!({"measures": ["orders"]});
    let eu = json!({"filter": {"region": "eu"}});
    let expected = sql("SELECT count(*) FROM orders WHERE region = 'eu'");
    assert_eq!(answer("nora", &eu, &count)["rows"], json!([{"orders": expected}]));
    let runtime = json!({"measures": ["orders"], "runtimeFilter": {"region": "eu"}});
    assert_eq!(rows(&runtime), json!([{"orders": expected}]));
    let both = json!({"measures": ["orders"], "runtimeFilter": {"paid": true}});
    let expected = sql("SELECT count(*) FROM orders WHERE region = 'eu' AND paid");
    assert_eq!(answer("nora", &eu, &both)["rows"], json!([{"orders": expected}]));
    for (more, selection) in [
        (json!({"filter": {"nope": 1}}), &count),
        (json!({"filter": {"region": ["eu"]}}), &count),
        (json!({}), &json!({"measures": ["orders"], "runtimeFilter": {"region": ["eu"]}})),
    ] {
        assert_eq!(refused("nora", &more, selection).0, 400, "{more} {selection}");
    }
    let by_hidden = json!({"filter": {"margin": {"$gt": 0}}});
    assert_eq!(refused("rita", &by_hidden, &count), (403, "PERMISSION_DENIED".to_owned()));
}

#[test]
fn what_is_not_served_is_no_field_of_its_name() {
    let unknown = (400, "INVALID_FIELD".to_owned());
    for selection in [
        json!({"measures": ["orders"], "dimensions": ["customer"]}),
        json!({"measures": ["margin_sum"]}),
        json!({"measures": ["orders"], "runtimeFilter": {"customer": "x"}}),
    ] {
        assert_eq!(refused("nora", &json!({}), &selection), unknown, "{selection}");
    }
    let hidden = json!({"measures": ["orders"], "dimensions": ["margin"]});
    assert_eq!(refused("rita", &json!({}), &hidden), unknown);
    assert_eq!(answer("nora", &json!({}), &hidden)["rows"].as_array().unwrap().len(), 3);
}

#[test]
fn keys_of_a_selection_are_those_that_there_are() {
    for (more, code) in [
        (json!({"nope": 1}), "VALIDATION_FAILED"),
        (json!({"where": {"region": "eu"}}), "VALIDATION_FAILED"),
        (json!({"dateGranularity": "hour"}), "VALIDATION_FAILED"),
        (json!({"timezone": "Europe/Berlin"}), "VALIDATION_FAILED"),
        (json!({"totals": {"groupings": "all"}}), "VALIDATION_FAILED"),
        (json!({"totals": {"groupings": [["paid"]]}}), "INVALID_FIELD"),
        (json!({"compareTo": {"kind": "blah"}}), "DATASET_INVALID"),
        (json!({"compareTo": {"kind": "previousYear"}}), "DATASET_INVALID"),
        (json!({"order": {"paid": "asc"}}), "INVALID_FIELD"),
    ] {
        let mut selection = json!({"measures": ["orders"], "dimensions": ["region"]});
        selection.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(refused("nora", &json!({}), &selection), (400, code.to_owned()), "{more}");
    }
}

#[test]
fn spans_are_the_selections() {
    for (span, key) in [("month", "2026-01"), ("quarter", "2026-Q1"), ("year", "2026")] {
        let by = json!({"measures": ["orders"], "dimensions": ["placed"], "dateGranularity": span});
        let found = answer("nora", &json!({}), &by);
        assert_eq!(found["rows"][0]["placed"], key, "{found}");
        assert!(found["drillRanges"][0]["placed"]["gte"].is_string(), "{found}");
        // The dimension's own span stands before the selection's.
        let own = json!({"measures": ["orders"], "dimensions": ["placed"], "dateGranularity": span,
            "timeDimensions": [{"dimension": "placed", "granularity": "year"}]});
        assert_eq!(rows(&own)[0]["placed"], "2026");
    }
}

#[test]
fn measures_are_computed_of_others() {
    let by = json!({"measures": ["paid_share"], "dimensions": ["region"], "order": {"paid_share": "desc"}});
    let found = rows(&by);
    let paid = sql("SELECT count(*) FROM orders WHERE region = 'eu' AND paid");
    let all = sql("SELECT count(*) FROM orders WHERE region = 'eu'");
    let europe = found.as_array().unwrap().iter().find(|row| row["region"] == "Europe").unwrap();
    assert_eq!((&europe["paid_orders"], &europe["orders"]), (&json!(paid), &json!(all)), "{found}");
    assert_eq!(europe["paid_share"].as_f64().unwrap(), paid as f64 / all as f64);
}

#[test]
fn a_window_is_compared_with_the_one_before() {
    let first = json!({"measures": ["orders"], "dimensions": ["placed"], "dateGranularity": "month",
        "timeDimensions": [{"dimension": "placed", "dateRange": ["2027-01-01", "2027-12-31"]}],
        "compareTo": {"kind": "previousYear"}});
    let expected = sql("SELECT count(*) FROM orders WHERE placed_on BETWEEN '2026-01-01' AND '2026-01-31'");
    assert!(expected > 0);
    let found = rows(&first);
    assert_eq!(found[0], json!({"placed": "2027-01", "orders": 0, "orders__compare": expected}), "{found}");
    let whole = json!({"measures": ["orders"],
        "timeDimensions": [{"dimension": "placed", "dateRange": ["2027-01-01", "2027-12-31"]}],
        "compareTo": {"kind": "previousPeriod", "dimension": "placed"}});
    let expected = sql("SELECT count(*) FROM orders WHERE placed_on BETWEEN '2026-01-01' AND '2026-12-31'");
    assert_eq!(rows(&whole), json!([{"orders": 0, "orders__compare": expected}]));
}

#[test]
fn totals_are_of_all_rows() {
    let by = json!({"measures": ["orders"], "dimensions": ["region"], "limit": 1, "totals": {"groupings": [[], ["region"]]}});
    let found = answer("nora", &json!({}), &by);
    assert_eq!(found["rows"].as_array().unwrap().len(), 1);
    let all = sql("SELECT count(*) FROM orders");
    assert_eq!(found["totals"][0], json!({"dimensions": [], "rows": [{"orders": all}]}));
    assert_eq!(found["totals"][1]["rows"].as_array().unwrap().len(), 2);
    // Those of a reader whose rows are fewer are fewer.
    let fewer = answer("rita", &json!({}), &by);
    assert_ne!(fewer["totals"][0], found["totals"][0]);
}

#[test]
fn labels_are_what_rows_are_ordered_by() {
    let by = json!({"measures": ["orders"], "dimensions": ["region"], "order": {"region": "asc"}});
    let found = rows(&by);
    assert_eq!((&found[0]["region"], &found[1]["region"]), (&json!("America"), &json!("Europe")));
    let page =
        json!({"measures": ["orders"], "dimensions": ["region"], "order": {"region": "asc"}, "limit": 1, "offset": 1});
    assert_eq!(rows(&page)[0]["region"], "Europe");
}

#[test]
fn what_is_computed_and_printed_is_bounded() {
    let of = |count: usize| json!({"name": "many", "derived": {"op": "sum", "of": vec!["orders"; count]}});
    let measures = |more: Value| json!({"measures": [{"name": "orders", "aggregate": "count"}, more]});
    let many = json!({"measures": ["many"]});
    let expected = sql("SELECT count(*) * 16 FROM orders");
    assert_eq!(answer("nora", &measures(of(16)), &many)["rows"][0]["many"], expected);
    assert_eq!(refused("nora", &measures(of(17)), &many), (400, "VALIDATION_FAILED".to_owned()));
    let long = "l".repeat(257);
    let named = json!({"name": long, "derived": {"op": "sum", "of": ["orders"]}});
    let wanted = json!({"measures": [long]});
    assert_eq!(refused("nora", &measures(named), &wanted), (400, "VALIDATION_FAILED".to_owned()));
    let one = answer("nora", &json!({}), &json!({"measures": ["orders", "orders", "paid_share", "paid_share"]}));
    assert_eq!(one["rows"][0].as_object().unwrap().len(), 3, "{one}");
    assert_eq!(one["fields"].as_array().unwrap().len(), 3, "{one}");
    let twice = json!({"measures": ["orders"], "dimensions": ["region"], "totals": {"groupings": [[], []]}});
    assert_eq!(refused("nora", &json!({}), &twice), (400, "VALIDATION_FAILED".to_owned()));
}

/// A window of a dataset ends on a day, or now.
#[test]
fn windows_of_moments_are_not_compared_with_days() {
    let compared = |range: Value| {
        json!({"measures": ["orders"], "compareTo": {"kind": "previousPeriod"},
            "timeDimensions": [{"dimension": "placed", "dateRange": range}]})
    };
    let moments = compared(json!(["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"]));
    assert_eq!(refused("nora", &json!({}), &moments), (400, "DATASET_INVALID".to_owned()));
    let answer = answer("nora", &json!({}), &compared(json!("last_7_days")));
    assert!(answer["rows"][0]["orders__compare"].is_number(), "{answer}");
}
