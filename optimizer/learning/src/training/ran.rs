//! A run of a fragment as models see it: hashes and numbers. Knows no name and no value.

use crate::telemetry::FragmentRow;
use querygate_models::cardinality::{Observation, Subplan};
use querygate_models::latency::{Fragment, Run};
use querygate_telemetry_api::fragment::{Condition, FragmentRecord, FragmentShape};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// What the runs of a fragment have in common.
#[derive(Debug)]
struct Common {
    fingerprint: u64,
    features: Vec<f64>,
    tables: Vec<u64>,
    joins: Vec<(u64, u64)>,
    marks: Vec<u64>,
    /// Whether the rows are counted rather than handed on: their number says nothing of sizes.
    reduced: bool,
}

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Ran {
    common: Arc<Common>,
    /// UTC seconds.
    at: f64,
    estimated: Option<f64>,
    rows: f64,
    bytes: f64,
    seconds: f64,
}

/// Makes runs; what fragments have in common is made once.
#[derive(Debug, Default)]
pub(super) struct Runs {
    known: HashMap<u64, Arc<Common>>,
}

/// Fragments whose common part is remembered.
const KNOWN_MAX: usize = 5_000;

impl Runs {
    fn common(&mut self, fingerprint: u64, shape: &FragmentShape) -> Arc<Common> {
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&fingerprint) {
            self.known.clear();
        }
        Arc::clone(self.known.entry(fingerprint).or_insert_with(|| Arc::new(Common::of(fingerprint, shape))))
    }

    /// `None` for a run that says nothing: incomplete, failed, or under further conditions.
    pub(super) fn of_record(&mut self, record: &FragmentRecord, at: i64) -> Option<Ran> {
        if !record.complete || record.narrowed || record.error.is_some() {
            return None;
        }
        let common = self.common(record.template.fingerprint, &record.template.shape);
        let estimated = record.estimated_rows.map(number);
        let (rows, bytes) = (number(record.rows), number(record.bytes));
        Some(Ran { common, at: at as f64, estimated, rows, bytes, seconds: record.total.as_secs_f64() })
    }

    /// The same from the store.
    pub(super) fn of_row(&mut self, row: &FragmentRow) -> Ran {
        let common = self.common(row.fingerprint, &row.shape);
        let seconds = std::time::Duration::from_micros(row.total_us).as_secs_f64();
        let estimated = row.estimated.map(number);
        Ran { common, at: row.at as f64, estimated, rows: number(row.rows), bytes: number(row.bytes), seconds }
    }
}

impl Common {
    fn of(fingerprint: u64, shape: &FragmentShape) -> Self {
        let count = |n: usize| n as f64;
        let conditions: Vec<(u64, &Condition)> =
            shape.tables.iter().flat_map(|t| t.conditions.iter().map(|c| (hash(&t.path), c))).collect();
        let columns: usize = shape.tables.iter().map(|table| table.columns.len()).sum();
        let place = |at: &querygate_telemetry_api::fragment::ColumnPlace| {
            hash(&(shape.tables.get(at.table).map(|table| &table.path), &at.column))
        };
        Self {
            fingerprint,
            features: vec![
                count(shape.tables.len()),
                count(shape.joins.len()),
                count(conditions.len()),
                count(columns),
                count(shape.group.len()),
                count(shape.order.len()),
                f64::from(u8::from(shape.limited)),
            ],
            tables: shape.tables.iter().map(|table| hash(&table.path)).collect(),
            joins: shape.joins.iter().map(|join| (place(&join.left), place(&join.right))).collect(),
            marks: conditions.iter().map(|(table, c)| hash(&(table, &c.column, c.kind))).collect(),
            reduced: shape.limited || shape.aggregated || !shape.group.is_empty(),
        }
    }
}

impl Ran {
    /// For the latency ladder. What is expected to come is known before; without an estimate the rows are not.
    pub(super) fn latency(&self) -> Run {
        let rows = self.estimated.unwrap_or(f64::NAN);
        let bytes = if self.rows > 0.0 { rows * self.bytes / self.rows } else { f64::NAN };
        let band = self.estimated.map_or(-1.0, |rows| rows.max(1.0).log2().floor());
        Run {
            fragment: Fragment {
                exact: hash(&(self.common.fingerprint, band.to_bits())),
                rows,
                bytes,
                features: self.common.features.clone(),
            },
            at: self.at,
            seconds: self.seconds,
        }
    }

    /// For the corrector of estimates; `None` without an estimate, or where rows are not those of the join.
    pub(super) fn observation(&self) -> Option<Observation> {
        let common = &self.common;
        let estimate = self.estimated.filter(|_| !common.reduced)?;
        let (tables, joins, marks) = (common.tables.clone(), common.joins.clone(), common.marks.clone());
        let subplan = Subplan { tables, joins, ranges: Vec::new(), marks, estimate: estimate.max(1.0), bound: None };
        Some(Observation { subplan, rows: self.rows, group: common.fingerprint })
    }
}

fn number(value: u64) -> f64 {
    value as f64
}

/// Of names. Another build may hash otherwise: then a saved model knows none of them, and says so.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
pub(super) fn sample(fingerprint: u64, tables: usize, estimated: f64, rows: f64, seconds: f64, at: f64) -> Ran {
    use querygate_telemetry_api::fragment::TableShape;
    let table = |n| TableShape { path: vec![format!("t{n}")], ..TableShape::default() };
    let shape = FragmentShape { tables: (0..tables).map(table).collect(), ..FragmentShape::default() };
    let common = Arc::new(Common::of(fingerprint, &shape));
    Ran { common, at, estimated: Some(estimated), rows, bytes: rows * 40.0, seconds }
}
