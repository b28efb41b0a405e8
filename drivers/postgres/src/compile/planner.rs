//! Settings of PostgreSQL's planner for one statement. They hold in a transaction of the statement's own, which is rolled back
//! before its connection is used again.
//!
//! A server plans a prepared statement five times for its values and may keep one plan for all values from then on. What was
//! tried would not be what runs later: each setting comes with a plan for the values of each run.

use querygate_types::PlannerSetting;

/// What is offered.
pub(crate) const SETTINGS: &[PlannerSetting] = &[
    PlannerSetting::CustomPlans,
    PlannerSetting::HashJoins,
    PlannerSetting::NoMergeJoins,
    PlannerSetting::NoHashJoins,
    PlannerSetting::NoIndexScans,
    PlannerSetting::NoNestedLoops,
    PlannerSetting::SentOrder,
];

/// The transaction, with what all settings have in common, and more.
macro_rules! begin {
    ($($more:literal),*) => {
        Some(concat!("BEGIN READ ONLY; SET LOCAL plan_cache_mode = force_custom_plan" $(, "; SET LOCAL ", $more)*))
    };
}

/// Begins the transaction with the setting. `None`: there is no such setting here.
pub(crate) const fn begin(setting: PlannerSetting) -> Option<&'static str> {
    match setting {
        PlannerSetting::CustomPlans => begin!(),
        PlannerSetting::HashJoins => begin!("enable_nestloop = off", "enable_mergejoin = off"),
        PlannerSetting::NoMergeJoins => begin!("enable_mergejoin = off"),
        PlannerSetting::NoIndexScans => begin!("enable_indexscan = off", "enable_indexonlyscan = off"),
        PlannerSetting::NoHashJoins => begin!("enable_hashjoin = off"),
        PlannerSetting::NoNestedLoops => begin!("enable_nestloop = off"),
        PlannerSetting::SentOrder => begin!("join_collapse_limit = 1", "from_collapse_limit = 1"),
        // There is no word against semi-joins.
        PlannerSetting::NoSemiJoins => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_can_be_told_and_lasts_no_longer_than_its_transaction() {
        for setting in PlannerSetting::ALL {
            let begin = begin(setting);
            assert_eq!(begin.is_some(), SETTINGS.contains(&setting), "{setting}");
            let mut parts = begin.unwrap_or("BEGIN READ ONLY").split("; ");
            assert_eq!(parts.next(), Some("BEGIN READ ONLY"));
            assert!(parts.all(|part| part.starts_with("SET LOCAL ")), "{setting}");
        }
    }
}
