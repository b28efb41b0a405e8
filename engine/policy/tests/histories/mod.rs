//! Recorded write histories of the vendor's runtime: steps, the store before each, and what each did to it.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use super::support::{shared, snapshot};
use querygate_metadata::model::{Facts, Snapshot};
use querygate_policy::{CompiledPolicy, resolve_principal};
use querygate_types::principal::Principal;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub type Row = Map<String, Value>;

/// How many there are.
pub const COUNT: usize = 12;

/// When step 0 was recorded: 2026-03-15T10:00:00Z. A step takes a minute.
const START_MS: i64 = 1_773_568_800_000;
const STEP_MS: i64 = 60_000;

pub struct History {
    pub policy: CompiledPolicy,
    facts: Facts,
    data: Value,
    /// Rows by object and id, as they are before the next step.
    pub store: HashMap<String, BTreeMap<String, Row>>,
}

pub fn history(number: usize) -> Option<History> {
    let data = shared(&format!("writes/writes-{number}.json"))?;
    let policy = CompiledPolicy::compile(snapshot(&data["stack"]), Vec::new());
    let mut store: HashMap<String, BTreeMap<String, Row>> = HashMap::new();
    for (object, rows) in data["initial"]["rows"].as_object().unwrap() {
        for row in rows.as_array().unwrap() {
            let row = resolved(row, 0).as_object().unwrap().clone();
            store.entry(object.clone()).or_default().insert(row["id"].as_str().unwrap().to_owned(), row);
        }
    }
    Some(History { policy, facts: Facts::default(), data, store })
}

/// The clock of a step.
pub fn clock(step: i64) -> i64 {
    START_MS + step * STEP_MS
}

impl History {
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        self.policy.snapshot()
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub fn steps(&self) -> Vec<Value> {
        self.data["ops"].as_array().unwrap().clone()
    }

    pub fn hooks(&self) -> &[Value] {
        self.data["stack"]["hooks"].as_array().unwrap()
    }

    pub fn is_user(&self, id: &str) -> bool {
        self.data["personas"].as_array().unwrap().iter().any(|persona| persona["context"]["userId"] == id)
    }

    pub fn principal(&self, key: &str) -> Principal {
        let persona = self.data["personas"].as_array().unwrap().iter().find(|persona| persona["key"] == key).unwrap();
        let context = &persona["context"];
        let mut builder = Principal::builder(persona["email"].as_str().unwrap());
        builder = builder.user_id(context["userId"].as_str().unwrap());
        for position in context["positions"].as_array().unwrap() {
            builder = builder.position(position.as_str().unwrap());
        }
        for set in context["permissions"].as_array().unwrap() {
            builder = builder.permission_set(set.as_str().unwrap());
        }
        resolve_principal(builder.build(), &self.policy, &self.facts, clock(0))
    }

    /// Brings the store to what a step left.
    pub fn apply(&mut self, step: &Value) {
        let number = step["n"].as_i64().unwrap();
        for (object, rows) in step["delta"].as_object().into_iter().flatten().filter(|(name, _)| *name != "$shares") {
            for (id, change) in rows.as_object().unwrap() {
                let table = self.store.entry(object.clone()).or_default();
                match resolved(change, number) {
                    Value::Object(fields) => table.entry(id.clone()).or_default().extend(fields),
                    _ => {
                        table.remove(id);
                    }
                }
            }
        }
    }
}

/// A recorded value with the clock's placeholders filled in.
pub fn resolved(value: &Value, step: i64) -> Value {
    match value {
        Value::String(text) => Value::String(moment(text, step).unwrap_or_else(|| text.clone())),
        Value::Array(items) => items.iter().map(|item| resolved(item, step)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), resolved(value, step))).collect(),
        other => other.clone(),
    }
}

fn moment(text: &str, step: i64) -> Option<String> {
    let at = |step: i64| {
        let minutes = step + 600;
        format!("{:02}:{:02}:00", minutes / 60, minutes % 60)
    };
    if text == "$today" {
        return Some("2026-03-15".to_owned());
    }
    if text == "$now" {
        return Some(format!("2026-03-15T{}.000Z", at(step)));
    }
    if let Some(rest) = text.strip_prefix("$time") {
        return Some(at(if rest.is_empty() { step } else { rest.parse().ok()? }));
    }
    Some(format!("2026-03-15T{}.000Z", at(text.strip_prefix("$t")?.parse().ok()?)))
}
