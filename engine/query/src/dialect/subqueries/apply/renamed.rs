//! A subquery whose rows are chosen by one condition, with what it asks of the row around on top, over columns with names of their own.
//! There the engine pulls nothing past anything, and takes no column for another one. Knows no type.

use super::joinable::is_local;
use super::keyed::has_subquery;
use super::references::{free_references, reads_around};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, TableReference};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, lit};
use querygate_query_api::own_names::{self, THEIRS};
use std::sync::Arc;

/// What is asked of the subquery's column.
pub(super) struct Asked {
    /// What it is compared with, as the subquery reads it.
    pub(super) value: Expr,
    pub(super) nullable: bool,
    /// Rows are wanted whose comparison is not false; otherwise those whose comparison is true.
    pub(super) absent: bool,
}

/// The subquery in that shape, for EXISTS. `None`: more than one condition chooses its rows, or what is above the condition matters.
pub(super) fn renamed(plan: &LogicalPlan, asked: Option<Asked>) -> Result<Option<LogicalPlan>> {
    let Some(Chosen { rows, conditions, item }) = chosen(plan)? else { return Ok(None) };
    let mut columns = Columns(Vec::new());
    let mut above = conditions.into_iter().map(|condition| columns.within(condition)).collect::<Result<Vec<_>>>()?;
    if let Some(Asked { value, nullable, absent }) = asked {
        let Some(item) = item else { return Ok(None) };
        let nullable = nullable || item.nullable(rows.schema().as_ref())?;
        let theirs = if is_local(&item) { columns.of(item) } else { columns.within(item)? };
        let equal = value.eq(theirs);
        above.push(if absent && nullable { equal.is_not_false() } else { equal });
    }
    let Some(above) = conjunction(above) else { return Ok(None) };
    let rows = LogicalPlanBuilder::from(rows).project(columns.projected())?.alias(TableReference::bare(THEIRS))?;
    Ok(Some(rows.filter(above)?.build()?))
}

/// The columns of such a subquery: what they are of its rows.
struct Columns(Vec<Expr>);

impl Columns {
    /// The column that is an expression.
    fn of(&mut self, expr: Expr) -> Expr {
        let known = self.0.iter().position(|known| *known == expr);
        let place = known.unwrap_or(self.0.len());
        if known.is_none() {
            self.0.push(expr);
        }
        Expr::Column(Column::new(Some(TableReference::bare(THEIRS)), own_names::place(place)))
    }

    /// An expression over the rows as one over such columns.
    fn within(&mut self, expr: Expr) -> Result<Expr> {
        let renamed = expr.transform_up(|part| {
            Ok(match part {
                Expr::Column(_) => Transformed::yes(self.of(part)),
                other => Transformed::no(other),
            })
        })?;
        Ok(renamed.data)
    }

    fn projected(self) -> Vec<Expr> {
        // A row without columns is none to the engine.
        let exprs = if self.0.is_empty() { vec![lit(1_i64)] } else { self.0 };
        exprs.into_iter().enumerate().map(|(place, expr)| expr.alias(own_names::place(place))).collect()
    }
}

struct Chosen {
    rows: LogicalPlan,
    /// What of their condition reads the row around.
    conditions: Vec<Expr>,
    /// The subquery's first column; `None`: it cannot be moved.
    item: Option<Expr>,
}

fn chosen(plan: &LogicalPlan) -> Result<Option<Chosen>> {
    let mut item = column_at(plan, 0);
    let mut node: &LogicalPlan = plan;
    let filter = loop {
        node = match node {
            LogicalPlan::Projection(projection) => {
                item = below(item, node, |at| projection.expr.get(at).cloned().map(Expr::unalias))?;
                &projection.input
            }
            LogicalPlan::SubqueryAlias(alias) => {
                item = below(item, node, |at| column_at(&alias.input, at))?;
                &alias.input
            }
            // How often a row is there, and in which order, does not matter.
            LogicalPlan::Distinct(Distinct::All(input)) => input,
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => &sort.input,
            LogicalPlan::Filter(filter) => break filter,
            other => {
                let alone = free_references(other)?.is_empty();
                let item = movable(item)?;
                return Ok(alone.then(|| Chosen { rows: other.clone(), conditions: Vec::new(), item }));
            }
        };
    };
    let item = movable(item)?;
    divided(filter, item)
}

/// The rows of a filter, and what of its condition stays above them.
fn divided(filter: &Filter, item: Option<Expr>) -> Result<Option<Chosen>> {
    if !free_references(&filter.input)?.is_empty() {
        return Ok(None);
    }
    let (mut own, mut conditions) = (Vec::new(), Vec::new());
    for condition in split_conjunction_owned(filter.predicate.clone()) {
        if !reads_around(&condition, filter.input.schema())? {
            own.push(condition);
        } else if has_subquery(&condition)? {
            return Ok(None);
        } else {
            conditions.push(condition);
        }
    }
    let mut rows = LogicalPlanBuilder::from(Arc::clone(&filter.input));
    if let Some(own) = conjunction(own) {
        rows = rows.filter(own)?;
    }
    Ok(Some(Chosen { rows: rows.build()?, conditions, item }))
}

fn column_at(plan: &LogicalPlan, at: usize) -> Option<Expr> {
    plan.schema().columns().into_iter().nth(at).map(Expr::Column)
}

/// An expression over a node's columns as one over what these are below it.
fn below(item: Option<Expr>, node: &LogicalPlan, column: impl Fn(usize) -> Option<Expr>) -> Result<Option<Expr>> {
    let Some(item) = item else { return Ok(None) };
    let schema = node.schema();
    let mut known = true;
    let lower = item.transform_up(|part| {
        let Expr::Column(own) = part else { return Ok(Transformed::no(part)) };
        Ok(match schema.index_of_column(&own).ok().and_then(&column) {
            Some(lower) => Transformed::yes(lower),
            None => {
                known = false;
                Transformed::no(Expr::Column(own))
            }
        })
    })?;
    Ok(Some(lower.data).filter(|_| known))
}

/// An expression that is the same wherever it is computed.
fn movable(item: Option<Expr>) -> Result<Option<Expr>> {
    match item {
        Some(item) if !has_subquery(&item)? && !item.is_volatile() => Ok(Some(item)),
        Some(_) | None => Ok(None),
    }
}
