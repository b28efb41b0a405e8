//! The statements that are prepared on one connection, by their texts and the types of their values. Bounded; sends nothing.

use crate::connect::passthrough::Columns;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// Statements that are kept prepared.
pub(crate) const STATEMENTS_MAX: usize = 256;

/// Prepared statements.
#[derive(Default)]
pub(crate) struct Statements {
    /// A text is prepared anew for other types.
    by_text: HashMap<Arc<str>, Vec<Statement>, BuildHasherDefault<Quick>>,
    count: usize,
    names: u64,
    uses: u64,
}

/// One of them.
pub(crate) struct Statement {
    pub(crate) name: Box<str>,
    pub(crate) columns: Columns,
    types: Box<[u32]>,
    used: u64,
}

impl Statements {
    /// One that is known.
    pub(crate) fn find(&mut self, text: &str, types: impl Iterator<Item = u32> + Clone) -> Option<&Statement> {
        self.uses += 1;
        let known = self.by_text.get_mut(text)?;
        let found = known.iter_mut().find(|statement| statement.types.iter().copied().eq(types.clone()))?;
        found.used = self.uses;
        Some(found)
    }

    /// A name that none had before.
    pub(crate) fn next_name(&mut self) -> Box<str> {
        self.names += 1;
        format!("q{}", self.names).into()
    }

    /// Adds one that is not known.
    pub(crate) fn insert(&mut self, name: Box<str>, types: impl Iterator<Item = u32>, columns: Columns) {
        self.count += 1;
        let statement = Statement { name, types: types.collect(), used: self.uses, columns };
        self.by_text.entry(Arc::clone(statement.columns.text())).or_default().push(statement);
        debug_assert!(self.count <= STATEMENTS_MAX, "room was made before a statement was prepared");
    }

    /// Takes out the one that was not used for longest, if there are as many as may be.
    pub(crate) fn make_room(&mut self) -> Option<Box<str>> {
        if self.count < STATEMENTS_MAX {
            return None;
        }
        let oldest = self.by_text.values().flatten().min_by_key(|statement| statement.used);
        let columns = Arc::clone(&oldest?.columns);
        self.forget(&columns)
    }

    /// Takes one out. `None`: it is not there any more.
    pub(crate) fn forget(&mut self, columns: &Columns) -> Option<Box<str>> {
        let known = self.by_text.get_mut(columns.text())?;
        let at = known.iter().position(|statement| Arc::ptr_eq(&statement.columns, columns))?;
        let forgotten = known.swap_remove(at);
        if known.is_empty() {
            self.by_text.remove(columns.text());
        }
        self.count -= 1;
        Some(forgotten.name)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

/// Hashes texts eight bytes at a time. They are few, so nothing is won by choosing ones that collide.
#[derive(Default)]
struct Quick(u64);

impl Quick {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| self.add(u64::from(*byte)));
    }

    fn finish(&self) -> u64 {
        // The low bits of a product depend on the low bits of its factors only.
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::passthrough::PreparedColumns;

    #[test]
    fn statements_are_known_by_text_and_types_and_forgotten_once() {
        let mut statements = Statements::default();
        let told = |text: &str| Arc::new(PreparedColumns::of(text.into()));
        let (one, two, other) = (told("a"), told("a"), told("b"));
        for (columns, types) in [(&one, [20]), (&two, [1700]), (&other, [20])] {
            assert!(statements.find(columns.text(), types.into_iter()).is_none());
            let name = statements.next_name();
            statements.insert(name, types.into_iter(), Arc::clone(columns));
        }
        let name = |statements: &mut Statements, text: &str, types: [u32; 1]| {
            statements.find(text, types.into_iter()).map(|statement| statement.name.to_string())
        };
        assert_eq!(name(&mut statements, "a", [1700]).as_deref(), Some("q2"));
        assert_eq!(statements.forget(&one).as_deref(), Some("q1"));
        assert_eq!(statements.forget(&one), None);
        assert_eq!(name(&mut statements, "a", [20]), None);
        assert_eq!(name(&mut statements, "b", [20]).as_deref(), Some("q3"));
        assert_eq!((statements.len(), statements.make_room()), (2, None));
    }

    #[test]
    fn the_one_that_rests_longest_makes_room() {
        let mut statements = Statements::default();
        for number in 0..STATEMENTS_MAX {
            let name = statements.next_name();
            let columns = Arc::new(PreparedColumns::of(format!("s{number}").into()));
            assert!(statements.find(columns.text(), std::iter::empty()).is_none());
            statements.insert(name, std::iter::empty(), columns);
        }
        assert!(statements.find("s0", std::iter::empty()).is_some());
        assert_eq!(statements.make_room().as_deref(), Some("q2"));
        assert_eq!((statements.make_room(), statements.len()), (None, STATEMENTS_MAX - 1));
    }
}
