//! Who is there, what each holds, and who goes first. Takes no lock and wakes no one itself.

use crate::network::Network;
use futures::channel::oneshot;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::task::{Poll, Waker};

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    door: usize,
    network: Network,
    number: u64,
}

#[derive(Debug)]
struct Member {
    bytes: usize,
    /// Dropping it tells the connection to go.
    _goes: oneshot::Sender<()>,
}

/// The connections of one network at one door, oldest first.
#[derive(Debug, Default)]
struct Group {
    bytes: usize,
    members: BTreeMap<u64, Member>,
}

#[derive(Debug, Default)]
struct Waiting {
    most: usize,
    count: usize,
    networks: HashMap<Network, Group>,
}

impl Waiting {
    fn remove(&mut self, place: Place) -> Option<usize> {
        let group = self.networks.get_mut(&place.network)?;
        let removed = group.members.remove(&place.number)?;
        group.bytes -= removed.bytes;
        if group.members.is_empty() {
            self.networks.remove(&place.network);
        }
        self.count -= 1;
        Some(removed.bytes)
    }

    /// The oldest of the network that has the most; of several such networks, the oldest of all.
    fn first_to_go(&self, door: usize) -> Option<Place> {
        let oldest = |group: &Group| group.members.keys().next().copied().unwrap_or(u64::MAX);
        let found = self.networks.iter().max_by_key(|(_, group)| (group.members.len(), Reverse(oldest(group))));
        found.map(|(network, group)| Place { door, network: *network, number: oldest(group) })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Crowd {
    bytes_max: usize,
    /// Charged, those who must go included.
    bytes: usize,
    /// Bytes of connections that must go and are still there.
    going: HashMap<u64, usize>,
    going_bytes: usize,
    last: u64,
    doors: Vec<Waiting>,
    /// Who waits for room, oldest first.
    queue: BTreeMap<u64, Waker>,
}

impl Crowd {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    pub(crate) fn add_door(&mut self, most: usize) -> usize {
        self.doors.push(Waiting { most, ..Waiting::default() });
        self.doors.len() - 1
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn admit(&mut self, door: usize, network: Network, goes: oneshot::Sender<()>) -> Place {
        self.last += 1;
        let place = Place { door, network, number: self.last };
        if let Some(waiting) = self.doors.get_mut(door) {
            let group = waiting.networks.entry(network).or_default();
            group.members.insert(place.number, Member { bytes: 0, _goes: goes });
            waiting.count += 1;
        }
        while let Some(waiting) = self.doors.get(door)
            && waiting.count > waiting.most
            && let Some(first) = waiting.first_to_go(door)
        {
            self.send_away(first);
        }
        place
    }

    /// Tells a connection to go. What it holds stays charged until it has gone.
    fn send_away(&mut self, place: Place) {
        if let Some(bytes) = self.doors.get_mut(place.door).and_then(|waiting| waiting.remove(place)) {
            self.going.insert(place.number, bytes);
            self.going_bytes += bytes;
        }
    }

    /// Of the network that holds the most, the connection that holds the most; the oldest of several.
    fn largest(&self) -> Option<Place> {
        let groups =
            self.doors.iter().enumerate().flat_map(|(door, waiting)| {
                waiting.networks.iter().map(move |(network, group)| (door, *network, group))
            });
        let (door, network, group) = groups.max_by_key(|(_, _, group)| group.bytes)?;
        let found = group.members.iter().max_by_key(|(number, member)| (member.bytes, Reverse(**number)))?;
        Some(Place { door, network, number: *found.0 })
    }

    fn group_of(&mut self, place: Place) -> Option<&mut Group> {
        self.doors.get_mut(place.door)?.networks.get_mut(&place.network)
    }

    /// Also gives who is to be woken, because there is room for it, too.
    pub(crate) fn charge(&mut self, place: Place, bytes: usize, waker: &Waker) -> (Poll<()>, Option<Waker>) {
        self.queue.remove(&place.number);
        loop {
            if self.going.contains_key(&place.number) {
                return (Poll::Pending, self.next());
            }
            let room = self.bytes_max.saturating_sub(self.bytes);
            let Some(group) = self.group_of(place).filter(|group| group.members.contains_key(&place.number)) else {
                return (Poll::Ready(()), self.next());
            };
            if bytes <= room {
                group.bytes += bytes;
                group.members.entry(place.number).and_modify(|member| member.bytes += bytes);
                self.bytes += bytes;
                return (Poll::Ready(()), self.next());
            }
            if bytes <= room + self.going_bytes {
                self.queue.insert(place.number, waker.clone());
                return (Poll::Pending, None);
            }
            match self.largest() {
                Some(largest) => self.send_away(largest),
                None => return (Poll::Pending, None),
            }
        }
    }

    pub(crate) fn give_back(&mut self, place: Place, bytes: usize) -> Option<Waker> {
        let held = self.group_of(place).and_then(|group| {
            let member = group.members.get_mut(&place.number)?;
            let given = bytes.min(member.bytes);
            member.bytes -= given;
            group.bytes -= given;
            Some(given)
        });
        let given = match (held, self.going.get_mut(&place.number)) {
            (Some(given), _) => given,
            (None, Some(going)) => {
                let given = bytes.min(*going);
                *going -= given;
                self.going_bytes -= given;
                given
            }
            (None, None) => 0,
        };
        self.bytes -= given;
        self.next()
    }

    pub(crate) fn remove(&mut self, place: Place) -> Option<Waker> {
        self.queue.remove(&place.number);
        let held = self.doors.get_mut(place.door).and_then(|waiting| waiting.remove(place));
        let bytes = held.unwrap_or_else(|| {
            let bytes = self.going.remove(&place.number).unwrap_or(0);
            self.going_bytes -= bytes;
            bytes
        });
        self.bytes -= bytes;
        self.next()
    }

    /// The next one that waits for room.
    fn next(&mut self) -> Option<Waker> {
        self.queue.pop_first().map(|(_, waker)| waker)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let doors = self.doors.iter().all(|waiting| waiting.count == 0 && waiting.networks.is_empty());
        doors && (self.bytes, self.going_bytes) == (0, 0) && self.going.is_empty() && self.queue.is_empty()
    }
}
