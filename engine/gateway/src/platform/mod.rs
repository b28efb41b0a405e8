//! What the REST door asks beside records, of the gate as it is now: users, keys, metadata, verdicts. Knows no HTTP.

mod apps;
mod documents;
mod keys;
mod layers;
mod objects;
mod records;
mod rights;
mod verdict;

pub(crate) use keys::KeyFile;

use crate::users::Users;
use documents::Documents;
use futures::future::BoxFuture;
use querygate_catalog::deployment::Deployment;
use querygate_metadata::model::StrictRule;
use querygate_policy::{Evaluator, resolve_principal};
use querygate_query::Engine;
use querygate_query_api::requests::platform::{Inquiry, NewKey, OwnObject, OwnRecords, Person, Platform};
use querygate_types::principal::{Posture, Principal};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The gate, as the REST door asks about it.
pub(crate) struct GatePlatform {
    engine: Arc<Engine>,
    users: Arc<Users>,
    keys: Option<KeyFile>,
    /// Where the metadata is, as the configuration says now.
    metadata: Arc<dyn Fn() -> PathBuf + Send + Sync>,
    documents: Mutex<Option<Arc<Documents>>>,
}

impl GatePlatform {
    pub(crate) fn new(
        engine: Arc<Engine>,
        users: Arc<Users>,
        keys: Option<KeyFile>,
        metadata: Arc<dyn Fn() -> PathBuf + Send + Sync>,
    ) -> Self {
        Self { engine, users, keys, metadata, documents: Mutex::default() }
    }

    /// The files of the metadata, as they were when this version was first asked for.
    fn documents(&self, version: u64) -> Arc<Documents> {
        let mut kept = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.as_ref().filter(|documents| documents.version == version) {
            Some(documents) => Arc::clone(documents),
            None => {
                let read = Arc::new(Documents::read(&(self.metadata)(), version));
                *kept = Some(Arc::clone(&read));
                read
            }
        }
    }
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A principal with all that it holds now.
struct Resolved {
    deployment: Arc<Deployment>,
    principal: Principal,
    now_ms: i64,
}

impl Resolved {
    fn of(deployment: Arc<Deployment>, principal: &Principal) -> Self {
        let now_ms = now_ms();
        let principal = resolve_principal(principal.clone(), &deployment.policies, &deployment.facts, now_ms);
        Self { deployment, principal, now_ms }
    }

    fn evaluator(&self) -> Evaluator<'_> {
        let Deployment { policies, facts, .. } = self.deployment.as_ref();
        Evaluator { policy: policies, principal: &self.principal, facts, now_ms: self.now_ms }
    }

    /// Whether the principal may know how rules are made. A credential that is good for less does not let it.
    fn administers(&self) -> bool {
        let administers = self.principal.operator || self.principal.posture == Posture::PlatformAdmin;
        administers && self.principal.scope.is_none()
    }
}

impl Platform for GatePlatform {
    fn login_of_email(&self, email: &str) -> Option<String> {
        self.users.now().login_of(email).cloned()
    }

    fn person(&self, login: &str) -> Option<Person> {
        let resolved = Resolved::of(self.engine.deployment(), self.users.now().user(login)?.principal());
        let principal = &resolved.principal;
        let (created_at, updated_at) = self.documents(resolved.deployment.version).dates_of(&principal.user_id);
        Some(Person {
            user_id: principal.user_id.clone(),
            name: principal.login.clone(),
            email: principal.email.clone(),
            positions: principal.positions.iter().cloned().collect(),
            is_platform_admin: principal.posture == Posture::PlatformAdmin,
            created_at,
            updated_at,
        })
    }

    fn keeps_keys(&self) -> bool {
        self.keys.is_some()
    }

