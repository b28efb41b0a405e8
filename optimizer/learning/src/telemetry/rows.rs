//! A batch of records as JSON arrays, which SQLite takes apart: one statement per table, however many rows. Holds no literal,
//! because records have none.

use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::fragment::{FragmentRecord, FragmentTemplate};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

pub(super) const TEMPLATES: &str = "
INSERT INTO template (fingerprint, text, objects, last)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?1)
WHERE true ON CONFLICT (fingerprint) DO UPDATE SET last = excluded.last";
pub(super) const STATEMENTS: &str = "
INSERT INTO statement (at, id, login, door, application, fingerprint, planning, first_row, total, rows, bytes, error, cached,
  alternative, band, stage)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8,
  value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14, value ->> 15 FROM json_each(?1)";
pub(super) const FRAGMENT_TEMPLATES: &str = "
INSERT INTO fragment_template (fingerprint, source, kind, text, objects, shape, last)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6 FROM json_each(?1)
WHERE true ON CONFLICT (fingerprint) DO UPDATE SET shape = excluded.shape, last = excluded.last";
pub(super) const FRAGMENTS: &str = "
INSERT INTO fragment (at, statement, fingerprint, estimated, rows, bytes, acquire, first_row, total, complete, error)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8,
  value ->> 9, value ->> 10 FROM json_each(?1)";

/// One JSON array for each table.
pub(super) struct Batch {
    pub(super) templates: String,
    pub(super) statements: String,
    pub(super) fragment_templates: String,
    pub(super) fragments: String,
}

pub(super) fn batch(records: &[&StatementRecord]) -> Result<Batch> {
    let mut templates: BTreeMap<u64, Value> = BTreeMap::new();
    let mut fragment_templates: BTreeMap<u64, Value> = BTreeMap::new();
    let (mut statements, mut fragments) = (Vec::with_capacity(records.len()), Vec::new());
    for record in records {
        let at = micros(record.started.duration_since(UNIX_EPOCH).unwrap_or_default());
        templates.entry(record.fingerprint).or_insert_with(|| {
            json!([record.fingerprint.cast_signed(), &*record.template, record.objects.join(", "), at])
        });
        statements.push(statement(record, at));
        for fragment in &record.fragments {
            let key = fragment.template.fingerprint;
            if let std::collections::btree_map::Entry::Vacant(place) = fragment_templates.entry(key) {
                place.insert(fragment_template(&fragment.template, at)?);
            }
            fragments.push(fragment_row(fragment, record.id, at));
        }
    }
    let text = |rows: Vec<Value>| serde_json::to_string(&rows).map_err(Error::internal);
    Ok(Batch {
        templates: text(templates.into_values().collect())?,
        statements: text(statements)?,
        fragment_templates: text(fragment_templates.into_values().collect())?,
        fragments: text(fragments)?,
    })
}

fn statement(r: &StatementRecord, at: i64) -> Value {
    json!([
        at,
        number(r.id),
        &*r.login,
        r.door.name(),
        &*r.application,
        r.fingerprint.cast_signed(),
        micros(r.planning),
        r.first_row.map(micros),
        micros(r.total),
        number(r.rows),
        number(r.bytes),
        r.error.map(ErrorCode::sqlstate),
        i32::from(r.cached),
        r.choice.as_ref().map(|choice| &*choice.alternative),
        r.choice.as_ref().map(|choice| choice.band),
        r.choice.as_ref().map(|choice| choice.stage.name()),
    ])
}

fn fragment_template(t: &FragmentTemplate, at: i64) -> Result<Value> {
    let shape = serde_json::to_string(&t.shape).map_err(Error::internal)?;
    Ok(json!([t.fingerprint.cast_signed(), &*t.source, t.kind, &*t.text, t.objects.join(", "), shape, at]))
}

fn fragment_row(f: &FragmentRecord, statement: u64, at: i64) -> Value {
    json!([
        at,
        number(statement),
        f.template.fingerprint.cast_signed(),
        f.estimated_rows.map(number),
        number(f.rows),
        number(f.bytes),
        micros(f.acquire),
        f.first_row.map(micros),
        micros(f.total),
        i32::from(f.complete),
        f.error.map(ErrorCode::sqlstate),
    ])
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Bytes in hexadecimal, as `unhex` reads them.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS[usize::from(n & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
