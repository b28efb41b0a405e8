//! Sums of statements and fragments since the start, as metrics. Bounded by doors, codes and sources, and by the library's limit of
//! series for each instrument.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use querygate_telemetry_api::{StatementRecord, Times};
use std::time::Duration;

/// Upper bounds of the buckets, seconds.
const BOUNDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The instruments.
#[derive(Debug)]
pub(super) struct Sums {
    statements: Counter<u64>,
    rows: Counter<u64>,
    duration: Histogram<f64>,
    planning: Histogram<f64>,
    fragments: Histogram<f64>,
}

impl Sums {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds =
            |name: &'static str| meter.f64_histogram(name).with_unit("s").with_boundaries(BOUNDS.to_vec()).build();
        Self {
            statements: meter.u64_counter("querygate.statements").with_unit("{statement}").build(),
            rows: meter.u64_counter("querygate.rows").with_unit("{row}").build(),
            duration: seconds("querygate.statement.duration"),
            planning: seconds("querygate.planning.duration"),
            fragments: seconds("querygate.fragment.duration"),
        }
    }

    pub(super) fn add(&self, record: &StatementRecord) {
        let door = KeyValue::new("querygate.door", record.door.name());
        let outcome = record.error.map_or("00000", querygate_types::ErrorCode::sqlstate);
        let more = record.more.as_deref();
        let ended = [door.clone(), KeyValue::new("db.response.status_code", outcome)];
        let door = [door];
        self.statements.add(record.runs(), &ended);
        self.rows.add(record.rows.saturating_add(more.map_or(0, |more| more.rows)), &door);
        add(&self.duration, record.total, more.map(|more| &more.total), &door);
        add(&self.planning, record.planning, more.map(|more| &more.planning), &[]);
        for fragment in &record.fragments {
            let source = [KeyValue::new("querygate.source", fragment.template.source.to_string())];
            add(&self.fragments, fragment.total, more.map(|more| &more.fragment.total), &source);
        }
    }
}

/// Adds the time of one run and those of the runs beside it, which are known within 1.6%.
fn add(histogram: &Histogram<f64>, one: Duration, more: Option<&Times>, attributes: &[KeyValue]) {
    histogram.record(one.as_secs_f64(), attributes);
    for (time, runs) in more.into_iter().flat_map(Times::each) {
        let seconds = time.as_secs_f64();
        (0..runs).for_each(|_| histogram.record(seconds, attributes));
    }
}
