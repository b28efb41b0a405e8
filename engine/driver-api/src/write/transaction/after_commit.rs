//! What is done once a transaction is stored. What it holds until then is bounded.

use querygate_types::{Error, ErrorCode, Result};
use std::fmt;

/// Things to do after the commit of one transaction, at most, and bytes that they hold.
const COUNT_MAX: usize = 1_000;
const BYTES_MAX: usize = 64 << 20;

/// Something to do once a transaction is stored.
pub(super) struct AfterCommit {
    task: Box<dyn FnOnce() + Send + Sync>,
    bytes: usize,
}

impl AfterCommit {
    pub(super) fn new(bytes: usize, task: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { task: Box::new(task), bytes }
    }

    pub(super) fn run(self) {
        (self.task)();
    }
}

impl fmt::Debug for AfterCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AfterCommit")
    }
}

/// # Errors
/// 54000: too much waits.
pub(super) fn add(all: &mut Vec<AfterCommit>, one: AfterCommit) -> Result<()> {
    let held = all.iter().map(|after| after.bytes).fold(one.bytes, usize::saturating_add);
    if all.len() >= COUNT_MAX || held > BYTES_MAX {
        return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too much is to be done after the commit")
            .with_hint("Change the rows in several transactions."));
    }
    all.push(one);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_the_commit_is_bounded() {
        let refused = |all: &mut Vec<AfterCommit>, bytes| {
            add(all, AfterCommit::new(bytes, || {})).is_err_and(|error| error.code() == ErrorCode::ProgramLimitExceeded)
        };
        let mut all = Vec::new();
        assert!(!refused(&mut all, BYTES_MAX - 1) && refused(&mut all, 2) && !refused(&mut all, 1));
        let mut all = Vec::new();
        assert!((0..COUNT_MAX).all(|_| !refused(&mut all, 0)));
        assert!(refused(&mut all, 0));
    }
}
