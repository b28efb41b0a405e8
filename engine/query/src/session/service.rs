//! The one `QueryService`: opens sessions on a gate.

use crate::engine::Engine;
use crate::session::GateSession;
use futures::future::BoxFuture;
use querygate_query_api::service::{ClientInfo, QueryService, Session};
use querygate_types::Result;
use querygate_types::principal::Principal;
use std::sync::Arc;

/// The service over a gate; sessions keep the gate alive.
#[derive(Debug, Clone)]
pub struct GateService {
    gate: Arc<Engine>,
}

impl GateService {
    #[must_use]
    pub fn new(gate: Arc<Engine>) -> Self {
        Self { gate }
    }
}

impl QueryService for GateService {
    fn open(&self, principal: Arc<Principal>, client: ClientInfo) -> BoxFuture<'_, Result<Arc<dyn Session>>> {
        Box::pin(async move { Ok(Arc::new(opened(&self.gate, &principal, &client)?) as Arc<dyn Session>) })
    }
}

/// A session of a user.
///
/// # Errors
/// A setting is refused, or there are too many sessions.
pub(super) fn opened(gate: &Arc<Engine>, principal: &Arc<Principal>, client: &ClientInfo) -> Result<GateSession> {
    let place = gate.session_place(&principal.login)?;
    let settings = gate.opened_settings(principal, &client.settings)?;
    Ok(GateSession::new(Arc::clone(gate), Arc::clone(principal), (client, settings, place)))
}
