//! `POST /data/:object/query`: a QueryAST as a question. Knows no field.

use super::ask::{Ask, Expand, limit_of, offset_of, same_object};
use crate::refusal::{Refusal, invalid_option};
use querygate_query_api::requests::question::{AggregateFunction, Aggregation, Bucket, GroupKey, OrderKey, Question};
use querygate_types::vendor::VendorCode;
use serde_json::{Map, Value, json};

/// Faults that one answer tells.
const FAULTS_MAX: usize = 100;

/// Faults of a body, answered together.
#[derive(Default)]
struct Faults(Vec<Value>);

impl Faults {
    fn add(&mut self, field: &str, code: &str, message: impl Into<String>) {
        if self.0.len() >= FAULTS_MAX {
            return;
        }
        self.0.push(json!({"field": field, "code": code, "message": message.into()}));
    }

    fn of_type(&mut self, field: &str, expected: &str, given: &Value) {
        self.add(field, "invalid_type", format!("Invalid input: expected {expected}, received {}", kind(given)));
    }

    fn end(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(self.refusal()) }
    }

    fn refusal(self) -> Refusal {
        Refusal::new(VendorCode::ValidationFailed, "Invalid query request").with("fields", self.0)
    }
}

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Keys that former versions had.
const REMOVED: [&str; 6] = ["cursor", "joins", "distinct", "windowFunctions", "$regex", "$options"];

/// What a body asks.
///
/// # Errors
/// Everything in it that is no QueryAST.
pub(crate) fn ask_of(object: &str, body: Value) -> Result<Ask, Refusal> {
    let body = match body {
        Value::Object(body) => body,
        Value::Null => Map::new(),
        other => {
            let mut faults = Faults::default();
            faults.of_type("query", "object", &other);
            return Err(faults.refusal());
        }
    };
    if let Some(Value::String(named)) = body.get("object") {
        same_object(object, named)?;
    }
    let mut faults = Faults::default();
    let mut ask = Ask { counts: true, ..Ask::default() };
    ask.question.object = object.to_owned();
    let mut numbers = (None, None);
    for (key, value) in &body {
        read_key(key, value, &mut ask, &mut numbers, &mut faults);
    }
    faults.end()?;
    ask.is_paged = numbers.0.is_some() || numbers.1.is_some();
    ask.question.limit = numbers.0.and_then(limit_of);
    ask.question.offset = numbers.1.map(offset_of).transpose()?.flatten();
    ask.rest_only = ask.question.limit.is_none() && ask.question.offset.is_some();
    refuse_aggregate_orders(&ask.question)?;
    Ok(ask)
}

type Numbers = (Option<f64>, Option<f64>);

fn read_key(key: &str, value: &Value, ask: &mut Ask, numbers: &mut Numbers, faults: &mut Faults) {
    let question = &mut ask.question;
    let field = format!("query.{key}");
    match key {
        "object" | "context" => {}
        "fields" | "select" => question.fields = texts(&field, value, faults),
        "where" | "filter" => {
            condition(&field, value, faults);
            question.filter = Some(value.clone());
        }
        "having" => question.having = object(&field, value, faults),
        "orderBy" | "sort" => question.order = order(&field, value, faults),
        "limit" | "top" => numbers.0 = number(&field, value, faults),
        "offset" | "skip" => numbers.1 = number(&field, value, faults),
        "count" => match value {
            Value::Bool(counts) => ask.counts = *counts,
            other => faults.of_type(&field, "boolean", other),
        },
        "groupBy" => question.group_by = groups(&field, value, faults),
        "aggregations" => question.aggregations = aggregations(&field, value, faults),
        "expand" => ask.expand = expand(&field, value, faults),
        "search" => search(&field, value, question, faults),
        "searchFields" => question.search_fields = texts(&field, value, faults),
        removed if REMOVED.contains(&removed) => {
            faults.add(&field, "invalid_type", format!("`{field}` was removed in version 17"));
        }
        _ => faults.add(&field, "unrecognized_keys", format!("Unrecognized key: \"{key}\"")),
    }
}

