//! What a run found: a table of forms and sources, the differing cases in a file, and the list of differences that are known.

use crate::run::Outcome;
use crate::verdict::{Kind, Shown, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Default)]
struct Counts {
    alike: usize,
    known: BTreeMap<String, usize>,
    different: BTreeMap<Kind, usize>,
}

impl Counts {
    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Alike => self.alike += 1,
            Verdict::Known(reason) => *self.known.entry(reason.clone()).or_default() += 1,
            Verdict::Different(kind) => *self.different.entry(*kind).or_default() += 1,
        }
    }

    fn line(&self, form: &str, source: &str) -> String {
        let (known, different) = (self.known.values().sum::<usize>(), self.different.values().sum::<usize>());
        let pairs = self.alike + known + different;
        let kinds: Vec<String> = self.different.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect();
        let alike = self.alike;
        format!("{form:<27} {source:<9} {pairs:>6} {alike:>6} {known:>6} {different:>6}  {}\n", kinds.join(", "))
    }
}

/// Pairs by form and source.
pub(crate) fn table(outcomes: &[Outcome<'_>]) -> String {
    let mut rows: BTreeMap<(&str, &str), Counts> = BTreeMap::new();
    let mut all = Counts::default();
    for outcome in outcomes {
        rows.entry((outcome.case.form, outcome.case.source)).or_default().count(&outcome.verdict);
        all.count(&outcome.verdict);
    }
    let mut text =
        format!("{:<27} {:<9} {:>6} {:>6} {:>6} {:>6}\n", "form", "source", "pairs", "alike", "known", "differ");
    rows.iter().for_each(|((form, source), counts)| text.push_str(&counts.line(form, source)));
    text.push_str(&all.line("all", ""));
    let reasons: Vec<String> = all.known.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    writeln!(text, "known: {}", reasons.join(", ")).unwrap();
    text
}

/// The differing cases, each with both answers.
pub(crate) fn differences(outcomes: &[Outcome<'_>]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        if let Verdict::Different(kind) = &outcome.verdict {
            let (theirs, ours) = (Shown(&outcome.postgres), Shown(&outcome.gate));
            writeln!(text, "{kind:?}\t{}\n    PostgreSQL {theirs}\n    gate       {ours}", outcome.case.key()).unwrap();
        }
    }
    text
}

/// Writes the differing cases beside the test's other output.
pub(crate) fn write(text: &str) -> PathBuf {
    let named = std::env::var_os("QUERYGATE_FORMS_FILE").map(PathBuf::from);
    let path = named.unwrap_or_else(|| std::env::temp_dir().join("querygate-forms.txt"));
    std::fs::write(&path, text).unwrap();
    path
}

/// Differences of the slice against those that are known: new ones, and known ones that are gone.
pub(crate) fn against_known(outcomes: &[Outcome<'_>]) -> (Vec<String>, Vec<String>) {
    let known = std::fs::read_to_string(known()).unwrap_or_default();
    let known: BTreeSet<&str> = known.lines().filter(|line| !line.starts_with('#')).collect();
    let keys = outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Different(_)));
    let found: BTreeSet<String> = keys.map(|outcome| line(outcome)).collect();
    let asked: BTreeSet<String> = outcomes.iter().map(|outcome| outcome.case.key()).collect();
    let new = found.iter().filter(|line| !known.contains(line.as_str())).cloned().collect();
    // Of sources that are not there, nothing can be said.
    let gone = known
        .iter()
        .filter(|line| line.split_once('\t').is_some_and(|(_, key)| asked.contains(key)) && !found.contains(**line));
    (new, gone.map(|line| (*line).to_owned()).collect())
}

fn line(outcome: &Outcome<'_>) -> String {
    let Verdict::Different(kind) = &outcome.verdict else { return String::new() };
    format!("{kind:?}\t{}", outcome.case.key())
}

fn known() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("forms/known.tsv")
}

/// Writes the list anew.
pub(crate) fn bless(outcomes: &[Outcome<'_>]) {
    let lines: BTreeSet<String> = outcomes.iter().map(line).filter(|line| !line.is_empty()).collect();
    let head = "# What differs, form, source, statement, values: differences of the slice that are known and not yet mended.\n";
    std::fs::write(known(), head.to_owned() + &lines.into_iter().map(|line| line + "\n").collect::<String>()).unwrap();
}
