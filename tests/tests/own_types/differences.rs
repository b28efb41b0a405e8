//! What was found to differ, and what is known to: a list of names that must be as long as the truth is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A column, a check, and why the gate's answer is another one.
pub(crate) type Known = (&'static str, &'static str, &'static str);

/// Differences by column and check, the first of each in words.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    found: BTreeMap<(String, String), (usize, String)>,
    compared: usize,
}

impl Differences {
    /// Notes a comparison; `difference` says what is not equal.
    pub(crate) fn note(&mut self, column: &str, check: &str, difference: Option<String>) {
        self.compared += 1;
        if let Some(words) = difference {
            let entry = self.found.entry((column.to_owned(), check.to_owned())).or_insert((0, words));
            entry.0 += 1;
        }
    }

    /// Compares what two ends say of a statement.
    pub(crate) fn compare<T: PartialEq + std::fmt::Debug>(
        &mut self,
        (column, check): (&str, &str),
        statement: &str,
        own: &T,
        gate: &T,
    ) {
        let difference = || format!("{statement}\n      source {}\n      gate   {}", short(own), short(gate));
        self.note(column, check, (own != gate).then(difference));
    }

    /// Fails on a difference that is not known, and on a known one that is gone.
    pub(crate) fn settle(self, known: &[Known], compared_min: usize) {
        let mut wrong = String::new();
        for ((column, check), (count, words)) in &self.found {
            if !known.iter().any(|(of, at, _)| of == column && at == check) {
                writeln!(wrong, "  {column}, {check}: differs {count} times, first in {words}").unwrap();
            }
        }
        for (column, check, reason) in known {
            if !self.found.contains_key(&((*column).to_owned(), (*check).to_owned())) {
                writeln!(wrong, "  {column}, {check}: no difference any more ({reason})").unwrap();
            }
        }
        assert!(wrong.is_empty(), "of {} comparisons:\n{wrong}", self.compared);
        assert!(self.compared >= compared_min, "only {} comparisons were made", self.compared);
    }
}

fn short(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let cut: String = text.chars().take(400).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}
