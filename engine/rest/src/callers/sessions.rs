//! Sessions of people who signed in: a random token each, kept as its hash, bounded, with an end. Knows no HTTP.

use chrono::{DateTime, Utc};
use querygate_query_api::tokens::{Admitted, Standing};
use querygate_types::Result;
use querygate_web::{TokenHash, random_token};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Sessions of one login; a further one ends the one unused for longest.
const PER_LOGIN: usize = 32;
/// Sessions of all.
const ALL: usize = 16_384;
/// Bytes that are kept of what a client calls itself.
const AGENT_BYTES_MAX: usize = 200;

/// A session that somebody opened by a password.
#[derive(Clone)]
pub(crate) struct SignedIn {
    /// Says which one it is, and opens nothing.
    pub(crate) id: Arc<str>,
    pub(crate) login: Arc<str>,
    /// Of the password.
    pub(crate) standing: Arc<dyn Standing>,
    pub(crate) opened: DateTime<Utc>,
    pub(crate) used: DateTime<Utc>,
    pub(crate) ends: DateTime<Utc>,
    pub(crate) address: Option<String>,
    pub(crate) agent: Option<String>,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("id", &self.id).field("login", &self.login).finish_non_exhaustive()
    }
}

impl SignedIn {
    fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.ends <= now || !self.standing.holds()
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Sessions {
    lifetime: Duration,
    open: Mutex<HashMap<TokenHash, SignedIn>>,
}

impl Sessions {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, open: Mutex::default() }
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenHash, SignedIn>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens one and gives its token; `None` when there are too many.
    pub(crate) fn open(
        &self,
        admitted: &Admitted,
        address: Option<String>,
        agent: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Option<String>> {
        let (token, id) = (random_token()?, random_token()?);
        let mut open = self.lock();
        open.retain(|_, session| !session.is_over(now));
        let login = admitted.principal.login.as_str();
        let own = || open.iter().filter(|(_, session)| *session.login == *login);
        if own().count() >= PER_LOGIN {
            let oldest = own().min_by_key(|(_, session)| session.used).map(|(key, _)| *key);
            oldest.map(|key| open.remove(&key));
        }
        if open.len() >= ALL {
            return Ok(None);
        }
        let agent = agent.map(|agent| agent.chars().take(AGENT_BYTES_MAX).collect());
        let session = SignedIn {
            id: id.into(),
            login: login.into(),
            standing: Arc::clone(&admitted.standing),
            opened: now,
            used: now,
            ends: now + self.lifetime,
            address,
            agent,
        };
        open.insert(TokenHash::of(&token), session);
        Ok(Some(token))
    }

    /// The session of a token, used now.
    pub(crate) fn find(&self, token: &str, now: DateTime<Utc>) -> Option<SignedIn> {
        let key = TokenHash::of(token);
        let mut open = self.lock();
        let session = open.get_mut(&key)?;
        if session.is_over(now) {
            open.remove(&key);
            return None;
        }
        session.used = now;
        Some(session.clone())
    }

    /// Those of a login, the oldest first.
    pub(crate) fn of(&self, login: &str, now: DateTime<Utc>) -> Vec<SignedIn> {
        let open = self.lock();
        let mut own: Vec<SignedIn> =
            open.values().filter(|session| *session.login == *login && !session.is_over(now)).cloned().collect();
        own.sort_by_key(|session| session.opened);
        own
    }

    pub(crate) fn close(&self, token: &str) {
        self.lock().remove(&TokenHash::of(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_query_api::tokens::Lasting;
    use querygate_types::principal::Principal;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn open(sessions: &Sessions, login: &str, now: DateTime<Utc>) -> Option<String> {
        opened(sessions, login, Arc::new(Lasting), now)
    }

    fn opened(sessions: &Sessions, login: &str, standing: Arc<dyn Standing>, now: DateTime<Utc>) -> Option<String> {
        let admitted = Admitted { principal: Arc::new(Principal::builder(login).build()), standing };
        sessions.open(&admitted, None, Some(&"x".repeat(1_000)), now).unwrap()
    }

    struct Switch(AtomicBool);

    impl Standing for Switch {
        fn holds(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_session_ends_with_what_opened_it() {
        let (sessions, now) = (Sessions::new(Duration::from_secs(60)), DateTime::UNIX_EPOCH);
        let switch = Arc::new(Switch(AtomicBool::new(true)));
        let token = opened(&sessions, "ada", Arc::<Switch>::clone(&switch), now).unwrap();
        assert!(sessions.find(&token, now).is_some());
        switch.0.store(false, Ordering::Relaxed);
        assert!(sessions.of("ada", now).is_empty() && sessions.find(&token, now).is_none());
        switch.0.store(true, Ordering::Relaxed);
        assert!(sessions.find(&token, now).is_none(), "it was forgotten");
    }

    #[test]
    fn a_token_finds_its_session_until_it_ends() {
        let (sessions, start) = (Sessions::new(Duration::from_secs(60)), DateTime::UNIX_EPOCH);
        let token = open(&sessions, "ada", start).unwrap();
        let later = start + Duration::from_secs(59);
        assert_eq!(&*sessions.find(&token, later).unwrap().login, "ada");
        assert!(sessions.find(&token[1..], later).is_none() && sessions.find("", later).is_none());
        assert_eq!(sessions.of("ada", later)[0].agent.as_ref().unwrap().len(), AGENT_BYTES_MAX);
        assert!(sessions.find(&token, start + Duration::from_secs(60)).is_none());
        assert!(sessions.find(&token, start).is_none(), "it was forgotten");
        let token = open(&sessions, "ada", start).unwrap();
        sessions.close(&token);
        assert!(sessions.find(&token, start).is_none());
    }

    #[test]
    fn sessions_are_bounded_and_one_login_cannot_take_all() {
        let (sessions, start) = (Sessions::new(Duration::from_secs(60)), DateTime::UNIX_EPOCH);
        let first = open(&sessions, "sam", start).unwrap();
        for n in 0..PER_LOGIN as u64 {
            assert!(open(&sessions, "sam", start + Duration::from_millis(n + 1)).is_some());
        }
        assert!(sessions.find(&first, start).is_none(), "the one unused for longest ended");
        for n in PER_LOGIN..ALL {
            assert!(open(&sessions, &format!("u{}", n / PER_LOGIN), start).is_some());
        }
        assert!(open(&sessions, "one too many", start).is_none());
        assert!(open(&sessions, "later", start + Duration::from_secs(61)).is_some());
    }
}
