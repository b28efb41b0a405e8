//! Subqueries in the branches of a CASE: they run only for rows that take the branch, as PostgreSQL does. A client's
//! catalog query may hold one that matters for a handful of six hundred types.

use super::{Names, Scope, lift, wanted};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, TableReference};
use datafusion::logical_expr::{Case, Expr, LogicalPlan, LogicalPlanBuilder, lit};

/// Whether an expression is a CASE with a wanted subquery in a branch.
pub(super) fn has_work(expr: &Expr, scope: Scope, in_filter: bool) -> Result<bool> {
    let Expr::Case(case) = expr else { return Ok(false) };
    for branch in case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr) {
        if any(branch, scope, in_filter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn any(expr: &Expr, scope: Scope, in_filter: bool) -> Result<bool> {
    let mut found = false;
    expr.apply(|e| {
        found |= wanted(e, scope, in_filter)?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Takes the subqueries out of a CASE: those of conditions as anywhere, those of a branch guarded by a column of `input`
/// that says which rows take it.
pub(super) fn lift_case(
    case: Case,
    input: &mut LogicalPlan,
    scope: Scope,
    in_filter: bool,
    names: &mut Names,
) -> Result<Expr> {
    let plain = |expr: Expr, input: &mut LogicalPlan, names: &mut Names| -> Result<Expr> {
        Ok(lift(expr, input, scope, in_filter, names)?.data)
    };
    let base = case.expr.map(|base| plain(*base, input, names)).transpose()?.map(Box::new);
    let mut conditions: Vec<Expr> = Vec::new();
    let mut branches = Vec::new();
    for (when, then) in case.when_then_expr {
        conditions.push(plain(*when, input, names)?);
        let then = if any(&then, scope, in_filter)? {
            guarded(&base, &conditions, Some(conditions.len() - 1), input, names, |input, names| {
                plain(*then, input, names)
            })?
        } else {
            *then
        };
        branches.push(Box::new(then));
    }
    let otherwise = match case.else_expr {
        Some(other) if any(&other, scope, in_filter)? => {
            Some(guarded(&base, &conditions, None, input, names, |input, names| plain(*other, input, names))?)
        }
        Some(other) => Some(*other),
        None => None,
    };
    let when_then = conditions.into_iter().map(Box::new).zip(branches).collect();
    Ok(Expr::Case(Case::new(base, when_then, otherwise.map(Box::new))))
}

/// Lifts a branch with the guard of its rows in place: the number of its condition, or `None` for ELSE.
fn guarded(
    base: &Option<Box<Expr>>,
    conditions: &[Expr],
    taken: Option<usize>,
    input: &mut LogicalPlan,
    names: &mut Names,
    lift_branch: impl FnOnce(&mut LogicalPlan, &mut Names) -> Result<Expr>,
) -> Result<Expr> {
    let each = conditions.iter().enumerate();
    let when_then = each.map(|(at, when)| (Box::new(when.clone()), Box::new(lit(Some(at) == taken)))).collect();
    let mut guard = Expr::Case(Case::new(base.clone(), when_then, Some(Box::new(lit(taken.is_none())))));
    if let Some(outer) = &names.guard {
        // The inner conditions, too, are only for rows that take the outer branch.
        let inner = vec![(Box::new(Expr::Column(outer.clone())), Box::new(guard))];
        guard = Expr::Case(Case::new(None, inner, Some(Box::new(lit(false)))));
    }
    let column = add_column(guard, input, names)?;
    let outer = names.guard.replace(column);
    let lifted = lift_branch(input, names);
    names.guard = outer;
    lifted
}

fn add_column(expr: Expr, input: &mut LogicalPlan, names: &mut Names) -> Result<Column> {
    let column = names.take();
    let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    columns.push(expr.alias_qualified(Some(TableReference::bare(super::QUALIFIER)), &column.name));
    *input = LogicalPlanBuilder::from(input.clone()).project(columns)?.build()?;
    Ok(column)
}
