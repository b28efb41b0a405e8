//! Computed keys of windows and of ordered aggregates, as columns of a projection below. Of some expressions (a comparison of
//! what a function gives) the engine cannot tell an order, not even above the very sort by them, and then refuses the plan.
//! Of a column it always can.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, Sort, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, Window};
use std::sync::Arc;

/// The plan with such keys computed below the nodes that need them. Applied to a finished plan: the optimizer would put them back.
pub(crate) fn keys_as_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan
        .transform_up_with_subqueries(|node| match node {
            LogicalPlan::Window(window) => over_columns(window),
            LogicalPlan::Aggregate(aggregate) => of_columns(aggregate),
            other => Ok(Transformed::no(other)),
        })?
        .data)
}

fn over_columns(window: Window) -> Result<Transformed<LogicalPlan>> {
    let mut keys = Keys::beside(window.input.schema());
    let exprs = rewritten(&LogicalPlan::Window(window.clone()), &window.window_expr, &mut keys)?;
    if keys.found.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let inner = Window::try_new(exprs, keys.below(&window.input)?)?;
    let shown = window.schema.iter().map(Expr::from).collect();
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(shown, Arc::new(LogicalPlan::Window(inner)))?)))
}

fn of_columns(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let mut keys = Keys::beside(aggregate.input.schema());
    let exprs = rewritten(&LogicalPlan::Aggregate(aggregate.clone()), &aggregate.aggr_expr, &mut keys)?;
    if keys.found.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let input = keys.below(&aggregate.input)?;
    let inner = Aggregate::try_new_with_schema(input, aggregate.group_expr, exprs, aggregate.schema)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(inner)))
}

/// A node's functions with columns for keys, under the names that they had.
fn rewritten(node: &LogicalPlan, exprs: &[Expr], keys: &mut Keys) -> Result<Vec<Expr>> {
    let names = NamePreserver::new(node);
    exprs
        .iter()
        .map(|expr| {
            let name = names.save(expr);
            let function = |expr: Expr| {
                Ok(match expr {
                    Expr::WindowFunction(call) => Transformed::yes(keys.of_window(*call)),
                    Expr::AggregateFunction(call) => Transformed::yes(keys.of_aggregate(call)),
                    other => Transformed::no(other),
                })
            };
            Ok(name.restore(expr.clone().transform_down(function)?.data))
        })
        .collect()
}

/// The computed keys of one node, each once.
struct Keys {
    /// No column of the input begins so.
    prefix: String,
    found: Vec<Expr>,
}

impl Keys {
    fn beside(input: &DFSchema) -> Self {
        let mut prefix = "__key".to_owned();
        while input.fields().iter().any(|field| field.name().starts_with(&prefix)) {
            prefix.insert(0, '_');
        }
        Self { prefix, found: Vec::new() }
    }

    fn of_window(&mut self, mut call: WindowFunction) -> Expr {
        let params = &mut call.params;
        params.partition_by =
            std::mem::take(&mut params.partition_by).into_iter().map(|key| self.column(key)).collect();
        params.order_by = self.sorts(std::mem::take(&mut params.order_by));
        Expr::WindowFunction(Box::new(call))
    }

    fn of_aggregate(&mut self, mut call: AggregateFunction) -> Expr {
        let params = &mut call.params;
        params.order_by = self.sorts(std::mem::take(&mut params.order_by));
        // Of a DISTINCT one the arguments are its keys, and are to be known as such.
        for argument in &mut params.args {
            if let Some(at) = self.found.iter().position(|key| key == argument) {
                *argument = self.at(at);
            }
        }
        Expr::AggregateFunction(call)
    }

    fn sorts(&mut self, sorts: Vec<Sort>) -> Vec<Sort> {
        sorts
            .into_iter()
            .map(|Sort { expr, asc, nulls_first }| Sort { expr: self.column(expr), asc, nulls_first })
            .collect()
    }

    fn column(&mut self, key: Expr) -> Expr {
        let key = key.unalias();
        if matches!(key, Expr::Column(_) | Expr::Literal(..)) {
            return key;
        }
        let at = self.found.iter().position(|known| *known == key).unwrap_or_else(|| {
            self.found.push(key);
            self.found.len() - 1
        });
        self.at(at)
    }

    fn at(&self, at: usize) -> Expr {
        Expr::Column(Column::new_unqualified(format!("{}{at}", self.prefix)))
    }

    /// The input with the keys after its columns.
    fn below(&self, input: &Arc<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
        let keys = self.found.iter().enumerate().map(|(at, key)| key.clone().alias(format!("{}{at}", self.prefix)));
        let columns = input.schema().iter().map(Expr::from).chain(keys).collect();
        Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, Arc::clone(input))?)))
    }
}
