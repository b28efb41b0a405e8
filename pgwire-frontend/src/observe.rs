//! Names of the door's metrics, in one place. Knows no value of a client.

use metrics::Counter;
use std::sync::OnceLock;

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

/// Kinds of messages, as they are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Query,
    Parse,
    Bind,
    DescribeStatement,
    DescribePortal,
    Execute,
    Close,
    Flush,
    Sync,
    Terminate,
    FunctionCall,
    Copy,
    Authentication,
}

impl Kind {
    const COUNT: usize = Self::Authentication as usize + 1;

    const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Parse => "parse",
            Self::Bind => "bind",
            Self::DescribeStatement => "describe_statement",
            Self::DescribePortal => "describe_portal",
            Self::Execute => "execute",
            Self::Close => "close",
            Self::Flush => "flush",
            Self::Sync => "sync",
            Self::Terminate => "terminate",
            Self::FunctionCall => "function_call",
            Self::Copy => "copy",
            Self::Authentication => "authentication",
        }
    }
}

/// What is counted several times for each statement: each counter is looked up once.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    messages: [OnceLock<Counter>; Kind::COUNT],
    received: OnceLock<Counter>,
    sent: OnceLock<Counter>,
    rows: OnceLock<Counter>,
    copied: OnceLock<Counter>,
    at_once: OnceLock<Counter>,
}

impl Counts {
    pub(crate) fn message(&self, kind: Kind) {
        let counter = || metrics::counter!("querygate_pgwire_messages_total", "type" => kind.name());
        if let Some(place) = self.messages.get(kind as usize) {
            place.get_or_init(counter).increment(1);
        }
    }

    pub(crate) fn received(&self, bytes: usize) {
        let counter = self.received.get_or_init(|| metrics::counter!("querygate_pgwire_received_bytes_total"));
        counter.increment(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    pub(crate) fn sent(&self, bytes: usize) {
        let counter = self.sent.get_or_init(|| metrics::counter!("querygate_pgwire_sent_bytes_total"));
        counter.increment(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Rows that were handed on as their source wrote them.
    pub(crate) fn copied(&self, count: u64) {
        self.copied.get_or_init(|| metrics::counter!("querygate_pgwire_rows_copied_total")).increment(count);
    }

    /// Requests that were answered as a whole.
    pub(crate) fn at_once(&self) {
        self.at_once.get_or_init(|| metrics::counter!("querygate_pgwire_at_once_total")).increment(1);
    }

    pub(crate) fn rows(&self, count: u64) {
        self.rows.get_or_init(|| metrics::counter!("querygate_pgwire_rows_total")).increment(count);
    }
}

pub(crate) fn error(sqlstate: &'static str) {
    metrics::counter!("querygate_pgwire_errors_total", "sqlstate" => sqlstate).increment(1);
}

pub(crate) fn canceled() {
    metrics::counter!("querygate_pgwire_cancel_requests_total").increment(1);
}
