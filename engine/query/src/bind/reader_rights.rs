//! What a principal may read, as sessions and followers share it: made once for each principal, and small beside its workspace, which
//! has all that statements are bound on. Who only judges rows or describes objects needs no more.

use crate::books::clock::now_ms;
use querygate_catalog::deployment::Deployment;
use querygate_catalog::rights::PrincipalRights;
use querygate_query_api::requests::question::ObjectDescription;
use querygate_types::principal::Principal;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// A principal's rights on one deployment, until they are evaluated anew.
#[derive(Debug)]
pub(crate) struct ReaderRights {
    rights: Arc<PrincipalRights>,
    /// When a membership begins or ends next, in milliseconds since 1970: rights are evaluated anew then.
    pub(crate) until_ms: Option<i64>,
    /// No others of the engine have it.
    pub(crate) number: u64,
    bytes: usize,
    /// Descriptions of its objects for doors, by SQL name.
    descriptions: Mutex<HashMap<String, Arc<ObjectDescription>>>,
}

impl Deref for ReaderRights {
    type Target = PrincipalRights;

    fn deref(&self) -> &PrincipalRights {
        &self.rights
    }
}

impl ReaderRights {
    /// Evaluates policy for every object, as of now. `number`: of these rights alone.
    pub(crate) fn evaluate(deployment: &Arc<Deployment>, principal: &Arc<Principal>, number: u64) -> Self {
        let now = now_ms();
        let rights = PrincipalRights::of(deployment, principal, now);
        Self {
            bytes: rights.bytes(),
            rights: Arc::new(rights),
            until_ms: deployment.facts.next_boundary(now),
            number,
            descriptions: Mutex::default(),
        }
    }

    /// Bytes that they take in memory, about, with all descriptions that may be made of them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn shared(&self) -> Arc<PrincipalRights> {
        Arc::clone(&self.rights)
    }

    /// Whether they are what their login has now on the deployment of this version.
    pub(crate) fn are_current(&self, version: u64) -> bool {
        self.deployment().version == version && self.until_ms.is_none_or(|until| now_ms() < until)
    }

    /// Whether they are current, and of this login.
    pub(crate) fn are_of(&self, version: u64, principal: &Principal) -> bool {
        self.are_current(version) && **self.login() == *principal
    }

    /// The description of an object for doors, made once. It depends on nothing but these rights.
    pub(crate) fn description(
        &self,
        sql_name: &str,
        make: impl FnOnce() -> ObjectDescription,
    ) -> Arc<ObjectDescription> {
        let mut known = self.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(description) = known.get(sql_name) {
            return Arc::clone(description);
        }
        let description = Arc::new(make());
        known.insert(sql_name.to_owned(), Arc::clone(&description));
        description
    }
}
