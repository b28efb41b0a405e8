//! Indexes that are there and need not be: duplicates, prefixes of others, never used. Advice only, and silent about every
//! index that does more than find rows.

use super::shape::Index;
use serde::{Deserialize, Serialize};

/// An index of the source, with what it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Existing {
    /// Its shape; of an expression index the plain columns.
    pub index: Index,
    /// It forbids duplicates.
    pub unique: bool,
    /// A constraint (primary, unique, foreign or exclusion) or a replica identity rests on it.
    pub constraint: bool,
    /// It is built over a part of the rows.
    pub partial: bool,
    /// It is built over expressions.
    pub expression: bool,
    /// A plain B-tree in the columns' default order, collation and operator class.
    pub plain: bool,
    /// It can be used (`indisvalid`).
    pub valid: bool,
    /// Scans since the source began to count, replicas included; `None` when it is not known.
    pub scans: Option<u64>,
    /// Days since it began to count.
    pub days: f64,
    /// Bytes.
    pub bytes: f64,
}

/// Why an index could be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Needless {
    /// The same as another (its place in the list).
    Duplicate(usize),
    /// Another begins with its columns and covers what it covers.
    PrefixOf(usize),
    /// Not used once in the days that were counted.
    Unused,
}

/// Days of counting before "never used" means anything: month ends must be among them.
pub const DAYS_LEAST: f64 = 35.0;

impl Existing {
    /// Whether anything may be said about dropping it.
    #[must_use]
    pub const fn is_droppable(&self) -> bool {
        !(self.unique || self.constraint || self.partial || self.expression) && self.index.predicate.is_none()
    }
}

/// What could be dropped: place in the list and reason. Of two equal ones the later is named, unless only the earlier may be
/// dropped; an index that another's advice rests on is never named itself.
#[must_use]
pub fn needless(existing: &[Existing]) -> Vec<(usize, Needless)> {
    let mut found: Vec<(usize, Needless)> = Vec::new();
    for at in (0..existing.len()).rev() {
        let one = &existing[at];
        if !one.is_droppable() || found.iter().any(|(_, why)| rests_on(*why, at)) {
            continue;
        }
        let named = |other: usize| found.iter().any(|(gone, _)| *gone == other);
        let better = |other: usize| other != at && !named(other) && does_all_of(&existing[other], one);
        let same = |other: usize| {
            existing[other].index.keys == one.index.keys && existing[other].index.include == one.index.include
        };
        let places = || 0..existing.len();
        let why = places()
            .find(|other| better(*other) && !same(*other))
            .map(Needless::PrefixOf)
            .or_else(|| places().find(|other| better(*other)).map(Needless::Duplicate))
            .or_else(|| (one.scans == Some(0) && one.days >= DAYS_LEAST).then_some(Needless::Unused));
        found.extend(why.map(|why| (at, why)));
    }
    found.reverse();
    found
}

fn rests_on(why: Needless, at: usize) -> bool {
    match why {
        Needless::Duplicate(other) | Needless::PrefixOf(other) => other == at,
        Needless::Unused => false,
    }
}

/// Whether every plan with `one` could use `other` instead. A unique one stands in for a plain one, a partial or expression
/// index for nothing.
fn does_all_of(other: &Existing, one: &Existing) -> bool {
    other.valid
        && other.plain
        && one.plain
        && !other.partial
        && !other.expression
        && other.index.predicate.is_none()
        && other.index.table == one.index.table
        && other.index.keys.starts_with(&one.index.keys)
        && other.index.covers(&one.index.include)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(keys: &[usize]) -> Existing {
        Existing {
            index: Index::on(0, keys),
            unique: false,
            constraint: false,
            partial: false,
            expression: false,
            plain: true,
            valid: true,
            scans: Some(5),
            days: 60.0,
            bytes: 1e6,
        }
    }

    fn check(existing: &[Existing], expected: &[(usize, Needless)]) {
        assert_eq!(needless(existing), expected);
    }

    #[test]
    fn duplicates_prefixes_and_unused_ones_are_named_once() {
        check(&[plain(&[1]), plain(&[1])], &[(1, Needless::Duplicate(0))]);
        check(&[plain(&[1]), plain(&[1, 2])], &[(0, Needless::PrefixOf(1))]);
        check(&[plain(&[2]), plain(&[1, 2])], &[]);
        check(&[plain(&[1]), plain(&[1]), plain(&[1, 2])], &[(0, Needless::PrefixOf(2)), (1, Needless::PrefixOf(2))]);
        check(&[Existing { scans: Some(0), ..plain(&[1]) }], &[(0, Needless::Unused)]);
    }

    #[test]
    fn nothing_is_said_too_early_or_without_knowledge() {
        check(&[Existing { scans: Some(0), days: 10.0, ..plain(&[1]) }], &[]);
        check(&[Existing { scans: None, ..plain(&[1]) }], &[]);
        check(&[plain(&[1]), Existing { valid: false, ..plain(&[1, 2]) }], &[]);
        check(&[plain(&[1]), Existing { plain: false, ..plain(&[1, 2]) }], &[]);
    }

    #[test]
    fn indexes_that_do_more_than_find_rows_are_never_named() {
        let unused = || Existing { scans: Some(0), ..plain(&[1]) };
        for kept in [
            Existing { unique: true, ..unused() },
            Existing { constraint: true, ..unused() },
            Existing { partial: true, ..unused() },
            Existing { expression: true, ..unused() },
        ] {
            check(std::slice::from_ref(&kept), &[]);
            check(&[kept.clone(), kept.clone()], &[]);
            check(&[kept, plain(&[1, 2])], &[]);
        }
        // A unique one makes a plain duplicate needless, a partial one does not.
        check(&[plain(&[1]), Existing { unique: true, ..plain(&[1]) }], &[(0, Needless::Duplicate(1))]);
        check(&[plain(&[1]), Existing { partial: true, ..plain(&[1]) }], &[]);
    }
}
