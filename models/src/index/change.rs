//! What indexes change for one statement: in cost, in doubt, and in time. Asks nothing.

use super::oracle::Price;

/// A change of less than this share is none.
const LEAST: f64 = 0.1;
/// What is saved for certain is less than this part of what the planner hopes for: that is in doubt.
const PART: f64 = 0.5;

/// A statement without and with some indexes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Its number in the workload.
    pub statement: usize,
    /// Without them.
    pub before: Price,
    /// With them.
    pub after: Price,
}

fn share(before: f64, after: f64) -> f64 {
    1.0 - after / before.max(f64::MIN_POSITIVE)
}

impl Change {
    /// The share of its cost that is saved; negative: it becomes dearer.
    #[must_use]
    pub fn saved(&self) -> f64 {
        share(self.before.cost, self.after.cost)
    }

    /// The share that the planner expects to be saved.
    #[must_use]
    pub fn hoped(&self) -> f64 {
        share(self.before.planned, self.after.planned)
    }

    /// The share of its cost that is saved if all that is uncertain turns out badly; negative: it becomes dearer.
    #[must_use]
    pub fn saved_at_worst(&self) -> f64 {
        share(self.before.worst, self.after.worst)
    }

    /// Whether it may become slower, or gain much less than the planner expects.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.saved().min(self.saved_at_worst()) < -LEAST || self.hoped() > LEAST && self.saved() < PART * self.hoped()
    }

    /// The share of its time that is saved. What an index spares is reading, so a saved unit of cost takes no longer than a unit of
    /// reading does here: a statement that takes longer than its cost spends the rest on what no index changes.
    #[must_use]
    pub fn saved_time(&self, time: f64, rate: f64) -> f64 {
        let own = time / self.before.cost.max(f64::MIN_POSITIVE);
        let part = if own > 0.0 { (rate / own).min(1.0) } else { 1.0 };
        part * self.saved()
    }
}

/// How long a unit of cost takes that is spent on reading: the lower quartile of what it takes in statements, each with its time and
/// its cost. Zero without statements.
#[must_use]
pub fn rate(statements: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let known = statements.into_iter().filter(|(time, cost)| *time > 0.0 && *cost > 0.0);
    let mut rates: Vec<f64> = known.map(|(time, cost)| time / cost).filter(|rate| rate.is_finite()).collect();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 4).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: f64, after: f64, planned: f64) -> Change {
        let price = |cost: f64, planned: f64| Price { cost, planned, worst: cost };
        Change { statement: 0, before: price(before, before), after: price(after, planned) }
    }

    #[test]
    fn what_is_hoped_for_and_not_certain_is_in_doubt() {
        assert!(!change(100.0, 20.0, 20.0).is_doubtful());
        assert!(!change(100.0, 30.0, 10.0).is_doubtful());
        assert!(!change(100.0, 100.0, 95.0).is_doubtful());
        assert!(change(100.0, 70.0, 20.0).is_doubtful());
        assert!(change(100.0, 103.0, 20.0).is_doubtful());
        assert!(change(100.0, 150.0, 150.0).is_doubtful());
        let mut uncertain = change(100.0, 40.0, 30.0);
        assert!(!uncertain.is_doubtful());
        uncertain.after.worst = 120.0;
        assert!(uncertain.is_doubtful() && (uncertain.saved_at_worst() + 0.2).abs() < 1e-12);
        // As uncertain as it was without them.
        uncertain.before.worst = 120.0;
        assert!(!uncertain.is_doubtful());
    }

    #[test]
    fn no_more_time_is_saved_than_reading_takes() {
        let half = change(1000.0, 500.0, 500.0);
        // As fast as reading, and faster than it.
        assert!((half.saved_time(4.0, 0.004) - 0.5).abs() < 1e-12);
        assert!((half.saved_time(2.0, 0.004) - 0.5).abs() < 1e-12);
        // Three quarters of the time go elsewhere.
        assert!((half.saved_time(16.0, 0.004) - 0.125).abs() < 1e-12);
        let fast = [(1.0, 100.0), (2.0, 100.0), (3.0, 100.0), (40.0, 100.0), (0.0, 5.0), (1.0, 0.0)];
        assert!((rate(fast) - 0.02).abs() < 1e-12);
        assert!(rate([]).abs() < 1e-12);
    }
}
