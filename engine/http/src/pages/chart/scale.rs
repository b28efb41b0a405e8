//! From values to places: linear and logarithmic scales, ticks at round numbers. Knows no markup.

/// Maps a range of values to a range of places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    /// Values from `low` to `high`; an empty range is widened.
    pub(super) fn linear((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, from, to, logarithmic: false }
    }

    /// The same by powers of ten; `low` must be positive.
    pub(super) fn logarithmic((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let low = low.max(1e-6);
        let high = if high > low { high } else { low * 10.0 };
        Self { low, high, from, to, logarithmic: true }
    }

    /// Where a value is, within the range of places.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let part = if self.logarithmic {
            (value.max(self.low).ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
        self.from + part * (self.to - self.from)
    }

    /// Round values within the range.
    pub(super) fn ticks(&self, most: u32) -> Vec<f64> {
        if self.logarithmic {
            let (first, last) = (self.low.log10().floor(), self.high.log10().ceil());
            let step = ((last - first) / f64::from(most.max(1))).ceil().max(1.0);
            // Within two powers of ten, the 2 and the 5 between them are marked too.
            let digits: &[f64] = if self.high / self.low <= 101.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let powers = (0..=64).map(|n| first + f64::from(n) * step).take_while(|power| *power <= last);
            let values = powers.flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powf(power)));
            return values.filter(|v| (self.low * 0.999..=self.high * 1.001).contains(v)).collect();
        }
        let step = round_up((self.high - self.low) / f64::from(most.max(1)));
        let first = (self.low / step).ceil() * step;
        (0..=64).map(|n| first + f64::from(n) * step).take_while(|value| *value <= self.high * 1.000_001).collect()
    }
}

/// The next of 1, 2, 5 times a power of ten.
pub(super) fn round_up(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let digits = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= value * 0.999_999);
    digits.unwrap_or(10.0) * power
}

/// The same downwards.
pub(super) fn round_down(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let digits = [5.0, 2.0].into_iter().find(|digit| digit * power <= value * 1.000_001);
    digits.unwrap_or(1.0) * power
}

const SECOND: i64 = 1_000_000;
/// Steps of time axes, in microseconds.
const STEPS: [i64; 15] = [
    SECOND,
    5 * SECOND,
    15 * SECOND,
    30 * SECOND,
    60 * SECOND,
    2 * 60 * SECOND,
    5 * 60 * SECOND,
    15 * 60 * SECOND,
    30 * 60 * SECOND,
    3_600 * SECOND,
    3 * 3_600 * SECOND,
    6 * 3_600 * SECOND,
    12 * 3_600 * SECOND,
    24 * 3_600 * SECOND,
    7 * 24 * 3_600 * SECOND,
];

/// The step of a time axis with at most so many ticks, in microseconds.
fn time_step(span: i64, most: i64) -> i64 {
    let weeks = 7 * 24 * 3_600 * SECOND;
    let fitting = STEPS.into_iter().find(|step| span <= step.saturating_mul(most));
    fitting.unwrap_or_else(|| (span / weeks / most.max(1) + 1) * weeks)
}

/// Ticks of a time axis: the step, and about `most` round moments within. Both ends in microseconds since 1970.
pub(super) fn time_ticks(first: i64, last: i64, most: i64) -> (i64, Vec<i64>) {
    let step = time_step(last.saturating_sub(first), most);
    let begin = first.div_euclid(step).saturating_add(1);
    let at = |n: i64| begin.saturating_add(n).checked_mul(step);
    (step, (0..12).map_while(at).take_while(|at| *at <= last).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_placed_and_never_outside() {
        let scale = Scale::linear((0.0, 10.0), (100.0, 0.0));
        for (value, place) in [(0.0, 100.0), (5.0, 50.0), (10.0, 0.0), (99.0, 0.0), (-1.0, 100.0), (f64::NAN, 100.0)] {
            assert!((scale.place(value) - place).abs() < 1e-9, "{value}");
        }
        let scale = Scale::logarithmic((1.0, 100.0), (0.0, 10.0));
        assert!((scale.place(10.0) - 5.0).abs() < 1e-9);
        assert!(scale.place(0.0).abs() < 1e-9);
        assert!(Scale::linear((3.0, 3.0), (0.0, 1.0)).place(3.0).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(Scale::linear((0.0, 37.0), (0.0, 1.0)).ticks(4), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(Scale::linear((0.0, 0.9), (0.0, 1.0)).ticks(5).len(), 5);
        assert_eq!(Scale::logarithmic((1.0, 1_000.0), (0.0, 1.0)).ticks(5), [1.0, 10.0, 100.0, 1_000.0]);
        assert_eq!(time_step(10 * 60 * SECOND, 8), 2 * 60 * SECOND);
        assert_eq!(time_step(119 * SECOND, 3), 60 * SECOND, "ticks are a third of the axis apart, or more");
        assert_eq!(time_step(400 * 24 * 3_600 * SECOND, 8) % (24 * 3_600 * SECOND), 0);
        assert_eq!(time_ticks(0, 3 * SECOND, 8), (SECOND, vec![SECOND, 2 * SECOND, 3 * SECOND]));
        assert!(time_ticks(i64::MAX - 1, i64::MAX, 8).1.len() <= 12);
        assert_eq!(Scale::logarithmic((20.0, 200.0), (0.0, 1.0)).ticks(4), [20.0, 50.0, 100.0, 200.0]);
        assert!((round_down(73.0) - 50.0).abs() < 1e-9 && (round_down(11.0) - 10.0).abs() < 1e-9);
        assert!((round_up(0.0) - 1.0).abs() < 1e-9 && (round_up(73.0) - 100.0).abs() < 1e-9);
    }
}
