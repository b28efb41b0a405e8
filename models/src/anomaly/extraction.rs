//! Bulk reading by a principal: a day far above its own and its peers' days, or a slow drip over a week. Volume alone does
//! not decide (a bursty user's 100-fold day is three standard deviations): the share of a table's keys, the hour of the week
//! and things never touched before count too. Knows counts, no rows and no names.

use super::week::hour;
use crate::saved::{LoadError, Saved};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What a principal read in an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reads {
    /// End of the hour, UTC seconds, not falling.
    pub time: i64,
    /// Rows delivered in it.
    pub rows: f64,
    /// Largest share of one table's distinct keys that was read in the last 24 hours, 0 to 1.
    pub share_of_day: f64,
    /// The same over seven days.
    pub share_of_week: f64,
    /// Tables, columns and templates that this principal touched for the first time, in this hour.
    pub first_seen: u32,
}

/// Scores from 1 on are unusual.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ExtractionReading {
    /// The last 24 hours.
    pub day: f64,
    /// The last seven days.
    pub week: f64,
    /// Rows of the last 24 hours.
    pub rows: f64,
    /// Usual rows of a day with any.
    pub usual: f64,
    /// Usual share of one table's keys read in a day.
    pub usual_share: f64,
}

/// Mean and spread of a logarithm, fading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Spread {
    n: f64,
    mean: f64,
    square: f64,
}

impl Spread {
    fn add(&mut self, value: f64, memory: f64, weight: f64) {
        self.n = (self.n + weight).min(memory);
        let step = weight / self.n.max(1.0);
        self.mean += step * (value - self.mean);
        self.square += step * (value * value - self.square);
    }

    /// Mean and standard deviation, with a prior worth `prior.2` observations.
    fn with(&self, prior: (f64, f64, f64)) -> (f64, f64) {
        let total = self.n + prior.2;
        let mean = (self.mean * self.n + prior.0 * prior.2) / total;
        let own = (self.square - self.mean * self.mean).max(0.0);
        (mean, ((own * self.n + prior.1 * prior.1 * prior.2) / total).sqrt())
    }
}

/// Days of all members of a peer group (position, role or application), so that a new principal is judged at all, and one
/// who always reads much among others who do is not reported for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Peers {
    volumes: Spread,
}

impl Peers {
    /// Whether what was read back can be reckoned with.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.volumes.n.is_finite() && self.volumes.mean.is_finite() && self.volumes.square.is_finite()
    }

    /// Mean and spread of the logarithm of a member's day; broad while little is known.
    fn day(&self) -> (f64, f64) {
        let prior = if self.volumes.n > 0.0 { self.volumes.mean } else { 1000f64.ln() };
        self.volumes.with((prior, 1.5, 5.0))
    }
}

const LEARN: i64 = 7 * 86_400;
/// Least standard deviation of the logarithm of a day: nobody reads the same every day.
const SPREAD_LEAST: f64 = 0.45;
/// Days remembered.
const DAYS: f64 = 30.0;
/// Times the usual below which a day is nobody's concern, and rows below which it is not either.
const FACTOR_LEAST: f64 = 6.0;
const ROWS_LEAST: f64 = 1000.0;
/// Evidence (in standard deviations, summed) that makes a score of 1.
const DAY_EVIDENCE: f64 = 7.2;
const WEEK_EVIDENCE: f64 = 5.2;
/// What a drip may take each day on top of the usual, in usual days: each is a supposition that a day speaks for or against. Twice the
/// usual for a week concerns no one.
const DRIPS: [f64; 4] = [2.0, 4.0, 8.0, 16.0];
/// Evidence of one day, in nats: no single day decides, and one day off does not clear a week.
const DRIP_LEAST: f64 = -2.0;
const DRIP_MOST: f64 = 3.0;
/// Evidence of a day that speaks for a drip, and days that must.
const DRIP_DAY: f64 = 0.3;
const DRIP_DAYS: usize = 3;
/// Days known at which a day's evidence counts half: what is usual is not certain before.
const DRIP_KNOWN: f64 = 4.0;
/// Added to shares before they are compared: below half a percent of the keys nothing is told.
const SHARE_FLOOR: f64 = 0.005;

