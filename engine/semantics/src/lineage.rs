//! One step down a plan: what an output column of a node is made from. Reads plans only; what asks for types and what asks for
//! origins walk with it.

pub use crate::input_columns::InputColumns;

use arrow::datatypes::Field;
use datafusion::common::TableReference;
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};
use std::sync::Arc;

/// What stands below an output column.
pub enum Below<'a> {
    /// A column of a table.
    Table(&'a TableReference, &'a Field),
    /// An expression over an input.
    Computed(&'a Expr, &'a LogicalPlan),
    /// The same column of an input.
    Handed(&'a LogicalPlan, usize),
    /// The columns at one place of several inputs.
    OneOf(&'a [Arc<LogicalPlan>], usize),
    /// Each round's column of a recursive query, whose first round this is.
    Rounds(&'a LogicalPlan, usize),
    /// The items of a list in an input's column.
    Items(&'a LogicalPlan, usize),
    /// Nothing that a plan names.
    Nothing,
}

/// What output column `index` of the plan's root is made from.
pub fn below(plan: &LogicalPlan, index: usize) -> Below<'_> {
    step(plan, index).unwrap_or(Below::Nothing)
}

fn step(plan: &LogicalPlan, index: usize) -> Option<Below<'_>> {
    let found = match plan {
        LogicalPlan::TableScan(scan) => Below::Table(&scan.table_name, scan.projected_schema.fields().get(index)?),
        LogicalPlan::Projection(projection) => Below::Computed(projection.expr.get(index)?, &projection.input),
        LogicalPlan::Aggregate(aggregate) => {
            // Sets of keys are one expression, but a column each, and one more that says of which set a row is.
            let (keys, others) = match aggregate.group_expr.as_slice() {
                [Expr::GroupingSet(sets)] => (sets.distinct_expr(), 1),
                keys => (keys.iter().collect(), 0),
            };
            let computed = || aggregate.aggr_expr.get(index.checked_sub(keys.len() + others)?);
            Below::Computed(keys.get(index).copied().or_else(computed)?, &aggregate.input)
        }
        LogicalPlan::Window(window) => return within(&window.input, index),
        LogicalPlan::SubqueryAlias(node) => Below::Handed(&node.input, index),
        LogicalPlan::Filter(node) => Below::Handed(&node.input, index),
        LogicalPlan::Sort(node) => Below::Handed(&node.input, index),
        LogicalPlan::Limit(node) => Below::Handed(&node.input, index),
        LogicalPlan::Repartition(node) => Below::Handed(&node.input, index),
        LogicalPlan::Subquery(node) => Below::Handed(&node.subquery, index),
        LogicalPlan::Distinct(Distinct::All(input)) => Below::Handed(input, index),
        LogicalPlan::Distinct(Distinct::On(on)) => Below::Computed(on.select_expr.get(index)?, &on.input),
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => return within(&join.right, index),
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => return within(&join.left, index),
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                let left = join.left.schema().fields().len();
                if index < left { Below::Handed(&join.left, index) } else { Below::Handed(&join.right, index - left) }
            }
        },
        LogicalPlan::Union(union) => Below::OneOf(&union.inputs, index),
        LogicalPlan::RecursiveQuery(query) => Below::Rounds(&query.static_term, index),
        LogicalPlan::Unnest(unnest) => {
            let place = *unnest.dependency_indices.get(index)?;
            let is_list = unnest.list_type_columns.iter().any(|(list, _)| *list == place);
            if is_list { Below::Items(&unnest.input, place) } else { Below::Handed(&unnest.input, place) }
        }
        LogicalPlan::Values(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_) => Below::Nothing,
    };
    Some(found)
}

/// A column of the input, when it is one: windows and marks add columns behind those of their input.
fn within(input: &LogicalPlan, index: usize) -> Option<Below<'_>> {
    (index < input.schema().fields().len()).then_some(Below::Handed(input, index))
}
