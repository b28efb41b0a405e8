//! What of a bound plan may be NULL. The engine takes the nullability of a scalar subquery's column for that of its value, and
//! folds tests by it, though a subquery that finds no row is NULL. Here it learns better, once, before anything looks at the
//! plan: every schema above follows, and so do leaves, fragments and descriptions. [`check`] proves the result.

mod check;
#[cfg(test)]
mod tests;

pub(crate) use check::{check, check_optimized};

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Distinct, EmptyRelation, Expr, ExprSchemable as _, LogicalPlan, LogicalPlanBuilder, Operator, Projection, Subquery,
    Union, Values,
};
use querygate_rules::{nullable, value_of_nullable};
use querygate_semantics as semantics;
use querygate_semantics::keep_names::under_names;
use querygate_semantics::lineage::{Below, below};
use std::sync::Arc;

/// The plan with scalar subqueries, subqueries in them included, that may be NULL where they find no row.
pub(crate) fn settled(plan: LogicalPlan) -> Result<LogicalPlan> {
    let settled = plan.transform_up_with_subqueries(node)?;
    if !settled.transformed {
        return Ok(settled.data);
    }
    // A subquery keeps the types of the columns around it; what depends on these follows.
    let told = semantics::renewed_outer_columns(settled.data)?;
    Ok(told.transform_up_with_subqueries(recomputed)?.data)
}

/// An optimized plan whose unions believe no more than their inputs say. The engine writes `coalesce(b, true)` as AND and OR, of which it
/// no longer knows that they are never NULL, and leaves unions above as they were.
pub(crate) fn with_unions_as_inputs(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::Union(union) if believes_more_than_inputs(union));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !found {
        return Ok(plan);
    }
    Ok(plan.transform_up_with_subqueries(recomputed)?.data)
}

fn believes_more_than_inputs(union: &Union) -> bool {
    let may_be_null = |at: usize| union.inputs.iter().any(|input| input.schema().field(at).is_nullable());
    union.schema.fields().iter().enumerate().any(|(at, field)| !field.is_nullable() && may_be_null(at))
}

/// Whether a plan, subqueries included, has a subquery that stands for a value.
pub(crate) fn has_scalar_subquery(plan: &LogicalPlan) -> bool {
    let mut found = false;
    // The closures never fail, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_))))?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    });
    found
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let changed = under_names(plan, |expr| expr.transform_up(subquery))?.transform_data(plan_of_rows)?;
    changed.transform_data(recomputed)
}

fn subquery(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::ScalarSubquery(held) = expr else { return Ok(Transformed::no(expr)) };
    if !believes_in_a_row(&held.subquery) {
        return Ok(Transformed::no(Expr::ScalarSubquery(held)));
    }
    let plan = declared(Arc::unwrap_or_clone(held.subquery))?;
    Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..held })))
}

/// Whether a scalar subquery's value would be taken for one that is always there, and is not.
fn believes_in_a_row(plan: &LogicalPlan) -> bool {
    let never_null = matches!(plan.schema().fields().first(), Some(field) if !field.is_nullable());
    (never_null || may_be_folded(plan, 0)) && !has_a_row(plan)
}

/// Whether the engine may find later that a column is never NULL: it makes constants of `upper('x')` and of `a AND false`.
fn may_be_folded(plan: &LogicalPlan, column: usize) -> bool {
    match below(plan, column) {
        Below::Computed(expr, input) => match unaliased(expr) {
            Expr::Column(name) => input.schema().maybe_index_of_column(name).is_none_or(|at| may_be_folded(input, at)),
            Expr::AggregateFunction(_) | Expr::OuterReferenceColumn(..) => false,
            computed => value_of_nullable(computed).is_none() && becomes_constant(computed),
        },
        Below::Handed(input, at) | Below::Rounds(input, at) => may_be_folded(input, at),
        Below::OneOf(inputs, at) => inputs.iter().any(|input| may_be_folded(input, at)),
        Below::Table(..) | Below::Items(..) | Below::Nothing => false,
    }
}

