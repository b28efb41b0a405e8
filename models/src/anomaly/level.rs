//! A rate, a size or a latency against the usual for the hour of the week: jumps, bursts and slow drifts. Works on
//! logarithms of one plus the value, so that a doubling is a doubling at any scale, in units of which one is little
//! (milliseconds, rows, kilobytes). Knows no more of the unit.

use super::moments::Moments;
use super::tail::Tail;
use super::week::{Week, hour};
use crate::saved::{LoadError, Saved};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const DAY: f64 = 86_400.0;
/// Nothing is judged before a whole week was seen.
const LEARN: i64 = 7 * 86_400;
/// The level follows a lasting change within days, the base of drifts within weeks.
const LEVEL_MEMORY: f64 = 3.0 * DAY;
const BASE_MEMORY: f64 = 12.0 * DAY;
/// Medians over so many observations, and the factor by which they must differ to matter.
const MEDIANS: [(usize, f64); 2] = [(3, 2.2), (12, 1.6)];
/// Factor by which a day must differ from the base to be a drift, and in standard deviations of days.
const DRIFT_FACTOR: f64 = 1.33;
const DRIFT_SPREADS: f64 = 3.2;
/// Observations before tails are trusted.
const TAILS_LEARN: u32 = 200;
/// Surprise (−log10 of probability) that makes a score of 1.
const SURPRISE: f64 = 3.5;

/// Which changes matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Only more than usual: latency, errors, rows.
    Up,
    /// Less is a fault as well: statements per minute of a service.
    Both,
}

/// What the detector says of one observation. Scores from 1 on are unusual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelReading {
    /// A jump or burst.
    pub jump: f64,
    /// A drift over the last day.
    pub drift: f64,
    /// Usual value for this hour, in the metric's unit.
    pub usual: f64,
    /// Median of the last hour's observations ÷ usual.
    pub factor: f64,
}

/// Streaming detector of one metric series; about 5 KB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Level {
    direction: Direction,
    since: Option<i64>,
    last: i64,
    week: Week,
    level: f64,
    base: f64,
    spread: f64,
    /// Mean absolute residual by hour of the day: nights with few statements are noisier.
    by_hour: Vec<f64>,
    recent: VecDeque<(f64, f64)>,
    tails: Vec<Tail>,
    judged: u32,
    /// Means of the last 24 hours' residuals; the sum and count of the running hour.
    hours: VecDeque<f64>,
    hour: (i64, f64, u32),
    days: Moments,
}

impl Level {
    /// Nothing learned yet.
    #[must_use]
    pub fn new(direction: Direction) -> Self {
        Self {
            direction,
            since: None,
            last: 0,
            week: Week::new(),
            level: 0.0,
            base: 0.0,
            spread: 0.0,
            by_hour: vec![0.0; 24],
            recent: VecDeque::new(),
            tails: MEDIANS.iter().map(|_| Tail::new(20_000)).collect(),
            judged: 0,
            hours: VecDeque::new(),
            hour: (0, 0.0, 0),
            days: Moments::default(),
        }
    }

    /// Judges the value of an interval ending at `time` (UTC seconds, not falling), then learns it. An interval without
    /// traffic is not observed. `None` in the first week, and for what is no number or not positive.
    pub fn observe(&mut self, time: i64, value: f64) -> Option<LevelReading> {
        if !value.is_finite() || value <= 0.0 {
            return None;
        }
        if time < self.last {
            if (self.last - time) as f64 > DAY {
                // The clock had been wrong, and would not be followed until it is there again.
                self.last = time;
                self.since = self.since.map(|since| since.min(time));
            }
            return None;
        }
        let since = *self.since.get_or_insert(time);
        let elapsed = (time - self.last).clamp(0, 86_400) as f64;
        self.last = time;
        let logarithm = value.ln_1p();
        let learned = time - since >= LEARN;
        let Some(pattern) = self.week.usual(time) else {
            self.week.learn(time, logarithm);
            return None;
        };
        let residual = logarithm - pattern - self.level;
        let reading = learned.then(|| self.judge(time, logarithm, pattern, residual));
        self.learn(time, elapsed, logarithm, pattern, residual, learned);
        reading
    }

    fn judge(&mut self, time: i64, logarithm: f64, pattern: f64, residual: f64) -> LevelReading {
        let spread = self.by_hour[of_day(time)].max(0.5 * self.spread).max(0.02);
        self.recent.push_back((residual, residual / spread));
        if self.recent.len() > MEDIANS[1].0 {
            self.recent.pop_front();
        }
        self.judged = self.judged.saturating_add(1);
        let (mut jump, mut factor) = (0.0_f64, 1.0);
        for ((count, least), tail) in MEDIANS.iter().zip(&mut self.tails) {
            let oriented = |middle: f64| match self.direction {
                Direction::Up => middle.max(0.0),
                Direction::Both => middle.abs(),
            };
            let middle = median(self.recent.iter().rev().take(*count).map(|(residual, _)| *residual));
            let scaled = median(self.recent.iter().rev().take(*count).map(|(_, scaled)| *scaled));
            let surprise = tail.judge(oriented(scaled));
            if oriented(middle) >= least.ln() && self.judged >= TAILS_LEARN {
                jump = jump.max(surprise / SURPRISE);
            }
            factor = middle.exp();
        }
        let drift = self.drift(time, logarithm - pattern - self.base);
        LevelReading { jump, drift, usual: (pattern + self.level).exp_m1().max(0.0), factor }
    }

