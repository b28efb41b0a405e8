//! Data quality of one column as it passes: more NULLs than usual, numbers outside their range, another mix of categories.
//! Takes summaries of sampled batches; knows no value.

use super::counts::ErrorRate;
use super::tail::Tail;
use crate::saved::{LoadError, Saved};
use serde::{Deserialize, Serialize};

/// Hash buckets that categories are counted in.
pub const BUCKETS: usize = 16;

/// Summary of a column in one sampled batch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Batch {
    /// Rows looked at.
    pub rows: u64,
    /// NULLs among them.
    pub nulls: u64,
    /// Least and greatest number (of text its length, of a time its seconds), if there was any.
    pub range: Option<(f64, f64)>,
    /// Values by a hash of theirs, for columns of few distinct values.
    pub categories: Option<[u32; BUCKETS]>,
}

/// Scores from 1 on are unusual.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QualityReading {
    /// Share of NULLs.
    pub nulls: f64,
    /// Numbers out of their range: 1 is half the range's width beyond it.
    pub range: f64,
    /// Mix of categories.
    pub categories: f64,
    /// Share of NULLs usually, and in the last batches.
    pub null_share: (f64, f64),
    /// How far numbers lie beyond their usual range, in widths of that range.
    pub beyond: f64,
    /// Share of the values that belong to other categories than usually.
    pub moved: f64,
}

/// Rows of one batch come from one place and are alike: they count for no more than so many.
const ROWS_MOST: u64 = 50;
/// Batches before range and mix are judged.
const LEARN: u32 = 30;
/// Share of the rows that must lie in other buckets than usual.
const MIX_LEAST: f64 = 0.25;
/// Score of one width of the range beyond it.
const BEYOND: f64 = 2.0;
const MIX_SURPRISE: f64 = 3.0;

/// Detector for one column; about 2 KB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    nulls: ErrorRate,
    range: Option<(f64, f64)>,
    ranges: u32,
    mix: Vec<f64>,
    mixes: u32,
    tail: Tail,
}

impl Default for Quality {
    fn default() -> Self {
        Self::new()
    }
}

impl Quality {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nulls: ErrorRate::without_expectation(),
            range: None,
            ranges: 0,
            mix: vec![0.0; BUCKETS],
            mixes: 0,
            tail: Tail::new(5000),
        }
    }

    /// Judges a batch, then learns it. An empty one says nothing.
    pub fn observe(&mut self, batch: &Batch) -> QualityReading {
        if batch.rows == 0 {
            return QualityReading::default();
        }
        let rows = batch.rows.min(ROWS_MOST);
        let nulls = batch.nulls.min(batch.rows) as f64 / batch.rows as f64 * rows as f64;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most fifty")]
        let counted = self.nulls.observe(nulls.round() as u64, rows);
        let range = batch.range.map_or(0.0, |range| self.out_of_range(range));
        let (categories, moved) = batch.categories.map_or((0.0, 0.0), |counts| self.other_mix(&counts));
        QualityReading {
            nulls: counted.score,
            range,
            categories,
            null_share: (counted.usual, counted.now),
            beyond: range / BEYOND,
            moved,
        }
    }

    fn out_of_range(&mut self, (least, greatest): (f64, f64)) -> f64 {
        if !(least.is_finite() && greatest.is_finite()) || least > greatest {
            return 0.0;
        }
        let (low, high) = *self.range.get_or_insert((least, greatest));
        self.ranges = self.ranges.saturating_add(1);
        let width = (high - low).max(high.abs().max(low.abs()) * 0.01).max(1e-9);
        let beyond = (greatest - high).max(low - least).max(0.0) / width;
        // After the first batches the range gives way slowly, so that a new range is reported more than once.
        let share = if self.ranges <= LEARN { 1.0 } else { 0.1 };
        self.range = Some((low + share * (least - low).min(0.0), high + share * (greatest - high).max(0.0)));
        if self.ranges <= LEARN { 0.0 } else { BEYOND * beyond }
    }

    /// The score, and the share that moved.
    fn other_mix(&mut self, counts: &[u32; BUCKETS]) -> (f64, f64) {
        let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
        if total <= 0.0 {
            return (0.0, 0.0);
        }
        self.mixes = self.mixes.saturating_add(1);
        let moved: f64 =
            counts.iter().zip(&self.mix).map(|(count, usual)| (f64::from(*count) / total - usual).abs()).sum::<f64>()
                / 2.0;
        // Few rows differ by chance.
        let scaled = moved * total.min(400.0).sqrt();
        let score = if self.mixes > LEARN {
            let surprise = self.tail.judge(scaled);
            if moved >= MIX_LEAST { surprise / MIX_SURPRISE } else { 0.0 }
        } else {
            0.0
        };
        let step = (1.0 / f64::from(self.mixes)).max(0.02) * if score >= 1.0 { 0.2 } else { 1.0 };
        for (usual, count) in self.mix.iter_mut().zip(counts) {
            *usual += step * (f64::from(*count) / total - *usual);
        }
        (score, moved)
    }
}

