//! Statements that were bound before what they were bound on changed.

use super::statement::{GateSession, PreparedStatement};
use crate::bind::Bound;
use datafusion::sql::sqlparser::ast::Query;
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;

impl GateSession {
    /// Binds anew when the version changed since; the columns must stay the same.
    pub(super) async fn refreshed(
        &self,
        bound: &Arc<Bound>,
        query: &Query,
        declared: &[Option<PgType>],
    ) -> Result<Arc<Bound>> {
        self.refreshed_by(bound, query, declared, None).await
    }

    /// The same of a statement that is the query and nothing around it: bound anew by one run, it is found by the next.
    pub(super) async fn refreshed_query(
        &self,
        bound: &Arc<Bound>,
        query: &Query,
        prepared: &PreparedStatement,
    ) -> Result<Arc<Bound>> {
        self.refreshed_by(bound, query, &prepared.declared, Some(prepared.parsed.shared_text())).await
    }

    async fn refreshed_by(
        &self,
        bound: &Arc<Bound>,
        query: &Query,
        declared: &[Option<PgType>],
        text: Option<&Arc<str>>,
    ) -> Result<Arc<Bound>> {
        let workspace = self.workspace().await?;
        if Arc::ptr_eq(&workspace, bound.workspace()) {
            return Ok(Arc::clone(bound));
        }
        let again = Box::pin(self.bind_query(query, declared, text)).await?;
        if again.columns() != bound.columns() {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "cached plan must not change result type"));
        }
        Ok(again)
    }
}
