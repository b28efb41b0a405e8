//! Who may log in, as the configuration says now: one value, replaced as a whole. What was changed of a user ends what was opened before.

use crate::config::{Config, Issuer, User};
use crate::verifier;
use querygate_issuers::Issuers;
use querygate_query_api::scram::ScramVerifier;
use querygate_query_api::tokens::Standing;
use querygate_types::principal::Principal;
use querygate_types::{Error, Result};
use ring::rand::SystemRandom;
use ring::{digest, hmac};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// How long somebody is who the configuration said: until it says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Tenure {
    is_over: AtomicBool,
}

impl Tenure {
    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

impl Standing for Tenure {
    fn holds(&self) -> bool {
        !self.is_over.load(Ordering::Acquire)
    }
}

/// A configured user.
pub(crate) struct Known {
    user: User,
    pub(crate) tenure: Arc<Tenure>,
}

impl Known {
    pub(crate) fn principal(&self) -> &Arc<Principal> {
        &self.user.principal
    }

    /// What a password must prove; `None`: none lets this user in.
    pub(crate) fn verifier(&self) -> Option<&ScramVerifier> {
        self.user.verifier.as_ref().filter(|_| !self.user.disabled)
    }

    /// Whether anything lets this user in.
    pub(crate) fn is_enabled(&self) -> bool {
        !self.user.disabled
    }

    /// Whether what was opened for this user goes on under the other entry.
    fn goes_on_as(&self, other: &User) -> bool {
        let User { name, verifier, disabled, principal, sets_at: _, positions_at: _ } = &self.user;
        (name, verifier, disabled, principal) == (&other.name, &other.verifier, &other.disabled, &other.principal)
    }
}

/// Whose tokens let users in.
pub(crate) struct Issued {
    pub(crate) issuers: Issuers,
    by_name: HashMap<String, Issuer>,
    pub(crate) tenure: Arc<Tenure>,
}

impl Issued {
    fn new(configured: &[Issuer]) -> Result<Self> {
        Ok(Self {
            issuers: Issuers::new(configured.iter().map(|issuer| issuer.oidc.clone()).collect())?,
            by_name: configured.iter().map(|issuer| (issuer.oidc.issuer.clone(), issuer.clone())).collect(),
            tenure: Arc::default(),
        })
    }

    pub(crate) fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.by_name.get(name)
    }

    fn is_of(&self, configured: &[Issuer]) -> bool {
        let is_same = |issuer: &Issuer| self.by_name.get(&issuer.oidc.issuer) == Some(issuer);
        self.by_name.len() == configured.len() && configured.iter().all(is_same)
    }
}

/// All who may log in, at one moment.
pub(crate) struct Directory {
    users: HashMap<String, Known>,
    /// Login names by address in lower case, of those who log in by a password.
    addresses: HashMap<String, String>,
    pub(crate) issued: Option<Arc<Issued>>,
    /// Unknown users' made-up verifiers derive from it.
    pub(crate) mock_key: hmac::Key,
    /// Iterations and salt length of each configured verifier: made-up ones are like one of them.
    pub(crate) shapes: Vec<(u32, usize)>,
}

impl Directory {
    pub(crate) fn user(&self, name: &str) -> Option<&Known> {
        self.users.get(name)
    }

    /// The principal of a user's id.
    pub(crate) fn principal_of(&self, user_id: &str) -> Option<&Arc<Principal>> {
        self.users.values().map(Known::principal).find(|principal| principal.user_id == user_id)
    }

    /// All of them, in no order.
    pub(crate) fn principals(&self) -> impl Iterator<Item = &Arc<Principal>> {
        self.users.values().map(Known::principal)
    }

