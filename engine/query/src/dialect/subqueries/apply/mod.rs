//! Correlated subqueries that DataFusion cannot unnest, as an operator that runs them per distinct outer row.
//! Catalogs are small; for tables of sources it is the last resort.

mod absences;
mod branches;
mod empty_input;
mod exec;
mod gathered;
mod joinable;
mod joins;
mod keyed;
mod lookups;
mod node;
mod once;
mod pulled;
mod references;
mod renamed;
mod rowwise;
mod shared_results;

pub(crate) use exec::{ApplyExec, RunSubplan, SubplanRunner};
pub(crate) use node::{ApplyKind, ApplyNode, ApplyPlanner};
pub(super) use references::{free_references, lateral_body, subquery_of};
pub(crate) use shared_results::SHARED_BYTES_MAX;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, TableReference, internal_err};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::source_as_provider;
use datafusion::functions_aggregate::bool_and_or::bool_or;
use datafusion::functions_aggregate::count::count;
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    Distinct, DistinctOn, Expr, ExprSchemable, Extension, Filter, LogicalPlan, LogicalPlanBuilder, Subquery, lit, when,
};
use querygate_pg_catalog::SystemTable;
use querygate_types::{Error, ErrorCode};
use std::any::Any;
use std::sync::Arc;

/// Which subqueries become applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Correlated ones that read catalog relations or no relation at all, and such that DataFusion joins wrongly.
    CatalogOnly,
    /// All correlated ones, and EXISTS and IN outside of WHERE: what DataFusion refuses.
    Everything,
}

/// Qualifier of the columns that applies add.
const QUALIFIER: &str = "__apply";

/// Whether a plan has correlated subqueries that `scope` would expand.
pub(crate) fn has_work(plan: &LogicalPlan, scope: Scope) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node {
            found |= joins::tells_null(join)?;
            if let Some(body) = lateral_body(&join.right) {
                found |= side_wanted(&body.subquery, scope)?;
            }
        }
        let in_filter = matches!(node, LogicalPlan::Filter(_));
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                found |= wanted(e, scope, in_filter)?;
                Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Puts applies in place of subqueries. Work on the bound plan, before any optimizer; subqueries inside of those are
/// expanded when their runner comes to them, those inside of a subquery that stays here. Conditions that DataFusion joins
/// wrongly as they are written are written first as it joins them right.
///
/// # Errors
/// 0A000 for a correlated subquery in a place where no row is at hand, such as the condition of an outer join.
pub(crate) fn expand(plan: LogicalPlan, scope: Scope) -> Result<LogicalPlan> {
    let plan = lookups::with_lookups(absences::with_absences(plan)?)?;
    if !has_work(&plan, scope)? {
        return Ok(plan);
    }
    let mut names = Names::default();
    let expanded =
        plan.transform_down_up(|node| passed(node, scope), |node| expand_node(node, scope, &mut names))?.data;
    // After that, since one node becomes several, and each of them may hold subqueries that stay.
    let inner = |node: LogicalPlan| node.map_uncorrelated_subqueries(|subquery| inside(subquery, scope));
    Ok(expanded.transform_down(inner)?.data)
}

/// Passes over a LATERAL side that becomes an apply: what in it reads the row beside that side finds none before it runs.
fn passed(node: LogicalPlan, scope: Scope) -> Result<Transformed<LogicalPlan>> {
    let runs = match &node {
        LogicalPlan::Subquery(body) => {
            side_wanted(&body.subquery, scope)? && !free_references(&body.subquery)?.is_empty()
        }
        _ => false,
    };
    let next = if runs { TreeNodeRecursion::Jump } else { TreeNodeRecursion::Continue };
    Ok(Transformed::new(node, false, next))
}

