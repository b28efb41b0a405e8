//! What a body of `/analytics` asks: names of measures and dimensions, conditions, order, page. Knows no object.

use super::ROWS_MAX;
use super::condition::ConditionNames;
use super::spans::{ComparisonKind, PRESETS, preset};
use crate::code::Code;
use crate::refusal::Refusal;
use chrono::Utc;
use querygate_query_api::requests::question::Bucket;
use querygate_types::vendor::VendorCode;
use serde_json::{Map, Value, json};

/// Keys of a query, beside those of every selection.
const QUERY_KEYS: [&str; 2] = ["cube", "where"];
/// Keys of what is asked of a dataset, beside those of every selection.
const DATASET_KEYS: [&str; 4] = ["runtimeFilter", "compareTo", "dateGranularity", "totals"];
/// Keys of every selection.
const KEYS: [&str; 7] = ["measures", "dimensions", "timeDimensions", "order", "limit", "offset", "timezone"];
/// Names in one list.
const NAMES_MAX: usize = 64;
/// Further answers of one selection.
const TOTALS_MAX: usize = 16;

/// A dimension whose values are spans of time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimeDimension {
    pub(super) name: String,
    pub(super) bucket: Option<Bucket>,
    /// First and last value.
    pub(super) range: Option<(Value, Value)>,
}

/// What a window of a dimension is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) kind: ComparisonKind,
    /// `None`: the one dimension of time that has a range.
    pub(super) dimension: Option<String>,
}

/// What a measure is computed of others by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ComputedOperator {
    Ratio,
    Sum,
    Difference,
    Product,
}

impl ComputedOperator {
    pub(super) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "ratio" => Self::Ratio,
            "sum" => Self::Sum,
            "difference" => Self::Difference,
            "product" => Self::Product,
            _ => return None,
        })
    }

    /// `None`: it has no value, as a ratio to nothing.
    pub(super) fn of(self, numbers: &[f64]) -> Option<f64> {
        let (first, rest) = numbers.split_first()?;
        match self {
            Self::Ratio => rest.first().filter(|divisor| **divisor != 0.0).map(|divisor| first / divisor),
            Self::Sum => Some(rest.iter().fold(*first, |sum, number| sum + number)),
            Self::Difference => Some(rest.iter().fold(*first, |rest, number| rest - number)),
            Self::Product => Some(rest.iter().fold(*first, |product, number| product * number)),
        }
    }
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
    /// Spans of dimensions of time that say none themselves.
    pub(super) granularity: Option<Bucket>,
    pub(super) comparison: Option<Comparison>,
    /// Dimensions of further answers, each a part of the selection's.
    pub(super) totals: Vec<Vec<String>>,
}

/// What a fault of a range of dates is called.
const UNRECOGNIZED_RANGE: &str = "date_range_unrecognized";
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
        let is_range = self.0.iter().any(|fault| text(fault, "code") == UNRECOGNIZED_RANGE);
        let refusal = if is_range {
            Refusal::new(Code::AnalyticsDateRangeUnrecognized, message)
        } else {
            Refusal::new(VendorCode::ValidationFailed, message)
        };
        Err(refusal.with("details", json!({"fields": self.0})))
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
        let mut names: Vec<String> = Vec::new();
        for item in items {
            match item.as_str() {
                Some(name) if names.iter().any(|other| other == name) => {}
                Some(name) => names.push(name.to_owned()),
                None => self.add(key, "Invalid input: expected strings"),
            }
        }
        names
    }

    /// Tells keys that are neither those of every selection nor among `own`. `terms`: what the body asks, a key that is often meant, and the right key.
    fn refuse_others(&mut self, body: &Map<String, Value>, own: &[&str], terms: (&str, &str, &str)) {
        let unknown = body.keys().map(String::as_str).filter(|key| !KEYS.contains(key) && !own.contains(key));
        let unknown: Vec<&str> = unknown.collect();
        let (what, meant, right) = terms;
        if !unknown.is_empty() {
            let hint = if unknown.contains(&meant) { format!(" Use `{right}`.") } else { String::new() };
            let message = format!("Unrecognized key(s) on {what}: `{}`.{hint}", unknown.join("`, `"));
            self.add_as("(body)", "unknown_field", message);
        }
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
        let selection = Self::of(body, "where", &mut faults);
        faults.refuse_others(body, &QUERY_KEYS, ("this analytics query", "filters", "where"));
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
        faults.refuse_others(selection, &DATASET_KEYS, ("this dataset selection", "where", "runtimeFilter"));
        let asked = Self {
            granularity: granularity(selection, "dateGranularity", "dateGranularity", &mut faults),
            comparison: comparison(selection)?,
            totals: totals(selection, &mut faults),
            ..Self::of(selection, "runtimeFilter", &mut faults)
        };
        faults.end()?;
        Ok(asked)
    }

    /// Whether it asks for no more rows than an answer has.
    pub(super) fn is_bounded(&self) -> bool {
        self.given_limit.is_some_and(|limit| limit <= ROWS_MAX)
    }

    /// Names of dimensions and fields.
    pub(super) fn names(&self) -> Vec<&str> {
        let times = self.times.iter().map(|time| time.name.as_str());
        let compared = self.filter.iter().flat_map(|filter| ConditionNames::of(filter).all().collect::<Vec<_>>());
        self.dimensions.iter().map(String::as_str).chain(times).chain(compared).collect()
    }

    /// `filter`: the key of its condition.
    fn of(body: &Map<String, Value>, filter: &str, faults: &mut Faults) -> Self {
        let filter_key = filter;
        let measures = faults.names(body, "measures", true);
        if measures.is_empty() && body.get("measures").is_some_and(Value::is_array) {
            faults.add("measures", "Too small: expected at least 1 item");
        }
        let filter = body.get(filter_key).filter(|given| !given.is_null()).cloned();
        if filter.as_ref().is_some_and(|filter| !filter.is_object()) {
            faults.add(filter_key, "Invalid input: expected object");
        }
        // Spans are of days in UTC.
        if body.get("timezone").is_some_and(|zone| !zone.is_null() && zone != "UTC") {
            faults.add("timezone", "Not supported: spans of time are those of UTC");
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
            ..Self::default()
        }
    }
}

