//! Turns to run statements, and places for sessions: so many at once, and so many of one user, so that nobody keeps all others
//! waiting. Who waits for a turn waits among the user's own first. Knows no statement.

use super::by_login::ByLogin;
use super::interrupt::Interrupt;
use super::running_statements::RunningStatements;
use querygate_resources::measured::Ledger;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Bounds on turns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TurnBounds {
    /// Statements that run at once.
    pub(crate) running: usize,
    /// Those of one user.
    pub(crate) running_per_user: usize,
    /// Statements that wait; one user may have half of the places.
    pub(crate) waiting: usize,
    /// How long one waits.
    pub(crate) patience: Duration,
}

/// All turns of a gate.
#[derive(Debug)]
pub(crate) struct Admission {
    bounds: TurnBounds,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    users: ByLogin<Own>,
}

/// What one user has of them.
#[derive(Debug)]
struct Own {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    running: RunningStatements,
}

/// Where a user's statements ask for turns.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    all: Arc<Semaphore>,
    own: Arc<Own>,
    /// Its statements run within another one, which has a turn and waits for them.
    is_within: bool,
}

/// A turn of a statement that keeps no more than a look at where it came from.
#[derive(Debug)]
pub(crate) struct ShortPermit<'a> {
    _own: SemaphorePermit<'a>,
    _of_all: SemaphorePermit<'a>,
}

/// A turn, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    place: Place,
    _own: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(crate) fn new(bounds: TurnBounds) -> Self {
        let turns = Arc::new(Semaphore::new(bounds.running.min(Semaphore::MAX_PERMITS)));
        Self { bounds, turns, waiting: AtomicUsize::new(0), users: ByLogin::default() }
    }

    /// A turn for a statement of this user.
    ///
    /// # Errors
    /// 53300: too many wait, or this one has waited for too long.
    pub(crate) async fn admit(&self, login: &str) -> Result<Permit> {
        let place = self.place(login);
        if let Some(permit) = place.free_turn() {
            return Ok(permit);
        }
        let _place = Waiting::take(&self.waiting, self.bounds.waiting).ok_or_else(|| too_many(&place))?;
        let share = (self.bounds.waiting / 2).max(1);
        let _own = Waiting::take(&place.own.waiting, share).ok_or_else(|| too_many(&place))?;
        match tokio::time::timeout(self.bounds.patience, place.turn()).await {
            Ok(permit) => permit,
            Err(_) => Err(too_many(&place)),
        }
    }

    /// Statements that have a turn, and those that wait for one.
    pub(crate) fn load(&self) -> (usize, usize) {
        let turns = self.bounds.running.min(Semaphore::MAX_PERMITS);
        (turns.saturating_sub(self.turns.available_permits()), self.waiting.load(Ordering::Relaxed))
    }

    /// Where statements of this user ask for turns.
    pub(crate) fn place(&self, login: &str) -> Place {
        let turns = self.bounds.running_per_user.clamp(1, Semaphore::MAX_PERMITS);
        let make = || {
            let (turns, running) = (Arc::new(Semaphore::new(turns)), RunningStatements::default());
            Arc::new(Own { turns, waiting: AtomicUsize::new(0), running })
        };
        Place { all: Arc::clone(&self.turns), own: self.users.of(login, make), is_within: false }
    }
}

impl Place {
    /// Waits for a turn for as long as it takes: for a statement that was admitted, and rested.
    ///
    /// # Errors
    /// None while the gate runs; 57P01 if its turns were closed.
    pub(crate) async fn turn(&self) -> Result<Permit> {
        if self.is_within {
            return Ok(self.turn_within());
        }
        let closed = |_| Error::new(ErrorCode::AdminShutdown, "the gate is shutting down");
        // The own one first: whoever has as many as he may stands in nobody's way.
        let own = Arc::clone(&self.own.turns).acquire_owned().await.map_err(closed)?;
        self.own.running.ended().await;
        let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(closed)?;
        Ok(Permit { place: self.clone(), _own: Some(own), _of_all: Some(of_all) })
    }

