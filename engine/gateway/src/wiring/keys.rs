//! API keys as what users hold: shown in `querygate.held`, and revoked by operators.

use crate::platform::KeyFile;
use async_trait::async_trait;
use querygate_query::EngineOptions;
use querygate_query_api::requests::platform::NewKey;
use querygate_telemetry_api::system::{
    Cell, CellKind, HeldByUser, Holder, SystemExtension, SystemProcedure, SystemRelation,
};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const REVOKE: &str = "revoke_key";

/// Those of a file.
#[derive(Debug)]
struct HeldKeys(KeyFile);

/// Shows keys, where there is a file of them, and lets operators revoke them.
pub(super) fn attach(mut options: EngineOptions, keys: Option<&KeyFile>) -> EngineOptions {
    if let Some(keys) = keys {
        let keys = Arc::new(HeldKeys(keys.clone()));
        options.holders.push(Arc::<HeldKeys>::clone(&keys));
        options.extensions.push(keys);
    }
    options
}

/// The key as its owner holds it; `None`: it has ended.
fn held(key: NewKey, now: SystemTime) -> Option<HeldByUser> {
    let at = |ms: i64| SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or_default());
    let holds = key.expires_ms.is_none_or(|end| at(end) > now);
    let state = if key.scope.is_some() { "narrowed" } else { "" };
    let (login, name, since) = (key.login, key.id, at(key.created_ms));
    holds.then_some(HeldByUser { login, kind: "API key", name, state, since })
}

impl Holder for HeldKeys {
    fn held(&self) -> Result<Vec<HeldByUser>> {
        let now = SystemTime::now();
        Ok(self.0.list()?.into_iter().filter_map(|key| held(key, now)).collect())
    }
}

#[async_trait]
impl SystemExtension for HeldKeys {
    fn relations(&self) -> Vec<SystemRelation> {
        Vec::new()
    }

    fn rows(&self, relation: &str, _reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        Err(Error::internal(format_args!("no relation {relation}")))
    }

    fn procedures(&self) -> Vec<SystemProcedure> {
        vec![SystemProcedure { name: REVOKE, arguments: &[("key", CellKind::Text)], optional: 0 }]
    }

    async fn call(&self, procedure: &str, arguments: &[Cell], _caller: &Principal) -> Result<String> {
        if procedure != REVOKE {
            return Err(Error::internal(format_args!("no procedure {procedure}")));
        }
        let [Cell::Text(id)] = arguments else {
            return Err(Error::new(ErrorCode::NullValueNotAllowed, "the id of a key is wanted"));
        };
        let (keys, wanted) = (self.0.clone(), id.clone());
        let was_there = tokio::task::spawn_blocking(move || keys.revoke(&wanted)).await.map_err(Error::internal)??;
        if was_there {
            return Ok(format!("key {id} is revoked"));
        }
        Err(Error::new(ErrorCode::InvalidParameterValue, format!("there is no key \"{id}\""))
            .with_hint("querygate.held has their ids."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_until_it_ends() {
        let key = |expires_ms| NewKey {
            id: "k1".to_owned(),
            name: "for a program".to_owned(),
            login: "ada".to_owned(),
            hash: "h".to_owned(),
            prefix: "osk_".to_owned(),
            created_ms: 5,
            expires_ms,
            scope: None,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(100);
        let shown = held(key(Some(101)), now).unwrap();
        assert_eq!((shown.login.as_str(), shown.name.as_str(), shown.state), ("ada", "k1", ""));
        assert_eq!(shown.since, SystemTime::UNIX_EPOCH + Duration::from_millis(5));
        assert!(held(key(None), now).is_some() && held(key(Some(100)), now).is_none());
    }
}
