//! Small numeric facts that several models share: ranks, medians, a mean that ignores nothing. Knows no model.

use std::cmp::Ordering;

/// The index `floor(value)` into a range of `len`; what is below, above or not a number goes to the nearest end.
#[must_use]
#[allow(clippy::cast_sign_loss, reason = "clamped to the range first, and `as` saturates")]
pub fn index(value: f64, len: usize) -> usize {
    let last = len.saturating_sub(1);
    if value.is_nan() { 0 } else { (value.clamp(0.0, last as f64) as usize).min(last) }
}

/// Sorts ascending; not-a-number goes last.
pub fn sort(values: &mut [f64]) {
    values.sort_unstable_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (a, b) => a.cmp(&b),
    });
}

/// The `level` quantile (0 to 1) of ascending values with linear interpolation (Hyndman and Fan's type 7); NaN when empty.
#[must_use]
pub fn quantile(sorted: &[f64], level: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = level.clamp(0.0, 1.0) * last as f64;
    let low = index(position, sorted.len());
    let high = (low + 1).min(last);
    let share = position - low as f64;
    sorted[low] + (sorted[high] - sorted[low]) * share
}

/// The median of values in any order; NaN when empty.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sort(&mut sorted);
    quantile(&sorted, 0.5)
}

/// The mean; NaN when empty.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    mean_of(values.iter().copied())
}

/// The mean of what an iterator gives; NaN when empty.
pub fn mean_of(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    sum / count as f64
}

/// Replaces each value by its exponential, to twelve digits, the same on every machine and several at a time; below -700 it is
/// that of -700.
pub fn exp_all(values: &mut [f64]) {
    // Added to a number of moderate size, it leaves the nearest whole number in the low bits.
    const TO_WHOLE: f64 = 6_755_399_441_055_744.0;
    // 1/n! from the highest.
    const TERMS: [f64; 11] = [
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    for value in values {
        let x = value.clamp(-700.0, 700.0);
        let whole = x * std::f64::consts::LOG2_E + TO_WHOLE;
        let rest = x - (whole - TO_WHOLE) * std::f64::consts::LN_2;
        let power = TERMS.iter().fold(0.0, |sum, term| sum * rest + term);
        // Two to the whole number: into the exponent.
        *value = f64::from_bits(power.to_bits().wrapping_add(whole.to_bits() << 52));
    }
}

/// The logarithm of a count or a time: at least that of `floor`, and never of an infinity.
#[must_use]
pub fn log_of(value: f64, floor: f64) -> f64 {
    if value.is_nan() { floor.ln() } else { value.clamp(floor, f64::MAX).ln() }
}

/// The p50, p95 and p99 of q-errors, whose logarithms (truth less estimate, of either sign) are given.
#[must_use]
pub fn q_errors(logs: &[f64]) -> [f64; 3] {
    let mut sizes: Vec<f64> = logs.iter().map(|v| v.abs()).collect();
    sort(&mut sizes);
    [0.5, 0.95, 0.99].map(|level| quantile(&sizes, level).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let values = [1.0, 2.0, 3.0, 10.0];
        let check = |level, expected: f64| assert!((quantile(&values, level) - expected).abs() < 1e-12, "{level}");
        check(0.0, 1.0);
        check(0.5, 2.5);
        check(1.0, 10.0);
        check(7.0, 10.0);
        assert!(quantile(&[], 0.5).is_nan());
        assert!((median(&[5.0, 1.0, 3.0]) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn exponentials_are_those_of_the_library() {
        let mut values: Vec<f64> = (-70_000..=7_000).map(|step| f64::from(step) / 100.0).collect();
        let expected: Vec<f64> = values.iter().map(|v| v.exp()).collect();
        exp_all(&mut values);
        assert!(values.iter().zip(&expected).all(|(found, exact)| (found / exact - 1.0).abs() < 1e-12));
        let mut odd = [f64::NEG_INFINITY, 0.0];
        exp_all(&mut odd);
        assert!(odd[0] > 0.0 && odd[0] < 1e-300 && odd[1].to_bits() == 1.0_f64.to_bits());
    }

    #[test]
    fn indices_stay_in_range() {
        assert_eq!([-1.0, 0.0, 2.9, 3.0, f64::INFINITY, f64::NAN].map(|v| index(v, 3)), [0, 0, 2, 2, 2, 0]);
        assert_eq!(index(5.0, 0), 0);
    }

    #[test]
    fn logarithms_are_finite() {
        assert!([0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].iter().all(|v| log_of(*v, 1.0).is_finite()));
    }
}
