//! How far a value is from everything seen before. Knows no time and no threshold.

use querygate_models::anomaly::Moments;
use serde::{Deserialize, Serialize};

/// Prototypes of single values, sorted; a new one is kept when it is farther than `gap` spreads from its neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ValueNovelty {
    moments: Moments,
    kept: Vec<f64>,
    gap: f64,
    most: usize,
}

impl ValueNovelty {
    pub(crate) fn new(gap: f64, most: usize) -> Self {
        Self { moments: Moments::default(), kept: Vec::new(), gap, most }
    }

    /// Distance to the nearest kept value in spreads of the past; 0 for the first.
    pub(crate) fn distance(&mut self, value: f64) -> f64 {
        self.moments.add(value);
        let place = self.kept.partition_point(|kept| *kept < value);
        let neighbours = [place.checked_sub(1), Some(place)];
        let nearest = neighbours
            .into_iter()
            .flatten()
            .filter_map(|at| self.kept.get(at))
            .map(|kept| (kept - value).abs())
            .fold(f64::INFINITY, f64::min);
        let distance = if nearest.is_finite() { nearest / self.moments.spread() } else { 0.0 };
        if self.kept.is_empty() || distance > self.gap {
            self.kept.insert(place, value);
            if self.kept.len() > self.most {
                self.thin();
            }
        }
        distance
    }

    /// Forgets the value whose neighbours stand in for it best.
    fn thin(&mut self) {
        let closest = self.kept.windows(3).enumerate().map(|(at, three)| (at + 1, three[2] - three[0]));
        if let Some((at, _)) = closest.min_by(|a, b| a.1.total_cmp(&b.1)) {
            self.kept.remove(at);
        }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.kept.len() <= self.most && self.kept.iter().all(|kept| kept.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_between_known_ones_is_near_and_one_outside_is_far() {
        let mut novelty = ValueNovelty::new(0.02, 64);
        for step in 0..1000 {
            novelty.distance(f64::from(step % 100));
        }
        assert!(novelty.distance(50.5) < 0.1);
        assert!(novelty.distance(500.0) > 5.0);
        assert!(novelty.distance(500.0) < 1e-9, "the second time it is known");
        assert!(novelty.kept.len() <= 64 && novelty.is_sound());
    }
}