/// Detector for one principal; under 2 KB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extraction {
    since: Option<i64>,
    day: i64,
    hours: VecDeque<(i64, f64, u32)>,
    today: f64,
    volumes: Spread,
    day_share: Spread,
    week_share: Spread,
    /// Share of all rows by hour of the week, fading.
    habits: Vec<f32>,
    /// Evidence of the last seven days for each of [`DRIPS`], newest last.
    drip: VecDeque<[f64; DRIPS.len()]>,
    shares: (f64, f64),
}

impl Default for Extraction {
    fn default() -> Self {
        Self::new()
    }
}

impl Extraction {
    /// Nothing known yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            since: None,
            day: i64::MIN,
            hours: VecDeque::new(),
            today: 0.0,
            volumes: Spread::default(),
            day_share: Spread::default(),
            week_share: Spread::default(),
            habits: vec![0.0; 168],
            drip: VecDeque::new(),
            shares: (0.0, 0.0),
        }
    }

    fn usual(&self, peers: &Peers) -> (f64, f64) {
        let (mean, spread) = peers.day();
        let (mean, spread) = self.volumes.with((mean, spread, 2.0));
        (mean, spread.max(SPREAD_LEAST))
    }

    /// Judges an hour, then learns it; a finished day goes to the peers as well. Nothing is said in the first week.
    pub fn observe(&mut self, reads: &Reads, peers: &mut Peers) -> ExtractionReading {
        let since = *self.since.get_or_insert(reads.time);
        let day = (reads.time - 1).div_euclid(86_400);
        if day != self.day {
            self.finish_day(peers);
            self.day = day;
        }
        let rows = if reads.rows.is_finite() { reads.rows.max(0.0) } else { 0.0 };
        let share = |share: f64| if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.shares.0 = self.shares.0.max(share(reads.share_of_day));
        self.shares.1 = self.shares.1.max(share(reads.share_of_week));
        self.today += rows;
        self.hours.push_back((reads.time, rows, reads.first_seen));
        while self.hours.len() > 24 || self.hours.front().is_some_and(|(then, ..)| reads.time - then >= 86_400) {
            self.hours.pop_front();
        }
        let volume: f64 = self.hours.iter().map(|(_, rows, _)| rows).sum();
        let (mean, _) = self.usual(peers);
        let usual_share = self.day_share.mean.exp() - SHARE_FLOOR;
        let mut reading = ExtractionReading {
            day: 0.0,
            week: 0.0,
            rows: volume,
            usual: mean.exp(),
            usual_share: usual_share.max(0.0),
        };
        if reads.time - since >= LEARN {
            reading.day = self.judge_day(volume, share(reads.share_of_day), peers);
            reading.week = self.judge_week(share(reads.share_of_week));
        }
        let (of_week, _) = hour(reads.time - 1);
        let total: f32 = self.habits.iter().sum();
        #[allow(clippy::cast_possible_truncation, reason = "24 bits are enough for a habit")]
        let bounded = (rows as f32).min(total.max(1000.0) * 0.2);
        self.habits[of_week] = self.habits[of_week] * 0.8 + bounded;
        reading
    }

    fn judge_day(&self, volume: f64, share: f64, peers: &Peers) -> f64 {
        let (mean, spread) = self.usual(peers);
        let logarithm = volume.max(1.0).ln();
        if volume < ROWS_LEAST || logarithm - mean < FACTOR_LEAST.ln() {
            return 0.0;
        }
        let (peer_mean, peer_spread) = peers.day();
        let own = ((logarithm - mean) / spread).clamp(0.0, 7.0);
        let peer = ((logarithm - peer_mean) / peer_spread.max(0.6)).clamp(0.0, 5.0);
        let first_seen = self.hours.iter().fold(0u32, |sum, (.., new)| sum.saturating_add(*new));
        let evidence = own
            + 0.5 * peer
            + above(share, &self.day_share)
            + 1.5 * self.off_hours(volume)
            + 0.5 * f64::from(first_seen.min(4));
        evidence / DAY_EVIDENCE
    }

    /// Share of the day's rows read in hours of the week in which this principal reads next to nothing.
    fn off_hours(&self, volume: f64) -> f64 {
        let total: f32 = self.habits.iter().sum();
        if total <= 0.0 {
            return 0.0;
        }
        let seldom = |time: i64| {
            let (of_week, _) = hour(time - 1);
            let around = [of_week + 167, of_week, of_week + 1].map(|at| self.habits[at % 168]);
            around.iter().sum::<f32>() / total < 0.003
        };
        self.hours.iter().filter(|(time, ..)| seldom(*time)).map(|(_, rows, _)| rows).sum::<f64>() / volume.max(1.0)
    }

    fn judge_week(&self, share: f64) -> f64 {
        let evidence = (0..DRIPS.len()).map(|at| {
            let days = || self.drip.iter().map(|day| day[at]);
            if days().filter(|evidence| *evidence > DRIP_DAY).count() < DRIP_DAYS {
                return 0.0;
            }
            // CUSUM over the week: days that speak against it take away what days for it gave.
            days().fold(0.0, |sum: f64, evidence| (sum + evidence).max(0.0))
        });
        let most = evidence.fold(0.0, f64::max);
        if most > 0.0 { (most + above(share, &self.week_share)) / WEEK_EVIDENCE } else { 0.0 }
    }

    fn finish_day(&mut self, peers: &mut Peers) {
        if self.day != i64::MIN && self.today > 0.0 {
            let logarithm = self.today.max(1.0).ln();
            let (mean, spread) = self.usual(peers);
            let distance = (logarithm - mean) / spread;
            if self.volumes.n >= 4.0 {
                let known = self.volumes.n / (self.volumes.n + DRIP_KNOWN);
                let evidence = |times| known * drip_evidence(self.today.max(1.0), times, mean, spread);
                self.drip.push_back(DRIPS.map(evidence));
            }
            // What is far off is learned slowly, so that an extraction does not become a habit.
            let weight = if distance > 3.0 {
                0.1
            } else if distance > 1.5 {
                0.4
            } else {
                1.0
            };
            self.volumes.add(logarithm, DAYS, weight);
            self.day_share.add((self.shares.0 + SHARE_FLOOR).ln(), DAYS, weight);
            self.week_share.add((self.shares.1 + SHARE_FLOOR).ln(), DAYS, weight);
            peers.volumes.add(logarithm, 3000.0, weight);
        } else if self.day != i64::MIN {
            // Who carries data away may rest too: such a day says nothing.
            self.drip.push_back([0.0; DRIPS.len()]);
        }
        if self.drip.len() > 7 {
            self.drip.pop_front();
        }
        (self.today, self.shares) = (0.0, (0.0, 0.0));
    }
}

