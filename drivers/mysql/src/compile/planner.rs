//! Settings of MariaDB's planner for one statement. They are part of the statement, so that the server itself takes them back at
//! its end, however it ends. MySQL has no such statement.

use crate::connect::session::Flavor;
use querygate_types::PlannerSetting;

/// What is offered to sources of this kind; a server that is not known yet is offered nothing.
pub(crate) const fn settings(flavor: Option<Flavor>) -> &'static [PlannerSetting] {
    match flavor {
        Some(Flavor::MariaDb) => &[PlannerSetting::HashJoins, PlannerSetting::NoSemiJoins],
        Some(Flavor::MySql) | None => &[],
    }
}

/// What stands before a statement. `None`: there is no such setting here.
pub(crate) const fn prefix(setting: PlannerSetting) -> Option<&'static str> {
    match setting {
        // Flat ones: those that join buffer to buffer have given wrong rows.
        PlannerSetting::HashJoins => Some("SET STATEMENT join_cache_level = 3 FOR "),
        PlannerSetting::NoSemiJoins => Some("SET STATEMENT optimizer_switch = 'semijoin=off' FOR "),
        // It keeps no plan of a statement, does not merge, has no other way to join rows that no index finds, and no word for the order of joins or against indexes but in the
        // statement's own text.
        PlannerSetting::CustomPlans
        | PlannerSetting::NoMergeJoins
        | PlannerSetting::NoNestedLoops
        | PlannerSetting::SentOrder
        | PlannerSetting::NoIndexScans
        | PlannerSetting::NoHashJoins => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_can_be_told_and_is_part_of_the_statement() {
        for setting in PlannerSetting::ALL {
            let prefix = prefix(setting);
            assert_eq!(prefix.is_some(), settings(Some(Flavor::MariaDb)).contains(&setting), "{setting}");
            assert!(prefix.is_none_or(|text| text.starts_with("SET STATEMENT ") && text.ends_with(" FOR ")));
        }
        assert!(settings(Some(Flavor::MySql)).is_empty() && settings(None).is_empty());
    }
}
