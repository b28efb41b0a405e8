//! How a transaction begins, and what became of it.

use crate::write::distributed::GlobalId;
use querygate_types::{Error, ErrorCode};
use std::fmt;
use std::sync::Arc;

/// How a transaction begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Begin {
    /// What it sees of others.
    pub isolation: Isolation,
    /// By which it may be prepared: some sources want to know at the beginning. `None`: it will not be.
    pub global: Option<GlobalId>,
}

/// What a transaction sees of others, at most. A source may give more than is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Each statement sees what was committed before it.
    #[default]
    ReadCommitted,
    /// Every statement sees what was committed before the first.
    RepeatableRead,
    /// As if it ran alone.
    Serializable,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// All of it is stored.
    Committed,
    /// Nothing of it is stored.
    RolledBack,
}

/// The source's own name of a transaction, by which its fate is found out after its connection was lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TxMark(Arc<str>);

/// Why a commit is none, or may be none.
#[derive(Debug, Clone)]
pub enum CommitError {
    /// Nothing of the transaction is stored.
    RolledBack(Error),
    /// The answer was lost (08007): everything is stored, or nothing. The mark asks [`Writer::fate_of`](super::Writer::fate_of).
    Unknown(Error, Option<TxMark>),
}

impl Begin {
    /// A transaction of this level.
    #[must_use]
    pub const fn with(isolation: Isolation) -> Self {
        Self { isolation, global: None }
    }

    /// The same, as a part of a transaction of several sources.
    #[must_use]
    pub const fn within(self, id: GlobalId) -> Self {
        Self { global: Some(id), ..self }
    }
}

impl Isolation {
    /// The words of SQL.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Self::ReadCommitted => "READ COMMITTED",
            Self::RepeatableRead => "REPEATABLE READ",
            Self::Serializable => "SERIALIZABLE",
        }
    }
}

impl TxMark {
    /// A mark in the source's own words.
    #[must_use]
    pub fn new(mark: impl Into<Arc<str>>) -> Self {
        Self(mark.into())
    }

    /// The source's own words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl CommitError {
    /// An answer that did not come, for this reason.
    #[must_use]
    pub fn unknown(cause: &Error, mark: Option<TxMark>) -> Self {
        let error =
            Error::new(ErrorCode::TransactionOutcomeUnknown, "it is not known whether the transaction was committed")
                .with_cause(cause.cause().unwrap_or(cause.message()));
        Self::Unknown(error, mark)
    }

    /// What the client is told.
    #[must_use]
    pub const fn error(&self) -> &Error {
        match self {
            Self::RolledBack(error) | Self::Unknown(error, _) => error,
        }
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for CommitError {}
