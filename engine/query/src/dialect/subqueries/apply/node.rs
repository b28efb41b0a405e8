//! The logical apply node and its physical planning: for each row of the input, a subplan with that row's values in it.

use super::exec::ApplyExec;
use arrow::datatypes::FieldRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What an apply adds to each input row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ApplyKind {
    /// One column: the subquery's only value, NULL for no row, an error (21000) for more than one.
    Scalar,
    /// One boolean column: whether there is a row.
    Exists,
    /// The subquery's rows joined to the input row; input rows without any are dropped.
    Lateral,
    /// The subquery's rows joined to the input row; input rows without any are kept with NULLs.
    LateralOuter,
}

/// Apply as an extension node. The subplan is no input: optimizers must not look into it before its values are known.
#[derive(Debug, Clone)]
pub(crate) struct ApplyNode {
    pub(super) kind: ApplyKind,
    pub(super) input: LogicalPlan,
    pub(super) subplan: Arc<LogicalPlan>,
    /// Columns of the input, as the subplan names them.
    pub(super) outer: Vec<(Column, FieldRef)>,
    /// A boolean column of the input: rows where it is not true get NULL and run nothing.
    pub(super) guard: Option<Column>,
    pub(super) schema: DFSchemaRef,
}

impl PartialEq for ApplyNode {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.input == other.input
            && self.subplan == other.subplan
            && self.guard == other.guard
            && self.schema == other.schema
    }
}
impl Eq for ApplyNode {}
impl Hash for ApplyNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        self.input.hash(state);
        self.subplan.hash(state);
    }
}
impl PartialOrd for ApplyNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.kind.cmp(&other.kind) {
            Ordering::Equal => self.input.partial_cmp(&other.input).filter(|o| *o != Ordering::Equal || self == other),
            other => Some(other),
        }
    }
}

impl UserDefinedLogicalNodeCore for ApplyNode {
    fn name(&self) -> &'static str {
        "Apply"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        self.outer.iter().map(|(column, _)| column).chain(&self.guard).cloned().map(Expr::Column).collect()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self.outer.iter().map(|(c, _)| c.flat_name()).collect();
        write!(f, "Apply: {:?} [{}]", self.kind, columns.join(", "))
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Some(input) = inputs.pop().filter(|_| inputs.is_empty()) else {
            return internal_err!("apply has one input");
        };
        if input.schema().fields().len() != self.input.schema().fields().len() {
            return internal_err!("the input of apply keeps its columns");
        }
        // What is known of the input's columns may have changed.
        let own = self.schema.iter().skip(input.schema().fields().len());
        let fields = input.schema().iter().chain(own).map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let schema = Arc::new(DFSchema::new_with_metadata(fields.collect(), self.schema.metadata().clone())?);
        Ok(Self { input, schema, ..self.clone() })
    }
}

/// Plans apply nodes; give it to `DefaultPhysicalPlanner::with_extension_planners`.
#[derive(Debug, Default)]
pub(crate) struct ApplyPlanner;

#[async_trait]
impl ExtensionPlanner for ApplyPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical: &[&LogicalPlan],
        physical: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(apply) = node.as_any().downcast_ref::<ApplyNode>() else { return Ok(None) };
        let ([input], [plan]) = (logical, physical) else { return internal_err!("apply has one input") };
        let places =
            apply.outer.iter().map(|(column, _)| input.schema().index_of_column(column)).collect::<Result<Vec<_>>>()?;
        let guard = apply.guard.as_ref().map(|column| input.schema().index_of_column(column)).transpose()?;
        let exec = ApplyExec::new(apply, places, guard, Arc::clone(plan))?;
        Ok(Some(Arc::new(exec)))
    }
}
