//! How much of a flight its client has fetched, over all its endpoints. Bounded; knows no stream.

use crate::tickets::seal::{Id, now_ms};
use crate::tickets::ticket::TicketBody;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Flights counted at once; beyond it the ones that expire first are forgotten.
const FLIGHTS_MAX: usize = 10_000;
/// Endpoints of one flight that are counted: more than any flight has.
const PLACES_MAX: usize = 1_024;

/// One endpoint's latest fetch.
#[derive(Debug, Default)]
pub(crate) struct Place {
    rows: AtomicU64,
    complete: AtomicBool,
}

impl Place {
    pub(crate) fn sent(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn complete(&self) {
        self.complete.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Flight {
    expires_ms: u64,
    places: Vec<Arc<Place>>,
}

/// Flights that are worth asking about: those of several endpoints, or of a known number of rows.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    flights: HashMap<Id, Flight>,
}

impl Progress {
    /// Begins to count a fetch. One that is repeated counts anew.
    pub(crate) fn begin(&mut self, body: &TicketBody) -> Option<Arc<Place>> {
        let (place, places) = (body.place as usize, body.places as usize);
        if (places < 2 && body.rows.is_none()) || place >= places || places > PLACES_MAX {
            return None;
        }
        if !self.flights.contains_key(&body.name()) {
            self.make_room();
        }
        let flight = self.flights.entry(body.name()).or_insert_with(|| Flight {
            expires_ms: body.expires_ms,
            places: (0..places).map(|_| Arc::default()).collect(),
        });
        flight.expires_ms = flight.expires_ms.max(body.expires_ms);
        let slot = flight.places.get_mut(place)?;
        *slot = Arc::default();
        Some(Arc::clone(slot))
    }

    fn make_room(&mut self) {
        if self.flights.len() >= FLIGHTS_MAX {
            let now = now_ms();
            self.flights.retain(|_, flight| flight.expires_ms > now);
        }
        if self.flights.len() >= FLIGHTS_MAX
            && let Some(first) = self.flights.iter().min_by_key(|(_, flight)| flight.expires_ms).map(|(id, _)| *id)
        {
            self.flights.remove(&first);
        }
    }

    /// Whether all of a flight was fetched.
    pub(crate) fn is_whole(&self, flight: &Id) -> bool {
        let found = self.flights.get(flight);
        found.is_some_and(|flight| flight.places.iter().all(|place| place.complete.load(Ordering::Relaxed)))
    }

    /// Rows sent of those there are, where that is known, else endpoints fetched of those there are.
    pub(crate) fn of(&self, body: &TicketBody) -> Option<f64> {
        let flight = self.flights.get(&body.name())?;
        let complete = flight.places.iter().filter(|place| place.complete.load(Ordering::Relaxed)).count();
        if complete == flight.places.len() {
            return Some(1.0);
        }
        let (done, all) = match body.rows.filter(|rows| *rows > 0) {
            Some(rows) => (flight.places.iter().map(|place| place.rows.load(Ordering::Relaxed)).sum::<u64>(), rows),
            None => (complete as u64, flight.places.len() as u64),
        };
        // Whole only when every endpoint has ended.
        Some((done as f64 / all as f64).min(0.999))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(id: u64, place: u32, places: u32, rows: Option<u64>) -> TicketBody {
        let name = [id.to_be_bytes(), [0; 8]].concat();
        TicketBody { id: name.into(), place, places, rows, expires_ms: u64::MAX - id, ..TicketBody::default() }
    }

    #[test]
    fn rows_count_where_their_number_is_known_else_endpoints() {
        let mut progress = Progress::default();
        let (one, two) = (body(1, 0, 2, Some(200)), body(1, 1, 2, Some(200)));
        assert_eq!(progress.of(&one), None);
        let (first, second) = (progress.begin(&one).unwrap(), progress.begin(&two).unwrap());
        first.sent(50);
        assert_eq!(progress.of(&two), Some(0.25));
        second.sent(150);
        first.complete();
        assert!(progress.of(&one) == Some(0.999) && !progress.is_whole(&one.name()));
        second.complete();
        assert!(progress.of(&one) == Some(1.0) && progress.is_whole(&one.name()));
        let again = progress.begin(&one).unwrap();
        again.sent(10);
        assert_eq!(progress.of(&one), Some(0.8));
        let unknown = body(2, 1, 4, None);
        progress.begin(&unknown).unwrap().complete();
        assert_eq!(progress.of(&unknown), Some(0.25));
    }

    #[test]
    fn what_nobody_asks_about_is_not_counted_and_the_rest_is_bounded() {
        let mut progress = Progress::default();
        assert!(progress.begin(&body(1, 0, 1, None)).is_none());
        assert!(progress.begin(&body(1, 2, 2, None)).is_none());
        assert!(progress.begin(&body(1, 0, u32::MAX, None)).is_none());
        for id in 0..FLIGHTS_MAX as u64 + 100 {
            assert!(progress.begin(&body(id, 0, 2, None)).is_some());
        }
        assert_eq!(progress.flights.len(), FLIGHTS_MAX);
    }
}
