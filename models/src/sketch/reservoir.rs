//! A uniform sample of a stream of unknown length (Vitter's algorithm R). Knows items, not their meaning.

use crate::rng::Rng;
use serde::{Deserialize, Serialize};

/// Each item seen is in the sample with equal probability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservoir<T> {
    capacity: usize,
    seen: u64,
    items: Vec<T>,
    rng: Rng,
}

impl<T> Reservoir<T> {
    /// At most `capacity` items.
    #[must_use]
    pub fn new(capacity: usize, seed: u64) -> Self {
        Self { capacity, seen: 0, items: Vec::new(), rng: Rng::new(seed) }
    }

    /// Takes an item in, or not.
    pub fn add(&mut self, item: T) {
        self.seen = self.seen.saturating_add(1);
        if self.items.len() < self.capacity {
            self.items.push(item);
        } else {
            let place = self.rng.below(usize::try_from(self.seen).unwrap_or(usize::MAX));
            if let Some(slot) = self.items.get_mut(place) {
                *slot = item;
            }
        }
    }

    /// The sample.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// How many items were offered.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_and_late_items_are_equally_likely() {
        let mut early = 0;
        for seed in 0..2_000 {
            let mut sample = Reservoir::new(10, seed);
            (0..100).for_each(|i| sample.add(i));
            early += sample.items().iter().filter(|i| **i < 50).count();
            assert_eq!((sample.items().len(), sample.seen()), (10, 100));
        }
        assert!((9_600..10_400).contains(&early), "{early}");
    }
}
