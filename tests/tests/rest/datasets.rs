//! Datasets: their own filter, spans, comparisons, totals, measures computed of others. Each figure beside SQL's.

use crate::own::{GATE, Gate, ROWS};
use querygate_tests::server::runtime;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Over one more order of each day from 2024 on, one in seven of no region, and over 10,001 more tickets.
static DAYS: LazyLock<Gate> = LazyLock::new(|| {
    let orders = "INSERT INTO orders(id, code, region, paid, placed_on)
        WITH RECURSIVE day(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM day WHERE n < 1100)
        SELECT 'd' || n, 'D-' || n, CASE WHEN n % 7 = 0 THEN NULL WHEN n % 2 = 0 THEN 'eu' ELSE 'us' END, n % 3 = 0,
            date('2024-01-01', '+' || n || ' days') FROM day;";
    let tickets = "INSERT INTO tickets
        WITH RECURSIVE ticket(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM ticket WHERE n < 10100)
        SELECT n, 'T-' || n, NULL FROM ticket;";
    Gate::over(&format!("{ROWS}{orders}{tickets}"))
});

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
        // A window alone is no column.
        (
            json!({"order": {"placed": "asc"}, "timeDimensions": [{"dimension": "placed", "dateRange": "this_year"}]}),
            "INVALID_FIELD",
        ),
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

fn of_days(selection: &Value) -> Value {
    let body = json!({"dataset": dataset(&json!({})), "selection": selection});
    let answer = DAYS.ask("nora", "POST", "/analytics/dataset/query", Some(&body));
    assert_eq!(answer.status, 200, "{selection}: {}", answer.text());
    answer.json()
}

/// The number of orders of two days and those between them, with a further condition.
fn counted(first: &str, last: &str, condition: &str) -> i64 {
    let query = format!("SELECT count(*) FROM orders WHERE placed_on BETWEEN '{first}' AND '{last}' AND {condition}");
    let client = DAYS.sql("nora");
    runtime().block_on(async { client.await.query_one(&query, &[]).await.unwrap().get(0) })
}

/// Orders by spans of a window, and what they are compared with.
fn compared(kind: &str, span: &str, (first, last): (&str, &str)) -> Value {
    of_days(&json!({"measures": ["orders"], "dimensions": ["placed"], "dateGranularity": span,
        "timeDimensions": [{"dimension": "placed", "dateRange": [first, last]}],
        "compareTo": {"kind": kind}, "totals": {"groupings": [[]]}}))
}

/// Each row as its key, its orders and those that it is compared with.
fn triples(answer: &Value) -> Vec<(String, i64, i64)> {
    let rows = answer["rows"].as_array().unwrap().iter();
    let number = |row: &Value, name: &str| row[name].as_i64().unwrap();
    rows.map(|row| (row["placed"].as_str().unwrap().to_owned(), number(row, "orders"), number(row, "orders__compare")))
        .collect()
}

#[test]
fn spans_stand_beside_those_of_the_same_place_in_the_window_before() {
    let of = |rows: &[(&str, i64, i64)]| -> Vec<(String, i64, i64)> {
        rows.iter().map(|(key, own, other)| ((*key).to_owned(), *own, *other)).collect()
    };
    let quarter = ("2026-07-01", "2026-09-30");
    let found = compared("previousPeriod", "month", quarter);
    assert_eq!(triples(&found), of(&[("2026-07", 31, 30), ("2026-08", 31, 31), ("2026-09", 30, 30)]), "{found}");
    let window = json!({"dimension": "placed", "dateRange": ["2026-04-01", "2026-06-30"], "unmatched": 0});
    assert_eq!(found["compared"], window);
    assert_eq!(found["totals"][0]["rows"], json!([{"orders": 92, "orders__compare": 91}]));
    let found = compared("previousPeriod", "quarter", quarter);
    assert_eq!(triples(&found), of(&[("2026-Q3", 92, 91)]), "{found}");
    // 27 days of one month, and as many of two: the second one is in totals only.
    let found = compared("previousPeriod", "month", ("2026-03-05", "2026-03-31"));
    assert_eq!(triples(&found), of(&[("2026-03", 27, 23)]), "{found}");
    assert_eq!(found["compared"]["unmatched"], 1);
    assert_eq!(found["totals"][0]["rows"], json!([{"orders": 27, "orders__compare": 27}]));
    // Leap days and weeks.
    let found = compared("previousYear", "month", ("2025-02-01", "2025-02-28"));
    assert_eq!(triples(&found), of(&[("2025-02", 28, 29)]), "{found}");
    let found = compared("previousYear", "day", ("2025-02-01", "2025-02-28"));
    assert_eq!((triples(&found).len(), &found["compared"]["unmatched"]), (28, &json!(1)), "{found}");
    assert!(triples(&found).iter().all(|(_, own, other)| (*own, *other) == (1, 1)), "{found}");
    let found = compared("previousYear", "week", ("2026-03-02", "2026-04-05"));
    assert_eq!(triples(&found).len(), 5, "{found}");
    assert!(triples(&found).iter().all(|(_, own, other)| (*own, *other) == (7, 7)), "{found}");
}

