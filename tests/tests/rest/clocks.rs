//! Times with a zone over REST: texts in their source, values in answers and orders; filters ask of them only whether they are null.

use crate::own::Gate;
use serde_json::{Value, json};

const STACK: &str = r#"
manifest: { id: com.example.shop, namespace: shop, version: 1.0.0, type: app, name: Shop, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - name: shop_hours
    label: Opening hours
    datasource: shop
    external: { remoteName: hours }
    sharingModel: public_read
    systemFields: false
    fields:
      id: { type: text, required: true }
      opens: { type: text }
      city: { type: text }
querygate:
  tables:
    shop_hours: { columnTypes: { opens: timetz } }
permissions:
  - name: shop_manager
    label: Everywhere
    objects:
      shop_hours: { allowRead: true, allowExport: true, viewAllRecords: true }
  - name: shop_reader
    label: In Zurich
    objects:
      shop_hours: { allowRead: true }
    rowLevelSecurity:
      - { name: zurich, object: shop_hours, operation: select, using: "city == 'Zurich'" }
"#;

/// Three are one moment of the day, in different zones.
const ROWS: &str = "CREATE TABLE hours(id TEXT PRIMARY KEY NOT NULL, opens TEXT, city TEXT);
INSERT INTO hours VALUES ('h1', '09:00:00+02', 'Zurich'), ('h2', '08:30:00+01:30', 'Zurich'), ('h3', '07:00:00+00', 'London'),
    ('h4', NULL, 'Paris'), ('h5', '23:59:59.5-11', 'Apia');";

fn ids(page: &Value) -> Vec<&str> {
    page["records"].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap()).collect()
}

#[test]
fn times_with_a_zone_are_read_and_ordered_and_take_no_conditions_but_of_null() {
    let gate = Gate::of(STACK, ROWS, "");
    let all = gate.get("nora", "/data/shop_hours?sort=id&select=id,opens");
    let opens: Vec<&Value> = all["records"].as_array().unwrap().iter().map(|record| &record["opens"]).collect();
    let expected = [json!("09:00:00+02"), json!("08:30:00+01:30"), json!("07:00:00+00"), Value::Null];
    assert!(opens.iter().take(4).copied().eq(expected.iter()), "{all}");
    assert_eq!(opens[4], "23:59:59.5-11");
    assert_eq!(gate.get("nora", "/data/shop_hours/h2")["record"]["opens"], "08:30:00+01:30");
    // By the moment, then by the zone, as PostgreSQL orders them.
    let sorted = gate.get("nora", "/data/shop_hours?sort=-opens");
    assert_eq!(ids(&sorted), ["h5", "h3", "h2", "h1", "h4"], "{sorted}");

    let found = |user: &str, filter: &Value| {
        let body = json!({"where": filter, "orderBy": [{"field": "id", "order": "asc"}]});
        let answer = gate.ask(user, "POST", "/data/shop_hours/query", Some(&body));
        assert_eq!(answer.status, 200, "{filter}: {}", answer.text());
        let page = answer.json();
        ids(&page).join(" ")
    };
    assert_eq!(found("nora", &json!({"opens": {"$null": true}})), "h4");
    assert_eq!(found("nora", &json!({"opens": {"$null": false}, "city": {"$ne": "Zurich"}})), "h3 h5");
    assert_eq!(found("rita", &json!({"opens": {"$null": false}})), "h1 h2");
    assert_eq!(found("rita", &json!({"opens": {"$null": true}})), "", "a hidden record");
    // Three texts are one moment: what a source compared would not be what the gate reads.
    for filter in [json!("09:00:00+02"), json!({"$gt": "07:00:00+00"}), json!({"$in": ["07:00:00+00"]})] {
        let body = json!({"where": {"opens": filter}});
        let refused = gate.refused("nora", "POST", "/data/shop_hours/query", Some(&body));
        assert_eq!(refused, (400, "INVALID_FILTER".to_owned()), "{filter}");
    }
    let exported = gate.ask("nora", "GET", "/data/shop_hours/export?format=csv", None);
    assert!(exported.status == 200 && exported.text().contains("08:30:00+01:30"), "{}", exported.text());
}
