//! How many passwords may be tried, and by whom. Bounds that an attacker reaches do not hold up the user elsewhere.

use super::throttle::Throttle;
use crate::listener::Peer;
use std::time::{Duration, Instant};

/// One login from one address: the bound on guessing.
const PAIR: (u32, Duration) = (10, Duration::from_secs(60));
/// One address, whatever it names.
const PEER: (u32, Duration) = (30, Duration::from_secs(300));
/// One login from everywhere: it takes twenty addresses at once to keep its user out.
const LOGIN: (u32, Duration) = (600, Duration::from_secs(300));

/// Counts the attempts to log in.
#[derive(Debug)]
pub struct Attempts {
    pairs: Throttle,
    peers: Throttle,
    logins: Throttle,
}

/// Who tries, and as whom.
#[derive(Debug)]
pub struct Attempt {
    pair: String,
    peer: String,
    login: String,
}

impl Attempt {
    /// An attempt to log in.
    #[must_use]
    pub fn new(peer: Peer, login: &str) -> Self {
        // An address holds no blank: no two pairs are written alike.
        Self { pair: format!("{} {login}", peer.key()), peer: peer.key(), login: login.to_owned() }
    }
}

impl Default for Attempts {
    fn default() -> Self {
        let throttle = |(most, window)| Throttle::new(most, window);
        Self { pairs: throttle(PAIR), peers: throttle(PEER), logins: throttle(LOGIN) }
    }
}

impl Attempts {
    fn each<'a>(&'a self, attempt: &'a Attempt) -> [(&'a Throttle, &'a str); 3] {
        [(&self.pairs, attempt.pair.as_str()), (&self.peers, &attempt.peer), (&self.logins, &attempt.login)]
    }

    /// Counts one, before its outcome is known.
    ///
    /// # Errors
    /// How long to wait instead.
    pub fn begin(&self, attempt: &Attempt, now: Instant) -> Result<(), Duration> {
        let wait = self.each(attempt).iter().filter_map(|(throttle, key)| throttle.wait(key, now)).max();
        if let Some(wait) = wait {
            return Err(wait);
        }
        self.each(attempt).iter().for_each(|(throttle, key)| throttle.attempt(key, now));
        Ok(())
    }

    /// Forgets one whose password was right.
    pub fn succeeded(&self, attempt: &Attempt) {
        self.each(attempt).iter().for_each(|(throttle, key)| throttle.succeeded(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8, login: &str) -> Attempt {
        Attempt::new(Peer(([10, 0, 0, last], 4_000).into()), login)
    }

    #[test]
    fn one_address_cannot_keep_a_user_out_elsewhere() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..PAIR.0 {
            attempts.begin(&from(1, "ada"), now).unwrap();
        }
        assert!(attempts.begin(&from(1, "ada"), now).is_err());
        attempts.begin(&from(2, "ada"), now).unwrap();
        attempts.begin(&from(1, "sam"), now).unwrap();
        // A whole minute later it may try again, and reaches its own bound.
        let later = now + PAIR.1;
        let more = (0..100).filter(|n| attempts.begin(&from(1, &format!("u{n}")), later).is_ok()).count();
        assert_eq!(more, 19);
        attempts.begin(&from(2, "ada"), later).unwrap();
    }

    #[test]
    fn many_addresses_guess_one_login_so_often_and_no_more() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let tried = (0..=250).flat_map(|last| (0..10).map(move |_| last));
        let begun = tried.filter(|last| attempts.begin(&from(*last, "ada"), now).is_ok()).count();
        assert_eq!(begun, LOGIN.0 as usize);
    }

    #[test]
    fn right_passwords_do_not_count() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..1_000 {
            attempts.begin(&from(1, "ada"), now).unwrap();
            attempts.succeeded(&from(1, "ada"));
        }
    }
}
