//! Names of the door's metrics, in one place. Knows no value of a client.

/// Counts a connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct Connected;

impl Connected {
    pub(crate) fn new() -> Self {
        metrics::counter!("querygate_flight_connections_total").increment(1);
        metrics::gauge!("querygate_flight_connections").increment(1.0);
        Self
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        metrics::gauge!("querygate_flight_connections").decrement(1.0);
    }
}

/// Counts a result stream for as long as it runs.
#[derive(Debug)]
pub(crate) struct Streaming;

impl Streaming {
    pub(crate) fn new() -> Self {
        metrics::gauge!("querygate_flight_streams").increment(1.0);
        Self
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        metrics::gauge!("querygate_flight_streams").decrement(1.0);
    }
}

/// A client that was turned away before it had a session.
pub(crate) fn refused(reason: &'static str) {
    metrics::counter!("querygate_flight_refused_total", "reason" => reason).increment(1);
}

pub(crate) fn called(method: &'static str) {
    metrics::counter!("querygate_flight_calls_total", "method" => method).increment(1);
}

pub(crate) fn sent(rows: usize, bytes: usize) {
    metrics::counter!("querygate_flight_rows_total").increment(u64::try_from(rows).unwrap_or(u64::MAX));
    metrics::counter!("querygate_flight_sent_bytes_total").increment(u64::try_from(bytes).unwrap_or(u64::MAX));
}

pub(crate) fn failed(sqlstate: &'static str) {
    metrics::counter!("querygate_flight_errors_total", "sqlstate" => sqlstate).increment(1);
}
