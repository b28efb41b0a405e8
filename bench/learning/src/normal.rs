//! The normal distribution, as far as choices of trials need it.

use std::f64::consts::{PI, SQRT_2};

/// Probability below `z` (Abramowitz and Stegun 7.1.26, absolute error below 1e-7).
pub(crate) fn below(z: f64) -> f64 {
    let x = z.abs() / SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let tail = 0.5 * polynomial.iter().fold(0.0, |sum, c| (sum + c) * t) * (-x * x).exp();
    if z < 0.0 { tail } else { 1.0 - tail }
}

/// Mean of a standard normal that is known to be above `z`.
pub(crate) fn mean_above(z: f64) -> f64 {
    if z < 3.0 {
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        return density / below(-z).max(1e-9);
    }
    // Laplace's continued fraction: the quotient above would lose its digits.
    (1..=20).rev().fold(z, |fraction, k| z + f64::from(k) / fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_agree_with_tables() {
        let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.02, "{found} for {expected}");
        near(below(1.2816), 0.9);
        near(below(-2.3263), 0.01);
        near(mean_above(0.0), 0.7979);
        near(mean_above(4.0), 4.2256);
        near(mean_above(10.0), 10.098);
    }
}
