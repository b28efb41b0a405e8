//! What people may expect of a suggestion: how much of the measured time, and what of it is in doubt. Asks nothing.

use super::problem::{Asked, Problem};
use crate::numbers::{as_number, percent};
use querygate_models::index::{Advice, Change, rate};

/// Fragments in doubt that are named.
const NAMED_MAX: usize = 5;
/// Trust in a suggestion all of whose gains are in doubt.
const DOUBTED: f64 = 0.4;

/// What a source takes for what its planner's costs say.
pub(super) struct Outlook<'a> {
    problem: &'a Problem,
    statements: &'a [Change],
    /// Milliseconds that a unit of cost takes which is spent on reading.
    rate: f64,
}

impl<'a> Outlook<'a> {
    pub(super) fn new(problem: &'a Problem, advice: &'a Advice) -> Self {
        let known = problem.statements.iter().zip(&advice.statements);
        let rate = rate(known.map(|(asked, change)| (asked.millis, change.before.cost)));
        Self { problem, statements: &advice.statements, rate }
    }

    fn asked<'c>(&'a self, changes: &'c [Change]) -> impl Iterator<Item = (&'a Asked, &'c Change)> {
        changes.iter().filter_map(|change| Some((self.problem.statements.get(change.statement)?, change)))
    }

    /// Whether one index in itself, or all together, do to the statement what nobody knows.
    fn is_doubtful(&self, change: &Change) -> bool {
        change.is_doubtful() || self.statements.get(change.statement).is_some_and(Change::is_doubtful)
    }

    /// The part of what the planner hopes for that is certain, and of the rest a little.
    pub(super) fn trust(&self, changes: &[Change]) -> f64 {
        let (mut all, mut doubtful) = (0.0, 0.0);
        for (asked, change) in self.asked(changes) {
            let saved =
                (change.before.planned - change.after.planned).max(change.before.cost - change.after.cost).abs();
            all += as_number(asked.runs) * saved;
            doubtful += if self.is_doubtful(change) { as_number(asked.runs) * saved } else { 0.0 };
        }
        if all > 0.0 { 1.0 - (1.0 - DOUBTED) * doubtful / all } else { 1.0 }
    }

    /// The words after the evidence; empty if there is nothing to say.
    pub(super) fn words(&self, changes: &[Change]) -> String {
        format!("{}{}", self.time(changes), self.doubts(changes))
    }

    fn time(&self, changes: &[Change]) -> String {
        let (mut spent, mut saved) = (0.0, 0.0);
        for (asked, change) in self.asked(changes) {
            let Some(now) = self.statements.get(change.statement) else { continue };
            let time = as_number(asked.runs) * asked.millis;
            let unit = time / now.before.cost.max(f64::MIN_POSITIVE);
            let rate = unit.min(as_number(asked.runs) * self.rate);
            spent += time;
            saved += rate * (change.before.cost - change.after.cost);
        }
        let share = (100.0 * saved / spent).round();
        if share.is_finite() && spent > 0.0 {
            // Nothing has no sign.
            let share = if share == 0.0 { 0.0 } else { share };
            format!("; expected: about {share:.0}% less time at the source for the fragments that it serves")
        } else {
            String::new()
        }
    }

    fn doubts(&self, changes: &[Change]) -> String {
        let doubtful: Vec<(&Asked, &Change)> =
            self.asked(changes).filter(|(_, change)| self.is_doubtful(change)).collect();
        if doubtful.is_empty() {
            return String::new();
        }
        let one = |(asked, change): &(&Asked, &Change)| {
            let (hoped, saved) = (percent(-change.hoped()), percent(-change.saved()));
            let worst = percent(-change.saved_at_worst());
            let worst = if worst == saved { String::new() } else { format!(", {worst} at worst") };
            format!("{:016x} {hoped} by the planner, {saved} with look-ups at their price{worst}", asked.template)
        };
        let named: Vec<String> = doubtful.iter().take(NAMED_MAX).map(one).collect();
        format!(
            "; UNCERTAIN for {} of {} fragments, which may gain much less or become slower ({}): measure it once it is applied",
            doubtful.len(),
            changes.len(),
            named.join("; ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::advice::NativeQuery;
    use querygate_models::index::Price;
    use std::collections::BTreeSet;

    fn asked(template: u64, millis: f64) -> Asked {
        let query = NativeQuery { text: "".into(), tables: Vec::new(), rows: None };
        Asked { fingerprint: template + 1, template, query, policy: BTreeSet::new(), runs: 10, millis }
    }

    fn change(statement: usize, before: f64, after: f64, planned: f64) -> Change {
        let price = |cost, planned| Price { cost, planned, worst: cost };
        Change { statement, before: price(before, before), after: price(after, planned) }
    }

    fn told(changes: Vec<Change>, millis: &[f64]) -> (String, f64) {
        let mut problem = Problem::new(&[], Vec::new(), &[]);
        problem.statements =
            millis.iter().enumerate().map(|(at, millis)| asked(0xa0 + as_number_of(at), *millis)).collect();
        let advice = Advice {
            before: 1.0,
            after: 1.0,
            bytes: 0.0,
            suggestions: Vec::new(),
            statements: changes.clone(),
            rejected: Vec::new(),
            questions: 0,
        };
        let outlook = Outlook::new(&problem, &advice);
        (outlook.words(&changes), outlook.trust(&changes))
    }

    fn as_number_of(place: usize) -> u64 {
        u64::try_from(place).unwrap()
    }

    #[test]
    fn what_is_certain_is_told_in_time_and_what_is_not_as_such() {
        // The second takes four times as long as reading as much would.
        let (words, trust) =
            told(vec![change(0, 1000.0, 100.0, 100.0), change(1, 1000.0, 500.0, 500.0)], &[10.0, 40.0]);
        assert_eq!(words, "; expected: about 28% less time at the source for the fragments that it serves");
        assert!((trust - 1.0).abs() < 1e-9);
        let (words, trust) =
            told(vec![change(0, 1000.0, 100.0, 100.0), change(1, 1000.0, 1100.0, 100.0)], &[10.0, 10.0]);
        assert!(words.contains("UNCERTAIN for 1 of 2 fragments"), "{words}");
        assert!(words.contains("00000000000000a1 -90% by the planner, +10% with look-ups at their price"), "{words}");
        assert!((trust - 0.7).abs() < 1e-9, "{trust}");
        let mut uncertain = change(0, 1000.0, 100.0, 100.0);
        assert!(!told(vec![uncertain], &[10.0]).0.contains("UNCERTAIN"));
        uncertain.after.worst = 1300.0;
        let (words, _) = told(vec![uncertain], &[10.0]);
        assert!(words.contains("-90% by the planner, -90% with look-ups at their price, +30% at worst"), "{words}");
        assert_eq!(told(Vec::new(), &[]).0, "");
    }
}
