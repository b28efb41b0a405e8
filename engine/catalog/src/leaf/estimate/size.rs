//! What the optimizer may know of the size of a governed table. Tells nothing of rows that the reader may not see.

use crate::leaf::table::GovernedTable;
use crate::remote::DriverTable;
use datafusion::common::ColumnStatistics;
use querygate_rules::estimate::{ColumnEstimate, TableEstimate, magnitude, position};
use std::any::Any;

/// What may be known of a governed table.
pub(crate) fn governed(table: &GovernedTable) -> TableEstimate {
    let raw: &dyn Any = table.raw().as_ref();
    let unknown = TableEstimate { remote: raw.is::<DriverTable>(), ..TableEstimate::default() };
    let Some(statistics) = table.raw().statistics() else { return unknown };
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rows = statistics.num_rows.get_value().map(|rows| *rows as f64);
    if table.policy().restricts() {
        return TableEstimate { rows: rows.map(magnitude), ..unknown };
    }
    let schema = table.raw().schema();
    let columns = table.columns().iter().map(|column| {
        let place = schema.index_of(column.field.name()).ok().filter(|_| column.mask.is_none());
        place.and_then(|place| statistics.column_statistics.get(place)).map(of_column).unwrap_or_default()
    });
    TableEstimate { rows, columns: columns.collect(), ..unknown }
}

fn of_column(statistics: &ColumnStatistics) -> ColumnEstimate {
    let range = statistics.min_value.get_value().zip(statistics.max_value.get_value());
    let whole = range.is_some_and(|(least, _)| least.data_type().is_integer());
    let range = range.and_then(|(least, greatest)| Some((position(least)?, position(greatest)?)));
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let counted = statistics.distinct_count.get_value().map(|count| *count as f64).filter(|count| *count > 0.0);
    // Whole numbers are no more than their range has places; where that is far more than there are rows, it says nothing.
    let places = range.filter(|_| whole).map(|(least, greatest)| greatest - least + 1.0);
    ColumnEstimate { distinct: counted.or(places), range }
}
