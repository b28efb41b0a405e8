//! Measures by dimensions, packages and translations: what is computed and told is what the principal may see.

use crate::own::GATE;
use querygate_tests::server::{Request, runtime};
use serde_json::{Value, json};

fn asked(user: &str, body: &Value) -> Value {
    let answer = GATE.ask(user, "POST", "/analytics/query", Some(body));
    assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    answer.json()["data"]["rows"].clone()
}

fn refused(user: &str, body: &Value) -> (u16, String) {
    GATE.refused(user, "POST", "/analytics/query", Some(body))
}

#[test]
fn measures_are_computed_by_dimensions() {
    let query = json!({"cube": "shop_sales", "measures": ["orders", "shop_sales.earned"], "dimensions": ["region"], "order": {"region": "asc"}});
    assert_eq!(
        asked("nora", &query),
        json!([{"region": "eu", "orders": 2, "earned": 0.5}, {"region": "us", "orders": 1, "earned": 2}])
    );
    let query = json!({"cube": "shop_orders", "measures": ["count", "margin_max"], "where": {"paid": true}});
    assert_eq!(asked("nora", &query), json!([{"count": 1, "margin_max": 0.5}]));
    let query = json!({"cube": "shop_orders", "measures": ["count"], "order": {"placed_on": "asc"},
        "timeDimensions": [{"dimension": "placed_on", "granularity": "month", "dateRange": ["2026-01-01", "2026-01-01"]}]});
    assert_eq!(asked("nora", &query), json!([{"placed_on": "2026-01", "count": 1}]));
    let dataset = json!({"datasetName": "orders_by", "selection": {"measures": ["order_count"], "dimensions": ["region"], "order": {"region": "asc"}}});
    let answer = GATE.ask("nora", "POST", "/analytics/dataset/query", Some(&dataset)).json();
    assert_eq!(
        answer["rows"],
        json!([{"region": "America", "order_count": 1}, {"region": "Europe", "order_count": 2}])
    );
    assert_eq!(answer["drillRawRows"], json!([{"region": "us"}, {"region": "eu"}]), "{answer}");
}

#[test]
fn measures_have_the_rights_of_records() {
    let query = json!({"cube": "shop_sales", "measures": ["orders"]});
    assert_eq!((asked("nora", &query), asked("rita", &query)), (json!([{"orders": 3}]), json!([{"orders": 2}])));
    let hidden = [
        json!({"cube": "shop_sales", "measures": ["earned"]}),
        json!({"cube": "shop_orders", "measures": ["margin_sum"]}),
        json!({"cube": "shop_sales", "measures": ["orders"], "dimensions": ["margin"]}),
        json!({"cube": "shop_sales", "measures": ["orders"], "dimensions": ["paying"]}),
        json!({"cube": "shop_sales", "measures": ["twice"]}),
    ];
    for query in &hidden {
        let unknown = query
            .to_string()
            .replace("earned", "absent")
            .replace("margin", "absent")
            .replace("paying", "absent")
            .replace("twice", "absent");
        let text = |query: &Value| GATE.ask("rita", "POST", "/analytics/query", Some(query)).text();
        let told = text(query)
            .replace("earned", "absent")
            .replace("margin", "absent")
            .replace("paying", "absent")
            .replace("twice", "absent");
        assert_eq!(told, text(&serde_json::from_str(&unknown).unwrap()), "what is hidden is as what is not there");
        assert_eq!(refused("rita", query), (400, "INVALID_FIELD".to_owned()), "{query}");
    }
    let by = json!({"cube": "shop_sales", "measures": ["orders"], "where": {"margin": {"$gt": 1}}});
    assert_eq!(refused("rita", &by), (403, "PERMISSION_DENIED".to_owned()));
    for cube in ["shop_hush", "shop_secrets", "shop_absent", "shop_quiet"] {
        let told = GATE.ask("rita", "POST", "/analytics/query", Some(&json!({"cube": cube, "measures": ["count"]})));
        assert_eq!((told.status, told.text().replace(cube, "x")), (404, told_of_none()), "{cube}");
    }
    let listed = GATE.get("rita", "/analytics/meta");
    let expected = json!([{"name": "shop_sales", "title": "Sales",
        "measures": [{"name": "shop_sales.orders", "type": "count", "title": "Orders"}],
        "dimensions": [{"name": "shop_sales.region", "type": "string", "title": "Region"},
            {"name": "shop_sales.placed", "type": "time", "title": "Placed"}]}]);
    assert_eq!(listed["data"], expected);
    assert_eq!(GATE.get("nora", "/analytics/meta")["data"].as_array().unwrap().len(), 2);
    let dataset = json!({"datasetName": "orders_by", "selection": {"measures": ["earned"]}});
    assert_eq!(
        GATE.refused("rita", "POST", "/analytics/dataset/query", Some(&dataset)),
        (400, "INVALID_FIELD".to_owned())
    );
    for (method, path) in [("GET", "/meta"), ("POST", "/query"), ("POST", "/sql"), ("POST", "/dataset/query")] {
        let request = Request::new(method, &format!("/api/v1/analytics{path}")).json(&query);
        assert_eq!(GATE.send(request).status, 401, "{path}");
    }
}

