//! Which columns of a node's inputs are read above them: so that a carved part delivers no more. Knows no fragment.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{Expr, LogicalPlan};
use std::collections::HashSet;

/// The columns that are read; `None`: all of them, by position.
pub(crate) type Required = Option<HashSet<Column>>;

/// What a node's inputs must deliver, given what is required of the node.
pub(crate) fn of_inputs(plan: &LogicalPlan, required: &Required) -> Result<Required> {
    match plan {
        // Only these columns are made, so only what they read is needed.
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) => read_by(plan).map(Some),
        LogicalPlan::Filter(_) | LogicalPlan::Join(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
            let Some(above) = required else { return Ok(None) };
            let mut all = read_by(plan)?;
            all.extend(above.iter().cloned());
            // What a lateral side takes from the rows beside it stands in no expression of the join.
            if let LogicalPlan::Join(join) = plan
                && is_lateral(&join.right)
            {
                outer(&join.right, &mut all)?;
            }
            Ok(Some(all))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(above) = required else { return Ok(None) };
            let indexes = above.iter().filter_map(|column| alias.schema.maybe_index_of_column(column));
            Ok(Some(indexes.map(|index| Column::from(alias.input.schema().qualified_field(index))).collect()))
        }
        LogicalPlan::Window(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => Ok(None),
    }
}

fn is_lateral(side: &LogicalPlan) -> bool {
    match side {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(alias) => is_lateral(&alias.input),
        _ => false,
    }
}

/// A projection without the columns that nothing reads (one stays).
pub(crate) fn narrowed(plan: LogicalPlan, required: &Required) -> Result<LogicalPlan> {
    let (LogicalPlan::Projection(projection), Some(required)) = (&plan, required) else { return Ok(plan) };
    let columns = projection.schema.columns();
    let kept = projection.expr.iter().zip(&columns).filter(|(_, column)| is_in(required, column));
    let kept: Vec<Expr> = kept.map(|(expr, _)| expr.clone()).collect();
    if kept.is_empty() || kept.len() == columns.len() {
        return Ok(plan);
    }
    Ok(LogicalPlan::Projection(Projection::try_new(kept, std::sync::Arc::clone(&projection.input))?))
}

/// A projection as it stands. The engine's builder wants columns to print unlike each other, which a column and its cast
/// in one grouping do not.
pub(crate) fn projected(input: LogicalPlan, columns: Vec<Expr>) -> Result<LogicalPlan> {
    Projection::try_new(columns, input.into()).map(LogicalPlan::Projection)
}

/// The columns of a node that are required, in its order.
pub(crate) fn columns_of(plan: &LogicalPlan, required: &Required) -> Vec<Column> {
    let columns = plan.schema().columns();
    match required {
        Some(required) => columns.into_iter().filter(|column| is_in(required, column)).collect(),
        None => columns,
    }
}

/// An unqualified name stands for a column of that name.
fn is_in(required: &HashSet<Column>, column: &Column) -> bool {
    required.contains(column) || required.iter().any(|one| one.relation.is_none() && one.name == column.name)
}

/// Every column that the node's own expressions name, those that their subqueries take from around them included.
fn read_by(plan: &LogicalPlan) -> Result<HashSet<Column>> {
    let mut read = HashSet::new();
    plan.apply_expressions(|expr| {
        collect(expr, &mut read)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(read)
}

/// Every column that an expression names, those that its subqueries take from around them included.
pub(crate) fn collect(expr: &Expr, read: &mut HashSet<Column>) -> Result<()> {
    expr.apply(|node| {
        match node {
            Expr::Column(column) => {
                read.insert(column.clone());
            }
            Expr::Exists(exists) => outer(&exists.subquery.subquery, read)?,
            Expr::InSubquery(member) => outer(&member.subquery.subquery, read)?,
            Expr::SetComparison(set) => outer(&set.subquery.subquery, read)?,
            Expr::ScalarSubquery(subquery) => outer(&subquery.subquery, read)?,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn outer(plan: &LogicalPlan, read: &mut HashSet<Column>) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::OuterReferenceColumn(_, column) = part {
                    read.insert(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::logical_expr::builder::LogicalTableSource;
    use datafusion::logical_expr::{LogicalPlanBuilder, Subquery};
    use std::sync::Arc;

    #[test]
    fn what_a_lateral_side_takes_from_the_other_is_read() {
        let columns = ["id", "n", "unread"].map(|name| Field::new(name, DataType::Int32, true));
        let source = Arc::new(LogicalTableSource::new(Arc::new(Schema::new(columns.to_vec()))));
        let n = Arc::new(Field::new("n", DataType::Int32, true));
        let taken = Expr::OuterReferenceColumn(n, Column::new(Some("t"), "n"));
        let body = LogicalPlanBuilder::empty(true).project(vec![taken.alias("m")]).unwrap().build().unwrap();
        let body = Subquery { subquery: Arc::new(body), outer_ref_columns: Vec::new(), spans: Default::default() };
        let body = LogicalPlanBuilder::from(LogicalPlan::Subquery(body)).alias("l").unwrap().build().unwrap();
        let join = LogicalPlanBuilder::scan("t", source, None).unwrap().cross_join(body).unwrap().build().unwrap();
        let above = HashSet::from([Column::new(Some("t"), "id"), Column::new(Some("l"), "m")]);
        let below = of_inputs(&join, &Some(above)).unwrap().unwrap();
        let wanted = [Column::new(Some("t"), "id"), Column::new(Some("l"), "m"), Column::new(Some("t"), "n")];
        assert_eq!(below, HashSet::from(wanted));
    }
}
