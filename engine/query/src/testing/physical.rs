//! Finished plans of few nodes, for rules over them: leaves of small numbers, sorts, and what comes out. Knows no table.

use crate::testing::{lines_of, on_runtime};
use arrow::array::{ArrayRef, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, collect};
use std::sync::Arc;

/// Rows of numbers under these names, a partition for each item of `partitions`.
pub(crate) fn leaf(names: &[&str], partitions: &[&[&[i32]]]) -> Arc<dyn ExecutionPlan> {
    let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Int32, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = |rows: &&[&[i32]]| {
        let column = |at: usize| Arc::new(rows.iter().map(|row| Some(row[at])).collect::<Int32Array>()) as ArrayRef;
        vec![RecordBatch::try_new(Arc::clone(&schema), (0..names.len()).map(column).collect()).unwrap()]
    };
    let partitions: Vec<Vec<RecordBatch>> = partitions.iter().map(batch).collect();
    MemorySourceConfig::try_new_exec(&partitions, Arc::clone(&schema), None).unwrap()
}

pub(crate) fn column(plan: &Arc<dyn ExecutionPlan>, at: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(plan.schema().field(at).name(), at))
}

/// The order by these columns.
pub(crate) fn order(plan: &Arc<dyn ExecutionPlan>, places: &[usize]) -> LexOrdering {
    LexOrdering::new(places.iter().map(|at| PhysicalSortExpr::new_default(column(plan, *at)))).unwrap()
}

/// The rows in that order, each partition for itself.
pub(crate) fn sorted(plan: Arc<dyn ExecutionPlan>, places: &[usize]) -> Arc<dyn ExecutionPlan> {
    let order = order(&plan, places);
    Arc::new(SortExec::new(order, plan).with_preserve_partitioning(true))
}

/// A plan as text, a node a line.
pub(crate) fn printed(plan: &Arc<dyn ExecutionPlan>) -> String {
    DisplayableExecutionPlan::new(plan.as_ref()).indent(false).to_string()
}

/// What comes out of a plan.
pub(crate) fn collected(plan: Arc<dyn ExecutionPlan>) -> Vec<String> {
    on_runtime(async move { lines_of(&collect(plan, Arc::new(TaskContext::default())).await.unwrap()) })
}
