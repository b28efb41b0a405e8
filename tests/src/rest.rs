//! A gate in process behind its REST door, and people who show a token there. They have rights; metadata and keys are not served.

use crate::harness::{TestGate, runtime};
use crate::server::{Answer, Request};
use async_trait::async_trait;
use futures::future::BoxFuture;
use querygate_query_api::requests::platform::{Inquiry, NewKey, Person, Platform};
use querygate_query_api::scram::ScramVerifier;
use querygate_query_api::service::Authenticator;
use querygate_query_api::tokens::{Proven, Standing, TokenRefusal, Tokens};
use querygate_rest::{RestConfig, RestDoor};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use ring::{digest, hmac, pbkdf2};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A door that is open until it is dropped.
#[derive(Debug)]
pub struct RestServer {
    address: SocketAddr,
    _open: oneshot::Sender<()>,
}

impl RestServer {
    /// A door of a gate. Each login name is the token of its user, too.
    ///
    /// # Panics
    /// When no port is to be had.
    #[must_use]
    pub fn over(gate: &TestGate, people: &[&Principal], settings: impl FnOnce(&mut RestConfig)) -> Self {
        let mut config = RestConfig::new("127.0.0.1:0".parse().unwrap(), "test");
        (config.requests_per_user, config.requests_per_key) = (0, 0);
        settings(&mut config);
        let entrance = Arc::new(Entrance::of(people));
        let (authenticator, platform): (Arc<dyn Authenticator>, Arc<dyn Platform>) =
            (Arc::clone(&entrance) as _, entrance);
        let door = RestDoor::bind(config, gate.service(), authenticator, platform, Arc::new(|| true));
        let door = runtime().block_on(door).unwrap();
        let (open, closed) = oneshot::channel::<()>();
        let address = door.local_addr().unwrap();
        runtime().spawn(door.serve(async move {
            let _ = closed.await;
        }));
        Self { address, _open: open }
    }

    /// The answer to a request below `/api/v1`.
    #[must_use]
    pub fn send(&self, login: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = Request::new(method, &format!("/api/v1{path}")).header("x-api-key", login);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        request.send(self.address)
    }
}

/// Lets people in whose login names are their passwords and tokens.
pub(crate) struct Entrance {
    people: BTreeMap<String, Arc<Principal>>,
}

impl Entrance {
    pub(crate) fn of(people: &[&Principal]) -> Self {
        let people = people.iter().map(|who| (who.login.clone(), Arc::new((*who).clone())));
        Self { people: people.collect() }
    }
}

struct Always;

impl Standing for Always {
    fn holds(&self) -> bool {
        true
    }
}

#[async_trait]
impl Tokens for Entrance {
    fn has_form(&self, _: &str) -> bool {
        true
    }

    async fn prove(&self, token: &str, _: Option<SocketAddr>) -> Result<Proven, TokenRefusal> {
        let principal = self.people.get(token).ok_or(TokenRefusal::Wrong)?;
        Ok(Proven { principal: Arc::clone(principal), id: token.into(), standing: Arc::new(Always) })
    }
}

impl Authenticator for Entrance {
    fn scram_verifier(&self, user: &str) -> ScramVerifier {
        let (salt, rounds) = (b"salt", NonZeroU32::new(4_096).unwrap());
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, user.as_bytes(), &mut salted);
        let key = |name: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), name);
        let stored = digest::digest(&digest::SHA256, key(b"Client Key").as_ref());
        ScramVerifier {
            iterations: rounds.get(),
            salt: salt.to_vec(),
            stored_key: stored.as_ref().try_into().unwrap(),
            server_key: key(b"Server Key").as_ref().try_into().unwrap(),
        }
    }

    fn principal(&self, user: &str) -> Option<Arc<Principal>> {
        self.people.get(user).cloned()
    }

    fn has_database(&self, _: &str) -> bool {
        true
    }

    fn tokens(&self) -> Option<&dyn Tokens> {
        Some(self)
    }
}

impl Platform for Entrance {
    fn login_of_email(&self, _: &str) -> Option<String> {
        None
    }

    fn person(&self, _: &str) -> Option<Person> {
        None
    }

    fn keeps_keys(&self) -> bool {
        false
    }

    fn keep_key(&self, _: NewKey) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { Err(Error::new(ErrorCode::FeatureNotSupported, "keys")) })
    }

    fn version(&self) -> u64 {
        1
    }

    fn refuses_absent_session(&self) -> bool {
        true
    }

    fn refuses_wrong_numbers(&self) -> bool {
        true
    }

    fn types(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    fn items(&self, _: &Arc<Principal>, _: &str) -> Vec<(String, Value)> {
        Vec::new()
    }

    fn declared(&self, _: &str) -> Vec<(String, Value)> {
        Vec::new()
    }

    fn cubes(&self) -> Arc<[(String, Value)]> {
        Arc::default()
    }

    fn reads_every_object(&self, _: &Arc<Principal>) -> bool {
        false
    }

    fn rights(&self, _: &Arc<Principal>) -> Value {
        Value::Null
    }

    fn explain(&self, _: &Arc<Principal>, _: &Inquiry) -> Result<Value> {
        Err(Error::new(ErrorCode::FeatureNotSupported, "verdicts"))
    }
}
