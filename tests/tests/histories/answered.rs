//! The record that the vendor answered, against what the same user reads of it through the gate: which columns there are, and their
//! values under masks. Formulas and what the vendor's clock gave are in it; secrets, which it shows in a way of its own, are not.

use crate::recording::{Recording, STAMPS, fits, resolved};
use querygate_metadata::model::{DefaultValue, Field, FieldType};
use querygate_tests::server::runtime;
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

/// The number of compared cells, or the first difference.
pub(crate) fn compare(client: &Client, recording: &Recording, step: &Value) -> Result<usize, String> {
    let body = &step["body"];
    let many = body["records"].as_array().into_iter().flatten();
    let records = many.chain(body.get("record"));
    let object = step["object"].as_str().unwrap_or_default();
    let number = step["n"].as_i64().unwrap();
    records.map(|record| one(client, recording, object, step, &resolved(record, number))).sum()
}

fn one(client: &Client, recording: &Recording, object: &str, step: &Value, record: &Value) -> Result<usize, String> {
    let Some(id) = record["id"].as_str() else { return Ok(0) };
    let name = recording.sql_name(object);
    let sql = format!("SELECT * FROM {name} WHERE id = '{}'", id.replace('\'', "''"));
    let messages = runtime().block_on(client.simple_query(&sql)).map_err(|error| format!("{sql}: {error:?}"))?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    // What is written and not read is answered by the vendor alone.
    let Some(row) = row else { return Ok(0) };
    let declared = recording.object(object);
    let mut cells = 0;
    for (at, column) in row.columns().iter().map(tokio_postgres::SimpleColumn::name).enumerate() {
        let field = declared.field(column).ok_or_else(|| format!("{column} is no field of {object}"))?;
        let value = record.get(column).ok_or_else(|| format!("{object} {id}: {column} is shown"))?;
        if is_own(field, value, step) || !fits(declared, column, value) {
            continue;
        }
        if !shows(value, row.get(at)) {
            return Err(format!("{object} {id} {column}: {:?} is read instead of {value}", row.get(at)));
        }
        cells += 1;
    }
    Ok(cells)
}

/// Whether the value is the vendor's own: of its clock, of its counters, or a secret.
fn is_own(field: &Field, value: &Value, step: &Value) -> bool {
    let is_insert = matches!(step["kind"].as_str(), Some("create" | "createMany"));
    // No request has written a date of that day: it is the vendor's clock, whichever way a default asks for it.
    let is_of_clock = || {
        matches!(field.default, Some(DefaultValue::Now))
            || value.as_str().is_some_and(|text| text.starts_with("2026-03-15"))
    };
    match field.field_type {
        FieldType::Password | FieldType::Secret => true,
        FieldType::Autonumber => is_insert,
        _ => STAMPS.contains(&field.name.as_str()) || is_insert && is_of_clock(),
    }
}

fn shows(value: &Value, cell: Option<&str>) -> bool {
    let Some(cell) = cell else { return value.is_null() };
    match value {
        Value::Null => false,
        Value::Bool(flag) => cell == if *flag { "t" } else { "f" },
        Value::Number(number) => cell.parse::<f64>().ok() == number.as_f64(),
        Value::String(text) => {
            let instant = text.replace('T', " ").replace(".000Z", "+00").replace('Z', "+00");
            cell == text || cell == instant || (text.len() == 5 && cell.strip_suffix(":00") == Some(text))
        }
        Value::Array(items) if cell.starts_with('{') => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            cell.replace('"', "") == format!("{{{}}}", texts.join(","))
        }
        Value::Array(_) | Value::Object(_) => serde_json::from_str::<Value>(cell).ok().as_ref() == Some(value),
    }
}
