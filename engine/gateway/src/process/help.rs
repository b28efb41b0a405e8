//! What each metric is, in a line for who reads `/metrics`. Knows no value. A test compares the names with what is recorded.

/// Names of metrics, and what they are.
const TEXTS: [(&str, &str); 82] = [
    ("process_max_fds", "Files that the process may have open."),
    ("process_open_fds", "Files that the process has open."),
    ("process_resident_memory_bytes", "Resident memory of the process."),
    ("querygate_anomalies_total", "Anomalies that were found, by severity."),
    ("querygate_audit_dropped_total", "Records that are missing in the audit file."),
    ("querygate_audit_errors_total", "Attempts to write the audit file that failed."),
    ("querygate_build_info", "Always 1; its label is the version."),
    ("querygate_deployment_refused", "1 while the last version of the metadata that was read is refused, else 0."),
    ("querygate_deployments_refused_total", "Versions of the metadata that were refused."),
    ("querygate_deployments_total", "Versions of the metadata that took effect."),
    ("querygate_distributed_transactions_total", "Transactions of several sources, by outcome."),
    ("querygate_event_deliveries_dead_total", "Requests of webhooks that were given up."),
    ("querygate_events_dropped_total", "Changes that are not in the log of events."),
    ("querygate_events_errors_total", "Attempts to write the log of events that failed."),
    ("querygate_events_total", "Changes that the log of events holds."),
    ("querygate_flight_calls_total", "Calls at the Flight door, by method."),
    ("querygate_flight_connections", "Open connections of the Flight door."),
    ("querygate_flight_connections_total", "Connections that the Flight door took."),
    ("querygate_flight_errors_total", "Errors sent by the Flight door, by SQLSTATE."),
    ("querygate_flight_refused_total", "Clients that the Flight door refused, by reason."),
    ("querygate_flight_rows_total", "Rows sent by the Flight door."),
    ("querygate_flight_sent_bytes_total", "Bytes of rows sent by the Flight door."),
    ("querygate_flight_streams", "Open streams of results at the Flight door."),
    ("querygate_history_errors_total", "Attempts to store field history that failed."),
    ("querygate_history_gaps_total", "Times that the log of events had forgotten what field history was to take."),
    ("querygate_learning_dropped_total", "Records of statements that did not fit the queue of learning."),
    ("querygate_learning_errors_total", "Failures of learning, by part."),
    ("querygate_learning_set_aside_total", "Stores of learning that could not be used and were set aside."),
    ("querygate_memory_max_bytes", "Memory that statements and caches may hold."),
    ("querygate_memory_reserved_bytes", "Memory that statements hold, and that is set aside for caches, full or not."),
    ("querygate_otlp_dropped_total", "Spans that were not sent to the collector."),
    ("querygate_otlp_failed_total", "Requests to the collector that failed."),
    ("querygate_part_bytes_total", "Bytes that this worker sent."),
    ("querygate_part_rows_total", "Rows that this worker sent."),
    ("querygate_part_seconds", "Time of parts at this worker."),
    ("querygate_parts_running", "Parts that this worker reads now."),
    ("querygate_parts_total", "Parts at this worker, by their end."),
    ("querygate_pgwire_at_once_total", "Requests at the Postgres door that were answered as a whole."),
    ("querygate_pgwire_cancel_requests_total", "Requests to cancel at the Postgres door."),
    ("querygate_pgwire_connections", "Open connections of the Postgres door."),
    ("querygate_pgwire_connections_total", "Connections that the Postgres door took."),
    ("querygate_pgwire_errors_total", "Errors sent by the Postgres door, by SQLSTATE."),
    ("querygate_pgwire_messages_total", "Messages of clients at the Postgres door, by type."),
    ("querygate_pgwire_received_bytes_total", "Bytes that the Postgres door received."),
    ("querygate_pgwire_refused_total", "Clients that the Postgres door refused, by reason."),
    ("querygate_pgwire_rows_copied_total", "Rows that the Postgres door copied from a server as they were."),
    ("querygate_pgwire_rows_total", "Rows sent by the Postgres door."),
    ("querygate_pgwire_sent_bytes_total", "Bytes that the Postgres door sent."),
    ("querygate_plan_templates_bytes", "Memory of plans that are kept for other values."),
    ("querygate_plan_templates_total", "Plans kept for other values: made, used again, refused."),
    ("querygate_planning_seconds", "Time of planning, of statements that were not spared it."),
    ("querygate_queries_max", "Statements that may run at once."),
    ("querygate_queries_running", "Statements that have a turn."),
    ("querygate_queries_total", "Statements that ended, by door and outcome (ok, or the SQLSTATE)."),
    ("querygate_queries_waiting", "Statements that wait for a turn."),
    ("querygate_query_seconds", "Time of statements, from their arrival to their last row."),
    ("querygate_rest_limited_total", "Requests of the REST door beyond a limit, by whose limit."),
    ("querygate_rest_requests_total", "Requests of the REST door, by outcome."),
    ("querygate_rest_seconds", "Time of requests of the REST door."),
    ("querygate_rows_changed_total", "Rows inserted, updated and deleted."),
    ("querygate_rows_total", "Rows that statements gave."),
    ("querygate_self_checks_total", "Reads that were computed in the gate, too, by what that found."),
    ("querygate_sessions", "Open sessions."),
    ("querygate_sessions_max", "Sessions that may be open."),
    ("querygate_silent_step_seconds", "Time in which a thread did not ask, where it was long."),
    ("querygate_silent_steps_total", "Times that a thread did not ask for 0.1 s whether its statement is over."),
    ("querygate_silent_threads", "Threads that have not asked for 0.1 s whether their statement is over."),
    ("querygate_source_breaker", "1 for the state that the breaker of a source is in."),
    ("querygate_source_connections", "Connections of a source in use and idle, and requests that wait for one."),
    ("querygate_source_connections_max", "Connections that may be open to a source."),
    ("querygate_source_connects_total", "New connections to a source, and attempts that failed."),
    ("querygate_source_lease_seconds_sum", "Time that requests waited for connections of a source, added up."),
    ("querygate_source_leases_total", "Connections taken from the pool of a source."),
    ("querygate_source_schema_changes_total", "Changed columns and tables of a source, by what was done."),
    ("querygate_source_up", "Whether the last reload reached a source."),
    ("querygate_transactions_unsettled", "Transactions of several sources that are not settled after a minute."),
    ("querygate_worker_bytes_total", "Bytes that workers sent to this gate."),
    ("querygate_worker_failures_total", "Parts that failed at workers of this gate."),
    ("querygate_worker_parts_total", "Parts that this gate had workers read."),
    ("querygate_worker_rows_total", "Rows that workers sent to this gate."),
    ("querygate_workers", "Workers that this gate knows."),
    ("querygate_workers_up", "Workers that answered this gate when they were asked last."),
];

