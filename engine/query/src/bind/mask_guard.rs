//! `mask_in_predicates = "refuse"`: ObjectStack's predicate guard over SQL. A masked column may be shown, but not decide
//! anything: no filter, join, group, sort, window, aggregate or set operation may read it, under whatever name.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Subquery};
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
    let each = match plan {
        LogicalPlan::Join(join) => of_join(&join.left, &join.right, outer)?,
        _ => plan.inputs().into_iter().map(|input| masked(input, outer)).collect::<Result<Vec<_>>>()?,
    };
    let inputs: BTreeSet<Column> = each.iter().flatten().cloned().collect();
    let seen: BTreeSet<Column> = inputs.union(outer).cloned().collect();
    let reading = readings(plan, &seen)?;
    match plan {
        LogicalPlan::TableScan(scan) => Ok(scanned(scan, plan.schema())),
        LogicalPlan::Projection(projection) => {
            let pairs = projection.schema.columns().into_iter().zip(&reading);
            Ok(pairs.filter(|(_, read)| read.is_some()).map(|(column, _)| column).collect())
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
        | LogicalPlan::Values(_)
        | LogicalPlan::EmptyRelation(_) => match reading.into_iter().flatten().next() {
            None => Ok(renamed(plan, &inputs)),
            Some(name) => Err(refused(&name)),
        },
        // What the first term delivers comes back as the work table's columns, which have no mark.
        LogicalPlan::RecursiveQuery(recursive) => {
            if inputs.is_empty() {
                Ok(BTreeSet::new())
            } else {
                Err(refusal(recursive.static_term.schema(), &inputs))
            }
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

/// Both sides of a join. A lateral side reads columns of the one before it as those of a query around it.
fn of_join(left: &LogicalPlan, right: &LogicalPlan, outer: &BTreeSet<Column>) -> Result<Vec<BTreeSet<Column>>> {
    let before = masked(left, outer)?;
    let is_lateral = |node: &LogicalPlan| matches!(node, LogicalPlan::Subquery(s) if !s.outer_ref_columns.is_empty());
    let after = if right.exists(|node| Ok(is_lateral(node))).map_err(Error::internal)? {
        masked(right, &before.union(outer).cloned().collect())?
    } else {
        masked(right, outer)?
    };
    Ok(vec![before, after])
}

fn scanned(scan: &datafusion::logical_expr::TableScan, schema: &DFSchema) -> BTreeSet<Column> {
    let Ok(provider) = source_as_provider(&scan.source) else { return schema.columns().into_iter().collect() };
    let any: &dyn Any = provider.as_ref();
    let Some(table) = any.downcast_ref::<GovernedTable>() else { return BTreeSet::new() };
    let is_masked =
        |column: &Column| table.columns().iter().any(|c| c.mask.is_some() && *c.field.name() == column.name);
    schema.columns().into_iter().filter(is_masked).collect()
}

/// For each expression of an operator, a masked column that its value depends on, also through a subquery.
fn readings(plan: &LogicalPlan, seen: &BTreeSet<Column>) -> Result<Vec<Option<String>>> {
    let mut readings = Vec::new();
    let mut outcome = Ok(());
    let walk = plan.apply_expressions(|expr| {
        let mut read = None;
        let inner = expr.apply(|e| {
            if outcome.is_ok() {
                match column_of(e, seen) {
                    Ok(Some(name)) => read = Some(name),
                    Ok(None) => {}
                    Err(error) => outcome = Err(error),
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        readings.push(read);
        inner
    });
    outcome?;
    walk.map_err(Error::internal)?;
    Ok(readings)
}

/// The masked column that this node itself reads.
fn column_of(expr: &Expr, seen: &BTreeSet<Column>) -> Result<Option<String>> {
    let delivered = |subquery: &Subquery| masked(&subquery.subquery, seen);
    let of = |columns: BTreeSet<Column>| columns.into_iter().next().map(|c| c.name);
    match expr {
        Expr::Column(c) | Expr::OuterReferenceColumn(_, c) => Ok(seen.contains(c).then(|| c.name.clone())),
        Expr::ScalarSubquery(s) => delivered(s).map(of),
        Expr::InSubquery(s) => delivered(&s.subquery).map(of),
        Expr::SetComparison(s) => delivered(&s.subquery).map(of),
        // Whether there is a row says nothing of what it holds.
        Expr::Exists(s) => delivered(&s.subquery).map(|_| None),
        _ => Ok(None),
    }
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
