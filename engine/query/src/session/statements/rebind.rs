//! Statements that were bound before what they were bound on changed, or for other values than they are to run with.

use super::prepared::{HeldConstants, PreparedStatement};
use crate::bind::statement::Bound;
use crate::dialect::constants::{Constants, asks_catalog, constants};
use crate::dialect::parameters::Declared;
use crate::engine::caches::BOUND_TEXT_MAX;
use crate::errors::{Stage, translate};
use crate::session::gate_session::GateSession;
use crate::sql::parse::Parsed;
use arrow::array::ArrayRef;
use datafusion::sql::sqlparser::ast::Query;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// How often a query is bound with fewer constants as parameters, as their types are found out.
const BIND_ROUNDS_MAX: usize = 2;

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
        let Some(own) = prepared.constants.as_ref().map(|held| &held.constants) else {
            let text = prepared.parsed.shared_text();
            return self.refreshed_by(bound, query, &prepared.declared, parameters, Some(text)).await;
        };
        let current = self.refreshed_by(bound, &own.query, &[], &own.values, Some(&own.text)).await?;
        // Another version may have other types beside them.
        if !Arc::ptr_eq(&current, bound) && !own.unfit(current.types_beside()).is_empty() {
            let text = "a column that the statement compares with a constant has another type now";
            return Err(Error::new(ErrorCode::FeatureNotSupported, text).with_hint("Prepare the statement again."));
        }
        Ok(current)
    }

    /// Binds a query with its constants as parameters where they may be, else as it is written.
    pub(in crate::session) async fn bind_prepared(
        &self,
        parsed: &Parsed,
        query: &Query,
        declared: &[Option<Declared>],
    ) -> Result<(Arc<Bound>, Option<Arc<HeldConstants>>)> {
        let Some((bound, constants)) = self.bind_constants(parsed, query, declared).await? else {
            return Ok((self.bind_query(query, declared, Some(parsed.shared_text())).await?, None));
        };
        let charge = self.prepared_memory.new_empty();
        charge.try_grow(parsed.bytes()).map_err(|error| translate(&error, Stage::Plan))?;
        Ok((bound, Some(Arc::new(HeldConstants { constants, _charge: charge }))))
    }

    /// Binds a query with parameters in the places of its constants. `None`: it has none that may be parameters, or it is one that
    /// cannot be bound so, of which its own text tells more.
    async fn bind_constants(
        &self,
        parsed: &Parsed,
        query: &Query,
        declared: &[Option<Declared>],
    ) -> Result<Option<(Arc<Bound>, Arc<Constants>)>> {
        // Types that a client said are of parameters.
        if !declared.is_empty() || self.has_temporary() || !self.inner().settings.plan_templates() {
            return Ok(None);
        }
        // Statements of clients that describe tables come again and again; others have other constants each time.
        let asks_catalog = asks_catalog(query);
        let known = &self.gate.caches().constants;
        let key = if asks_catalog { self.bound_key(parsed.shared_text()).await? } else { None };
        let found = match key.as_ref().and_then(|key| known.get(key)) {
            Some(Some(found)) => {
                let bound = self.bind_query(&found.query, &[], Some(&found.text)).await.ok();
                return Ok(bound.map(|bound| (bound, found)));
            }
            Some(None) => return Ok(None),
            None => self.find_constants(query, asks_catalog, parsed.bytes()).await,
        };
        let Ok(found) = found else { return Ok(None) };
        let found = found.map(|(bound, constants)| (bound, Arc::new(constants)));
        if let Some(key) = key {
            known.insert(key, found.as_ref().map(|(_, constants)| Arc::clone(constants)));
        }
        Ok(found)
    }

    /// `None`: none of its constants may be a parameter.
    async fn find_constants(
        &self,
        query: &Query,
        asks_catalog: bool,
        bytes: usize,
    ) -> Result<Option<(Arc<Bound>, Constants)>> {
        let mut fixed: Vec<usize> = Vec::new();
        for _ in 0..BIND_ROUNDS_MAX {
            let Some(found) = constants(query, asks_catalog, &fixed, bytes) else { return Ok(None) };
            // A longer text is not kept, so nothing would be shared.
            if found.text.len() > BOUND_TEXT_MAX {
                return Ok(None);
            }
            let bound = self.bind_query(&found.query, &[], Some(&found.text)).await?;
            let unfit = found.unfit(bound.types_beside());
            if unfit.is_empty() {
                return Ok(bound.values(&found.values).is_ok().then_some((bound, found)));
            }
            fixed.extend(unfit);
        }
        Ok(None)
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