/// A subquery that stays: it reads no outer row, so that all that it holds finds its rows in it.
fn inside(subquery: LogicalPlan, scope: Scope) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Subquery(subquery) = subquery else { return internal_err!("a subquery is a subquery") };
    if !has_work(&subquery.subquery, scope)? {
        return Ok(Transformed::no(LogicalPlan::Subquery(subquery)));
    }
    let expanded = expand(subquery.subquery.as_ref().clone(), scope)?;
    Ok(Transformed::yes(LogicalPlan::Subquery(subquery.with_plan(Arc::new(expanded)))))
}

/// Whether a plan reads no column of a query around it.
pub(in crate::dialect) fn reads_nothing_around(plan: &LogicalPlan) -> bool {
    free_references(plan).is_ok_and(|read| read.is_empty())
}

/// Whether an expression is no subquery itself.
pub(in crate::dialect) fn is_no_subquery(expr: &Expr) -> bool {
    subquery_of(expr).is_none()
}

/// Numbers for the added columns.
#[derive(Default)]
struct Names {
    next: usize,
    /// Column that is true for the rows which a subquery being lifted is for; `None`: for all.
    guard: Option<Column>,
}

impl Names {
    fn take(&mut self) -> Column {
        self.next += 1;
        Column::new(Some(QUALIFIER), format!("value_{}", self.next))
    }
}

