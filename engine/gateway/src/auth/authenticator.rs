//! The authenticator over the configured users. No I/O, no clock.

use super::verifier;
use crate::config::Config;
use querygate_query_api::{Authenticator, ScramVerifier};
use querygate_types::{Error, Principal, Result};
use ring::hmac;
use ring::rand::SystemRandom;
use std::collections::HashMap;
use std::sync::Arc;

struct Known {
    verifier: Option<ScramVerifier>,
    principal: Arc<Principal>,
}

/// Knows the users of the configuration.
pub(crate) struct ConfigAuthenticator {
    users: HashMap<String, Known>,
    database: String,
    /// Of this process: unknown users' made-up verifiers derive from it.
    mock_key: hmac::Key,
}

impl std::fmt::Debug for ConfigAuthenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigAuthenticator").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

impl ConfigAuthenticator {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let mock_key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| Error::internal("the system gives no random bytes"))?;
        let known = |user: &crate::config::User| Known {
            verifier: user.verifier.clone(),
            principal: Arc::clone(&user.principal),
        };
        Ok(Self {
            users: config.users.iter().map(|user| (user.name.clone(), known(user))).collect(),
            database: config.server.database.clone(),
            mock_key,
        })
    }

    /// A verifier that no password fits: its keys are the output of a keyed hash, not of a password. Stable per
    /// name within the process, as PostgreSQL's `mock_authentication_nonce` makes it, so that asking twice does not
    /// tell an unknown user from a known one.
    fn made_up(&self, user: &str) -> ScramVerifier {
        let part = |label: &str| {
            let mut context = hmac::Context::with_key(&self.mock_key);
            context.update(label.as_bytes());
            context.update(&[0]);
            context.update(user.as_bytes());
            context.sign()
        };
        let array = |label: &str| {
            let mut bytes = [0_u8; 32];
            bytes.copy_from_slice(part(label).as_ref());
            bytes
        };
        ScramVerifier {
            iterations: verifier::ITERATIONS_DEFAULT.get(),
            salt: array("salt")[..16].to_vec(),
            stored_key: array("stored key"),
            server_key: array("server key"),
        }
    }
}

impl Authenticator for ConfigAuthenticator {
    fn scram_verifier(&self, user: &str) -> ScramVerifier {
        // The made-up one is computed in every case, so that the time is the same.
        let made_up = self.made_up(user);
        match self.users.get(user).and_then(|known| known.verifier.as_ref()) {
            Some(verifier) => verifier.clone(),
            None => made_up,
        }
    }

    fn principal(&self, user: &str) -> Option<Arc<Principal>> {
        let known = self.users.get(user)?;
        known.verifier.as_ref()?;
        Some(Arc::clone(&known.principal))
    }

    fn has_database(&self, database: &str) -> bool {
        database == self.database
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authenticator() -> ConfigAuthenticator {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.toml");
        let verifier = verifier::print(&verifier::create("right").unwrap());
        let text = format!(
            "[server]\ndatabase = \"d\"\n[metadata]\npath = \"m\"\n[[users]]\nname = \"a\"\nverifier = \"{verifier}\"\n[[users]]\nname = \"robot\"\n"
        );
        std::fs::write(&file, text).unwrap();
        ConfigAuthenticator::new(&crate::config::load(&file).0.unwrap()).unwrap()
    }

    #[test]
    fn known_users_get_their_verifier_and_unknown_ones_a_stable_made_up_one() {
        let auth = authenticator();
        let known = auth.scram_verifier("a");
        assert!(verifier::derive("right", &known.salt, verifier::ITERATIONS_DEFAULT) == known);
        let ghost = auth.scram_verifier("ghost");
        assert!(ghost == auth.scram_verifier("ghost"));
        assert!(ghost != auth.scram_verifier("ghost2") && ghost != authenticator().scram_verifier("ghost"));
        assert_eq!((ghost.iterations, ghost.salt.len()), (known.iterations, known.salt.len()));
    }

    #[test]
    fn only_those_who_can_prove_something_have_a_principal() {
        let auth = authenticator();
        assert_eq!(auth.principal("a").unwrap().login, "a");
        assert!(auth.principal("ghost").is_none());
        assert!(auth.principal("robot").is_none(), "a user without a verifier cannot log in");
        assert!(auth.has_database("d") && !auth.has_database("postgres"));
    }
}