#[test]
fn rows_of_the_windows_field_are_compared_by_any_name_of_it() {
    let of = |dimensions: Value, window: &str| {
        json!({"measures": ["orders"], "dimensions": dimensions, "compareTo": {"kind": "previousPeriod"},
            "timeDimensions": [{"dimension": window, "dateRange": ["2026-03-01", "2026-03-02"]}]})
    };
    // Dates without a span are days.
    for window in ["placed", "placed_on"] {
        let found = of_days(&of(json!(["placed"]), window));
        let expected = [("2026-03-01".to_owned(), 1, 1), ("2026-03-02".to_owned(), 1, 1)];
        assert_eq!(triples(&found), expected, "{found}");
    }
    let invalid = (400, "DATASET_INVALID".to_owned());
    for (dimensions, window) in [(json!(["placed", "placed_on"]), "placed"), (json!(["placed_at"]), "placed_at")] {
        assert_eq!(refused("nora", &json!({}), &of(dimensions, window)), invalid, "{window}");
    }
}

#[test]
fn totals_are_not_parted_by_spans_of_time() {
    let found =
        of_days(&json!({"measures": ["orders"], "dimensions": ["region"], "compareTo": {"kind": "previousPeriod"},
        "timeDimensions": [{"dimension": "placed", "granularity": "month", "dateRange": ["2026-07-01", "2026-09-30"]}],
        "totals": {"groupings": [[], ["region"], ["placed"]]}}));
    let total = |at: usize| found["totals"][at]["rows"].as_array().unwrap();
    assert_eq!(total(0), json!([{"orders": 92, "orders__compare": 91}]).as_array().unwrap(), "{found}");
    assert_eq!((total(1).len(), total(2).len()), (3, 3), "{found}");
    // What has no region is compared with what has none.
    let none = total(1).iter().find(|row| row["region"].is_null()).unwrap();
    let of_none = |first, last| counted(first, last, "region IS NULL");
    let expected = (of_none("2026-07-01", "2026-09-30"), of_none("2026-04-01", "2026-06-30"));
    assert!(expected.0 > 0 && expected.1 > 0);
    assert_eq!((&none["orders"], &none["orders__compare"]), (&json!(expected.0), &json!(expected.1)), "{found}");
    assert_eq!((&total(2)[0]["placed"], &total(2)[0]["orders__compare"]), (&json!("2026-07"), &json!(30)), "{found}");
}

#[test]
fn computed_measures_are_compared_too() {
    let name = "paid_share__compare";
    let found = of_days(&json!({"measures": ["paid_share"], "dimensions": ["placed"], "dateGranularity": "month",
        "timeDimensions": [{"dimension": "placed", "dateRange": ["2026-02-01", "2026-03-31"]}],
        "compareTo": {"kind": "previousYear"}, "order": {name: "desc"}}));
    let share = |first, last| counted(first, last, "paid") as f64 / counted(first, last, "true") as f64;
    let mut expected = [("2026-02", share("2025-02-01", "2025-02-28")), ("2026-03", share("2025-03-01", "2025-03-31"))];
    expected.sort_by(|(_, own), (_, other)| other.total_cmp(own));
    for (row, (key, share)) in found["rows"].as_array().unwrap().iter().zip(expected) {
        assert_eq!((row["placed"].as_str(), row[name].as_f64()), (Some(key), Some(share)), "{found}");
    }
    assert!(found["fields"].as_array().unwrap().iter().any(|field| field["name"] == name), "{found}");
}

#[test]
fn the_first_of_more_groups_than_are_put_together_are_asked_for_with_a_limit() {
    let tickets = json!({"name": "by_tickets", "object": "shop_tickets", "dimensions": [{"name": "title", "field": "title"}],
        "measures": [{"name": "last", "aggregate": "max", "field": "id"}]});
    let of = |limit: Option<u64>| {
        let mut selection = json!({"measures": ["last"], "dimensions": ["title"], "order": {"last": "desc"}});
        if let Some(limit) = limit {
            selection["limit"] = limit.into();
        }
        json!({"dataset": tickets, "selection": selection})
    };
    for limit in [None, Some(20_000)] {
        let refused = DAYS.refused("nora", "POST", "/analytics/dataset/query", Some(&of(limit)));
        assert_eq!(refused, (400, "DATASET_INVALID".to_owned()), "{limit:?}");
    }
    let found = DAYS.ask("nora", "POST", "/analytics/dataset/query", Some(&of(Some(2)))).json();
    let titles: Vec<&Value> = found["rows"].as_array().unwrap().iter().map(|row| &row["title"]).collect();
    assert_eq!(titles, ["T-10100", "T-10099"], "{found}");
}

#[test]
fn a_query_with_more_rows_than_an_answer_has_is_refused() {
    let of = |more: Value| {
        let mut query = json!({"cube": "shop_tickets", "measures": ["count"], "dimensions": ["title"]});
        query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        query
    };
    for more in [json!({}), json!({"limit": 20_000}), json!({"order": {"title": "asc"}})] {
        let refused = DAYS.refused("nora", "POST", "/analytics/query", Some(&of(more.clone())));
        assert_eq!(refused, (400, "INVALID_QUERY".to_owned()), "{more}");
    }
    let rows = |more: Value| {
        let found = DAYS.ask("nora", "POST", "/analytics/query", Some(&of(more))).json();
        found["data"]["rows"].as_array().unwrap().len()
    };
    assert_eq!(rows(json!({"limit": 10_000})), 10_000);
    assert_eq!(rows(json!({"limit": 10_000, "offset": 10_000})), 4);
    assert_eq!(rows(json!({"where": {"id": {"$lt": 200}}})), 103);
}
