//! A suggestion as a row of `querygate.index_suggestions`.

use super::suggestion::{Change, Suggestion};
use querygate_telemetry_api::system::{Cell, CellKind};
use std::time::{Duration, UNIX_EPOCH};

pub(super) const COLUMNS: &[(&str, CellKind)] = &[
    ("id", CellKind::Integer),
    ("source", CellKind::Text),
    ("object", CellKind::Text),
    ("kind", CellKind::Text),
    ("ddl", CellKind::Text),
    ("state", CellKind::Text),
    ("benefit", CellKind::Float),
    ("templates", CellKind::Text),
    ("size_bytes", CellKind::Integer),
    ("write_cost", CellKind::Float),
    ("confidence", CellKind::Float),
    ("evidence", CellKind::Text),
    ("measured_effect", CellKind::Float),
    ("measured", CellKind::Text),
    ("suggested", CellKind::Time),
    ("applied", CellKind::Time),
];

/// A suggestion as a row.
pub(super) fn row(suggestion: &Suggestion) -> Vec<Cell> {
    let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(1 << 40));
    let kind = match &suggestion.change {
        Change::Create(_) => "create",
        Change::Drop(_) => "drop",
    };
    #[expect(clippy::cast_possible_truncation, reason = "an estimate of bytes; `as` saturates")]
    let bytes = suggestion.bytes.round() as i64;
    vec![
        Cell::Integer(suggestion.id),
        Cell::text(&suggestion.source),
        Cell::text(&suggestion.table),
        Cell::text(kind),
        Cell::text(&suggestion.ddl),
        Cell::text(suggestion.state.name()),
        Cell::Float(suggestion.benefit),
        Cell::Text(suggestion.gains_text()),
        Cell::Integer(bytes),
        Cell::Float(suggestion.write_cost),
        Cell::Float(suggestion.confidence),
        Cell::text(&suggestion.evidence),
        Cell::optional(suggestion.effect, Cell::Float),
        Cell::text(&suggestion.measured),
        Cell::Time(time(suggestion.suggested)),
        Cell::optional(suggestion.applied, |seconds| Cell::Time(time(seconds))),
    ]
}
