//! The logical node around a part that is computed once for several places, and its physical planning.

use super::exec::SharedExec;
use super::rows::SharedRows;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// One of the places where the same rows are read.
#[derive(Debug, Clone)]
pub(super) struct SharedNode {
    input: LogicalPlan,
    rows: Arc<SharedRows>,
    /// The place's number among those of the rows.
    reader: usize,
}

impl SharedNode {
    pub(super) fn new(input: LogicalPlan, rows: Arc<SharedRows>, reader: usize) -> Self {
        Self { input, rows, reader }
    }
}

/// Without the place's number: subqueries that are equal but for it are one to the engine.
impl PartialEq for SharedNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rows, &other.rows) && self.input == other.input
    }
}
impl Eq for SharedNode {}
impl Hash for SharedNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
    }
}
impl PartialOrd for SharedNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input).filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for SharedNode {
    fn name(&self) -> &'static str {
        "Shared"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.pop()) {
            (Some(input), None) => Ok(Self { input, ..self.clone() }),
            _ => internal_err!("what is shared has one input"),
        }
    }
}

/// Plans the nodes; give it to `DefaultPhysicalPlanner::with_extension_planners`.
#[derive(Debug, Default)]
pub(crate) struct SharedPlanner;

#[async_trait]
impl ExtensionPlanner for SharedPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        physical: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(shared) = node.as_any().downcast_ref::<SharedNode>() else { return Ok(None) };
        let [input] = physical else { return internal_err!("what is shared has one input") };
        Ok(Some(Arc::new(SharedExec::new(Arc::clone(input), Arc::clone(&shared.rows), shared.reader))))
    }
}
