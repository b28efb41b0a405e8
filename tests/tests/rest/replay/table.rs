//! What became of the recorded exchanges: how many are alike, by status and code, by the whole body, and by the words of messages; and all
//! differences, grouped by their kind. Knows no exchange.

use super::same::{Difference, Kind};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Exchanges that differ for a reason: a scenario's beginning, parts of the id, method and path of which one is in them, and why.
const KNOWN: &str = include_str!("../known.tsv");
/// How the reasons of those begin that a service would have answered, or prepared.
const APART: &str = "no service: ";
/// Exchanges of one group that are told.
const TOLD: usize = 40;

pub(crate) struct Known {
    scenario: &'static str,
    text: &'static str,
    reason: &'static str,
    is_met: Cell<bool>,
}

pub(crate) fn known() -> Vec<Known> {
    let lines = KNOWN.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = |line: &'static str| {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().unwrap();
        Known { scenario: cell(), text: cell(), reason: cell(), is_met: Cell::new(false) }
    };
    lines.map(read).collect()
}

/// Exchanges of one scenario.
#[derive(Default)]
pub(crate) struct Tally {
    sent: usize,
    /// Those that a service answers that the gate has not.
    unserved: usize,
    by_code: usize,
    by_body: usize,
    by_words: usize,
    listed: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.unserved += other.unserved;
        self.by_code += other.by_code;
        self.by_body += other.by_body;
        self.by_words += other.by_words;
        self.listed += other.listed;
    }

    fn line(&self, name: &str) -> String {
        let served = self.sent - self.unserved;
        format!(
            "{name:<24} {served:>5} {:>7} {:>7} {:>7} {:>7} {:>7}",
            self.by_code, self.by_body, self.by_words, self.listed, self.unserved
        )
    }
}

/// All exchanges.
#[derive(Default)]
pub(crate) struct Table {
    tallies: BTreeMap<String, Tally>,
    reasons: BTreeMap<&'static str, usize>,
    services: BTreeMap<String, usize>,
    groups: BTreeMap<(Kind, String), Vec<String>>,
}

impl Table {
    /// A service that the gate has not, by what it says.
    pub(crate) fn unserved(&mut self, scenario: &str, says: &str) {
        let tally = self.tallies.entry(scenario.to_owned()).or_default();
        tally.sent += 1;
        tally.unserved += 1;
        *self.services.entry(says.to_owned()).or_default() += 1;
    }

    /// An exchange: `sent` is its id, method and path.
    pub(crate) fn add(&mut self, scenario: &str, sent: &str, differences: Vec<Difference>, known: &[Known]) {
        let is_it = |known: &&Known| {
            scenario.starts_with(known.scenario) && known.text.split('|').any(|text| sent.contains(text))
        };
        if let Some(known) = known.iter().filter(|known| known.reason.starts_with(APART)).find(is_it)
            && !differences.is_empty()
        {
            known.is_met.set(true);
            self.unserved(scenario, known.reason);
            return;
        }
        let tally = self.tallies.entry(scenario.to_owned()).or_default();
        tally.sent += 1;
        let has_code = !differences.iter().any(|one| matches!(one.kind, Kind::Status | Kind::Code));
        let has_body = differences.iter().all(|one| one.kind == Kind::Words);
        tally.by_code += usize::from(has_code);
        tally.by_body += usize::from(has_body);
        tally.by_words += usize::from(differences.is_empty());
        let mut listed = None;
        if !has_body {
            listed = known.iter().find(is_it);
        }
        if let Some(known) = listed {
            known.is_met.set(true);
            tally.listed += 1;
            *self.reasons.entry(known.reason).or_default() += 1;
            return;
        }
        for one in differences {
            self.groups.entry((one.kind, one.place)).or_default().push(format!("{sent}\n        {}", one.text));
        }
    }

    /// All differences without a reason, the largest groups first.
    pub(crate) fn differences(&self) -> String {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, exchanges)| std::cmp::Reverse(exchanges.len()));
        let mut text = String::new();
        for ((kind, place), exchanges) in groups {
            let _ = writeln!(text, "{:>5} {kind:?} {place}", exchanges.len());
            for one in exchanges.iter().take(TOLD) {
                let _ = writeln!(text, "      {one}");
            }
        }
        text
    }

    pub(crate) fn print(&self) {
        println!(
            "{:<24} {:>5} {:>7} {:>7} {:>7} {:>7} {:>7}",
            "exchanges", "sent", "code", "body", "words", "listed", "no service"
        );
        for (scenario, tally) in &self.tallies {
            println!("{}", tally.line(scenario));
        }
        let all = self.all();
        println!("{}", all.line("all"));
        let served = all.sent - all.unserved;
        let percent =
            |part: usize| f64::from(u32::try_from(part).unwrap()) * 100.0 / f64::from(u32::try_from(served).unwrap());
        println!(
            "of {served} that are served: {:.1} % alike by status and code, {:.1} % by the body, {:.1} % with the words of messages",
            percent(all.by_code),
            percent(all.by_body),
            percent(all.by_words)
        );
        for (reason, count) in &self.reasons {
            println!("    {count:>3} listed: {reason}");
        }
        for (says, count) in &self.services {
            println!("    {count:>3} not served: {says}");
        }
    }

    fn all(&self) -> Tally {
        let mut all = Tally::default();
        self.tallies.values().for_each(|tally| all.add(tally));
        all
    }

    /// # Panics
    /// Where fewer are alike than were; where a line of the list is met by none.
    pub(crate) fn check(&self, known: &[Known], least: &Least) {
        let all = self.all();
        let served = all.sent - all.unserved;
        assert!(served >= least.served, "only {served} of {} are served", all.sent);
        for (what, part, percent) in
            [("code", all.by_code, least.code), ("body", all.by_body, least.body), ("words", all.by_words, least.words)]
        {
            assert!(
                part * 1_000 >= served * percent,
                "{part} of {served} are alike by {what}, fewer than {percent} of 1000"
            );
        }
        let unmet = known.iter().filter(|known| !known.is_met.get()).map(|known| (known.scenario, known.text));
        assert_eq!(unmet.collect::<Vec<_>>(), [], "these lines of known.tsv are met by no exchange that differs");
    }
}

/// Of a thousand exchanges, at least so many are alike.
pub(crate) struct Least {
    /// Exchanges that the gate serves.
    pub(crate) served: usize,
    pub(crate) code: usize,
    pub(crate) body: usize,
    pub(crate) words: usize,
}