#[test]
fn a_dimension_of_one_span_is_of_that_span() {
    let orders = |names: Value| {
        let query =
            json!({"cube": "shop_sales", "measures": ["orders"], "dimensions": names, "order": {"placed": "asc"}});
        GATE.ask("nora", "POST", "/analytics/query", Some(&query)).json()["data"]["rows"].clone()
    };
    let client = GATE.sql("nora");
    let months = "SELECT to_char(placed_on, 'YYYY-MM'), count(*) FROM orders GROUP BY 1 ORDER BY 1 NULLS FIRST";
    let expected: Vec<Value> = runtime().block_on(async {
        let rows = client.await.query(months, &[]).await.unwrap();
        let row = |row: &tokio_postgres::Row| json!({"placed": row.get::<_, Option<String>>(0), "orders": row.get::<_, i64>(1)});
        rows.iter().map(row).collect()
    });
    assert_eq!(orders(json!(["placed"])), Value::Array(expected));
    // A query names another span.
    let query = json!({"cube": "shop_sales", "measures": ["orders"], "dimensions": ["placed"],
        "timeDimensions": [{"dimension": "placed", "granularity": "year"}]});
    let rows = GATE.ask("nora", "POST", "/analytics/query", Some(&query)).json()["data"]["rows"].clone();
    let years: Vec<&str> = rows.as_array().unwrap().iter().filter_map(|row| row["placed"].as_str()).collect();
    assert_eq!(years, ["2026"], "{rows}");
}

#[test]
fn windows_of_time_have_names() {
    let counted = |range: Value| {
        let query = json!({"cube": "shop_orders", "measures": ["count"], "timeDimensions": [{"dimension": "placed_on", "dateRange": range}]});
        GATE.ask("nora", "POST", "/analytics/query", Some(&query)).json()
    };
    let client = GATE.sql("nora");
    let sql =
        |from: &str, to: &str| format!("SELECT count(*) FROM orders WHERE placed_on >= {from} AND placed_on <= {to}");
    let today = "current_date";
    let windows = [
        ("today", sql(today, today)),
        ("last_90_days", sql("current_date - 90", today)),
        (
            "this_year",
            sql("date_trunc('year', current_date)", "current_date + 366")
                + " AND extract(year FROM placed_on) = extract(year FROM current_date)",
        ),
    ];
    let client = runtime().block_on(client);
    for (name, query) in windows {
        let expected: i64 = runtime().block_on(client.query_one(&query, &[])).unwrap().get(0);
        assert_eq!(counted(json!(name))["data"]["rows"], json!([{"count": expected}]), "{name}");
    }
    for wrong in
        [json!("blah"), json!("Last 7 days"), json!(["2026-01-01"]), json!([1, 2]), json!(["2026-01-01", ""]), json!(7)]
    {
        let answer = counted(wrong.clone());
        assert_eq!(answer["error"]["code"], "ANALYTICS_DATE_RANGE_UNRECOGNIZED", "{wrong}: {answer}");
        assert_eq!(answer["error"]["httpStatus"], 400, "{wrong}");
    }
}