    pub(crate) fn login_of(&self, email: &str) -> Option<&String> {
        self.addresses.get(&email.to_lowercase())
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// What a configuration says, after what another one said. A user who is as before goes on.
    fn of(config: &Config, before: Option<&Self>) -> Result<Self> {
        let known = |user: &User| {
            let same = before.and_then(|before| before.user(&user.name)).filter(|known| known.goes_on_as(user));
            Known { user: user.clone(), tenure: same.map(|known| Arc::clone(&known.tenure)).unwrap_or_default() }
        };
        let logins = || config.users.iter().filter(|user| user.verifier.is_some() && !user.disabled);
        let address = |user: &User| Some((user.principal.email.as_ref()?.to_lowercase(), user.name.clone()));
        let kept = before.and_then(|before| before.issued.clone()).filter(|issued| issued.is_of(&config.issuers));
        let issued = match kept {
            None if !config.issuers.is_empty() => Some(Arc::new(Issued::new(&config.issuers)?)),
            kept => kept,
        };
        let shapes = shapes(config);
        Ok(Self {
            users: config.users.iter().map(|user| (user.name.clone(), known(user))).collect(),
            addresses: logins().filter_map(address).collect(),
            issued,
            // Others than before would tell made-up verifiers, which change with them, from those of users, which do not.
            mock_key: before.map_or_else(|| mock_key(config), |before| Ok(before.mock_key.clone()))?,
            shapes: match before {
                Some(before) if set_of(&before.shapes) == set_of(&shapes) => before.shapes.clone(),
                Some(_) | None => shapes,
            },
        })
    }
}

fn set_of(shapes: &[(u32, usize)]) -> BTreeSet<&(u32, usize)> {
    shapes.iter().collect()
}

fn shapes(config: &Config) -> Vec<(u32, usize)> {
    let verifiers = config.users.iter().filter_map(|user| user.verifier.as_ref());
    let shapes: Vec<_> = verifiers.map(|verifier| (verifier.iterations, verifier.salt.len())).collect();
    if shapes.is_empty() { vec![(verifier::ITERATIONS_DEFAULT.get(), verifier::SALT_BYTES)] } else { shapes }
}

/// A key that stays the same over restarts, as the salts of known users do: a salt that changes would tell that its user is
/// unknown. Made of all verifiers, so that no user can work it out from the one of its own password.
fn mock_key(config: &Config) -> Result<hmac::Key> {
    let verifiers = config.users.iter().filter_map(|user| user.verifier.as_ref());
    let mut secrets: Vec<_> = verifiers.map(|verifier| (verifier.server_key, verifier.stored_key)).collect();
    if secrets.is_empty() {
        return hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| Error::internal("the system gives no random bytes"));
    }
    secrets.sort_unstable();
    let mut all = digest::Context::new(&digest::SHA256);
    all.update(b"made-up verifiers");
    for (server_key, stored_key) in &secrets {
        all.update(server_key);
        all.update(stored_key);
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, all.finish().as_ref()))
}

/// Who may log in now. What asks shares it.
pub(crate) struct Users {
    now: RwLock<Arc<Directory>>,
}

/// What [`Users::replace`] puts in force: everything that could fail is done.
pub(crate) struct Next(Directory);

