//! Look-ups: runs whose rows go to a client as their source writes them, and why a statement is none.

#[cfg(doc)]
use crate::service::Session;
use futures::future::BoxFuture;
use querygate_types::Result;
use querygate_types::wire_rows::WireRows;

/// A look-up that was begun by [`Session::look_up`].
pub type LookUp<'a> = BoxFuture<'a, Result<LookUpOutcome>>;

/// What a look-up came to.
#[derive(Debug)]
pub enum LookUpOutcome {
    /// All its rows, in the form that was asked for.
    Rows(WireRows),
    /// Nothing was run and nothing recorded: the statement is to be given to [`Session::run`].
    Declined(LookUpRefusal),
}

/// Why a statement is not run as a look-up whose rows go to the client as its source writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookUpRefusal {
    /// It is not a query.
    NoQuery,
    /// Not all of it runs in one source.
    NotWhole,
    /// It asks for the time of the statement.
    Moment,
    /// Results of this session are compared with a second run, which takes batches.
    Compared,
    /// It was not planned before.
    FirstRun,
    /// The session, the metadata or the settings are others than when it was planned.
    Outdated,
    /// A value is of a type, or in a form, that the source cannot be given as it is.
    Values,
    /// The source, or what it would be asked, does not allow it; the reason in words.
    Source(&'static str),
}

impl LookUpRefusal {
    /// In words, for EXPLAIN.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoQuery => "it is not a query",
            Self::NotWhole => "not all of it runs in one source",
            Self::Moment => "it asks for the time of the statement",
            Self::Compared => "querygate.verify_sample compares results",
            Self::FirstRun => "it was not planned before",
            Self::Outdated => "the session, the metadata or the settings changed",
            Self::Values => "a value cannot be given to the source as it is",
            Self::Source(reason) => reason,
        }
    }
}
