//! What a principal reads of ObjectStack's own objects, as users and keys, which no metadata describes. Whatever cannot be judged here
//! refuses: there are no columns to compile row policies for.

use crate::evaluator::Evaluator;
use querygate_metadata::model::{ObjectPermission, PermissionSet, RowOperation, TenancyPosture};
use querygate_types::principal::{Posture, ScopedOperation};
use std::collections::BTreeSet;

/// Objects that the authentication library manages: a right to all their records stands above row policies.
const OF_AUTHENTICATION: [&str; 2] = ["sys_user", "sys_api_key"];

/// Which records of such an object a principal reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlatformReach {
    /// None: the object is refused.
    Nothing,
    /// The own ones.
    Own,
    /// Those of the users of the active organization.
    Organization,
    /// All.
    Everything,
}

/// What a principal reads of such an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformRead {
    pub reach: PlatformReach,
    /// Fields that are as if they were not there.
    pub hidden_fields: BTreeSet<String>,
}

impl Evaluator<'_> {
    /// What the principal reads of one of ObjectStack's own objects.
    #[must_use]
    pub fn platform_read(&self, object: &str) -> PlatformRead {
        let reach = match self.principal.in_scope(object, ScopedOperation::Read) {
            true => self.platform_reach(object),
            false => PlatformReach::Nothing,
        };
        let sets = || self.held_sets().filter_map(|set| set.fields.get(object));
        let mentioned = sets().flatten().map(|(name, _)| name);
        let is_hidden = |name: &&String| !sets().filter_map(|fields| fields.get(*name)).any(|right| right.readable);
        PlatformRead { reach, hidden_fields: mentioned.filter(is_hidden).cloned().collect() }
    }

    fn platform_reach(&self, object: &str) -> PlatformReach {
        let reach = self.held_sets().map(|set| granted(set, object)).max().unwrap_or(PlatformReach::Nothing);
        let is_above = reach == PlatformReach::Everything && OF_AUTHENTICATION.contains(&object);
        if !is_above && self.held_sets().any(|set| self.narrows(set, object)) {
            return PlatformReach::Nothing;
        }
        let is_walled = match self.policy.snapshot().posture {
            TenancyPosture::Single => false,
            TenancyPosture::Isolated | TenancyPosture::Group => self.principal.posture != Posture::PlatformAdmin,
        };
        if is_walled { reach.min(PlatformReach::Organization) } else { reach }
    }

    /// Whether a set of the operator's own has a row policy for reads of the object that holds for the principal. What the platform's sets
    /// say is that a reader without a right to all records sees the own ones.
    fn narrows(&self, set: &PermissionSet, object: &str) -> bool {
        let holds = |positions: &[String]| {
            positions.is_empty() || positions.iter().any(|name| self.principal.positions.contains(name))
        };
        !set.is_of_platform()
            && set.row_level_security.iter().any(|policy| {
                let is_read = matches!(policy.operation, RowOperation::Select | RowOperation::All);
                policy.enabled && is_read && policy.names(object) && holds(&policy.positions)
            })
    }
}

fn granted(set: &PermissionSet, object: &str) -> PlatformReach {
    let sees_all = |right: &ObjectPermission| right.view_all_records || right.modify_all_records;
    match (set.objects.get(object), set.objects.get("*")) {
        (Some(right), _) if sees_all(right) => PlatformReach::Everything,
        (Some(right), _) if right.allow_read => PlatformReach::Own,
        // A right on all objects reaches the platform's own where it is one to all records.
        (None, Some(right)) if sees_all(right) => PlatformReach::Everything,
        (Some(_) | None, _) => PlatformReach::Nothing,
    }
}
