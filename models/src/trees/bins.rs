//! Values as small codes: at most 255 bins of like weight per feature, bin 0 for missing. Knows no tree.

use crate::matrix::Matrix;
use crate::numeric;

/// The bin of missing values.
pub(crate) const MISSING: u8 = 0;
/// Bins of values per feature; with the missing one they fit a byte.
pub(crate) const BINS_MAX: usize = 128;

/// A training matrix in codes, feature by feature.
pub(crate) struct Binned {
    rows: usize,
    /// Per feature the thresholds between its bins: bin `b` (from 1) holds values `<= edges[b - 1]` and above the one before.
    pub(crate) edges: Vec<Vec<f64>>,
    codes: Vec<u8>,
    binary: Vec<bool>,
}

impl Binned {
    pub(crate) fn new(x: &Matrix) -> Self {
        let rows = x.rows();
        let edges: Vec<Vec<f64>> = (0..x.width()).map(|f| edges(x, f)).collect();
        let mut codes = Vec::with_capacity(rows * x.width());
        for (feature, edges) in edges.iter().enumerate() {
            codes.extend((0..rows).map(|row| code(edges, x.row(row)[feature])));
        }
        let is_binary = |(feature, edges): (usize, &Vec<f64>)| {
            edges.len() == 1 && !codes[feature * rows..(feature + 1) * rows].contains(&MISSING)
        };
        let binary = edges.iter().enumerate().map(is_binary).collect();
        Self { rows, edges, codes, binary }
    }

    pub(crate) fn codes(&self, feature: usize) -> &[u8] {
        &self.codes[feature * self.rows..(feature + 1) * self.rows]
    }

    /// Whether a feature has two bins of values and is never missing.
    pub(crate) fn is_binary(&self, feature: usize) -> bool {
        self.binary[feature]
    }

    /// Bins of a feature, the missing one included.
    pub(crate) fn bins(&self, feature: usize) -> usize {
        self.edges[feature].len() + 2
    }
}

fn edges(x: &Matrix, feature: usize) -> Vec<f64> {
    let mut values: Vec<f64> = (0..x.rows()).map(|row| x.row(row)[feature]).filter(|v| !v.is_nan()).collect();
    numeric::sort(&mut values);
    let all = values.clone();
    values.dedup();
    // A threshold lies in the middle of two neighbours, so that values between the ones seen go to the nearer side.
    let between = |a: f64, b: f64| {
        let middle = f64::midpoint(a, b);
        if middle.is_finite() && middle < b { middle } else { a }
    };
    if values.len() <= BINS_MAX {
        return values.windows(2).map(|pair| between(pair[0], pair[1])).collect();
    }
    let mut edges: Vec<f64> = (1..BINS_MAX)
        .filter_map(|bin| {
            let value = all[bin * all.len() / BINS_MAX];
            let next = values.partition_point(|v| *v <= value);
            values.get(next).map(|above| between(value, *above))
        })
        .collect();
    edges.dedup();
    edges
}

fn code(edges: &[f64], value: f64) -> u8 {
    if value.is_nan() {
        return MISSING;
    }
    u8::try_from(edges.partition_point(|edge| *edge < value) + 1).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[f64]) -> Matrix {
        let mut x = Matrix::new(1);
        values.iter().for_each(|v| x.push(&[*v]));
        x
    }

    #[test]
    fn few_values_get_a_bin_each_and_missing_ones_the_first() {
        let binned = Binned::new(&column(&[3.0, f64::NAN, 1.0, 3.0, 2.0]));
        assert_eq!(binned.edges[0], [1.5, 2.5]);
        assert_eq!(binned.codes(0), [3, MISSING, 1, 3, 2]);
        assert_eq!(binned.bins(0), 4);
    }

    #[test]
    fn many_values_share_bins_of_like_weight_and_infinities_are_values() {
        let mut values: Vec<f64> = (0..10_000).map(f64::from).collect();
        values.extend([f64::INFINITY, f64::NEG_INFINITY, f64::MAX]);
        let binned = Binned::new(&column(&values));
        assert!(binned.bins(0) <= BINS_MAX + 2);
        let first = binned.codes(0).iter().filter(|c| **c == 1).count();
        assert!((70..90).contains(&first), "{first}");
        assert!(binned.edges[0].is_sorted() && binned.edges[0].iter().all(|e| e.is_finite()));
        assert!(Binned::new(&column(&[f64::NAN])).edges[0].is_empty());
    }
}
