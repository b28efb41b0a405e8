//! Makes what EXISTS looks through distinct, where it lies in a source of its own: keys cross the wire once. Changes no
//! answer.
//!
//! `EXISTS (SELECT … FROM b WHERE b.k = a.k AND …)` asks whether there is a row, not how many; so `b` gives each of the keys
//! that are compared once.

use crate::leak_proof::becomes_leak_proof;
use crate::opener::LeafOpener;
use crate::regroup::{is_movable, source_of};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::Exists;
use datafusion::logical_expr::logical_plan::Filter;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Subquery, TableScan};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The plan with such subqueries made distinct.
pub(crate) fn distinct_keys(plan: LogicalPlan, opener: &dyn LeafOpener) -> Result<LogicalPlan> {
    let made = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::Filter(filter) = node else { return Ok(Transformed::no(node)) };
        let around = source_of(&filter.input, opener);
        let Filter { predicate, input, .. } = filter;
        let predicate = predicate.transform(|expr| {
            let Expr::Exists(exists) = expr else { return Ok(Transformed::no(expr)) };
            let elsewhere = || source_of(&exists.subquery.subquery, opener).is_some_and(|own| Some(own) != around);
            let made = if elsewhere() { distinct(&exists.subquery.subquery, opener)? } else { None };
            Ok(match made {
                Some(made) => Transformed::yes(Expr::Exists(Exists {
                    subquery: Subquery { subquery: Arc::new(made), ..exists.subquery },
                    negated: exists.negated,
                })),
                None => Transformed::no(Expr::Exists(exists)),
            })
        })?;
        predicate.map_data(|predicate| Filter::try_new(predicate, input).map(LogicalPlan::Filter))
    })?;
    Ok(made.data)
}

fn distinct(plan: &LogicalPlan, opener: &dyn LeafOpener) -> Result<Option<LogicalPlan>> {
    let filter = match plan {
        // What is selected is not looked at.
        LogicalPlan::Projection(projection) if projection.expr.iter().all(|expr| !expr.is_volatile()) => {
            return distinct(&projection.input, opener);
        }
        LogicalPlan::Filter(filter) => filter,
        _ => return Ok(None),
    };
    let Some(scan) = scan_of(&filter.input) else { return Ok(None) };
    let schema = filter.input.schema();
    let mut keys: BTreeSet<Column> = BTreeSet::new();
    let (mut own, mut compared) = (Vec::new(), Vec::new());
    for one in split_conjunction(&filter.predicate) {
        if one.contains_outer() && is_movable(one) {
            keys.extend(one.column_refs().into_iter().cloned());
            compared.push(one.clone());
        } else if !one.contains_outer() && becomes_leak_proof(one, schema) {
            own.push(one.clone());
        } else {
            return Ok(None);
        }
    }
    if keys.is_empty() || is_unique(scan, &keys, opener) {
        return Ok(None);
    }
    let mut input = LogicalPlanBuilder::from(LogicalPlan::clone(&filter.input));
    for condition in own {
        input = input.filter(condition)?;
    }
    let mut plan = input.project(keys.into_iter().map(Expr::Column))?.distinct()?;
    for condition in compared {
        plan = plan.filter(condition)?;
    }
    plan.build().map(Some)
}

/// A table, also under a name of its own.
fn scan_of(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan),
        LogicalPlan::SubqueryAlias(alias) => scan_of(&alias.input),
        _ => None,
    }
}

/// Whether the columns hold the table's key, so that no two rows are alike in them.
fn is_unique(scan: &TableScan, columns: &BTreeSet<Column>, opener: &dyn LeafOpener) -> bool {
    let schema = scan.source.schema();
    let is_there =
        |place: &usize| schema.fields().get(*place).is_some_and(|f| columns.iter().any(|c| c.name == *f.name()));
    let key = opener.open(scan).ok().and_then(|leaf| leaf.key);
    key.is_some_and(|key| key.iter().all(is_there))
}
