//! The numbers of groups by their keys, in an array over all integers from the least key to the greatest.

use arrow::array::{Array, Int64Array};
use arrow::buffer::NullBuffer;
use std::mem::size_of;

/// Integers, of four bytes each, that the array spans for each group that is in it, at most. DataFusion's hash table takes 17 to 38 bytes
/// for a group, and three looks to find it.
const SPAN_PER_GROUP: usize = 16;

/// Integers that it may span for each row that was read, while it is small: an array is made for no more than its rows pay for.
const SPAN_PER_ROW: usize = 32;

/// Integers of an array that counts as small; it takes 16 MiB.
const SPAN_SMALL_MAX: usize = 4 << 20;

/// Integers of the longest array: 256 MiB.
const SPAN_MAX: usize = 64 << 20;

/// Integers of the shortest array.
const SPAN_MIN: usize = 1 << 10;

/// Why a batch has no slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// A key lies so far from the others that the array would be too long.
    TooSparse,
    /// The bytes of a longer array were refused.
    NoMemory,
}

/// Groups are numbered in the order of their first rows.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    /// The integer of the first slot.
    first: i64,
    /// For each integer the number of its group, and one more; 0: there is none.
    slots: Vec<u32>,
    /// The key of each group; any value for the group of nulls.
    keys: Vec<i64>,
    null_group: Option<usize>,
    /// Rows that the caller has read, those included that are not in the table yet.
    rows: usize,
}

impl KeyTable {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Bytes that it holds.
    pub(super) fn size(&self) -> usize {
        self.slots.capacity() * size_of::<u32>() + self.keys.capacity() * size_of::<i64>()
    }

    /// Counts rows that were read, whether or not their keys are looked up soon.
    pub(super) fn note_rows(&mut self, rows: usize) {
        self.rows = self.rows.saturating_add(rows);
    }

    /// Whether more rows would allow a longer array, without more groups.
    pub(super) fn grows_with_rows(&self) -> bool {
        self.rows.saturating_mul(SPAN_PER_ROW) < SPAN_SMALL_MAX
    }

