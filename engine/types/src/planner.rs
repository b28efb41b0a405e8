//! Settings for a source's planner, for one statement. A closed list: nothing of a statement or a value is in it.

use std::fmt;

/// A setting of a source's planner, for one statement alone. It changes how rows are found, never which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PlannerSetting {
    /// A plan for the values of each run, not one for all runs of a prepared statement.
    CustomPlans,
    /// Rows are joined by hashing and in no other way, also at a source that does not consider it by itself.
    HashJoins,
    /// No merging of sorted rows where rows can be joined in another way.
    NoMergeJoins,
    /// No nested loops where rows can be joined in another way.
    NoNestedLoops,
    /// Tables are joined in the order in which the statement that the gate sends names them.
    SentOrder,
    /// No walk along an index, row by row, where rows can be found in another way.
    NoIndexScans,
    /// No hash joins where rows can be joined in another way.
    NoHashJoins,
    /// EXISTS and IN are answered as they are written, not as joins.
    NoSemiJoins,
}

impl PlannerSetting {
    /// All, the ones that help most often first.
    pub const ALL: [Self; 8] = [
        Self::CustomPlans,
        Self::HashJoins,
        Self::NoMergeJoins,
        Self::NoHashJoins,
        Self::NoIndexScans,
        Self::NoNestedLoops,
        Self::SentOrder,
        Self::NoSemiJoins,
    ];

    /// Name as system tables show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CustomPlans => "custom_plans",
            Self::HashJoins => "hash_joins",
            Self::NoMergeJoins => "no_merge_joins",
            Self::NoNestedLoops => "no_nested_loops",
            Self::SentOrder => "sent_order",
            Self::NoIndexScans => "no_index_scans",
            Self::NoHashJoins => "no_hash_joins",
            Self::NoSemiJoins => "no_semi_joins",
        }
    }
}

impl fmt::Display for PlannerSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
