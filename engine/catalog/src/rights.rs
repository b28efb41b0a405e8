//! What one principal may read on one deployment, without anything that statements are bound on: enough for who judges rows and describes
//! objects, and a small part of what a whole catalog takes.

use crate::deployment::Deployment;
use crate::principal::{VisibleObject, token, visible_objects};
pub use crate::principal::{keeps_rights, keeps_write_rights};
use querygate_pg_catalog::LeafToken;
use querygate_policy::resolve_principal;
use querygate_types::principal::Principal;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// An object beside its columns: its table, its decision, what is named of it.
const OBJECT_BYTES: usize = 3 << 10;
/// A column: its fields, origin and name in schemas, in the plan that names it, and in a description.
const COLUMN_BYTES: usize = 1 << 10;
/// What is decided stands in a decision and in its table. A value takes about as much as it has when it is printed, with its kind.
const PRINTED_COPIES: usize = 2;

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

    /// Bytes that they take in memory, about, and that descriptions of their objects will take. What the deployment has is not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // The principal as it logged in, and with what it holds.
        let own = printed(&self.login).saturating_add(printed(&self.principal)).saturating_mul(PRINTED_COPIES);
        let object = |visible: &VisibleObject| {
            let columns = visible.table.columns().len().saturating_mul(COLUMN_BYTES);
            let decided = printed(&visible.decision).saturating_mul(PRINTED_COPIES);
            OBJECT_BYTES.saturating_add(visible.sql_name.len()).saturating_add(columns).saturating_add(decided)
        };
        self.objects.iter().map(object).fold(own, usize::saturating_add)
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

/// How long something is when it is printed. Nothing is kept of the text.
fn printed(value: &impl fmt::Debug) -> usize {
    struct Length(usize);
    impl fmt::Write for Length {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.saturating_add(text.len());
            Ok(())
        }
    }
    let mut length = Length(0);
    // It takes whatever it is given.
    let _ = write!(length, "{value:?}");
    length.0
}