    /// Writes the number of the group of each key, adding groups for new ones. Where it fails, no group was added. `charge` takes the bytes
    /// of a longer array, or refuses them.
    pub(super) fn intern(
        &mut self,
        keys: &Int64Array,
        groups: &mut Vec<usize>,
        charge: &mut dyn FnMut(usize) -> bool,
    ) -> Result<(), NoRoom> {
        let (known, null_group) = (self.keys.len(), self.null_group);
        groups.clear();
        groups.reserve(keys.len());
        let interned = match keys.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.intern_values(keys.values(), groups, charge),
            Some(_) => self.intern_options(keys, groups, charge),
        };
        if interned.is_err() {
            self.forget_from(known);
            self.null_group = null_group;
            groups.clear();
        }
        interned
    }

    fn intern_values(
        &mut self,
        keys: &[i64],
        groups: &mut Vec<usize>,
        charge: &mut dyn FnMut(usize) -> bool,
    ) -> Result<(), NoRoom> {
        for &key in keys {
            let group = match self.group_of(key)? {
                Some(group) => group,
                None => self.make_room(key, keys.iter().copied(), charge)?,
            };
            groups.push(group);
        }
        Ok(())
    }

    fn intern_options(
        &mut self,
        keys: &Int64Array,
        groups: &mut Vec<usize>,
        charge: &mut dyn FnMut(usize) -> bool,
    ) -> Result<(), NoRoom> {
        for key in keys {
            let group = match key {
                Some(key) => match self.group_of(key)? {
                    Some(group) => group,
                    None => self.make_room(key, keys.iter().flatten(), charge)?,
                },
                None => *self.null_group.get_or_insert_with(|| {
                    self.keys.push(0);
                    self.keys.len() - 1
                }),
            };
            groups.push(group);
        }
        Ok(())
    }

    /// `None`: the array has no slot for the key.
    #[inline]
    fn group_of(&mut self, key: i64) -> Result<Option<usize>, NoRoom> {
        let Some(slot) = self.slots.get_mut(slot_of(key, self.first)) else { return Ok(None) };
        if *slot == 0 {
            self.keys.push(key);
            // Not more groups than slots, whose number is bounded.
            *slot = u32::try_from(self.keys.len()).map_err(|_| NoRoom::TooSparse)?;
        }
        Ok(Some(*slot as usize - 1))
    }

    /// Makes a longer array, in which all keys of a batch have their slots, and gives the group of one of them.
    #[cold]
    fn make_room(
        &mut self,
        key: i64,
        batch: impl Iterator<Item = i64>,
        charge: &mut dyn FnMut(usize) -> bool,
    ) -> Result<usize, NoRoom> {
        let known = self.keys.iter().enumerate().filter(|(group, _)| Some(*group) != self.null_group);
        let around = |(least, greatest): (i64, i64), key: i64| (least.min(key), greatest.max(key));
        let known_bounds =
            known.clone().fold(None, |bounds, (_, known)| Some(around(bounds.unwrap_or((*known, *known)), *known)));
        let (least, greatest) = batch.fold(known_bounds.unwrap_or((key, key)), around);
        let most = (self.keys.len() * SPAN_PER_GROUP).max((self.rows * SPAN_PER_ROW).min(SPAN_SMALL_MAX));
        let most = most.clamp(SPAN_MIN, SPAN_MAX);
        let span = usize::try_from(greatest.abs_diff(least)).ok().and_then(|span| span.checked_add(1));
        // With room for a quarter more at least: else each new key at an end would have all of them put in place again.
        let span = span.filter(|span| *span <= most && *span <= SPAN_MIN.max(most / 5 * 4)).ok_or(NoRoom::TooSparse)?;
        let ahead = (2 * self.slots.len()).max(span + span / 4).min(most).max(SPAN_MIN).saturating_sub(span) as u64;
        // Most of the room in advance is where keys come, behind the greatest or before the least; at first it is not known where.
        let behind = match known_bounds.map(|(known, _)| key < known) {
            None => ahead / 2,
            Some(true) => ahead / 4,
            Some(false) => ahead - ahead / 4,
        };
        let first = least.saturating_sub_unsigned(ahead - behind);
        let last = greatest.saturating_add_unsigned(behind);
        let length = usize::try_from(last.abs_diff(first)).map_err(|_| NoRoom::TooSparse)? + 1;
        // Beside the array that it replaces.
        if !charge(length * size_of::<u32>()) {
            return Err(NoRoom::NoMemory);
        }
        #[expect(
            clippy::slow_vector_initialization,
            reason = "pages that are written are there; each first look into one that is only promised as zeros costs two faults"
        )]
        let mut slots = Vec::with_capacity(length);
        slots.resize(length, 0);
        for (group, key) in known {
            slots[slot_of(*key, first)] = u32::try_from(group + 1).map_err(|_| NoRoom::TooSparse)?;
        }
        (self.first, self.slots) = (first, slots);
        self.group_of(key)?.ok_or(NoRoom::TooSparse)
    }

    /// Takes back the groups that were added last.
    fn forget_from(&mut self, known: usize) {
        for key in self.keys.drain(known..) {
            let at = slot_of(key, self.first);
            // The group of nulls has a key that belongs to none.
            if let Some(slot) = self.slots.get_mut(at).filter(|slot| **slot as usize > known) {
                *slot = 0;
            }
        }
    }

    /// The keys of all groups, in order; the table is empty then.
    pub(super) fn take(&mut self) -> (Vec<i64>, Option<NullBuffer>) {
        let Self { keys, null_group, .. } = std::mem::take(self);
        let nulls = null_group.map(|null| (0..keys.len()).map(|group| group != null).collect());
        (keys, nulls)
    }
}

