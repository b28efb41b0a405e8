//! Sums of statements and fragments since the start, as metrics of OTLP's JSON form. Bounded by doors, codes and sources.

use super::encode::{nanos, resource, text};
use querygate_telemetry_api::{StatementRecord, Times};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Upper bounds of the buckets, seconds.
const BOUNDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Sources that are told apart; there are never so many.
const SOURCES_MAX: usize = 1_000;
/// Sums that go on.
const CUMULATIVE: u8 = 2;

#[derive(Debug, Clone, Default, PartialEq)]
struct Histogram {
    counts: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let place = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.counts[place] += 1;
        self.sum += seconds;
    }

    fn add_all(&mut self, times: &Times) {
        for (time, runs) in times.each() {
            let seconds = time.as_secs_f64();
            let place = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
            self.counts[place] += runs;
        }
        self.sum += times.sum().as_secs_f64();
    }
}

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// By door and outcome.
    statements: BTreeMap<(&'static str, &'static str), u64>,
    /// By door.
    rows: BTreeMap<&'static str, u64>,
    times: BTreeMap<&'static str, Histogram>,
    planning: Histogram,
    /// By source.
    fragments: BTreeMap<String, Histogram>,
}

impl Sums {
    pub(super) fn add(&mut self, record: &StatementRecord) {
        let (door, outcome) = (record.door.name(), record.error.map_or("00000", querygate_types::ErrorCode::sqlstate));
        let more = record.more.as_deref();
        *self.statements.entry((door, outcome)).or_default() += record.runs();
        let rows = self.rows.entry(door).or_default();
        *rows = rows.saturating_add(record.rows).saturating_add(more.map_or(0, |more| more.rows));
        let times = self.times.entry(door).or_default();
        times.add(record.total);
        self.planning.add(record.planning);
        if let Some(more) = more {
            times.add_all(&more.total);
            self.planning.add_all(&more.planning);
        }
        for fragment in &record.fragments {
            let source = &*fragment.template.source;
            if !self.fragments.contains_key(source) && self.fragments.len() >= SOURCES_MAX {
                continue;
            }
            let times = self.fragments.entry(source.to_owned()).or_default();
            times.add(fragment.total);
            if let Some(more) = more {
                times.add_all(&more.fragment.total);
            }
        }
    }

    /// The body of one request.
    pub(super) fn body(&self, start: SystemTime, now: SystemTime) -> Value {
        let (start, now) = (nanos(start), nanos(now));
        let count = |attributes: Vec<Value>, value: u64| json!({ "attributes": attributes, "startTimeUnixNano": start, "timeUnixNano": now, "asInt": value.to_string() });
        let times = |attributes: Vec<Value>, one: &Histogram| {
            let counts: Vec<String> = one.counts.iter().map(u64::to_string).collect();
            json!({
                "attributes": attributes, "startTimeUnixNano": start, "timeUnixNano": now,
                "count": one.counts.iter().sum::<u64>().to_string(), "sum": one.sum,
                "bucketCounts": counts, "explicitBounds": BOUNDS,
            })
        };
        let sum = |name: &str, unit: &str, points: Vec<Value>| {
            let sum = json!({ "aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points });
            json!({ "name": name, "unit": unit, "sum": sum })
        };
        let histogram = |name: &str, points: Vec<Value>| {
            let histogram = json!({ "aggregationTemporality": CUMULATIVE, "dataPoints": points });
            json!({ "name": name, "unit": "s", "histogram": histogram })
        };
        let door = |door: &&'static str| text("querygate.door", door);
        let statements = self
            .statements
            .iter()
            .map(|((of, outcome), n)| count(vec![door(of), text("db.response.status_code", outcome)], *n));
        let metrics = [
            sum("querygate.statements", "{statement}", statements.collect()),
            sum("querygate.rows", "{row}", self.rows.iter().map(|(of, n)| count(vec![door(of)], *n)).collect()),
            histogram(
                "querygate.statement.duration",
                self.times.iter().map(|(of, one)| times(vec![door(of)], one)).collect(),
            ),
            histogram("querygate.planning.duration", vec![times(Vec::new(), &self.planning)]),
            histogram(
                "querygate.fragment.duration",
                self.fragments.iter().map(|(of, one)| times(vec![text("querygate.source", of)], one)).collect(),
            ),
        ];
        let scope = json!({ "scope": { "name": "querygate" }, "metrics": metrics });
        json!({ "resourceMetrics": [{ "resource": resource(), "scopeMetrics": [scope] }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summed_tests::runs;
    use crate::testing::{DAY, at, repeated, statement};

    #[test]
    fn sums_are_told_by_door_code_and_source() {
        let mut sums = Sums::default();
        for n in 0..5 {
            let mut record = statement("sam", n, 10, DAY);
            record.error = (n == 0).then_some(querygate_types::ErrorCode::SourceLost);
            record.total = Duration::from_millis(2) * u32::try_from(n).unwrap();
            sums.add(&record);
        }
        let body = sums.body(at(DAY), at(DAY + 60));
        let metrics = body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap().clone();
        let points = |name: &str, kind: &str| {
            let metric = metrics.iter().find(|metric| metric["name"] == name).unwrap();
            metric[kind]["dataPoints"].as_array().unwrap().clone()
        };
        let counts: Vec<Value> = points("querygate.statements", "sum").iter().map(|p| p["asInt"].clone()).collect();
        assert_eq!(counts, ["4", "1"], "successes, then 08006");
        let times = &points("querygate.statement.duration", "histogram")[0];
        assert_eq!(times["count"], "5");
        assert!(times["sum"].as_f64().is_some_and(|sum| (sum - 0.02).abs() < 1e-9), "{times}");
        let buckets: Vec<&str> = times["bucketCounts"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(buckets[..5], ["1", "0", "1", "1", "2"], "0, 2, 4, 6 and 8 ms");
        assert_eq!(buckets.len(), BOUNDS.len() + 1);
        assert_eq!(points("querygate.fragment.duration", "histogram")[0]["count"], "5");
    }

    #[test]
    fn runs_that_were_added_up_are_counted_each() {
        let [each, summed] = [runs(3_000), repeated(&runs(3_000), Some(10))].map(|records| {
            let mut sums = Sums::default();
            records.iter().for_each(|record| sums.add(record));
            sums
        });
        assert_eq!((&each.statements, &each.rows), (&summed.statements, &summed.rows));
        let histograms = |sums: &Sums| -> Vec<Histogram> {
            let all = sums.times.values().chain([&sums.planning]).chain(sums.fragments.values());
            all.cloned().collect()
        };
        for (one, other) in histograms(&each).into_iter().zip(histograms(&summed)) {
            assert_eq!(one.counts, other.counts);
            assert!((one.sum - other.sum).abs() < 1e-9, "{one:?} {other:?}");
        }
    }
}
