//! Questions and changes of records as values through the engine's interface: the vendor's published cases, what policy hides, what a
//! question means, what a change stores.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic and report"
)]

#[path = "questions/conformance.rs"]
mod conformance;
#[path = "questions/door.rs"]
mod door;
#[path = "questions/expansions.rs"]
mod expansions;
#[path = "questions/meaning.rs"]
mod meaning;
#[path = "questions/policy.rs"]
mod policy;
#[path = "questions/records.rs"]
mod records;

use querygate_query_api::requests::question::{AggregateFunction, Aggregation, Bucket, GroupKey, OrderKey, Question};
use serde_json::Value;

/// A question from the JSON of a request's body.
fn question(object: &str, body: &Value) -> Question {
    let texts = |key: &str| body.get(key).map(|list| list.as_array().unwrap().iter().map(text).collect::<Vec<_>>());
    let list = |key: &str| body.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    Question {
        object: object.to_owned(),
        keys: texts("keys"),
        fields: texts("fields"),
        filter: body.get("where").cloned(),
        paths: body.get("paths").is_some_and(|paths| paths.as_bool().unwrap()),
        order: list("orderBy").iter().map(order).collect(),
        limit: body.get("limit").map(|limit| limit.as_u64().unwrap()),
        offset: body.get("offset").map(|offset| offset.as_u64().unwrap()),
        group_by: list("groupBy").iter().map(group).collect(),
        aggregations: list("aggregations").iter().map(aggregation).collect(),
        having: body.get("having").cloned(),
        search: body.get("search").map(text),
        search_fields: texts("searchFields"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn order(value: &Value) -> OrderKey {
    OrderKey { field: text(&value["field"]), descending: value["order"] == "desc" }
}

fn group(value: &Value) -> GroupKey {
    if let Some(field) = value.as_str() {
        return GroupKey { field: field.to_owned(), bucket: None, alias: None };
    }
    let bucket = value.get("dateGranularity").map(|word| match word.as_str().unwrap() {
        "day" => Bucket::Day,
        "week" => Bucket::Week,
        "month" => Bucket::Month,
        "quarter" => Bucket::Quarter,
        "year" => Bucket::Year,
        other => panic!("{other}"),
    });
    GroupKey { field: text(&value["field"]), bucket, alias: value.get("alias").map(text) }
}

fn aggregation(value: &Value) -> Aggregation {
    let function = match value["function"].as_str().unwrap() {
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "avg" => AggregateFunction::Avg,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        "count_distinct" => AggregateFunction::CountDistinct,
        other => panic!("{other}"),
    };
    Aggregation {
        function,
        field: value.get("field").map(text),
        alias: text(&value["alias"]),
        filter: value.get("filter").cloned(),
    }
}
