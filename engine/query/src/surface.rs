//! Where Postgres' SQL surface meets the engine's: rewrites before binding, functions and planners after.

use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::Statement;
use querygate_catalog::pg_catalog::PgCatalog;
use querygate_types::Result;
use std::sync::Arc;

/// Rewrites a statement into what the engine plans. Answers the output names as Postgres gives them.
pub(crate) fn rewrite(_ast: &mut Statement, _pg: &Arc<PgCatalog>) -> Result<Option<Vec<String>>> {
    Ok(None)
}

/// Adds what the surface needs to an engine state.
pub(crate) fn install(state: SessionState, _pg: &Arc<PgCatalog>) -> SessionState {
    state
}
