//! What is usual at this hour of the week, in logarithms. Knows UTC seconds, no holidays and no units.

use serde::{Deserialize, Serialize};

const HOURS: usize = 168;
const HOUR: i64 = 3600;
/// Observations after which an hour's mean only fades: three weeks of five-minute intervals.
const MEMORY: f32 = 36.0;
/// How many observations the same hour of like days counts for.
const SHRINK: f32 = 12.0;

/// Mean by hour of the week, shrunk towards the same hour of like days (working days, weekend) while there is little to see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Week {
    /// Mean and count by hour of the week, Sunday first.
    hours: Vec<(f32, f32)>,
    /// Mean and count by hour of working days, then of weekends.
    like: Vec<(f32, f32)>,
}

/// Hour of the week, 0 is Sunday 00:00 UTC, and the hour among like days.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "remainders are small and not negative")]
pub(crate) fn hour(time: i64) -> (usize, usize) {
    // The epoch began on a Thursday.
    let of_week = (time.div_euclid(HOUR) + 4 * 24).rem_euclid(168) as usize;
    let weekend = !(24..144).contains(&of_week);
    (of_week, of_week % 24 + if weekend { 24 } else { 0 })
}

fn add(mean: &mut (f32, f32), value: f32) {
    mean.1 = (mean.1 + 1.0).min(MEMORY);
    mean.0 += (value - mean.0) / mean.1;
}

impl Week {
    pub(crate) fn new() -> Self {
        Self { hours: vec![(0.0, 0.0); HOURS], like: vec![(0.0, 0.0); 48] }
    }

    fn at(&self, time: i64) -> Option<f64> {
        let (of_week, alike) = hour(time);
        let ((own, n), (like, like_n)) = (self.hours[of_week], self.like[alike]);
        let weight = if like_n > 0.0 { SHRINK } else { 0.0 };
        (n + weight > 0.0).then(|| f64::from((own * n + like * weight) / (n + weight)))
    }

    /// Usual value at `time`, between the middles of two hours.
    pub(crate) fn usual(&self, time: i64) -> Option<f64> {
        let before = time - HOUR / 2;
        let share = before.rem_euclid(HOUR) as f64 / HOUR as f64;
        match (self.at(before), self.at(before + HOUR)) {
            (Some(left), Some(right)) => Some(left + share * (right - left)),
            (left, right) => left.or(right),
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "24 bits are enough for a mean")]
    pub(crate) fn learn(&mut self, time: i64, value: f64) {
        let (of_week, alike) = hour(time);
        add(&mut self.hours[of_week], value as f32);
        add(&mut self.like[alike], value as f32);
    }

    pub(crate) fn is_sound(&self) -> bool {
        let finite = |means: &[(f32, f32)]| means.iter().all(|(mean, n)| mean.is_finite() && *n >= 0.0);
        self.hours.len() == HOURS && self.like.len() == 48 && finite(&self.hours) && finite(&self.like)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_counted_from_sunday() {
        // 2024-01-07 was a Sunday, 2024-01-08 a Monday.
        let sunday = 1_704_585_600;
        for (time, expected) in [(sunday, (0, 24)), (sunday + 86_400, (24, 0)), (sunday - 1, (167, 47)), (-1, (95, 23))]
        {
            assert_eq!(hour(time), expected, "{time}");
        }
    }

    #[test]
    fn a_weekly_pattern_is_learned_and_unseen_days_follow_like_ones() {
        let mut week = Week::new();
        let sunday = 1_704_585_600;
        let value = |time: i64| if (9..17).contains(&(hour(time).0 % 24)) { 5.0 } else { 1.0 };
        // Monday only.
        for step in 0..288 {
            let time = sunday + 86_400 + step * 300;
            week.learn(time, value(time));
        }
        let tuesday_noon = sunday + 2 * 86_400 + 12 * 3600 + 1800;
        assert!((week.usual(tuesday_noon).unwrap() - 5.0).abs() < 0.01);
        assert_eq!(week.usual(sunday + 12 * 3600), None);
    }
}
