//! Policies that need other rows (controlled by parent): the rows whose key is among the keys of a governed master.

use super::table::GovernedTable;
use arrow::datatypes::DataType;
use datafusion::catalog::Session;
use datafusion::common::{NullEquality, Result};
use datafusion::logical_expr::JoinType;
use datafusion::physical_expr::expressions::{Column, cast};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, PhysicalExpr};
use std::sync::Arc;

/// `column IN (key of the rows of master that the reader may see)`. Null is in no set.
#[derive(Debug, Clone)]
pub struct RelatedKeys {
    /// Foreign key column of the governed table.
    pub column: String,
    /// The master, reduced to what the policy lets through.
    pub master: Arc<GovernedTable>,
    /// Key column of the master.
    pub key: String,
    /// `None`: a conjunct of its own. `Some(name)`: the policy's conjuncts read the verdict as the boolean column `name`.
    pub mark: Option<String>,
}

impl RelatedKeys {
    /// Joins the verdict onto `rows`: a semi join as a conjunct, a mark join otherwise.
    pub(super) async fn join(
        &self,
        state: &dyn Session,
        rows: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let key_index = datafusion::catalog::TableProvider::schema(self.master.as_ref()).index_of(&self.key)?;
        // Boxed: a master may itself be controlled by its parent.
        let keys = Box::pin(self.master.plan(state, Some(&vec![key_index]), &[], None)).await?;
        let keys: Arc<dyn ExecutionPlan> = if keys.output_partitioning().partition_count() > 1 {
            Arc::new(CoalescePartitionsExec::new(keys))
        } else {
            keys
        };
        let left = as_text(Arc::new(Column::new(&self.key, 0)), &keys)?;
        let index = rows.schema().index_of(&self.column)?;
        let right = as_text(Arc::new(Column::new(&self.column, index)), &rows)?;
        let kind = if self.mark.is_some() { JoinType::RightMark } else { JoinType::RightSemi };
        let joined = HashJoinExec::try_new(
            keys,
            rows,
            vec![(left, right)],
            None,
            &kind,
            None,
            PartitionMode::CollectLeft,
            NullEquality::NullEqualsNothing,
            false,
        )?;
        Ok(Arc::new(joined))
    }
}

/// Ids are text in every source; views and dictionaries are brought to one form so that both sides hash alike.
fn as_text(expr: Arc<dyn PhysicalExpr>, plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn PhysicalExpr>> {
    let schema = plan.schema();
    if expr.data_type(&schema)? == DataType::Utf8 { Ok(expr) } else { cast(expr, &schema, DataType::Utf8) }
}
