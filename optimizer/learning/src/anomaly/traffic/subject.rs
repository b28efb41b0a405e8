//! Whom and what a stream of numbers is about. Knows no number.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The subject of a stream and of an incident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(in crate::anomaly) enum Subject {
    /// A login.
    Principal(String),
    /// A fingerprint.
    Template(u64),
    Source(String),
    /// A governed table, by its SQL name.
    Object(String),
    /// Rows that a login changes in a governed table.
    Changes(String, String),
    /// Rows that a login deletes from a governed table.
    Deletes(String, String),
}

impl Subject {
    /// Name of the kind, as the system table shows it.
    pub(in crate::anomaly) const fn kind(&self) -> &'static str {
        match self {
            Self::Principal(_) => "principal",
            Self::Template(_) => "template",
            Self::Source(_) => "source",
            Self::Object(_) => "object",
            Self::Changes(..) => "changes",
            Self::Deletes(..) => "deletes",
        }
    }

    /// The login that it is about.
    pub(in crate::anomaly) fn login(&self) -> Option<&str> {
        match self {
            Self::Principal(login) | Self::Changes(login, _) | Self::Deletes(login, _) => Some(login),
            Self::Template(_) | Self::Source(_) | Self::Object(_) => None,
        }
    }

    pub(in crate::anomaly) const fn is_template(&self) -> bool {
        matches!(self, Self::Template(_))
    }

    /// What relates incidents to each other. The same in every process.
    pub(in crate::anomaly) fn key(&self) -> u64 {
        let text = self.to_string();
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

/// As `mute` takes it: `principal sam`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(name) | Self::Source(name) | Self::Object(name) => write!(f, "{} {name}", self.kind()),
            Self::Changes(login, object) | Self::Deletes(login, object) => {
                write!(f, "{} {login} {object}", self.kind())
            }
            Self::Template(fingerprint) => write!(f, "template {fingerprint:016x}"),
        }
    }
}