    /// A turn that is free now. `None`: it is to be waited for.
    pub(crate) fn short_turn(&self) -> Option<ShortPermit<'_>> {
        if self.own.running.lingers() {
            return None;
        }
        let own = self.own.turns.try_acquire().ok()?;
        let of_all = self.all.try_acquire().ok()?;
        Some(ShortPermit { _own: own, _of_all: of_all })
    }

    /// The turn of a statement that runs within another one. To wait for one of its own could take forever.
    pub(crate) fn turn_within(&self) -> Permit {
        Permit { place: Self { is_within: true, ..self.clone() }, _own: None, _of_all: None }
    }

    fn free_turn(&self) -> Option<Permit> {
        if self.own.running.lingers() {
            return None;
        }
        let own = Arc::clone(&self.own.turns).try_acquire_owned().ok()?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Permit { place: self.clone(), _own: Some(own), _of_all: Some(of_all) })
    }
}

impl Permit {
    /// Where the next turn of the same statement is asked for.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// A statement computes with this turn. Where it is over and does not end, its user gets no further turn until it does.
    pub(crate) fn computes(&self, interrupt: &Interrupt, work: &Arc<Ledger>) {
        self.place.own.running.begin(interrupt, work);
    }
}

/// A place in a queue, given back when dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn take(count: &'a AtomicUsize, max: usize) -> Option<Self> {
        let place = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < max).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sessions that are open: of all, and by login.
#[derive(Debug)]
pub(crate) struct SessionPlaces {
    all: usize,
    per_user: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_login: HashMap<String, usize>,
}

impl Taken {
    /// Whether the users' sessions are all sessions, and no user without one is kept.
    fn is_consistent(&self) -> bool {
        self.by_login.values().sum::<usize>() == self.all && self.by_login.values().all(|own| *own > 0)
    }
}

/// The place of one session, given back when dropped.
#[derive(Debug)]
pub(crate) struct SessionPlace {
    places: Arc<SessionPlaces>,
    login: String,
}

impl SessionPlaces {
    pub(crate) fn new(all: usize, per_user: usize) -> Arc<Self> {
        Arc::new(Self { all, per_user, taken: Mutex::default() })
    }

    /// Counts and takes in one step: of sessions that are opened at once, no more than there are places for get one.
    ///
    /// # Errors
    /// 53300: all places are taken, or this user has as many as one may have.
    pub(crate) fn take(self: &Arc<Self>, login: &str) -> Result<SessionPlace> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.all {
            return Err(Error::new(ErrorCode::TooManyConnections, "too many sessions")
                .with_hint("Close idle sessions, or raise server.connection_max."));
        }
        let own = taken.by_login.get(login).copied().unwrap_or(0);
        if own >= self.per_user {
            return Err(Error::new(ErrorCode::TooManyConnections, "too many sessions of this user")
                .with_hint("Close idle sessions, or raise server.connections_per_user_max."));
        }
        taken.all += 1;
        taken.by_login.insert(login.to_owned(), own + 1);
        debug_assert!(taken.is_consistent(), "{taken:?}");
        Ok(SessionPlace { places: Arc::clone(self), login: login.to_owned() })
    }
}

impl Drop for SessionPlace {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(count) = taken.by_login.get_mut(&self.login) {
            *count -= 1;
            if *count == 0 {
                taken.by_login.remove(&self.login);
            }
        }
        debug_assert!(taken.is_consistent(), "{taken:?}");
    }
}

