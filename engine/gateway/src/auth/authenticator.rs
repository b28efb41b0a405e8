//! The authenticator over the configured users. No I/O, no clock.

use crate::auth::tokens::GateTokens;
use crate::config::Config;
use crate::platform::KeyFile;
use crate::users::{Directory, Tenure, Users};
use crate::verifier;
use querygate_query_api::scram::ScramVerifier;
use querygate_query_api::service::Authenticator;
use querygate_query_api::tokens::{Admitted, Candidate, Tokens};
use querygate_types::principal::Principal;
use ring::hmac;
use std::sync::Arc;

/// Knows the users of the configuration, as it is now.
pub(crate) struct ConfigAuthenticator {
    users: Arc<Users>,
    database: String,
    tokens: GateTokens,
}

impl std::fmt::Debug for ConfigAuthenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigAuthenticator").field("users", &self.users.now().len()).finish_non_exhaustive()
    }
}

impl ConfigAuthenticator {
    pub(crate) fn new(config: &Config, users: Arc<Users>, keys: Option<KeyFile>) -> Self {
        let tokens = GateTokens::new(Arc::clone(&users), keys);
        Self { users, database: config.server.database.clone(), tokens }
    }
}

impl Directory {
    /// A verifier that no password fits: its keys are the output of a keyed hash, not of a password. Stable per
    /// name within the process, as PostgreSQL's `mock_authentication_nonce` makes it, so that asking twice does not
    /// tell an unknown user from a known one. Its iterations and salt length are those of some configured user, chosen by
    /// the name: as many names have them as if the name were one more user.
    fn made_up(&self, user: &str) -> ScramVerifier {
        let part = |label: &str, block: u32| {
            let mut context = hmac::Context::with_key(&self.mock_key);
            context.update(label.as_bytes());
            context.update(&[0]);
            context.update(&block.to_be_bytes());
            context.update(user.as_bytes());
            let mut bytes = [0_u8; 32];
            bytes.copy_from_slice(context.sign().as_ref());
            bytes
        };
        let [a, b, c, d, ..] = part("shape", 0);
        let choice = u32::from_be_bytes([a, b, c, d]) as usize % self.shapes.len().max(1);
        let default = (verifier::ITERATIONS_DEFAULT.get(), verifier::SALT_BYTES);
        let (iterations, salt_bytes) = self.shapes.get(choice).copied().unwrap_or(default);
        ScramVerifier {
            iterations,
            salt: (0..).flat_map(|block| part("salt", block)).take(salt_bytes).collect(),
            stored_key: part("stored key", 0),
            server_key: part("server key", 0),
        }
    }
}

impl Authenticator for ConfigAuthenticator {
    fn scram_verifier(&self, user: &str) -> ScramVerifier {
        self.candidate(user).verifier
    }

    fn principal(&self, user: &str) -> Option<Arc<Principal>> {
        self.candidate(user).admitted.map(|admitted| admitted.principal)
    }

    fn candidate(&self, user: &str) -> Candidate {
        let users = self.users.now();
        // The made-up one is computed in every case, so that the time is the same.
        let made_up = users.made_up(user);
        let known = users.user(user).and_then(|known| Some((known, known.verifier()?)));
        match known {
            Some((known, verifier)) => {
                let (principal, standing) = (Arc::clone(known.principal()), Arc::<Tenure>::clone(&known.tenure));
                Candidate { verifier: verifier.clone(), admitted: Some(Admitted { principal, standing }) }
            }
            None => Candidate { verifier: made_up, admitted: None },
        }
    }

    fn has_database(&self, database: &str) -> bool {
        database == self.database
    }

    fn tokens(&self) -> Option<&dyn Tokens> {
        self.tokens.takes_any().then_some(&self.tokens as &dyn Tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authenticator() -> ConfigAuthenticator {
        with_users(&[("a", verifier::create("right").unwrap())])
    }

    /// These users, and one without a verifier.
    fn with_users(users: &[(&str, ScramVerifier)]) -> ConfigAuthenticator {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.toml");
        let mut text = "[server]\ndatabase = \"d\"\n[metadata]\npath = \"m\"\n[[users]]\nname = \"robot\"\n".to_owned();
        for (name, verifier) in users {
            text += &format!("[[users]]\nname = \"{name}\"\nverifier = \"{}\"\n", verifier::print(verifier));
        }
        std::fs::write(&file, text).unwrap();
        let config = crate::config::load(&file).0.unwrap();
        ConfigAuthenticator::new(&config, Arc::new(Users::new(&config).unwrap()), None)
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
    fn made_up_verifiers_outlive_a_restart() {
        let users = [("a", verifier::create("one").unwrap()), ("b", verifier::create("two").unwrap())];
        let [a, b] = users.clone();
        let (ghost, again) = (with_users(&users), with_users(&[b, a.clone()]));
        assert!(ghost.scram_verifier("ghost") == again.scram_verifier("ghost"));
        assert!(ghost.scram_verifier("ghost") != with_users(&[a]).scram_verifier("ghost"));
    }

    #[test]
    fn made_up_verifiers_are_shaped_like_the_configured_ones() {
        let derived =
            |iterations, salt: &[u8]| verifier::derive("x", salt, std::num::NonZeroU32::new(iterations).unwrap());
        let auth = with_users(&[("a", derived(5_000, &[1; 40])), ("b", derived(4_096, &[2; 16]))]);
        let mut seen = std::collections::BTreeMap::new();
        for n in 0..200 {
            let ghost = auth.scram_verifier(&format!("ghost{n}"));
            *seen.entry((ghost.iterations, ghost.salt.len())).or_insert(0) += 1;
        }
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [(4_096, 16), (5_000, 40)]);
        assert!(seen.values().all(|count| *count > 50), "{seen:?}");
        let robot = auth.scram_verifier("robot");
        assert!(seen.contains_key(&(robot.iterations, robot.salt.len())));
        let nobody = with_users(&[]).scram_verifier("ghost");
        assert_eq!((nobody.iterations, nobody.salt.len()), (4_096, 16));
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
