//! How many rows a plan gives, roughly: from what an estimator tells of its tables. Decides nothing; knows no source.
//!
//! What is estimated here shows: in the order of joins, so in EXPLAIN and in times. Whoever implements [`Estimator`] must
//! therefore tell nothing of rows that the reader may not see, beyond [`magnitude`].

mod effort;
mod plan;
mod selectivity;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::TableScan;
use datafusion::logical_expr::expr::Placeholder;
use std::fmt;
use std::sync::Arc;

pub use effort::cheapest_first;
pub use plan::filtered;
pub(crate) use plan::{Cardinality, of};

/// Tells the size of tables.
pub trait Estimator: fmt::Debug + Send + Sync {
    /// What is known of the rows behind a scan, before its own filters.
    fn table(&self, scan: &TableScan) -> TableEstimate;
}

/// What is known of a table. The default knows nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableEstimate {
    /// Rows.
    pub rows: Option<f64>,
    /// Rows before conditions, where `rows` counts what they left: no column has more distinct values.
    pub base: Option<f64>,
    /// Whether the rows cross a wire, so that it pays not to ask for them.
    pub remote: bool,
    /// One for each column of the scan's table, or none at all.
    pub columns: Vec<ColumnEstimate>,
}

/// What is known of a column's values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ColumnEstimate {
    /// Distinct values.
    pub distinct: Option<f64>,
    /// Least and greatest value, as [`position`] gives them.
    pub range: Option<(f64, f64)>,
}

/// An estimator that knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NoEstimates;

impl Estimator for NoEstimates {
    fn table(&self, _scan: &TableScan) -> TableEstimate {
        TableEstimate::default()
    }
}

/// Fewest rows that are told of a table with a row policy.
pub const MAGNITUDE_LEAST: f64 = 16_384.0;

/// Rows of a table that may not be told or are not known: fewer than any that is known to be large.
pub const FEW: f64 = 4_096.0;

/// What may be told of the size of a table of which the reader does not see every row: the nearest power of two, and the
/// same [`FEW`] for everything below [`MAGNITUDE_LEAST`]. Single hidden rows do not show in it, and neither do those of a
/// small tenant; that a table is large does.
#[must_use]
pub fn magnitude(rows: f64) -> f64 {
    if rows >= MAGNITUDE_LEAST { rows.log2().round().exp2() } else { FEW }
}

/// Where a value lies on a line, for types that have one; in one unit for each kind of type.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn position(value: &ScalarValue) -> Option<f64> {
    let at = match value {
        ScalarValue::Int8(v) => f64::from((*v)?),
        ScalarValue::Int16(v) => f64::from((*v)?),
        ScalarValue::Int32(v) => f64::from((*v)?),
        ScalarValue::Int64(v) => (*v)? as f64,
        ScalarValue::UInt8(v) => f64::from((*v)?),
        ScalarValue::UInt16(v) => f64::from((*v)?),
        ScalarValue::UInt32(v) => f64::from((*v)?),
        ScalarValue::UInt64(v) => (*v)? as f64,
        ScalarValue::Float32(v) => f64::from((*v)?),
        ScalarValue::Float64(v) => (*v)?,
        ScalarValue::Decimal128(v, _, scale) => (*v)? as f64 / 10_f64.powi(i32::from(*scale)),
        ScalarValue::Date32(v) => f64::from((*v)?) * 86_400.0,
        ScalarValue::Date64(v) | ScalarValue::TimestampMillisecond(v, _) => (*v)? as f64 / 1e3,
        ScalarValue::TimestampSecond(v, _) => (*v)? as f64,
        ScalarValue::TimestampMicrosecond(v, _) => (*v)? as f64 / 1e6,
        ScalarValue::TimestampNanosecond(v, _) => (*v)? as f64 / 1e9,
        _ => return None,
    };
    at.is_finite().then_some(at)
}

/// Where an open parameter's value lies at the moment, in the notes of the parameter's type.
const PLACE: &str = "querygate.place";

/// The parameter with a note of where its value lies, so that a plan with open parameters is estimated as one with their values is.
#[must_use]
pub fn with_place(parameter: Placeholder, value: &ScalarValue) -> Placeholder {
    let (Some(field), Some(place)) = (&parameter.field, position(value)) else { return parameter };
    let mut notes = field.metadata().clone();
    notes.insert(PLACE.to_owned(), place.to_string());
    let field = field.as_ref().clone().with_metadata(notes);
    Placeholder { field: Some(Arc::new(field)), ..parameter }
}

fn place_of(parameter: &Placeholder) -> Option<f64> {
    parameter.field.as_ref()?.metadata().get(PLACE)?.parse().ok()
}

/// A count as an estimate.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(crate) const fn count(rows: usize) -> f64 {
    rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_magnitude_hides_single_rows() {
        for (rows, told) in [
            (0.0, FEW),
            (16_383.0, FEW),
            (16_384.0, 16_384.0),
            (17_000.0, 16_384.0),
            (60_175.0, 65_536.0),
            (60_176.0, 65_536.0),
            (6_001_215.0, 8_388_608.0),
        ] {
            assert_eq!(magnitude(rows), told, "{rows}");
        }
    }
}
