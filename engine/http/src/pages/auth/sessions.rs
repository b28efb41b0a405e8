//! Sessions of browsers: a random token in a cookie, a random token in forms, an end by time. Keeps hashes of the first only.

use querygate_query_api::tokens::{Admitted, LOOK_EVERY, Standing};
use querygate_types::Result;
use querygate_types::principal::Principal;
use querygate_web::{TokenHash, random_token};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Silence after which a browser must log in again.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long one login is good for at most.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// Sessions of one login; a further one ends the one unused for longest.
const SEATS_PER_LOGIN: usize = 16;
/// Sessions of all.
const SEATS_MAX: usize = 1_024;

/// A logged-in browser.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) principal: Arc<Principal>,
    /// Of the password that it was taken by.
    standing: Arc<dyn Standing>,
    /// What forms that change something must carry.
    pub(crate) form_token: Arc<str>,
    opened: Instant,
    used: Instant,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("login", &self.principal.login).finish_non_exhaustive()
    }
}

impl Seat {
    /// The same seat for the principal as the configuration now has it.
    pub(crate) fn with(self, principal: Arc<Principal>) -> Self {
        Self { principal, ..self }
    }

    fn is_over(&self, now: Instant) -> bool {
        let since = |then| now.saturating_duration_since(then);
        since(self.used) >= IDLE || since(self.opened) >= LIFETIME || !self.standing.holds()
    }

    /// Ends when the password that it was taken by no longer holds.
    pub(crate) async fn over(&self) {
        querygate_web::over(|| self.standing.holds(), LOOK_EVERY).await;
    }
}

/// All of them. Looked up by the hash of a token: the time of a look-up tells nothing of a token.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    seats: Mutex<HashMap<TokenHash, Seat>>,
}

impl Seats {
    fn lock(&self) -> MutexGuard<'_, HashMap<TokenHash, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seats somebody and gives the token for the cookie; `None` when all seats are taken.
    pub(crate) fn open(&self, Admitted { principal, standing }: Admitted, now: Instant) -> Result<Option<String>> {
        let (token, form_token) = (random_token()?, random_token()?.into());
        let mut seats = self.lock();
        seats.retain(|_, seat| !seat.is_over(now));
        let own = || seats.iter().filter(|(_, seat)| seat.principal.login == principal.login);
        if own().count() >= SEATS_PER_LOGIN {
            let oldest = own().min_by_key(|(_, seat)| seat.used).map(|(key, _)| *key);
            oldest.map(|key| seats.remove(&key));
        }
        if seats.len() >= SEATS_MAX {
            return Ok(None);
        }
        seats.insert(TokenHash::of(&token), Seat { principal, standing, form_token, opened: now, used: now });
        Ok(Some(token))
    }

    /// The seat of a token, used now.
    pub(crate) fn find(&self, token: &str, now: Instant) -> Option<Seat> {
        let key = TokenHash::of(token);
        let mut seats = self.lock();
        let seat = seats.get_mut(&key)?;
        if seat.is_over(now) {
            seats.remove(&key);
            return None;
        }
        seat.used = now;
        Some(seat.clone())
    }

    pub(crate) fn close(&self, token: &str) {
        self.lock().remove(&TokenHash::of(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_query_api::tokens::Lasting;

    fn who(login: &str) -> Admitted {
        Admitted { principal: Arc::new(Principal::builder(login).build()), standing: Arc::new(Lasting) }
    }

    #[test]
    fn a_token_finds_its_seat_until_it_is_idle_old_or_closed() {
        let (seats, start) = (Seats::default(), Instant::now());
        let token = seats.open(who("ada"), start).unwrap().unwrap();
        assert_eq!(seats.find(&token, start).unwrap().principal.login, "ada");
        assert!(seats.find("", start).is_none() && seats.find(&token[1..], start).is_none());
        // Used every 20 minutes, it lives on, but not for ever.
        let uses = (1..=35).map(|n| start + Duration::from_secs(n * 20 * 60));
        assert!(uses.clone().all(|at| seats.find(&token, at).is_some()));
        assert!(seats.find(&token, start + LIFETIME).is_none());
        let token = seats.open(who("ada"), start).unwrap().unwrap();
        assert!(seats.find(&token, start + IDLE).is_none() && seats.find(&token, start).is_none());
        let token = seats.open(who("ada"), start).unwrap().unwrap();
        seats.close(&token);
        assert!(seats.find(&token, start).is_none());
    }

    #[test]
    fn seats_are_bounded_and_one_login_cannot_take_all() {
        let (seats, start) = (Seats::default(), Instant::now());
        let first = seats.open(who("sam"), start).unwrap().unwrap();
        for n in 0..SEATS_PER_LOGIN as u64 {
            assert!(seats.open(who("sam"), start + Duration::from_secs(n + 1)).unwrap().is_some());
        }
        assert!(seats.find(&first, start).is_none(), "the one unused for longest ended");
        for n in SEATS_PER_LOGIN..SEATS_MAX {
            assert!(seats.open(who(&format!("u{n}")), start).unwrap().is_some());
        }
        assert!(seats.open(who("one too many"), start).unwrap().is_none());
        assert!(seats.open(who("later"), start + IDLE + IDLE).unwrap().is_some());
    }
}