/// Where the slot of a key is in an array that begins with another; beyond any array, if it is less.
#[inline]
fn slot_of(key: i64, first: i64) -> usize {
    // Both are modulo 2^64, so that the difference is right for any two.
    usize::try_from(key.wrapping_sub(first).cast_unsigned()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn intern(table: &mut KeyTable, keys: &[Option<i64>]) -> Result<Vec<usize>, NoRoom> {
        let mut groups = Vec::new();
        table.note_rows(keys.len());
        table.intern(&keys.iter().copied().collect(), &mut groups, &mut |_| true).map(|()| groups)
    }

    #[test]
    fn groups_are_numbered_in_the_order_of_their_first_rows() {
        let mut table = KeyTable::default();
        let groups = intern(&mut table, &[Some(5), Some(-3), None, Some(5), Some(0), None]).unwrap();
        assert_eq!(groups, [0, 1, 2, 0, 3, 2]);
        assert_eq!(intern(&mut table, &[Some(0), Some(6)]).unwrap(), [3, 4]);
        let (keys, nulls) = table.take();
        assert_eq!((keys[0], keys[1], keys[3], keys[4]), (5, -3, 0, 6));
        assert_eq!(nulls.unwrap().iter().collect::<Vec<_>>(), [true, true, false, true, true]);
        assert!(table.is_empty() && table.size() == 0);
    }

    #[test]
    fn keys_at_the_ends_of_their_type_have_slots() {
        for ends in [[i64::MIN, i64::MIN + 9], [i64::MAX, i64::MAX - 9]] {
            let mut table = KeyTable::default();
            assert_eq!(intern(&mut table, &ends.map(Some)).unwrap(), [0, 1]);
            assert_eq!(intern(&mut table, &ends.map(Some)).unwrap(), [0, 1]);
            assert!(intern(&mut table, &[Some(0)]).is_err());
            assert!(intern(&mut table, &[Some(ends[0].wrapping_sub(1)), Some(ends[0].wrapping_add(1))]).is_err());
            assert_eq!(intern(&mut table, &ends.map(Some)).unwrap(), [0, 1]);
        }
    }

    #[test]
    fn a_batch_that_does_not_fit_leaves_nothing() {
        let mut table = KeyTable::default();
        intern(&mut table, &[Some(1), Some(2)]).unwrap();
        assert_eq!(intern(&mut table, &[Some(3), None, Some(1 << 40)]), Err(NoRoom::TooSparse));
        assert_eq!(table.len(), 2);
        assert_eq!(intern(&mut table, &[Some(2), Some(3), None]).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn the_array_is_no_longer_than_its_rows_pay_for() {
        let mut table = KeyTable::default();
        assert_eq!(intern(&mut table, &[Some(0), Some(1 << 19)]), Err(NoRoom::TooSparse));
        table.note_rows(3 << 13);
        assert_eq!(intern(&mut table, &[Some(0), Some(1 << 19)]).unwrap(), [0, 1]);
        table.note_rows(1 << 30);
        assert_eq!(intern(&mut table, &[Some(1 << 24)]), Err(NoRoom::TooSparse));
        assert!(table.size() <= 4 * SPAN_SMALL_MAX + 64);
    }

    #[test]
    fn a_longer_array_is_charged_before_it_is_made() {
        let (mut table, mut groups) = (KeyTable::default(), Vec::new());
        table.note_rows(1_000);
        let keys: Int64Array = (0..1_000).map(Some).collect();
        let mut asked = 0;
        let refused = table.intern(&keys, &mut groups, &mut |bytes| {
            asked = bytes;
            false
        });
        assert_eq!(refused, Err(NoRoom::NoMemory));
        assert!(asked >= 4_000 && table.size() == 0 && table.is_empty(), "{asked}, {}", table.size());
        assert_eq!(table.intern(&keys, &mut groups, &mut |_| true), Ok(()));
    }

    /// How often all keys are put in place again grows with the logarithm of their number, wherever new ones come.
    #[test]
    fn arrays_grow_by_parts_of_their_length() {
        let both_ways = |n: i64| if n % 2 == 0 { n } else { -n };
        let spread = |n: i64| n * 12;
        for key in [&both_ways as &dyn Fn(i64) -> i64, &spread, &|n| -n] {
            let mut table = KeyTable::default();
            let (mut lengths, mut length) = (0, 0);
            for batch in 0..2_000 {
                let keys: Vec<_> = (batch * 50..batch * 50 + 50).map(|n| Some(key(n))).collect();
                if intern(&mut table, &keys).is_err() {
                    break;
                }
                lengths += usize::from(table.slots.len() != length);
                length = table.slots.len();
            }
            assert!(lengths < 60, "{lengths} arrays for {} keys", table.len());
        }
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_a_map(batches in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.9, -2_000_i64..2_000), 0..200), 1..20)) {
            let (mut table, mut map) = (KeyTable::default(), HashMap::new());
            for batch in batches {
                table.note_rows(10_000);
                let Ok(groups) = intern(&mut table, &batch) else { panic!("the keys are close") };
                for (key, group) in batch.iter().zip(groups) {
                    let next = map.len();
                    prop_assert_eq!(*map.entry(*key).or_insert(next), group);
                }
                prop_assert_eq!(table.len(), map.len());
            }
        }
    }
}
