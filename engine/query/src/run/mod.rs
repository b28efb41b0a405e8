//! What a running statement holds and is bounded by: a turn, memory, a deadline, batches on their way to a reader. Knows no
//! statement's text and no session.

pub(crate) mod admission;
pub(crate) mod compare;
pub(crate) mod execute;
pub(crate) mod memory;
pub(crate) mod waiting;