    fn keep_key(&self, key: NewKey) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let Some(keys) = self.keys.clone() else {
                return Err(Error::new(ErrorCode::FeatureNotSupported, "this gate keeps no API keys")
                    .with_hint("Name a file for them with `keys` in [server]."));
            };
            tokio::task::spawn_blocking(move || keys.add(&key)).await.map_err(Error::internal)?
        })
    }

    fn version(&self) -> u64 {
        self.engine.deployment().version
    }

    fn refuses_absent_session(&self) -> bool {
        self.engine.deployment().snapshot.protocol.has(StrictRule::AnonymousSession)
    }

    fn refuses_wrong_numbers(&self) -> bool {
        self.engine.deployment().snapshot.protocol.has(StrictRule::RowNumber)
    }

    fn types(&self) -> Vec<(&'static str, &'static str)> {
        documents::TYPES.iter().map(|kind| (kind.name, kind.label)).collect()
    }

    fn items(&self, principal: &Arc<Principal>, kind: &str) -> Vec<(String, Value)> {
        let resolved = Resolved::of(self.engine.deployment(), principal);
        match kind {
            "object" => objects::items(&resolved, &self.documents(resolved.deployment.version)),
            "app" => apps::items(&resolved, &self.documents(resolved.deployment.version)),
            // What else is declared names objects, fields and rules.
            _ if resolved.administers() => self.documents(resolved.deployment.version).items(kind),
            _ => Vec::new(),
        }
    }

    fn item(&self, principal: &Arc<Principal>, kind: &str, name: &str) -> Option<Value> {
        if kind == "object" {
            let resolved = Resolved::of(self.engine.deployment(), principal);
            return objects::item(&resolved, &self.documents(resolved.deployment.version), name);
        }
        self.items(principal, kind).into_iter().find(|(other, _)| other == name).map(|(_, item)| item)
    }

    fn declared(&self, kind: &str) -> Vec<(String, Value)> {
        self.documents(self.engine.deployment().version).items(kind)
    }

    fn declared_item(&self, kind: &str, name: &str) -> Option<Value> {
        self.documents(self.engine.deployment().version).item(kind, name).cloned()
    }

    fn cubes(&self) -> Arc<[(String, Value)]> {
        let deployment = self.engine.deployment();
        self.documents(deployment.version).cubes(deployment.snapshot.protocol)
    }

    fn own_object(&self, principal: &Arc<Principal>, object: &str) -> Option<OwnObject> {
        self.own(&Resolved::of(self.engine.deployment(), principal), object)
    }

    fn own_records(
        &self,
        principal: &Arc<Principal>,
        object: &str,
        ids: Option<&BTreeSet<&str>>,
    ) -> Result<OwnRecords> {
        self.own_table(&Resolved::of(self.engine.deployment(), principal), object, ids)
    }

    fn reads_every_object(&self, principal: &Arc<Principal>) -> bool {
        let resolved = Resolved::of(self.engine.deployment(), principal);
        let evaluator = resolved.evaluator();
        resolved.deployment.tables.keys().all(|object| evaluator.decide_read(object).is_allowed())
    }

    fn rights(&self, principal: &Arc<Principal>) -> Value {
        let resolved = Resolved::of(self.engine.deployment(), principal);
        rights::rights(&resolved, &self.documents(resolved.deployment.version))
    }

    fn explain(&self, principal: &Arc<Principal>, inquiry: &Inquiry) -> Result<Value> {
        let asks = Resolved::of(self.engine.deployment(), principal);
        let Some(user_id) = inquiry.user_id.as_ref().filter(|id| **id != principal.user_id) else {
            return Ok(verdict::of(&asks, inquiry, asks.administers(), true));
        };
        if !asks.administers() {
            return Err(Error::new(ErrorCode::InsufficientPrivilege, "only administrators ask for other users"));
        }
        let users = self.users.now();
        let stranger = || Principal::builder(user_id).build();
        let other = users.principal_of(user_id).map_or_else(stranger, |known| known.as_ref().clone());
        Ok(verdict::of(&Resolved::of(Arc::clone(&asks.deployment), &other), inquiry, true, false))
    }
}
