//! What a suggestion did once it was made: medians of the fragments that should gain, before and after, beside fragments that it
//! should not touch. Several indexes may be made one right after the other. Knows no planner and no source.

use super::suggestion::{Before, Gain, State, Suggestion};
use crate::numbers::as_number;
use crate::ran::Ran;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Runs after a change that are enough to say what it did.
const MEASURED_LEAST: u64 = 10;
/// Runs since another change below which what ran before that change is the better comparison.
const OWN_LEAST: u64 = 3;
/// Fragments that are watched beside those that should gain.
const CONTROLS_MAX: usize = 20;
/// How much faster or slower the source may seem to have become by itself.
const DRIFT_MOST: f64 = 4.0;
/// Share of the time that a suggestion must have saved to have helped.
const HELPED_LEAST: f64 = 0.05;

/// Medians that were set aside when other indexes of a source were made, the latest of each fragment, and whether that index
/// changed them. What was measured since may be too little to compare with: the runs of both began anew.
#[derive(Debug, Default)]
pub(super) struct Earlier(HashMap<u64, (Before, bool)>);

impl Earlier {
    pub(super) fn of(source: &str, suggestions: &[Suggestion]) -> Self {
        let made = suggestions.iter().filter(|one| one.source == source && one.state.is_applied());
        let mut known: Vec<(Option<i64>, bool, &Before)> = made
            .flat_map(|one| {
                let untouched = one.controls.iter().map(|before| (one.applied, false, before));
                untouched.chain(one.before.iter().map(|before| (one.applied, true, before)))
            })
            .collect();
        known.sort_by_key(|(applied, touched, before)| (*applied, *touched, before.fingerprint));
        let latest = known.into_iter().map(|(_, touched, before)| (before.fingerprint, (before.clone(), touched)));
        Self(latest.collect())
    }
}

impl Suggestion {
    /// Takes the latencies before it is made, and begins to measure anew.
    pub(super) fn apply(&mut self, rans: &mut HashMap<u64, Ran>, earlier: &Earlier, seconds: i64) {
        (self.before, self.controls) = (Vec::new(), Vec::new());
        let gains: Vec<u64> = self.gains.iter().map(|gain| gain.fingerprint).collect();
        let mut here: Vec<(&u64, &mut Ran)> = rans.iter_mut().filter(|(_, ran)| ran.source == self.source).collect();
        here.sort_by_key(|(fingerprint, ran)| (std::cmp::Reverse(ran.runs), **fingerprint));
        for (fingerprint, ran) in here {
            let own = ran.median().map(|(runs, median_ms)| Before { fingerprint: *fingerprint, runs, median_ms });
            let runs = own.as_ref().map_or(0, |own| own.runs);
            let earlier = earlier.0.get(fingerprint);
            if gains.contains(fingerprint) {
                let few = runs < OWN_LEAST;
                let known = earlier.filter(|_| few).map(|(before, _)| before.clone()).or(own);
                let Some(before) = known else { continue };
                self.before.push(before);
            } else if self.controls.len() < CONTROLS_MAX {
                let few = runs < MEASURED_LEAST;
                let untouched = earlier.filter(|(_, touched)| !touched).map(|(before, _)| before.clone());
                let known = if few { untouched } else { own };
                let Some(before) = known else { continue };
                self.controls.push(before);
            } else {
                continue;
            }
            ran.restart();
        }
        (self.state, self.applied, self.effect) = (State::Applied, Some(seconds), None);
        "not enough runs yet".clone_into(&mut self.measured);
    }

    /// Dropped again. What ran with it is no measure of what runs without.
    pub(super) fn undo(&mut self, rans: &mut HashMap<u64, Ran>) {
        for gain in &self.gains {
            if let Some(ran) = rans.get_mut(&gain.fingerprint) {
                ran.restart();
            }
        }
        self.state = State::Undone;
    }

    /// Stops to compare with fragments that another change of the source makes faster or slower.
    pub(super) fn without_controls(&mut self, gains: &[Gain]) {
        self.controls.retain(|control| gains.iter().all(|gain| gain.fingerprint != control.fingerprint));
    }

