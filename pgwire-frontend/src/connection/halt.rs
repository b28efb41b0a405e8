//! Why the work on a message stops: the statement failed, or the connection ends.

use crate::report::Report;

/// Why the work on a message stopped.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The statement failed; the session goes on.
    Statement(Report),
    /// The connection ends.
    Connection(Closing),
}

/// How a connection ends.
#[derive(Debug)]
pub(crate) enum Closing {
    /// The client left or cannot be reached.
    Silently,
    /// The client is told why.
    Saying(Report),
}

impl From<Report> for Halt {
    fn from(report: Report) -> Self {
        Self::Statement(report)
    }
}

impl From<querygate_types::Error> for Halt {
    fn from(error: querygate_types::Error) -> Self {
        Self::Statement(error.into())
    }
}

impl From<Closing> for Halt {
    fn from(closing: Closing) -> Self {
        Self::Connection(closing)
    }
}
