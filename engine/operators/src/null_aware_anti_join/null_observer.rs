//! Whether the rows of a subquery are none, and whether a value among them is NULL: known once a join has collected them.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::StreamExt;
use std::fmt;
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
pub(super) struct ObservedContent(OnceLock<Content>);

impl ObservedContent {
    /// # Errors
    /// Internal: the rows are not at their end.
    pub(super) fn content(&self) -> Result<Content> {
        match self.0.get() {
            Some(content) => Ok(*content),
            None => internal_err!("rows of NOT IN are compared before all of them are collected"),
        }
    }
}

/// Passes rows on, and fills in at their end what they were.
#[derive(Debug)]
pub(super) struct NullObserverExec {
    input: Arc<dyn ExecutionPlan>,
    value: Arc<dyn PhysicalExpr>,
    found: Arc<ObservedContent>,
}

impl NullObserverExec {
    pub(super) fn new(
        input: Arc<dyn ExecutionPlan>,
        value: Arc<dyn PhysicalExpr>,
        found: Arc<ObservedContent>,
    ) -> Self {
        Self { input, value, found }
    }

    pub(super) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }
}

impl DisplayAs for NullObserverExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NullObserverExec")
    }
}

impl ExecutionPlan for NullObserverExec {
    fn name(&self) -> &'static str {
        "NullObserverExec"
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
        let (mut any, mut null) = (false, false);
        // A `None` behind the last batch marks the end.
        let items = input.map(Some).chain(futures::stream::once(std::future::ready(None)));
        let rows = items.filter_map(move |item| {
            let item = match item {
                Some(Ok(batch)) => {
                    Some(value.evaluate(&batch).and_then(|values| values.into_array(batch.num_rows())).map(|values| {
                        any |= batch.num_rows() > 0;
                        null |= values.logical_null_count() > 0;
                        batch
                    }))
                }
                Some(Err(error)) => Some(Err(error)),
                None => {
                    let content = match (null, any) {
                        (true, _) => Content::Null,
                        (false, true) => Content::Values,
                        (false, false) => Content::Nothing,
                    };
                    // A join collects its one partition once, for all that it streams.
                    match found.0.set(content) {
                        Ok(()) => None,
                        Err(_) => Some(internal_err!("rows of NOT IN are collected twice")),
                    }
                }
            };
            std::future::ready(item)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