    /// Those whose effect cannot be told from this one's: they serve some of the same fragments, and were made with it or later.
    pub(super) fn measured_with(&self, all: &[Self]) -> Vec<i64> {
        let with = |other: &&Self| {
            let both = self.state.is_applied() && other.state.is_applied();
            let shares = |mine: &Before| {
                let theirs = other.before.iter().find(|theirs| theirs.fingerprint == mine.fingerprint);
                theirs.is_some_and(|theirs| theirs == mine || other.applied > self.applied)
            };
            both && other.id != self.id && other.source == self.source && self.before.iter().any(shares)
        };
        all.iter().filter(with).map(|other| other.id).collect()
    }

    /// Compares latencies since it was made with those before, beside fragments that it should not touch. The estimate has had
    /// its day. `together`: what was measured with it.
    pub(super) fn measure(&mut self, rans: &HashMap<u64, Ran>, together: &[i64]) {
        if !self.state.is_applied() {
            return;
        }
        let mut text = String::new();
        let measured = compare(&self.before, rans, |known, runs, median| {
            let _ = write!(
                text,
                "{}{:016x}: median {:.3} ms in {} runs before, {median:.3} ms in {runs} since",
                if text.is_empty() { "" } else { "; " },
                rans.get(&known.fingerprint).map_or(known.fingerprint, |ran| ran.statement(known.fingerprint)),
                known.median_ms,
                known.runs,
            );
        });
        let Some(ratio) = measured else { return };
        let drift = compare(&self.controls, rans, |_, _, _| {}).map(|drift| drift.clamp(1.0 / DRIFT_MOST, DRIFT_MOST));
        if let Some(drift) = drift {
            let _ = write!(text, "; what it does not touch took {drift:.2} times as long, which is taken off");
        }
        if !together.is_empty() {
            let others: Vec<String> = together.iter().map(i64::to_string).collect();
            let _ = write!(text, "; together with suggestion {}, which serves some of the same", others.join(", "));
        }
        let effect = 1.0 - ratio / drift.unwrap_or(1.0);
        self.effect = Some(effect);
        self.state = if effect >= HELPED_LEAST { State::Helped } else { State::DidNotHelp };
        self.confidence = 1.0;
        self.measured = text;
        if self.state == State::DidNotHelp {
            let _ = write!(self.measured, "; it did not help: CALL querygate.undo({})", self.id);
        }
    }
}

/// How many times as long fragments take now, each weighted by its runs before. `None`: too few ran since.
fn compare(before: &[Before], rans: &HashMap<u64, Ran>, mut told: impl FnMut(&Before, u64, f64)) -> Option<f64> {
    let (mut then, mut now) = (0.0, 0.0);
    for known in before {
        let since = rans.get(&known.fingerprint).and_then(Ran::median);
        let Some((runs, median)) = since.filter(|(runs, _)| *runs >= MEASURED_LEAST) else { continue };
        let weight = as_number(known.runs);
        then += weight * known.median_ms;
        now += weight * median;
        told(known, runs, median);
    }
    (then > 0.0).then(|| now / then)
}

#[cfg(test)]
mod tests {
    use super::super::book::Book;
    use super::super::suggestion::{Change, Spec};
    use super::*;
    use crate::testing::{DAY, statement};
    use std::time::Duration;

    /// Fragments of the templates of this number, as `statement` numbers them.
    fn gain(template: u64) -> Gain {
        Gain { fingerprint: template + 1_000_000, template, runs: 40, before: 10.0, after: 1.0 }
    }

    fn suggestion(id: i64, templates: &[u64]) -> Suggestion {
        let spec = Spec {
            table: vec!["main".to_owned(), "t".to_owned()],
            keys: vec![format!("k{id}")],
            include: Vec::new(),
            code_point: Vec::new(),
            rows: None,
        };
        Suggestion {
            id,
            source: "crm".to_owned(),
            table: "main.t".to_owned(),
            change: Change::Create(spec),
            ddl: String::new(),
            state: State::Suggested,
            benefit: 0.5,
            write_cost: 0.0,
            bytes: 1.0,
            confidence: 0.8,
            evidence: String::new(),
            gains: templates.iter().map(|template| gain(*template)).collect(),
            suggested: DAY,
            applied: None,
            before: Vec::new(),
            controls: Vec::new(),
            effect: None,
            measured: String::new(),
        }
    }