/// A filter, or one within it, by its shape: the vendor reads one as a map, and as one of conditions.
fn condition(field: &str, value: &Value, faults: &mut Faults) {
    let Some(members) = value.as_object() else {
        faults.of_type(field, "record", value);
        return faults.of_type(field, "object", value);
    };
    for (key, member) in members {
        let place = format!("{field}.{key}");
        match (key.as_str(), member) {
            ("$and" | "$or", Value::Array(items)) => {
                items.iter().enumerate().for_each(|(at, item)| condition(&format!("{place}.{at}"), item, faults));
            }
            ("$and" | "$or", other) => faults.of_type(&place, "array", other),
            ("$not", inner) => condition(&place, inner, faults),
            _ => {}
        }
    }
}

fn number(field: &str, value: &Value, faults: &mut Faults) -> Option<f64> {
    let number = value.as_f64();
    if number.is_none() {
        faults.of_type(field, "number", value);
    }
    number
}

fn object(field: &str, value: &Value, faults: &mut Faults) -> Option<Value> {
    if !value.is_object() {
        faults.of_type(field, "object", value);
    }
    Some(value.clone())
}

fn texts(field: &str, value: &Value, faults: &mut Faults) -> Option<Vec<String>> {
    let Value::Array(items) = value else {
        faults.of_type(field, "array", value);
        return None;
    };
    let mut names = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        match item {
            Value::String(name) => names.push(name.clone()),
            other => faults.of_type(&format!("{field}.{at}"), "string", other),
        }
    }
    Some(names)
}

fn order(field: &str, value: &Value, faults: &mut Faults) -> Vec<OrderKey> {
    let Value::Array(items) = value else {
        faults.of_type(field, "array", value);
        return Vec::new();
    };
    let mut keys = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let place = format!("{field}.{at}");
        let Some(name) = item.get("field").and_then(Value::as_str) else {
            faults.add(&place, "invalid_shape", "Invalid input: expected { field, order }");
            continue;
        };
        let descending = match item.get("order") {
            None => false,
            Some(Value::String(word)) if word == "asc" => false,
            Some(Value::String(word)) if word == "desc" => true,
            Some(_) => {
                faults.add(&format!("{place}.order"), "invalid_option", invalid_option(["asc", "desc"]));
                continue;
            }
        };
        keys.push(OrderKey { field: name.to_owned(), descending });
    }
    keys
}

fn groups(field: &str, value: &Value, faults: &mut Faults) -> Vec<GroupKey> {
    let Value::Array(items) = value else {
        faults.of_type(field, "array", value);
        return Vec::new();
    };
    let mut keys = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let place = format!("{field}.{at}");
        match item {
            Value::String(name) => keys.push(GroupKey { field: name.clone(), bucket: None, alias: None }),
            Value::Object(group) => keys.extend(group_key(&place, group, faults)),
            _ => faults.add(&place, "invalid_shape", "Invalid input"),
        }
    }
    keys
}

fn group_key(place: &str, group: &Map<String, Value>, faults: &mut Faults) -> Option<GroupKey> {
    let text = |key: &str| group.get(key).and_then(Value::as_str);
    let Some(name) = text("field") else {
        faults.add(place, "invalid_shape", "Invalid input");
        faults.add(&format!("{place}.field"), "required", "Invalid input: expected string, received undefined");
        return None;
    };
    let bucket = match group.get("dateGranularity") {
        None => None,
        Some(name) => {
            let bucket = name.as_str().and_then(Bucket::named);
            if bucket.is_none() {
                faults.add(place, "invalid_shape", "Invalid input");
                faults.add(
                    &format!("{place}.dateGranularity"),
                    "invalid_option",
                    invalid_option(Bucket::ALL.map(Bucket::name)),
                );
            }
            bucket
        }
    };
    Some(GroupKey { field: name.to_owned(), bucket, alias: text("alias").map(str::to_owned) })
}