    /// The mean of the last 24 hours against the base, once an hour.
    fn drift(&mut self, time: i64, residual: f64) -> f64 {
        let now = time.div_euclid(3600);
        if now != self.hour.0 {
            if self.hour.2 > 0 {
                self.hours.push_back(self.hour.1 / f64::from(self.hour.2));
                if self.hours.len() > 24 {
                    self.hours.pop_front();
                }
            }
            if self.hours.len() == 24 {
                let score = self.drift_score();
                if score < 1.0 {
                    self.days.add_fading(self.day(), 24.0 * 21.0);
                }
            }
            self.hour = (now, 0.0, 0);
        }
        self.hour.1 += residual.clamp(-1.0, 1.0);
        self.hour.2 += 1;
        if self.hours.len() == 24 { self.drift_score() } else { 0.0 }
    }

    /// The median and not the mean of hours: a burst of a few hours is no drift.
    fn day(&self) -> f64 {
        median(self.hours.iter().copied())
    }

    fn drift_score(&self) -> f64 {
        let day = match self.direction {
            Direction::Up => self.day(),
            Direction::Both => self.day().abs(),
        };
        // Before a day of days was seen their spread is taken for what single observations spread.
        let spread = if self.days.count() > 24.0 { self.days.spread() } else { self.spread / 2.0 };
        (day / DRIFT_FACTOR.ln()).min(day / (DRIFT_SPREADS * spread).max(1e-9)).max(0.0)
    }

    fn learn(&mut self, time: i64, elapsed: f64, logarithm: f64, pattern: f64, residual: f64, learned: bool) {
        let bounded = if learned { residual.clamp(-3.0 * self.spread, 3.0 * self.spread) } else { residual };
        let weight = if learned { (elapsed / DAY).min(1.0) * 0.2 } else { (elapsed / DAY).clamp(0.002, 1.0) };
        self.spread += weight.min(1.0) * (1.2533 * bounded.abs().max(0.01) - self.spread);
        let of_hour = &mut self.by_hour[of_day(time)];
        *of_hour += if *of_hour == 0.0 { bounded.abs() } else { 0.02 * (1.2533 * bounded.abs() - *of_hour) };
        self.week.learn(time, pattern + bounded);
        if learned {
            self.level += (elapsed / LEVEL_MEMORY) * bounded;
            let off = (logarithm - pattern - self.base).clamp(-3.0 * self.spread, 3.0 * self.spread);
            self.base += (elapsed / BASE_MEMORY) * off;
        }
    }
}

fn of_day(time: i64) -> usize {
    hour(time).0 % 24
}

/// Lower median; 0 of nothing.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

impl Saved for Level {
    const KIND: &'static str = "anomaly-level";
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), LoadError> {
        let finite = [self.level, self.base, self.spread, self.hour.1].iter().all(|value| value.is_finite());
        let bounded = self.by_hour.len() == 24
            && self.by_hour.iter().all(|spread| spread.is_finite())
            && self.recent.len() <= MEDIANS[1].0
            && self.hours.len() <= 24
            && self.tails.len() == MEDIANS.len();
        if finite && bounded && self.week.is_sound() && self.tails.iter().all(Tail::is_sound) {
            Ok(())
        } else {
            Err(LoadError::Contents("a level's state"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::saved::{load, save};

    const START: i64 = 1_704_585_600;

    /// Days until the first score of 1 when `change` (a factor by days since it began on day 12) is applied.
    fn noticed(seed: u64, change: impl Fn(f64) -> f64) -> Option<(f64, bool)> {
        let (mut rng, mut level) = (Rng::new(seed), Level::new(Direction::Up));
        (0..288 * 20).find_map(|step| {
            let days = step as f64 / 288.0;
            let season = 1.0 + 0.8 * (std::f64::consts::TAU * days).sin();
            let value =
                20.0 * season.exp() * (0.25 * rng.normal()).exp() * if days > 12.0 { change(days - 12.0) } else { 1.0 };
            let reading = level.observe(START + step * 300, value)?;
            (reading.jump >= 1.0 || reading.drift >= 1.0).then_some((days - 12.0, reading.jump >= 1.0))
        })
    }

    #[test]
    fn steps_and_bursts_are_seen_within_the_hour_and_drifts_within_days() {
        for seed in 0..5 {
            let (after, _) = noticed(seed, |_| 2.0).unwrap();
            assert!((0.0..0.06).contains(&after), "step after {after}");
            let (after, _) = noticed(seed, |days| if days < 0.03 { 10.0 } else { 1.0 }).unwrap();
            assert!((0.0..0.02).contains(&after), "burst after {after}");
            let (after, _) = noticed(seed, |days| (0.24 * days).exp()).unwrap();
            assert!((0.5..3.5).contains(&after), "drift after {after}");
        }
    }

    #[test]
    fn ordinary_days_and_small_changes_are_not_reported() {
        for seed in 10..15 {
            assert_eq!(noticed(seed, |_| 1.0), None);
            assert_eq!(noticed(seed, |_| 1.15), None);
        }
    }

    #[test]
    fn what_is_saved_goes_on() {
        let mut level = Level::new(Direction::Both);
        (0..3000).for_each(|step| {
            level.observe(START + step * 300, 5.0 + (step % 7) as f64);
        });
        let mut other: Level = load(&save(&level).unwrap()).unwrap();
        let time = START + 3001 * 300;
        assert_eq!(level.observe(time, 50.0), other.observe(time, 50.0));
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(other.observe(time, odd), None);
        }
        assert_eq!(other.observe(time - 300, 50.0), None, "a clock that jumps back is not followed");
        // One that was wrong by years is, from there on.
        let wrong = time + 3_650 * 86_400;
        assert!(other.observe(wrong, 5.0).is_some());
        assert_eq!(other.observe(time + 600, 5.0), None);
        assert!(other.observe(time + 900, 5.0).is_some());
        assert!(other.check().is_ok());
    }
}
