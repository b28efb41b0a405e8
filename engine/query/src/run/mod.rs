//! A running statement, from its first step to its last row: what it holds and is bounded by (a turn, memory, a deadline, batches
//! on their way to a reader), and its record. Knows no session and no plan's making.

pub(crate) mod admission;
pub(crate) mod answers;
mod by_login;
pub(crate) mod compare;
pub(crate) mod directory;
pub(crate) mod execute;
pub(crate) mod held;
pub(crate) mod interrupt;
pub(crate) mod lifecycle;
pub(crate) mod measured_memory;
pub(crate) mod memory;
pub(crate) mod pieces;
pub(crate) mod row_limit;
mod running_statements;
pub(crate) mod session_block;
pub(crate) mod session_end;
pub(crate) mod start_time;
