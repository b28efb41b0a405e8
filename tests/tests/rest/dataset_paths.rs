//! Dimensions and measures of related records: nora reads all accounts, rita those of Europe without their ratings, and no owner.

use crate::own::Gate;
use querygate_tests::server::runtime;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Of one deal the account is not there, of one none is named.
const ROWS: &str = "
CREATE TABLE owners(id TEXT PRIMARY KEY NOT NULL, name TEXT);
CREATE TABLE accounts(id TEXT PRIMARY KEY NOT NULL, name TEXT, industry TEXT, region TEXT, rating DOUBLE, card TEXT, budget DOUBLE,
    since DATE_TEXT, owner TEXT);
CREATE TABLE quiet(id TEXT PRIMARY KEY NOT NULL, word TEXT);
CREATE TABLE deals(id TEXT PRIMARY KEY NOT NULL, account TEXT, quiet TEXT, amount DOUBLE, closed_on DATE_TEXT);
INSERT INTO owners VALUES ('w1', 'Wanda'), ('w2', 'Will');
INSERT INTO accounts VALUES ('a1', 'Acme', 'bank', 'eu', 3, '4111', 100, '2020-05-01', 'w1'),
    ('a2', 'Beta', 'steel', 'us', 5, '5500', 200, '2021-06-01', 'w2'), ('a3', 'Cargo', 'bank', 'eu', 1, NULL, 20, NULL, NULL);
INSERT INTO quiet VALUES ('q1', 'hush');
INSERT INTO deals VALUES ('d1', 'a1', 'q1', 10, '2026-01-05'), ('d2', 'a2', NULL, 20, '2026-01-20'),
    ('d3', 'a3', NULL, 30, '2026-02-03'), ('d4', NULL, NULL, 40, '2026-02-10'), ('d5', 'a2', NULL, 50, '2025-01-07'),
    ('d6', 'gone', NULL, 60, '2026-02-11');";

static DEALS: LazyLock<Gate> = LazyLock::new(|| Gate::of(include_str!("dataset_paths.yaml"), ROWS, ""));

fn dataset(include: &[&str], selection: &Value) -> Value {
    json!({"selection": selection, "dataset": {"name": "deals_by", "object": "shop_deals", "include": include,
    "dimensions": [
        {"name": "industry", "label": "Industry", "field": "account.industry"},
        {"name": "rating", "field": "account.rating"},
        {"name": "card", "field": "account.card"},
        {"name": "since", "field": "account.since", "dateGranularity": "year"},
        {"name": "owner", "field": "account.owner.name"},
        {"name": "word", "field": "quiet.word"},
        {"name": "closed", "field": "closed_on"},
    ],
    "measures": [
        {"name": "deals", "aggregate": "count"},
        {"name": "amount", "aggregate": "sum", "field": "amount"},
        {"name": "budget", "aggregate": "sum", "field": "account.budget"},
        {"name": "accounts", "aggregate": "count_distinct", "field": "account.id"},
        {"name": "rated", "aggregate": "avg", "field": "account.rating"},
        {"name": "well_rated", "aggregate": "count", "filter": {"account.rating": {"$gt": 2}}},
        {"name": "banking", "aggregate": "count", "filter": {"account.industry": "bank"}},
        {"name": "banking_share", "derived": {"op": "ratio", "of": ["banking", "deals"]}},
    ]}})
}

const ALL: &[&str] = &["account.owner", "quiet"];

fn answer(user: &str, selection: &Value) -> Value {
    let answer = DEALS.ask(user, "POST", "/analytics/dataset/query", Some(&dataset(ALL, selection)));
    assert_eq!(answer.status, 200, "{user} {selection}: {}", answer.text());
    answer.json()
}

fn rows(user: &str, selection: &Value) -> Value {
    answer(user, selection)["rows"].clone()
}

fn refused(user: &str, include: &[&str], selection: &Value) -> (u16, String) {
    DEALS.refused(user, "POST", "/analytics/dataset/query", Some(&dataset(include, selection)))
}

fn cube(user: &str, body: &Value) -> Value {
    let answer = DEALS.ask(user, "POST", "/analytics/query", Some(body));
    assert_eq!(answer.status, 200, "{user} {body}: {}", answer.text());
    answer.json()["data"].clone()
}

