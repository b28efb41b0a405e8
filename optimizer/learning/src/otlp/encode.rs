//! Records as spans of OTLP's JSON form. Holds what records hold: no literal and no value of a row.

use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::fragment::FragmentRecord;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Kinds of spans, by OTLP's numbers.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const STATUS_ERROR: u8 = 2;

/// The spans of one statement: the whole of it, its planning, and each fragment that a source ran.
pub(super) fn spans(record: &StatementRecord, trace: u64, salt: u64) -> Vec<Value> {
    let (trace_id, root) = (format!("{salt:016x}{trace:016x}"), span_id(trace, 0));
    let end = later(record.started, record.total);
    let mut attributes = vec![
        text("db.system.name", "querygate"),
        text("db.query.text", &record.template),
        text("querygate.fingerprint", &format!("{:016x}", record.fingerprint)),
        text("enduser.id", &record.login),
        text("querygate.door", record.door.name()),
        text("querygate.application", &record.application),
        number("db.response.returned_rows", record.rows),
        number("querygate.bytes", record.bytes),
    ];
    if let Some(choice) = &record.choice {
        attributes.push(text("querygate.plan", &choice.alternative));
        attributes.push(text("querygate.plan.stage", choice.stage.name()));
    }
    if record.more.is_some() {
        // Everything else is of one run.
        attributes.push(number("querygate.runs", record.runs()));
    }
    let error = record.error.map(querygate_types::ErrorCode::sqlstate);
    let mut whole = span(&trace_id, &root, "statement", SERVER, (record.started, end), attributes, error);
    if let Some(first_row) = record.first_row {
        let at = nanos(later(record.started, first_row));
        put(&mut whole, "events", json!([{ "timeUnixNano": at, "name": "first row" }]));
    }
    let planned = later(record.started, record.planning.min(record.total));
    let cached = json!([{ "key": "querygate.cached", "value": { "boolValue": record.cached } }]);
    let mut planning =
        span(&trace_id, &span_id(trace, 1), "plan", INTERNAL, (record.started, planned), Vec::new(), None);
    put(&mut planning, "attributes", cached);
    put(&mut planning, "parentSpanId", json!(root));
    let mut all = vec![whole, planning];
    for (fragment, number) in record.fragments.iter().zip(2_u64..) {
        let mut one = of_fragment(fragment, &trace_id, &span_id(trace, number));
        put(&mut one, "parentSpanId", json!(root));
        all.push(one);
    }
    all
}

fn of_fragment(fragment: &FragmentRecord, trace_id: &str, id: &str) -> Value {
    let template = &fragment.template;
    let attributes = vec![
        text("db.system.name", template.kind),
        text("db.query.text", &template.text),
        text("querygate.source", &template.source),
        number("db.response.returned_rows", fragment.rows),
        number("querygate.bytes", fragment.bytes),
        number("querygate.acquire_us", u64::try_from(fragment.acquire.as_micros()).unwrap_or(u64::MAX)),
    ];
    let error = fragment.error.map(querygate_types::ErrorCode::sqlstate);
    let times = (fragment.began, later(fragment.began, fragment.total));
    let mut one = span(trace_id, id, &format!("fragment {}", template.source), CLIENT, times, attributes, error);
    if let Some(first_row) = fragment.first_row {
        let at = nanos(later(fragment.began, first_row));
        put(&mut one, "events", json!([{ "timeUnixNano": at, "name": "first row" }]));
    }
    one
}

fn span(
    trace_id: &str,
    id: &str,
    name: &str,
    kind: u8,
    (start, end): (SystemTime, SystemTime),
    mut attributes: Vec<Value>,
    error: Option<&str>,
) -> Value {
    let status = match error {
        Some(sqlstate) => {
            attributes.push(text("db.response.status_code", sqlstate));
            json!({ "code": STATUS_ERROR })
        }
        None => json!({}),
    };
    json!({
        "traceId": trace_id, "spanId": id, "name": name, "kind": kind,
        "startTimeUnixNano": nanos(start), "endTimeUnixNano": nanos(end),
        "attributes": attributes, "status": status,
    })
}

fn put(span: &mut Value, key: &str, value: Value) {
    if let Some(fields) = span.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

/// Never all zeros, which would be no span.
fn span_id(trace: u64, number: u64) -> String {
    let mixed = (trace ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    format!("{:016x}", (mixed ^ (mixed >> 33)) | 1)
}

/// A time that no clock can show is the one before.
fn later(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_add(by).unwrap_or(time)
}

pub(super) fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// OTLP writes 64-bit numbers as text.
fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

pub(super) fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos().to_string()
}

/// What spans and metrics are of.
pub(super) fn resource() -> Value {
    let version = text("service.version", env!("CARGO_PKG_VERSION"));
    json!({ "attributes": [text("service.name", "querygate"), version] })
}

/// The body of one request.
pub(super) fn traces(spans: &[Value]) -> Value {
    let scope = json!({ "scope": { "name": "querygate" }, "spans": spans });
    json!({ "resourceSpans": [{ "resource": resource(), "scopeSpans": [scope] }] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, statement};
    use querygate_types::ErrorCode;

    #[test]
    fn a_statement_is_a_tree_of_spans_without_a_literal() {
        let mut record = statement("sam", 7, 10, DAY);
        record.error = Some(ErrorCode::SourceLost);
        let spans = spans(&record, 5, 9);
        let names: Vec<&str> = spans.iter().filter_map(|span| span["name"].as_str()).collect();
        assert_eq!(names, ["statement", "plan", "fragment crm"]);
        let root = &spans[0]["spanId"];
        for (span, parent) in spans.iter().zip([None, Some(root), Some(root)]) {
            assert_eq!(span["traceId"], "00000000000000090000000000000005");
            assert_eq!(span.get("parentSpanId"), parent);
            assert_eq!(span["spanId"].as_str().map(str::len), Some(16));
        }
        let mut ids: Vec<&Value> = spans.iter().map(|span| &span["spanId"]).collect();
        ids.sort_by_key(|id| id.to_string());
        ids.dedup();
        assert_eq!(ids.len(), 3);
        let start = format!("{DAY}000000000");
        assert_eq!((&spans[0]["startTimeUnixNano"], &spans[0]["status"]["code"]), (&json!(start), &json!(2)));
        assert_eq!(spans[0]["endTimeUnixNano"], json!(format!("{DAY}002000000")));
        let attribute = |span: &Value, key: &str| {
            let all = span["attributes"].as_array().unwrap().clone();
            all.into_iter().find(|one| one["key"] == key).unwrap()["value"].clone()
        };
        assert_eq!(attribute(&spans[0], "db.query.text"), json!({ "stringValue": "select 7 from t where a = ?" }));
        assert_eq!(attribute(&spans[0], "db.response.status_code"), json!({ "stringValue": "08006" }));
        assert_eq!(attribute(&spans[2], "db.response.returned_rows"), json!({ "intValue": "10" }));
    }
}
