//! The table of functions: a line for each, with how the work and the memory of a call grow.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A line each: kind, name, work, memory, with tabs between them.
const LINES: &str = include_str!("functions.tsv");

/// Where a function comes from, and where it may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// A scalar one that has a name of the engine's.
    Scalar,
    HigherOrder,
    Aggregate,
    Window,
    Table,
    /// A scalar one that the engine does not have.
    Own,
}

impl FunctionKind {
    /// As the table writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::HigherOrder => "higher-order",
            Self::Aggregate => "aggregate",
            Self::Window => "window",
            Self::Table => "table",
            Self::Own => "own",
        }
    }
}

/// How the work of a call grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// With its rows: values of a fixed width.
    Rows,
    /// With the bytes of its arguments and of its result.
    Bytes,
    /// With the product of the lengths of its first two arguments.
    Product,
    /// As a product, if the engine computes it. There is a way that is linear, for long texts.
    Position,
    /// With the length of the first argument times the number of different characters in the second.
    Set,
    /// It asks for itself whether its statement is over.
    Asks,
}

/// How the bytes that a call makes grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Memory {
    /// With its rows.
    Fixed,
    /// It gives on what it is given.
    Passed,
    /// It makes no more than it is given.
    Given,
    /// A multiple of what it is given.
    Times(usize),
    /// What it is given, and the first argument between all others.
    Separated,
    /// What it is given, each element as long as the longest that takes another's place.
    Replaced,
    /// It charges for itself what is longer than its arguments.
    Charges,
}

impl Memory {
    /// Whether the bytes that a call makes are charged.
    pub(crate) const fn grows(self) -> bool {
        match self {
            Self::Fixed | Self::Passed | Self::Given => false,
            Self::Times(_) | Self::Separated | Self::Replaced | Self::Charges => true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cost {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    pub(crate) memory: Memory,
}

fn work(word: &str) -> Option<Work> {
    Some(match word {
        "rows" => Work::Rows,
        "bytes" => Work::Bytes,
        "product" => Work::Product,
        "position" => Work::Position,
        "set" => Work::Set,
        "asks" => Work::Asks,
        _ => return None,
    })
}

fn memory_of(word: &str) -> Option<Memory> {
    Some(match word {
        "fixed" => Memory::Fixed,
        "passed" => Memory::Passed,
        "given" => Memory::Given,
        "separated" => Memory::Separated,
        "replaced" => Memory::Replaced,
        "charges" => Memory::Charges,
        times => Memory::Times(times.strip_prefix('x')?.parse().ok()?),
    })
}

/// Kind, name and cost of a line.
fn read(line: &'static str) -> Option<(&'static str, &'static str, Cost)> {
    let mut cells = line.split('\t');
    let (kind, name) = (cells.next()?, cells.next()?);
    let cost = Cost { name, work: work(cells.next()?)?, memory: memory_of(cells.next()?)? };
    cells.next().is_none().then_some((kind, name, cost))
}

static SCALARS: LazyLock<HashMap<&str, Cost>> = LazyLock::new(|| {
    let scalar = |kind: &str| kind == FunctionKind::Scalar.word() || kind == FunctionKind::Own.word();
    let rows = LINES.lines().filter_map(read).filter(|(kind, ..)| scalar(kind));
    rows.map(|(_, name, cost)| (name, cost)).collect()
});

/// The cost of a scalar function; `None`: it is not in the table.
pub(super) fn cost(name: &str) -> Option<Cost> {
    SCALARS.get(name).copied()
}

/// How a scalar function's memory grows. One that is not in the table is ours, and has no name in SQL.
pub(crate) fn memory(name: &str) -> Memory {
    cost(name).map_or(Memory::Fixed, |cost| cost.memory)
}

/// The names of a kind, in the order of their letters.
pub fn names(kind: FunctionKind) -> impl Iterator<Item = &'static str> {
    LINES.lines().filter_map(read).filter(move |(of, ..)| *of == kind.word()).map(|(_, name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::SessionStateBuilder;
    use std::collections::BTreeSet;

    #[test]
    fn each_line_is_read_and_stands_once() {
        let lines: Vec<&str> = LINES.lines().collect();
        let wrong: Vec<&&str> = lines.iter().filter(|line| read(line).is_none()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "in order, each once");
    }

    /// A function without a line has no bounds: one that is added says how its work and memory grow.
    #[test]
    fn every_function_of_ours_has_a_line() {
        let own: BTreeSet<&str> = names(FunctionKind::Own).chain(names(FunctionKind::Scalar)).collect();
        let there: BTreeSet<String> = crate::functions::all().iter().map(|one| one.name().to_owned()).collect();
        let missing: Vec<&String> = there.iter().filter(|name| !own.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "without a line: {missing:?}");
        let state = crate::install(SessionStateBuilder::new_with_default_features().build());
        let known = state.scalar_functions();
        let gone: Vec<&str> = names(FunctionKind::Own).filter(|name| !known.contains_key(*name)).collect();
        assert!(gone.is_empty(), "there is no function of these lines: {gone:?}");
    }
}
