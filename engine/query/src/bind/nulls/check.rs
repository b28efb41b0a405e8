//! Proves of a plan that no column is believed to be never NULL without a reason: each node's are looked for in its inputs'
//! columns and its own expressions, down to what tables declare. Trusts no schema above a leaf.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema as _, JoinType, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable as _, Join, LogicalPlan, Subquery};
use querygate_semantics::lineage::InputColumns;
use querygate_types::Error;

/// The columns around a subquery, and those around the query that holds it.
struct Around<'a> {
    schema: &'a DFSchema,
    further: Option<&'a Around<'a>>,
}

/// Why a plan is not right: the node, and what it believes.
type Doubt = Option<String>;

/// Whether the plan, subqueries included, believes no more than its leaves declare.
///
/// # Errors
/// An internal one that names the column in its cause.
pub(crate) fn check(plan: &LogicalPlan) -> querygate_types::Result<()> {
    judged(plan, Rows::Asked)
}

/// As [`check`], for an optimized plan, in which it is not to be seen any more whether a subquery has a row in any case.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_optimized(plan: &LogicalPlan) -> querygate_types::Result<()> {
    judged(plan, Rows::Unasked)
}

/// Whether subqueries are asked for rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    Asked,
    Unasked,
}

fn judged(plan: &LogicalPlan, rows: Rows) -> querygate_types::Result<()> {
    match doubt(plan, None, rows) {
        Ok(None) => Ok(()),
        Ok(Some(doubt)) => Err(Error::internal(format!("a plan believes more than its leaves declare: {doubt}"))),
        Err(error) => Err(Error::internal(error)),
    }
}

