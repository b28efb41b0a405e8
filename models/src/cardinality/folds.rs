//! Which observations are held out together when a model judges itself. Knows groups and counts.

use crate::rng::mix;
use std::collections::BTreeMap;

/// The fold of each row; groups are whole.
pub(crate) struct Folds {
    of: Vec<usize>,
    count: usize,
    groups: usize,
}

impl Folds {
    /// Deals groups out, the largest first, each to the fold with fewest rows, so that every model sees about as much. Fewer than
    /// two folds are none: one that has all rows.
    pub(crate) fn deal(groups: &[u64], count: usize, seed: u64) -> Self {
        let mut sizes: BTreeMap<u64, usize> = BTreeMap::new();
        groups.iter().for_each(|group| *sizes.entry(*group).or_insert(0) += 1);
        let different = sizes.len();
        let count = count.min(different).max(1);
        let mut order: Vec<(u64, usize)> = sizes.into_iter().collect();
        order.sort_by_key(|(group, size)| (std::cmp::Reverse(*size), mix(group ^ seed)));
        let mut filled = vec![0; count];
        let mut dealt: BTreeMap<u64, usize> = BTreeMap::new();
        for (group, size) in order {
            let fold = (0..count).min_by_key(|fold| filled[*fold]).unwrap_or(0);
            filled[fold] += size;
            dealt.insert(group, fold);
        }
        let of = groups.iter().map(|group| dealt.get(group).copied().unwrap_or(0)).collect();
        Self { of, count, groups: different }
    }

    pub(crate) fn of(&self, row: usize) -> usize {
        self.of[row]
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Groups that were dealt out.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// Rows by fold, ascending.
    pub(crate) fn members(&self) -> Vec<Vec<u32>> {
        let mut members = vec![Vec::new(); self.count];
        for (row, fold) in (0_u32..).zip(&self.of) {
            members[*fold].push(row);
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stay_whole_and_folds_are_alike() {
        let groups: Vec<u64> = (0..1_000_u64).map(|row| (row * row) % 37).collect();
        for seed in 0..5 {
            let folds = Folds::deal(&groups, 4, seed);
            let members = folds.members();
            let sizes: Vec<usize> = members.iter().map(Vec::len).collect();
            // Never further apart than the size of a group.
            assert!(sizes.iter().all(|size| (200..=300).contains(size)), "{sizes:?}");
            for (row, group) in groups.iter().enumerate() {
                let same = groups.iter().position(|other| other == group).unwrap();
                assert_eq!(folds.of(row), folds.of(same));
                assert!(members[folds.of(row)].contains(&u32::try_from(row).unwrap()));
            }
        }
        assert_eq!((Folds::deal(&groups, 0, 0).count(), Folds::deal(&[], 4, 0).count()), (1, 1));
        let two = Folds::deal(&[7, 7, 8], 4, 0);
        assert_eq!((two.count(), two.groups()), (2, 2));
    }
}