/// Whether a plan, subqueries included, reads nothing but catalog relations.
fn catalog_only(plan: &LogicalPlan) -> Result<bool> {
    let mut only = true;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            let any: &dyn Any = provider.as_ref();
            // A recursive query reads itself.
            only &= any.is::<SystemTable>() || any.is::<CteWorkTable>();
        }
        Ok(if only { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(only)
}

/// Whether a LATERAL side becomes an apply.
fn side_wanted(side: &LogicalPlan, scope: Scope) -> Result<bool> {
    Ok(scope == Scope::Everything || catalog_only(side)? || pulled::is_side_joined_wrongly(side)?)
}

fn wanted(expr: &Expr, scope: Scope, in_filter: bool) -> Result<bool> {
    let Some(subquery) = subquery_of(expr) else { return Ok(false) };
    if matches!(expr, Expr::SetComparison(_)) {
        return Ok(false);
    }
    let correlated = !free_references(&subquery.subquery)?.is_empty();
    let misplaced = !in_filter && matches!(expr, Expr::Exists(_) | Expr::InSubquery(_));
    match scope {
        Scope::Everything if correlated || misplaced => return Ok(true),
        Scope::CatalogOnly if correlated || misplaced => {
            let joined = matches!(expr, Expr::ScalarSubquery(_)) && joinable::joinable(&subquery.subquery)?;
            if !joined && catalog_only(&subquery.subquery)? {
                return Ok(true);
            }
        }
        Scope::Everything | Scope::CatalogOnly => {}
    }
    pulled::is_joined_wrongly(expr)
}

fn expand_node(node: LogicalPlan, scope: Scope, names: &mut Names) -> Result<Transformed<LogicalPlan>> {
    if let LogicalPlan::Join(join) = node {
        return joins::expand(join, scope, names);
    }
    let in_filter = matches!(node, LogicalPlan::Filter(_));
    if !any_wanted(&node, scope, in_filter)? {
        return Ok(Transformed::no(node));
    }
    if let LogicalPlan::Distinct(Distinct::On(on)) = node {
        return distinct_on(on, scope, names);
    }
    if let LogicalPlan::Filter(filter) = node {
        return expand_filter(filter, scope, names);
    }
    let mut inputs: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
    let Some(mut input) = inputs.pop().filter(|_| inputs.is_empty()) else { return refused() };
    let before = Arc::clone(node.schema());
    let preserver = NamePreserver::new(&node);
    let mut expressions = Vec::new();
    for expr in node.expressions() {
        let saved = preserver.save(&expr);
        let changed = lift(expr, &mut input, scope, in_filter, names)?;
        expressions.push(if changed.transformed { saved.restore(changed.data) } else { changed.data });
    }
    let changed = node.with_new_exprs(expressions, vec![input])?;
    Ok(Transformed::yes(restore_columns(changed, &before)?))
}

/// A filter: conditions without subqueries first, so that subqueries run for the rows that are left.
fn expand_filter(filter: Filter, scope: Scope, names: &mut Names) -> Result<Transformed<LogicalPlan>> {
    let before = Arc::clone(filter.input.schema());
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for condition in split_conjunction_owned(filter.predicate) {
        let mut has = false;
        condition.apply(|e| {
            has |= wanted(e, scope, true)?;
            Ok(if has { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if has { second.push(condition) } else { first.push(condition) }
    }
    let mut input = filter.input.as_ref().clone();
    for condition in first {
        input = LogicalPlanBuilder::from(input).filter(condition)?.build()?;
    }
    for condition in second {
        let condition = lift(condition, &mut input, scope, true, names)?.data;
        input = LogicalPlanBuilder::from(input).filter(condition)?.build()?;
    }
    Ok(Transformed::yes(restore_columns(input, &before)?))
}

/// DISTINCT ON, which DataFusion cannot rebuild from a list of expressions.
fn distinct_on(on: DistinctOn, scope: Scope, names: &mut Names) -> Result<Transformed<LogicalPlan>> {
    let mut input = on.input.as_ref().clone();
    let preserver = NamePreserver::new_for_projection();
    let mut lift_all = |list: Vec<Expr>, input: &mut LogicalPlan| -> Result<Vec<Expr>> {
        let each = list.into_iter().map(|expr| {
            let saved = preserver.save(&expr);
            let changed = lift(expr, input, scope, false, names)?;
            Ok(if changed.transformed { saved.restore(changed.data) } else { changed.data })
        });
        each.collect()
    };
    let on_expr = lift_all(on.on_expr, &mut input)?;
    let select_expr = lift_all(on.select_expr, &mut input)?;
    let sort_expr = match on.sort_expr {
        Some(keys) => {
            let orders: Vec<(bool, bool)> = keys.iter().map(|k| (k.asc, k.nulls_first)).collect();
            let exprs = lift_all(keys.into_iter().map(|k| k.expr).collect(), &mut input)?;
            let keys = exprs.into_iter().zip(orders).map(|(e, (asc, nulls_first))| e.sort(asc, nulls_first));
            Some(keys.collect())
        }
        None => None,
    };
    let distinct = DistinctOn::try_new(on_expr, select_expr, sort_expr, Arc::new(input))?;
    Ok(Transformed::yes(LogicalPlan::Distinct(Distinct::On(distinct))))
}

fn any_wanted(node: &LogicalPlan, scope: Scope, in_filter: bool) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        expr.apply(|e| {
            found |= wanted(e, scope, in_filter)?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

fn refused<T>() -> Result<T> {
    let message = "a correlated subquery is not supported in this place";
    Err(crate::dialect::external(Error::new(ErrorCode::FeatureNotSupported, message)))
}

/// The columns there were before, when an apply below has added some.
fn restore_columns(plan: LogicalPlan, before: &DFSchemaRef) -> Result<LogicalPlan> {
    if plan.schema().fields().len() == before.fields().len() {
        return Ok(plan);
    }
    let columns: Vec<Expr> = before.columns().into_iter().map(Expr::Column).collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// Takes the subqueries out of an expression, into applies over `input`.
fn lift(
    expr: Expr,
    input: &mut LogicalPlan,
    scope: Scope,
    in_filter: bool,
    names: &mut Names,
) -> Result<Transformed<Expr>> {
    expr.transform_down(|e| {
        if branches::has_work(&e, scope, in_filter)?
            && let Expr::Case(case) = e
        {
            let lifted = branches::lift_case(case, input, scope, in_filter, names)?;
            return Ok(Transformed::new(lifted, true, TreeNodeRecursion::Jump));
        }
        if !wanted(&e, scope, in_filter)? {
            return Ok(Transformed::no(e));
        }
        let replaced = match e {
            Expr::ScalarSubquery(subquery) => match once::lifted(&subquery.subquery, input, names)? {
                Some(value) => value,
                None => add(input, ApplyKind::Scalar, &subquery.subquery, names)?,
            },
            Expr::Exists(Exists { subquery, negated }) if pulled::has_no_row(&subquery.subquery) => lit(negated),
            Expr::Exists(Exists { subquery, negated }) => {
                negate(add(input, ApplyKind::Exists, &subquery.subquery, names)?, negated)
            }
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                let scalar = membership(*expr, &subquery, input, names)?;
                negate(add(input, ApplyKind::Scalar, &scalar, names)?, negated)
            }
            other => return Ok(Transformed::no(other)),
        };
        Ok(Transformed::new(replaced, true, TreeNodeRecursion::Jump))
    })
}

fn negate(expr: Expr, negated: bool) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}

/// Puts an apply over `input` and gives the column that it adds.
fn add(input: &mut LogicalPlan, kind: ApplyKind, subplan: &Arc<LogicalPlan>, names: &mut Names) -> Result<Expr> {
    let column = names.take();
    let field = match kind {
        ApplyKind::Exists => Field::new(&column.name, DataType::Boolean, true),
        ApplyKind::Scalar | ApplyKind::Lateral | ApplyKind::LateralOuter => {
            let Some(first) = subplan.schema().fields().first().filter(|_| subplan.schema().fields().len() == 1) else {
                let message = "subquery must return only one column";
                return Err(crate::dialect::external(Error::new(ErrorCode::SyntaxError, message)));
            };
            first.as_ref().clone().with_name(&column.name).with_nullable(true)
        }
    };
    let added = DFSchema::new_with_metadata(vec![(column.relation.clone(), Arc::new(field))], Default::default())?;
    let schema = Arc::new(input.schema().join(&added)?);
    *input = apply_node(input.clone(), kind, Arc::clone(subplan), schema, names.guard.clone())?;
    Ok(Expr::Column(column))
}

fn apply_node(
    input: LogicalPlan,
    kind: ApplyKind,
    subplan: Arc<LogicalPlan>,
    schema: DFSchemaRef,
    guard: Option<Column>,
) -> Result<LogicalPlan> {
    let outer = free_references(&subplan)?;
    if outer.iter().any(|(column, _)| !input.schema().has_column(column)) {
        return refused();
    }
    let node = ApplyNode { kind, input, subplan, outer, guard, schema };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// `x IN (SELECT c …)` as one value: true when a row is equal, NULL when none is but a comparison is unknown, else false.
fn membership(left: Expr, subquery: &Subquery, input: &mut LogicalPlan, names: &mut Names) -> Result<Arc<LogicalPlan>> {
    let schema = input.schema();
    let (field, column) = match left {
        Expr::Column(column) => {
            let field = Expr::Column(column.clone()).to_field(schema.as_ref())?.1;
            (field, column)
        }
        other => {
            let column = names.take();
            let field = other.to_field(schema.as_ref())?.1;
            let mut columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
            columns.push(other.alias_qualified(Some(TableReference::bare(QUALIFIER)), &column.name));
            *input = LogicalPlanBuilder::from(input.clone()).project(columns)?.build()?;
            (field, column)
        }
    };
    let Some(item) = subquery.subquery.schema().columns().into_iter().next() else {
        return internal_err!("a subquery has a column");
    };
    let equal = Expr::Column(item).eq(Expr::OuterReferenceColumn(field, column)).alias("equal");
    let by_name = |name: &str| Expr::Column(Column::from_name(name));
    let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone())
        .project(vec![equal])?
        .aggregate(
            Vec::<Expr>::new(),
            vec![
                bool_or(by_name("equal")).alias("found"),
                count(lit(1_i64)).alias("compared"),
                count(by_name("equal")).alias("known"),
            ],
        )?
        .project(vec![
            when(by_name("found").is_true(), lit(true))
                .when(by_name("compared").gt(by_name("known")), lit(datafusion::common::ScalarValue::Boolean(None)))
                .otherwise(lit(false))?
                .alias("member"),
        ])?
        .build()?;
    Ok(Arc::new(plan))
}

#[cfg(test)]
mod tests;
