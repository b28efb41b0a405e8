//! From scores to incidents: persistence, quiet end, cool-down, one alert each. Knows scores and steps, not what they measure.

use serde::{Deserialize, Serialize};

/// When an incident begins and ends. Counts are of observations, so that one rule fits every interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Score from which an observation counts as unusual.
    pub threshold: f64,
    /// Score from which one observation is enough.
    pub at_once: f64,
    /// So many unusual ones …
    pub unusual: u32,
    /// … of the last so many (at most 32) begin an incident.
    pub of: u32,
    /// So many ordinary ones in a row end it.
    pub quiet: u32,
    /// No other incident begins before so many observations after the begin of the last.
    pub cool_down: u32,
}

impl Rule {
    /// For levels, error rates and new templates in intervals of about five minutes: three of five.
    pub const GATEWAY: Self = Self { threshold: 1.0, at_once: 3.0, unusual: 3, of: 5, quiet: 24, cool_down: 72 };
    /// For extraction, observed hourly over a sliding day: one incident a day and principal.
    pub const EXTRACTION: Self = Self { threshold: 1.0, at_once: 1.0, unusual: 1, of: 1, quiet: 12, cool_down: 36 };
}

/// What an observation changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// An incident began; its first unusual observation was at `start`.
    Opened {
        /// UTC seconds.
        start: i64,
    },
    /// The incident ended: there is nothing unusual any more.
    Closed(Span),
}

/// An incident in time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// First unusual observation, UTC seconds.
    pub start: i64,
    /// Last unusual observation.
    pub end: i64,
    /// Highest score.
    pub peak: f64,
    /// Unusual observations.
    pub observations: u32,
}

/// Follows one series of scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    rule: Rule,
    /// Bit 0 is the latest observation.
    unusual: u32,
    /// Time of the earliest unusual observation that still counts.
    first: Option<i64>,
    open: Option<Span>,
    quiet: u32,
    since_open: u32,
}

impl Watch {
    /// Nothing unusual yet.
    #[must_use]
    pub const fn new(rule: Rule) -> Self {
        Self { rule, unusual: 0, first: None, open: None, quiet: 0, since_open: u32::MAX }
    }

    /// The incident that is under way.
    #[must_use]
    pub const fn open(&self) -> Option<&Span> {
        self.open.as_ref()
    }

    /// Ends what is open without a word, so that whatever goes on is told again: whoever follows incidents begins anew.
    pub const fn begin_anew(&mut self) {
        *self = Self::new(self.rule);
    }

    /// Takes the score of the observation at `time` (UTC seconds).
    pub fn observe(&mut self, time: i64, score: f64) -> Option<Change> {
        self.since_open = self.since_open.saturating_add(1);
        let unusual = score >= self.rule.threshold;
        let kept = self.rule.of.clamp(1, 32);
        self.unusual = (self.unusual << 1 | u32::from(unusual)) & (u32::MAX >> (32 - kept));
        if self.unusual == 0 {
            self.first = None;
        } else if unusual && self.first.is_none() {
            self.first = Some(time);
        }
        if let Some(open) = &mut self.open {
            if unusual {
                self.quiet = 0;
                (open.end, open.peak, open.observations) = (time, open.peak.max(score), open.observations + 1);
                return None;
            }
            self.quiet += 1;
            if self.quiet < self.rule.quiet {
                return None;
            }
            return self.open.take().map(Change::Closed);
        }
        let enough = self.unusual.count_ones() >= self.rule.unusual || score >= self.rule.at_once;
        if !(unusual && enough) || self.since_open <= self.rule.cool_down {
            return None;
        }
        let start = self.first.unwrap_or(time);
        let observations = self.unusual.count_ones();
        self.open = Some(Span { start, end: time, peak: score, observations });
        (self.quiet, self.since_open) = (0, 0);
        Some(Change::Opened { start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { threshold: 1.0, at_once: 5.0, unusual: 3, of: 5, quiet: 4, cool_down: 10 };

    /// Steps at which incidents begin and end.
    fn check(scores: &[f64], opened: &[usize], closed: &[(i64, i64)]) {
        let mut watch = Watch::new(RULE);
        let (mut begun, mut ended) = (Vec::new(), Vec::new());
        for (step, score) in scores.iter().enumerate() {
            match watch.observe(i64::try_from(step).unwrap(), *score) {
                Some(Change::Opened { .. }) => begun.push(step),
                Some(Change::Closed(span)) => ended.push((span.start, span.end)),
                None => {}
            }
        }
        assert_eq!((begun.as_slice(), ended.as_slice()), (opened, closed), "{scores:?}");
    }

    #[test]
    fn three_of_five_or_one_very_unusual_begin_an_incident() {
        check(&[0.0, 2.0, 0.0, 2.0, 0.0, 0.0], &[], &[]);
        check(&[0.0, 2.0, 0.0, 2.0, 2.0, 0.0], &[4], &[]);
        check(&[0.0, 9.0, 0.0], &[1], &[]);
        check(&[f64::NAN; 8], &[], &[]);
    }

    #[test]
    fn quiet_ends_it_and_cool_down_keeps_the_next_away() {
        let (odd, quiet) = ([9.0].as_slice(), [0.0; 4].as_slice());
        check(&[odd, quiet].concat(), &[0], &[(0, 0)]);
        check(&[odd, quiet, odd, quiet].concat(), &[0], &[(0, 0)]);
        check(&[odd, quiet, quiet, quiet, odd, quiet].concat(), &[0, 13], &[(0, 0), (13, 13)]);
        // Interruptions shorter than the quiet end belong to the incident.
        check(&[odd, &[0.0; 3], odd, &[0.0; 3], odd, quiet].concat(), &[0], &[(0, 8)]);
    }
}