    fn made(suggestions: [Suggestion; 2]) -> Book {
        let mut book = Book::default();
        book.suggestions.extend(suggestions);
        book
    }

    /// Twenty runs of each template with its milliseconds.
    fn run(book: &mut Book, times: &[(u64, u64)]) {
        for (template, millis) in times {
            let mut record = statement("ada", *template, 1, DAY);
            record.fragments[0].acquire = Duration::ZERO;
            record.fragments[0].total = Duration::from_millis(*millis);
            (0..20).for_each(|_| book.ran.follow(&record, DAY));
        }
        book.measure();
    }

    fn check(book: &Book, id: i64, state: State, effect: f64) -> String {
        let one = book.suggestions.iter().find(|one| one.id == id).unwrap();
        assert_eq!(one.state, state, "{}", one.measured);
        assert!((one.effect.unwrap() - effect).abs() < 0.05, "{id}: {:?}, {}", one.effect, one.measured);
        one.measured.clone()
    }

    #[test]
    fn indexes_that_are_made_at_once_are_measured_each() {
        let mut book = made([suggestion(1, &[1]), suggestion(2, &[2])]);
        run(&mut book, &[(1, 20), (2, 40), (3, 10)]);
        book.applied(1, DAY);
        book.applied(2, DAY);
        assert_eq!(book.suggestions[1].before[0].runs, 20, "what ran before the first one");
        // Everything takes twice as long meanwhile, which neither did.
        run(&mut book, &[(1, 4), (2, 40), (3, 20)]);
        let first = check(&book, 1, State::Helped, 0.9);
        check(&book, 2, State::Helped, 0.5);
        assert!(first.contains(" times as long, which is taken off") && !first.contains("together"), "{first}");
    }

    #[test]
    fn what_another_index_serves_is_no_comparison_also_when_that_is_made_or_dropped_later() {
        let mut book = made([suggestion(1, &[1]), suggestion(2, &[2])]);
        run(&mut book, &[(1, 20), (2, 40)]);
        book.applied(1, DAY);
        run(&mut book, &[(1, 10), (2, 40)]);
        check(&book, 1, State::Helped, 0.5);
        book.applied(2, DAY + 60);
        run(&mut book, &[(1, 10), (2, 1)]);
        check(&book, 1, State::Helped, 0.5);
        check(&book, 2, State::Helped, 0.97);
        book.undone(2);
        run(&mut book, &[(1, 10), (2, 40)]);
        check(&book, 1, State::Helped, 0.5);
    }

    #[test]
    fn two_that_serve_the_same_say_that_they_are_measured_together() {
        let mut book = made([suggestion(1, &[1]), suggestion(2, &[1, 2])]);
        run(&mut book, &[(1, 20), (2, 20), (3, 20)]);
        book.applied(1, DAY);
        book.applied(2, DAY);
        run(&mut book, &[(1, 2), (2, 2), (3, 20)]);
        let (first, second) = (check(&book, 1, State::Helped, 0.9), check(&book, 2, State::Helped, 0.9));
        assert!(first.contains("together with suggestion 2,") && second.contains("together with suggestion 1,"));
        // With runs of its own in between each has its own comparison, and the earlier one's is the one that is mixed.
        let mut book = made([suggestion(1, &[1]), suggestion(2, &[1])]);
        run(&mut book, &[(1, 20)]);
        book.applied(1, DAY);
        run(&mut book, &[(1, 10)]);
        book.applied(2, DAY + 60);
        run(&mut book, &[(1, 5)]);
        assert!(check(&book, 1, State::Helped, 0.75).contains("together with suggestion 2,"));
        assert!(!check(&book, 2, State::Helped, 0.5).contains("together"));
    }
}