/// # Errors
/// It is no way to compare.
fn comparison(body: &Map<String, Value>) -> Result<Option<Comparison>, Refusal> {
    let Some(given) = body.get("compareTo").filter(|given| !given.is_null()) else { return Ok(None) };
    let kind = match given.get("kind").and_then(Value::as_str) {
        Some("previousPeriod") => ComparisonKind::PreviousPeriod,
        Some("previousYear") => ComparisonKind::PreviousYear,
        Some(_) | None => {
            let given = given.get("kind").unwrap_or(&Value::Null);
            let message = format!(
                "compareTo.kind is {given}: it is 'previousPeriod' or 'previousYear'. Say one of them, or drop compareTo."
            );
            return Err(Refusal::new(Code::DatasetInvalid, message));
        }
    };
    Ok(Some(Comparison { kind, dimension: given.get("dimension").and_then(Value::as_str).map(str::to_owned) }))
}

/// `{groupings: [[dimension, …], …]}`.
fn totals(body: &Map<String, Value>, faults: &mut Faults) -> Vec<Vec<String>> {
    let Some(given) = body.get("totals").filter(|given| !given.is_null()) else { return Vec::new() };
    let groupings = given.get("groupings").and_then(Value::as_array);
    let Some(groupings) = groupings.filter(|groupings| groupings.len() <= TOTALS_MAX) else {
        faults.add("totals.groupings", format!("Invalid input: expected array of at most {TOTALS_MAX} items"));
        return Vec::new();
    };
    let names = |grouping: &Value| {
        let names = grouping.as_array()?.iter().map(|name| name.as_str().map(str::to_owned));
        names.collect::<Option<Vec<String>>>()
    };
    let read: Option<Vec<Vec<String>>> = groupings.iter().map(names).collect();
    let is_twice = |read: &Vec<Vec<String>>| {
        read.iter().enumerate().any(|(at, own)| read.iter().take(at).any(|other| other == own))
    };
    if read.as_ref().is_some_and(is_twice) {
        faults.add("totals.groupings", "Invalid input: a grouping stands there twice");
    }
    read.unwrap_or_else(|| {
        faults.add("totals.groupings", "Invalid input: expected arrays of strings");
        Vec::new()
    })
}

/// The span that a key names; `place`: what a fault is about.
fn granularity(given: &Map<String, Value>, key: &str, place: &str, faults: &mut Faults) -> Option<Bucket> {
    let given = given.get(key)?;
    let bucket = given.as_str().and_then(Bucket::named);
    if bucket.is_none() {
        faults.add(place, format!("Invalid option: expected one of {}", Bucket::ALL.map(Bucket::name).join(", ")));
    }
    bucket
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
        let own = item.as_object();
        let bucket = own.and_then(|own| granularity(own, "granularity", &format!("{place}.granularity"), faults));
        let range = range(item, &place, faults);
        times.push(TimeDimension { name, bucket, range });
    }
    times
}

/// The first and the last value of a dimension of time: two that are given, or those of a named window of today's.
fn range(item: &Value, place: &str, faults: &mut Faults) -> Option<(Value, Value)> {
    let given = item.get("dateRange").filter(|given| !given.is_null())?;
    let read = match given {
        Value::String(name) => preset(name, Utc::now()).map(|(first, last)| (first.into(), last.into())),
        Value::Array(ends) => match ends.as_slice() {
            [Value::String(first), Value::String(last)] if !first.is_empty() && !last.is_empty() => {
                Some((first.as_str().into(), last.as_str().into()))
            }
            _ => None,
        },
        _ => None,
    };
    if read.is_none() {
        let message = format!(
            "expected two dates, [first, last], of which one day is both, or the name of a window: {}",
            PRESETS.map(|(name, _)| name).join(", ")
        );
        faults.add_as(&format!("{place}.dateRange"), UNRECOGNIZED_RANGE, message);
    }
    read
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
