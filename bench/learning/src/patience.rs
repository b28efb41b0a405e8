//! Incidents of one series whose bar rises with each of them: a series that has called often is one whose bursts are its habit.
//! Knows scores, not what they measure.

use querygate_models::anomaly::{Change, Rule, Watch};
use serde::{Deserialize, Serialize};

/// What an incident adds to the bar of those after it, as a share of the threshold.
const RISE: f64 = 0.2;
/// Observations in which what was added fades to a third: two months of five-minute intervals.
const MEMORY: f64 = 16_000.0;

/// A [`Watch`] that takes scores for less the more incidents it has seen. Thresholds that suit every series at once do not
/// exist: surprise is reckoned as if scores were independent, and how far they are from that differs from series to series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatientWatch {
    watch: Watch,
    /// Incidents so far, fading.
    incidents: f64,
}

impl PatientWatch {
    /// Nothing unusual yet.
    #[must_use]
    pub const fn new(rule: Rule) -> Self {
        Self { watch: Watch::new(rule), incidents: 0.0 }
    }

    /// Takes the score of the observation at `time` (UTC seconds).
    pub fn observe(&mut self, time: i64, score: f64) -> Option<Change> {
        self.incidents *= (-1.0 / MEMORY).exp();
        let change = self.watch.observe(time, score / (1.0 + RISE * self.incidents));
        if matches!(change, Some(Change::Opened { .. })) {
            self.incidents += 1.0;
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { threshold: 1.0, at_once: 1.0, unusual: 1, of: 1, quiet: 1, cool_down: 1 };

    /// Times at which incidents begin when every hundredth of `steps` scores is `high`, and the last of all is `last`.
    fn begun(steps: i64, high: f64, last: f64) -> Vec<i64> {
        let mut watch = PatientWatch::new(RULE);
        let score = |step: i64| if step == steps { last } else { f64::from(u8::from(step % 100 == 0)) * high };
        (1..=steps).filter(|step| matches!(watch.observe(*step, score(*step)), Some(Change::Opened { .. }))).collect()
    }

    #[test]
    fn what_comes_again_and_again_ends_and_what_is_higher_is_still_told() {
        let often = begun(2_050, 1.5, 1.5);
        assert_eq!(often, [100, 200, 300], "the bar is at 1.6 then");
        assert_eq!(begun(2_050, 1.5, 1.7), [100, 200, 300, 2_050]);
    }

    #[test]
    fn the_bar_falls_again() {
        let mut watch = PatientWatch::new(RULE);
        assert!(watch.observe(0, 1.1).is_some());
        let after = (1..40_000).find(|step| {
            matches!(watch.observe(*step, if step % 100 == 0 { 1.1 } else { 0.0 }), Some(Change::Opened { .. }))
        });
        assert!(after.is_some_and(|step| (11_000..11_300).contains(&step)), "{after:?}");
    }
}
