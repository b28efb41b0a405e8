//! Changes that a session runs again and again. A run leaves with its statement how it was decided and bound; a later one takes that, with
//! the stamps of its own time, as long as metadata, principal, settings and what the source says of the table are the same.

use super::write::TargetedWrite;
use crate::bind::statement::Bound;
use crate::bind::workspace::Workspace;
use crate::books::clock::now_ms;
use crate::session::gate_session::GateSession;
use crate::session::statements::prepared::PreparedStatement;
use crate::write::target::Targeted;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::MemoryReservation;
use querygate_types::{PgType, Result};
use std::sync::{Arc, MutexGuard, PoisonError};

/// A change as it was decided and bound, and all that this depends on.
#[derive(Debug)]
pub(in crate::session) struct CachedWrite {
    /// Of one version of the metadata and one principal, until what it gives that one may end by the clock.
    workspace: Arc<Workspace>,
    /// Of these settings.
    state: Arc<SessionState>,
    targeted: Arc<Targeted>,
    bound: Option<Arc<Bound>>,
    types: Vec<PgType>,
    _charge: Option<Arc<MemoryReservation>>,
}

impl GateSession {
    /// The change as an earlier run decided and bound it, at the time of now. `None`: there is none that holds.
    ///
    /// # Errors
    /// The source's.
    pub(in crate::session) async fn cached_write(&self, prepared: &PreparedStatement) -> Result<Option<TargetedWrite>> {
        let Some(cached) = kept(prepared).clone() else { return Ok(None) };
        let (workspace, state, _) = self.current().await?;
        if !Arc::ptr_eq(&workspace, &cached.workspace) || !Arc::ptr_eq(&state, &cached.state) {
            return Ok(None);
        }
        let Some(targeted) = cached.targeted.at(&workspace.catalog, now_ms()).await? else { return Ok(None) };
        Ok(Some((Arc::new(targeted), cached.bound.clone(), cached.types.clone())))
    }

    /// How a change was decided and bound, for later runs of its statement. `None`: it is not the same for all values.
    ///
    /// # Errors
    /// 53200: an account is full.
    pub(in crate::session) async fn cacheable_write(
        &self,
        (targeted, bound, types): &TargetedWrite,
    ) -> Result<Option<Arc<CachedWrite>>> {
        if !targeted.is_reusable() || types.iter().any(has_places) {
            return Ok(None);
        }
        let (workspace, state, _) = self.current().await?;
        if bound.as_ref().is_some_and(|bound| !Arc::ptr_eq(bound.workspace(), &workspace)) {
            return Ok(None);
        }
        let charge = bound.as_ref().map(|bound| bound.charge(&self.prepared_memory)).transpose()?;
        let (targeted, bound, types) = (Arc::clone(targeted), bound.clone(), types.clone());
        Ok(Some(Arc::new(CachedWrite { workspace, state, targeted, bound, types, _charge: charge })))
    }

    /// Keeps it for the next run, in the place of one that holds no more.
    ///
    /// # Errors
    /// 53200: an account is full.
    pub(in crate::session) async fn keep_write(
        &self,
        prepared: &PreparedStatement,
        targeted_write: &TargetedWrite,
    ) -> Result<()> {
        let cached = self.cacheable_write(targeted_write).await?;
        *kept(prepared) = cached;
        Ok(())
    }
}

/// Whether values of a type decide for how many digits a statement is bound.
fn has_places(pg_type: &PgType) -> bool {
    matches!(pg_type, PgType::Numeric | PgType::NumericArray | PgType::Float4Array | PgType::Float8Array)
}

fn kept(prepared: &PreparedStatement) -> MutexGuard<'_, Option<Arc<CachedWrite>>> {
    prepared.write.lock().unwrap_or_else(PoisonError::into_inner)
}
