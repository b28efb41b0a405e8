//! What one principal may read on one deployment, without anything that statements are bound on: enough for who judges rows and describes
//! objects, and a small part of what a whole catalog takes.

use crate::deployment::Deployment;
use crate::principal::{VisibleObject, token, visible_objects};
pub use crate::principal::{keeps_rights, keeps_write_rights};
use querygate_pg_catalog::LeafToken;
use querygate_policy::resolve_principal;
use querygate_types::principal::Principal;
use std::sync::Arc;

/// What one principal may read, on one deployment.
#[derive(Debug)]
pub struct PrincipalRights {
    pub(crate) token: LeafToken,
    pub(crate) login: Arc<Principal>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) objects: Vec<VisibleObject>,
}

impl PrincipalRights {
    /// Evaluates policy for every object. `now_ms`: milliseconds since 1970.
    #[must_use]
    pub fn of(deployment: &Arc<Deployment>, principal: &Arc<Principal>, now_ms: i64) -> Self {
        let login = Principal::clone(principal);
        let resolved = resolve_principal(login, &deployment.policies, &deployment.facts, now_ms);
        Self {
            token: token(deployment, &resolved, now_ms),
            objects: visible_objects(deployment, &resolved, now_ms),
            login: Arc::clone(principal),
            principal: Arc::new(resolved),
            deployment: Arc::clone(deployment),
        }
    }

    #[must_use]
    pub fn token(&self) -> &LeafToken {
        &self.token
    }

    /// The principal as it logged in.
    #[must_use]
    pub fn login(&self) -> &Arc<Principal> {
        &self.login
    }

    /// The principal with everything it holds.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    #[must_use]
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    #[must_use]
    pub fn objects(&self) -> &[VisibleObject] {
        &self.objects
    }
}
