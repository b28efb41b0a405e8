//! What is known of the rows of a subquery once a join has collected them.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::StreamExt;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// What all rows are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Nothing,
    /// No value is NULL.
    Values,
    /// A value is NULL.
    Null,
}

/// Filled at the end of the rows, empty before.
#[derive(Debug, Default)]
pub(super) struct Found(OnceLock<Content>);

impl Found {
    /// # Errors
    /// Internal: the rows are not at their end.
    pub(super) fn content(&self) -> Result<Content> {
        match self.0.get() {
            Some(content) => Ok(*content),
            None => internal_err!("rows of NOT IN are compared before all of them are collected"),
        }
    }
}

/// Passes rows on, and tells at their end what they were.
#[derive(Debug)]
pub(super) struct CollectedExec {
    input: Arc<dyn ExecutionPlan>,
    value: Arc<dyn PhysicalExpr>,
    found: Arc<Found>,
}

impl CollectedExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, value: Arc<dyn PhysicalExpr>, found: Arc<Found>) -> Self {
        Self { input, value, found }
    }

    pub(super) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }
}

impl DisplayAs for CollectedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CollectedExec")
    }
}

impl ExecutionPlan for CollectedExec {
    fn name(&self) -> &'static str {
        "CollectedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, Arc::clone(&self.value), Arc::clone(&self.found)))),
            _ => internal_err!("rows of NOT IN have one input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        f(&self.value)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let (schema, value, found) = (input.schema(), Arc::clone(&self.value), Arc::clone(&self.found));
        let (any, null) = (AtomicBool::new(false), AtomicBool::new(false));
        // The last of all items is none, which stands for the end.
        let items = input.map(Some).chain(futures::stream::once(std::future::ready(None)));
        let rows = items.filter_map(move |item| {
            let item = match item {
                Some(Ok(batch)) => {
                    Some(value.evaluate(&batch).and_then(|values| values.into_array(batch.num_rows())).map(|values| {
                        any.fetch_or(batch.num_rows() > 0, Ordering::Relaxed);
                        null.fetch_or(values.logical_null_count() > 0, Ordering::Relaxed);
                        batch
                    }))
                }
                Some(Err(error)) => Some(Err(error)),
                None => {
                    let content = match (null.load(Ordering::Relaxed), any.load(Ordering::Relaxed)) {
                        (true, _) => Content::Null,
                        (false, true) => Content::Values,
                        (false, false) => Content::Nothing,
                    };
                    // One partition, which is run once.
                    let _ = found.0.set(content);
                    None
                }
            };
            std::future::ready(item)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
