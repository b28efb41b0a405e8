//! Outer references of a subplan: which are free, and putting values in their place. Names resolve innermost first.

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Subquery};
use querygate_semantics::keep_names::under_names;
use querygate_semantics::lineage::InputColumns;
use std::collections::HashMap;
use std::sync::Arc;

/// Columns of enclosing queries that a plan reads, each once.
pub(in crate::dialect::subqueries) fn free_references(plan: &LogicalPlan) -> Result<Vec<(Column, FieldRef)>> {
    let mut found = Vec::new();
    walk(plan, &mut found)?;
    Ok(found)
}

fn add(found: &mut Vec<(Column, FieldRef)>, column: &Column, field: &FieldRef) {
    if !found.iter().any(|(c, _)| c == column) {
        found.push((column.clone(), Arc::clone(field)));
    }
}

/// Whether an expression over such columns reads a query around theirs, in its subqueries too.
pub(super) fn reads_around(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    expr.exists(|part| {
        Ok(matches!(part, Expr::OuterReferenceColumn(..))
            || match subquery_of(part) {
                Some(subquery) => reads_beyond(subquery, schema)?,
                None => false,
            })
    })
}

/// Whether a subquery reads a query around the one that has these columns.
pub(super) fn reads_beyond(subquery: &Subquery, schema: &DFSchema) -> Result<bool> {
    Ok(free_references(&subquery.subquery)?.iter().any(|(column, _)| !schema.has_column(column)))
}

/// The subquery of an expression node.
pub(in crate::dialect::subqueries) fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. }) => Some(subquery),
        _ => None,
    }
}

fn walk(node: &LogicalPlan, found: &mut Vec<(Column, FieldRef)>) -> Result<()> {
    let columns = InputColumns::of(node)?;
    node.apply_expressions(|expr| {
        expr.apply(|e| {
            if let Expr::OuterReferenceColumn(field, column) = e {
                add(found, column, field);
            } else if let Some(subquery) = subquery_of(e) {
                for (column, field) in free_references(&subquery.subquery)? {
                    if !columns.schema().has_column(&column) {
                        add(found, &column, &field);
                    }
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if let LogicalPlan::Join(join) = node
        && lateral_body(&join.right).is_some()
    {
        walk(&join.left, found)?;
        for (column, field) in free_references(&join.right)? {
            if !join.left.schema().has_column(&column) {
                add(found, &column, &field);
            }
        }
        return Ok(());
    }
    for input in node.inputs() {
        walk(input, found)?;
    }
    Ok(())
}

/// The subquery of a lateral join's right side.
pub(in crate::dialect::subqueries) fn lateral_body(plan: &LogicalPlan) -> Option<&Subquery> {
    match plan {
        LogicalPlan::Subquery(subquery) => Some(subquery),
        LogicalPlan::SubqueryAlias(alias) => lateral_body(&alias.input),
        _ => None,
    }
}

/// Values of outer columns by [`Column::flat_name`].
pub(super) type Values = HashMap<String, ScalarValue>;

fn without(values: &Values, schema: &DFSchema) -> Values {
    let hidden: Vec<String> = schema.columns().iter().map(Column::flat_name).collect();
    values.iter().filter(|(name, _)| !hidden.contains(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// The plan with values in place of the outer columns.
pub(super) fn substitute(plan: LogicalPlan, values: &Values) -> Result<LogicalPlan> {
    if values.is_empty() {
        return Ok(plan);
    }
    let plan = match plan {
        LogicalPlan::Join(join) if lateral_body(&join.right).is_some() => {
            let inner = without(values, join.left.schema());
            let left = Arc::new(substitute(Arc::unwrap_or_clone(join.left), values)?);
            let right = Arc::new(substitute(Arc::unwrap_or_clone(join.right), &inner)?);
            LogicalPlan::Join(Join { left, right, ..join })
        }
        LogicalPlan::Subquery(Subquery { subquery, outer_ref_columns, spans }) => LogicalPlan::Subquery(Subquery {
            subquery: Arc::new(substitute(Arc::unwrap_or_clone(subquery), values)?),
            outer_ref_columns: remaining(outer_ref_columns, values),
            spans,
        }),
        other => other.map_children(|child| Ok(Transformed::yes(substitute(child, values)?)))?.data,
    };
    let columns = InputColumns::of(&plan)?;
    let changed = under_names(plan, |expr| expr.transform_down(|e| replace(e, values, columns.schema())))?;
    match changed.data {
        // A body that no longer looks outside is an ordinary relation.
        LogicalPlan::Subquery(Subquery { subquery, outer_ref_columns, .. }) if outer_ref_columns.is_empty() => {
            Ok(Arc::unwrap_or_clone(subquery))
        }
        other => other.recompute_schema(),
    }
}

fn remaining(columns: Vec<Expr>, values: &Values) -> Vec<Expr> {
    let bound = |e: &Expr| matches!(e, Expr::OuterReferenceColumn(_, c) if values.contains_key(&c.flat_name()));
    columns.into_iter().filter(|e| !bound(e)).collect()
}

fn replace(expr: Expr, values: &Values, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let inner = |subquery: Subquery| -> Result<Subquery> {
        let visible = without(values, schema);
        Ok(Subquery {
            subquery: Arc::new(substitute(Arc::unwrap_or_clone(subquery.subquery), &visible)?),
            outer_ref_columns: remaining(subquery.outer_ref_columns, &visible),
            spans: subquery.spans,
        })
    };
    Ok(match expr {
        Expr::OuterReferenceColumn(field, column) => match values.get(&column.flat_name()) {
            Some(value) => {
                let metadata = datafusion::common::metadata::FieldMetadata::from(field.metadata().clone());
                Transformed::yes(Expr::Literal(value.clone(), Some(metadata)))
            }
            None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
        },
        Expr::ScalarSubquery(subquery) => Transformed::yes(Expr::ScalarSubquery(inner(subquery)?)),
        Expr::Exists(Exists { subquery, negated }) => {
            Transformed::yes(Expr::Exists(Exists { subquery: inner(subquery)?, negated }))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery: inner(subquery)?, negated }))
        }
        Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
            Transformed::yes(Expr::SetComparison(SetComparison { expr, subquery: inner(subquery)?, op, quantifier }))
        }
        other => Transformed::no(other),
    })
}
