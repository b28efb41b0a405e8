//! An incident as a row of `querygate.anomalies`. Decides which columns its reader sees, not which rows.

use super::incident::{Incident, Sent, kind, severity};
use crate::telemetry::time_of;
use querygate_telemetry_api::system::{Cell, CellKind};

pub(in crate::anomaly) const COLUMNS: &[(&str, CellKind)] = &[
    ("id", CellKind::Integer),
    ("alert", CellKind::Integer),
    ("severity", CellKind::Text),
    ("kind", CellKind::Text),
    ("subject", CellKind::Text),
    ("login", CellKind::Text),
    ("what", CellKind::Text),
    ("causes", CellKind::Text),
    ("state", CellKind::Text),
    ("started", CellKind::Time),
    ("last_seen", CellKind::Time),
    ("ended", CellKind::Time),
    ("score", CellKind::Float),
    ("delivery", CellKind::Text),
    ("delivered", CellKind::Time),
    ("acknowledged_by", CellKind::Text),
    ("acknowledged", CellKind::Time),
];

/// What operators do about an incident, and whether they were told, is not for the person it is about.
pub(in crate::anomaly) fn row(incident: &Incident, operator: bool) -> Vec<Cell> {
    let inner = |cell: Cell| if operator { cell } else { Cell::Null };
    let time = |seconds: i64| Cell::Time(time_of(seconds));
    let delivered = match incident.sent {
        Sent::At(at) => time(at),
        Sent::Waiting | Sent::GivenUp | Sent::Joined | Sent::Muted | Sent::OverBudget | Sent::Nowhere => Cell::Null,
    };
    let (by, at) =
        incident.acknowledged.as_ref().map_or((Cell::Null, Cell::Null), |(who, at)| (Cell::text(who), time(*at)));
    vec![
        Cell::count(incident.id),
        inner(Cell::count(incident.alert)),
        Cell::text(severity(incident.severity)),
        Cell::text(kind(&incident.finding)),
        Cell::Text(incident.subject.to_string()),
        Cell::optional(incident.login.as_deref(), Cell::text),
        Cell::Text(incident.finding.text()),
        Cell::Text(incident.causes.join("; ")),
        Cell::text(if incident.is_open() { "open" } else { "ended" }),
        time(incident.started),
        time(incident.last),
        Cell::optional(incident.ended, time),
        Cell::Float(incident.peak),
        inner(Cell::text(incident.sent.name())),
        inner(delivered),
        inner(by),
        inner(at),
    ]
}
