//! For whom, and at which version, tables were made.

/// Which snapshot and principal a leaf was made for: governed tables and the gate's own ones. Verification compares it with
/// the session's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeafToken {
    /// Version of the gate's state: metadata, facts and sources together.
    pub state_version: u64,
    /// Fingerprint of everything about the principal that policy may depend on.
    pub principal: u64,
    /// Until when (milliseconds since 1970) every membership holds that does, and begins none that does not: what policy
    /// decides may depend on memberships that are no part of the principal, such as those of business units.
    pub until_ms: Option<i64>,
}
