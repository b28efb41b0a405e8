//! What the optimizer may know of the size of tables. Tells nothing of rows that the reader may not see.
//!
//! The order of joins shows in EXPLAIN and in times, and sources count all rows. So: of a table whose every row the reader
//! may see, everything that the source tells; of one with a row policy, the magnitude alone
//! ([`querygate_rules::estimate::magnitude`]), the same for all readers and whatever the policy leaves; of a column with a
//! mask, and of one that the reader does not have, nothing. Plans for two sets of rows that differ in hidden rows only are
//! therefore the same, unless these double a large table.

use super::fragment::FragmentTable;
use crate::leaf::{GovernedTable, governed};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::TableScan;
use querygate_rules::estimate::{Estimator, TableEstimate};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{deployed, stack, visible};
    use datafusion::datasource::provider_as_source;
    use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
    use datafusion::prelude::SessionContext;
    use querygate_rules::estimate::magnitude;

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
