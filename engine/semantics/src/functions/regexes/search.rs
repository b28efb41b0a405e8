//! Runs a program over a text by trying one way after another, in counted steps.

use super::machine::{Machine, Step};
use super::steps::Steps;
use super::too_complex;
use super::tree::{Place, Width};
use datafusion::common::Result;
use std::ops::Range;

/// Ways of one search that are not tried yet.
const WAYS_MAX: usize = 1 << 20;
/// Places that are made empty in the time of a step.
const PLACES_OF_STEP: usize = 16;

/// Where groups were found: of each its range in bytes.
pub(in crate::functions) type Found = Vec<Option<Range<usize>>>;

impl Machine {
    /// The first match that begins at a place or behind it.
    pub(super) fn find(&self, text: &str, from: usize, steps: &Steps) -> Result<Option<Found>> {
        let mut search = Search { machine: self, text, steps, ways: 0 };
        let mut kept = search.places()?;
        let starts = text.get(from..).unwrap_or_default().char_indices().map(|(at, _)| from + at).chain([text.len()]);
        for start in starts {
            // A way that leads nowhere puts all places back.
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
    steps: &'a Steps,
    /// Of all programs that run within one another.
    ways: usize,
}

impl Search<'_> {
    /// Empty places.
    fn places(&self) -> Result<Vec<Option<usize>>> {
        self.steps.take(self.machine.places / PLACES_OF_STEP)?;
        Ok(vec![None; self.machine.places])
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
                self.steps.take(1)?;
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
            Step::Forget { first, last } => {
                self.steps.take((last - first) / PLACES_OF_STEP)?;
                for place in 2 * first..2 * (last + 1) {
                    if let Some(was) = kept.get(place).copied().flatten() {
                        ways.push(Way::Back { place, was: Some(was) });
                        keep(kept, place, None);
                    }
                }
                Some((next, at))
            }
            Step::Around { ahead, negated, program, width } => {
                let found = if *ahead { self.ahead(*program, at)? } else { self.behind(*program, *width, at)? };
                (found != *negated).then_some((next, at))
            }
            Step::Matched => None,
        })
    }

    /// The bytes of a text that say the same as another one does.
    fn again(&self, found: &str, rest: &str) -> Result<Option<usize>> {
        // What is compared takes as long as so many steps.
        self.steps.take(found.len() / 8)?;
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

    fn ahead(&mut self, program: usize, at: usize) -> Result<bool> {
        let mut kept = self.places()?;
        Ok(self.run(program, at, None, &mut kept)?.is_some())
    }

    /// Whether what is looked for ends at a place. It begins where its width lets it.
    fn behind(&mut self, program: usize, width: Width, at: usize) -> Result<bool> {
        let mut kept = self.places()?;
        self.steps.take(width.least.min(at) / PLACES_OF_STEP)?;
        let before = self.text.get(..at).unwrap_or_default();
        let starts = std::iter::once(at).chain(before.char_indices().rev().map(|(start, _)| start));
        let widest = width.most.map_or(usize::MAX, |most| (most - width.least.min(most)).saturating_add(1));
        for start in starts.skip(width.least).take(widest) {
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
