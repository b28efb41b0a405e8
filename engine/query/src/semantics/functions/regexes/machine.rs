//! Runs a tree of an expression over a text by trying one way after another. Every step is counted: a search ends after so many, and asks
//! in between whether the statement is over.

use super::syntax::{Node, Place, Set, Unread};
use crate::semantics::fault::external;
use datafusion::common::Result;
use querygate_catalog::proceed;
use querygate_types::{Error, ErrorCode};
use std::ops::Range;

/// Steps of a program.
const PROGRAM_MAX: usize = 20_000;
/// Steps of one search.
const STEPS_MAX: u64 = 20_000_000;
/// Steps between two questions whether the statement is over.
const STEPS_UNASKED: u64 = 1 << 16;
/// Ways of one search that are not tried yet.
const WAYS_MAX: usize = 1 << 20;

#[derive(Debug)]
enum Step {
    One(Set),
    At(Place),
    /// First here, then there.
    Either(usize, usize),
    Go(usize),
    /// Where a group begins or ends, or where a repetition began.
    Keep(usize),
    /// Goes on only where something was matched since a place was kept; else there.
    Moved(usize, usize),
    Again(usize),
    Around {
        ahead: bool,
        negated: bool,
        program: usize,
    },
    Matched,
}

/// An expression that can be run.
#[derive(Debug)]
pub(in crate::semantics::functions) struct Machine {
    /// The expression itself, and those of what it looks around for.
    programs: Vec<Vec<Step>>,
    groups: usize,
    places: usize,
    insensitive: bool,
    /// What was added so far, with what took no step.
    added: usize,
}

/// Where groups were found: of each its range in bytes.
pub(in crate::semantics::functions) type Found = Vec<Option<Range<usize>>>;

impl Machine {
    pub(super) fn new(node: &Node, groups: usize, insensitive: bool) -> std::result::Result<Self, Unread> {
        let places = 2 * (groups + 1);
        let mut machine = Self { programs: vec![Vec::new()], groups, places, insensitive, added: 0 };
        machine.add(0, node)?;
        machine.push(0, Step::Matched)?;
        Ok(machine)
    }

    fn program(&mut self, of: usize) -> std::result::Result<&mut Vec<Step>, Unread> {
        self.programs.get_mut(of).ok_or(Unread::TooComplex)
    }

    fn push(&mut self, of: usize, step: Step) -> std::result::Result<usize, Unread> {
        self.grow()?;
        let program = self.program(of)?;
        program.push(step);
        Ok(program.len() - 1)
    }

    fn grow(&mut self) -> std::result::Result<(), Unread> {
        self.added += 1;
        if self.added > PROGRAM_MAX { Err(Unread::TooComplex) } else { Ok(()) }
    }

    fn put(&mut self, of: usize, at: usize, step: Step) -> std::result::Result<(), Unread> {
        let place = self.program(of)?.get_mut(at).ok_or(Unread::TooComplex)?;
        *place = step;
        Ok(())
    }

    fn add(&mut self, of: usize, node: &Node) -> std::result::Result<(), Unread> {
        match node {
            Node::Empty => self.grow()?,
            Node::One(set) => _ = self.push(of, Step::One(set.clone()))?,
            Node::At(place) => _ = self.push(of, Step::At(*place))?,
            Node::Again(group) => _ = self.push(of, Step::Again(*group))?,
            Node::Sequence(parts) => parts.iter().try_for_each(|part| self.add(of, part))?,
            Node::Choice(branches) => self.choice(of, branches)?,
            Node::Group(number, inner) => {
                self.push(of, Step::Keep(2 * number))?;
                self.add(of, inner)?;
                self.push(of, Step::Keep(2 * number + 1))?;
            }
            Node::Repeat { of: inner, least, most, greedy } => self.repeat(of, inner, *least, *most, *greedy)?,
            Node::Around { ahead, negated, of: inner } => {
                let program = self.programs.len();
                self.programs.push(Vec::new());
                self.add(program, inner)?;
                self.push(program, Step::Matched)?;
                self.push(of, Step::Around { ahead: *ahead, negated: *negated, program })?;
            }
        }
        Ok(())
    }

