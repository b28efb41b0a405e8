//! Who holds what: memberships and record shares read from `sys_*` rows. Knows no metadata and decides nothing.

use super::Location;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::fmt;

/// `access_level` of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AccessLevel {
    Read,
    Edit,
}

/// Half-open UTC period `[from, until)` in milliseconds since 1970; an absent end is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tenure {
    pub from_ms: Option<i64>,
    pub until_ms: Option<i64>,
}

impl Tenure {
    /// Whether it holds at `now_ms`.
    #[must_use]
    pub fn holds(self, now_ms: i64) -> bool {
        self.from_ms.is_none_or(|from| from <= now_ms) && self.until_ms.is_none_or(|until| now_ms < until)
    }
}

/// A row of `sys_user`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: String,
    pub email: Option<String>,
    pub name: Option<String>,
    pub manager_id: Option<String>,
}

/// A row of `sys_user_position`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPosition {
    /// Position's name.
    pub position: String,
    pub organization_id: Option<String>,
    pub business_unit_id: Option<String>,
    pub tenure: Tenure,
}

/// A row of `sys_user_permission_set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserGrant {
    /// Permission set's name.
    pub permission_set: String,
    pub organization_id: Option<String>,
    pub tenure: Tenure,
}

/// A row of `sys_business_unit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusinessUnit {
    pub id: String,
    pub name: Option<String>,
    pub parent: Option<String>,
}

/// A row of `sys_business_unit_member`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitMember {
    pub user_id: String,
    pub tenure: Tenure,
}

/// A row of `sys_record_share` for one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordShare {
    pub record_id: String,
    pub access_level: AccessLevel,
}

/// A row of an object, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedRow {
    pub object: String,
    pub row: serde_json::Map<String, serde_json::Value>,
    pub location: Location,
}

/// A row that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactsError {
    pub object: String,
    /// Index of the row among the rows of its object, from 0.
    pub row: usize,
    /// Where it stands, when that is known.
    pub location: Option<Location>,
    pub message: String,
}

impl fmt::Display for FactsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} row {}: {}", self.object, self.row, self.message)
    }
}

impl std::error::Error for FactsError {}

impl Facts {
    /// The next time after `now_ms` at which a membership begins or ends, in milliseconds since 1970.
    #[must_use]
    pub fn next_boundary(&self, now_ms: i64) -> Option<i64> {
        let positions = self.user_positions.values().flatten().map(|held| held.tenure);
        let grants = self.user_sets.values().flatten().map(|grant| grant.tenure);
        let members = self.unit_members.values().flatten().map(|member| member.tenure);
        let boundaries = positions.chain(grants).chain(members).flat_map(|tenure| [tenure.from_ms, tenure.until_ms]);
        boundaries.flatten().filter(|at| *at > now_ms).min()
    }
}

/// Memberships and shares. Changes more often than metadata, so it lives beside the snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// By user id.
    pub users: HashMap<String, User>,
    /// By user id.
    pub user_positions: HashMap<String, Vec<UserPosition>>,
    /// Position's name to permission sets' names.
    pub position_sets: HashMap<String, Vec<String>>,
    /// By user id.
    pub user_sets: HashMap<String, Vec<UserGrant>>,
    /// By user id: organizations (`sys_member`).
    pub user_organizations: HashMap<String, Vec<String>>,
    /// By organization: ids of the users whom the configuration puts there.
    pub configured_members: HashMap<String, BTreeSet<String>>,
    /// By business unit id.
    pub business_units: HashMap<String, BusinessUnit>,
    /// By business unit id.
    pub unit_members: HashMap<String, Vec<UnitMember>>,
    /// Object, then user id.
    pub shares: HashMap<String, HashMap<String, Vec<RecordShare>>>,
    /// Ids of the users whom the configuration lets in. `None`: not all users are known, as claims of an issuer may make some.
    pub configured_users: Option<BTreeSet<String>>,
}

impl Facts {
    /// Whether a reference to a user may be to this one: the configuration lets such a user in, or there is a row of one.
    #[must_use]
    pub fn may_be_user(&self, id: &str) -> bool {
        let is_configured = self.configured_users.as_ref().is_none_or(|users| users.contains(id));
        is_configured || self.users.contains_key(id)
    }
}
