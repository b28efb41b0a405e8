//! The pass over the syntax tree, where rows are grouped, ranked and cut: aggregates, GROUP BY, windows, WITH TIES.

pub(in crate::dialect) mod aggregates;
pub(in crate::dialect) mod frames;
pub(in crate::dialect) mod group_by;
pub(in crate::dialect) mod hypothetical_ranks;
pub(in crate::dialect) mod last_rank;
pub(in crate::dialect) mod misplaced;
pub(in crate::dialect) mod orders;
pub(in crate::dialect) mod sets;
pub(in crate::dialect) mod ties;
pub(in crate::dialect) mod windows;
pub(in crate::dialect) mod written_keys;