fn aggregations(field: &str, value: &Value, faults: &mut Faults) -> Vec<Aggregation> {
    let Value::Array(items) = value else {
        faults.of_type(field, "array", value);
        return Vec::new();
    };
    let mut found = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let place = format!("{field}.{at}");
        match item {
            Value::Object(entry) => found.extend(aggregation(&place, entry, faults)),
            other => faults.of_type(&place, "object", other),
        }
    }
    found
}

fn aggregation(place: &str, entry: &Map<String, Value>, faults: &mut Faults) -> Option<Aggregation> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    for key in entry.keys().filter(|key| !["function", "field", "alias", "filter"].contains(&key.as_str())) {
        faults.add(&format!("{place}.{key}"), "invalid_type", format!("Unrecognized key: \"{key}\""));
    }
    let function = text("function").and_then(AggregateFunction::named);
    if function.is_none() {
        let message = invalid_option(AggregateFunction::ALL.map(AggregateFunction::name));
        faults.add(&format!("{place}.function"), "invalid_option", message);
    }
    let alias = text("alias");
    if alias.is_none() {
        faults.add(&format!("{place}.alias"), "required", "Invalid input: expected string");
    }
    let filter = entry.get("filter").and_then(|filter| object(&format!("{place}.filter"), filter, faults));
    // `*` stands for records, as in SQL; the engine refuses it for anything but a count.
    let field = text("field").map(str::to_owned);
    let (function, alias) = (function?, alias?.to_owned());
    let field = if function == AggregateFunction::Count { field.filter(|field| field != "*") } else { field };
    Some(Aggregation { function, field, alias, filter })
}

fn expand(field: &str, value: &Value, faults: &mut Faults) -> Vec<Expand> {
    let Value::Object(entries) = value else {
        faults.of_type(field, "record", value);
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, entry) in entries {
        let place = format!("{field}.{name}");
        let Value::Object(entry) = entry else {
            faults.of_type(&place, "object", entry);
            continue;
        };
        if !entry.get("object").is_some_and(Value::is_string) {
            faults.add(&format!("{place}.object"), "required", "Invalid input: expected string");
        }
        found.push(Expand {
            field: name.clone(),
            fields: entry.get("fields").and_then(|fields| texts(&format!("{place}.fields"), fields, faults)),
            filter: entry.get("where").and_then(|filter| object(&format!("{place}.where"), filter, faults)),
            inner: entry
                .get("expand")
                .map(|inner| expand(&format!("{place}.expand"), inner, faults))
                .unwrap_or_default(),
        });
    }
    found
}

fn search(field: &str, value: &Value, question: &mut Question, faults: &mut Faults) {
    match value {
        Value::String(text) => question.search = Some(text.clone()),
        Value::Object(search) if search.get("query").is_some_and(Value::is_string) => {
            question.search = search.get("query").and_then(Value::as_str).map(str::to_owned);
            if let Some(fields) = search.get("fields") {
                question.search_fields = texts(&format!("{field}.fields"), fields, faults);
            }
        }
        _ => faults.add(field, "invalid_shape", "Invalid input"),
    }
    question.search = question.search.take().filter(|text| !text.trim().is_empty());
}

/// Over REST an order names no alias.
fn refuse_aggregate_orders(question: &Question) -> Result<(), Refusal> {
    let is_alias = |name: &str| question.aggregations.iter().any(|aggregation| aggregation.alias == name);
    match question.order.iter().find(|key| is_alias(&key.field)) {
        None => Ok(()),
        Some(key) => {
            let message = format!(
                "Query parameter 'orderBy' sorts by '{}', which is not a field on object '{}'. It was not applied, and an \
                 unapplied sort returns the rows in an arbitrary order — which 'top'/'limit' then slices into an arbitrary \
                 page.",
                key.field, question.object
            );
            Err(Refusal::new(VendorCode::InvalidSort, message))
        }
    }
}
