//! What a body of `/analytics` asks: names of measures and dimensions, conditions, order, page. Knows no object.

use super::ROWS_MAX;
use crate::refusal::Refusal;
use querygate_query_api::requests::question::Bucket;
use querygate_types::vendor::VendorCode;
use serde_json::{Map, Value, json};

/// Keys of a query.
const KEYS: [&str; 9] =
    ["cube", "measures", "dimensions", "timeDimensions", "where", "order", "limit", "offset", "timezone"];
/// Names in one list.
const NAMES_MAX: usize = 64;

/// A dimension whose values are spans of time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimeDimension {
    pub(super) name: String,
    pub(super) bucket: Option<Bucket>,
    /// First and last value.
    pub(super) range: Option<(Value, Value)>,
}

/// What is asked of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selection {
    pub(super) measures: Vec<String>,
    pub(super) dimensions: Vec<String>,
    pub(super) times: Vec<TimeDimension>,
    pub(super) filter: Option<Value>,
    pub(super) order: Vec<(String, bool)>,
    /// What is asked for, within the bound.
    pub(super) limit: u64,
    pub(super) given_limit: Option<u64>,
    pub(super) offset: Option<u64>,
}

/// Faults that one answer tells.
const FAULTS_MAX: usize = 100;

#[derive(Default)]
struct Faults(Vec<Value>);

impl Faults {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.add_as(field, "invalid_type", message);
    }

    fn add_as(&mut self, field: &str, code: &str, message: impl Into<String>) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(json!({"field": field, "code": code, "message": message.into()}));
        }
    }

    fn end(self) -> Result<(), Refusal> {
        if self.0.is_empty() {
            return Ok(());
        }
        let told: Vec<String> =
            self.0.iter().map(|fault| format!("{}: {}", text(fault, "field"), text(fault, "message"))).collect();
        let message = format!("Invalid AnalyticsQuery body: {}", told.join("; "));
        Err(Refusal::new(VendorCode::ValidationFailed, message).with("details", json!({"fields": self.0})))
    }

    /// The texts of a list.
    fn names(&mut self, body: &Map<String, Value>, key: &str, is_required: bool) -> Vec<String> {
        let items = match body.get(key) {
            None if !is_required => return Vec::new(),
            Some(Value::Array(items)) if items.len() <= NAMES_MAX => items,
            Some(Value::Array(_)) => {
                self.add(key, format!("Too big: expected at most {NAMES_MAX} items"));
                return Vec::new();
            }
            given => {
                let received = if given.is_none() { "undefined" } else { "another value" };
                self.add(key, format!("Invalid input: expected array, received {received}"));
                return Vec::new();
            }
        };
        let names: Vec<String> = items.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        if names.len() != items.len() {
            self.add(key, "Invalid input: expected strings");
        }
        names
    }

    fn rows(&mut self, body: &Map<String, Value>, key: &str) -> Option<u64> {
        let given = body.get(key)?;
        let number = given.as_u64();
        if number.is_none() {
            self.add(key, "Invalid input: expected a whole number, 0 or more");
        }
        number
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Selection {
    /// The cube of a query, and what is asked of it.
    ///
    /// # Errors
    /// Everything in the body that is no query.
    pub(super) fn of_query(body: &Value) -> Result<(String, Self), Refusal> {
        let none = Map::new();
        let body = body.as_object().unwrap_or(&none);
        let mut faults = Faults::default();
        let cube = body.get("cube").and_then(Value::as_str).unwrap_or_default().to_owned();
        if cube.is_empty() {
            faults.add("cube", "Invalid input: expected string, received undefined");
        }
        let unknown: Vec<&str> = body.keys().map(String::as_str).filter(|key| !KEYS.contains(key)).collect();
        let selection = Self::of(body, &mut faults);
        if !unknown.is_empty() {
            let hint = if unknown.contains(&"filters") { " Use `where`." } else { "" };
            let message = format!("Unrecognized key(s) on this analytics query: `{}`.{hint}", unknown.join("`, `"));
            faults.add_as("(body)", "unknown_field", message);
        }
        faults.end()?;
        Ok((cube, selection))
    }

    /// What is asked of a dataset.
    ///
    /// # Errors
    /// It names no measure, or something in it is of another type.
    pub(super) fn of_dataset(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let selection = body.get("selection").and_then(Value::as_object);
        let measures = selection.and_then(|selection| selection.get("measures")).and_then(Value::as_array);
        let Some(selection) = selection.filter(|_| measures.is_some_and(|measures| !measures.is_empty())) else {
            let message = "body.selection.measures must be a non-empty array of measure names.";
            return Err(Refusal::new(VendorCode::ValidationFailed, message));
        };
        let mut faults = Faults::default();
        let selection = Self::of(selection, &mut faults);
        faults.end()?;
        Ok(selection)
    }

    fn of(body: &Map<String, Value>, faults: &mut Faults) -> Self {
        let measures = faults.names(body, "measures", true);
        if measures.is_empty() && body.get("measures").is_some_and(Value::is_array) {
            faults.add("measures", "Too small: expected at least 1 item");
        }
        let filter = body.get("where").filter(|given| !given.is_null()).cloned();
        if filter.as_ref().is_some_and(|filter| !filter.is_object()) {
            faults.add("where", "Invalid input: expected object");
        }
        let given_limit = faults.rows(body, "limit");
        Self {
            measures,
            dimensions: faults.names(body, "dimensions", false),
            times: times(body, faults),
            filter,
            order: order(body, faults),
            limit: given_limit.unwrap_or(ROWS_MAX).min(ROWS_MAX),
            given_limit,
            offset: faults.rows(body, "offset"),
        }
    }
}

fn times(body: &Map<String, Value>, faults: &mut Faults) -> Vec<TimeDimension> {
    let items = match body.get("timeDimensions") {
        None => return Vec::new(),
        Some(Value::Array(items)) if items.len() <= NAMES_MAX => items,
        Some(_) => {
            faults.add("timeDimensions", "Invalid input: expected array");
            return Vec::new();
        }
    };
    let mut times = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let place = format!("timeDimensions.{at}");
        let name = text(item, "dimension").to_owned();
        if name.is_empty() {
            faults.add(&format!("{place}.dimension"), "Invalid input: expected string");
        }
        let bucket = match item.get("granularity").map(Value::as_str) {
            None => None,
            Some(word) => {
                let bucket = word.and_then(bucket_of);
                if bucket.is_none() {
                    faults.add(
                        &format!("{place}.granularity"),
                        "Invalid option: expected one of day, week, month, quarter, year",
                    );
                }
                bucket
            }
        };
        let range = match item.get("dateRange") {
            None | Some(Value::Null) => None,
            Some(Value::Array(ends)) => match ends.as_slice() {
                [Value::String(first), Value::String(last)] => Some((first.as_str().into(), last.as_str().into())),
                _ => {
                    faults.add(&format!("{place}.dateRange"), "Invalid input: expected two dates");
                    None
                }
            },
            Some(_) => {
                faults.add(&format!("{place}.dateRange"), "Invalid input: expected two dates");
                None
            }
        };
        times.push(TimeDimension { name, bucket, range });
    }
    times
}

