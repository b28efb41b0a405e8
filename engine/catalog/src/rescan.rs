//! Raw scans of kept plans, made anew for another run instead of being planned.

use crate::remote::RenewFilter;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use std::fmt;
use std::sync::Arc;

/// What a source makes of a scan that is kept.
type Again = dyn for<'a> Fn(&'a Arc<dyn ExecutionPlan>, &'a RenewFilter<'a>, bool) -> BoxFuture<'a, Option<Arc<dyn ExecutionPlan>>>
    + Send
    + Sync;

/// How a table makes a raw scan that it planned anew: the same rows in the same parts, with counters of its own, where it still reads
/// what it did.
#[derive(Clone)]
pub struct Rescan(Arc<Again>);

impl Rescan {
    /// `again` gets a scan of the table as it was planned, pushed conditions and all, what gives each of these for the run, and whether values
    /// of the run stand in the conditions that the scan was planned with, pushed or not. It answers `None` where the scan is to be planned:
    /// the table may read something else by now, or with other values, or a condition is not known.
    pub fn new<F>(again: F) -> Self
    where
        F: for<'a> Fn(
                &'a Arc<dyn ExecutionPlan>,
                &'a RenewFilter<'a>,
                bool,
            ) -> BoxFuture<'a, Option<Arc<dyn ExecutionPlan>>>
            + Send
            + Sync
            + 'static,
    {
        Self(Arc::new(again))
    }

    /// For a table whose rows never change, and whose scans take no conditions.
    #[must_use]
    pub fn of_fixed_rows() -> Self {
        Self::new(|scan, _, _| Box::pin(async move { Arc::clone(scan).reset_state().ok() }))
    }

    /// The scan for another run, or `None`: it is to be planned.
    pub(crate) async fn again(
        &self,
        scan: &Arc<dyn ExecutionPlan>,
        conditions: &RenewFilter<'_>,
        has_values: bool,
    ) -> Option<Arc<dyn ExecutionPlan>> {
        (self.0)(scan, conditions, has_values).await
    }
}

impl fmt::Debug for Rescan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rescan").finish_non_exhaustive()
    }
}
