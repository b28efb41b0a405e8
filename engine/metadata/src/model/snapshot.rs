//! One immutable version of all metadata, with constant-time look-ups. Knows nothing of how it was loaded.

use super::{
    Capability, Datasource, Facts, Location, MappingRule, Object, PermissionSet, Picklist, Position, Protocol,
    RowPolicy, SharingRule, Webhook,
};
use crate::Diagnostic;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How organizations are kept apart (reference section 6.10). A setting of the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum TenancyPosture {
    /// No wall.
    #[default]
    Single,
    /// `organization_id in` the user's organizations.
    Group,
    /// `organization_id =` the active organization.
    Isolated,
}

/// Something that 17.4 has and that is kept as parsed, without effect on reads (hooks).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    pub name: String,
    /// As written.
    pub value: serde_json::Value,
    #[serde(skip)]
    pub location: Location,
}

/// `mode` of seed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SeedMode {
    Insert,
    Update,
    Upsert,
    Replace,
    Ignore,
}

/// Rows to load at start, as system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedData {
    pub object: String,
    /// Fields that identify a row.
    pub external_id: Vec<String>,
    pub mode: SeedMode,
    /// Environments it is for; empty means all.
    pub env: Vec<String>,
    pub records: Vec<serde_json::Map<String, serde_json::Value>>,
    /// Where each record stands.
    #[serde(skip)]
    pub places: Vec<Location>,
    #[serde(skip)]
    pub location: Location,
}

/// A package: what one manifest owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub id: String,
    /// Its objects' names start with `<namespace>_`; `None` when the manifest has none.
    pub namespace: Option<String>,
    pub version: String,
    pub name: String,
    /// `app`, `plugin`, ...
    pub kind: String,
    /// Words to find it by: kind, scope, and the manifest's keywords.
    pub tags: Vec<String>,
    /// Packages that its manifest depends on.
    pub depends_on: Vec<String>,
    #[serde(skip)]
    pub location: Location,
}

/// An extended object's parts.
#[derive(Debug, Clone)]
pub(crate) struct Extended {
    pub(crate) base: Arc<Object>,
    /// Low priority first.
    pub(crate) extensions: Vec<Arc<Extension>>,
}

/// What one package adds to another's object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Extension {
    pub(crate) target: String,
    pub(crate) package: String,
    /// 0 to 999, low first.
    pub(crate) priority: i64,
    pub(crate) label: Option<String>,
    pub(crate) plural_label: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) fields: Vec<super::Field>,
    pub(crate) validations: Vec<super::Validation>,
    pub(crate) indexes: Vec<super::Index>,
    pub(crate) location: Location,
}

/// A field that points at an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Referrer {
    pub object: String,
    pub field: String,
}

/// One immutable version of all metadata. Shared in an `Arc`; a statement pins one.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Counts replacements within this process, from 1.
    pub version: u64,
    /// `sha256:<hex>` of the resolved content; equal content gives equal hashes.
    pub content_hash: String,
    pub posture: TenancyPosture,
    /// The release whose rules are followed.
    pub protocol: Protocol,
    pub packages: IndexMap<String, Package>,
    pub objects: IndexMap<String, Arc<Object>>,
    /// The platform's own sets (`member_default`, `admin_full_access`, ...) and the declared ones.
    pub permission_sets: IndexMap<String, Arc<PermissionSet>>,
    pub positions: IndexMap<String, Position>,
    pub capabilities: IndexMap<String, Capability>,
    pub sharing_rules: IndexMap<String, SharingRule>,
    pub datasources: IndexMap<String, Datasource>,
    /// Options that fields share.
    pub picklists: IndexMap<String, Picklist>,
    pub datasource_mapping: Vec<MappingRule>,
    pub seed: Vec<Arc<SeedData>>,
    /// Kept, not run.
    pub hooks: Vec<Declared>,
    pub webhooks: IndexMap<String, Webhook>,
    /// Fields that point at each object.
    pub referrers: HashMap<String, Vec<Referrer>>,
    pub warnings: Vec<Diagnostic>,
    /// Objects as they were before their extensions, so that a package can be taken out again.
    pub(crate) extended: HashMap<String, Extended>,
    /// Digest of each item, for the content hash.
    pub(crate) digests: Arc<BTreeMap<String, [u8; 32]>>,
}

impl Snapshot {
    /// The object with this name.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(name)
    }

    /// The permission set with this name.
    #[must_use]
    pub fn permission_set(&self, name: &str) -> Option<&Arc<PermissionSet>> {
        self.permission_sets.get(name)
    }

    /// Fields that point at `object`.
    #[must_use]
    pub fn referrers(&self, object: &str) -> &[Referrer] {
        self.referrers.get(object).map_or(&[], Vec::as_slice)
    }

    /// Names of the sets that every signed-in user holds: `member_default` and each set with `isDefault`.
    pub fn default_sets(&self) -> impl Iterator<Item = &str> {
        self.permission_sets
            .values()
            .filter(|set| set.is_default || set.name == "member_default")
            .map(|set| set.name.as_str())
    }

    /// Row policies of every set, with the set's name.
    pub fn row_policies(&self) -> impl Iterator<Item = (&str, &RowPolicy)> {
        self.permission_sets
            .values()
            .flat_map(|set| set.row_level_security.iter().map(move |policy| (set.name.as_str(), policy)))
    }

    /// Sharing rules of `object`.
    pub fn sharing_rules_of<'a>(&'a self, object: &'a str) -> impl Iterator<Item = &'a SharingRule> {
        self.sharing_rules.values().filter(move |rule| rule.object == object)
    }

    /// Memberships and shares among the seed rows (`sys_*` objects).
    ///
    /// # Errors
    /// A row that cannot be understood, because ignoring it could widen or narrow someone's rights.
    pub fn seed_facts(&self) -> Result<Facts, super::FactsError> {
        Facts::from_rows(self.seed.iter().flat_map(|seed| seed.records.iter().map(|row| (seed.object.as_str(), row))))
    }
}
