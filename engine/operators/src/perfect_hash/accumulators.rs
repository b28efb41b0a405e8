//! The accumulators of one stream of an aggregate, for all of its groups.

use arrow::array::{ArrayRef, AsArray};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode, aggregate_expressions};
use std::sync::Arc;

/// One aggregate function, with what it is computed of.
struct Call {
    accumulator: Box<dyn GroupsAccumulator>,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
}

/// All of an aggregate's functions.
pub(super) struct Accumulators {
    calls: Vec<Call>,
    input: AggregateInputMode,
}

impl Accumulators {
    /// # Errors
    /// A function has no accumulator for groups.
    pub(super) fn new(aggregate: &AggregateExec) -> Result<Self> {
        let input = aggregate.mode().input_mode();
        let functions = aggregate.aggr_expr();
        let keys = aggregate.group_expr().num_group_exprs();
        let arguments = aggregate_expressions(functions, aggregate.mode(), keys)?;
        let calls =
            functions.iter().zip(arguments).zip(aggregate.filter_expr()).map(|((function, arguments), filter)| {
                let accumulator = function.create_groups_accumulator()?;
                // States were made of rows that had passed it.
                let filter = filter.clone().filter(|_| input == AggregateInputMode::Raw);
                Ok(Call { accumulator, arguments, filter })
            });
        Ok(Self { calls: calls.collect::<Result<_>>()?, input })
    }

    /// Bytes that they hold.
    pub(super) fn size(&self) -> usize {
        self.calls.iter().map(|call| call.accumulator.size()).sum()
    }

    /// Adds a batch, of whose rows the groups are given; `count`: the number of all groups so far.
    pub(super) fn add(&mut self, batch: &RecordBatch, groups: &[usize], count: usize) -> Result<()> {
        let evaluate = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(batch)?.into_array(batch.num_rows());
        for call in &mut self.calls {
            let values = call.arguments.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
            match self.input {
                AggregateInputMode::Raw => {
                    let filter = call.filter.as_ref().map(evaluate).transpose()?;
                    let filter = filter.as_ref().map(AsArray::as_boolean);
                    call.accumulator.update_batch(&values, groups, filter, count)?;
                }
                AggregateInputMode::Partial => call.accumulator.merge_batch(&values, groups, count)?,
            }
        }
        Ok(())
    }

    /// What they hold of all groups, to be merged elsewhere.
    pub(super) fn states(&mut self) -> Result<Vec<ArrayRef>> {
        let states = self.calls.iter_mut().map(|call| call.accumulator.state(EmitTo::All));
        Ok(states.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// The results of all groups.
    pub(super) fn results(&mut self) -> Result<Vec<ArrayRef>> {
        self.calls.iter_mut().map(|call| call.accumulator.evaluate(EmitTo::All)).collect()
    }
}
