//! The platform's own permission sets, as data. They hold when neither metadata nor rows define a set of their name.

use crate::permission_rows;
use querygate_metadata::model::PermissionSet;
use serde_json::Value;

/// Sets that the vendor's 17.4 runtime ships (`sys_permission_set` rows with `managed_by: platform`).
const SETS: &str = include_str!("builtin_sets.json");

/// Whether the platform ships a set of this name.
pub(crate) fn is_builtin(name: &str) -> bool {
    NAMES.contains(&name)
}

const NAMES: &[&str] = &[
    "admin_full_access",
    "organization_admin",
    "organization_admin_no_bypass",
    "member_default",
    "viewer_readonly",
    "mcp_agent_data_read",
    "mcp_agent_data_write",
    "mcp_agent_restricted",
];

/// The built-in sets. Unreadable data yields none, which grants nothing; a test reads them all.
pub(crate) fn permission_sets() -> Vec<PermissionSet> {
    let rows: Vec<serde_json::Map<String, Value>> = serde_json::from_str(SETS).unwrap_or_default();
    permission_rows::permission_sets_from_rows(&rows).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_set_is_read() {
        let names: Vec<String> = permission_sets().into_iter().map(|set| set.name).collect();
        assert_eq!(names, NAMES);
    }

    #[test]
    fn the_administrator_modifies_all_and_the_member_nothing_by_default() {
        let sets = permission_sets();
        let rights = |name: &str| sets.iter().find(|s| s.name == name).unwrap().object("crm_account").cloned();
        assert!(rights("admin_full_access").unwrap().modify_all_records);
        assert!(!rights("organization_admin_no_bypass").unwrap().modify_all_records);
        assert_eq!(rights("member_default"), None);
    }
}