fn told_of_none() -> String {
    json!({"success": false, "error": {"code": "CUBE_NOT_FOUND", "message": "There is no cube 'x'.", "httpStatus": 404}}).to_string()
}

#[test]
fn questions_are_refused_that_are_none() {
    for wrong in [json!({}), json!({"cube": "shop_sales"}), json!({"cube": "shop_sales", "measures": []}), json!([1])] {
        assert_eq!(refused("nora", &wrong), (400, "VALIDATION_FAILED".to_owned()), "{wrong}");
    }
}

#[test]
fn a_query_is_told_as_sql_without_values_rules_and_what_is_hidden() {
    let printed = |user: &str, query: &Value| {
        let answer = GATE.ask(user, "POST", "/analytics/sql", Some(query));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.json()["data"].clone()
    };
    let query = json!({"cube": "shop_orders", "measures": ["count", "margin_max"], "dimensions": ["region"],
        "where": {"paid": true}, "order": {"region": "desc"}, "limit": 3});
    let text = "SELECT region AS \"region\", COUNT(*) AS \"count\", MAX(margin) AS \"margin_max\" FROM \"shop_orders\" \
                WHERE paid = $1 GROUP BY region ORDER BY \"region\" DESC LIMIT 3";
    assert_eq!(printed("nora", &query), json!({"sql": text, "params": [true]}));
    let answer = GATE.ask("nora", "POST", "/analytics/query", Some(&query)).json();
    assert_eq!(answer["data"]["sql"], text);
    let months = json!({"cube": "shop_orders", "measures": ["count"],
        "timeDimensions": [{"dimension": "placed_on", "granularity": "month", "dateRange": ["2026-01-01", "2026-01-31"]}]});
    let text = "SELECT date_trunc('month', placed_on) AS \"placed_on\", COUNT(*) AS \"count\" FROM \"shop_orders\" \
                WHERE (placed_on >= $1 AND placed_on < $2) GROUP BY date_trunc('month', placed_on)";
    assert_eq!(printed("nora", &months), json!({"sql": text, "params": ["2026-01-01", "2026-02-01"]}));
    // Row policies narrow what rita counts, and are not in the text; a field that she does not see is none.
    let count = json!({"cube": "shop_orders", "measures": ["count"]});
    assert_eq!(printed("rita", &count), printed("nora", &count));
    let hidden = [
        (json!({"cube": "shop_orders", "measures": ["margin_max"]}), (400, "INVALID_FIELD")),
        (json!({"cube": "shop_orders", "measures": ["count"], "where": {"margin": 1}}), (403, "PERMISSION_DENIED")),
    ];
    for (query, (status, code)) in hidden {
        assert_eq!(GATE.refused("rita", "POST", "/analytics/sql", Some(&query)), (status, code.to_owned()), "{query}");
    }
}

#[test]
fn labels_are_those_of_what_is_seen() {
    let labels = |user: &str| GATE.get(user, "/i18n/labels/shop_orders/de")["data"]["labels"].clone();
    assert_eq!(labels("nora"), json!({"code": {"label": "Nummer"}, "margin": {"label": "Marge"}}));
    assert_eq!(labels("rita"), json!({"code": {"label": "Nummer"}}));
    let bundle = GATE.get("rita", "/i18n/translations/de").to_string();
    assert!(bundle.contains("Bestellung") && !bundle.contains("Geheimnis") && !bundle.contains("Marge"), "{bundle}");
    let stranger = GATE.send(Request::new("GET", "/api/v1/i18n/translations/de")).json();
    assert_eq!(stranger["data"], json!({"locale": "de", "translations": {}}));
    assert_eq!(GATE.get("rita", "/i18n/labels/shop_secrets/de"), GATE.get("rita", "/i18n/labels/shop_secrets/de"));
    assert_eq!(GATE.get("rita", "/i18n/locales")["data"]["locales"].as_array().unwrap().len(), 2);
}

#[test]
fn packages_are_for_who_administers() {
    for path in ["/packages", "/packages/com.example.shop"] {
        assert_eq!(GATE.refused("rita", "GET", path, None), (403, "PERMISSION_DENIED".to_owned()), "{path}");
    }
}
