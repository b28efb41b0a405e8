//! A change that was decided and bound before, for another run of its statement: with other values, and at another time.

use super::{Decided, Form, Targeted};
use crate::write::find::is_default;
use crate::write::intent::RowSource;
use querygate_catalog::PrincipalCatalog;
use querygate_policy::Evaluator;
use querygate_policy::rules::Stamp;
use querygate_types::Result;
use std::sync::Arc;

/// The time that a statement began, and what the platform stamps its rows with at that time.
#[derive(Debug)]
pub(super) struct StatementTime {
    pub(super) now_ms: i64,
    pub(super) stamps: Vec<Stamp>,
}

impl Decided {
    /// Whether no part of it depends on the time.
    fn is_reusable(&self) -> bool {
        let depends_on_time = match self.intent.rows() {
            // A default may be the time, and stands in the query as a constant.
            RowSource::Found { values, .. } => values.iter().any(|(_, value)| is_default(value)),
            RowSource::Given { .. } => false,
            RowSource::Merged(_) | RowSource::Record { .. } | RowSource::Streamed { .. } => true,
        };
        !depends_on_time && self.following.is_reusable()
    }
}

impl Targeted {
    /// Whether nothing but values and the time make another run of the statement another change.
    pub(crate) fn is_reusable(&self) -> bool {
        let is_plain = match self.form {
            Form::Plain => true,
            Form::Conflict(_) | Form::Merge(_) => false,
        };
        is_plain
            && self.returning.as_ref().is_none_or(|returning| returning.is_reusable())
            && self.decided.is_reusable()
    }

    /// This change at another time, on the catalog that it was decided on. `None`: it is to be decided anew.
    ///
    /// # Errors
    /// The source's.
    pub(crate) async fn at(&self, catalog: &PrincipalCatalog, now_ms: i64) -> Result<Option<Self>> {
        let own = &self.decided;
        if !self.is_reusable() || !own.table.is_current().await? {
            return Ok(None);
        }
        let deployment = catalog.deployment();
        let (policy, facts) = (&deployment.policies, &deployment.facts);
        let evaluator = Evaluator { policy, principal: &own.principal, facts, now_ms };
        Ok(Some(Self {
            decided: Arc::clone(own),
            assigned: Arc::clone(&self.assigned),
            form: Form::Plain,
            returning: self.returning.clone(),
            time: StatementTime { now_ms, stamps: evaluator.stamps_of(&own.permit)? },
            native: Arc::clone(&self.native),
        }))
    }
}