fn doubt(plan: &LogicalPlan, around: Option<&Around<'_>>, rows: Rows) -> Result<Doubt> {
    if let LogicalPlan::Join(join) = plan
        && is_lateral(&join.right)
    {
        let beside = Around { schema: join.left.schema(), further: around };
        let sides = doubt(&join.left, around, rows)?;
        if let Some(doubt) = sides.map_or_else(|| doubt(&join.right, Some(&beside), rows), |found| Ok(Some(found)))? {
            return Ok(Some(doubt));
        }
    } else {
        for input in plan.inputs() {
            if let Some(doubt) = doubt(input, around, rows)? {
                return Ok(Some(doubt));
            }
        }
    }
    let columns = InputColumns::of(plan)?;
    let mut found = None;
    plan.apply_expressions(|expr| {
        expr.apply(|e| {
            found = of_expression(e, &columns, around, rows)?;
            Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    if found.is_some() {
        return Ok(found);
    }
    for (at, field) in plan.schema().fields().iter().enumerate() {
        if !field.is_nullable() && may_be_null(plan, at, &columns)? {
            return Ok(Some(format!("{} of {}", field.name(), plan.display())));
        }
    }
    Ok(None)
}

/// Beliefs that an expression holds by itself: of the value of a scalar subquery, and of a column of a query around.
fn of_expression(expr: &Expr, columns: &InputColumns, around: Option<&Around<'_>>, rows: Rows) -> Result<Doubt> {
    let inside = |subquery: &Subquery| {
        doubt(&subquery.subquery, Some(&Around { schema: columns.schema(), further: around }), rows)
    };
    match expr {
        Expr::ScalarSubquery(subquery) => {
            if rows == Rows::Asked && super::believes_in_a_row(&subquery.subquery) {
                return Ok(Some("the value of a subquery that may find no row".to_owned()));
            }
            inside(subquery)
        }
        Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. }) => inside(subquery),
        Expr::OuterReferenceColumn(field, column) if !field.is_nullable() => {
            let mut around = around;
            while let Some(one) = around {
                if one.schema.has_column(column) {
                    let may_be_null = one.schema.field_from_column(column)?.is_nullable();
                    return Ok(may_be_null.then(|| format!("column {column} of a query around")));
                }
                around = one.further;
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Whether an output column of a node may be NULL, by its inputs and its expressions.
fn may_be_null(plan: &LogicalPlan, at: usize, columns: &InputColumns) -> Result<bool> {
    let computed = |expr: Option<&Expr>| expr.map_or(Ok(true), |expr| expr.nullable(columns.schema()));
    let handed = |input: &LogicalPlan, at: usize| input.schema().fields().get(at).is_none_or(|f| f.is_nullable());
    Ok(match plan {
        LogicalPlan::TableScan(scan) => {
            let at = scan.projection.as_ref().map_or(Some(at), |columns| columns.get(at).copied());
            let declared = scan.source.schema();
            at.and_then(|at| declared.fields().get(at).map(|field| field.is_nullable())).unwrap_or(true)
        }
        LogicalPlan::Projection(projection) => computed(projection.expr.get(at))?,
        LogicalPlan::Aggregate(aggregate) => {
            let keys = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
            match aggregate.group_expr.as_slice() {
                // Each set lacks keys of the others; behind the keys is the number of the set.
                [Expr::GroupingSet(_)] if at + 1 < keys => true,
                [Expr::GroupingSet(_)] if at < keys => false,
                _ if at < keys => computed(aggregate.group_expr.get(at))?,
                _ => computed(aggregate.aggr_expr.get(at - keys))?,
            }
        }
        LogicalPlan::Window(window) => {
            let own = window.input.schema().fields().len();
            if at < own { handed(&window.input, at) } else { computed(window.window_expr.get(at - own))? }
        }
        LogicalPlan::Filter(node) => handed(&node.input, at),
        LogicalPlan::Sort(node) => handed(&node.input, at),
        LogicalPlan::Limit(node) => handed(&node.input, at),
        LogicalPlan::Repartition(node) => handed(&node.input, at),
        LogicalPlan::Subquery(node) => handed(&node.subquery, at),
        LogicalPlan::SubqueryAlias(node) => handed(&node.input, at),
        LogicalPlan::Distinct(Distinct::All(input)) => handed(input, at),
        LogicalPlan::Distinct(Distinct::On(on)) => computed(on.select_expr.get(at))?,
        LogicalPlan::Join(join) => joined(join, at),
        LogicalPlan::Union(union) => union.inputs.iter().any(|input| handed(input, at)),
        LogicalPlan::RecursiveQuery(query) => handed(&query.static_term, at) || handed(&query.recursive_term, at),
        LogicalPlan::Values(values) => {
            let mut null = false;
            for row in &values.values {
                null = null || computed(row.get(at))?;
            }
            null
        }
        // It has no row, or one without columns.
        LogicalPlan::EmptyRelation(_) => false,
        LogicalPlan::Unnest(unnest) => match unnest.dependency_indices.get(at) {
            Some(from) => {
                let unfolded = unnest.list_type_columns.iter().any(|(list, _)| list == from)
                    || unnest.struct_type_columns.contains(from);
                unfolded || handed(&unnest.input, *from)
            }
            None => true,
        },
        // What is not ours to know declares its own, which its inputs must not contradict.
        LogicalPlan::Extension(extension) => {
            let inputs = extension.node.inputs();
            match inputs.as_slice() {
                [input] if at < input.schema().fields().len() => handed(input, at),
                _ => false,
            }
        }
        LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_) => false,
    })
}

fn joined(join: &Join, at: usize) -> bool {
    let left = join.left.schema().fields().len();
    let handed = |input: &LogicalPlan, at: usize| input.schema().fields().get(at).map(|field| field.is_nullable());
    // A side that may have no row for the other; a mark is true or false.
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => handed(&join.left, at).unwrap_or(false),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => handed(&join.right, at).unwrap_or(false),
        JoinType::Full => true,
        JoinType::Inner if at < left => handed(&join.left, at).unwrap_or(true),
        JoinType::Inner => handed(&join.right, at - left).unwrap_or(true),
        JoinType::Left => at >= left || handed(&join.left, at).unwrap_or(true),
        JoinType::Right => at < left || handed(&join.right, at - left).unwrap_or(true),
    }
}

fn is_lateral(right: &LogicalPlan) -> bool {
    match right {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(alias) => is_lateral(&alias.input),
        _ => false,
    }
}
