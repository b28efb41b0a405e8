//! Settings of PostgreSQL's planner for one statement. They hold in a transaction of the statement's own, which is rolled back
//! before its connection is used again.

use querygate_types::PlannerSetting;

/// What is offered.
pub(crate) const SETTINGS: &[PlannerSetting] = &[
    PlannerSetting::NoNestedLoops,
    PlannerSetting::SentOrder,
    PlannerSetting::NoIndexScans,
    PlannerSetting::NoHashJoins,
];

/// Begins the transaction with the setting. `None`: there is no such setting here.
pub(crate) const fn begin(setting: PlannerSetting) -> Option<&'static str> {
    match setting {
        PlannerSetting::NoNestedLoops => Some("BEGIN READ ONLY; SET LOCAL enable_nestloop = off"),
        PlannerSetting::SentOrder => {
            Some("BEGIN READ ONLY; SET LOCAL join_collapse_limit = 1; SET LOCAL from_collapse_limit = 1")
        }
        PlannerSetting::NoIndexScans => {
            Some("BEGIN READ ONLY; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off")
        }
        PlannerSetting::NoHashJoins => Some("BEGIN READ ONLY; SET LOCAL enable_hashjoin = off"),
        // It has hash joins without being told, and no word against semi-joins.
        PlannerSetting::HashJoins | PlannerSetting::NoSemiJoins => None,
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
