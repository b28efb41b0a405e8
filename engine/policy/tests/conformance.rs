//! The vendor's published filter fixtures against the filter language, with the counts printed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

use querygate_metadata::model::{FieldType, FormulaReturn, Protocol};
use querygate_policy::filter::RowLookup;
use querygate_policy::query_filter::{Column, FilterContext, FilterErrorCode, compile_filter};
use querygate_types::Result;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

struct NoRelated;

impl RowLookup for NoRelated {
    fn rows_where(&self, _: &str, _: &str, _: &str) -> Result<Vec<Map<String, Value>>> {
        Ok(Vec::new())
    }
}

fn shared(file: &str) -> Option<Value> {
    let root = std::env::var_os("QUERYGATE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join("data/objectstack").join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            assert!(std::env::var_os("QUERYGATE_SHARED").is_none(), "QUERYGATE_SHARED has no {file}");
            println!("SKIPPED: {file} absent");
            None
        }
    }
}

/// Values JSON cannot hold: bigints become numbers and dates strings, as a JSON client sends them.
fn decode(value: &Value) -> Option<Value> {
    match value {
        Value::Object(object) => match object.get("@js").and_then(Value::as_str) {
            Some("bigint") => serde_json::from_str(object["value"].as_str().unwrap()).ok(),
            Some("Date") => Some(object["value"].clone()),
            Some(_) => None,
            None => object
                .iter()
                .map(|(k, v)| Some((k.clone(), decode(v)?)))
                .collect::<Option<Map<_, _>>>()
                .map(Value::Object),
        },
        Value::Array(values) => values.iter().map(decode).collect::<Option<Vec<_>>>().map(Value::Array),
        other => Some(other.clone()),
    }
}

fn column(field: &Value) -> Column {
    let name = field.as_str().or_else(|| field["type"].as_str()).unwrap();
    let formula_return = match field["returnType"].as_str() {
        Some("number") => Some(FormulaReturn::Number),
        Some("text") => Some(FormulaReturn::Text),
        Some("boolean") => Some(FormulaReturn::Boolean),
        Some("date") => Some(FormulaReturn::Date),
        _ => None,
    };
    let field_type = FieldType::from_name(name).unwrap();
    Column {
        field_type,
        multiple: field["multiple"] == json!(true) || field_type.always_list(),
        formula_return,
        column_type: None,
    }
}

fn code_name(code: FilterErrorCode) -> &'static str {
    match code {
        FilterErrorCode::InvalidFilter => "INVALID_FILTER",
        FilterErrorCode::InvalidField => "INVALID_FIELD",
        FilterErrorCode::TokenUnknown => "FILTER_TOKEN_UNKNOWN",
        FilterErrorCode::TokenUnresolved => "FILTER_TOKEN_UNRESOLVED",
    }
}

