//! PostgreSQL's advanced regular expressions. Every pattern is read here. Those that an engine can follow whose time is linear in the text
//! are spelled anew for it; those that look around or refer back are run here, in counted steps.

mod alike;
mod characters;
mod library_errors;
mod machine;
mod matcher;
mod of_path;
mod search;
mod spelling;
mod steps;
mod syntax;
mod tree;

use crate::analyze::stepwise::{PATTERN_BYTES_MAX, too_long};
use crate::fault::external;
use datafusion::common::{DataFusionError, Result};
use machine::Machine;
use querygate_types::{Error, ErrorCode};
use regex::{Captures, Regex, RegexBuilder};
use search::Found;
use spelling::spelled;
use std::ops::Range;
use steps::Steps;
use tree::{Node, Reason, Unread};

pub(crate) use alike::is_own;
pub use library_errors::invalid_pattern;
pub(super) use matcher::Matcher;
pub(crate) use of_path::PathExpression;

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
    Linear(Linear),
    /// Found in linear time; what of its groups is forgotten, the program tells.
    Forgetful(Linear, Machine),
    Stepping(Machine),
}

/// Bytes of a text times those of a program that one search may take: it is not ended before it is over, though its statement is.
const SEARCH_WORK_MAX: usize = 40_000_000_000;
/// The smallest size by which programs differ; the others are four times the one before.
const PROGRAM_BYTES_MIN: usize = 1 << 10;

/// An expression of the engine whose time is linear in the text, and in the size of its program.
#[derive(Debug)]
pub(super) struct Linear {
    expression: Regex,
    /// Bytes that its program takes at most.
    program_bytes: usize,
}

impl Linear {
    fn new(builder: &mut RegexBuilder, bytes_max: usize) -> Result<Self> {
        let sizes = std::iter::successors(Some(PROGRAM_BYTES_MIN), |bytes| bytes.checked_mul(4));
        for program_bytes in sizes.take_while(|bytes| *bytes < bytes_max).chain([bytes_max]) {
            if let Ok(expression) = builder.size_limit(program_bytes).build() {
                return Ok(Self { expression, program_bytes });
            }
        }
        Err(too_complex())
    }

    /// # Errors
    /// 54000: what is left of the text is too long for this expression.
    fn over(&self, text: &str, from: usize) -> Result<&Regex> {
        let work = text.len().saturating_sub(from).saturating_mul(self.program_bytes);
        if work > SEARCH_WORK_MAX { Err(too_complex()) } else { Ok(&self.expression) }
    }
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

fn invalid() -> Error {
    Error::new(ErrorCode::InvalidRegularExpression, "invalid regular expression")
}

/// With the reason.
fn because(reason: Reason) -> Error {
    Error::new(ErrorCode::InvalidRegularExpression, format!("invalid regular expression: {}", reason.words()))
}

fn too_complex() -> DataFusionError {
    external(Error::new(ErrorCode::ProgramLimitExceeded, "regular expression is too complex"))
}

fn refused(unread: Unread) -> DataFusionError {
    match unread {
        // Of a pattern that a row holds no more is said than that it is invalid.
        Unread::Invalid | Unread::Because(_) => external(invalid()),
        Unread::TooComplex => too_complex(),
        Unread::Absent => {
            let message = "basic and extended regular expressions are not supported";
            external(Error::new(ErrorCode::FeatureNotSupported, message))
        }
    }
}

/// The refusal of a pattern that the statement holds, with the reason.
fn refused_constant(unread: Unread) -> DataFusionError {
    match unread {
        Unread::Because(reason) => external(because(reason)),
        Unread::Invalid | Unread::TooComplex | Unread::Absent => refused(unread),
    }
}

/// Nests in the spelling of the engine with linear time: some for each that was read.
const NEST_MAX: u32 = 1_000;
/// Bytes that the sets of characters of a pattern may take.
const SETS_BYTES_MAX: usize = 4 << 20;

/// A pattern that is the same for all rows, in the spelling of the engine with linear time, and whether letters of both cases are
/// alike. `None`: that engine cannot follow it.
pub(crate) fn linear_spelling(pattern: &str, flags: &str) -> Result<Option<(String, bool)>> {
    let (node, _, options) = syntax::read(pattern, Options::of(flags)?, SETS_BYTES_MAX).map_err(refused_constant)?;
    Ok(spelled(&node).map(|spelled| (spelled, options.insensitive)))
}

impl Expression {
    pub(super) fn new(pattern: &str, flags: &str, bytes_max: usize) -> Result<Self> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(too_long());
        }
        let (node, groups, options) = syntax::read(pattern, Options::of(flags)?, bytes_max).map_err(refused)?;
        let machine = |node: &Node| Machine::new(node, groups, options.insensitive).map_err(refused);
        let Some(spelled) = spelled(&node) else { return machine(&node).map(Self::Stepping) };
        let mut builder = RegexBuilder::new(&spelled);
        builder.nest_limit(NEST_MAX).case_insensitive(options.insensitive);
        let linear = Linear::new(&mut builder, bytes_max)?;
        if node.forgets() { Ok(Self::Forgetful(linear, machine(&node)?)) } else { Ok(Self::Linear(linear)) }
    }

    fn is_match(&self, text: &str, steps: &Steps) -> Result<bool> {
        match self {
            Self::Linear(expression) | Self::Forgetful(expression, _) => Ok(expression.over(text, 0)?.is_match(text)),
            Self::Stepping(machine) => Ok(machine.find(text, 0, steps)?.is_some()),
        }
    }

    /// The first match that begins at a place or behind it.
    fn find_at(&self, text: &str, from: usize, steps: &Steps) -> Result<Option<Range<usize>>> {
        match self {
            Self::Linear(expression) | Self::Forgetful(expression, _) => {
                Ok(expression.over(text, from)?.find_at(text, from).map(|found| found.range()))
            }
            Self::Stepping(machine) => {
                Ok(machine.find(text, from, steps)?.and_then(|found| found.into_iter().next().flatten()))
            }
        }
    }

    /// The first match from a place on, with its groups.
    fn groups_at<'t>(&self, text: &'t str, from: usize, steps: &Steps) -> Result<Option<Groups<'t>>> {
        match self {
            Self::Linear(expression) => Ok(expression.over(text, from)?.captures_at(text, from).map(Groups::Linear)),
            Self::Forgetful(expression, machine) => match expression.over(text, from)?.find_at(text, from) {
                Some(found) => Ok(machine.find(text, found.start(), steps)?.map(Groups::Stepping)),
                None => Ok(None),
            },
            Self::Stepping(machine) => Ok(machine.find(text, from, steps)?.map(Groups::Stepping)),
        }
    }
}

/// The place behind the character at a place.
pub(super) fn next_character(text: &str, at: usize) -> Option<usize> {
    text.get(at..)?.chars().next().map(|c| at + c.len_utf8())
}

#[cfg(test)]
mod tests;
