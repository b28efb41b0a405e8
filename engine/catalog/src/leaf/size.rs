//! What the optimizer may know of the size of a governed table. Tells nothing of rows that the reader may not see.

use super::table::GovernedTable;
use crate::remote::DriverTable;
use datafusion::common::ColumnStatistics;
use querygate_rules::estimate::{ColumnEstimate, TableEstimate, magnitude, position};
use std::any::Any;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{deployed, stack, visible};
    use datafusion::datasource::provider_as_source;
    use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
    use datafusion::prelude::SessionContext;

    fn size(permission_set: &str, object: &str) -> TableEstimate {
        let deployment = deployed(&stack(), 1);
        let found = visible(&deployment, permission_set).into_iter().find(|visible| visible.sql_name == object);
        let source = provider_as_source(found.unwrap().table);
        let LogicalPlan::TableScan(scan) = LogicalPlanBuilder::scan("t", source, None).unwrap().build().unwrap() else {
            panic!("a scan")
        };
        TableSizes.table(&scan)
    }

    /// Of a table without a policy, what the source tells; of one with a policy, its magnitude, and nothing of its columns.
    #[test]
    fn a_policy_leaves_the_magnitude() {
        let (open, restricted) = (size("chief", "people"), size("clerk", "people"));
        assert!(!open.remote && !restricted.remote);
        assert_eq!(restricted.columns.len(), 0);
        assert!(restricted.rows.is_none_or(|rows| rows != 3.0 && rows != 2.0), "{restricted:?}");
        assert_eq!(restricted.rows, open.rows.map(magnitude));
    }

    /// What is no governed table and no fragment has no size.
    #[tokio::test]
    async fn other_tables_have_no_size() {
        let context = SessionContext::new();
        context.sql("CREATE TABLE t AS SELECT 1 AS a").await.unwrap();
        let source = provider_as_source(context.table_provider("t").await.unwrap());
        let plan = LogicalPlanBuilder::scan("t", source, None).unwrap().build().unwrap();
        let LogicalPlan::TableScan(scan) = plan else { panic!("a scan") };
        assert!(TableSizes.table(&scan).rows.is_none());
    }
}