    fn choice(&mut self, of: usize, branches: &[Node]) -> std::result::Result<(), Unread> {
        let mut ends = Vec::new();
        for (at, branch) in branches.iter().enumerate() {
            if at + 1 == branches.len() {
                self.add(of, branch)?;
                continue;
            }
            let either = self.push(of, Step::Matched)?;
            self.add(of, branch)?;
            ends.push(self.push(of, Step::Matched)?);
            let next = self.program(of)?.len();
            self.put(of, either, Step::Either(either + 1, next))?;
        }
        let end = self.program(of)?.len();
        ends.into_iter().try_for_each(|at| self.put(of, at, Step::Go(end)))
    }

    fn repeat(
        &mut self,
        of: usize,
        inner: &Node,
        least: u32,
        most: Option<u32>,
        greedy: bool,
    ) -> std::result::Result<(), Unread> {
        for _ in 0..least {
            self.add(of, inner)?;
        }
        let either =
            |inside, outside| if greedy { Step::Either(inside, outside) } else { Step::Either(outside, inside) };
        let Some(most) = most else {
            let place = self.places;
            self.places += 1;
            let begin = self.push(of, Step::Matched)?;
            self.push(of, Step::Keep(place))?;
            self.add(of, inner)?;
            let moved = self.push(of, Step::Matched)?;
            let end = self.push(of, Step::Go(begin))? + 1;
            self.put(of, begin, either(begin + 1, end))?;
            return self.put(of, moved, Step::Moved(place, end));
        };
        let mut begins = Vec::new();
        for _ in least..most {
            begins.push(self.push(of, Step::Matched)?);
            self.add(of, inner)?;
        }
        let end = self.program(of)?.len();
        begins.into_iter().try_for_each(|begin| self.put(of, begin, either(begin + 1, end)))
    }

    /// The first match that begins at a place or behind it.
    pub(super) fn find(&self, text: &str, from: usize) -> Result<Option<Found>> {
        let mut search = Search { machine: self, text, steps: 0, ways: 0 };
        let mut kept = vec![None; self.places];
        let starts = text.get(from..).unwrap_or_default().char_indices().map(|(at, _)| from + at).chain([text.len()]);
        for start in starts {
            kept.fill(None);
            if let Some(end) = search.run(0, start, None, &mut kept)? {
                let group = |number: usize| Some((*kept.get(2 * number)?)?..(*kept.get(2 * number + 1)?)?);
                return Ok(Some(std::iter::once(Some(start..end)).chain((1..=self.groups).map(group)).collect()));
            }
        }
        Ok(None)
    }
}

/// A way that is not tried yet, or what to put back before.
enum Way {
    Try { step: usize, at: usize },
    Back { place: usize, was: Option<usize> },
}

struct Search<'a> {
    machine: &'a Machine,
    text: &'a str,
    steps: u64,
    /// Of all programs that run within one another.
    ways: usize,
}

fn too_complex() -> datafusion::common::DataFusionError {
    external(Error::new(ErrorCode::ProgramLimitExceeded, "regular expression is too complex"))
}

