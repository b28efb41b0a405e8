//! What the optimizer may know of the size of tables. Tells nothing of rows that the reader may not see.
//!
//! The order of joins shows in EXPLAIN and in times, and sources count all rows. So: of a table whose every row the reader
//! may see, everything that the source tells; of one with a row policy, the magnitude alone
//! ([`querygate_rules::estimate::magnitude`]), the same for all readers and whatever the policy leaves; of a column with a
//! mask, and of one that the reader does not have, nothing. Plans for two sets of rows that differ in hidden rows only are
//! therefore the same, unless these double a large table.

use super::federate::FragmentTable;
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
