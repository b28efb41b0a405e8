//! What is left of an operator's input once its first rows were read, as an input for another operator.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use std::fmt;
use std::sync::{Arc, Mutex};

/// One partition's rows, which are read once.
pub(super) struct RemainingInputExec {
    rows: Mutex<Option<SendableRecordBatchStream>>,
    partition: usize,
    properties: Arc<PlanProperties>,
}

impl RemainingInputExec {
    /// `whole`: the input of which they are left.
    pub(super) fn new(rows: SendableRecordBatchStream, partition: usize, whole: &Arc<dyn ExecutionPlan>) -> Self {
        Self { rows: Mutex::new(Some(rows)), partition, properties: Arc::clone(whole.properties()) }
    }
}

impl fmt::Debug for RemainingInputExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemainingInputExec").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl DisplayAs for RemainingInputExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemainingInputExec")
    }
}

impl ExecutionPlan for RemainingInputExec {
    fn name(&self) -> &'static str {
        "RemainingInputExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.rows.lock().ok().and_then(|mut rows| rows.take()).filter(|_| partition == self.partition);
        match rows {
            Some(rows) => Ok(rows),
            None => internal_err!("what is left of an input is read once, in its own partition"),
        }
    }
}