impl Search<'_> {
    fn count(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(too_complex());
        }
        if self.steps.is_multiple_of(STEPS_UNASKED) { proceed() } else { Ok(()) }
    }

    /// Where the match of a program ends that begins at a place; with an end, only one that ends there counts.
    fn run(
        &mut self,
        of: usize,
        start: usize,
        end: Option<usize>,
        kept: &mut [Option<usize>],
    ) -> Result<Option<usize>> {
        let mut ways = vec![Way::Try { step: 0, at: start }];
        let before = self.ways;
        while let Some(way) = ways.pop() {
            let (mut step, mut at) = match way {
                Way::Try { step, at } => (step, at),
                Way::Back { place, was } => {
                    keep(kept, place, was);
                    continue;
                }
            };
            while let Some(next) = self.machine.programs.get(of).and_then(|program| program.get(step)) {
                self.count()?;
                if matches!(next, Step::Matched) {
                    if end.is_none_or(|end| end == at) {
                        self.ways = before;
                        return Ok(Some(at));
                    }
                    break;
                }
                match self.step(next, step, at, kept, &mut ways)? {
                    Some(goes_on) => (step, at) = goes_on,
                    None => break,
                }
                self.ways = before + ways.len();
                if self.ways > WAYS_MAX {
                    return Err(too_complex());
                }
            }
        }
        self.ways = before;
        Ok(None)
    }

    /// Where a step leads to; `None`: nowhere.
    fn step(
        &mut self,
        what: &Step,
        step: usize,
        at: usize,
        kept: &mut [Option<usize>],
        ways: &mut Vec<Way>,
    ) -> Result<Option<(usize, usize)>> {
        let next = step + 1;
        let rest = self.text.get(at..).unwrap_or_default();
        Ok(match what {
            Step::One(set) => rest.chars().next().filter(|c| set.has(*c)).map(|c| (next, at + c.len_utf8())),
            Step::At(place) => self.is_at(*place, at).then_some((next, at)),
            Step::Either(first, second) => {
                ways.push(Way::Try { step: *second, at });
                Some((*first, at))
            }
            Step::Go(to) => Some((*to, at)),
            Step::Keep(place) => {
                ways.push(Way::Back { place: *place, was: kept.get(*place).copied().flatten() });
                keep(kept, *place, Some(at));
                Some((next, at))
            }
            Step::Moved(place, end) => {
                let moved = kept.get(*place).copied().flatten() != Some(at);
                Some((if moved { next } else { *end }, at))
            }
            Step::Again(group) => {
                let begin = kept.get(2 * group).copied().flatten();
                let end = kept.get(2 * group + 1).copied().flatten();
                let (Some(begin), Some(end)) = (begin, end) else { return Ok(None) };
                let found = self.text.get(begin..end).unwrap_or_default();
                self.again(found, rest)?.map(|length| (next, at + length))
            }
            Step::Around { ahead, negated, program } => {
                let found = self.around(*program, *ahead, at)?;
                (found != *negated).then_some((next, at))
            }
            Step::Matched => None,
        })
    }

    /// The bytes of a text that say the same as another one does.
    fn again(&mut self, found: &str, rest: &str) -> Result<Option<usize>> {
        // What is compared takes as long as so many steps.
        self.steps = self.steps.saturating_add(u64::try_from(found.len()).unwrap_or(u64::MAX) / 8);
        if self.steps > STEPS_MAX {
            return Err(too_complex());
        }
        if !self.machine.insensitive {
            return Ok(rest.starts_with(found).then_some(found.len()));
        }
        let mut others = rest.chars();
        for c in found.chars() {
            match others.next() {
                Some(other) if other == c || other.to_lowercase().eq(c.to_lowercase()) => {}
                _ => return Ok(None),
            }
        }
        Ok(Some(rest.len() - others.as_str().len()))
    }

    fn around(&mut self, program: usize, ahead: bool, at: usize) -> Result<bool> {
        let mut kept = vec![None; self.machine.places];
        if ahead {
            return Ok(self.run(program, at, None, &mut kept)?.is_some());
        }
        let before = self.text.get(..at).unwrap_or_default();
        for start in std::iter::once(at).chain(before.char_indices().rev().map(|(start, _)| start)) {
            kept.fill(None);
            if self.run(program, start, Some(at), &mut kept)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_at(&self, place: Place, at: usize) -> bool {
        let before = self.text.get(..at).and_then(|text| text.chars().next_back());
        let after = self.text.get(at..).and_then(|text| text.chars().next());
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        match place {
            Place::TextStart => before.is_none(),
            Place::TextEnd => after.is_none(),
            Place::LineStart => before.is_none_or(|c| c == '\n'),
            Place::LineEnd => after.is_none_or(|c| c == '\n'),
            Place::WordStart => !is_word(before) && is_word(after),
            Place::WordEnd => is_word(before) && !is_word(after),
            Place::WordEdge => is_word(before) != is_word(after),
            Place::NoWordEdge => is_word(before) == is_word(after),
        }
    }
}

fn keep(kept: &mut [Option<usize>], place: usize, value: Option<usize>) {
    if let Some(kept) = kept.get_mut(place) {
        *kept = value;
    }
}