fn too_many(place: &Place) -> Error {
    if place.own.running.lingers() {
        return Error::new(ErrorCode::TooManyQueries, "a statement of this user that was ended computes on")
            .with_hint("Try again later: it ends after the call in which it is.");
    }
    if place.own.turns.available_permits() == 0 {
        return Error::new(ErrorCode::TooManyQueries, "too many statements of this user are running")
            .with_hint("Try again later, or raise limits.queries_per_user_max.");
    }
    Error::new(ErrorCode::TooManyQueries, "too many statements are running")
        .with_hint("Try again later, or raise limits.queries_max.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(running: usize, running_per_user: usize, waiting: usize) -> Arc<Admission> {
        let patience = Duration::from_millis(50);
        Arc::new(Admission::new(TurnBounds { running, running_per_user, waiting, patience }))
    }

    #[tokio::test]
    async fn a_statement_within_another_one_waits_for_no_turn() {
        let admission = admission(1, 1, 10);
        let _outer = admission.admit("ada").await.unwrap();
        let inner = admission.place("ada").turn_within();
        drop(inner.place().turn().await.unwrap());
        assert_eq!(admission.admit("ada").await.unwrap_err().code(), ErrorCode::TooManyQueries);
    }

    #[tokio::test]
    async fn a_user_has_a_share_and_the_others_have_the_rest() {
        let admission = admission(4, 2, 10);
        let first = admission.admit("ada").await.unwrap();
        let _second = admission.admit("ada").await.unwrap();
        let refused = admission.admit("ada").await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::TooManyQueries);
        assert!(refused.hint().unwrap().contains("queries_per_user_max"), "{refused:?}");
        let _others = (admission.admit("sam").await.unwrap(), admission.admit("sam").await.unwrap());
        let refused = admission.admit("iris").await.unwrap_err();
        assert!(refused.hint().unwrap().contains("queries_max"), "{refused:?}");
        drop(first);
        admission.admit("iris").await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_for_the_own_share_is_in_nobodys_way() {
        let admission = admission(2, 1, 10);
        let first = admission.admit("ada").await.unwrap();
        let place = first.place().clone();
        let next = tokio::spawn(async move { place.turn().await });
        tokio::task::yield_now().await;
        drop(admission.admit("sam").await.unwrap());
        assert!(!next.is_finished());
        drop(first);
        next.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn short_turns_are_turns_like_others() {
        let admission = admission(3, 2, 10);
        let place = admission.place("ada");
        let (first, second) = (place.short_turn().unwrap(), place.short_turn().unwrap());
        assert!(place.short_turn().is_none());
        assert_eq!(admission.admit("ada").await.unwrap_err().code(), ErrorCode::TooManyQueries);
        let _other = admission.admit("sam").await.unwrap();
        assert!(admission.place("iris").short_turn().is_none(), "all turns are taken");
        drop((first, second));
        let _admitted = admission.admit("ada").await.unwrap();
        assert!(place.short_turn().is_some() && place.short_turn().is_some());
    }

    #[test]
    fn sessions_of_one_user_are_bounded_and_end() {
        let places = SessionPlaces::new(100, 2);
        let (one, _two) = (places.take("ada").unwrap(), places.take("ada").unwrap());
        assert_eq!(places.take("ada").unwrap_err().code(), ErrorCode::TooManyConnections);
        let _other = places.take("sam").unwrap();
        drop(one);
        places.take("ada").unwrap();
        assert_eq!(places.taken.lock().unwrap().by_login.len(), 2);
    }

    #[test]
    fn sessions_that_are_opened_at_once_get_no_more_places_than_there_are() {
        let places = SessionPlaces::new(7, 100);
        let logins: Vec<String> = (0..8).map(|n| format!("u{n}")).collect();
        let start = std::sync::Barrier::new(logins.len());
        for _ in 0..50 {
            let open = |login: &String| {
                start.wait();
                (0..4).map(|_| places.take(login)).collect::<Vec<_>>()
            };
            let opened: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = logins.iter().map(|login| scope.spawn(move || open(login))).collect();
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(opened.iter().filter(|place| place.is_ok()).count(), 7);
            let refused = opened.iter().find_map(|place| place.as_ref().err()).unwrap();
            assert!(refused.hint().unwrap().contains("connection_max"), "{refused:?}");
            drop(opened);
            let taken = places.taken.lock().unwrap();
            assert_eq!((taken.all, taken.by_login.len()), (0, 0));
        }
    }

    #[tokio::test]
    async fn one_user_cannot_fill_the_queue() {
        let admission = admission(1, 1, 4);
        let held = admission.admit("ada").await.unwrap();
        let wait = |login: &'static str| {
            let admission = Arc::clone(&admission);
            tokio::spawn(async move { admission.admit(login).await.map(drop) })
        };
        let (one, two) = (wait("ada"), wait("ada"));
        tokio::task::yield_now().await;
        let third = tokio::time::Instant::now();
        assert_eq!(admission.admit("ada").await.unwrap_err().code(), ErrorCode::TooManyQueries);
        assert!(third.elapsed() < Duration::from_millis(40), "it was refused at once");
        let other = wait("sam");
        tokio::task::yield_now().await;
        drop(held);
        for waited in [one, two, other] {
            waited.await.unwrap().unwrap();
        }
    }
}
