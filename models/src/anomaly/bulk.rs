//! Bulk reading by a principal who never does, told within minutes and from the first day on: statements far larger than any
//! ordinary one before, or ordinary ones that give far more rows together than in any ten minutes before. Knows counts of rows, no
//! statement. What is slower, [`super::Extraction`] finds once it knows a week.

use crate::saved::{LoadError, Saved};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Ordinary statements before anything is said.
const STATEMENTS_LEAST: u64 = 20;
/// Rows of large statements within the window that matter at all, and times the largest ordinary statement.
const ROWS_LEAST: f64 = 5_000.0;
const FACTOR_LEAST: f64 = 30.0;
/// A statement is ordinary up to so many times the largest ordinary one, or up to so many rows.
const ORDINARY_FACTOR: f64 = 5.0;
pub const ORDINARY_ROWS: f64 = 200.0;
/// The same for somebody of whom too little is known, whose largest statement counts as no more.
const STRANGER_ROWS: f64 = 5_000.0;
/// Seconds over which large statements are summed.
const WINDOW: i64 = 600;
/// After so many seconds what was large has become a habit. Within as many, what is ordinary grows by the factor once: a ramp of
/// growing reads is none.
const HABIT: i64 = 86_400;
const LARGE_MOST: usize = 256;
/// Rows of all statements within the window that matter at all, and times the most in one window that is a habit.
const TOGETHER_LEAST: f64 = 150_000.0;
const TOGETHER_FACTOR: f64 = 10.0;
const MINUTE: i64 = 60;
/// Minutes that a window touches.
const MINUTES_MOST: usize = 11;

/// Follows one principal; a few hundred bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bulk {
    statements: u64,
    rows: f64,
    since: Option<i64>,
    /// Rows of the largest ordinary statement.
    largest: f64,
    /// What that was when the running stretch of [`HABIT`] seconds began, and when.
    base: (i64, f64),
    /// Large statements and their times.
    large: VecDeque<(i64, f64)>,
    together: Together,
}

/// Rows of all statements, however small each is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Together {
    /// By the beginning of the minute, those of the window.
    minutes: VecDeque<(i64, f64)>,
    /// The most in a window that is a habit; and of the running stretch of [`HABIT`] seconds, which began then.
    habit: f64,
    most: (i64, f64),
}

impl Together {
    fn add(&mut self, time: i64, rows: f64) {
        let minute = time - time.rem_euclid(MINUTE);
        match self.minutes.back_mut() {
            // A clock that goes back adds to the last minute.
            Some((last, sum)) if *last >= minute => *sum += rows,
            _ => self.minutes.push_back((minute, rows)),
        }
        while self.minutes.front().is_some_and(|(then, _)| minute - then > WINDOW) {
            self.minutes.pop_front();
        }
        if time - self.most.0 > HABIT {
            let most = ORDINARY_FACTOR * self.habit.max(TOGETHER_LEAST / TOGETHER_FACTOR);
            self.habit = self.habit.max(self.most.1.min(most));
            self.most = (time, 0.0);
        }
        self.most.1 = self.most.1.max(self.sum());
    }

    fn sum(&self) -> f64 {
        self.minutes.iter().map(|(_, rows)| rows).sum()
    }

    fn reading(&self, time: i64, peers: f64, usual_an_hour: f64) -> BulkReading {
        let rows = self.sum();
        let least = TOGETHER_LEAST.max(TOGETHER_FACTOR * self.habit);
        let seconds = self.minutes.front().map_or(1, |(first, _)| (time - first).clamp(1, WINDOW));
        BulkReading {
            score: if peers * 2.0 >= rows { 0.0 } else { rows / least },
            rows,
            seconds: seconds as f64,
            usual_an_hour,
        }
    }
}

/// What there is to say after a statement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BulkReading {
    /// From 1 on unusual.
    pub score: f64,
    /// Rows of the large statements of the last ten minutes, or of all, whichever is more unusual.
    pub rows: f64,
    /// Seconds since the first of them, from 1 to 600.
    pub seconds: f64,
    /// Usual rows an hour.
    pub usual_an_hour: f64,
}

impl Bulk {
    /// Nothing known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows of the largest statement that was ordinary.
    #[must_use]
    pub const fn largest(&self) -> f64 {
        self.largest
    }