/// Logarithm of how much likelier `rows` are on a day with a drip of `times` usual days than without one, when what is left is
/// spread as days are. A drip lifts the smallest days most, so a bursty principal's week without a small day tells of it,
/// where a sum of how large days are does not.
fn drip_evidence(rows: f64, times: f64, mean: f64, spread: f64) -> f64 {
    let own = rows - times * mean.exp();
    if own <= 1.0 {
        return DRIP_LEAST;
    }
    let unlikely = |rows: f64| rows.ln() + 0.5 * ((rows.ln() - mean) / spread).powi(2);
    (unlikely(rows) - unlikely(own)).clamp(DRIP_LEAST, DRIP_MOST)
}

/// How far a share is above what it usually is, in standard deviations of its logarithm, 0 to 6.
fn above(share: f64, usual: &Spread) -> f64 {
    let (mean, spread) = usual.with((usual.mean, 0.5, 3.0));
    (((share + SHARE_FLOOR).ln() - mean) / spread.max(0.4)).clamp(0.0, 6.0)
}

impl Saved for Extraction {
    const KIND: &'static str = "anomaly-extraction";
    const VERSION: u16 = 2;

    fn check(&self) -> Result<(), LoadError> {
        let spreads = [&self.volumes, &self.day_share, &self.week_share];
        let sound = spreads.iter().all(|s| s.n.is_finite() && s.mean.is_finite() && s.square.is_finite())
            && self.habits.len() == 168
            && self.habits.iter().all(|habit| habit.is_finite() && *habit >= 0.0)
            && self.hours.len() <= 24
            && self.drip.len() <= 7
            && self.drip.iter().flatten().all(|evidence| (DRIP_LEAST..=DRIP_MOST).contains(evidence))
            && self.today.is_finite();
        if sound { Ok(()) } else { Err(LoadError::Contents("an extraction detector's state")) }
    }
}

#[cfg(test)]
mod tests;
