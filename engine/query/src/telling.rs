//! What learning is told of a finished statement: its record, or one more run among many. Keeps nothing.

use crate::observe::{LeafReads, QueryRecord, Told};
use querygate_query_api::more::Ended;
use querygate_query_api::telemetry::{FragmentRecord, StatementRecord, Telemetry};
use std::sync::Arc;
use std::time::Duration;

/// Tells of a statement. Gives back what its leaves over files read.
pub(crate) fn tell(telemetry: &dyn Telemetry, record: &QueryRecord, told: Told) -> Vec<LeafReads> {
    let (fragment, others) = told.runs.take();
    if telemetry.is_pressed() && others.is_empty() {
        let run = Ended {
            fingerprint: record.template.fingerprint,
            application: &told.application,
            objects: &record.objects,
            started: record.started,
            planning: record.planning,
            total: record.total,
            rows: record.rows,
            bytes: told.bytes,
            cached: record.cached,
            special: record.error.is_some() || told.choice.is_some(),
            fragments: fragment.as_slice(),
        };
        let whole = || statement(record, told.clone(), fragment.iter().cloned().collect());
        if told.repeats.add(&run, telemetry, whole) {
            // What reads files is not added up.
            return Vec::new();
        }
    }
    let statement = statement(record, told, fragment.into_iter().chain(others).collect());
    let reads = reads(&statement);
    telemetry.record(statement);
    reads
}

/// Tells what a statement that goes on has done so far.
pub(crate) fn tell_so_far(telemetry: &dyn Telemetry, record: &QueryRecord, told: &Told, total: Duration) {
    let so_far = statement(record, told.clone(), Vec::new());
    telemetry.record(StatementRecord { under_way: true, total, ..so_far });
}

fn reads(statement: &StatementRecord) -> Vec<LeafReads> {
    let of_files = statement.fragments.iter().filter_map(|fragment| {
        let (source, table) = (Arc::clone(&fragment.template.source), fragment.template.objects.first()?.clone());
        Some(LeafReads { source, table, rows: fragment.rows, files: fragment.reads?, total: fragment.total })
    });
    of_files.collect()
}

fn statement(record: &QueryRecord, told: Told, fragments: Vec<FragmentRecord>) -> StatementRecord {
    StatementRecord {
        id: record.id,
        started: record.started,
        login: Arc::clone(&record.login),
        door: record.door,
        application: told.application,
        template: Arc::clone(&record.template.text),
        fingerprint: record.template.fingerprint,
        objects: Arc::clone(&record.objects),
        planning: record.planning,
        first_row: told.first_row,
        total: record.total,
        rows: record.rows,
        bytes: told.bytes,
        error: record.error,
        cached: record.cached,
        choice: told.choice,
        fragments,
        more: None,
        under_way: false,
    }
}
