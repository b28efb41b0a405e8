//! PostgreSQL's advanced regular expressions. Patterns that an engine can follow whose time is linear in the text go there; those that look
//! around, refer back, or are spelled as only PostgreSQL does, are read and run here, in counted steps.

mod machine;
mod syntax;

use crate::semantics::fault::external;
use crate::semantics::stepwise::{PATTERN_BYTES_MAX, too_long};
use datafusion::common::{DataFusionError, Result};
use machine::{Found, Machine};
use querygate_types::{Error, ErrorCode};
use regex::{Captures, Regex, RegexBuilder};
use std::ops::Range;
use syntax::Unread;

/// What flags say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options {
    insensitive: bool,
    /// Whether ^ and $ are those of lines.
    lines: bool,
    dot_takes_lines: bool,
    /// Whether blanks in the pattern are skipped.
    expanded: bool,
}

impl Options {
    fn of(flags: &str) -> Result<Self> {
        let mut options = Self { insensitive: false, lines: false, dot_takes_lines: true, expanded: false };
        for flag in flags.chars().filter(|flag| *flag != 'g') {
            if options.set(flag).is_none() {
                let message = "invalid regular expression option";
                return Err(external(Error::new(ErrorCode::InvalidParameterValue, message)));
            }
        }
        Ok(options)
    }

    fn set(&mut self, flag: char) -> Option<()> {
        match flag {
            'i' => self.insensitive = true,
            'c' => self.insensitive = false,
            's' => (self.lines, self.dot_takes_lines) = (false, true),
            'n' | 'm' => (self.lines, self.dot_takes_lines) = (true, false),
            'p' => (self.lines, self.dot_takes_lines) = (false, false),
            'w' => (self.lines, self.dot_takes_lines) = (true, true),
            'x' => self.expanded = true,
            't' => self.expanded = false,
            _ => return None,
        }
        Some(())
    }
}

/// A compiled expression.
#[derive(Debug)]
pub(super) enum Expression {
    Linear(Regex),
    Stepping(Machine),
}

/// Where an expression and its groups were found.
pub(super) enum Groups<'t> {
    Linear(Captures<'t>),
    Stepping(Found),
}

impl Groups<'_> {
    /// With the whole match.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Linear(found) => found.len(),
            Self::Stepping(found) => found.len(),
        }
    }

    pub(super) fn get(&self, group: usize) -> Option<Range<usize>> {
        match self {
            Self::Linear(found) => found.get(group).map(|found| found.range()),
            Self::Stepping(found) => found.get(group).cloned().flatten(),
        }
    }
}

fn invalid() -> DataFusionError {
    external(Error::new(ErrorCode::InvalidRegularExpression, "invalid regular expression"))
}

fn too_complex() -> DataFusionError {
    external(Error::new(ErrorCode::ProgramLimitExceeded, "regular expression is too complex"))
}

/// Whether only PostgreSQL reads a pattern as it is meant: it looks around, refers back, or has escapes of its own.
pub(in crate::semantics) fn is_own(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    let mut last = ['\0'; 2];
    while let Some(c) = chars.next() {
        if c == '\\' {
            if matches!(chars.next(), Some('1'..='9' | 'm' | 'M' | 'y' | 'Y' | 'Z')) {
                return true;
            }
            last = ['\0'; 2];
            continue;
        }
        // `(?<name>` is none, and invalid here.
        if last == ['(', '?'] && matches!(c, '=' | '!' | '<') {
            return true;
        }
        last = [last[1], c];
    }
    false
}

impl Expression {
    pub(super) fn new(pattern: &str, flags: &str, bytes_max: usize) -> Result<Self> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(too_long());
        }
        let options = Options::of(flags)?;
        if is_own(pattern) {
            let read = syntax::read(pattern, options);
            let machine = read.and_then(|(node, groups)| Machine::new(&node, groups, options.insensitive));
            return machine.map(Self::Stepping).map_err(|unread| match unread {
                Unread::Invalid => invalid(),
                Unread::TooComplex => too_complex(),
            });
        }
        let mut builder = RegexBuilder::new(pattern);
        builder
            .size_limit(bytes_max)
            .case_insensitive(options.insensitive)
            .multi_line(options.lines)
            .dot_matches_new_line(options.dot_takes_lines)
            .ignore_whitespace(options.expanded);
        builder.build().map(Self::Linear).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => too_complex(),
            _ => invalid(),
        })
    }

    pub(super) fn is_match(&self, text: &str) -> Result<bool> {
        match self {
            Self::Linear(expression) => Ok(expression.is_match(text)),
            Self::Stepping(machine) => Ok(machine.find(text, 0)?.is_some()),
        }
    }

    /// The first match that begins at a place or behind it.
    pub(super) fn find_at(&self, text: &str, from: usize) -> Result<Option<Range<usize>>> {
        match self {
            Self::Linear(expression) => Ok(expression.find_at(text, from).map(|found| found.range())),
            Self::Stepping(machine) => {
                Ok(machine.find(text, from)?.and_then(|found| found.into_iter().next().flatten()))
            }
        }
    }

    /// The first match from a place on, with its groups.
    pub(super) fn groups_at<'t>(&self, text: &'t str, from: usize) -> Result<Option<Groups<'t>>> {
        match self {
            Self::Linear(expression) => Ok(expression.captures_at(text, from).map(Groups::Linear)),
            Self::Stepping(machine) => Ok(machine.find(text, from)?.map(Groups::Stepping)),
        }
    }

    /// One match after another, from a place on.
    pub(super) fn finds<'a>(&'a self, text: &'a str, from: usize) -> impl Iterator<Item = Result<Range<usize>>> + 'a {
        one_after_another(text, from, |from| self.find_at(text, from), Range::clone)
    }

    /// Matches one after another, with their groups.
    pub(super) fn all_groups<'a>(
        &'a self,
        text: &'a str,
        from: usize,
    ) -> impl Iterator<Item = Result<Groups<'a>>> + 'a {
        one_after_another(text, from, |from| self.groups_at(text, from), |found| found.get(0).unwrap_or_default())
    }
}

/// An empty match is followed by one behind the next character, any other by one where it ends, which may be empty.
fn one_after_another<'a, T: 'a>(
    text: &'a str,
    from: usize,
    find: impl Fn(usize) -> Result<Option<T>> + 'a,
    range: impl Fn(&T) -> Range<usize> + 'a,
) -> impl Iterator<Item = Result<T>> + 'a {
    let mut from = Some(from);
    std::iter::from_fn(move || {
        let found = find(from?).transpose()?;
        from = match &found {
            Ok(found) => {
                let range = range(found);
                if range.is_empty() { next_character(text, range.end) } else { Some(range.end) }
            }
            Err(_) => None,
        };
        Some(found)
    })
}

/// The place behind the character at a place.
pub(super) fn next_character(text: &str, at: usize) -> Option<usize> {
    text.get(at..)?.chars().next().map(|c| at + c.len_utf8())
}

#[cfg(test)]
mod tests;
