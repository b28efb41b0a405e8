//! Connections that have not logged in: a share of their own, in which the oldest gives way to who comes. Knows no socket.

use futures::FutureExt as _;
use futures::channel::oneshot;
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// What connections are counted by before they have a user: the address, or for IPv6 the network that one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Network(IpAddr);

impl Network {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        })
    }
}

/// The connections of a door that have not logged in. A newcomer is always taken in: where the share is full, the network with the
/// most of them loses its oldest. So silent connections keep no one out, and a flood from one network takes that network's own places first.
#[derive(Debug)]
pub struct Arrivals {
    most: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    last: u64,
    /// By network, oldest first: the sender that closes each.
    networks: HashMap<Network, BTreeMap<u64, oneshot::Sender<()>>>,
}

impl Waiting {
    fn remove(&mut self, network: Network, number: u64) -> Option<oneshot::Sender<()>> {
        let of_network = self.networks.get_mut(&network)?;
        let removed = of_network.remove(&number)?;
        if of_network.is_empty() {
            self.networks.remove(&network);
        }
        self.count -= 1;
        Some(removed)
    }

    /// The oldest of the network that has the most; of several such networks, the oldest of all.
    fn first_to_go(&self) -> Option<(Network, u64)> {
        let oldest = |of_network: &BTreeMap<u64, _>| of_network.keys().next().copied().unwrap_or(u64::MAX);
        let found = self
            .networks
            .iter()
            .max_by(|(_, one), (_, other)| one.len().cmp(&other.len()).then_with(|| oldest(other).cmp(&oldest(one))));
        found.map(|(network, of_network)| (*network, oldest(of_network)))
    }
}

impl Arrivals {
    /// A share of all connections, one at least.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), waiting: Mutex::default() })
    }

    /// Takes a connection in, until what this gives is dropped.
    #[must_use]
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Arrival {
        let network = Network::of(peer);
        let (sender, told) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.last += 1;
        let number = waiting.last;
        waiting.networks.entry(network).or_default().insert(number, sender);
        waiting.count += 1;
        while waiting.count > self.most
            && let Some((network, number)) = waiting.first_to_go()
        {
            // Dropping it wakes the receiver on the other end.
            waiting.remove(network, number);
        }
        Arrival { among: Arc::clone(self), network, number, told }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that has not logged in, for as long as it lives.
#[derive(Debug)]
pub struct Arrival {
    among: Arc<Arrivals>,
    network: Network,
    number: u64,
    told: oneshot::Receiver<()>,
}

impl Arrival {
    /// Ends when the connection must go, so that another one can come. Can be asked again.
    pub async fn gives_way(&mut self) {
        poll_fn(|context| self.poll_gives_way(context)).await;
    }

    /// As the future above, for callers that poll.
    pub fn poll_gives_way(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Nothing is ever sent: the end of the other end is the word.
        self.told.poll_unpin(context).map(|_gone| ())
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.among.lock().remove(self.network, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_gone(arrival: &mut Arrival) -> bool {
        arrival.gives_way().now_or_never().is_some()
    }

    fn gone(arrivals: &mut [Arrival]) -> Vec<bool> {
        arrivals.iter_mut().map(is_gone).collect()
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn the_oldest_gives_way_and_who_left_needs_no_place() {
        let share = Arrivals::new(3);
        let mut all: Vec<Arrival> = (0..3).map(|_| share.admit(address(1))).collect();
        assert_eq!(gone(&mut all), [false, false, false]);
        all.push(share.admit(address(1)));
        assert_eq!(gone(&mut all), [true, false, false, false]);
        // Who must go holds no place, and takes none with it when it goes.
        all.remove(0);
        all.remove(0);
        all.push(share.admit(address(1)));
        assert_eq!(gone(&mut all), [false, false, false]);
        all.push(share.admit(address(1)));
        assert_eq!(gone(&mut all), [true, false, false, false]);
        assert!(is_gone(&mut all[0]), "asked again");
        drop(all);
        assert_eq!(share.lock().count, 0);
        assert!(share.lock().networks.is_empty());
    }

    #[test]
    fn who_has_the_most_loses_first() {
        let share = Arrivals::new(4);
        let mut quiet = share.admit(address(1));
        let mut flood: Vec<Arrival> = (0..100).map(|_| share.admit(address(2))).collect();
        assert!(!is_gone(&mut quiet));
        assert_eq!(gone(&mut flood[..97]), [true; 97]);
        assert_eq!(gone(&mut flood[97..]), [false; 3]);
        let mut late = share.admit(address(3));
        assert!(!is_gone(&mut late) && !is_gone(&mut quiet) && is_gone(&mut flood[97]));
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let share = Arrivals::new(2);
        let network = |last: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, last]);
        let mut other = share.admit(IpAddr::from([0x2001, 0xdb8, 1, 3, 0, 0, 0, 1]));
        let mut all: Vec<Arrival> = (0..3).map(|last| share.admit(network(last))).collect();
        assert_eq!((is_gone(&mut other), gone(&mut all)), (false, vec![true, true, false]));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(Network::of(mapped), Network::of(address(1)));
    }
}
