//! What was made: tables with the rows that they hold, and whether each can be served.

use super::cell::Cell;
use tempfile::TempDir;

/// Whether what was made can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Served,
    /// It may be left out, for this reason of the maker's.
    MayBeLeftOut(&'static str),
    /// It is no table, or none whose rows are known.
    LeftOut(&'static str),
}

#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// As introspection calls it.
    pub(crate) name: String,
    /// Whether it may be left out: its values are none that a type holds.
    pub(crate) may_go: bool,
}

impl Column {
    pub(crate) fn of(name: impl Into<String>) -> Self {
        Self { name: name.into(), may_go: false }
    }
}

/// A table, or what is none.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// As introspection calls it.
    pub(crate) remote: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
    pub(crate) fate: Fate,
}

impl Made {
    pub(crate) fn none(remote: impl Into<String>, why: &'static str) -> Self {
        Self { remote: remote.into(), columns: Vec::new(), rows: Vec::new(), fate: Fate::LeftOut(why) }
    }
}

/// A source with its tables.
pub(crate) struct World {
    /// Where `init` runs. Goes with the world.
    pub(crate) folder: TempDir,
    /// What `init` is given.
    pub(crate) source: Vec<String>,
    pub(crate) made: Vec<Made>,
}

impl World {
    pub(crate) fn new(source: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("qg-world-").tempdir().unwrap();
        Self { folder, source: source.iter().map(|text| (*text).to_owned()).collect(), made: Vec::new() }
    }
}
