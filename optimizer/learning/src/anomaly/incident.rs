//! An incident as it is kept, shown and sent. Holds names, counts and times; no value of a row.

use super::subject::Subject;
use querygate_models::anomaly::{Finding, Severity};
use serde::{Deserialize, Serialize};

/// What was unusual. Kept as a document of its own kind, so its shape is versioned with the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Incident {
    pub(super) id: u64,
    /// Incidents that belong together have one alert, the id of the first.
    pub(super) alert: u64,
    pub(super) subject: Subject,
    /// Whose doing it is, if one principal's.
    pub(super) login: Option<String>,
    pub(super) finding: Finding,
    pub(super) severity: Severity,
    /// Likely causes, in words.
    pub(super) causes: Vec<String>,
    /// UTC seconds.
    pub(super) started: i64,
    /// Last unusual observation.
    pub(super) last: i64,
    pub(super) ended: Option<i64>,
    pub(super) peak: f64,
    pub(super) sent: Sent,
    pub(super) acknowledged: Option<(String, i64)>,
}

/// What became of the alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Sent {
    /// It waits for its receiver.
    Waiting,
    /// At that time (UTC seconds).
    At(i64),
    /// The receiver did not take it for days.
    GivenUp,
    /// It belongs to an alert that was sent before.
    Joined,
    /// Somebody muted its subject.
    Muted,
    /// There were more than a day's alerts.
    OverBudget,
    /// There is no receiver.
    Nowhere,
}

impl Sent {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::At(_) => "delivered",
            Self::GivenUp => "given up",
            Self::Joined => "joined",
            Self::Muted => "muted",
            Self::OverBudget => "over budget",
            Self::Nowhere => "recorded",
        }
    }
}

pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// Name of what was found.
pub(super) const fn kind(finding: &Finding) -> &'static str {
    match finding {
        Finding::Jump { .. } => "jump",
        Finding::Drift { .. } => "drift",
        Finding::Errors { .. } => "errors",
        Finding::NewTemplates { .. } => "new templates",
        Finding::Extraction { .. } => "bulk read",
        Finding::Drip { .. } => "slow extraction",
        Finding::Quality { .. } => "data quality",
        Finding::Schema { .. } => "schema",
        Finding::Series { .. } => "series",
        Finding::Changes { deletes: false, .. } => "bulk change",
        Finding::Changes { deletes: true, .. } => "bulk delete",
        Finding::Refusals { .. } => "refusals",
    }
}

impl Incident {
    pub(super) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// What the receiver of alerts gets.
    pub(super) fn body(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id,
            "severity": severity(self.severity),
            "kind": kind(&self.finding),
            "subject": self.subject.to_string(),
            "text": self.finding.text(),
            "causes": self.causes,
            "started": instant(self.started),
        })
    }
}

/// ISO 8601, UTC.
fn instant(seconds: i64) -> Option<String> {
    chrono::DateTime::from_timestamp(seconds, 0).map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}