/// Whether a case agrees; `None` when JSON cannot express it.
fn agrees(
    case: &Value,
    fixture: &Value,
    filter: &Value,
    context: &FilterContext,
) -> Option<std::result::Result<(), String>> {
    let filter = decode(filter)?;
    let fields = fixture["fields"].as_object().or_else(|| fixture["object"]["fields"].as_object()).unwrap();
    let columns = |name: &str| fields.get(name).map(column);
    let compiled = compile_filter(&filter, &columns, context);
    let expect = &case["expect"];
    Some(match (&compiled, expect) {
        (Ok(filter), expect) if expect.get("ids").is_some() => {
            let rows = fixture["rows"].as_array().unwrap().iter();
            let found = rows.filter(|row| filter.evaluate(row.as_object().unwrap(), &NoRelated).unwrap());
            let mut found: Vec<&str> = found.map(|row| row["id"].as_str().unwrap()).collect();
            let mut expected: Vec<&str> =
                expect["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
            found.sort_unstable();
            expected.sort_unstable();
            if found == expected { Ok(()) } else { Err(format!("found {found:?}, expected {expected:?}")) }
        }
        (Err(error), expect) if expect.get("error").is_some() => {
            let said = code_name(error.code) == expect["error"]["code"]
                && expect["error"]["mustMention"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|m| error.message.contains(m.as_str().unwrap()));
            if said { Ok(()) } else { Err(format!("refused with {error:?}")) }
        }
        (Ok(_), expect) if expect.get("compiles").is_some() => Ok(()),
        // A door verdict is about text operators only: a formula passes that door and is refused as a field.
        (Ok(_), expect) if expect.get("verdict").is_some() => Ok(()),
        (Err(error), expect) if expect.get("verdict").is_some() && error.code == FilterErrorCode::InvalidField => {
            Ok(())
        }
        (compiled, _) => Err(format!("got {compiled:?}")),
    })
}

#[test]
fn the_published_filter_fixtures_agree() {
    let Some(conformance) = shared("conformance.json") else { return };
    let mut counts: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    let mut failures = Vec::new();
    for case in conformance["cases"].as_array().unwrap() {
        let area = case["area"].as_str().unwrap();
        if !matches!(
            area,
            "filter_logic" | "filter_text" | "comparand_type" | "temporal" | "temporal_time" | "text_operator_door"
        ) {
            continue;
        }
        let fixture = &conformance["fixtures"][case["given"]["fixture"].as_str().unwrap()];
        let context = FilterContext {
            now_ms: 1_785_240_000_000,
            protocol: if area == "text_operator_door" { Protocol::default() } else { Protocol::V17_4 },
            ..FilterContext::default()
        };
        for key in ["where", "whereWithTokens"] {
            let Some(filter) = case["query"].get(key) else { continue };
            let count = counts.entry(area).or_default();
            match agrees(case, fixture, filter, &context) {
                Some(Ok(())) => count.0 += 1,
                Some(Err(message)) => {
                    count.1 += 1;
                    failures.push(format!("{} {key} {}: {message}", case["id"], case["name"]));
                }
                None => count.2 += 1,
            }
        }
    }
    for (area, (agree, differ, inexpressible)) in &counts {
        println!("{area}: {agree} agree, {differ} differ, {inexpressible} not expressible in JSON");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A comparand or operator that a later release refuses, where 17.4 compares and finds what it may.
#[test]
fn a_stricter_release_refuses_what_17_4_compares() {
    let columns = |name: &str| match name {
        "n" => Some(column(&json!("number"))),
        "flag" => Some(column(&json!("boolean"))),
        "at" => Some(column(&json!("datetime"))),
        "tm" => Some(column(&json!("time"))),
        "tags" => Some(column(&json!("tags"))),
        _ => None,
    };
    let context = |protocol| FilterContext { protocol, ..FilterContext::default() };
    let row = json!({"n": 5, "flag": true, "at": "2026-01-01T00:00:00.000Z", "tm": "10:00:00", "tags": ["a"]});
    for (filter, since, in_17_4) in [
        (json!({"n": {"$contains": "5"}}), Protocol::V17_5, false),
        (json!({"n": {"$notContains": "5"}}), Protocol::V17_5, true),
        (json!({"n": "junk"}), Protocol::V17_5, false),
        (json!({"n": {"$gt": "junk"}}), Protocol::V17_5, false),
        (json!({"n": {"$ne": "junk"}}), Protocol::V17_5, true),
        (json!({"n": ""}), Protocol::V17_5, false),
        (json!({"n": " 5 "}), Protocol::V17_5, true),
        (json!({"n": "005"}), Protocol::V17_5, true),
        (json!({"n": "+5"}), Protocol::V17_5, false),
        (json!({"n": "1,000"}), Protocol::V17_5, false),
        (json!({"n": true}), Protocol::V17_5, false),
        (json!({"n": "{today}"}), Protocol::V17_5, false),
        (json!({"n": {"$in": [5, "junk"]}}), Protocol::V17_5, true),
        (json!({"n": {"$nin": ["junk"]}}), Protocol::V17_5, true),
        (json!({"n": {"$between": [1, ""]}}), Protocol::V17_5, false),
        (json!({"n": {"$between": [1, {"$field": "n"}]}}), Protocol::V17_5, true),
        (json!({"flag": "yes"}), Protocol::V17_7, false),
        (json!({"flag": {"$ne": "yes"}}), Protocol::V17_7, true),
        (json!({"flag": 2}), Protocol::V17_7, false),
        (json!({"at": "2026"}), Protocol::V17_5, false),
        (json!({"at": {"$gt": "0999-01-01T00:00:00Z"}}), Protocol::V17_5, true),
        (json!({"at": {"$gte": "2026-01-01 08:00:00+08:00"}}), Protocol::V17_5, true),
        (json!({"tm": "10:00Z"}), Protocol::V17_5, false),
        (json!({"tm": {"$ne": "25:00"}}), Protocol::V17_5, true),
    ] {
        for (_, protocol) in Protocol::ALL {
            let compiled = compile_filter(&filter, &columns, &context(protocol));
            if protocol >= since {
                assert_eq!(code_name(compiled.unwrap_err().code), "INVALID_FILTER", "{filter} in {protocol:?}");
                continue;
            }
            let compiled = compiled.unwrap_or_else(|error| panic!("{filter} in {protocol:?}: {error}"));
            assert_eq!(compiled.evaluate(row.as_object().unwrap(), &NoRelated).unwrap(), in_17_4, "{filter}");
        }
    }
    for filter in [
        json!({"n": "5"}),
        json!({"n": "5.0"}),
        json!({"n": "5e0"}),
        json!({"flag": "true"}),
        json!({"flag": "1"}),
        json!({"flag": 1}),
        json!({"at": "2026-01-01"}),
        json!({"at": "2026-01-01 00:00:00"}),
        json!({"tm": "10:00"}),
        json!({"tags": {"$contains": "a"}}),
    ] {
        let compiled = compile_filter(&filter, &columns, &context(Protocol::default())).unwrap();
        assert!(compiled.evaluate(row.as_object().unwrap(), &NoRelated).unwrap(), "{filter}");
    }
}

#[test]
fn what_the_language_does_not_have_is_refused() {
    let columns = |name: &str| match name {
        "t" => Some(column(&json!("text"))),
        "n" => Some(column(&json!("number"))),
        "d" => Some(column(&json!("date"))),
        "tags" => Some(column(&json!("tags"))),
        "f" => Some(column(&json!({"type": "formula", "returnType": "text"}))),
        _ => None,
    };
    let context = FilterContext { user_id: Some("u1".to_owned()), ..FilterContext::default() };
    for (filter, code) in [
        (json!([]), "INVALID_FILTER"),
        (json!({"$nor": []}), "INVALID_FILTER"),
        (json!({"$and": {}}), "INVALID_FILTER"),
        (json!({"t": {}}), "INVALID_FILTER"),
        (json!({"t": ["a"]}), "INVALID_FILTER"),
        (json!({"t": {"$gt": null}}), "INVALID_FILTER"),
        (json!({"t": {"$in": "a"}}), "INVALID_FILTER"),
        (json!({"t": {"$in": ["a", null]}}), "INVALID_FILTER"),
        (json!({"n": {"$between": [1]}}), "INVALID_FILTER"),
        (json!({"n": {"$between": [1, null]}}), "INVALID_FILTER"),
        (json!({"t": {"$null": 1}}), "INVALID_FILTER"),
        (json!({"t": {"$exists": "true"}}), "INVALID_FILTER"),
        (json!({"tags": null}), "INVALID_FILTER"),
        (json!({"tags": {"$in": ["a"]}}), "INVALID_FILTER"),
        (json!({"t": {"$field": "t"}}), "INVALID_FILTER"),
        (json!({"t": {"$eq": {"$field": "n"}}}), "INVALID_FILTER"),
        (json!({"n": {"$eq": {"$field": "n", "addDays": 1}}}), "INVALID_FILTER"),
        (json!({"d": {"$eq": "{someday}"}}), "FILTER_TOKEN_UNKNOWN"),
        (json!({"t": "{current_org_id}"}), "FILTER_TOKEN_UNRESOLVED"),
        (json!({"nope": 1}), "INVALID_FIELD"),
        (json!({"t.x": 1}), "INVALID_FIELD"),
        (json!({"f": "x"}), "INVALID_FIELD"),
        (json!({"f": {"$null": true}}), "INVALID_FIELD"),
    ] {
        let error = compile_filter(&filter, &columns, &context).unwrap_err();
        assert_eq!(code_name(error.code), code, "{filter}: {error}");
    }
    for (filter, row, expected) in [
        (json!({"t": "{current_user_id}"}), json!({"t": "u1"}), true),
        (json!({"n": "1"}), json!({"n": 1}), true),
        (json!({"n": {"$lt": 1.5}}), json!({"n": 1}), true),
        (json!({"d": "2026-01-02T23:00:00Z"}), json!({"d": "2026-01-02"}), true),
        (json!({"tags": {"$contains": "a"}}), json!({"tags": ["a", "b"]}), true),
        (json!({"tags": {"$contains": "c"}}), json!({"tags": ["a", "b"]}), false),
        (json!({"tags": {"$notContains": "a"}}), json!({"tags": null}), true),
        (json!({"tags": {"$null": true}}), json!({"tags": []}), false),
        (json!({"d": {"$lte": {"$field": "d", "addDays": -1}}}), json!({"d": "2026-01-02"}), false),
        (json!({"d": {"$gte": {"$field": "d", "addDays": -1}}}), json!({"d": "2026-01-02"}), true),
        (json!({}), json!({}), true),
    ] {
        let compiled = compile_filter(&filter, &columns, &context).unwrap();
        assert_eq!(compiled.evaluate(row.as_object().unwrap(), &NoRelated).unwrap(), expected, "{filter}");
    }
}
