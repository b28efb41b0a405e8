//! The surface of SQL between what PostgreSQL's clients write and what DataFusion plans: a pass over the syntax tree, planners
//! for types and operators, a pass over the bound plan, and the apply operator for subqueries that DataFusion cannot unnest.
//! Knows no statement by its text and no object by its name.
//!
//! Order of use: [`rewrite`] → bind with [`Dialect`]'s planners and functions → [`Settler::settle`] →
//! [`apply::expand`] → optimize.

mod ast;
pub(crate) mod constants;
mod functions;
pub(crate) mod parameters;
mod planners;
mod rewrite;
mod settle;
pub(crate) mod subqueries;
#[cfg(test)]
mod tests;
pub(crate) mod volatility;

#[cfg(test)]
pub(crate) use functions::helpers;
pub(crate) use planners::blocks::Blocks;
pub(crate) use planners::near::{near_column, with_nearest};
#[cfg(test)]
pub(crate) use planners::types::PgTypePlanner;
pub(crate) use rewrite::grouping::written_keys::is_written_key;
pub(crate) use rewrite::rewrite;
pub(crate) use settle::settler::Settler;
pub(crate) use subqueries::memberships::as_joins;
pub(crate) use subqueries::null_memberships::with_null_memberships;
pub(crate) use subqueries::outer_aggregates::refuse_outer_aggregates;
pub(crate) use subqueries::own_relations::with_own_relations;
pub(crate) use subqueries::set_keys::with_set_keys;
pub(crate) use subqueries::ungrouped::refuse_ungrouped;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::planner::{ExprPlanner, TypePlanner};
use querygate_pg_catalog::PgCatalog;
use std::sync::Arc;

/// What a session state of one principal needs to bind PostgreSQL's SQL.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// What the reader's catalog shows, which names of columns are taken from.
    pub(crate) catalog: Arc<PgCatalog>,
    functions: Vec<Arc<ScalarUDF>>,
    /// The pass over bound plans.
    pub(crate) settler: Settler,
}

impl Dialect {
    pub(crate) fn new(catalog: &Arc<PgCatalog>) -> Self {
        let functions = catalog.functions();
        Self { catalog: Arc::clone(catalog), settler: Settler::new(&functions), functions }
    }

    /// Planners to put before DataFusion's own.
    pub(crate) fn expr_planner(&self) -> Arc<dyn ExprPlanner> {
        Arc::new(planners::literals::PgExprPlanner::new(&self.functions))
    }

    pub(crate) fn type_planner(&self) -> Arc<dyn TypePlanner> {
        Arc::new(planners::types::PgTypePlanner)
    }

    /// Registers the catalog's functions and the helpers of the rewrite.
    pub(crate) fn register(&self, registry: &mut dyn FunctionRegistry) -> Result<()> {
        for function in self.functions.iter().cloned().chain(functions::helpers()).chain(crate::advisory::functions()) {
            registry.register_udf(function)?;
        }
        Ok(())
    }
}

/// An error of ours inside DataFusion's.
fn external(error: querygate_types::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
