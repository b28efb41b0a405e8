//! Whose account of memory was full, and the error that says so.

use querygate_types::{Error, ErrorCode};

/// Whose account it is; with that, which setting bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Statement,
    /// Rows that the cursors of a session keep: the scrollable ones, and those WITH HOLD of a transaction that ends.
    Cursors,
    /// Prepared statements of a session.
    Session,
    User,
    Gate,
}

impl Owner {
    const ALL: [Self; 5] = [Self::Statement, Self::Cursors, Self::Session, Self::User, Self::Gate];

    /// How the pool's error says whose account was full: the engine passes on a text only.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Statement => "account of a statement",
            Self::Cursors => "account of cursors",
            Self::Session => "account of a session",
            Self::User => "account of a user",
            Self::Gate => "account of the gate",
        }
    }

    const fn detail(self) -> &'static str {
        match self {
            Self::Statement => "The statement needs more memory than a statement may use here.",
            Self::Cursors => {
                "The rows that this session's cursors keep (SCROLL, or WITH HOLD after changes) need more memory than they may."
            }
            Self::Session => "The prepared statements of this session need more memory than they may.",
            Self::User => "What this user runs, keeps open and has prepared needs more memory than one user may use.",
            Self::Gate => "All statements together need more memory than there is for them.",
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::Statement => {
                "Read fewer columns, filter more, or group on fewer values; an operator may raise limits.memory_per_query."
            }
            Self::Cursors => {
                "Declare cursors without SCROLL, read those WITH HOLD or close them before COMMIT, or read fewer rows."
            }
            Self::Session => "Deallocate statements that are not needed any more.",
            Self::User => {
                "Close cursors, portals, streams and prepared statements that are not needed; an operator may raise \
                 limits.memory_per_user."
            }
            Self::Gate => "Try again later; an operator may raise limits.memory_total.",
        }
    }
}

/// What a pool that is full says to the client, by the pool's own text.
#[must_use]
pub fn out_of_memory(text: &str) -> Error {
    if let Some(refused) = refused(text) {
        return refused;
    }
    if text.contains("disk") || text.contains("spill") {
        return Error::new(ErrorCode::DiskFull, "the limit for temporary files is reached").with_cause(text);
    }
    Error::new(ErrorCode::OutOfMemory, "out of memory")
        .with_detail("The statement needs more memory than a statement may use here.")
        .with_hint("Read fewer columns, filter more, or group on fewer values.")
        .with_cause(text)
}

/// `None`: another pool's text.
fn refused(text: &str) -> Option<Error> {
    let owner = Owner::ALL.into_iter().find(|owner| text.contains(owner.mark()))?;
    let error = Error::new(ErrorCode::OutOfMemory, "out of memory").with_detail(owner.detail());
    Some(error.with_hint(owner.hint()).with_cause(text))
}