impl Users {
    /// # Errors
    /// The system gives no random bytes, or issuers cannot be asked.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        Ok(Self { now: RwLock::new(Arc::new(Directory::of(config, None)?)) })
    }

    pub(crate) fn now(&self) -> Arc<Directory> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who may log in by another configuration. Nothing is changed yet.
    ///
    /// # Errors
    /// Issuers cannot be asked.
    pub(crate) fn next(&self, config: &Config) -> Result<Next> {
        Directory::of(config, Some(&self.now())).map(Next)
    }

    /// From now on, these. Ends what was opened for who is not there any more, or is another one; gives their names.
    pub(crate) fn replace(&self, Next(next): Next) -> Vec<String> {
        let next = Arc::new(next);
        let before =
            std::mem::replace(&mut *self.now.write().unwrap_or_else(PoisonError::into_inner), Arc::clone(&next));
        let goes_on =
            |name: &str, tenure: &Arc<Tenure>| next.user(name).is_some_and(|known| Arc::ptr_eq(&known.tenure, tenure));
        let mut ended = Vec::new();
        for (name, known) in before.users.iter().filter(|(name, known)| !goes_on(name, &known.tenure)) {
            known.tenure.end();
            ended.push(name.clone());
        }
        if let Some(issued) = &before.issued
            && !next.issued.as_ref().is_some_and(|now| Arc::ptr_eq(now, issued))
        {
            issued.tenure.end();
        }
        ended.sort();
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, parse};
    use std::path::Path;

    const ONE: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    fn config(tables: &str) -> Config {
        let text = format!("[metadata]\npath = \"m\"\n{tables}");
        let environment = Environment::fixed(Path::new("/nowhere"), &[]);
        let (config, report) = parse(Path::new("/nowhere/querygate.toml"), &text, &environment);
        config.unwrap_or_else(|| panic!("{:?}", report.diagnostics))
    }

    fn user(name: &str, lines: &str) -> String {
        format!("[[users]]\nname = \"{name}\"\nverifier = \"{ONE}\"\n{lines}\n")
    }

    #[test]
    fn whoever_is_changed_is_somebody_else_from_then_on() {
        let other = verifier::print(&verifier::create("other").unwrap());
        let nora = user("nora", "positions = [\"rep\"]\norganization = \"o1\"");
        let changed = [
            String::new(),
            user("nora", "positions = [\"chief\"]\norganization = \"o1\""),
            user("nora", "positions = [\"rep\"]\norganization = \"o1\"\ndisabled = true"),
            nora.replace(ONE, &other),
        ];
        for text in changed {
            let users = Users::new(&config(&format!("{}{nora}", user("ada", "organization = \"o1\"")))).unwrap();
            let before = users.now();
            let [ada, old] = ["ada", "nora"].map(|name| Arc::clone(&before.user(name).unwrap().tenure));
            let same = config(&format!("{nora}{}", user("ada", "organization = \"o1\"")));
            assert!(users.replace(users.next(&same).unwrap()).is_empty() && old.holds(), "the order says nothing");
            let next = config(&format!(
                "{text}{}{}",
                user("ada", "organization = \"o1\""),
                user("zoe", "organization = \"o1\"")
            ));
            let next = users.next(&next).unwrap();
            assert!(old.holds(), "nothing is in force yet");
            assert_eq!(users.replace(next), ["nora"], "{text}");
            assert!(!old.holds() && ada.holds(), "colleagues who come and go end nothing");
            let now = users.now();
            assert!(now.user("nora").is_none_or(|known| known.tenure.holds()));
            assert!(now.user("nora").is_none_or(|known| known.verifier().is_some() == known.is_enabled()));
        }
    }

    #[test]
    fn made_up_verifiers_stay_as_users_come_and_go() {
        let users = Users::new(&config(&user("nora", ""))).unwrap();
        let before = users.now();
        users.replace(users.next(&config(&format!("{}{}", user("ada", ""), user("zoe", "")))).unwrap());
        let now = users.now();
        let sign = |directory: &Directory| hmac::sign(&directory.mock_key, b"ghost").as_ref().to_vec();
        assert_eq!((sign(&before), &before.shapes), (sign(&now), &now.shapes));
    }

    #[test]
    fn other_issuers_end_what_tokens_opened() {
        let issuer =
            |audience: &str| format!("[[issuers]]\nissuer = \"https://i.example\"\naudience = \"{audience}\"\n");
        let users = Users::new(&config(&issuer("one"))).unwrap();
        let tenure = Arc::clone(&users.now().issued.as_ref().unwrap().tenure);
        users.replace(users.next(&config(&issuer("one"))).unwrap());
        assert!(tenure.holds());
        users.replace(users.next(&config(&issuer("two"))).unwrap());
        assert!(!tenure.holds());
        users.replace(users.next(&config("")).unwrap());
        assert!(users.now().issued.is_none());
    }
}
