//! Who is at a record: those who asked to be shown there, for as long as they are connected and see it. Decides nothing.

use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;

/// Places at all records, at one record, and of one user.
const PLACES_MAX: usize = 10_000;
const PER_RECORD_MAX: usize = 256;
const PER_USER_MAX: usize = 64;

/// A record: its object and its key.
type Record = (String, String);

/// Who is at which record.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    rooms: Mutex<Rooms>,
}

#[derive(Debug, Default)]
struct Rooms {
    next: u64,
    places: usize,
    by_record: BTreeMap<Record, Room>,
    by_user: BTreeMap<Arc<str>, usize>,
}

#[derive(Debug)]
struct Room {
    people: BTreeMap<u64, (Arc<str>, i64)>,
    watching: usize,
    changed: watch::Sender<()>,
}

/// One who is at a record, or looks who is, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    presence: Weak<Presence>,
    record: Record,
    number: u64,
    user: Arc<str>,
    changed: watch::Receiver<()>,
}

impl Presence {
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes to a record. `is_shown`: the others there see it. `now_ms`: since when.
    ///
    /// # Errors
    /// 53300: there are too many.
    pub(crate) fn enter(self: &Arc<Self>, record: Record, user: &str, is_shown: bool, now_ms: i64) -> Result<Place> {
        let user: Arc<str> = user.into();
        let mut rooms = self.rooms();
        let own = rooms.by_user.get(&user).copied().unwrap_or(0);
        let there = rooms.by_record.get(&record).map_or(0, |room| room.watching);
        for (whose, count, most) in [
            ("in all", rooms.places, PLACES_MAX),
            ("at one record", there, PER_RECORD_MAX),
            ("of one user", own, PER_USER_MAX),
        ] {
            if count >= most {
                let text = format!("too many are present {whose}");
                return Err(Error::new(ErrorCode::TooManyQueries, text).with_detail(format!("The limit is {most}.")));
            }
        }
        rooms.places += 1;
        rooms.next += 1;
        let number = rooms.next;
        *rooms.by_user.entry(Arc::clone(&user)).or_default() += 1;
        let room = rooms.by_record.entry(record.clone()).or_insert_with(|| Room {
            people: BTreeMap::new(),
            watching: 0,
            changed: watch::channel(()).0,
        });
        room.watching += 1;
        if is_shown {
            room.people.insert(number, (Arc::clone(&user), now_ms));
            room.changed.send_replace(());
        }
        let changed = room.changed.subscribe();
        Ok(Place { presence: Arc::downgrade(self), record, number, user, changed })
    }
}

impl Place {
    /// Who is there, each user once, and since when.
    pub(crate) fn people(&mut self) -> Vec<(Arc<str>, i64)> {
        self.changed.borrow_and_update();
        let Some(presence) = self.presence.upgrade() else { return Vec::new() };
        let rooms = presence.rooms();
        let mut people: BTreeMap<Arc<str>, i64> = BTreeMap::new();
        for (user, since) in rooms.by_record.get(&self.record).into_iter().flat_map(|room| room.people.values()) {
            let own = people.entry(Arc::clone(user)).or_insert(*since);
            *own = (*own).min(*since);
        }
        people.into_iter().collect()
    }

    /// Waits until somebody came or left.
    pub(crate) async fn changed(&mut self) {
        if self.changed.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(presence) = self.presence.upgrade() else { return };
        let mut rooms = presence.rooms();
        rooms.places = rooms.places.saturating_sub(1);
        if let Some(own) = rooms.by_user.get_mut(&self.user) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                rooms.by_user.remove(&self.user);
            }
        }
        let Some(room) = rooms.by_record.get_mut(&self.record) else { return };
        room.watching = room.watching.saturating_sub(1);
        if room.people.remove(&self.number).is_some() {
            room.changed.send_replace(());
        }
        if room.watching == 0 {
            rooms.by_record.remove(&self.record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(place: &mut Place) -> Vec<String> {
        place.people().into_iter().map(|(user, since)| format!("{user} {since}")).collect()
    }

    #[tokio::test]
    async fn who_is_there_is_seen_until_it_leaves() {
        let presence = Arc::new(Presence::default());
        let at = |key: &str| ("deal".to_owned(), key.to_owned());
        let mut looks = presence.enter(at("a"), "eve", false, 1).unwrap();
        assert!(names(&mut looks).is_empty());
        let ada = presence.enter(at("a"), "ada", true, 2).unwrap();
        let twice = presence.enter(at("a"), "ada", true, 3).unwrap();
        let _elsewhere = presence.enter(at("b"), "sam", true, 4).unwrap();
        looks.changed().await;
        assert_eq!(names(&mut looks), ["ada 2"]);
        drop(ada);
        looks.changed().await;
        assert_eq!(names(&mut looks), ["ada 3"]);
        drop(twice);
        looks.changed().await;
        assert!(names(&mut looks).is_empty());
        drop(looks);
        assert_eq!(presence.rooms().by_record.len(), 1, "an empty room is forgotten");
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let presence = Arc::new(Presence::default());
        let enter = |user: &str| presence.enter(("deal".to_owned(), "a".to_owned()), user, true, 1);
        let own: Vec<Place> = (0..PER_USER_MAX).map(|_| enter("ada").unwrap()).collect();
        assert_eq!(enter("ada").unwrap_err().code(), ErrorCode::TooManyQueries);
        let others: Vec<Place> = (PER_USER_MAX..PER_RECORD_MAX).map(|n| enter(&format!("u{n}")).unwrap()).collect();
        assert_eq!(enter("sam").unwrap_err().code(), ErrorCode::TooManyQueries);
        drop((own, others));
        enter("ada").unwrap();
        assert!(presence.rooms().by_user.is_empty() && presence.rooms().places == 0);
    }
}
