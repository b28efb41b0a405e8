//! What the optimizer may know of the size of tables. Tells nothing of rows that the reader may not see.
//!
//! The order of joins shows in EXPLAIN and in times, and sources count all rows. So: of a table whose every row the reader
//! may see, everything that the source tells; of one with a row policy, the magnitude alone
//! ([`querygate_rules::estimate::magnitude`]), the same for all readers and whatever the policy leaves; of a column with a
//! mask, and of one that the reader does not have, nothing. Plans for two sets of rows that differ in hidden rows only are
//! therefore the same, unless these double a large table.

use crate::leaf::GovernedTable;
use crate::remote::{DriverTable, FragmentTable};
use datafusion::common::ColumnStatistics;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::TableScan;
use querygate_rules::estimate::{ColumnEstimate, Estimator, TableEstimate, magnitude, position};
use std::any::Any;

/// Sizes of governed tables and of fragments.
#[derive(Debug, Clone, Copy, Default)]
pub struct TableSizes;

impl Estimator for TableSizes {
    fn table(&self, scan: &TableScan) -> TableEstimate {
        let Ok(provider) = source_as_provider(&scan.source) else { return TableEstimate::default() };
        let any: &dyn Any = provider.as_ref();
        if let Some(fragment) = any.downcast_ref::<FragmentTable>() {
            return fragment.size().clone();
        }
        any.downcast_ref::<GovernedTable>().map(governed).unwrap_or_default()
    }
}

/// What may be known of a governed table.
pub(crate) fn governed(table: &GovernedTable) -> TableEstimate {
    let raw: &dyn Any = table.raw().as_ref();
    let unknown = TableEstimate { remote: raw.is::<DriverTable>(), ..TableEstimate::default() };
    let Some(told) = table.raw().statistics() else { return unknown };
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rows = told.num_rows.get_value().map(|rows| *rows as f64);
    if table.policy().restricts() {
        return TableEstimate { rows: rows.map(magnitude), ..unknown };
    }
    let schema = table.raw().schema();
    let columns = table.columns().iter().map(|column| {
        let place = schema.index_of(column.field.name()).ok().filter(|_| column.mask.is_none());
        place.and_then(|place| told.column_statistics.get(place)).map(of_column).unwrap_or_default()
    });
    TableEstimate { rows, columns: columns.collect(), ..unknown }
}

fn of_column(told: &ColumnStatistics) -> ColumnEstimate {
    let range = told.min_value.get_value().zip(told.max_value.get_value());
    let whole = range.is_some_and(|(least, _)| least.data_type().is_integer());
    let range = range.and_then(|(least, greatest)| Some((position(least)?, position(greatest)?)));
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let counted = told.distinct_count.get_value().map(|count| *count as f64).filter(|count| *count > 0.0);
    // Whole numbers are no more than their range has places; where that is far more than there are rows, it says nothing.
    let places = range.filter(|_| whole).map(|(least, greatest)| greatest - least + 1.0);
    ColumnEstimate { distinct: counted.or(places), range }
}
