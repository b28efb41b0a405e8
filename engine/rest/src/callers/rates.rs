//! How many requests a second an address, a user and a key may send. Bounded in memory; knows no route.

use crate::config::RestConfig;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use querygate_web::Peer;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::time::Duration;

/// Counters of one kind: a name has the one that its hash says, so that there are never more, whatever names come. Two names of one
/// counter share a rate; which ones they are is random in each process.
const SLOTS: u64 = 1 << 16;
/// Seconds of a pause that are saved up, to be spent at once.
const BURST_SECONDS: u32 = 2;

/// The rates of a door.
pub(crate) struct Rates {
    addresses: Option<Rate>,
    users: Option<Rate>,
    keys: Option<Rate>,
}

struct Rate {
    limiter: DefaultKeyedRateLimiter<u64>,
    hashes: RandomState,
    clock: DefaultClock,
}

impl Rates {
    pub(crate) fn new(config: &RestConfig) -> Self {
        Self {
            addresses: Rate::new(config.requests_per_address),
            users: Rate::new(config.requests_per_user),
            keys: Rate::new(config.requests_per_key),
        }
    }

    /// How long an address has to wait. Those of this machine need not: a proxy is there, with requests of all.
    pub(crate) fn wait_of_address(&self, peer: Peer) -> Option<Duration> {
        if peer.0.ip().to_canonical().is_loopback() {
            return None;
        }
        self.addresses.as_ref()?.wait(&peer.key())
    }

    /// How long a user has to wait, and the key that was shown.
    pub(crate) fn wait_of_user(&self, login: &str, key: Option<&str>) -> Option<Duration> {
        let by_key = key.and_then(|key| self.keys.as_ref()?.wait(key));
        by_key.or_else(|| self.users.as_ref()?.wait(login))
    }
}

impl Rate {
    /// `None`: any number.
    fn new(per_second: u32) -> Option<Self> {
        let rate = NonZeroU32::new(per_second)?;
        let burst = rate.saturating_mul(NonZeroU32::new(BURST_SECONDS)?);
        let limiter = RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst));
        Some(Self { limiter, hashes: RandomState::new(), clock: DefaultClock::default() })
    }

    fn wait(&self, name: &str) -> Option<Duration> {
        let slot = self.hashes.hash_one(name) % SLOTS;
        self.limiter.check_key(&slot).err().map(|until| until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(per_second: u32) -> Rates {
        let mut config = RestConfig::new("127.0.0.1:0".parse().unwrap(), "d");
        config.requests_per_address = per_second;
        config.requests_per_user = per_second;
        config.requests_per_key = per_second;
        Rates::new(&config)
    }

    fn peer(address: &str) -> Peer {
        Peer(address.parse().unwrap())
    }

    #[test]
    fn each_name_has_a_rate_of_its_own_and_hears_how_long_to_wait() {
        let rates = rates(5);
        for _ in 0..10 {
            assert_eq!(rates.wait_of_address(peer("10.0.0.1:1")), None);
        }
        let wait = rates.wait_of_address(peer("10.0.0.1:2")).unwrap();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(200), "{wait:?}");
        assert_eq!(rates.wait_of_address(peer("10.0.0.2:1")), None);
        for _ in 0..10 {
            assert_eq!(rates.wait_of_user("ada", Some("k1")), None);
        }
        assert!(rates.wait_of_user("ada", Some("k1")).is_some());
        assert!(rates.wait_of_user("ada", None).is_some(), "a user is counted over all keys");
        assert_eq!(rates.wait_of_user("sam", Some("k2")), None);
    }

    #[test]
    fn zero_is_any_number_and_this_machine_is_not_counted() {
        let (none, few) = (rates(0), rates(1));
        for _ in 0..1_000 {
            assert_eq!(none.wait_of_user("ada", Some("k")), None);
            assert_eq!(none.wait_of_address(peer("10.0.0.1:1")), None);
            assert_eq!(few.wait_of_address(peer("127.0.0.1:1")), None);
        }
    }

    #[test]
    fn counters_are_bounded_whatever_names_come() {
        let rates = rates(1_000);
        for n in 0..200_000 {
            let _ = rates.wait_of_user(&format!("u{n}"), None);
        }
        assert!(rates.users.unwrap().limiter.len() as u64 <= SLOTS);
    }
}
