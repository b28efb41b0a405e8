//! Statements that were bound before what they were bound on changed, or for other values than they are to run with.

use super::prepared::PreparedStatement;
use crate::bind::statement::Bound;
use crate::dialect::parameters::Declared;
use crate::session::gate_session::GateSession;
use arrow::array::ArrayRef;
use datafusion::sql::sqlparser::ast::Query;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

impl GateSession {
    /// Binds anew when the version changed since, or for the places of numeric values; the columns must stay the same.
    pub(in crate::session) async fn refreshed(
        &self,
        bound: &Arc<Bound>,
        query: &Query,
        declared: &[Option<Declared>],
        parameters: &[ArrayRef],
    ) -> Result<Arc<Bound>> {
        self.refreshed_by(bound, query, declared, parameters, None).await
    }

    /// Refreshes a statement that is the query and nothing around it: bound anew by one run, it is found by the next.
    pub(in crate::session) async fn refreshed_query(
        &self,
        bound: &Arc<Bound>,
        query: &Query,
        prepared: &PreparedStatement,
        parameters: &[ArrayRef],
    ) -> Result<Arc<Bound>> {
        self.refreshed_by(bound, query, &prepared.declared, parameters, Some(prepared.parsed.shared_text())).await
    }

    async fn refreshed_by(
        &self,
        bound: &Arc<Bound>,
        query: &Query,
        declared: &[Option<Declared>],
        parameters: &[ArrayRef],
        text: Option<&Arc<str>>,
    ) -> Result<Arc<Bound>> {
        let workspace = self.workspace().await?;
        let current = if Arc::ptr_eq(&workspace, bound.workspace()) {
            Arc::clone(bound)
        } else {
            Box::pin(self.bind_query(query, declared, text)).await?
        };
        let fitting = match current.declared_for(declared, parameters) {
            Some(declared) => Box::pin(self.bind_query(query, &declared, text)).await?,
            None => current,
        };
        if !Arc::ptr_eq(&fitting, bound) && fitting.columns() != bound.columns() {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "cached plan must not change result type"));
        }
        Ok(fitting)
    }
}

#[cfg(test)]
mod tests;