/// Counters of a gate that are zero for as long as all is well: alerts are to see them from the start.
const FROM_ZERO: [&str; 11] = [
    "querygate_audit_dropped_total",
    "querygate_audit_errors_total",
    "querygate_event_deliveries_dead_total",
    "querygate_events_dropped_total",
    "querygate_events_errors_total",
    "querygate_history_errors_total",
    "querygate_history_gaps_total",
    "querygate_learning_dropped_total",
    "querygate_otlp_dropped_total",
    "querygate_otlp_failed_total",
    "querygate_silent_steps_total",
];

/// Tells the recorder what each metric is. It keeps the texts by name alone, whatever a metric's kind.
pub(super) fn describe() {
    for (name, text) in TEXTS {
        metrics::describe_gauge!(name, text);
    }
}

/// Shows what did not happen yet as zero.
pub(crate) fn begin_at_zero() {
    for name in FROM_ZERO {
        metrics::counter!(name).increment(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn metrics_are_rendered_with_what_they_are_and_from_zero_on() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            begin_at_zero();
            metrics::histogram!("querygate_rest_seconds").record(1.0);
        });
        let rendered = handle.render();
        for part in [
            "# HELP querygate_audit_errors_total Attempts to write the audit file that failed.\n",
            "\nquerygate_audit_errors_total 0\n",
            "# HELP querygate_rest_seconds Time of requests of the REST door.\n",
        ] {
            assert!(rendered.contains(part), "no {part:?} in\n{rendered}");
        }
        assert!(TEXTS.is_sorted() && FROM_ZERO.iter().all(|name| TEXTS.iter().any(|(known, _)| known == name)));
    }
}