pub(super) fn bucket_of(word: &str) -> Option<Bucket> {
    match word {
        "day" => Some(Bucket::Day),
        "week" => Some(Bucket::Week),
        "month" => Some(Bucket::Month),
        "quarter" => Some(Bucket::Quarter),
        "year" => Some(Bucket::Year),
        _ => None,
    }
}

/// `{name: "asc" | "desc"}`.
fn order(body: &Map<String, Value>, faults: &mut Faults) -> Vec<(String, bool)> {
    let keys = match body.get("order") {
        None => return Vec::new(),
        Some(Value::Object(keys)) if keys.len() <= NAMES_MAX => keys,
        Some(_) => {
            faults.add("order", "Invalid input: expected object");
            return Vec::new();
        }
    };
    let mut order = Vec::new();
    for (name, direction) in keys {
        match direction.as_str() {
            Some("asc") => order.push((name.clone(), false)),
            Some("desc") => order.push((name.clone(), true)),
            _ => faults.add(&format!("order.{name}"), "Invalid option: expected one of asc, desc"),
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_and_all_faults_are_told() {
        let (cube, read) = Selection::of_query(&json!({
            "cube": "c", "measures": ["n"], "dimensions": ["d"], "order": {"d": "desc"}, "limit": 2,
            "timeDimensions": [{"dimension": "t", "granularity": "month", "dateRange": ["2026-01-01", "2026-01-31"]}],
        }))
        .unwrap();
        assert_eq!((cube.as_str(), read.limit, read.order.as_slice()), ("c", 2, &[("d".to_owned(), true)][..]));
        assert_eq!(read.times[0].bucket, Some(Bucket::Month));
        for wrong in [
            json!(null),
            json!({"cube": "c"}),
            json!({"cube": "c", "measures": []}),
            json!({"cube": "c", "measures": [1]}),
            json!({"cube": "c", "measures": ["n"], "filters": []}),
            json!({"cube": "c", "measures": ["n"], "limit": -1}),
            json!({"cube": "c", "measures": ["n"], "order": {"n": "up"}}),
            json!({"cube": "c", "measures": ["n"], "where": []}),
            json!({"cube": "c", "measures": ["n"], "timeDimensions": [{"dimension": "t", "granularity": "hour"}]}),
        ] {
            assert!(Selection::of_query(&wrong).is_err(), "{wrong}");
        }
    }
}
