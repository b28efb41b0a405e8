//! Randomness from a seed, the same on every machine and in every release. Not for secrets.

use serde::{Deserialize, Serialize};

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, so that a saved model goes on where it stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rng {
    state: u64,
}

/// The finalizer of SplitMix64: a bijection that spreads every input bit over all output bits.
#[must_use]
pub const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Rng {
    /// Equal seeds give equal sequences.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Uniform over all words.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Uniform in `[0, 1)`, 53 bits.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform in `0..bound`; 0 for an empty range.
    #[allow(clippy::cast_possible_truncation, reason = "the high word is below the bound")]
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.word()) * bound as u128) >> 64) as usize
    }

    /// Standard normal (Box and Muller; one of the pair).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// `count` of the items, each as likely as any other, and the rest, both in order (Knuth's algorithm S).
    pub fn sample<T: Copy>(&mut self, items: &[T], count: usize) -> (Vec<T>, Vec<T>) {
        let count = count.min(items.len());
        let (mut chosen, mut others) = (Vec::with_capacity(count), Vec::with_capacity(items.len() - count));
        for (at, item) in items.iter().enumerate() {
            let wanted = self.below(items.len() - at) < count - chosen.len();
            if wanted { &mut chosen } else { &mut others }.push(*item);
        }
        (chosen, others)
    }

    /// Fisher–Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_sequences_that_do_not_change_with_releases() {
        let mut rng = Rng::new(1_234_567);
        // The reference sequence of SplitMix64 for this seed.
        let words: Vec<u64> = (0..3).map(|_| rng.word()).collect();
        assert_eq!(words, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut rng = Rng::new(7);
        let n = 100_000;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / f64::from(n);
        let units: Vec<f64> = (0..n).map(|_| rng.unit()).collect();
        assert!((mean(&units) - 0.5).abs() < 0.01);
        assert!(units.iter().all(|u| (0.0..1.0).contains(u)));
        let normals: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let squares: Vec<f64> = normals.iter().map(|v| v * v).collect();
        assert!(mean(&normals).abs() < 0.02 && (mean(&squares) - 1.0).abs() < 0.02);
        assert_eq!(rng.below(0), 0);
        assert!((0..1000).all(|_| rng.below(7) < 7));
    }

    #[test]
    fn a_sample_has_each_item_as_often_and_keeps_their_order() {
        let (mut rng, items, mut drawn) = (Rng::new(5), [0_usize, 1, 2, 3, 4], [0; 5]);
        for _ in 0..5_000 {
            let (chosen, others) = rng.sample(&items, 2);
            assert!(chosen.is_sorted() && others.is_sorted() && (chosen.len(), others.len()) == (2, 3));
            chosen.iter().for_each(|item| drawn[*item] += 1);
        }
        assert!(drawn.iter().all(|times| (1_800..2_200).contains(times)), "{drawn:?}");
        assert_eq!((rng.sample(&items, 9).0, rng.sample(&items, 0).1), (items.to_vec(), items.to_vec()));
    }

    #[test]
    fn a_shuffle_keeps_the_items() {
        let mut items: Vec<u32> = (0..100).collect();
        Rng::new(3).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
