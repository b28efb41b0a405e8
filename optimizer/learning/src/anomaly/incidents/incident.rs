//! An incident as it is kept, shown and sent. Holds names, counts and times; no value of a row.

use crate::anomaly::traffic::subject::Subject;
use querygate_models::anomaly::{Finding, Severity};
use serde::{Deserialize, Serialize};

/// What was unusual. Kept as a document of its own kind, so its shape is versioned with the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::anomaly) struct Incident {
    pub(in crate::anomaly) id: u64,
    /// Incidents that belong together have one alert, the id of the first.
    pub(in crate::anomaly) alert: u64,
    pub(in crate::anomaly) subject: Subject,
    /// Whose doing it is, if one principal's.
    pub(in crate::anomaly) login: Option<String>,
    pub(in crate::anomaly) finding: Finding,
    pub(in crate::anomaly) severity: Severity,
    /// Likely causes, in words.
    pub(in crate::anomaly) causes: Vec<String>,
    /// UTC seconds.
    pub(in crate::anomaly) started: i64,
    /// Last unusual observation.
    pub(in crate::anomaly) last: i64,
    pub(in crate::anomaly) ended: Option<i64>,
    pub(in crate::anomaly) peak: f64,
    pub(in crate::anomaly) sent: Sent,
    pub(in crate::anomaly) acknowledged: Option<(String, i64)>,
}

/// What became of the alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::anomaly) enum Sent {
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
    pub(in crate::anomaly) const fn name(self) -> &'static str {
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

pub(in crate::anomaly) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// Name of what was found.
pub(in crate::anomaly) const fn kind(finding: &Finding) -> &'static str {
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
    pub(in crate::anomaly) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// What the receiver of alerts gets.
    pub(in crate::anomaly) fn body(&self) -> serde_json::Value {
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