    /// Whether the principal is known well enough to be compared with.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.statements >= STATEMENTS_LEAST
    }

    /// Judges a statement that gave `rows` at `time` (UTC seconds), then learns it. `peers` is what the second largest reader
    /// among the others reads in one ordinary statement: where several read as much, it is nothing unusual.
    pub fn observe(&mut self, time: i64, rows: u64, peers: f64) -> BulkReading {
        let (since, rows) = (*self.since.get_or_insert(time), rows as f64);
        let hours = ((time - since) as f64 / 3600.0).max(1.0);
        let usual_an_hour = self.rows / hours;
        self.settle(time);
        self.together.add(time, rows);
        let together = self.together.reading(time, peers, usual_an_hour);
        let known = self.is_known();
        let ordinary = if known { (ORDINARY_FACTOR * self.base.1).max(ORDINARY_ROWS) } else { STRANGER_ROWS };
        if rows <= ordinary || !known {
            self.statements = self.statements.saturating_add(1);
            self.largest = self.largest.max(rows.min(ordinary));
        }
        if !known {
            self.base = (time, self.largest);
        }
        if rows <= ordinary {
            self.rows += rows;
            return together;
        }
        self.large.push_back((time, rows));
        if self.large.len() > LARGE_MOST {
            self.large.pop_front();
        }
        let window = self.large.iter().filter(|(then, _)| time - then <= WINDOW);
        let (first, sum) = window.fold((time, 0.0), |(first, sum), (then, rows)| (first.min(*then), sum + rows));
        let usual = self.largest.max(if known { 1.0 } else { STRANGER_ROWS });
        let score = if peers * 2.0 >= sum { 0.0 } else { (sum / ROWS_LEAST).min(sum / (FACTOR_LEAST * usual)) };
        if together.score > score {
            return together;
        }
        BulkReading { score, rows: sum, seconds: ((time - first) as f64).max(1.0), usual_an_hour }
    }

    /// Learns so many statements at `time` that gave `rows` together, the largest of them `largest`: each was ordinary, as all are
    /// up to [`ORDINARY_ROWS`], so only what they give together is judged. `peers` as in [`Self::observe`].
    pub fn learn(&mut self, time: i64, (statements, rows, largest): (u64, u64, u64), peers: f64) -> BulkReading {
        let since = *self.since.get_or_insert(time);
        let usual_an_hour = self.rows / ((time - since) as f64 / 3600.0).max(1.0);
        self.settle(time);
        self.together.add(time, rows as f64);
        let known = self.is_known();
        self.statements = self.statements.saturating_add(statements);
        self.largest = self.largest.max((largest as f64).min(ORDINARY_ROWS));
        self.rows += rows as f64;
        if !known {
            self.base = (time, self.largest);
        }
        self.together.reading(time, peers, usual_an_hour)
    }

    /// What was large long enough ago has become ordinary, as far as that may grow.
    fn settle(&mut self, time: i64) {
        let most = ORDINARY_FACTOR * self.base.1.max(ORDINARY_ROWS);
        while let Some((_, kept)) = self.large.front().copied().filter(|(then, _)| time - then > HABIT) {
            self.largest = self.largest.max(kept.min(most));
            self.large.pop_front();
        }
        if time - self.base.0 > HABIT {
            self.base = (time, self.largest);
        }
    }
}

impl Saved for Bulk {
    const KIND: &'static str = "anomaly-bulk";
    const VERSION: u16 = 3;

