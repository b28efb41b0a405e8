//! Times of many runs as counts in buckets: small, added to in a moment, exact in their sum.

use std::time::Duration;

/// Nanoseconds of the narrowest bucket, and buckets that a doubling is divided into, as powers of two.
const UNIT: u32 = 5;
const STEPS: u32 = 5;

/// Times of runs, in buckets: those from a microsecond on are exact within 1.6%.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    counts: Vec<u32>,
    nanos: u64,
}

impl Times {
    /// Longer times find no bucket of their own.
    pub const LONGEST: Duration = Duration::from_nanos((1 << 24) - 1);

    fn place(nanos: u32) -> usize {
        let units = nanos >> UNIT;
        let doublings = (u32::BITS - units.leading_zeros()).saturating_sub(STEPS + 1);
        ((doublings << STEPS) + (units >> doublings)) as usize
    }

    /// The middle of a bucket.
    fn middle(place: usize) -> Duration {
        let (place, steps) = (place as u64, 1 << STEPS);
        let doublings = (place / steps).saturating_sub(1);
        let low = (place - doublings * steps) << doublings;
        Duration::from_nanos((2 * low + (1 << doublings)) << (UNIT - 1))
    }

    /// Takes a time in.
    pub fn add(&mut self, time: Duration) {
        self.add_runs(time, 1);
    }

    /// Takes in a time that each of some runs took.
    pub fn add_runs(&mut self, time: Duration, runs: u32) {
        if runs == 0 {
            return;
        }
        let nanos = time.min(Self::LONGEST).subsec_nanos();
        self.nanos = self.nanos.saturating_add(u64::from(nanos) * u64::from(runs));
        let place = Self::place(nanos);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(place) {
            *count = count.saturating_add(runs);
        }
    }

    /// Takes in those of another.
    pub fn merge(&mut self, other: &Self) {
        self.nanos = self.nanos.saturating_add(other.nanos);
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
    }

    /// All of them together, exactly.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// Each time, and how often it was.
    pub fn each(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counted = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(|(place, count)| (Self::middle(place), u64::from(*count)))
    }
}

/// Rows of a first batch that are few.
const FEW: usize = 200;

/// When the first rows came. That of few rows is looked up once more is asked for: mostly that is the end, whose time is taken
/// anyway, and looking at a clock is a good part of what measuring a short statement costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirstRow {
    #[default]
    Missing,
    /// There were few.
    Came,
    At(Duration),
}

impl FirstRow {
    /// A batch of `rows` rows came. `now`: the time since the start.
    pub fn came(&mut self, rows: usize, now: impl FnOnce() -> Duration) {
        match self {
            Self::Missing if rows <= FEW => *self = Self::Came,
            Self::Missing | Self::Came => *self = Self::At(now()),
            Self::At(_) => {}
        }
    }

    /// More is waited for.
    pub fn waits(&mut self, now: impl FnOnce() -> Duration) {
        if *self == Self::Came {
            *self = Self::At(now());
        }
    }

    /// What it was, where everything took so long.
    #[must_use]
    pub fn of(self, total: Duration) -> Option<Duration> {
        match self {
            Self::Missing => None,
            Self::Came => Some(total),
            Self::At(time) => Some(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_first_row_is_asked_for_only_where_the_end_is_another() {
        let (now, never) = (|| Duration::from_micros(5), || panic!("the clock was looked at"));
        let total = Duration::from_micros(9);
        let (mut none, mut few, mut many) = <(FirstRow, FirstRow, FirstRow)>::default();
        none.waits(never);
        few.came(1, never);
        many.came(FEW + 1, now);
        assert_eq!([none.of(total), few.of(total), many.of(total)], [None, Some(total), Some(now())]);
        let mut waiting = few;
        waiting.waits(now);
        let mut further = few;
        further.came(1, now);
        for mut first in [waiting, further, many] {
            first.waits(never);
            first.came(FEW + 1, never);
            assert_eq!(first.of(total), Some(now()));
        }
    }

    #[test]
    fn times_are_within_a_bucket_and_their_sum_is_exact() {
        let mut all = Times::default();
        let mut sum = Duration::ZERO;
        let mut nanos = 1_000_u64;
        while nanos < 1 << 24 {
            let time = Duration::from_nanos(nanos);
            let mut one = Times::default();
            one.add(time);
            let [(told, 1)] = one.each().collect::<Vec<_>>()[..] else { panic!("{one:?}") };
            assert!(told.abs_diff(time).as_secs_f64() <= 0.016 * time.as_secs_f64(), "{told:?} for {time:?}");
            all.add(time);
            sum += time;
            nanos += 1 + nanos / 200;
        }
        let told: Vec<(Duration, u64)> = all.each().collect();
        assert!(told.is_sorted() && all.sum() == sum && all.counts.len() <= 480, "{}", all.counts.len());
        for time in [Duration::ZERO, Times::LONGEST, Duration::MAX] {
            all.add(time);
        }
        assert_eq!(all.counts.len(), 480);
        assert_eq!(all.sum(), sum + 2 * Times::LONGEST);
        // What several runs took each is what it is one by one.
        let (mut together, mut each) = <(Times, Times)>::default();
        for (micros, runs) in [(40, 3), (7, 0), (900, 1)] {
            together.add_runs(Duration::from_micros(micros), runs);
            (0..runs).for_each(|_| each.add(Duration::from_micros(micros)));
        }
        assert_eq!((&together, together.sum()), (&each, Duration::from_micros(1_020)));
    }
}
