//! The tree of an expression, and what can be said of it without a text.

use std::ops::RangeInclusive;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Empty,
    One(Set),
    At(Place),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    Repeat {
        of: Box<Node>,
        least: u32,
        most: Option<u32>,
        greedy: bool,
    },
    Group(usize, Box<Node>),
    /// What a group matched, once more.
    Again(usize),
    Around {
        ahead: bool,
        negated: bool,
        of: Box<Node>,
    },
}

/// Characters, as ranges in order, and in the spelling of the engine with linear time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) ranges: Arc<[(char, char)]>,
    pub(super) spelled: Arc<str>,
}

impl Set {
    pub(super) fn has(&self, c: char) -> bool {
        match *self.ranges {
            [(from, to)] => from <= c && c <= to,
            ref ranges => {
                let at = ranges.partition_point(|(_, to)| *to < c);
                ranges.get(at).is_some_and(|(from, _)| *from <= c)
            }
        }
    }
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    WordStart,
    WordEnd,
    WordEdge,
    NoWordEdge,
}

/// Why a pattern is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    Invalid,
    /// Invalid for a reason that PostgreSQL has words for.
    Because(Reason),
    TooComplex,
    /// Basic and extended expressions.
    Absent,
}

/// What PostgreSQL says of an invalid pattern: no word of the pattern itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Parentheses,
    Brackets,
    Braces,
    Operand,
    Count,
    Escape,
    Reference,
    Class,
    Range,
    Option,
}

impl Reason {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Parentheses => "parentheses () not balanced",
            Self::Brackets => "brackets [] not balanced",
            Self::Braces => "braces {} not balanced",
            Self::Operand => "quantifier operand invalid",
            Self::Count => "invalid repetition count(s)",
            Self::Escape => r"invalid escape \ sequence",
            Self::Reference => "invalid backreference number",
            Self::Class => "invalid character class",
            Self::Range => "invalid character range",
            Self::Option => "invalid embedded option",
        }
    }
}

/// How many characters a match has: at least and, if that is known, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Width {
    pub(super) least: usize,
    pub(super) most: Option<usize>,
}

impl Width {
    const NONE: Self = Self { least: 0, most: Some(0) };

    fn then(self, next: Self) -> Self {
        let most = self.most.zip(next.most).and_then(|(a, b)| a.checked_add(b));
        Self { least: self.least.saturating_add(next.least), most }
    }

    fn or(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.zip(other.most).map(|(a, b)| a.max(b)) }
    }

    fn times(self, least: u32, most: Option<u32>) -> Self {
        let number = |times: u32| usize::try_from(times).unwrap_or(usize::MAX);
        let longest = match (self.most, most) {
            (Some(0), _) => Some(0),
            (width, times) => width.zip(times).and_then(|(width, times)| width.checked_mul(number(times))),
        };
        Self { least: self.least.saturating_mul(number(least)), most: longest }
    }
}

impl Node {
    pub(super) fn width(&self) -> Width {
        match self {
            Self::Empty | Self::At(_) | Self::Around { .. } => Width::NONE,
            Self::One(_) => Width { least: 1, most: Some(1) },
            Self::Sequence(parts) => parts.iter().map(Self::width).fold(Width::NONE, Width::then),
            Self::Choice(branches) => branches.iter().map(Self::width).reduce(Width::or).unwrap_or(Width::NONE),
            Self::Repeat { of, least, most, .. } => of.width().times(*least, *most),
            Self::Group(_, inner) => inner.width(),
            Self::Again(_) => Width { least: 0, most: None },
        }
    }

    /// The groups within, which have numbers in a row.
    pub(super) fn groups(&self) -> Option<RangeInclusive<usize>> {
        let all = |nodes: &[Self]| {
            let within = nodes.iter().filter_map(Self::groups);
            within.reduce(|all, some| *all.start().min(some.start())..=*all.end().max(some.end()))
        };
        match self {
            Self::Group(number, inner) => {
                Some(*number..=inner.groups().map_or(*number, |within| (*within.end()).max(*number)))
            }
            Self::Sequence(nodes) | Self::Choice(nodes) => all(nodes),
            Self::Repeat { of, .. } => of.groups(),
            Self::Empty | Self::One(_) | Self::At(_) | Self::Again(_) | Self::Around { .. } => None,
        }
    }

    /// Whether a repetition may leave a group out that it matched before: it is none then, and the engine with linear time would tell of
    /// what was matched before.
    pub(super) fn forgets(&self) -> bool {
        match self {
            Self::Repeat { of, most, .. } => of.forgets() || (*most != Some(1) && of.leaves_out()),
            Self::Sequence(nodes) | Self::Choice(nodes) => nodes.iter().any(Self::forgets),
            Self::Group(_, inner) => inner.forgets(),
            Self::Empty | Self::One(_) | Self::At(_) | Self::Again(_) | Self::Around { .. } => false,
        }
    }

    /// Whether a match may be without a match of some group within.
    fn leaves_out(&self) -> bool {
        match self {
            Self::Choice(_) => self.groups().is_some(),
            Self::Repeat { of, least: 0, .. } => of.groups().is_some(),
            Self::Repeat { of, .. } | Self::Group(_, of) => of.leaves_out(),
            Self::Sequence(parts) => parts.iter().any(Self::leaves_out),
            Self::Empty | Self::One(_) | Self::At(_) | Self::Again(_) | Self::Around { .. } => false,
        }
    }

    /// The tree with groups that capture nothing.
    pub(super) fn without_groups(self) -> Result<Self, Unread> {
        let all = |nodes: Vec<Self>| nodes.into_iter().map(Self::without_groups).collect::<Result<Vec<_>, _>>();
        Ok(match self {
            Self::Group(_, inner) => inner.without_groups()?,
            Self::Again(_) => return Err(Unread::Invalid),
            Self::Sequence(parts) => Self::Sequence(all(parts)?),
            Self::Choice(parts) => Self::Choice(all(parts)?),
            Self::Repeat { of, least, most, greedy } => {
                Self::Repeat { of: Box::new(of.without_groups()?), least, most, greedy }
            }
            Self::Around { ahead, negated, of } => Self::Around { ahead, negated, of: Box::new(of.without_groups()?) },
            same @ (Self::Empty | Self::One(_) | Self::At(_)) => same,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::functions::regexes::{Options, syntax::read};

    #[test]
    fn a_tree_knows_its_width_and_what_it_forgets() {
        let options = Options::of("").unwrap();
        let width = |pattern: &str| {
            let width = read(pattern, options, 4 << 20).unwrap().0.width();
            (width.least, width.most)
        };
        assert_eq!(width("a(?:bc|d)?"), (1, Some(3)));
        assert_eq!(width("a{2,5}(^|x)"), (2, Some(6)));
        assert_eq!(width("ab*"), (1, None));
        assert_eq!(width("(?:^)*"), (0, Some(0)));
        let forgets = |pattern: &str| read(pattern, options, 4 << 20).unwrap().0.forgets();
        assert!(forgets("(?:(a)|b)*") && forgets("(?:a(b)?){2}") && forgets("(?:x(?:(a)*y)+)?"));
        assert!(!forgets("(?:(a)|b)?") && !forgets("((a)(b))*") && !forgets("(a)*|(b)"));
    }
}
