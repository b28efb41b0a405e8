//! The normal and Student distributions, as far as decisions need them.

use std::f64::consts::{PI, SQRT_2};

/// Probability below `z` (Abramowitz and Stegun 7.1.26, absolute error below 1e-7).
pub(super) fn below(z: f64) -> f64 {
    let x = z.abs() / SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let tail = 0.5 * polynomial.iter().fold(0.0, |sum, c| (sum + c) * t) * (-x * x).exp();
    if z < 0.0 { tail } else { 1.0 - tail }
}

/// Mean of a standard normal that is known to be above `z`.
pub(super) fn mean_above(z: f64) -> f64 {
    if z < 3.0 {
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        return density / below(-z).max(1e-9);
    }
    // Laplace's continued fraction: the quotient above would lose its digits.
    (1..=20).rev().fold(z, |fraction, k| z + f64::from(k) / fraction)
}

/// The quantile of Student's t at normal quantile `z` (Fisher and Cornish's expansion; within 2% from 2 degrees on).
pub(super) fn student(z: f64, degrees: f64) -> f64 {
    let v = degrees.max(1.0);
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    z + terms[0] / v + terms[1] / v.powi(2) + terms[2] / v.powi(3)
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
        near(student(1.2816, 4.0), 1.5332);
        near(student(1.6449, 10.0), 1.8125);
        near(student(1.2816, 2.0), 1.8856);
    }
}