impl Saved for Quality {
    const KIND: &'static str = "anomaly-quality";
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), LoadError> {
        self.nulls.check()?;
        let range = self.range.is_none_or(|(low, high)| low.is_finite() && high.is_finite());
        let mix = self.mix.len() == BUCKETS && self.mix.iter().all(|share| share.is_finite());
        if range && mix && self.tail.is_sound() { Ok(()) } else { Err(LoadError::Contents("a column's quality")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::saved::{load, save};

    /// A batch of 200 rows with this share of NULLs, numbers up to this, and this share of rows in the first bucket.
    fn batch(rng: &mut Rng, nulls: f64, most: f64, first: f64) -> Batch {
        let mut batch = Batch { rows: 200, range: Some((0.0, most * (0.9 + 0.1 * rng.unit()))), ..Batch::default() };
        let mut counts = [0; BUCKETS];
        for _ in 0..200 {
            if rng.unit() < nulls {
                batch.nulls += 1;
            } else {
                counts[if rng.unit() < first { 0 } else { 1 + rng.below(3) }] += 1;
            }
        }
        batch.categories = Some(counts);
        batch
    }

    #[test]
    fn each_fault_is_seen_in_its_own_score_and_ordinary_batches_in_none() {
        for seed in 0..5 {
            let (mut rng, mut quality) = (Rng::new(seed), Quality::new());
            for _ in 0..500 {
                let reading = quality.observe(&batch(&mut rng, 0.02, 100.0, 0.5));
                assert!(reading.nulls < 1.0 && reading.range < 1.0 && reading.categories < 1.0, "{reading:?}");
            }
            let mut other: Quality = load(&save(&quality).unwrap()).unwrap();
            let mut worst = |nulls, most, first| {
                let readings = (0..5).map(|_| other.observe(&batch(&mut rng, nulls, most, first)));
                readings
                    .fold((0.0f64, 0.0f64, 0.0f64), |m, r| (m.0.max(r.nulls), m.1.max(r.range), m.2.max(r.categories)))
            };
            let range = worst(0.02, 1000.0, 0.5);
            assert!(range.0 < 1.0 && range.1 >= 1.0 && range.2 < 1.0, "{range:?}");
            let mix = worst(0.02, 100.0, 0.02);
            assert!(mix.0 < 1.0 && mix.1 < 1.0 && mix.2 >= 1.0, "{mix:?}");
            let nulls = worst(0.6, 100.0, 0.5);
            assert!(nulls.0 >= 1.0 && nulls.1 < 1.0, "{nulls:?}");
        }
    }

    #[test]
    fn odd_summaries_do_no_harm() {
        let mut quality = Quality::new();
        for at in 0..200u32 {
            let range = [(f64::NAN, 1.0), (5.0, 1.0), (f64::NEG_INFINITY, f64::INFINITY), (0.0, 0.0)][at as usize % 4];
            let odd = Batch { rows: u64::from(at % 3), nulls: 9, range: Some(range), categories: Some([0; BUCKETS]) };
            let reading = quality.observe(&odd);
            assert!(reading.nulls.is_finite() && reading.range.is_finite() && reading.categories.is_finite());
        }
        assert!(quality.check().is_ok());
    }
}
