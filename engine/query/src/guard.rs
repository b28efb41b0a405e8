//! `mask_in_predicates = "refuse"`: ObjectStack's predicate guard over SQL. A masked column may be shown, but not decide
//! anything: no filter, join, group, sort, window, aggregate or set operation may read it, under whatever name.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use querygate_catalog::GovernedTable;
use querygate_types::{Error, ErrorCode, Result};
use std::any::Any;
use std::collections::BTreeSet;

/// Refuses a bound plan in which a masked column decides something.
pub(crate) fn refuse_masked_predicates(plan: &LogicalPlan) -> Result<()> {
    masked(plan, &BTreeSet::new()).map(drop)
}

/// Output columns whose values come from a masked one. `outer`: those of the queries around, as names.
fn masked(plan: &LogicalPlan, outer: &BTreeSet<Column>) -> Result<BTreeSet<Column>> {
    // Each input once: asked again further down, a chain of unions would take time that doubles with each.
    let each = plan.inputs().into_iter().map(|input| masked(input, outer)).collect::<Result<Vec<_>>>()?;
    let inputs: BTreeSet<Column> = each.iter().flatten().cloned().collect();
    let seen: BTreeSet<Column> = inputs.union(outer).cloned().collect();
    subqueries(plan, &seen)?;
    match plan {
        LogicalPlan::TableScan(scan) => Ok(scanned(scan, plan.schema())),
        LogicalPlan::Projection(projection) => {
            let pairs = projection.schema.columns().into_iter().zip(&projection.expr);
            Ok(pairs.filter(|(_, expr)| reads(expr, &seen)).map(|(column, _)| column).collect())
        }
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Repartition(_) => Ok(renamed(plan, &inputs)),
        LogicalPlan::Union(union) => {
            let mut columns = BTreeSet::new();
            for (input, own) in union.inputs.iter().zip(&each) {
                columns.extend(positions(input.schema(), own).filter_map(|i| union.schema.columns().get(i).cloned()));
            }
            Ok(columns)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            if inputs.is_empty() {
                Ok(renamed(plan, &inputs))
            } else {
                Err(refusal(input.schema(), &inputs))
            }
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Distinct(Distinct::On(_))
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::EmptyRelation(_) => {
            decides(plan, &seen)?;
            Ok(renamed(plan, &inputs))
        }
        LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_) => Err(Error::new(ErrorCode::FeatureNotSupported, "statement is not supported")),
    }
}

fn scanned(scan: &datafusion::logical_expr::TableScan, schema: &DFSchema) -> BTreeSet<Column> {
    let Ok(provider) = source_as_provider(&scan.source) else { return schema.columns().into_iter().collect() };
    let any: &dyn Any = provider.as_ref();
    let Some(table) = any.downcast_ref::<GovernedTable>() else { return BTreeSet::new() };
    let is_masked =
        |column: &Column| table.columns().iter().any(|c| c.mask.is_some() && *c.field.name() == column.name);
    schema.columns().into_iter().filter(is_masked).collect()
}

fn subqueries(plan: &LogicalPlan, seen: &BTreeSet<Column>) -> Result<()> {
    let mut outcome = Ok(());
    let walk = plan.apply_expressions(|expr| {
        expr.apply(|e| {
            let subquery = match e {
                Expr::ScalarSubquery(s) => Some(s),
                Expr::Exists(s) => Some(&s.subquery),
                Expr::InSubquery(s) => Some(&s.subquery),
                Expr::SetComparison(s) => Some(&s.subquery),
                _ => None,
            };
            if let Some(subquery) = subquery
                && outcome.is_ok()
            {
                outcome = masked(&subquery.subquery, seen).map(drop);
            }
            Ok(TreeNodeRecursion::Continue)
        })
    });
    outcome.and(walk.map(drop).map_err(Error::internal))
}

/// An operator whose expressions choose rows, groups or an order.
fn decides(plan: &LogicalPlan, seen: &BTreeSet<Column>) -> Result<()> {
    let mut named = None;
    let walk = plan.apply_expressions(|expr| {
        expr.apply(|e| {
            if let Expr::Column(c) | Expr::OuterReferenceColumn(_, c) = e
                && seen.contains(c)
            {
                named.get_or_insert_with(|| c.name.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })
    });
    match named {
        None => walk.map(drop).map_err(Error::internal),
        Some(name) => Err(refused(&name)),
    }
}

fn reads(expr: &Expr, seen: &BTreeSet<Column>) -> bool {
    expr.column_refs().into_iter().any(|c| seen.contains(c))
        || expr.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(_, c) if seen.contains(c)))).unwrap_or(true)
}

/// The same columns under the names of this operator's output: by name where it passes them on, by place where it renames.
fn renamed(plan: &LogicalPlan, inputs: &BTreeSet<Column>) -> BTreeSet<Column> {
    let by_place = match plan.inputs().as_slice() {
        [only] if only.schema().fields().len() == plan.schema().fields().len() => {
            positions(only.schema(), inputs).filter_map(|i| plan.schema().columns().get(i).cloned()).collect()
        }
        _ => BTreeSet::new(),
    };
    let by_name = plan.schema().columns().into_iter().filter(|c| inputs.contains(c));
    by_name.chain(by_place).collect()
}

fn positions<'a>(schema: &'a DFSchema, columns: &'a BTreeSet<Column>) -> impl Iterator<Item = usize> + 'a {
    schema.columns().into_iter().enumerate().filter(|(_, c)| columns.contains(c)).map(|(i, _)| i)
}

fn refusal(schema: &DFSchema, columns: &BTreeSet<Column>) -> Error {
    let name = schema.columns().into_iter().find(|c| columns.contains(c)).map_or_else(String::new, |c| c.name);
    refused(&name)
}

fn refused(name: &str) -> Error {
    Error::new(
        ErrorCode::InsufficientPrivilege,
        format!("the query references field(s) not readable by the caller: {name}"),
    )
    .with_hint("A masked column can be selected, but not filtered, joined, grouped, sorted or aggregated.")
}