/// An account that is hidden from rita counts as none.
#[test]
fn groups_are_of_the_accounts_that_the_reader_sees() {
    let by = json!({"measures": ["deals", "amount", "budget", "accounts", "banking_share"], "dimensions": ["industry"],
        "order": {"industry": "asc"}});
    let row = |industry: Value, deals: u64, amount: u64, budget: u64, accounts: u64, share: u64| {
        json!([industry, deals, amount, budget, accounts, share])
    };
    let cells = |user: &str| {
        let names = ["industry", "deals", "amount", "budget", "accounts", "banking_share"];
        let rows = rows(user, &by);
        let row = |row: &Value| names.iter().map(|name| row[name].clone()).collect::<Value>();
        rows.as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let bank = row(json!("Banking"), 2, 40, 120, 2, 1);
    let none = |deals, amount| row(Value::Null, deals, amount, 0, 0, 0);
    assert_eq!(cells("nora"), [bank.clone(), row(json!("Steel works"), 2, 70, 400, 1, 0), none(2, 100)]);
    assert_eq!(cells("rita"), [bank, none(4, 170)]);
    let found = answer("rita", &by);
    assert_eq!(found["dimensionFields"], json!({"industry": "account.industry"}), "{found}");
    assert_eq!(found["drillRawRows"], json!([{"industry": "bank"}, {"industry": null}]), "{found}");
}

#[test]
fn paths_may_have_several_references_and_end_with_a_date() {
    let by = |name: &str| json!({"measures": ["deals"], "dimensions": [name], "order": {name: "asc"}});
    let owners = json!([{"owner": "Wanda", "deals": 1}, {"owner": "Will", "deals": 2}, {"owner": null, "deals": 3}]);
    assert_eq!(rows("nora", &by("owner")), owners);
    let years = json!([{"since": "2020", "deals": 1}, {"since": "2021", "deals": 2}, {"since": null, "deals": 3}]);
    assert_eq!(rows("nora", &by("since")), years);
    let found = answer("rita", &by("since"));
    assert_eq!(found["rows"], json!([{"since": "2020", "deals": 1}, {"since": null, "deals": 5}]));
    let range = json!({"since": {"field": "account.since", "gte": "2020-01-01", "lt": "2021-01-01"}});
    assert_eq!(found["drillRanges"][0], range, "{found}");
}

/// A year before January 2026 one deal was closed, of an account of another region.
#[test]
fn windows_and_totals_are_of_what_the_reader_sees() {
    let selection = json!({"measures": ["deals"], "dimensions": ["industry"],
        "timeDimensions": [{"dimension": "closed", "dateRange": ["2026-01-01", "2026-01-31"]}],
        "compareTo": {"kind": "previousYear"}, "order": {"industry": "asc"}, "totals": {"groupings": [[], ["industry"]]}});
    let row = |industry: Value, before: u64| json!({"industry": industry, "deals": 1, "deals__compare": before});
    for (user, other) in [("nora", json!("Steel works")), ("rita", Value::Null)] {
        let found = answer(user, &selection);
        assert_eq!(found["rows"], json!([row(json!("Banking"), 0), row(other, 1)]), "{user}: {found}");
        assert_eq!(found["totals"][0]["rows"], json!([{"deals": 2, "deals__compare": 1}]), "{user}: {found}");
        assert_eq!(found["totals"][1]["rows"].as_array().unwrap().len(), 2, "{user}: {found}");
    }
    // The window may be of a related date.
    let since = json!({"measures": ["deals"], "dimensions": ["since"], "compareTo": {"kind": "previousYear"},
        "timeDimensions": [{"dimension": "since", "dateRange": ["2021-01-01", "2021-12-31"]}]});
    assert_eq!(rows("nora", &since), json!([{"since": "2021", "deals": 2, "deals__compare": 1}]));
    assert_eq!(rows("rita", &since), json!([{"since": "2021", "deals": 0, "deals__compare": 1}]));
}

#[test]
fn conditions_may_name_paths() {
    let counted = |user: &str, filter: &Value| {
        let found = rows(user, &json!({"measures": ["deals"], "runtimeFilter": filter}));
        found[0]["deals"].as_u64().unwrap()
    };
    for (filter, nora, rita) in [
        (json!({"industry": "steel"}), 2, 0),
        (json!({"account.industry": "bank"}), 2, 2),
        (json!({"industry": {"$ne": "bank"}}), 4, 4),
        (json!({"account.name": null}), 2, 4),
        (json!({"amount": {"$gt": {"$field": "account.budget"}}}), 1, 1),
    ] {
        assert_eq!((counted("nora", &filter), counted("rita", &filter)), (nora, rita), "{filter}");
    }
}

#[test]
fn what_is_hidden_behind_a_path_is_as_what_is_not_there() {
    let unknown = (400, "INVALID_FIELD".to_owned());
    let by = |name: &str| json!({"measures": ["deals"], "dimensions": [name]});
    let only = |name: &str| json!({"measures": [name]});
    let narrowed = |filter: Value| json!({"measures": ["deals"], "runtimeFilter": filter});
    for selection in [
        by("rating"),
        by("card"),
        by("owner"),
        only("rated"),
        only("well_rated"),
        narrowed(json!({"rating": 3})),
        narrowed(json!({"account.owner.name": "Wanda"})),
        narrowed(json!({"amount": {"$gt": {"$field": "account.owner.name"}}})),
    ] {
        assert_eq!(refused("rita", ALL, &selection), unknown, "{selection}");
    }
    // By its own name a hidden field is refused as one of the object itself is.
    let hidden = (403, "PERMISSION_DENIED".to_owned());
    assert_eq!(refused("rita", ALL, &narrowed(json!({"account.rating": 3}))), hidden);
    assert_eq!(refused("nora", ALL, &narrowed(json!({"account.card": "4111"}))), hidden);
    assert_eq!(refused("nora", ALL, &by("card")), unknown, "it is masked");
    assert_eq!(refused("nora", ALL, &by("word")), unknown, "metadata does not open that object for lists");
    assert_eq!(rows("nora", &only("well_rated")), json!([{"well_rated": 3}]));
}

#[test]
fn a_dataset_has_the_paths_that_it_includes() {
    let unknown = (400, "INVALID_FIELD".to_owned());
    let by = |name: &str| json!({"measures": ["deals"], "dimensions": [name]});
    let narrowed = |filter: Value| json!({"measures": ["deals"], "runtimeFilter": filter});
    let none: &[&str] = &[];
    for (include, selection) in [
        (none, by("industry")),
        (&["account"][..], by("owner")),
        (&["nope"][..], by("industry")),
        (none, narrowed(json!({"account.industry": "bank"}))),
        (none, narrowed(json!({"amount": {"$gt": {"$field": "account.budget"}}}))),
    ] {
        assert_eq!(refused("nora", include, &selection), unknown, "{include:?} {selection}");
    }
}

#[test]
fn cubes_and_queries_name_paths_too() {
    let query = json!({"cube": "shop_deals", "measures": ["count", "amount_sum"], "dimensions": ["account.industry"],
        "order": {"account.industry": "asc"}});
    let sql = "SELECT a.industry, count(*), sum(d.amount) FROM deals d LEFT JOIN accounts a ON a.id = d.account GROUP BY 1 \
               ORDER BY 1 NULLS FIRST";
    for user in ["nora", "rita"] {
        let expected = runtime().block_on(async { DEALS.sql(user).await.query(sql, &[]).await.unwrap() });
        let expected: Vec<(Option<String>, i64, f64)> =
            expected.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        let found = cube(user, &query)["rows"].clone();
        let row = |row: &Value| {
            let industry = row["account.industry"].as_str().map(str::to_owned);
            (industry, row["count"].as_i64().unwrap(), row["amount_sum"].as_f64().unwrap())
        };
        assert_eq!(found.as_array().unwrap().iter().map(row).collect::<Vec<_>>(), expected, "{user}: {found}");
    }
    let pipeline = json!({"cube": "shop_pipeline", "measures": ["budget"], "dimensions": ["industry"],
        "where": {"industry": "bank"}});
    let found = cube("rita", &pipeline);
    assert_eq!(found["rows"], json!([{"industry": "bank", "budget": 120}]));
    let text = "SELECT \"account\".\"industry\" AS \"industry\", SUM(\"account\".\"budget\") AS \"budget\" FROM \"shop_deals\" \
                LEFT JOIN \"shop_accounts\" \"account\" ON \"shop_deals\".\"account\" = \"account\".\"id\" \
                WHERE \"account\".\"industry\" = $1 GROUP BY \"account\".\"industry\"";
    assert_eq!(found["sql"], text);
    for (user, names) in [("nora", json!(["industry", "rating"])), ("rita", json!(["industry"]))] {
        let listed = DEALS.get(user, "/analytics/meta?cube=shop_pipeline")["data"][0]["dimensions"].clone();
        let listed: Vec<String> =
            listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        let names: Vec<String> =
            names.as_array().unwrap().iter().map(|name| format!("shop_pipeline.{}", name.as_str().unwrap())).collect();
        assert_eq!(listed, names, "{user}");
    }
    let refused = |user: &str, body: Value| DEALS.refused(user, "POST", "/analytics/query", Some(&body));
    let unknown = (400, "INVALID_FIELD".to_owned());
    for (user, cube, measure, dimension) in [
        ("rita", "shop_pipeline", "deals", "rating"),
        ("rita", "shop_pipeline", "rated", "industry"),
        ("rita", "shop_deals", "count", "account.rating"),
        ("rita", "shop_deals", "count", "account.owner.name"),
        ("nora", "shop_deals", "account.budget_sum", "account.industry"),
        ("nora", "shop_deals", "count", "account.nope"),
        ("nora", "shop_elsewhere", "deals", "industry"),
    ] {
        let body = json!({"cube": cube, "measures": [measure], "dimensions": [dimension]});
        assert_eq!(refused(user, body.clone()), unknown, "{user} {body}");
    }
    // Records are asked for by their own fields, as before.
    let groups = json!({"groupBy": ["account.industry"], "aggregations": [{"function": "count", "alias": "n"}]});
    assert_eq!(DEALS.refused("nora", "POST", "/data/shop_deals/query", Some(&groups)), unknown);
}