fn becomes_constant(expr: &Expr) -> bool {
    let (mut reads, mut chooses, mut reads_around) = (false, false, false);
    // The closure never fails, so neither does the walk.
    let _ = expr.apply(|part| {
        reads |= matches!(part, Expr::Column(_));
        // Of a row around nothing is folded before the subquery is a join, whose missing rows are known to be NULL.
        reads_around |= matches!(part, Expr::OuterReferenceColumn(..));
        chooses |= match part {
            Expr::Case(_) => true,
            Expr::BinaryExpr(binary) => matches!(binary.op, Operator::And | Operator::Or),
            _ => false,
        };
        Ok(if reads_around { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    !reads_around && (chooses || !reads)
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// Whether a plan gives at least one row, whatever there is.
fn has_a_row(plan: &LogicalPlan) -> bool {
    match plan {
        // Without keys there is one group of nothing, too.
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty() || has_a_row(&aggregate.input),
        LogicalPlan::Values(values) => !values.values.is_empty(),
        LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row, .. }) => *produce_one_row,
        LogicalPlan::Projection(node) => has_a_row(&node.input),
        LogicalPlan::Window(node) => has_a_row(&node.input),
        LogicalPlan::Sort(node) => node.fetch != Some(0) && has_a_row(&node.input),
        LogicalPlan::Repartition(node) => has_a_row(&node.input),
        LogicalPlan::Subquery(node) => has_a_row(&node.subquery),
        LogicalPlan::SubqueryAlias(node) => has_a_row(&node.input),
        LogicalPlan::Distinct(Distinct::All(input)) => has_a_row(input),
        LogicalPlan::Union(union) => union.inputs.iter().any(|input| has_a_row(input)),
        LogicalPlan::Filter(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(Distinct::On(_))
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_) => false,
    }
}

/// The plan with its columns declared nullable, under their names.
fn declared(plan: LogicalPlan) -> Result<LogicalPlan> {
    if let LogicalPlan::Projection(projection) = plan {
        let names = NamePreserver::new_for_projection();
        let declared = projection.expr.into_iter().map(|expr| {
            let name = names.save(&expr);
            name.restore(nullable(expr.unalias()))
        });
        return Projection::try_new(declared.collect(), projection.input).map(LogicalPlan::Projection);
    }
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .map(|(qualifier, field)| {
            nullable(Expr::from((qualifier, field))).alias_qualified(qualifier.cloned(), field.name())
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// Rows of VALUES that hold subqueries, or read a row of a query around them, as a union of rows, which the engine and sources can run.
fn plan_of_rows(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Values(Values { schema, values }) = plan else { return Ok(Transformed::no(plan)) };
    let held = |expr: &Expr| {
        expr.exists(|e| {
            Ok(matches!(
                e,
                Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::OuterReferenceColumn(..)
            ))
        })
    };
    let mut holds = false;
    for expr in values.iter().flatten() {
        holds = holds || held(expr)?;
    }
    if !holds {
        return Ok(Transformed::no(LogicalPlan::Values(Values { schema, values })));
    }
    let rows = values.into_iter().map(|row| {
        let named = row.into_iter().zip(schema.fields()).map(|(expr, field)| expr.alias(field.name()));
        LogicalPlanBuilder::empty(true).project(named.collect::<Vec<_>>())?.build().map(Arc::new)
    });
    let mut rows = rows.collect::<Result<Vec<_>>>()?;
    let plan = match (rows.pop(), rows.is_empty()) {
        (Some(only), true) => Arc::unwrap_or_clone(only),
        (Some(last), false) => {
            rows.push(last);
            LogicalPlan::Union(Union { inputs: rows, schema })
        }
        (None, _) => LogicalPlan::Values(Values { schema, values: Vec::new() }),
    };
    Ok(Transformed::yes(plan))
}

/// The node with the schema that its inputs and its expressions give it now.
fn recomputed(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let before: Vec<bool> = node.schema().fields().iter().map(|field| field.is_nullable()).collect();
    let node = match node {
        LogicalPlan::Union(union) => {
            let of = |at: usize| union.inputs.iter().any(|input| input.schema().field(at).is_nullable());
            let schema = with_nullability(&union.schema, of)?;
            LogicalPlan::Union(Union { schema: Arc::new(schema), ..union })
        }
        LogicalPlan::Values(Values { schema, values }) => {
            let empty = DFSchema::empty();
            let mut null = vec![false; schema.fields().len()];
            for row in &values {
                for (null, expr) in null.iter_mut().zip(row) {
                    *null = *null || expr.nullable(&empty)?;
                }
            }
            let of = |at: usize| null.get(at).copied().unwrap_or(true) || schema.field(at).is_nullable();
            let schema = with_nullability(&schema, of)?;
            LogicalPlan::Values(Values { schema: Arc::new(schema), values })
        }
        other => other.recompute_schema()?,
    };
    let changed = node.schema().fields().iter().map(|field| field.is_nullable()).ne(before);
    Ok(Transformed::new_transformed(node, changed))
}

fn with_nullability(schema: &DFSchema, of: impl Fn(usize) -> bool) -> Result<DFSchema> {
    let fields = schema
        .iter()
        .enumerate()
        .map(|(at, (qualifier, field))| (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(of(at)))));
    DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?
        .with_functional_dependencies(schema.functional_dependencies().clone())
}
