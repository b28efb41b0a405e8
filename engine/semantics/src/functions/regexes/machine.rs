//! Makes a program of the tree of an expression, which a search runs by trying one way after another. Knows no text.

use super::tree::{Node, Place, Set, Unread, Width};

/// Steps of a program.
const PROGRAM_MAX: usize = 20_000;

type Result<T> = std::result::Result<T, Unread>;

#[derive(Debug)]
pub(super) enum Step {
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
    /// These groups are none, whatever they were.
    Forget {
        first: usize,
        last: usize,
    },
    Around {
        ahead: bool,
        negated: bool,
        program: usize,
        width: Width,
    },
    Matched,
}

/// An expression that can be run.
#[derive(Debug)]
pub(in crate::functions) struct Machine {
    /// The expression itself, and those of what it looks around for.
    pub(super) programs: Vec<Vec<Step>>,
    pub(super) groups: usize,
    pub(super) places: usize,
    pub(super) insensitive: bool,
    /// What was added so far, with what took no step.
    added: usize,
}

impl Machine {
    pub(super) fn new(node: &Node, groups: usize, insensitive: bool) -> Result<Self> {
        let places = 2 * (groups + 1);
        let mut machine = Self { programs: vec![Vec::new()], groups, places, insensitive, added: 0 };
        machine.add(0, node)?;
        machine.push(0, Step::Matched)?;
        Ok(machine)
    }

    fn program(&mut self, of: usize) -> Result<&mut Vec<Step>> {
        self.programs.get_mut(of).ok_or(Unread::TooComplex)
    }

    fn push(&mut self, of: usize, step: Step) -> Result<usize> {
        self.grow()?;
        let program = self.program(of)?;
        program.push(step);
        Ok(program.len() - 1)
    }

    fn grow(&mut self) -> Result<()> {
        self.added += 1;
        if self.added > PROGRAM_MAX { Err(Unread::TooComplex) } else { Ok(()) }
    }

    fn put(&mut self, of: usize, at: usize, step: Step) -> Result<()> {
        let place = self.program(of)?.get_mut(at).ok_or(Unread::TooComplex)?;
        *place = step;
        Ok(())
    }

    fn add(&mut self, of: usize, node: &Node) -> Result<()> {
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
                let width = inner.width();
                self.push(of, Step::Around { ahead: *ahead, negated: *negated, program, width })?;
            }
        }
        Ok(())
    }

    fn choice(&mut self, of: usize, branches: &[Node]) -> Result<()> {
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

    fn repeat(&mut self, of: usize, inner: &Node, least: u32, most: Option<u32>, greedy: bool) -> Result<()> {
        let groups = inner.groups();
        let add = |machine: &mut Self| {
            if let Some(groups) = &groups {
                machine.push(of, Step::Forget { first: *groups.start(), last: *groups.end() })?;
            }
            machine.add(of, inner)
        };
        for _ in 0..least {
            add(self)?;
        }
        let either =
            |inside, outside| if greedy { Step::Either(inside, outside) } else { Step::Either(outside, inside) };
        let Some(most) = most else {
            let place = self.places;
            self.places += 1;
            let begin = self.push(of, Step::Matched)?;
            self.push(of, Step::Keep(place))?;
            add(self)?;
            let moved = self.push(of, Step::Matched)?;
            let end = self.push(of, Step::Go(begin))? + 1;
            self.put(of, begin, either(begin + 1, end))?;
            return self.put(of, moved, Step::Moved(place, end));
        };
        let mut begins = Vec::new();
        for _ in least..most {
            begins.push(self.push(of, Step::Matched)?);
            add(self)?;
        }
        let end = self.program(of)?.len();
        begins.into_iter().try_for_each(|begin| self.put(of, begin, either(begin + 1, end)))
    }
}