    fn check(&self) -> Result<(), LoadError> {
        let sums =
            [self.rows, self.largest, self.base.1, self.together.habit, self.together.most.1, self.together.sum()];
        let few = self.large.len() <= LARGE_MOST && self.together.minutes.len() <= MINUTES_MOST;
        let sound = sums.iter().all(|sum| sum.is_finite()) && few;
        if sound { Ok(()) } else { Err(LoadError::Contents("the state of bulk reads")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(rows: u64) -> Bulk {
        let mut bulk = Bulk::new();
        (0..100).for_each(|step| {
            bulk.observe(step * 60, rows, 0.0);
        });
        bulk
    }

    #[test]
    fn one_large_read_or_several_are_unusual_and_ordinary_ones_are_not() {
        for (usual, reads, expected) in [
            (20, [40_000].as_slice(), true),
            (20, &[4_000], false),
            (20, &[3_000, 3_000], true),
            // Thirty times what this principal reads anyway.
            (2_000, &[40_000], false),
            (2_000, &[61_000], true),
            (2_000, &[9_000, 9_000, 9_000], false),
            // A ramp within hours is no habit.
            (20, &[150, 600, 2_500, 10_000, 40_000], true),
            (20, &[90, 190, 900, 4_000], false),
        ] {
            let mut bulk = known(usual);
            let score = reads.iter().map(|rows| bulk.observe(6_100, *rows, 0.0).score).fold(0.0, f64::max);
            assert_eq!(score >= 1.0, expected, "{usual} {reads:?}: {score}");
        }
    }

    #[test]
    fn little_is_said_of_strangers_and_nothing_where_peers_do_the_same() {
        for (rows, expected) in [(100, false), (100_000, false), (1_000_000, true)] {
            assert_eq!(Bulk::new().observe(0, rows, 0.0).score >= 1.0, expected, "{rows}");
        }
        assert!(Bulk::new().observe(0, 1_000_000, 600_000.0).score < 1.0);
        assert!(known(20).observe(6_100, 40_000, 30_000.0).score < 1.0);
    }

    #[test]
    fn what_comes_every_day_is_ordinary_after_some() {
        let mut bulk = known(20);
        let day = |n| 6_100 + n * (HABIT + 1);
        let unusual: Vec<bool> = (0..5).map(|n| bulk.observe(day(n), 40_000, 0.0).score >= 1.0).collect();
        assert_eq!(unusual, [true, true, false, false, false]);
        assert!(bulk.check().is_ok());
    }

    #[test]
    fn the_first_statements_do_not_make_everything_ordinary() {
        let mut bulk = Bulk::new();
        let first = (0..STATEMENTS_LEAST).map(|_| bulk.observe(0, 100_000, 0.0).score).fold(0.0, f64::max);
        assert!(first >= 1.0 && bulk.is_known() && bulk.largest() <= STRANGER_ROWS, "{first}");
        // Somebody who always reads much is known for it.
        let mut bulk = Bulk::new();
        (0..30).for_each(|step| {
            bulk.observe(step * 600, 4_000, 0.0);
        });
        assert!(bulk.observe(18_000, 20_000, 0.0).score < 1.0);
    }

    #[test]
    fn many_at_once_are_learnt_as_one_after_the_other() {
        let (mut each, mut at_once) = (known(15), known(15));
        for n in 0..300 {
            each.observe(6_000, n % 7, 0.0);
        }
        at_once.learn(6_000, (300, (0..300).map(|n| n % 7).sum(), 6), 0.0);
        assert_eq!(each, at_once);
        let readings = [each, at_once].map(|mut bulk| bulk.observe(6_100, 40_000, 0.0));
        assert_eq!(readings[0], readings[1]);
        // Of somebody who was not known before, too.
        let (mut each, mut at_once) = (Bulk::new(), Bulk::new());
        (0..50).for_each(|_| {
            each.observe(0, 9, 0.0);
        });
        at_once.learn(0, (50, 450, 9), 0.0);
        assert_eq!(each, at_once);
    }

    /// Pages of an ordinary size are as many rows as one large statement.
    #[test]
    fn many_ordinary_reads_within_minutes_are_one_large_one() {
        let worst = |mut bulk: Bulk, rows: u64, reads: i64, peers: f64| {
            (0..reads).map(|n| bulk.observe(6_100 + n / 10, rows, peers).score).fold(0.0, f64::max)
        };
        assert!(worst(known(20), 200, 2_000, 0.0) >= 1.0 && worst(known(20), 200, 500, 0.0) < 1.0);
        assert!(worst(known(20), 200, 2_000, 300_000.0) < 1.0);
        let mut stranger = Bulk::new();
        (0..20).for_each(|n| {
            stranger.observe(n, 5_000, 0.0);
        });
        assert!(worst(stranger, 24_999, 40, 0.0) >= 1.0);
        // Over hours it is nothing for this detector.
        let mut slow = known(20);
        let slowly = (0..2_000).map(|n| slow.observe(6_100 + n * 60, 200, 0.0).score).fold(0.0, f64::max);
        assert!(slowly < 1.0, "{slowly}");
        // Look-ups that are added up count as well.
        let mut summed = known(20);
        assert!(summed.learn(6_100, (1_000, 100_000, 200), 0.0).score < 1.0);
        let reading = summed.learn(6_160, (1_000, 100_000, 200), 0.0);
        assert!(reading.score >= 1.0 && reading.rows > 200_000.0 && reading.seconds <= 600.0, "{reading:?}");
    }

    #[test]
    fn a_nightly_run_of_many_reads_is_a_habit_after_some() {
        let mut bulk = known(20);
        let night = |bulk: &mut Bulk, n: i64| {
            let begins = 6_100 + n * (HABIT + 700);
            let reads = (0..500).map(|read| bulk.observe(begins + read, 1_000, 0.0).score);
            reads.fold(0.0, f64::max) >= 1.0
        };
        let unusual: Vec<bool> = (0..6).map(|n| night(&mut bulk, n)).collect();
        assert!(unusual[0] && !unusual[4] && !unusual[5], "{unusual:?}");
        assert!(bulk.check().is_ok());
    }

    #[test]
    fn the_reading_has_the_numbers_of_the_alert() {
        let mut bulk = known(15);
        bulk.observe(6_000, 200_000, 0.0);
        let reading = bulk.observe(6_600, 212_000, 0.0);
        assert_eq!((reading.rows, reading.seconds), (412_000.0, 600.0));
        assert!((reading.usual_an_hour - 1_500.0 / (6_600.0 / 3600.0)).abs() < 1.0, "{reading:?}");
    }
}
