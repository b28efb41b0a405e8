//! Names of the door's metrics, in one place. Knows no value of a client.

/// Counts a connection for as long as it lives.
pub(crate) struct Connected;

impl Connected {
    pub(crate) fn new() -> Self {
        metrics::counter!("querygate_pgwire_connections_total").increment(1);
        metrics::gauge!("querygate_pgwire_connections").increment(1.0);
        Self
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        metrics::gauge!("querygate_pgwire_connections").decrement(1.0);
    }
}

/// A client that was turned away before it had a session.
pub(crate) fn refused(reason: &'static str) {
    metrics::counter!("querygate_pgwire_refused_total", "reason" => reason).increment(1);
}

pub(crate) fn message(kind: &'static str) {
    metrics::counter!("querygate_pgwire_messages_total", "type" => kind).increment(1);
}

pub(crate) fn received(bytes: usize) {
    metrics::counter!("querygate_pgwire_received_bytes_total").increment(u64::try_from(bytes).unwrap_or(u64::MAX));
}

pub(crate) fn sent(bytes: usize) {
    metrics::counter!("querygate_pgwire_sent_bytes_total").increment(u64::try_from(bytes).unwrap_or(u64::MAX));
}

pub(crate) fn rows(count: u64) {
    metrics::counter!("querygate_pgwire_rows_total").increment(count);
}

pub(crate) fn error(sqlstate: &'static str) {
    metrics::counter!("querygate_pgwire_errors_total", "sqlstate" => sqlstate).increment(1);
}

pub(crate) fn canceled() {
    metrics::counter!("querygate_pgwire_cancel_requests_total").increment(1);
}
